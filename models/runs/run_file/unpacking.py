"""Unpacking a run from one file, NAME.terrarium, whose content is not trusted. No torch import."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
import stat
import uuid
import zipfile
import zlib
from collections.abc import Generator, Iterator
from contextlib import ExitStack, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NoReturn

from terrarium.models.custom_blocks.carried import take_texts
from terrarium.models.events import Event, Phase, Progress
from terrarium.models.files.atomic import (
    atomic_write_json,
    clear_leftovers,
    private_folder,
    publish_folder,
    read_json,
    temporary_folder,
)
from terrarium.models.files.limits import unpacked_limit
from terrarium.models.files.safetensors_file import read_safetensors_header
from terrarium.models.library.library import Library
from terrarium.models.library.run_record import read_record
from terrarium.models.number_words import format_size
from terrarium.models.runs.checkpoint_state import kept_designs, read_model_config
from terrarium.models.runs.run_file.contents import (
    CHATS,
    FORMAT,
    MANIFEST,
    MAX_BYTES,
    MAX_FILES,
    MAX_RATIO,
    RUN_FILE,
    WEIGHTS,
    is_known,
    is_text,
    size_limit,
)
from terrarium.models.runs.run_folder import RunFolder
from terrarium.models.tokenizers.foreign.isolated_reading import read_isolated

_CHUNK_BYTES = 1 << 22
_SMALL = 1 << 20
"""Bytes of a text up to which any compression ratio is accepted."""
_NEEDED = ("run.json", "tokenizer.json")
_AT_REST = {"running": "stopped", "queued": "stopped"}
"""Replacements for a status that no longer holds after unpacking."""


def unpack_run(path: Path, library: Library, name: str | None = None) -> Generator[Event, None, RunFolder]:
    """Unpack the file `path` into a new run of the library, and add its conversations to the library as well.

    Yields Phase and Progress (bytes); if it is closed before its end, nothing remains. The texts of custom blocks get
    into the library, too, but may not run before the user allows it.

    Args:
        name: the name of the run; by default its old one, numbered if the library has a run of that name.

    Raises:
        ValueError: if the file is not a run's, is damaged or of a newer version, or contains files that no run has.
        OSError: if the disk is full.
    """
    yield Phase(name=f"Reading {path.name}")
    with ExitStack() as open_files:
        packed = open_files.enter_context(_opened(path))
        members = _checked(path, packed)
        sums = _read_manifest(path, packed, members)
        total = sum(info.file_size for info in members.values())
        library.runs.mkdir(parents=True, exist_ok=True)
        clear_leftovers(library.runs)
        _check_space(library.runs, total)
        folder = open_files.enter_context(temporary_folder(library.runs / "unpacked"))
        done = 0
        for member, (digest, _) in sums.items():
            for n in _extract(path, packed, members[member], digest, folder / member):
                done += n
                yield Progress(done=done, total=total)
        yield Phase(name="Checking the run")
        record = yield from _check_run(path, folder)
        name = library.free_run_name(name or str(record["name"]))
        identity = library.new_run_id(name)
        _write_record(folder, record, identity, name, path)
        chats = _take_out(folder / CHATS, str(record["id"]), identity)
        publish_folder(folder, library.runs / identity)
    for chat in chats:
        private_folder(library.chats)
        atomic_write_json(library.chats / f"{chat['id']}.json", chat)
    return RunFolder.open(library.runs / identity)


def _opened(path: Path) -> zipfile.ZipFile:
    if not path.is_file():
        raise ValueError(f"{path} is missing: it may have been moved or deleted.")
    try:
        return zipfile.ZipFile(path)
    except (zipfile.BadZipFile, NotImplementedError, UnicodeDecodeError):
        raise ValueError(f"{path} is no Terrarium file, or not all of it is there: get another copy.") from None


def _checked(path: Path, packed: zipfile.ZipFile) -> dict[str, zipfile.ZipInfo]:
    """Return the entries of the zip by name, except the manifest; reads only the table of contents.

    Raises:
        ValueError: if a run cannot have these files, or they would be too large unpacked.
    """
    infos = packed.infolist()
    if len(infos) > MAX_FILES:
        raise ValueError(f"{path} holds {len(infos):,} files, and a run has at most {MAX_FILES:,}: it is not opened.")
    if MANIFEST not in packed.namelist():
        raise ValueError(f"{path} is no Terrarium file: it has no {MANIFEST}.")
    for info in infos:
        if info.filename != MANIFEST and not is_known(info.filename):
            _refuse(path, info, "is no file of a run")
        if stat.S_IFMT(info.external_attr >> 16) not in (0, stat.S_IFREG):
            _refuse(path, info, "is a link, not a file")
        if info.flag_bits & 1:
            _refuse(path, info, "is encrypted")
        if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            _refuse(path, info, "is compressed in a way that Terrarium does not use")
        text = is_text(info.filename)
        if text and info.file_size > size_limit(info.filename):
            _refuse(path, info, f"would have {format_size(info.file_size)}")
        ratio = MAX_RATIO if text else 1
        if info.file_size > max(_SMALL, ratio * info.compress_size):
            _refuse(path, info, f"would grow from {format_size(info.compress_size)} to {format_size(info.file_size)}")
    texts = [info for info in infos if is_text(info.filename)]
    unpacked, compressed = sum(info.file_size for info in texts), sum(info.compress_size for info in texts)
    if unpacked > unpacked_limit(compressed, MAX_RATIO):
        raise ValueError(
            f"{path} is not opened: its texts would grow from {format_size(compressed)} to {format_size(unpacked)}."
        )
    if len({info.filename.lower() for info in infos}) < len(infos):
        raise ValueError(f"{path} holds two files of one name: it is not opened.")
    if sum(info.compress_size for info in infos) > path.stat().st_size or sum(i.file_size for i in infos) > MAX_BYTES:
        raise ValueError(f"{path} says that it holds more than it can: it is not opened.")
    return {info.filename: info for info in infos if info.filename != MANIFEST}


def _refuse(path: Path, info: zipfile.ZipInfo, why: str) -> NoReturn:
    raise ValueError(f"{path} is not opened: “{_printable(info.filename)}” in it {why}.")


def _printable(name: str) -> str:
    return "".join(each if each.isprintable() else "?" for each in name)[:80]


def _read_manifest(
    path: Path, packed: zipfile.ZipFile, members: dict[str, zipfile.ZipInfo]
) -> dict[str, tuple[str, int]]:
    """Return the SHA-256 and the size of each file in the manifest; ValueError if the files differ from it."""
    try:
        about: Any = json.loads(_read(path, packed, MANIFEST))
        version = about["format"]
        if isinstance(version, int) and version > FORMAT:
            raise ValueError(f"{path} is from a newer Terrarium (format {version}): update this one.")
        sums = {str(name): (str(each["sha256"]), int(each["size"])) for name, each in about["files"].items()}
    except (LookupError, TypeError, AttributeError, RecursionError, json.JSONDecodeError, UnicodeDecodeError):
        raise ValueError(f"{path} is damaged: its {MANIFEST} cannot be read. Get another copy.") from None
    if {name: info.file_size for name, info in members.items()} != {name: size for name, (_, size) in sums.items()}:
        raise ValueError(f"{path} is damaged: other files are in it than its {MANIFEST} says. Get another copy.")
    missing = [name for name in _NEEDED if name not in sums]
    if missing:
        raise ValueError(f"{path} holds no whole run: it has no {missing[0]}.")
    return sums


def _read(path: Path, packed: zipfile.ZipFile, name: str) -> bytes:
    return b"".join(_chunks(path, packed, name))


def _chunks(path: Path, packed: zipfile.ZipFile, name: str) -> Iterator[bytes]:
    """Yield the bytes of a file in the zip, never more than the size in its table of contents."""
    try:
        with packed.open(name) as source:
            while data := source.read(_CHUNK_BYTES):
                yield data
    except (zipfile.BadZipFile, zlib.error, EOFError):
        raise ValueError(f"{path} is damaged: “{_printable(name)}” in it has changed. Get another copy.") from None


def _extract(
    path: Path, packed: zipfile.ZipFile, info: zipfile.ZipInfo, digest: str, target: Path
) -> Generator[int, None, None]:
    """Write one file, yielding the number of bytes of each chunk; ValueError if its SHA-256 is not `digest`."""
    target.parent.mkdir(parents=True, exist_ok=True)
    found = hashlib.sha256()
    with target.open("xb") as file:
        for data in _chunks(path, packed, info.filename):
            found.update(data)
            yield file.write(data)
        file.flush()
        os.fsync(file.fileno())
    if found.hexdigest() != digest:
        raise ValueError(f"{path} is damaged: “{_printable(info.filename)}” in it has changed. Get another copy.")


def _check_space(folder: Path, needed: int) -> None:
    if needed > shutil.disk_usage(folder).free:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(folder))


def _check_run(path: Path, folder: Path) -> Generator[Event, None, dict[str, Any]]:
    """Check that this version can read the unpacked run, and return its run.json; ValueError if it cannot."""
    try:
        record = read_record(folder)
        run = RunFolder.open(folder)
        checkpoints = run.checkpoints()
        designs = [run.spec.model, *kept_designs(folder), *map(read_model_config, checkpoints)]
        take_texts(designs, folder)
        for weights in sorted(each for each in folder.rglob("*") if each.suffix in WEIGHTS):
            _check_weights(weights)
            yield Progress(done=0, total=0)
        yield from read_isolated(folder / "tokenizer.json")
    except ValueError as error:
        reason = str(error).replace(f"{folder}{os.sep}", "")  # the temporary name means nothing to the user
        raise ValueError(f"{path} cannot be opened: {reason}") from error
    if not checkpoints:
        raise ValueError(f"{path} holds no whole run: it has no checkpoint.")
    return record


def _check_weights(path: Path) -> None:
    """Read the header of a file of weights; ValueError if it is damaged, or of another format than its suffix."""
    if path.suffix == ".safetensors":
        read_safetensors_header(path)
    else:
        from terrarium.models.files.gguf_file import read_gguf_header  # the gguf package takes half a second to import

        read_gguf_header(path)


def _write_record(folder: Path, record: dict[str, Any], identity: str, name: str, path: Path) -> None:
    lineage = record.get("lineage", {})
    source = {"path": str(path.absolute()), "format": RUN_FILE, "run": record["id"], "created": record["created"]}
    if isinstance(lineage.get("source"), dict):
        source["before"] = lineage["source"]
    changed = {
        "id": identity,
        "name": name,
        "created": datetime.now(UTC).isoformat(timespec="milliseconds"),
        "status": _AT_REST.get(record["status"], record["status"]),
        "lineage": {**lineage, "source": source},
    }
    atomic_write_json(folder / "run.json", record | changed)


def _take_out(folder: Path, old_id: str, new_id: str) -> list[dict[str, Any]]:
    """Remove the conversations from an unpacked run's folder, and return them with new ids and the run's new id.

    Damaged ones are left out.
    """
    chats = []
    for file in sorted(folder.glob("*.json")):
        with suppress(ValueError):
            chat = read_json(file) | {"id": uuid.uuid4().hex[:12]}
            if chat.get("run_id") == old_id:
                chat["run_id"] = new_id
            chats.append(chat)
    shutil.rmtree(folder, ignore_errors=True)
    return chats
