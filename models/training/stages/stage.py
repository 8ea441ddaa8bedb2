"""What makes a step of a training: gradients of batches of texts here, rewards in the modules beside it."""

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
"""Steps the optimizers with the gradients that are there; ValueError, and nothing done, where they are not finite."""


@dataclass(frozen=True, kw_only=True)
class StageStep:
    """What a step did: `gradients` as of `compute_gradients`, figures beyond the loss, by TRL's names, and a row of
    models.alignment.rollout_log where the replies of the step are kept."""

    gradients: Gradients
    figures: dict[str, float] | None = None
    rollouts: Row | None = None


def beta_now(context: TrainingContext, align: AlignSpec) -> float:
    """The KL weight: that of the settings, or the one that was set while the run trained."""
    return align.beta if context.state.beta is None else context.state.beta


class TrainingStage(Protocol):
    """Makes the steps of a training. What one reads or draws depends on its number, the weights and `tensors` alone."""

    def step(self, step: int, lr_multiple: float, apply: Apply) -> Generator[Event, None, StageStep]:
        """The update after `step` updates; calls `apply` once, more often, or not at all. Yields MicroStep between.

        Args:
            lr_multiple: what `apply` multiplies the base learning rates by.
        """

    def validate(self, state: TrainState) -> Generator[Event, None, bool]:
        """Measure on held-out data where that is due; whether it did."""

    def tensors(self) -> Mapping[str, Tensor]:
        """What a checkpoint keeps of the stage beside the model and its optimizers."""


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
