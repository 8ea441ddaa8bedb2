"""The interface of training stages, and the stage that learns from texts; alignment stages are in sibling modules."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass
from typing import Protocol

from torch import Tensor

from terrarium.models.events import Event
from terrarium.models.files.jsonl import Row
from terrarium.models.runs.checkpoint_state import TrainState
from terrarium.models.settings.align_spec import AlignSpec
from terrarium.models.settings.run_spec import TrainConfig
from terrarium.models.training.evaluator import Evaluator
from terrarium.models.training.setup import TrainingContext
from terrarium.models.training.update import Gradients, compute_gradients

Apply = Callable[[Gradients], None]
"""Steps the optimizers with the current gradients; raises ValueError, and changes nothing, if they are not finite."""


@dataclass(frozen=True, kw_only=True)
class StageStep:
    """The result of a step.

    gradients: as from `compute_gradients`. figures: beyond the loss, by TRL's names. rollouts: a row of
    models.alignment.rollout_log, if the replies of the step are logged.
    """

    gradients: Gradients
    figures: dict[str, float] | None = None
    rollouts: Row | None = None


def beta_now(context: TrainingContext, align: AlignSpec) -> float:
    """Return the KL weight: the setting, or the value that was set during training."""
    return align.beta if context.state.beta is None else context.state.beta


class TrainingStage(Protocol):
    """Makes the steps of a training. Each reads or draws depending on its number, the weights and `tensors` alone."""

    def step(self, step: int, lr_multiple: float, apply: Apply) -> Generator[Event, None, StageStep]:
        """Make the update after `step` updates; calls `apply` once, several times, or not at all. Yields MicroStep in
        between.

        Args:
            lr_multiple: the factor by which `apply` multiplies the base learning rates.
        """

    def validate(self, state: TrainState) -> Generator[Event, None, bool]:
        """Evaluate on held-out data if due. Returns whether it did."""

    def tensors(self) -> Mapping[str, Tensor]:
        """Return the stage's tensors for a checkpoint, besides those of the model and its optimizers."""


@dataclass(frozen=True)
class TextStage:
    """Learns from batches of texts, or of a task's rows."""

    context: TrainingContext
    config: TrainConfig
    evaluator: Evaluator

    def step(self, step: int, lr_multiple: float, apply: Apply) -> Generator[Event, None, StageStep]:
        gradients = yield from compute_gradients(self.context, self.config, step)
        apply(gradients)
        return StageStep(gradients=gradients)

    def validate(self, state: TrainState) -> Generator[Event, None, bool]:
        return (yield from self.evaluator.validate(self.context, state))

    def tensors(self) -> Mapping[str, Tensor]:
        return {}
