"""Texts that imply a mood without naming it, with the mood as label: classification.

A quarter of each mood's sentences is held out. A model trained from scratch can only memorise the others: it recognises
them in new stories (group "seen"), but has to guess at the rest ("unseen"), which requires word knowledge.
"""

from __future__ import annotations

import random

from terrarium.models.tiny_world import english
from terrarium.models.tiny_world.events import Feels, Gives, Holds, Is, Thanks, WorldEvent
from terrarium.models.tiny_world.lexicon import WOMEN
from terrarium.models.tiny_world.splits import Drawn, held_out_index, split_of
from terrarium.models.tiny_world.stories import requested_story
from terrarium.models.tiny_world.world import World

IMPLIED: dict[str, tuple[str, ...]] = {
    "angry": (
        "{person} slammed the door.", "{person} shouted and stamped {their} feet.", "“Stop that!” said {person}.",
        "{person} turned red and would not speak to anybody.", "{person} banged a fist on the table.",
        "{person} tore the letter to pieces.", "“How dare you!” cried {person}.",
        "{person} threw the plate against the wall."),
    "brave": (
        "{person} went first into the dark.", "{person} did not run away from the bear.",
        "{person} climbed to the very top without a rope.", "{person} jumped into the cold river to help.",
        "{person} stood up to the giant.", "“I will go alone,” said {person}.",
        "{person} caught the snake with bare hands.", "{person} saved a child from the burning house."),
    "happy": (
        "{person} smiled all day long.", "{person} laughed and danced.", "{person} sang on the way home.",
        "“What a lovely day!” said {person}.", "{person} whistled a merry tune.", "{person} hugged everybody.",
        "{person} skipped down the lane.", "“This is the best present ever!” said {person}."),
    "hungry": (
        "{person} had not eaten since yesterday.", "{person}'s stomach growled.",
        "{person} ate three bowls of soup.", "“When is dinner?” asked {person}.", "{person} licked the empty pot.",
        "{person} could think of nothing but pancakes.", "{person} begged for a second helping.",
        "“I could swallow a whole cow,” said {person}."),
    "proud": (
        "{person} showed everybody what {they} had made.", "{person} had won the first prize.",
        "“I did it all by myself!” said {person}.", "{person} hung {their} medal on the wall.",
        "{person} walked about with {their} chin up.", "“Look at my new bridge!” said {person}.",
        "Everybody clapped, and {person} bowed.", "{person} told the story of {their} victory again."),
    "sad": (
        "{person} cried.", "A tear ran down {person}'s cheek.", "{person} missed {their} old friend.",
        "{person} looked at the ground and sighed.", "{person} wept for hours.", "{person} sat alone in the rain.",
        "“Nobody came to see me,” sobbed {person}.", "{person} buried the little bird."),
    "scared": (
        "{person} hid under the bed.", "{person} trembled and held {their} breath.", "{person} screamed and ran away.",
        "“Is somebody there?” whispered {person}.", "{person} turned pale and shook.",
        "{person}'s heart was pounding.", "{person} did not dare to move.",
        "“Do not leave me here!” pleaded {person}."),
    "sleepy": (
        "{person} yawned.", "{person} could not keep {their} eyes open.", "{person} nodded off in the chair.",
        "It was late, and {person} rubbed {their} eyes.", "{person} snored on the bench.",
        "{person}'s head fell onto the pillow.", "{person} put on pyjamas before supper.",
        "“Is it bedtime yet?” mumbled {person}."),
    "thirsty": (
        "{person} drank a whole jug of water.", "{person}'s mouth was dry.", "{person} looked for a well.",
        "“Is there any water left?” asked {person}.", "{person} emptied the cup in one gulp.",
        "{person} sucked the dew from the leaves.", "{person} would have paid a fortune for lemonade.",
        "“A drop of milk, please!” gasped {person}."),
    "tired": (
        "{person} had worked since dawn.", "{person}'s legs were heavy.", "{person} needed a long rest.",
        "After the long way, {person} could not walk another step.", "{person} sank down on a stone.",
        "{person} had carried sacks all week.", "{person} leaned on a stick and panted.",
        "“I cannot go any further,” groaned {person}."),
}  # fmt: skip
"""Mood → sentences that imply it, for a person and their pronouns."""

LABELS = tuple(IMPLIED)
_QUARTER = 4


def is_unseen(mood: str, index: int) -> bool:
    """Return whether the sentence IMPLIED[mood][index] is never in training: one of every four."""
    return index % _QUARTER == held_out_index(f"{mood} {index // _QUARTER}", _QUARTER)


def draw(world: World, rng: random.Random) -> list[Drawn]:
    """Draw a sentence, or a short story that ends with one; a gift makes its receiver happy.

    `sentence` is the one that implies the mood: there are few in "unseen", so a confidence interval should count
    sentences, not rows.
    """
    person = rng.choice(world.people)
    if rng.random() < 0.1:
        return [_row(_gift(world, person, rng), "happy", "(a gift)", unseen=False)]
    mood = rng.choice(LABELS)
    index = rng.randrange(len(IMPLIED[mood]))
    template = IMPLIED[mood][index]
    text = imply(template, person)
    if rng.random() < 0.7:
        story = requested_story(world, person, rng.choice(world.things), rng.choice(world.places), rng)
        text = f"{english.tell([event for event in story if not isinstance(event, Feels)], rng)} {text}"
    return [_row(text, mood, template, unseen=is_unseen(mood, index))]


def _row(text: str, mood: str, sentence: str, *, unseen: bool) -> Drawn:
    row = {"text": text, "label": mood, "group": "unseen" if unseen else "seen", "sentence": sentence}
    return Drawn("test" if unseen else split_of(text), row)


def imply(template: str, person: str) -> str:
    """Fill a sentence of IMPLIED for a person."""
    they, their = ("she", "her") if person in WOMEN else ("he", "his")
    return template.format(person=person, they=they, their=their)


def _gift(world: World, receiver: str, rng: random.Random) -> str:
    giver = world.value("friend", receiver)
    place, thing = rng.choice(world.places), rng.choice(world.things)
    opening: list[WorldEvent] = [Is(giver, place), Holds(giver, thing), Is(receiver, place)]
    return english.tell([*opening, Gives(giver, thing, receiver), Thanks(receiver, giver)], rng)
