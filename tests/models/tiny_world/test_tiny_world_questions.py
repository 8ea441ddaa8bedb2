"""Gold answers agree with a second, independent reading of each question's own text, and questions are hard enough."""

from __future__ import annotations

import random
import re
from collections import defaultdict
from dataclasses import dataclass, field

import pytest

from terrarium.models.evaluation.held_out_questions import held_out_questions
from terrarium.models.tiny_world import lexicon
from terrarium.models.tiny_world.questions import HEADLINE_KINDS, KINDS, Question, draw, knowledge, reading, state
from terrarium.models.tiny_world.starters import STARTER_KINDS, draw_starter
from terrarium.models.tiny_world.world import World

WORLD = World(0)
PEOPLE = set(lexicon.WOMEN + lexicon.MEN)
Changes = dict[str, list[tuple[int, str]]]
"""Who or what → (number of the sentence, what became so), in order."""


@dataclass
class Reader:
    """Understands the sentences of a story by regular expressions of its own, and checks that each is possible."""

    at: dict[str, str] = field(default_factory=dict)
    lies: dict[str, str] = field(default_factory=dict)
    holder: dict[str, str] = field(default_factory=dict)
    moves: Changes = field(default_factory=lambda: defaultdict(list))
    takes: Changes = field(default_factory=lambda: defaultdict(list))
    paints: Changes = field(default_factory=lambda: defaultdict(list))
    n_opening: int = 0

    def read(self, story: str) -> Reader:
        for i, sentence in enumerate(re.findall(r"[^.]+\.", story)):
            self._read_sentence(i, sentence.strip())
        return self

    def _read_sentence(self, i: int, sentence: str) -> None:
        if found := re.fullmatch(r"(\w+) was in the (\w+)\.", sentence):
            assert found[1] in PEOPLE
            self.at[found[1]] = found[2]
            self.n_opening += 1
        elif found := re.fullmatch(r"The (\w+) (?:was|lay) in the (\w+)\.", sentence):
            self.lies[found[1]] = found[2]
            self.n_opening += 1
        elif found := re.fullmatch(r"(\w+) (?:went|walked|ran) to the (\w+)\.", sentence):
            assert self.at[found[1]] != found[2]
            self.at[found[1]] = found[2]
            self.moves[found[1]].append((i, found[2]))
        elif found := re.fullmatch(r"The (\w+) was (?:taken|found) by (\w+)\.", sentence):
            assert self.lies.pop(found[1]) == self.at[found[2]]
            self._hand_over(i, found[1], found[2])
        elif found := re.fullmatch(r"The (\w+) was (?:given|handed) to (\w+)\.", sentence):
            giver = self.holder[found[1]]
            assert giver != found[2]
            assert self.at[giver] == self.at[found[2]]
            self._hand_over(i, found[1], found[2])
        else:
            found = re.fullmatch(r"The (\w+) door was painted (\w+)\.", sentence)
            assert found is not None, sentence
            assert found[1] in self.at.values()
            self.paints[found[1]].append((i, found[2]))

    def _hand_over(self, i: int, thing: str, person: str) -> None:
        self.holder[thing] = person
        self.takes[thing].append((i, person))

    def asked(self, prompt: str) -> tuple[str, Changes]:
        """Whom or what a question is about, and the changes of its kind."""
        for pattern, changes in (
            (r"Where is (\w+) now\?", self.moves),
            (r"Who has the (\w+) now\?", self.takes),
            (r"What colour is the (\w+) door now\?", self.paints),
        ):
            if found := re.fullmatch(pattern, prompt):
                return found[1], changes
        raise AssertionError(prompt)


@pytest.fixture(scope="module")
def hard_questions() -> list[Question]:
    rng = random.Random("hard")
    questions: list[Question] = []
    while len(questions) < 300:
        questions += state(WORLD, rng, hard=True)
    return questions


@pytest.fixture(scope="module")
def evaluation() -> dict[str, list[Question]]:
    return {kind: held_out_questions(WORLD, kind, 60) for kind in KINDS}


def later_changes(question: Question) -> int:
    """How many changes of others of its kind follow the last one of who or what is asked for."""
    reader = Reader().read(question.story)
    subject, changes = reader.asked(question.prompt)
    last = changes[subject][-1][0]
    return sum(i > last for other, history in changes.items() if other != subject for i, _ in history)


def test_state_answers_are_what_the_story_says(hard_questions: list[Question]) -> None:
    rng = random.Random("any")
    for question in hard_questions + [q for _ in range(300) for q in state(WORLD, rng)]:
        reader = Reader().read(question.story)
        subject, changes = reader.asked(question.prompt)
        assert question.value == changes[subject][-1][1], question.text
        assert subject in question.gold
        assert question.value in question.gold


