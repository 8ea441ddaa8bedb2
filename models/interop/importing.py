"""Imports a model as a run: a folder like any other run's, with status imported and one checkpoint."""

from __future__ import annotations

import dataclasses
import hashlib
import os
from collections.abc import Generator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer

from terrarium.models.chat.template_config import write_template_config
from terrarium.models.custom_blocks.carried import carry_texts
from terrarium.models.events import Event, Phase, Progress
from terrarium.models.files.atomic import atomic_write_json, read_json
from terrarium.models.interop.chat_templates import read_template_config_events
from terrarium.models.interop.gguf import check_gguf, read_gguf_labels
from terrarium.models.interop.loading import GGUF_NAME, is_gguf, load_model_events
from terrarium.models.interop.writing import new_folder, write_tensors
from terrarium.models.library.library import Library
from terrarium.models.library.run_record import FORMAT
from terrarium.models.runs.checkpoint_state import FORMAT as CHECKPOINT_FORMAT
from terrarium.models.runs.checkpoint_state import GGUF_FORMAT, TrainState
from terrarium.models.runs.run_folder import RunFolder
from terrarium.models.settings.model_config import ModelConfig
from terrarium.models.settings.run_spec import DataSpec, RunSpec, TokenizerSpec, TrainConfig

_CHUNK_BYTES = 1 << 22
_GENERIC_NAMES = frozenset(
    ("model", "models", "main", "snapshots", "checkpoint", "weights", "pytorch_model", "output", "export", "hf")
)
"""Names of files and folders that do not identify the model in them."""
_MAX_CARD, _MAX_TITLE = 65_536, 60
"""The maximum characters that are read of a card, and of a name."""


def import_model(
    source: Path,
    library: Library,
    out: Path | None = None,
    name: str | None = None,
    *,
    origin: Mapping[str, str] | None = None,
) -> Generator[Event, None, RunFolder]:
    """Copy the model in `source` into a run folder: `out`, or a new one of the library. Closing the generator leaves
    no files.

    Yields Phase, Progress (bytes) and Notice.

    Args:
        source: a Hugging Face folder, a .gguf file, or a run or checkpoint from elsewhere.
        name: the name of the run; by default `usual_name`, numbered if a run has that name.
        origin: the source in its lineage; by default the path.

    Raises:
        ValueError: if the source cannot be read (as `load_model`), or `out` exists already.
    """
    source = source.absolute()
    name = name or library.free_run_name(usual_name(source))
    identity = library.new_run_id(name) if out is None else out.name
    target = library.runs / identity if out is None else out.absolute()
    with new_folder(target) as folder:
        checkpoint = folder / "checkpoints" / "step-00000000"
        checkpoint.mkdir(parents=True)
        config, tokenizer = yield from (_copy_gguf if is_gguf(source) else _copy_model)(source, checkpoint)
        about = {
            "format": GGUF_FORMAT if is_gguf(source) else CHECKPOINT_FORMAT,
            **dataclasses.asdict(TrainState()),
            "optimizer": {},
            "model": config.to_dict(),
        }
        atomic_write_json(checkpoint / "state.json", about)
        carry_texts([config], folder)
        digest = None
        if tokenizer is not None:
            text = tokenizer.to_str(pretty=True)
            (folder / "tokenizer.json").write_text(text, encoding="utf-8")
            digest = hashlib.sha256(text.encode()).hexdigest()
            write_template_config(folder, (yield from read_template_config_events(source)))
        atomic_write_json(folder / "run.json", _record(identity, name, source, config, tokenizer, digest, origin))
    return RunFolder.open(target)


def usual_name(source: Path) -> str:
    """Return a name for the model in a file or folder.

    This is the file's or folder's own name; if that is generic (“model”), the title of its card, README.md, or the
    name of the closest folder above that is not generic.
    """
    own = source.stem if source.is_file() else source.name
    if _says_something(own):
        return own
    folder = source.parent if source.is_file() else source
    above = (each.name.removeprefix("models--").replace("--", "_") for each in (folder, *folder.parents))
    return _card_title(folder / "README.md") or next(filter(_says_something, above), own or "imported")


def _says_something(name: str) -> bool:
    is_revision = len(name) >= 7 and set(name) <= set("0123456789abcdef")
    return bool(name) and not is_revision and name.lower() not in _GENERIC_NAMES


