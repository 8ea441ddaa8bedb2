"""Packing a run into one file, NAME.terrarium. No torch import."""

from __future__ import annotations

import hashlib
import json
import zipfile
from collections.abc import Generator, Iterator
from contextlib import suppress
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from terrarium.models.custom_blocks.carried import FOLDER as BLOCKS
from terrarium.models.custom_blocks.carried import texts_of
from terrarium.models.events import Event, Phase, Progress
from terrarium.models.files.atomic import atomic_file, read_json
from terrarium.models.library.library import Library
from terrarium.models.library.run_record import MARK_FILE, checkpoint_step, is_locked, read_record
from terrarium.models.runs.checkpoint_state import kept_designs
from terrarium.models.runs.run_file.contents import CHATS, FORMAT, MANIFEST, SUFFIX, is_known, is_text, without_folders
from terrarium.models.runs.run_folder import RunFolder

_CHUNK_BYTES = 1 << 22
_EPOCH = (1980, 1, 1, 0, 0, 0)
"""The modification time of every file in the zip, so that the same run gives the same bytes except the manifest."""


def pack_run(
    run: RunFolder,
    path: Path,
    library: Library,
    *,
    all_checkpoints: bool = False,
    chats: bool = False,
    replaces: bool = False,
) -> Generator[Event, None, Path]:
    """Write a run to the file `path` (with the suffix .terrarium appended if missing) and return that path.

    It contains the settings, tokenizer, curves, samples, scores, the texts of custom blocks and the last checkpoint;
    not the user's notes, nor the paths of any files. Yields Phase and Progress (bytes); closing it leaves `path`
    unchanged.

    Args:
        all_checkpoints: whether to include the earlier checkpoints.
        chats: whether to include the conversations of `library` with this run.
        replaces: whether to replace an existing file.

    Raises:
        ValueError: if the run is being trained or has no checkpoint, the file exists, or a block's text is not there.
        OSError: if the disk is full, or a file cannot be read or written.
    """
    path = path if path.suffix.lower() == SUFFIX else path.with_name(path.name + SUFFIX)
    if path.exists() and not replaces:
        raise ValueError(f"{path} exists already: delete it, or choose another name.")
    if is_locked(run.folder):
        raise ValueError(f"“{run.name}” is being trained: stop it, or wait until it ends, to save it as one file.")
    last = run.latest_checkpoint()
    if last is None:
        raise ValueError(f"“{run.name}” has no checkpoint yet, so there is no model to save.")
    yield Phase(name=f"Saving {path.name}")
    kept = run.checkpoints() if all_checkpoints else [last]
    files = {name: run.folder / name for name in _names(run.folder, {each.name for each in kept})}
    texts = texts_of([run.spec.model, *kept_designs(run.folder)])
    written = {"run.json": _record(run, kept)} | {f"{BLOCKS}/{name}": texts[name].encode() for name in sorted(texts)}
    written |= _mark(run.folder) | (_chats(library, run.id) if chats else {})
    total = sum(map(len, written.values())) + sum(file.stat().st_size for file in files.values())
    listed: dict[str, dict[str, Any]] = {}
    done = 0
    with atomic_file(path) as half_made, zipfile.ZipFile(half_made, "x") as packed:
        for name, data in written.items():
            with packed.open(_info(name), "w") as into:
                into.write(data)
            listed[name] = {"sha256": hashlib.sha256(data).hexdigest(), "size": len(data)}
        for name, file in files.items():
            digest, size = hashlib.sha256(), 0
            with file.open("rb") as source, packed.open(_info(name), "w", force_zip64=True) as into:
                while data := source.read(_CHUNK_BYTES):
                    into.write(data)
                    digest.update(data)
                    size, done = size + len(data), done + len(data)
                    yield Progress(done=done, total=total)
            listed[name] = {"sha256": digest.hexdigest(), "size": size}
        packed.writestr(_info(MANIFEST), _manifest(run.name, listed))
    yield Progress(done=total, total=total)
    return path


def _names(folder: Path, checkpoints: set[str]) -> Iterator[str]:
    """Yield the names of a run's files to pack, except those that `pack_run` writes itself."""
    for file in sorted(folder.rglob("*")):
        name = file.relative_to(folder).as_posix()
        is_left_out = name.startswith("checkpoints/") and file.parent.name not in checkpoints
        is_ours = not name.startswith((f"{CHATS}/", f"{BLOCKS}/")) and name not in ("run.json", MARK_FILE)
        if is_ours and is_known(name) and not is_left_out and file.is_file() and not file.is_symlink():
            yield name


def _record(run: RunFolder, kept: list[Path]) -> bytes:
    """Return the content of run.json without the user's folders, and without a best step that is not packed."""
    record = read_record(run.folder)
    record |= {"spec": without_folders(record["spec"]), "lineage": without_folders(record.get("lineage", {}))}
    if record.get("best_step") not in [checkpoint_step(path) for path in kept]:
        record["best_step"] = None
    return _json(record)


def _mark(folder: Path) -> dict[str, bytes]:
    """Return the mark of the run's recipe without the user's folders, and without its job, as it is a copy."""
    with suppress(ValueError, OSError):
        return {MARK_FILE: _json(without_folders(read_json(folder / MARK_FILE) | {"job": ""}))}
    return {}


def _chats(library: Library, run_id: str) -> dict[str, bytes]:
    """Return the files of the conversations with a run, by name; damaged ones are left out."""
    found = {}
    for path in sorted(library.chats.glob("*.json")):
        with suppress(ValueError):
            if read_json(path).get("run_id") == run_id and is_known(f"{CHATS}/{path.name}"):
                found[f"{CHATS}/{path.name}"] = path.read_bytes()
    return found


def _manifest(name: str, files: dict[str, dict[str, Any]]) -> bytes:
    try:
        program = f"Terrarium {version('llm-terrarium')}"
    except PackageNotFoundError:
        program = "Terrarium"
    created = datetime.now(UTC).isoformat(timespec="seconds")
    return _json({"format": FORMAT, "program": program, "created": created, "run": name, "files": files})


def _json(value: Any) -> bytes:
    return (json.dumps(value, ensure_ascii=False, indent=1, allow_nan=False) + "\n").encode()


def _info(name: str) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name, _EPOCH)
    info.compress_type = zipfile.ZIP_DEFLATED if is_text(name) else zipfile.ZIP_STORED
    info.external_attr = 0o100644 << 16
    return info
