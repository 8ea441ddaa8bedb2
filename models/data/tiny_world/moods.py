"""Texts that imply a mood without naming it, with the mood as label."""

from __future__ import annotations

import random
from dataclasses import dataclass

from models.data.tiny_world import english
from models.data.tiny_world.events import Feels, Gives, Holds, Is, Thanks, WorldEvent
from models.data.tiny_world.lexicon import WOMEN
from models.data.tiny_world.splits import is_held_out
from models.data.tiny_world.stories import requested_story
from models.data.tiny_world.world import World

IMPLIED: dict[str, tuple[str, ...]] = {
    "angry": (
        "{person} slammed the door.", "{person} shouted and stamped {their} feet.", "“Stop that!” said {person}.",
        "{person} turned red and would not speak to anybody."),
    "brave": (
        "{person} went first into the dark.", "{person} did not run away from the bear.",
        "{person} climbed to the very top without a rope.", "{person} jumped into the cold river to help."),
    "happy": (
        "{person} smiled all day long.", "{person} laughed and danced.", "{person} sang on the way home.",
        "“What a lovely day!” said {person}."),
    "hungry": (
        "{person} had not eaten since yesterday.", "{person}'s stomach growled.",
        "{person} ate three bowls of soup.", "“When is dinner?” asked {person}."),
    "proud": (
        "{person} showed everybody what {they} had made.", "{person} had won the first prize.",
        "“I did it all by myself!” said {person}.", "{person} hung {their} medal on the wall."),
    "sad": (
        "{person} cried.", "A tear ran down {person}'s cheek.", "{person} missed {their} old friend.",
        "{person} looked at the ground and sighed."),
    "scared": (
        "{person} hid under the bed.", "{person} trembled and held {their} breath.", "{person} screamed and ran away.",
        "“Is somebody there?” whispered {person}."),
    "sleepy": (
        "{person} yawned.", "{person} could not keep {their} eyes open.", "{person} nodded off in the chair.",
        "It was late, and {person} rubbed {their} eyes."),
    "thirsty": (
        "{person} drank a whole jug of water.", "{person}'s mouth was dry.", "{person} looked for a well.",
        "“Is there any water left?” asked {person}."),
    "tired": (
        "{person} had worked since dawn.", "{person}'s legs were heavy.", "{person} needed a long rest.",
        "After the long way, {person} could not walk another step."),
}  # fmt: skip
"""Mood → sentences that imply it, for a person and their pronouns."""


@dataclass(frozen=True)
class MoodExample:
    """A text, and the mood of `person` at its end, which the text never names."""

    text: str
    person: str
    mood: str
    held_out: bool


def draw_mood(world: World, rng: random.Random) -> MoodExample:
    """A sentence, or a short story that ends with one, held out by the whole text; a gift makes its receiver happy."""
    person = rng.choice(world.people)
    if rng.random() < 0.1:
        return _gift(world, person, rng)
    feels = Feels(person, rng.choice(list(IMPLIED)))
    sentence = imply(feels, rng)
    if rng.random() < 0.5:
        story = requested_story(world, person, rng.choice(world.things), rng.choice(world.places), rng)
        before = [event for event in story if not isinstance(event, Feels)]
        sentence = f"{english.tell(before, rng)} {sentence}"
    return MoodExample(sentence, person, feels.mood, is_held_out(sentence))


def imply(event: Feels, rng: random.Random) -> str:
    """The event as one sentence that shows the mood and does not name it."""
    they, their = ("she", "her") if event.person in WOMEN else ("he", "his")
    return rng.choice(IMPLIED[event.mood]).format(person=event.person, they=they, their=their)


def _gift(world: World, receiver: str, rng: random.Random) -> MoodExample:
    giver = world.value("friend", receiver)
    place, thing = rng.choice(world.places), rng.choice(world.things)
    opening: list[WorldEvent] = [Is(giver, place), Holds(giver, thing), Is(receiver, place)]
    text = english.tell([*opening, Gives(giver, thing, receiver), Thanks(receiver, giver)], rng)
    return MoodExample(text, receiver, "happy", is_held_out(text))