def test_state_stories_are_long_and_what_is_asked_changed_twice(evaluation: dict[str, list[Question]]) -> None:
    assert min(len(WORLD.places) - 7, len(WORLD.people) - 9, len(WORLD.things) - 5) > 0
    for question in evaluation["state"]:
        reader = Reader().read(question.story)
        subject, changes = reader.asked(question.prompt)
        n_events = question.story.count(".") - reader.n_opening
        assert n_events >= 8, question.text
        assert len(changes[subject]) >= 2, question.text


def test_half_of_the_state_questions_are_hard(
    hard_questions: list[Question], evaluation: dict[str, list[Question]]
) -> None:
    assert all(later_changes(question) >= 2 for question in hard_questions)
    assert sum(later_changes(question) >= 2 for question in evaluation["state"]) >= 30


def test_the_last_mentioned_candidate_is_mostly_wrong(evaluation: dict[str, list[Question]]) -> None:
    for kind in ("reading", "state"):
        share = sum(q.last_mentioned == q.gold for q in evaluation[kind]) / 60
        assert share < 0.5, (kind, share)


def test_the_last_mentioned_candidate_is_what_it_says(hard_questions: list[Question]) -> None:
    for question in hard_questions:
        _, changes = Reader().read(question.story).asked(question.prompt)
        last = max(change for history in changes.values() for change in history)[1]
        assert question.last_mentioned == question.frame.format(last)


READING = (
    (r"Where is (\w+)\?", r"{} is in the (\w+)\."),
    (r"Where is the (\w+)\?", r"The {} is in the (\w+)\."),
    (r"How is (\w+)\?", r"{} is a bit (\w+)\."),
    (r"Who has the (\w+) now\?", r"The {} is now with (\w+)\."),
    (r"What colour is the (\w+) door now\?", r"The {} door is now (\w+)\."),
)


def test_reading_answers_stand_in_the_story() -> None:
    rng = random.Random(3)
    forms = set()
    for _ in range(300):
        for question in reading(WORLD, rng):
            subject, sentence = next(
                (found[1], sentence)
                for pattern, sentence in READING
                if (found := re.fullmatch(pattern, question.prompt))
            )
            said = re.findall(sentence.format(subject), question.story)
            assert said == [question.value], question.text
            assert question.gold in question.story
            assert 4 <= question.story.count(".") <= 7
            forms.add(question.form)
    assert len(forms) == len(READING)


def test_sums_are_right() -> None:
    rng = random.Random(4)
    for held_out in (False, True):
        for _ in range(200):
            question = draw(WORLD, "sums", rng, held_out=held_out)
            a, b = map(int, re.findall(r"\d+", question.prompt))
            assert question.gold == str(a + b)
            assert max(a, b) < 100


@pytest.mark.parametrize("seed", range(4))
def test_a_world_has_300_facts_that_do_not_contradict_each_other(seed: int) -> None:
    world = World(seed)
    assert len(world.facts) >= 300
    assert len({(fact.relation, fact.subject) for fact in world.facts}) == len(world.facts)
    for fact in world.facts:
        assert fact.answer == fact.frame.format(fact.value)
        assert len(set(fact.questions)) == 5
        assert all(fact.subject in question for question in fact.questions)
        assert world.value(fact.relation, fact.subject) == fact.value
    for fact in world.facts:
        if fact.relation == "sibling":
            assert world.value("sibling", fact.value) == fact.subject
            assert ("sister" in fact.answer) == (fact.value in lexicon.WOMEN)
    assert str(len(world.facts)) in world.summary


def test_a_question_has_one_answer() -> None:
    """No question about the facts is asked of two facts."""
    questions = [question for fact in WORLD.facts for question in fact.questions]
    assert len(set(questions)) == len(questions)


def test_all_of_it_depends_on_the_seed_alone() -> None:
    assert World(1).facts == World(1).facts
    assert World(1).facts != World(2).facts
    for kind in KINDS:
        assert draw(World(1), kind, random.Random(7), held_out=True) == draw(
            World(1), kind, random.Random(7), held_out=True
        )
    assert knowledge(WORLD, random.Random(1)) == knowledge(World(0), random.Random(1))
    assert [q.text for q in held_out_questions(WORLD, "sums", 20)] == [
        q.text for q in held_out_questions(World(0), "sums", 20)
    ]


def test_evaluation_asks_different_questions_of_every_kind(evaluation: dict[str, list[Question]]) -> None:
    assert set(HEADLINE_KINDS) < set(evaluation)
    for kind, questions in evaluation.items():
        assert len({question.text for question in questions}) == 60
        assert all(question.held_out and question.kind == kind for question in questions)


@pytest.mark.parametrize("kind", STARTER_KINDS)
def test_starters_are_held_out_and_accept_their_gold_answer(kind: str) -> None:
    rng = random.Random(0)
    starters = [draw_starter(0, kind, rng) for _ in range(5)]
    assert len({starter.prompt for starter in starters}) > 1
    for starter in starters:
        assert starter.question.held_out
        assert starter.accepts(starter.gold)
        assert not starter.accepts("I do not know.")
