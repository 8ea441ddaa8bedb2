"""A checkpoint: everything needed to resume a run exactly, as safetensors and JSON.

The folder step-00000200/ holds model.safetensors, optimizer.safetensors (the tensors of the optimizers' states, named
“optimizer.parameter.key”) and state.json (the rest). If the stage trains more than the model, such as PPO's critic,
there is also stage.safetensors. The folder is written under a temporary name, and renamed when complete.

If a run trains only part of its model, model.safetensors holds that part; the other weights are in the run's base.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from torch import Tensor, nn
from torch.optim import Optimizer

from terrarium.models.architecture.lookback import is_fixed
from terrarium.models.architecture.lora import scale_of
from terrarium.models.architecture.transformer import AnyModel
from terrarium.models.files.atomic import DamagedError, atomic_folder, atomic_write_json, sync_file
from terrarium.models.interop.stored import read_tensors
from terrarium.models.interop.writing import write_tensors
from terrarium.models.runs.checkpoint_state import FORMAT, PART_FORMAT, TrainState, check_design, read_about, read_state
from terrarium.models.settings.model_config import ModelConfig
from terrarium.models.training.parallel.layout import Layout

_STAGE = "stage.safetensors"


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """The content of a checkpoint folder. Reading it changes nothing; `restore` loads it."""

    state: TrainState
    weights: dict[str, Tensor]
    optimizer_tensors: dict[str, Tensor]
    optimizer_numbers: dict[str, Any]
    stage_tensors: dict[str, Tensor]


@dataclass(frozen=True, kw_only=True)
class Content:
    """The content of a checkpoint to write: its tensor `files` by name, and state.json.

    On the CPU, these are the trained tensors themselves, not copies: they must not change until they are written.
    """

    files: Mapping[str, Mapping[str, Tensor]]
    about: Mapping[str, Any]

    @property
    def n_bytes(self) -> int:
        """The total size of the tensors, in bytes."""
        return sum(tensor.nbytes for tensors in self.files.values() for tensor in tensors.values())


def content_of(
    layout: Layout,
    config: ModelConfig,
    optimizers: Sequence[Optimizer],
    state: TrainState,
    stage_tensors: Mapping[str, Tensor] = MappingProxyType({}),
) -> Content:
    """Collect the checkpoint of the current state. Collective: the other processes call `gather`.

    stage_tensors: the tensors that the run's stage needs besides the model's.
    """
    weights, tensors, numbers = gather(layout, optimizers)
    is_part = bool(_frozen(layout.model))
    about = {
        "format": PART_FORMAT if is_part else FORMAT,
        **dataclasses.asdict(state),
        "optimizer": numbers,
        "model": config.to_dict(),
        **({"lora_scale": scale_of(layout.model)} if is_part else {}),
        **({"has_stage": True} if stage_tensors else {}),
    }
    files = {
        "model.safetensors": weights,
        "optimizer.safetensors": tensors,
        **({_STAGE: stage_tensors} if stage_tensors else {}),
    }
    return Content(files=files, about=about)


def write_checkpoint(path: Path, content: Content, on_read: Callable[[], None] = lambda: None) -> None:
    """Write the folder `path` atomically; OSError if the disk is full.

    on_read: called when all tensors have been read; from then on they may change, and only flushing to disk remains.
    """
    with atomic_folder(path) as half_made:
        for name, tensors in content.files.items():
            ordered = sorted(
                tensors.items(), key=lambda item: (-item[1].element_size(), item[0])
            )  # as safetensors does
            for _ in write_tensors(half_made / name, dict(ordered), synced=False):
                pass
        on_read()
        for name in content.files:
            sync_file(half_made / name)
        atomic_write_json(half_made / "state.json", content.about)


def read_checkpoint(path: Path, model: AnyModel) -> Checkpoint:
    """Read a checkpoint of `model`'s architecture.

    Raises:
        DamagedError: if a file is missing, damaged or does not fit the model; the message names the file.
        ValueError: if it cannot be read, is from a newer Terrarium, or has a different design.
    """
    about = read_about(path)
    state = read_state(path, about)
    check_design(path, about, model.config)
    numbers = about.get("optimizer")
    if not isinstance(numbers, dict):
        raise DamagedError(f"{path / 'state.json'} is damaged: it has no optimizer.")
    weights = read_tensors(path / "model.safetensors")
    optimizer_tensors = read_tensors(path / "optimizer.safetensors")
    for file, names in (("optimizer.safetensors", optimizer_tensors), ("state.json", numbers)):
        if not all(re.fullmatch(r"\d+\.\d+\..+", name) for name in names):
            raise DamagedError(f"{path / file} is damaged: it does not hold the states of optimizers.")
    frozen = _frozen(model)
    expected = {name: tensor.shape for name, tensor in model.state_dict().items() if name not in frozen}
    if {name: tensor.shape for name, tensor in weights.items()} != expected:
        raise DamagedError(f"{path / 'model.safetensors'} does not hold the weights of this run's model.")
    return Checkpoint(
        state=state,
        weights=weights,
        optimizer_tensors=optimizer_tensors,
        optimizer_numbers=numbers,
        stage_tensors=read_stage_tensors(path) if about.get("has_stage") else {},
    )


def read_stage_tensors(path: Path) -> dict[str, Tensor]:
    """Read the tensors of the run's stage from a checkpoint; DamagedError if the file is missing or damaged."""
    return read_tensors(path / _STAGE)


