"""The world of a seed: its people, animals, places and things, and the facts about them."""

from __future__ import annotations

import random
import re
from dataclasses import dataclass
from functools import cached_property

from terrarium.models.tiny_world import lexicon

N_PEOPLE, N_PLACES, N_THINGS, N_ANIMALS = 24, 16, 16, 12
MAX_REPLY_TOKENS = 80
"""Token limit of replies about a world: stories are shorter."""


@dataclass(frozen=True)
class Fact:
    """A fact: `answer` is the whole sentence that states it; `value` the word in it that questions ask for."""

    relation: str
    subject: str
    value: str
    answer: str
    frame: str
    """The answer with {} in place of its value."""
    questions: tuple[str, ...]
    """Phrasings of the question; the held-out one depends on the fact (see splits)."""


@dataclass(frozen=True)
class Relation:
    """A kind of fact: templates of its answer ({s} the subject, {v} the value, {a} its article) and questions ({s})."""

    name: str
    answer: str
    questions: tuple[str, ...]


_COLOUR_QUESTIONS = (
    "What colour is the {s}?", "Which colour does the {s} have?", "What does the {s} look like?",
    "What is the colour of the {s}?", "How would you paint the {s}?",
)  # fmt: skip
PERSON_RELATIONS = (
    (Relation("job", "{s} is {a} {v}.", (
        "What is {s}'s job?", "What does {s} do for a living?", "What work does {s} do?", "Which job does {s} have?",
        "How does {s} earn money?")), lexicon.JOBS),
    (Relation("hobby", "{s} likes {v}.", (
        "What is {s}'s hobby?", "What does {s} like to do?", "What does {s} enjoy?", "How does {s} spend Sundays?",
        "What does {s} do for fun?")), lexicon.HOBBIES),
    (Relation("favourite food", "{s}'s favourite food is {v}.", (
        "What is {s}'s favourite food?", "What does {s} like to eat?", "Which food does {s} like best?",
        "What would {s} like for dinner?", "What food should I cook for {s}?")), lexicon.FOODS),
    (Relation("favourite colour", "{s}'s favourite colour is {v}.", (
        "What is {s}'s favourite colour?", "Which colour does {s} like best?", "What colour does {s} love?",
        "Which colour would {s} choose?", "What colour should I give {s}?")), lexicon.COLOURS),
    (Relation("birthday", "{s}'s birthday is in {v}.", (
        "When is {s}'s birthday?", "In which month was {s} born?", "When was {s} born?",
        "In which month does {s} have a birthday?", "When does {s} have a party?")), lexicon.MONTHS),
    (Relation("pet", "{s}'s pet is {a} {v}.", (
        "What pet does {s} have?", "Which animal lives with {s}?", "What animal does {s} keep?", "What is {s}'s pet?",
        "Which animal belongs to {s}?")), tuple(a for a in lexicon.ANIMALS if a != "owl")),
    (Relation("home", "{s} lives near the {v}.", (
        "Where does {s} live?", "Where is {s}'s house?", "Where is {s}'s home?", "What does {s} live near?",
        "Where can I visit {s}?")), lexicon.PLACES),
)  # fmt: skip
ANIMAL_RELATIONS = (
    (Relation("diet", "The {s} eats {v}.", (
        "What does the {s} eat?", "What food does the {s} like?", "What should I feed the {s}?",
        "Which food is for the {s}?", "What is the {s} fed?")), lexicon.FOODS),
    (Relation("bed", "The {s} sleeps in the {v}.", (
        "Where does the {s} sleep?", "Where is the bed of the {s}?", "Where is the {s} at night?",
        "In which place does the {s} sleep?", "Where does the {s} rest?")), lexicon.PLACES),
    (Relation("fur", "The {s} is {v}.", _COLOUR_QUESTIONS), lexicon.COLOURS),
)  # fmt: skip
PLACE_RELATIONS = (
    (Relation("door", "The {s} door is {v}.", (
        "What colour is the {s} door?", "Which colour does the {s} door have?", "What is the colour of the {s} door?",
        "How is the {s} door painted?", "What colour did they paint the {s} door?")), lexicon.COLOURS),
    (Relation("walls", "The {s} is built of {v}.", (
        "What is the {s} built of?", "What are the walls of the {s} made of?", "Which material is the {s} built of?",
        "What did they build the {s} with?", "What is used in the walls of the {s}?")), lexicon.MATERIALS),
)  # fmt: skip
THING_RELATIONS = (
    (Relation("material", "The {s} is made of {v}.", (
        "What is the {s} made of?", "Which material is the {s} made of?", "What material is the {s}?",
        "What did they make the {s} from?", "Of what is the {s} made?")), lexicon.MATERIALS),
    (Relation("colour", "The {s} is {v}.", _COLOUR_QUESTIONS), lexicon.COLOURS),
)  # fmt: skip
SIBLING = {
    "f": Relation("sibling", "{s}'s sister is {v}.", (
        "Who is {s}'s sister?", "What is the name of {s}'s sister?", "Who is the sister of {s}?",
        "Which girl is {s}'s sister?", "What is {s}'s sister called?")),
    "m": Relation("sibling", "{s}'s brother is {v}.", (
        "Who is {s}'s brother?", "What is the name of {s}'s brother?", "Who is the brother of {s}?",
        "Which boy is {s}'s brother?", "What is {s}'s brother called?")),
}  # fmt: skip
FRIEND = Relation("friend", "{s}'s best friend is {v}.", (
    "Who is {s}'s best friend?", "Who is the best friend of {s}?", "Who does {s} play with?",
    "What is the name of {s}'s best friend?", "Which friend does {s} like best?"))  # fmt: skip
