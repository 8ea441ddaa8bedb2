"""The model whose weights a new run starts from: finding it, and saving its weights with the run."""

from __future__ import annotations

import dataclasses
from collections.abc import Generator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer
from torch import Tensor

from terrarium.models.chat.template_config import ChatTemplateConfig, write_template_config
from terrarium.models.events import Event, Phase, Progress
from terrarium.models.files.atomic import atomic_write_json, link_or_copy
from terrarium.models.interop.chat_templates import read_template_config_events
from terrarium.models.interop.loading import is_gguf, is_hugging_face, load_config, load_model_events
from terrarium.models.interop.stored import read_header, read_tensors
from terrarium.models.interop.writing import write_tensors
from terrarium.models.library.library import Library
from terrarium.models.library.run_record import checkpoint_step
from terrarium.models.runs.checkpoint_state import BASE, FORMAT, TrainState, read_about, read_model_config
from terrarium.models.runs.run_folder import RunFolder
from terrarium.models.settings.align_spec import REWARD_MODELS
from terrarium.models.settings.model_config import ModelConfig
from terrarium.models.settings.run_spec import TokenizerSpec
from terrarium.models.tokenizers import read_tokenizer

BEST = "best"
"""The suffix after a run's name that selects its best checkpoint."""


@dataclass(frozen=True, kw_only=True)
class Parent:
    """A model that a run can start from.

    reference: identifies exactly this model: a run's id and step, or a path. labels: those of its head. lineage: its
    entry in run.json (RunFolder.lineage). file: its weights, all in one file by Terrarium's names; if None, they are
    in `weights`.
    """

    name: str
    reference: str
    config: ModelConfig
    tokenizer: Tokenizer
    tokenizer_name: str
    tokenizer_spec: TokenizerSpec
    template_config: ChatTemplateConfig
    lineage: Mapping[str, Any]
    labels: tuple[str, ...] = ()
    file: Path | None = None
    weights: Mapping[str, Tensor] = dataclasses.field(default_factory=dict)

    def read_weights(self) -> Mapping[str, Tensor]:
        """Return its weights by Terrarium's names; DamagedError if the file is damaged or missing."""
        return self.weights if self.file is None else read_tensors(self.file)


def open_parent(library: Library, text: str) -> Generator[Event, None, Parent]:
    """Open the model that `TuneSpec.parent` names. Yields Phase, Progress (bytes) and Notice.

    Args:
        text: the path, id or name of a run, with @STEP or @best for another checkpoint than the last; or the path of
            a checkpoint, of a run's copy of its parent (BASE) or of its reward models (REWARD_MODELS), a Hugging Face
            folder or a .gguf file.

    Raises:
        ValueError: if there is no such model, it has no tokenizer, or a file of it is damaged.
    """
    yield Phase(name="Reading the parent")
    path, step = _find(library, text)
    if (path / "run.json").is_file():
        return (yield from _open_checkpoint(library, _checkpoint_of(RunFolder.open(path), step)))
    if path.name in (BASE, *REWARD_MODELS.values()) and (path.parent / "run.json").is_file():
        return (yield from _open_kept(path.absolute()))
    if (path / "state.json").is_file():
        return (yield from _open_checkpoint(library, path.absolute()))
    return (yield from _open_foreign(path.absolute()))


def parent_config(library: Library, text: str) -> ModelConfig:
    """Return the design of the model that `TuneSpec.parent` names, without its weights; ValueError as `open_parent`."""
    path, step = _find(library, text)
    return load_config(_checkpoint_of(RunFolder.open(path), step) if (path / "run.json").is_file() else path)


def write_parent(parent: Parent, folder: Path) -> Generator[Event, None, None]:
    """Write into `folder` a run's copy of its parent: its weights as BASE, and its chat template, if any.

    Yields Progress (bytes).
    """
    yield from write_kept(parent, folder / BASE)
    if parent.template_config != ChatTemplateConfig():
        write_template_config(folder, parent.template_config)


def write_kept(parent: Parent, base: Path) -> Generator[Event, None, None]:
    """Write a model's weights to the folder `base` of a run; hard-linked if they are a single file.

    Yields Progress (bytes).
    """
    base.mkdir(parents=True)
    if parent.file is not None:
        link_or_copy(parent.file, base / "model.safetensors")
    else:
        done, total = 0, sum(tensor.nbytes for tensor in parent.weights.values())
        for n in write_tensors(base / "model.safetensors", parent.weights):
            done += n
            yield Progress(done=done, total=total)
    about = {"format": FORMAT, **dataclasses.asdict(TrainState()), "optimizer": {}, "model": parent.config.to_dict()}
    atomic_write_json(base / "state.json", about | {"labels": list(parent.labels)})


def _find(library: Library, text: str) -> tuple[Path, str]:
    """Return the path that `text` names, and the text after its @, "" if there is none."""
    if Path(text).expanduser().exists():
        return Path(text).expanduser(), ""
    name, _, step = text.rpartition("@")
    if name and (step == BEST or step.isdecimal()):
        path = Path(name).expanduser()
        return (path if path.exists() else library.find_run(name)), step
    return library.find_run(text), ""


