"""The scheduler: tasks take turns, cancelled ones end early, and a failure ends only its own task."""

from __future__ import annotations

import dataclasses
import itertools
import queue
import threading
from collections.abc import Iterator
from dataclasses import dataclass

import openai
import pytest
from tokenizers import Tokenizer

from terrarium.app.serve.endpoint.endpoints import make_endpoint
from terrarium.app.serve.endpoint.engine import ModelLease, ServedModel, WorkerEngine
from terrarium.app.serve.endpoint.errors import ModelGoneError
from terrarium.app.serve.endpoint.http_server import HttpServer, base_url, bind
from terrarium.app.serve.endpoint.request_log import RequestLog
from terrarium.app.serve.endpoint.scheduler import GenerationTask, RoundRobinScheduler
from terrarium.app.worker.worker import Worker
from terrarium.models.architecture.transformer import AnyModel
from terrarium.models.events import Event
from tests.app.serve.endpoint.conftest import tiny_served_model, until


@dataclass(frozen=True, kw_only=True)
class Word(Event):
    """One word of a text."""

    word: str


class Text:
    """A text of `n` words (None: endless), and what its task has posted."""

    def __init__(self, name: str, n: int | None, posted: list[object] | None = None) -> None:
        self.name, self.n = name, n
        self.posted: list[object] = [] if posted is None else posted
        self.closed = False
        self.task = GenerationTask(self._words, self.posted.append)

    def _words(self) -> Iterator[Event]:
        try:
            for i in itertools.count() if self.n is None else range(self.n):
                yield Word(word=f"{self.name}{i}")
        finally:
            self.closed = True


def words(posted: list[object]) -> list[str]:
    return [event.word for event in posted if isinstance(event, Word)]


def test_tasks_take_turns() -> None:
    posted: list[object] = []
    scheduler = RoundRobinScheduler()
    for name, n in (("a", 3), ("b", 1), ("c", 2)):
        scheduler.add(Text(name, n, posted).task)
    for _ in range(9):
        list(scheduler.run_slice(0))  # each slice is one word long
    assert words(posted) == ["a0", "b0", "c0", "a1", "c1", "a2"]
    assert posted.count(None) == 3
    assert not len(scheduler)
    assert list(scheduler.run_slice(0)) == []


def test_an_unlimited_slice_runs_a_task_to_its_end() -> None:
    text, scheduler = Text("a", 500), RoundRobinScheduler()
    scheduler.add(text.task)
    assert len(list(scheduler.run_slice(None))) == 500
    assert text.closed


def test_a_cancelled_task_ends_before_its_next_slice() -> None:
    scheduler, first, second = RoundRobinScheduler(), Text("a", None), Text("b", None)
    for text in (first, second):
        scheduler.add(text.task)
    for _ in range(2):
        list(scheduler.run_slice(0))
    first.task.cancel()
    list(scheduler.run_slice(0))
    assert first.closed
    assert not second.closed
    assert words(first.posted) == ["a0"]
    assert words(second.posted)[-1] == "b1"


def test_a_failure_ends_only_its_own_task() -> None:
    def fail() -> Iterator[Event]:
        yield Word(word="x")
        raise RuntimeError("broken")

    posted: list[object] = []
    scheduler, other = RoundRobinScheduler(), Text("a", 2)
    scheduler.add(GenerationTask(fail, posted.append))
    scheduler.add(other.task)
    for _ in range(4):
        list(scheduler.run_slice(None))
    assert isinstance(posted[-1], RuntimeError)
    assert other.posted[-1] is None


def test_closing_ends_all_tasks_with_its_reason() -> None:
    scheduler, texts = RoundRobinScheduler(), [Text("a", None), Text("b", None)]
    for text in texts:
        scheduler.add(text.task)
    list(scheduler.run_slice(0))
    scheduler.close("It was deleted.")
    list(scheduler.run_slice(0))
    assert [str(text.posted[-1]) for text in texts] == ["It was deleted."] * 2
    assert all(isinstance(text.posted[-1], ModelGoneError) for text in texts)
    assert texts[0].closed


def test_slices_run_on_the_windows_worker(worker: Worker, byte_tokenizer: Tokenizer) -> None:
    threads: list[int] = []

    def work() -> Iterator[Event]:
        threads.append(threading.get_ident())
        yield Word(word="w")

    engine = WorkerEngine(tiny_served_model(byte_tokenizer)[0], worker.submit)
    endless, posted = Text("a", None), list[object]()
    engine.submit(endless.task)
    until(lambda: len(endless.posted) > 3)
    engine.submit(GenerationTask(work, posted.append))  # runs although the first one never ends
    until(lambda: posted[-1:] == [None])
    engine.close("The run was deleted.")
    until(lambda: isinstance(endless.posted[-1], ModelGoneError))
    assert endless.closed
    assert threads != [threading.get_ident()]
    with pytest.raises(ModelGoneError, match=r"The run was deleted\."):
        engine.served  # noqa: B018


class Stepping:
    """An engine of a model in training: between two tasks, a step changes its weights."""

    def __init__(self, served: ServedModel, model: AnyModel) -> None:
        self._step = 0
        self.served = dataclasses.replace(
            served, in_training=True, acquire=lambda: ModelLease(model=model, step=self._step)
        )
        self._tasks: queue.SimpleQueue[GenerationTask | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        while (task := self._tasks.get()) is not None:
            while task.advance() is not None:
                pass
            self._step += 1

    def submit(self, task: GenerationTask) -> None:
        self._tasks.put(task)

    def close(self, reason: str) -> None:
        self._tasks.put(None)
        self._thread.join()


def test_all_choices_of_a_model_in_training_are_of_one_step(byte_tokenizer: Tokenizer) -> None:
    engine, bound = Stepping(*tiny_served_model(byte_tokenizer)), bind(0)
    server = HttpServer(make_endpoint(engine, RequestLog()), lambda: engine.close(""))
    thread = threading.Thread(target=server.serve_on, args=(bound,))
    thread.start()
    try:
        with openai.OpenAI(base_url=base_url(bound), api_key="none", max_retries=0, timeout=240) as client:
            chunks = list(client.completions.create(model="tiny", prompt="The cat", n=3, max_tokens=4, stream=True))
            whole = client.completions.create(model="tiny", prompt="The cat", n=2, max_tokens=4)
    finally:
        server.stop()
        thread.join()
    assert {chunk.system_fingerprint for chunk in chunks} == {"step-0"}
    ended = [choice.index for chunk in chunks for choice in chunk.choices if choice.finish_reason]
    assert sorted(ended) == [0, 1, 2]
    assert (whole.system_fingerprint, len(whole.choices)) == ("step-1", 2)
    assert all(choice.text for choice in whole.choices)
