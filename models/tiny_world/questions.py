"""Questions with a single right answer, by kind, in unlimited number; each records whether it is held out.

Kinds: knowledge (facts of this world), requests (a story on a given topic), reading (one fact among several), state
(the state after events that changed it), sums, translation (English to French).
"""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Callable
from dataclasses import dataclass

from terrarium.models.tiny_world import english
from terrarium.models.tiny_world.events import DoorIs, Feels, Gives, Holds, Is, Lies, Moves, Paints, Takes, WorldEvent
from terrarium.models.tiny_world.french import FRENCH
from terrarium.models.tiny_world.lexicon import COLOURS, MOODS
from terrarium.models.tiny_world.splits import held_out_index, is_held_out
from terrarium.models.tiny_world.stories import MIXED, EventWeights, draw_cast, requested_story, simulate
from terrarium.models.tiny_world.world import Fact, World

HEADLINE_KINDS = ("knowledge", "requests", "reading", "state")
KINDS = (*HEADLINE_KINDS, "sums", "translation")
KIND_TITLES = {
    "knowledge": "Facts",
    "requests": "Stories",
    "reading": "Reading",
    "state": "What changed?",
    "sums": "Sums",
    "translation": "Translation",
}
KIND_MEANINGS = {
    "knowledge": "in a wording it has not seen",
    "requests": "about a person, a thing and a place",
    "reading": "one fact among several just told",
    "state": "how things are when a story ends",
    "sums": "of two numbers below 100",
    "translation": "from English to French",
}


def kind_title(kind: str) -> str:
    """Return the display name of a kind; an unknown kind's own name, capitalised."""
    return KIND_TITLES.get(kind, kind.capitalize())


@dataclass(frozen=True)
class Question:
    """One turn of a conversation: a question and its right answer, which is compared as a whole.

    `gold` is `frame` with `value` in it; `form` identifies questions that differ only in their subject. For requests,
    `gold` is one right story of many, and `topic` (person, thing, place) what it must be about. `last_mentioned` is the
    answer according to the last candidate in the story, if there is a story.
    """

    kind: str
    form: str
    prompt: str
    value: str
    held_out: bool
    frame: str = "{}"
    story: str = ""
    last_mentioned: str | None = None
    topic: tuple[str, str, str] | None = None

    @property
    def gold(self) -> str:
        """The right answer."""
        return self.frame.format(self.value)

    @property
    def text(self) -> str:
        """The whole user message: the story, if any, and the question."""
        return f"{self.story} {self.prompt}".strip()


def knowledge(world: World, rng: random.Random) -> Question:
    """Draw a question about a fact; a phrasing of each fact is held out, and trained only for other facts."""
    fact = rng.choice(world.facts)
    index = rng.randrange(len(fact.questions))
    held_out = index == held_out_phrasing(world, fact)
    return Question("knowledge", fact.relation, fact.questions[index], fact.value, held_out, fact.frame)


def held_out_phrasing(world: World, fact: Fact) -> int:
    """Return the index of a fact's phrasing that is never asked in training."""
    return held_out_index(f"{world.seed} {fact.relation} {fact.subject}", len(fact.questions))


REQUESTS = (
    "Tell me a story about {person} and the {thing} in the {place}.",
    "Write a story about {person} and the {thing} in the {place}.",
    "Can you tell a story about {person} and the {thing} in the {place}?",
)


def request(world: World, rng: random.Random) -> Question:
    """Draw a story request; the combination of person, thing and place is held out, not the words."""
    topic = rng.choice(world.people), rng.choice(world.things), rng.choice(world.places)
    person, thing, place = topic
    prompt = rng.choice(REQUESTS).format(person=person, thing=thing, place=place)
    story = english.tell(requested_story(world, *topic, rng), rng)
    return Question("requests", "story", prompt, story, is_held_out(" ".join(topic)), topic=topic)


def reading(world: World, rng: random.Random, *, n_facts: int | None = None) -> list[Question]:
    """Draw questions about one list of facts, one for each fact; 4 to 7 facts unless `n_facts` is given."""
    n_facts = n_facts or rng.randint(4, 7)
    kinds = rng.choice(
        (("is",), ("lies",), ("feels",), ("holds",), ("door",), ("is", "lies", "feels", "holds", "door"))
    )
    people, others = rng.sample(world.people, n_facts), rng.sample(world.people, n_facts)
    things, rooms = rng.sample(world.things, n_facts), rng.sample(world.places, n_facts)
    facts: list[WorldEvent] = []
    for person, other, thing, room in zip(people, others, things, rooms, strict=True):
        match rng.choice(kinds):
            case "is":
                facts.append(Is(person, rng.choice(world.places)))
            case "lies":
                facts.append(Lies(thing, rng.choice(world.places)))
            case "feels":
                facts.append(Feels(person, rng.choice(MOODS)))
            case "holds":
                facts.append(Holds(other, thing))
            case "door":
                facts.append(DoorIs(room, rng.choice(COLOURS)))
    sentences = [english.describe(fact) for fact in facts]
    story = " ".join(sentences)
    held_out = is_held_out(story)
    questions = []
    for fact in facts:
        last = next(other for other in reversed(facts) if type(other) is type(fact))
        questions.append(_about(fact, last, "reading", _ASK, held_out, story))
    rng.shuffle(questions)
    return questions


