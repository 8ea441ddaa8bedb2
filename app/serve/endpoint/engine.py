"""What the endpoint asks of whoever computes: which model is served, and texts made by it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from app.serve.endpoint.errors import ModelGoneError
from app.serve.endpoint.turns import Task, Turns

if TYPE_CHECKING:
    from tokenizers import Tokenizer

    from models.architecture.transformer import AnyModel
    from models.chat.template_config import ChatTemplateConfig
    from models.settings.model_config import ModelConfig


@dataclass(frozen=True, kw_only=True)
class Loan:
    """A model for one answer, and the training step that its weights are of, where that is known."""

    model: AnyModel
    step: int | None = None


@dataclass(frozen=True, kw_only=True)
class Served:
    """A model that requests are answered with.

    name: what it is called in `/v1/models`; other_names are understood, too. created: in seconds since 1970.
    form: how it wants to be talked to. lend: called where models compute; raises ModelGoneError. in_training: its
    weights change between answers.
    """

    name: str
    other_names: tuple[str, ...] = ()
    created: int
    config: ModelConfig
    tokenizer: Tokenizer
    form: ChatTemplateConfig
    lend: Callable[[], Loan]
    in_training: bool = False


class Engine(Protocol):
    """Makes texts, several at a time by turns, on a thread of its own choice. Any thread may call it."""

    @property
    def served(self) -> Served:
        """The model; ModelGoneError where there is none any more, saying why."""

    def submit(self, task: Task) -> None:
        """Let the task take its turns with the others."""

    def close(self, sentence: str) -> None:
        """End what is going on and answer nothing more: `sentence` says why."""


class ByTurns:
    """What engines share that make one model's texts by turns."""

    def __init__(self, served: Served) -> None:
        self._served = served
        self._turns = Turns()

    @property
    def served(self) -> Served:
        """The model; ModelGoneError once the engine is closed."""
        if self._turns.closed:
            raise ModelGoneError(self._turns.closed)
        return self._served


class EngineSwitch:
    """An engine in whose place another can be put while requests come."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine

    @property
    def served(self) -> Served:
        """The model of the present engine."""
        return self.engine.served

    def submit(self, task: Task) -> None:
        """Hand it to the present engine."""
        self.engine.submit(task)

    def close(self, sentence: str) -> None:
        """Close the present engine."""
        self.engine.close(sentence)
