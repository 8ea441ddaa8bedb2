"""A checkpoint: everything needed to resume a run exactly, as safetensors and JSON.

The folder step-00000200/ holds model.safetensors, optimizer.safetensors (the tensors of the optimizers' states, named
“optimizer.parameter.key”) and state.json (the rest). It is written under a temporary name, and renamed when complete.
"""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import GenericAlias
from typing import Any, get_origin, get_type_hints

import safetensors.torch
from safetensors import SafetensorError
from torch import Tensor, nn
from torch.optim import Optimizer

from models.architecture.transformer import AnyModel
from models.files.atomic import DamagedError, atomic_folder, atomic_write_json, read_json, write_synced
from models.library.run_record import checkpoint_step
from models.settings.model_config import ModelConfig, differences
from models.training.parallel.layout import Layout

FORMAT = 2
GGUF_FORMAT = 3
"""That of imported checkpoints whose weights are a GGUF file, which older versions cannot open."""

_SINCE_2: dict[str, Any] = {"lowest_loss": None, "n_since_lowest": 0}
"""Fields that checkpoints of format 1 lack, with their values."""

_OF_TASKS: dict[str, Any] = {"val_score": None, "best_score": None, "highest_score": None}
"""Fields that checkpoints from before tasks lack, with their values."""


@dataclass(kw_only=True)
class TrainState:
    """The progress of a run. A step of -1 means never; `best_step` is that of a checkpoint.

    `n_sampled` counts the pinned prompts sampled so far where sampling was interrupted. `lowest_loss` is the lowest
    of all validation losses, and `n_since_lowest` the number of validations since then.

    Where a task is scored, its metric decides instead of the loss which checkpoint is the best and when to stop:
    `val_score` is its value at the last validation, negated where less is better, `highest_score` the highest of all.
    """

    step: int = 0
    tokens: int = 0
    elapsed_s: float = 0.0
    lr_scale: float = 1.0
    validated_step: int = -1
    val_loss: float | None = None
    sampled_step: int = -1
    n_sampled: int = 0
    best_step: int | None = None
    best_loss: float | None = None
    lowest_loss: float | None = None
    n_since_lowest: int = 0
    val_score: float | None = None
    best_score: float | None = None
    highest_score: float | None = None
    log_sizes: dict[str, int] = field(default_factory=dict)
    made_with: dict[str, Any] = field(default_factory=dict)
    """Device, precision, threads and torch version: what the last digits of a loss depend on."""

    def record_validation(self, loss: float, score: float | None = None, *, is_scored: bool = False) -> None:
        """Take in the validation loss of this step, not finite for none, and the score of a task that `is_scored`."""
        self.validated_step, self.val_loss = self.step, loss if math.isfinite(loss) else None
        is_lower = self.val_loss is not None and (self.lowest_loss is None or self.val_loss < self.lowest_loss)
        is_higher = score is not None and (self.highest_score is None or score > self.highest_score)
        if is_lower:
            self.lowest_loss = self.val_loss
        if is_higher:
            self.highest_score = score
        self.val_score = score
        self.n_since_lowest = 0 if (is_higher if is_scored else is_lower) else self.n_since_lowest + 1

    def take_if_best(self) -> None:
        """Make this step the best one if its validation was the best of all checkpoints: the higher score, if any task
        is scored, and of two equal ones the lower loss."""
        if self.validated_step != self.step or self.val_loss is None:
            return
        score, best_score = (-math.inf if value is None else value for value in (self.val_score, self.best_score))
        if self.best_loss is None or (score, -self.val_loss) > (best_score, -self.best_loss):
            self.best_step, self.best_loss, self.best_score = self.step, self.val_loss, self.val_score


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """The content of a checkpoint folder; nothing is changed until `restore`."""

    state: TrainState
    weights: dict[str, Tensor]
    optimizer_tensors: dict[str, Tensor]
    optimizer_numbers: dict[str, Any]


def write_checkpoint(
    path: Path, layout: Layout, config: ModelConfig, optimizers: Sequence[Optimizer], state: TrainState
) -> None:
    """Write the folder `path` so that it exists complete, or not at all; OSError where the disk is full."""
    weights, tensors, numbers = gather(layout, optimizers)
    about = {
        "format": FORMAT,
        **dataclasses.asdict(state),
        "optimizer": numbers,
        "model": config.to_dict(),
    }
    with atomic_folder(path) as half_made:
        write_synced(half_made / "model.safetensors", safetensors.torch.save(weights, {"format": "pt"}))
        write_synced(half_made / "optimizer.safetensors", safetensors.torch.save(tensors, {"format": "pt"}))
        atomic_write_json(half_made / "state.json", about)


def write_lr_scale(path: Path, lr_scale: float) -> None:
    """Change the learning-rate scale of a checkpoint, which nothing else in it depends on."""
    atomic_write_json(path / "state.json", {**_read_about(path), "lr_scale": lr_scale})