def _checkpoint_of(run: RunFolder, step: str) -> Path:
    """Return the checkpoint of a run: that of a step, the best, or ("") the last."""
    last = run.latest_checkpoint()
    if last is None:
        raise ValueError(f"The run {run.name!r} has no checkpoint yet, so no other can start from it: train it first.")
    if step == BEST and run.best_step is None:
        raise ValueError(f"The run {run.name!r} was never validated, so none of its checkpoints is the best.")
    if not step:
        return last
    path = run.checkpoint_path(int(run.best_step if step == BEST and run.best_step is not None else step))
    if not path.is_dir():
        known = ", ".join(f"{checkpoint_step(one):,}" for one in run.checkpoints())
        raise ValueError(
            f"The run {run.name!r} has no checkpoint of step {checkpoint_step(path):,}: it has those of {known}."
        )
    return path


def _open_checkpoint(library: Library, checkpoint: Path) -> Generator[Event, None, Parent]:
    """Open a checkpoint of Terrarium, in its run's folder or copied from there."""
    folder, step = checkpoint.parent.parent, checkpoint_step(checkpoint)
    run = RunFolder.open(folder) if (folder / "run.json").is_file() else None
    config, about = read_model_config(checkpoint), read_about(checkpoint)
    file: Path | None = checkpoint / "model.safetensors"
    weights: Mapping[str, Tensor] = {}
    if about["format"] == FORMAT or about["format"] == 1:
        read_header(checkpoint / "model.safetensors")  # raises if it is damaged
        tokenizer = _own_tokenizer(checkpoint, folder)
    else:  # a part of the weights, or a .gguf file
        model, found = yield from load_model_events(checkpoint)
        file, weights, tokenizer = None, model.state_dict(), _checked(found, checkpoint)
    name, reference = (checkpoint.name, str(checkpoint)) if run is None else (run.name, f"{run.id}@{step}")
    if run is not None and run.folder.parent != library.runs.absolute():
        reference = f"{run.folder}@{step}"
    lineage: dict[str, Any] = {"parent": {"kind": "weights", "name": name, "path": reference, "format": "terrarium"}}
    if run is not None:
        lineage = {"parent": {"kind": "weights", "run": run.id, "name": name, "step": step}}
        lineage["parent_corpus"] = run.lineage.get("corpus")
    own = {} if run is None else run.lineage.get("tokenizer") or {}
    return Parent(
        name=name,
        reference=reference,
        config=config,
        tokenizer=tokenizer,
        tokenizer_name=str(own.get("name") or name),
        tokenizer_spec=TokenizerSpec(path="tokenizer.json") if run is None else run.spec.tokenizer,
        template_config=(yield from read_template_config_events(checkpoint)),
        lineage=lineage,
        labels=() if run is None else run.spec.data.labels,
        file=file,
        weights=weights,
    )


def _open_kept(base: Path) -> Generator[Event, None, Parent]:
    """Open a run's copy of another model, under that model's name, with the run's own tokenizer."""
    run, config, about = RunFolder.open(base.parent), read_model_config(base), read_about(base)
    read_header(base / "model.safetensors")  # raises if it is damaged
    rewarders = {folder: name for name, folder in REWARD_MODELS.items()}
    parent = run.lineage.get(rewarders.get(base.name, "parent")) or {}
    if parent.get("kind") != "weights":  # a fork, whose own parent is the run that it was forked from
        parent = {"kind": "weights", "name": f"{run.name}/{base.name}", "path": str(base), "format": "terrarium"}
    name = str(parent.get("name") or run.name)
    return Parent(
        name=name,
        reference=str(base),
        config=config,
        tokenizer=read_tokenizer(run.tokenizer_file),
        tokenizer_name=str((run.lineage.get("tokenizer") or {}).get("name") or name),
        tokenizer_spec=run.spec.tokenizer,
        template_config=(yield from read_template_config_events(run.folder)),
        lineage={"parent": parent, "parent_corpus": run.lineage.get("parent_corpus")},
        labels=tuple(about.get("labels", ())),
        file=base / "model.safetensors",
    )


def _own_tokenizer(checkpoint: Path, folder: Path) -> Tokenizer:
    for place in (checkpoint, folder):
        if (place / "tokenizer.json").is_file():
            return read_tokenizer(place / "tokenizer.json")
    return _checked(None, checkpoint)


def _open_foreign(path: Path) -> Generator[Event, None, Parent]:
    """Open a Hugging Face folder or a .gguf file; for other paths, `load_model_events` raises."""
    model, found = yield from load_model_events(path)
    kind = "gguf" if is_gguf(path) else "hugging-face" if is_hugging_face(path) else "terrarium"
    name = path.stem if path.is_file() else path.name
    return Parent(
        name=name,
        reference=str(path),
        config=model.config,
        tokenizer=_checked(found, path),
        tokenizer_name=name,
        tokenizer_spec=TokenizerSpec(path="tokenizer.json"),
        template_config=(yield from read_template_config_events(path)),
        lineage={"parent": {"kind": "weights", "name": name, "path": str(path), "format": kind}},
        weights=model.state_dict(),
    )


def _checked(tokenizer: Tokenizer | None, path: Path) -> Tokenizer:
    if tokenizer is None:
        raise ValueError(f"{path} has no tokenizer, so no run can start from it: put its tokenizer.json there.")
    return tokenizer