def restore(checkpoint: Checkpoint, model: nn.Module, optimizers: Sequence[Optimizer]) -> None:
    """Load a checkpoint into the model and its new optimizers. Frozen weights are unchanged."""
    model.load_state_dict(checkpoint.weights, strict=False)  # `read_checkpoint` has compared the names
    restore_optimizers(optimizers, checkpoint.optimizer_tensors, checkpoint.optimizer_numbers)


def restore_optimizers(
    optimizers: Sequence[Optimizer], tensors: Mapping[str, Tensor], numbers: Mapping[str, Any]
) -> None:
    """Load the states that `gather` collected into new optimizers."""
    for i, optimizer in enumerate(optimizers):
        state: dict[int, dict[str, Any]] = {}
        for values in (tensors, numbers):
            for name, value in values.items():
                which, parameter, key = name.split(".", 2)
                if int(which) == i:
                    # A copy has torch's own memory alignment, which the last digits can depend on.
                    copy = value.clone() if isinstance(value, Tensor) else value
                    state.setdefault(int(parameter), {})[key] = copy
        optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})


def gather(
    layout: Layout, optimizers: Sequence[Optimizer]
) -> tuple[dict[str, Tensor], dict[str, Tensor], dict[str, Any]]:
    """Collect the trained weights, and the optimizer states as named tensors and named plain numbers.

    Hyperparameters are left out: they follow from the run's spec. Collective: all processes of a group call this.
    """
    frozen = _frozen(layout.model)
    trained = ((name, tensor) for name, tensor in layout.model.state_dict().items() if name not in frozen)
    weights = {name: layout.full_tensor(tensor) for name, tensor in trained}
    tensors: dict[str, Tensor] = {}
    numbers: dict[str, Any] = {}
    for i, optimizer in enumerate(optimizers):
        for parameter, values in sorted(optimizer.state_dict()["state"].items()):
            for key, value in sorted(
                values.items()
            ):  # files return them in any order, but all processes need the same one
                name = f"{i}.{parameter}.{key}"
                if isinstance(value, Tensor):
                    tensors[name] = layout.full_tensor(value)
                else:
                    numbers[name] = value
    return weights, tensors, numbers


def _frozen(model: AnyModel) -> frozenset[str]:
    """Return the names of the parameters that are not trained, and so are in no checkpoint.

    Empty if the only such parameters are ones that no run of this design trains.
    """
    names = frozenset(name for name, parameter in model.named_parameters() if not parameter.requires_grad)
    return frozenset() if all(is_fixed(name, model.config) for name in names) else names
