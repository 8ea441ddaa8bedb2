"""The interface between the endpoint and whatever runs the model, and the engines of commands and the window."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from terrarium.app.serve.endpoint.errors import ModelGoneError
from terrarium.app.serve.endpoint.scheduler import TIME_SLICE_S, GenerationTask, RoundRobinScheduler
from terrarium.app.worker.job import INTERACTIVE, Job
from terrarium.models.events import Event

if TYPE_CHECKING:
    from tokenizers import Tokenizer

    from terrarium.models.architecture.transformer import AnyModel
    from terrarium.models.chat.template_config import ChatTemplateConfig
    from terrarium.models.settings.model_config import ModelConfig


_MAX_SLICE_S = 1.0
"""The maximum slice in seconds: a longer one would be noticeable in a chat."""


@dataclass(frozen=True, kw_only=True)
class ModelLease:
    """A model to use for one answer, and the training step of its weights, if known."""

    model: AnyModel
    step: int | None = None


@dataclass(frozen=True, kw_only=True)
class ServedModel:
    """A model that answers requests.

    name: its id in `/v1/models`; requests may use other_names, too. created: in seconds since 1970.
    template_config: its chat template and end tokens. acquire: called on the thread that runs the model; raises
    ModelGoneError. in_training: its weights change between answers.
    """

    name: str
    other_names: tuple[str, ...] = ()
    created: int
    config: ModelConfig
    tokenizer: Tokenizer
    template_config: ChatTemplateConfig
    acquire: Callable[[], ModelLease]
    in_training: bool = False


class Engine(Protocol):
    """Generates several texts concurrently, round-robin, on a thread of its choice. Thread-safe."""

    @property
    def served(self) -> ServedModel:
        """The served model.

        Raises:
            ModelGoneError: if the model is no longer available; the message says why.
        """

    def submit(self, task: GenerationTask) -> None:
        """Schedule a task."""

    def close(self, reason: str) -> None:
        """End all tasks and accept no more; `reason` is a sentence for the clients."""


class ScheduledEngine:
    """The base class of the engines: one model and a round-robin scheduler."""

    def __init__(self, served: ServedModel) -> None:
        self._served = served
        self._scheduler = RoundRobinScheduler()

    @property
    def served(self) -> ServedModel:
        """The model; raises ModelGoneError once the engine is closed."""
        if self._scheduler.closed:
            raise ModelGoneError(self._scheduler.closed)
        return self._served


class EngineSwitch:
    """Forwards to an engine that can be replaced while requests arrive."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine

    @property
    def served(self) -> ServedModel:
        """The model of the current engine."""
        return self.engine.served

    def submit(self, task: GenerationTask) -> None:
        """Schedule a task on the current engine."""
        self.engine.submit(task)

    def close(self, reason: str) -> None:
        """Close the current engine."""
        self.engine.close(reason)


class ThreadEngine(ScheduledEngine):
    """Answers with one model until `close`."""

    def __init__(self, served: ServedModel) -> None:
        super().__init__(served)
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._run, name="answers", daemon=True)
        self._thread.start()

    def submit(self, task: GenerationTask) -> None:
        """Schedule a task."""
        with self._changed:
            self._scheduler.add(task)
            self._changed.notify()

    def close(self, reason: str) -> None:
        """End all tasks and the thread; `reason` is a sentence for the clients."""
        with self._changed:
            self._scheduler.close(reason)
            self._changed.notify()
        self._thread.join()

    def _run(self) -> None:
        while len(self._scheduler) or not self._scheduler.closed:
            for _ in self._scheduler.run_slice():
                pass
            with self._changed:
                self._changed.wait_for(lambda: len(self._scheduler) or self._scheduler.closed)


class WorkerEngine(ScheduledEngine):
    """The engine of the window: each time slice is an interactive job, so chat and training run in between.

    During a training with long steps, a slice lasts as long as it waited, so that both get half of the time. The
    weights of a model in training change at every step, so its slice lasts until the answer is complete: as in a chat,
    no answer mixes the weights of two steps.

    Answers with one model on the thread that runs the jobs passed to `submit_job`, a thread-safe callable.
    """

    def __init__(self, served: ServedModel, submit_job: Callable[[Job], object]) -> None:
        super().__init__(served)
        self._submit_job = submit_job
        self._lock = threading.Lock()
        self._has_job = False
        self._submitted_at = 0.0  # the time at which the current job was submitted

    def submit(self, task: GenerationTask) -> None:
        """Schedule a task."""
        self._scheduler.add(task)
        self._request_slice()

    def close(self, reason: str) -> None:
        """End all tasks soon; `reason` is a sentence for the clients."""
        self._scheduler.close(reason)
        self._request_slice()

    def _request_slice(self) -> None:
        """Submit a job for the next slice, unless one is pending."""
        with self._lock:
            if self._has_job or not len(self._scheduler):
                return
            self._has_job, self._submitted_at = True, time.monotonic()
        self._submit_job(Job("Answer", self._run_slice, INTERACTIVE))

    def _run_slice(self) -> Iterator[Event]:
        """Run one slice on the worker thread, and request the next."""
        waited = time.monotonic() - self._submitted_at
        seconds = None if self._served.in_training else max(TIME_SLICE_S, min(waited, _MAX_SLICE_S))
        try:
            yield from self._scheduler.run_slice(seconds)
        finally:
            with self._lock:
                self._has_job = False
            self._request_slice()