def _about(
    fact: WorldEvent, last: WorldEvent, kind: str, prompts: dict[type[WorldEvent], str], held_out: bool, story: str
) -> Question:
    """Make the question for `fact`; `last` is the fact of its type that the story mentions last."""
    field = _VALUE[type(fact)]
    frame = english.describe(dataclasses.replace(fact, **{field: "{}"}))
    return Question(
        kind,
        type(fact).__name__,
        prompts[type(fact)].format_map(vars(fact)),
        vars(fact)[field],
        held_out,
        frame,
        story,
        frame.format(vars(last)[field]),
    )


_VALUE: dict[type[WorldEvent], str] = {Is: "place", Lies: "place", Feels: "mood", Holds: "person", DoorIs: "colour"}
"""The field of a fact that a question asks for."""
_ASK: dict[type[WorldEvent], str] = {
    Is: "Where is {person}?",
    Lies: "Where is the {thing}?",
    Feels: "How is {person}?",
    Holds: "Who has the {thing} now?",
    DoorIs: "What colour is the {place} door now?",
}
_ASK_NOW = {**_ASK, Is: "Where is {person} now?"}
THEMES = (
    (EventWeights(move=8, take=0.5, give=0.5), 8),
    (EventWeights(move=2, take=3, give=6), 3),
    (EventWeights(move=2.5, take=0.3, give=0.3, paint=4), 4),
)
"""Stories of journeys, of gifts and of painted doors: event frequencies, and numbers of places."""


def state(
    world: World, rng: random.Random, *, n_events: int | None = None, hard: bool = False, also_easy: bool = False
) -> list[Question]:
    """Draw questions about the state at the end of one story, each about something that changed at least twice.

    `hard`: only those after whose last change two or more events changed the same property of others (places, holders).
    `also_easy`: followed by those about what changed once, which teach the same with fewer distractors. Without
    `n_events`, a story has 8 to 10 events after its opening.
    """
    n_events = n_events or rng.randint(8, 10)
    weights, n_places = rng.choice(THEMES)
    cast = draw_cast(world, rng, rng.randint(2, 4), n_places, 2)
    events = simulate(cast, n_events, rng, weights)
    story = english.tell(events, rng, english.REPORT)
    held_out = is_held_out(story)
    questions: list[Question] = []
    easy: list[Question] = []
    for history in (_places(events), _holders(events), _colours(events)):
        for subject in dict.fromkeys(subject for subject, _ in history):
            changes = [i for i, (other, _) in enumerate(history) if other == subject]
            later = len(history) - 1 - changes[-1]
            is_easy = len(changes) < 2
            if (is_easy and not also_easy) or (hard and later < 2):
                continue
            fact, last = history[changes[-1]][1], history[-1][1]
            (easy if is_easy else questions).append(_about(fact, last, "state", _ASK_NOW, held_out, story))
    rng.shuffle(questions)
    rng.shuffle(easy)
    return questions + easy


History = list[tuple[str, WorldEvent]]
"""(subject, its state from then on), in order."""


def _places(events: list[WorldEvent]) -> History:
    return [(e.person, Is(e.person, e.place)) for e in events if isinstance(e, Moves)]


def _holders(events: list[WorldEvent]) -> History:
    history: History = []
    for event in events:
        match event:
            case Takes(person, thing) | Gives(_, thing, person):
                history.append((thing, Holds(person, thing)))
    return history


def _colours(events: list[WorldEvent]) -> History:
    return [(e.place, DoorIs(e.place, e.colour)) for e in events if isinstance(e, Paints)]


def sums(_world: World, rng: random.Random) -> Question:
    """Draw a sum of two numbers below 100; pairs are held out in either order."""
    a, b = rng.randrange(100), rng.randrange(100)
    return Question("sums", "sum", f"What is {a} plus {b}?", str(a + b), is_held_out(f"{min(a, b)}+{max(a, b)}"))


def translation(world: World, rng: random.Random) -> Question:
    """Draw a sentence of Tiny World to translate into French."""
    cast = draw_cast(world, rng, 2, 2, 1)
    events = simulate(cast, 3, rng, MIXED)
    event = rng.choice([*events, Feels(cast.people[0], rng.choice(MOODS))])
    sentence = english.narrate(event, rng)
    return Question("translation", "French", f"Say in French: {sentence}", FRENCH.tell(event), is_held_out(sentence))


ONE_AT_A_TIME: dict[str, Callable[[World, random.Random], Question]] = {
    "knowledge": knowledge,
    "requests": request,
    "sums": sums,
    "translation": translation,
}


def draw(world: World, kind: str, rng: random.Random, *, held_out: bool, hard: bool = False) -> Question:
    """Draw a question of that kind, from the held-out or the training split (`hard`: see `state`)."""
    while True:
        if kind in ONE_AT_A_TIME:
            questions = [ONE_AT_A_TIME[kind](world, rng)]
        else:
            questions = reading(world, rng) if kind == "reading" else state(world, rng, hard=hard)
        for question in questions:
            if question.held_out == held_out:
                return question