def read_checkpoint(path: Path, model: AnyModel) -> Checkpoint:
    """Read a checkpoint of `model`'s architecture.

    Raises:
        DamagedError: where a file is missing or damaged or does not fit the model, naming it.
        ValueError: where it cannot be read, is from a newer Terrarium, or was made with another design.
    """
    about = _read_about(path)
    state = _read_state(path, about)
    _check_design(path, about, model.config)
    numbers = about.get("optimizer")
    if not isinstance(numbers, dict):
        raise DamagedError(f"{path / 'state.json'} is damaged: it has no optimizer.")
    weights = read_tensors(path / "model.safetensors")
    optimizer_tensors = read_tensors(path / "optimizer.safetensors")
    for file, names in (("optimizer.safetensors", optimizer_tensors), ("state.json", numbers)):
        if not all(re.fullmatch(r"\d+\.\d+\..+", name) for name in names):
            raise DamagedError(f"{path / file} is damaged: it does not hold the states of optimizers.")
    expected = {name: tensor.shape for name, tensor in model.state_dict().items()}
    if {name: tensor.shape for name, tensor in weights.items()} != expected:
        raise DamagedError(f"{path / 'model.safetensors'} does not hold the weights of this run's model.")
    return Checkpoint(
        state=state,
        weights=weights,
        optimizer_tensors=optimizer_tensors,
        optimizer_numbers=numbers,
    )


def restore(checkpoint: Checkpoint, model: nn.Module, optimizers: Sequence[Optimizer]) -> None:
    """Load a checkpoint into the model and its new optimizers."""
    model.load_state_dict(checkpoint.weights)
    for i, optimizer in enumerate(optimizers):
        state: dict[int, dict[str, Any]] = {}
        for values in (checkpoint.optimizer_tensors, checkpoint.optimizer_numbers):
            for name, value in values.items():
                which, parameter, key = name.split(".", 2)
                if int(which) == i:
                    # A copy has torch's own memory alignment, which the last digits can depend on.
                    copy = value.clone() if isinstance(value, Tensor) else value
                    state.setdefault(int(parameter), {})[key] = copy
        optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})


def read_model_config(path: Path) -> ModelConfig:
    """The architecture that the checkpoint's state.json describes; ValueError names it where it is damaged."""
    return _design(path, _read_about(path))


def read_tensors(path: Path) -> dict[str, Tensor]:
    """The tensors of a safetensors file, in memory.

    Raises:
        DamagedError: where it is missing or damaged, naming it.
        ValueError: where it cannot be read.
    """
    try:
        return safetensors.torch.load(path.read_bytes())
    except FileNotFoundError:
        raise DamagedError(f"{path} is missing.") from None
    except OSError as error:
        raise ValueError(f"{path} cannot be read: {error.strerror}.") from error
    except SafetensorError as error:
        raise DamagedError(f"{path} is damaged ({error}).") from error


def _read_about(path: Path) -> dict[str, Any]:
    about = read_json(path / "state.json")
    if not isinstance(about.get("format"), int):
        raise DamagedError(f"{path / 'state.json'} is damaged: it has no format.")
    if about["format"] > GGUF_FORMAT:
        raise ValueError(f"{path / 'state.json'} is from a newer Terrarium: update this one.")
    return _OF_TASKS | about if about["format"] >= 2 else _OF_TASKS | _SINCE_2 | about


def _read_state(path: Path, about: dict[str, Any]) -> TrainState:
    """The progress of the run. A missing field raises: it must not pass for zero."""
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


def _check_design(path: Path, about: dict[str, Any], design: ModelConfig) -> None:
    """Raise where run.json and the checkpoint have different designs; the checkpoint itself is not damaged then."""
    for name, (then, now) in differences(_design(path, about), design).items():
        raise ValueError(
            f"{path.parent.parent / 'run.json'} was changed: {name} is {now!r} there, but {then!r} in {path.name}. "
            "Put the original back."
        )


def _design(path: Path, about: dict[str, Any]) -> ModelConfig:
    if not isinstance(about.get("model"), dict):
        raise DamagedError(f"{path / 'state.json'} is damaged: it has no model.")
    return ModelConfig.from_dict(about["model"], where=f"{path / 'state.json'}: model")


def gather(
    layout: Layout, optimizers: Sequence[Optimizer]
) -> tuple[dict[str, Tensor], dict[str, Tensor], dict[str, Any]]:
    """The content of a checkpoint: the weights, and the optimizer states as named tensors and named plain numbers.

    Hyperparameters follow from the run's spec. Collective: all processes of a group call this.
    """
    weights = {name: layout.full_tensor(tensor) for name, tensor in layout.model.state_dict().items()}
    tensors: dict[str, Tensor] = {}
    numbers: dict[str, Any] = {}
    for i, optimizer in enumerate(optimizers):
        for parameter, values in sorted(optimizer.state_dict()["state"].items()):
            for key, value in sorted(
                values.items()
            ):  # files give them back in any order, but all processes need the same one
                name = f"{i}.{parameter}.{key}"
                if isinstance(value, Tensor):
                    tensors[name] = layout.full_tensor(value)
                else:
                    numbers[name] = value
    return weights, tensors, numbers
