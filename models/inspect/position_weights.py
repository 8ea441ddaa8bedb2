"""The learned positions of trained runs, read from their latest checkpoints. No torch import.

Only their tensors are read from a checkpoint.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open

from terrarium.models.events import Event
from terrarium.models.files.atomic import DamagedError
from terrarium.models.library.library import Library
from terrarium.models.library.run_record import checkpoint_step
from terrarium.models.runs.checkpoint_state import PART_FORMAT, base_of, read_about
from terrarium.models.runs.run_folder import RunFolder
from terrarium.models.settings.model_config import ModelConfig
from terrarium.models.settings.positions import Learned, scheme_of


@dataclass(frozen=True, kw_only=True)
class PositionRun:
    """A trained run with learned positions."""

    id: str
    name: str
    step: int
    config: ModelConfig
    checkpoint: Path


@dataclass(frozen=True, kw_only=True)
class PositionRunsFound(Event):
    """Runs with the same kind of learned positions as `config`: those of the same shape first, newest first."""

    config: ModelConfig
    runs: tuple[PositionRun, ...]


@dataclass(frozen=True, kw_only=True)
class PositionWeightsRead(Event):
    """What each stack of a run has learned: "" in a model of one stack, else "encoder" and "decoder".

    learned: by the stack, the scheme's tensors (`PositionScheme.learned`) by their names in it, float32.
    """

    run: PositionRun
    learned: dict[str, dict[str, NDArray[np.float32]]]


def find_position_runs(library: Library, config: ModelConfig) -> Generator[Event, None, None]:
    """Find runs of the same topology and position scheme that have a checkpoint."""
    found = []
    for info in library.list_runs():
        if info.problem is not None:
            continue
        try:
            run = RunFolder.open(info.folder)
        except ValueError:  # just deleted, or being written
            continue
        checkpoint, model = run.latest_checkpoint(), run.spec.model
        same_kind = (model.topology, model.position) == (config.topology, config.position)
        if checkpoint is not None and same_kind:
            step = checkpoint_step(checkpoint)
            found.append(PositionRun(id=run.id, name=run.name, step=step, config=model, checkpoint=checkpoint))
    found.sort(key=lambda run: not has_same_tables(run.config, config))
    yield PositionRunsFound(config=config, runs=tuple(found))


def has_same_tables(one: ModelConfig, other: ModelConfig) -> bool:
    """Return whether two designs learn tensors of the same shapes and meaning."""
    return _meaning(one) == _meaning(other)


def read_position_weights(run: PositionRun) -> Generator[Event, None, None]:
    """Read what `run` has learned.

    Raises:
        ValueError: if the checkpoint is gone or damaged, or does not match the run's design; the message names the
        file.
    """
    path = _file_of(run.checkpoint)
    found: dict[str, dict[str, NDArray[np.float32]]] = {}
    try:
        with safe_open(path, framework="numpy") as file:
            for stack, config in stacks(run.config).items():
                found[stack] = {}
                for tensor in _learned(config).tensors:
                    name = f"{stack}.{tensor.name}".removeprefix(".")
                    if name not in file.keys():  # noqa: SIM118 (safe_open is no mapping)
                        raise DamagedError(f"{path} does not hold {name}, which the run's design has.")
                    part = file.get_slice(name)
                    if tuple(part.get_shape()) != tensor.shape(config):
                        raise DamagedError(f"{path}: {name} does not have the shape that the run's design says.")
                    if part.get_dtype() not in ("F32", "F16", "F64"):
                        raise ValueError(f"{path}: {name} is stored as {part.get_dtype()}, which cannot be shown here.")
                    found[stack][tensor.name] = file.get_tensor(name).astype(np.float32)
    except FileNotFoundError:
        raise ValueError(f"{path} is gone: the run has continued or was moved. Choose it again.") from None
    except OSError as error:
        raise ValueError(f"{path} cannot be read: {error.strerror or error}.") from error
    except SafetensorError as error:
        raise DamagedError(f"{path} is damaged: {error}.") from error
    yield PositionWeightsRead(run=run, learned=found)


def _file_of(checkpoint: Path) -> Path:
    """Return the file with the tensors; a fine-tuning that trains only a part of its model does not change them."""
    base = base_of(checkpoint)
    is_part = base.is_dir() and read_about(checkpoint)["format"] == PART_FORMAT
    return (base if is_part else checkpoint) / "model.safetensors"


def stacks(config: ModelConfig) -> dict[str, ModelConfig]:
    """Return the settings of each stack: one called "", or an encoder-decoder's "encoder" and "decoder"."""
    if config.topology == "encoder-decoder":
        return {"encoder": config.encoder(), "decoder": config}
    return {"": config}


def _meaning(config: ModelConfig) -> tuple[object, ...]:
    learned = _learned(config)
    shapes = [tensor.shape(stack) for stack in stacks(config).values() for tensor in learned.tensors]
    return config.topology, config.position, shapes, [getattr(config, name) for name in learned.slots]


def _learned(config: ModelConfig) -> Learned:
    learned = scheme_of(config).learned
    assert learned is not None
    return learned
