"""Turns: everybody gets on, whoever leaves makes room, and one that fails harms nobody."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from tokenizers import Tokenizer

from app.serve.endpoint.errors import ModelGoneError
from app.serve.endpoint.turns import Task, Turns
from app.serve.endpoint.worker_engine import WorkerEngine
from app.worker.worker import Worker
from models.events import Event
from tests.app.serve.endpoint.conftest import tiny_served, until


@dataclass(frozen=True, kw_only=True)
class Word(Event):
    """Something that a text says."""

    word: str


class Text:
    """A text that goes on until word number `n`, and what is posted of it."""

    def __init__(self, name: str, n: int | None, posted: list[object] | None = None) -> None:
        self.name, self.n = name, n
        self.posted: list[object] = [] if posted is None else posted
        self.closed = False
        self.task = Task(self._words, self.posted.append)

    def _words(self) -> Iterator[Event]:
        try:
            for i in itertools.count() if self.n is None else range(self.n):
                yield Word(word=f"{self.name}{i}")
        finally:
            self.closed = True


def words(posted: list[object]) -> list[str]:
    return [event.word for event in posted if isinstance(event, Word)]


def test_turns_go_round() -> None:
    posted: list[object] = []
    turns = Turns()
    for name, n in (("a", 3), ("b", 1), ("c", 2)):
        turns.add(Text(name, n, posted).task)
    for _ in range(9):
        list(turns.turn(0))  # each turn is one word long
    assert words(posted) == ["a0", "b0", "c0", "a1", "c1", "a2"]
    assert posted.count(None) == 3
    assert not len(turns)
    assert list(turns.turn(0)) == []


def test_a_whole_text_in_one_turn() -> None:
    text, turns = Text("a", 500), Turns()
    turns.add(text.task)
    assert len(list(turns.turn(None))) == 500
    assert text.closed


def test_who_leaves_is_ended_before_the_next_turn() -> None:
    turns, first, second = Turns(), Text("a", None), Text("b", None)
    for text in (first, second):
        turns.add(text.task)
    for _ in range(2):
        list(turns.turn(0))
    first.task.cancel()
    list(turns.turn(0))
    assert first.closed
    assert not second.closed
    assert words(first.posted) == ["a0"]
    assert words(second.posted)[-1] == "b1"


def test_a_text_that_fails_fails_alone() -> None:
    def fail() -> Iterator[Event]:
        yield Word(word="x")
        raise RuntimeError("broken")

    posted: list[object] = []
    turns, other = Turns(), Text("a", 2)
    turns.add(Task(fail, posted.append))
    turns.add(other.task)
    for _ in range(4):
        list(turns.turn(None))
    assert isinstance(posted[-1], RuntimeError)
    assert other.posted[-1] is None


def test_closing_ends_all_with_its_sentence() -> None:
    turns, texts = Turns(), [Text("a", None), Text("b", None)]
    for text in texts:
        turns.add(text.task)
    list(turns.turn(0))
    turns.close("It was deleted.")
    list(turns.turn(0))
    assert [str(text.posted[-1]) for text in texts] == ["It was deleted."] * 2
    assert all(isinstance(text.posted[-1], ModelGoneError) for text in texts)
    assert texts[0].closed


def test_turns_on_the_windows_worker(worker: Worker, byte_tokenizer: Tokenizer) -> None:
    threads: list[int] = []

    def work() -> Iterator[Event]:
        threads.append(threading.get_ident())
        yield Word(word="w")

    engine = WorkerEngine(tiny_served(byte_tokenizer)[0], worker.submit)
    endless, posted = Text("a", None), list[object]()
    engine.submit(endless.task)
    until(lambda: len(endless.posted) > 3)
    engine.submit(Task(work, posted.append))  # comes to its turn beside the endless one
    until(lambda: posted[-1:] == [None])
    engine.close("The run was deleted.")
    until(lambda: isinstance(endless.posted[-1], ModelGoneError))
    assert endless.closed
    assert threads != [threading.get_ident()]
    with pytest.raises(ModelGoneError, match=r"The run was deleted\."):
        engine.served  # noqa: B018
