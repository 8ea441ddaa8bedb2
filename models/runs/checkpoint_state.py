"""A checkpoint's state.json: the progress of its run, and the design of its model. No torch import.

The tensors beside it are written and restored by models.training.checkpoint, and read by models.interop.loading.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path
from types import GenericAlias
from typing import Any, get_origin, get_type_hints

from terrarium.models.custom_blocks.carried import repair_texts
from terrarium.models.files.atomic import DamagedError, atomic_write_json, read_json
from terrarium.models.library.run_record import checkpoint_step
from terrarium.models.settings.align_spec import REWARD_MODELS
from terrarium.models.settings.model_config import ModelConfig, differences

FORMAT = 2
GGUF_FORMAT = 3
"""The format of imported checkpoints whose weights are a GGUF file, which older versions cannot open."""

PART_FORMAT = 4
"""The format of checkpoints with only the trained part of a model; the rest is in their `base_of` folder."""

BASE = "base"
"""The folder of a run with its initial weights, if it started from a model's."""

_SINCE_2: dict[str, Any] = {"lowest_loss": None, "n_since_lowest": 0}
"""Fields that checkpoints of format 1 lack, with their values."""

_LATER: dict[str, Any] = {"val_score": None, "best_score": None, "highest_score": None, "beta": None, "asked_step": -1}
"""Fields, with their values, that checkpoints older than tasks, alignment stages or held-out questions lack."""


@dataclass(kw_only=True)
class TrainState:
    """The progress of a run. A step of -1 means never; `best_step` is the step of a checkpoint.

    `n_sampled` counts the pinned prompts already sampled if sampling was interrupted. `asked_step` is the last step
    at which held-out questions were asked. `lowest_loss` is the lowest of all validation losses, and `n_since_lowest`
    the number of validations since then.

    If a task is scored, its metric replaces the loss in choosing the best checkpoint and in early stopping:
    `val_score` is its value at the last validation, negated if lower is better, `highest_score` the highest of all.

    `beta` is an alignment's KL weight as changed during the run, or None for that of its spec.
    """

    step: int = 0
    tokens: int = 0
    elapsed_s: float = 0.0
    lr_scale: float = 1.0
    beta: float | None = None
    validated_step: int = -1
    val_loss: float | None = None
    sampled_step: int = -1
    n_sampled: int = 0
    asked_step: int = -1
    best_step: int | None = None
    best_loss: float | None = None
    lowest_loss: float | None = None
    n_since_lowest: int = 0
    val_score: float | None = None
    best_score: float | None = None
    highest_score: float | None = None
    log_sizes: dict[str, int] = field(default_factory=dict)
    made_with: dict[str, Any] = field(default_factory=dict)
    """Device, precision, threads and torch version, on which the last digits of a loss depend."""

    def record_validation(self, loss: float, score: float | None = None) -> None:
        """Record the validation loss of this step (not finite if missing) and the score of a task. If the score is None
        (undefined), the loss decides whether this is an improvement."""
        self.validated_step, self.val_loss = self.step, loss if math.isfinite(loss) else None
        is_lower = self.val_loss is not None and (self.lowest_loss is None or self.val_loss < self.lowest_loss)
        is_higher = score is not None and (self.highest_score is None or score > self.highest_score)
        if is_lower:
            self.lowest_loss = self.val_loss
        if is_higher:
            self.highest_score = score
        self.val_score = score
        self.n_since_lowest = 0 if (is_lower if score is None else is_higher) else self.n_since_lowest + 1

    def take_if_best(self) -> None:
        """Make this step the best one if it was validated with a better result than the best so far.

        The higher score is better if a task is scored; between equal scores, and without a task, the lower loss.
        """
        if self.validated_step != self.step or (self.val_loss is None and self.val_score is None):
            return
        score, best_score = (-math.inf if value is None else value for value in (self.val_score, self.best_score))
        loss, best_loss = (math.inf if value is None else value for value in (self.val_loss, self.best_loss))
        if self.best_step is None or (score, -loss) > (best_score, -best_loss):
            self.best_step, self.best_loss, self.best_score = self.step, self.val_loss, self.val_score


def base_of(checkpoint: Path) -> Path:
    """Return the folder of the initial weights of a checkpoint's run, laid out like a checkpoint.

    Only runs from weights have one (RunSpec.tune).
    """
    return checkpoint.parent.parent / BASE


def write_steering(path: Path, state: TrainState) -> None:
    """Write the learning-rate scale and the KL weight of a checkpoint; nothing else in it depends on them."""
    atomic_write_json(path / "state.json", {**read_about(path), "lr_scale": state.lr_scale, "beta": state.beta})


def read_model_config(path: Path) -> ModelConfig:
    """Return the architecture in a checkpoint's state.json; ValueError, naming the file, if it is damaged.

    Texts of its custom blocks that the library lacks are put back from the run's folder.
    """
    design = _design(path, read_about(path))
    for folder in path.absolute().parents[:2]:  # the run's: of its base, or of a checkpoint
        repair_texts(design, folder)
    return design


def kept_designs(folder: Path) -> list[ModelConfig]:
    """Return the designs of the models that a run's folder has copies of: its base and reward models."""
    kept = [folder / name for name in (BASE, *REWARD_MODELS.values())]
    return [read_model_config(path) for path in kept if (path / "state.json").is_file()]


def read_about(path: Path) -> dict[str, Any]:
    """Return the content of state.json; ValueError if it is missing, damaged or from a newer Terrarium."""
    about = read_json(path / "state.json")
    if not isinstance(about.get("format"), int):
        raise DamagedError(f"{path / 'state.json'} is damaged: it has no format.")
    if about["format"] > PART_FORMAT:
        raise ValueError(f"{path / 'state.json'} is from a newer Terrarium: update this one.")
    return _LATER | about if about["format"] >= 2 else _LATER | _SINCE_2 | about


def read_state(path: Path, about: dict[str, Any]) -> TrainState:
    """Return the progress of the run. A missing field raises DamagedError: a default would hide the loss."""
    hints = get_type_hints(TrainState)
    for name, hint in hints.items():
        if name not in about:
            raise DamagedError(f"{path / 'state.json'} is damaged: it has no {name}.")
        kind = get_origin(hint) if isinstance(hint, GenericAlias) else hint
        if not isinstance(about[name], kind | int if kind is float else kind):
            raise DamagedError(f"{path / 'state.json'} is damaged: {name} is {about[name]!r}.")
    state = TrainState(**{name: about[name] for name in hints})
    if state.step != checkpoint_step(path) or not all(isinstance(size, int) for size in state.log_sizes.values()):
        raise DamagedError(f"{path / 'state.json'} is damaged: its step or log_sizes are not those of {path.name}.")
    return state


def check_design(path: Path, about: dict[str, Any], design: ModelConfig) -> None:
    """Raise ValueError if run.json and the checkpoint differ in the design, because run.json was changed."""
    for name, (then, now) in differences(_design(path, about), design).items():
        raise ValueError(
            f"{path.parent.parent / 'run.json'} was changed: {name} is {now!r} there, but {then!r} in {path.name}. "
            "Put the original back."
        )


def _design(path: Path, about: dict[str, Any]) -> ModelConfig:
    if not isinstance(about.get("model"), dict):
        raise DamagedError(f"{path / 'state.json'} is damaged: it has no model.")
    return ModelConfig.from_dict(about["model"], where=f"{path / 'state.json'}: model")
