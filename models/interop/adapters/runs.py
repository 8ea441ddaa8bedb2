"""The adapter of a run, and the creation of a run with an imported adapter."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Generator, Mapping
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from terrarium.models.architecture.lora import DOWN, UP
from terrarium.models.custom_blocks.carried import carry_texts
from terrarium.models.events import Event
from terrarium.models.files.atomic import atomic_write_json
from terrarium.models.interop.importing import imported_record, usual_name
from terrarium.models.interop.parents import Parent, write_parent
from terrarium.models.interop.stored import read_tensors
from terrarium.models.interop.writing import new_folder, write_tensors
from terrarium.models.library.library import Library
from terrarium.models.runs.checkpoint_state import PART_FORMAT, TrainState, read_about, read_model_config
from terrarium.models.runs.run_folder import RunFolder
from terrarium.models.settings.model_config import ModelConfig
from terrarium.models.settings.run_spec import DataSpec, RunSpec, TrainConfig
from terrarium.models.settings.tune_spec import TuneSpec


@dataclass(frozen=True)
class TrainedAdapter:
    """The adapters of a run by Terrarium's names, and their common factor."""

    config: ModelConfig
    tensors: dict[str, Tensor]
    scale: float


def trained_adapter(run: RunFolder) -> TrainedAdapter:
    """Read the adapter of a run's last checkpoint.

    Raises:
        ValueError: if it has no adapter, or the run has trained more than adapters.
    """
    checkpoint = run.latest_checkpoint()
    scale = None if checkpoint is None else read_about(checkpoint).get("lora_scale")
    if checkpoint is None or scale is None:
        raise ValueError(f"{run.name!r} has no LoRA adapter to export: choose the format hf for its whole model.")
    tensors = read_tensors(checkpoint / "model.safetensors")
    more = sorted(name for name in tensors if not name.endswith((f".{DOWN}", f".{UP}")))
    if more:
        raise ValueError(
            f"{run.name!r} has trained more than its adapter ({more[0]}), which would be applied to another model's "
            "own: choose the format hf, which has everything merged."
        )
    return TrainedAdapter(read_model_config(checkpoint), tensors, scale)


def run_with_adapter(
    parent: Parent,
    tensors: Mapping[str, Tensor],
    scale: float,
    tune: TuneSpec,
    *,
    source: Path,
    kind: str,
    library: Library,
    out: Path | None,
    name: str | None,
) -> Generator[Event, None, RunFolder]:
    """Make a run with an adapter on a copy of its model: `out`, or a new one of the library.

    Yields Progress (bytes); closing the generator leaves no files.

    Args:
        tensors: the adapters by Terrarium's names.
        scale: their common factor.
        source, kind: the path that they come from, and the name of its format.
        name: the name of the run; by default as the source.

    Raises:
        ValueError: if `out` exists already.
    """
    name = name or library.free_run_name(usual_name(source))
    identity = library.new_run_id(name) if out is None else out.name
    target = library.runs / identity if out is None else out.absolute()
    with new_folder(target) as folder:
        yield from write_parent(parent, folder)
        checkpoint = folder / "checkpoints" / "step-00000000"
        checkpoint.mkdir(parents=True)
        for _ in write_tensors(checkpoint / "model.safetensors", tensors):
            pass
        about = {
            "format": PART_FORMAT,
            **dataclasses.asdict(TrainState()),
            "optimizer": {},
            "model": parent.config.to_dict(),
            "lora_scale": scale,
        }
        atomic_write_json(checkpoint / "state.json", about)
        carry_texts([parent.config], folder)
        text = parent.tokenizer.to_str(pretty=True).encode()
        (folder / "tokenizer.json").write_bytes(text)
        spec = RunSpec(
            name=name,
            model=parent.config,
            tokenizer=parent.tokenizer_spec,
            data=DataSpec(source="files", files=(str(source),)),
            train=TrainConfig(steps=1, optimizer="adamw"),
            tune=tune,
        )
        lineage = {
            "tokenizer": {"name": parent.tokenizer_name, "sha256": hashlib.sha256(text).hexdigest()},
            **parent.lineage,
            "source": {"path": str(source), "format": kind},
        }
        atomic_write_json(folder / "run.json", imported_record(identity, spec, lineage))
    return RunFolder.open(target)
