"""The interface between the endpoint and whatever runs the model."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from terrarium.app.serve.endpoint.errors import ModelGoneError
from terrarium.app.serve.endpoint.scheduler import GenerationTask, RoundRobinScheduler

if TYPE_CHECKING:
    from tokenizers import Tokenizer

    from terrarium.models.architecture.transformer import AnyModel
    from terrarium.models.chat.template_config import ChatTemplateConfig
    from terrarium.models.settings.model_config import ModelConfig


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