def _card_title(card: Path) -> str:
    """Return the first heading of a model card, "" if it has none that can be a name."""
    try:
        with card.open(encoding="utf-8") as file:
            head = file.read(_MAX_CARD)
    except (OSError, UnicodeDecodeError):
        return ""
    titles = (line[2:].strip() for line in head.splitlines() if line.startswith("# "))
    title = next(titles, "").removeprefix("Model Card for ").strip()
    return title if 0 < len(title) <= _MAX_TITLE and _says_something(title) else ""


def _copy_model(source: Path, checkpoint: Path) -> Generator[Event, None, tuple[ModelConfig, Tokenizer | None]]:
    """Write the weights in full precision; returns design and tokenizer."""
    model, tokenizer = yield from load_model_events(source, from_elsewhere=True)
    yield Phase(name="Writing the run")
    weights = model.state_dict()
    done, total = 0, sum(weight.numel() * weight.element_size() for weight in weights.values())
    for n in write_tensors(checkpoint / "model.safetensors", weights):
        done += n
        yield Progress(done=done, total=total)
    return model.config, tokenizer


def _copy_gguf(source: Path, checkpoint: Path) -> Generator[Event, None, tuple[ModelConfig, Tokenizer | None]]:
    """Copy the file unchanged: dequantised, its weights would take several times the space."""
    config, tokenizer = yield from check_gguf(source)
    yield Phase(name="Copying the weights")
    done, total = 0, source.stat().st_size
    with source.open("rb") as original, (checkpoint / GGUF_NAME).open("wb") as copy:
        while data := original.read(_CHUNK_BYTES):
            done += copy.write(data)
            yield Progress(done=done, total=total)
        copy.flush()
        os.fsync(copy.fileno())
    return config, tokenizer


def task_of(source: Path, config: ModelConfig) -> dict[str, Any]:
    """Return the task and the labels of the model in `source` (as for `load_model`), in the form of DataSpec.

    Labels are numbered if they have no names; empty for a model without a label head that is not a run.
    """
    folder = source.absolute().parent.parent if (source / "state.json").is_file() else source
    if (folder / "run.json").is_file():
        spec = RunFolder.open(folder).spec
        data = spec.data
        if spec.align is not None:  # its result: a model that chats, or one that gives a score
            return {"task": head} if (head := spec.align.kind.head) != "language" else {}
        return {"task": data.task, "labels": data.labels} if data.task != "language" else {}
    if config.head in ("language", "none"):
        return {}
    if config.head == "span":
        return {"task": "span"}
    about = read_json(source / "config.json") if (source / "config.json").is_file() else {}
    names = about.get("id2label")
    names = names if isinstance(names, dict) else {}
    if is_gguf(source):
        names = {str(i): name for i, name in enumerate(read_gguf_labels(source))}
    labels = tuple(str(names.get(str(i), f"LABEL_{i}")) for i in range(config.n_label))
    if config.head == "token":
        return {"task": "tagging", "labels": labels}
    if config.n_label == 1 or about.get("problem_type") == "regression":
        return {"task": "regression"}
    is_multiple = about.get("problem_type") == "multi_label_classification"
    return {"task": "multi-label" if is_multiple else "classification", "labels": labels}


def _record(
    identity: str,
    name: str,
    source: Path,
    config: ModelConfig,
    tokenizer: Tokenizer | None,
    digest: str | None,
    origin: Mapping[str, str] | None,
) -> dict[str, object]:
    """Return the contents of run.json. The lineage has the source instead of a corpus."""
    kind = "gguf" if is_gguf(source) else "hugging-face" if (source / "config.json").exists() else "terrarium"
    own = {"name": name, "sha256": digest} if digest else None
    where = {"path": str(source), "format": kind, **(origin or {})}
    spec = RunSpec(
        name=name,
        model=config,
        tokenizer=TokenizerSpec(path="tokenizer.json") if tokenizer is not None else TokenizerSpec(),
        data=DataSpec(source="files", files=(where["path"],), **task_of(source, config)),
        train=TrainConfig(steps=1),
    )
    lineage = {"tokenizer": own, "parent": None, "source": where}
    return imported_record(identity, spec, lineage)


def imported_record(identity: str, spec: RunSpec, lineage: dict[str, Any]) -> dict[str, Any]:
    """Return the contents of run.json for a newly imported run."""
    return {
        "format": FORMAT,
        "id": identity,
        "name": spec.name,
        "created": datetime.now(UTC).isoformat(timespec="milliseconds"),
        "status": "imported",
        "spec": spec.to_dict(),
        "threads": None,
        "best_step": None,
        "lineage": lineage,
    }