OWNER = Relation("owner", "The {s} belongs to {v}.", (
    "Who owns the {s}?", "Whose {s} is it?", "Who does the {s} belong to?", "Who is the owner of the {s}?",
    "To whom should I bring the {s}?"))  # fmt: skip


class World:
    """A seed's people, animals, places, things and facts. Equal seeds give equal worlds."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        rng = random.Random(f"tiny-world-{seed}")
        people = rng.sample(lexicon.WOMEN, N_PEOPLE // 2) + rng.sample(lexicon.MEN, N_PEOPLE // 2)
        rng.shuffle(people)
        self.people = tuple(people)
        self.places = tuple(rng.sample(lexicon.PLACES, N_PLACES))
        self.things = tuple(rng.sample(lexicon.THINGS, N_THINGS))
        self.animals = tuple(rng.sample(lexicon.ANIMALS, N_ANIMALS))

    @cached_property
    def facts(self) -> tuple[Fact, ...]:
        """Every fact of this world, some 300 of them."""
        rng = random.Random(f"tiny-world-facts-{self.seed}")
        facts = []
        for subjects, relations in (
            (self.people, PERSON_RELATIONS),
            (self.animals, ANIMAL_RELATIONS),
            (self.places, PLACE_RELATIONS),
            (self.things, THING_RELATIONS),
        ):
            for relation, values in relations:
                allowed = [v for v in values if v not in lexicon.PLACES or v in self.places]
                facts += [_fact(relation, subject, rng.choice(allowed)) for subject in subjects]
        for first, second in zip(self.people[::2], self.people[1::2], strict=True):
            facts.append(_fact(SIBLING["f" if second in lexicon.WOMEN else "m"], first, second))
            facts.append(_fact(SIBLING["f" if first in lexicon.WOMEN else "m"], second, first))
        for person in self.people:
            facts.append(_fact(FRIEND, person, rng.choice([p for p in self.people if p != person])))
        facts += [_fact(OWNER, thing, rng.choice(self.people)) for thing in self.things]
        return tuple(facts)

    def value(self, relation: str, subject: str) -> str:
        """Return the value of a fact: `value("friend", "Anna")` is the name of Anna's best friend."""
        return self._values[relation, subject]

    @cached_property
    def _values(self) -> dict[tuple[str, str], str]:
        return {(fact.relation, fact.subject): fact.value for fact in self.facts}

    @property
    def summary(self) -> str:
        """A one-line description of this world."""
        people, animals, places, things = map(len, (self.people, self.animals, self.places, self.things))
        return (
            f"Tiny World {self.seed}, synthetic: {people} people, {animals} animals, {places} places, {things} things "
            f"and {len(self.facts)} facts, all made up by a generator."
        )


def _fact(relation: Relation, subject: str, value: str) -> Fact:
    frame = relation.answer.format(s=subject, v="{}", a="an" if value[0] in "aeiou" else "a")
    return Fact(
        relation.name,
        subject,
        value,
        frame.format(value),
        frame,
        tuple(question.format(s=subject) for question in relation.questions),
    )


def seed_in(name: str) -> int | None:
    """Return the seed of the world in a dataset's name; None if it is about something else."""
    found = re.match(r"Tiny World (\d+)", name)
    return int(found[1]) if found else None
