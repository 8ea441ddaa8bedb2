"""The texts of custom blocks in the library and of extensions, and which may run on this computer. No torch.

`blocks/NAME.py` is a text that can be changed; `blocks/texts/SHA256.py` keeps each text that a design has used. Consent
is kept outside of the library, in a folder of its own for this user of this computer, so that no file carries it here.
The blocks that extensions bring are read, not run; each needs the user's consent, as every text.
"""

from __future__ import annotations

import json
import os
import re
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import Any

from filelock import FileLock
from platformdirs import user_config_dir

from terrarium.models.custom_blocks.manifest import MAX_BYTES, CustomBlock, decode_source, read_block, sha256_of
from terrarium.models.extensions.registry import Found, installed, left_out, name_problem
from terrarium.models.files.atomic import atomic_write_text, file_stamp, private_folder, read_json
from terrarium.models.library.library import find_location, safe_name
from terrarium.models.settings.block_references import (
    BLOCK_SLOTS,
    NAME,
    BlockReference,
    HasBlocks,
    block_in,
    options_in,
)
from terrarium.models.settings.positions import HasPosition, scheme_of
from terrarium.models.settings.slots import Problem

TRUST_VARIABLE = "TERRARIUM_TRUST_BLOCKS"
"""The environment variable with the hashes of further texts that may run, separated by commas: what `--trust-block`
sets for a command and for the processes that it starts."""
_MAX_CONSENT_BYTES = 1 << 20
"""The size limit of the file of consent, which has about 150 bytes for each text."""
_HASH = re.compile(r"[0-9a-f]{64}")


class NotAllowedError(ValueError):
    """A block's text may not run on this computer yet."""


@dataclass(frozen=True, kw_only=True)
class BlockFile:
    """A text of the library. If it is not a proper block, `block` is None and `problem` a sentence."""

    name: str
    path: Path
    source: str = ""
    block: CustomBlock | None = None
    problem: str = ""


@dataclass(frozen=True, kw_only=True)
class Consent:
    """The user's consent to a text. block: None if the text is no longer in the library.

    when: the time in ISO 8601 with its offset, "" if it is not known.
    """

    sha256: str
    name: str
    when: str
    block: CustomBlock | None


def blocks_folder() -> Path:
    """Return the library's folder of texts."""
    return find_location().home / "blocks"


def list_blocks() -> list[BlockFile]:
    """Return the texts of the library by name; links, and files that no block can be called as, are left out."""
    folder = blocks_folder()
    if not folder.is_dir():
        return []
    paths = (path for path in folder.glob("*.py") if path.is_file() and not path.is_symlink())
    return [inspect_file(path) for path in sorted(paths) if NAME.fullmatch(path.stem)]


def inspect_file(path: Path) -> BlockFile:
    """Read a text and its manifest; a problem is in the result, not raised."""
    try:
        source = _read_text(path)
    except ValueError as error:
        return BlockFile(name=path.stem, path=path, problem=str(error))
    try:
        return BlockFile(name=path.stem, path=path, source=source, block=read_block(source))
    except ValueError as error:
        return BlockFile(name=path.stem, path=path, source=source, problem=str(error))


def _read_text(path: Path) -> str:
    """Return the text of a file; ValueError, naming it, if it cannot be a block."""
    if not path.is_file():  # opening a pipe would wait for its writer
        raise ValueError(f"{path.name} is missing, or not a file.")
    try:
        with path.open("rb") as file:
            return decode_source(file.read(MAX_BYTES + 1), path.name)
    except OSError as error:
        raise ValueError(f"{path.name} cannot be read ({error.strerror}): check its permissions.") from error


def save_block(source: str) -> CustomBlock:
    """Save a text under the name in its manifest, and keep it for designs; ValueError if it is not a proper block."""
    block = read_block(source)
    atomic_write_text(blocks_folder() / f"{safe_name(block.name)}.py", source)
    keep_text(block)
    return block


def keep_text(block: CustomBlock) -> None:
    """Keep a text for the designs that name it by its hash; this gives no consent."""
    if not has_text(block.reference):  # nor if it is there, but damaged
        atomic_write_text(_text_path(block.sha256), block.source)


def has_text(reference: BlockReference) -> bool:
    """Return whether the library has the text that a design names, unchanged."""
    return _kept(reference.sha256) is not None


def delete_block(name: str) -> None:
    """Delete the text that can be changed; designs that use it still have theirs."""
    assert NAME.fullmatch(name)
    (blocks_folder() / f"{name}.py").unlink(missing_ok=True)


def find_block(reference: BlockReference) -> CustomBlock:
    """Return the block that a design names.

    Raises:
        ValueError: if its text is not in the library, or its manifest says otherwise than the reference.
    """
    block = _kept(reference.sha256)
    if block is None:
        raise ValueError(
            f"The text of the block “{reference.name}” ({reference.sha256[:12]}…) is not in this library: open its "
            "file in the builder, under “Custom blocks”."
        )
    if block.reference != reference:
        raise ValueError(f"The design says of the block “{reference.name}” what its text does not: choose it again.")
    return block


def find_in(design: HasBlocks, place: str) -> CustomBlock | None:
    """Return the custom block in a place of a design; None if that is built in. Raises as `find_block`."""
    reference = block_in(design, place)
    if reference is None:
        return None
    block = find_block(reference)
    if block.slot != place:
        raise ValueError(f"The block “{block.title}” is for {block.slot}, not for {place}: choose another.")
    return block


def _kept(sha256: str) -> CustomBlock | None:
    path = _text_path(sha256)
    try:
        return _read_kept(path, sha256, file_stamp(path))
    except ValueError:
        return None


@lru_cache(maxsize=256)
def _read_kept(path: Path, sha256: str, stamp: tuple[int, int]) -> CustomBlock:
    """Read a kept text. Only successes are cached, and what those are is fixed by the hash."""
    source = _read_text(path)
    if sha256_of(source) != sha256:
        raise ValueError(f"{path.name} has another text than its name says.")
    return read_block(source)


def _text_path(sha256: str) -> Path:
    assert _HASH.fullmatch(sha256)
    return blocks_folder() / "texts" / f"{sha256}.py"


# -- Consent -----------------------------------------------------------------------------------------------------------


def consent_file() -> Path:
    """Return the file of consent, outside of the library.

    Its folder has a name of its own: on Windows and macOS, settings and the library are in the same one.
    """
    return Path(user_config_dir("Terrarium consent", appauthor=False)) / "allowed-blocks.json"


def is_allowed(block: CustomBlock) -> bool:
    """Return whether this exact text may run on this computer."""
    sha256 = block.sha256
    return sha256 in re.split(r"[\s,]+", os.environ.get(TRUST_VARIABLE, "")) or sha256 in _allowed()


def check_allowed(block: CustomBlock) -> None:
    """Raise NotAllowedError unless this exact text may run on this computer."""
    if not is_allowed(block):
        raise NotAllowedError(
            f"The block “{block.title}” is a program that was not allowed on this computer yet: read and allow it in "
            f"the builder, under “Custom blocks”, or add to the command: --trust-block {block.sha256}."
        )


def allow(block: CustomBlock) -> None:
    """Record the user's consent to this exact text, which was shown to them.

    Raises:
        ValueError: if the library contains the place where consent is kept.
        OSError: if it cannot be written.
    """
    _change(block.sha256, {"name": block.name, "when": datetime.now(UTC).isoformat("T", "seconds")})


def withdraw(sha256: str) -> None:
    """Take the consent to a text back. Raises as `allow`."""
    _change(sha256, None)


def list_consents() -> list[Consent]:
    """Return the consents that were recorded on this computer, by name; those of TRUST_VARIABLE are not recorded."""
    found = [
        Consent(sha256=sha256, name=str(entry.get("name", "")), when=str(entry.get("when", "")), block=_kept(sha256))
        for sha256, entry in _allowed().items()
    ]
    return sorted(found, key=lambda each: (each.name, each.when))


def _change(sha256: str, entry: dict[str, str] | None) -> None:
    path = consent_file()
    if _is_in_library(path):
        raise ValueError(
            f"{path.parent} is in the library, which could carry consent to other computers: choose another folder for "
            "the library, or set XDG_CONFIG_HOME to one outside of it."
        )
    private_folder(path.parent)
    with FileLock(path.with_suffix(".lock")):  # so that no other process writes back what is withdrawn here
        entries = {key: value for key, value in _allowed().items() if key != sha256}
        if entry is not None:
            entries[sha256] = entry
        atomic_write_text(path, json.dumps({"allowed": entries}, indent=1) + "\n", private=True)


def _allowed() -> Mapping[str, Any]:
    """Return the entries of the file of consent, by hash. If it is damaged, or may be another's, nothing is allowed,
    and the user is asked again.
    """
    path = consent_file()
    if not _is_own(path) or _is_in_library(path):
        return {}
    try:
        entries = read_json(path, _MAX_CONSENT_BYTES).get("allowed", {})
    except ValueError:
        return {}
    if not isinstance(entries, dict):
        return {}
    return {key: value for key, value in entries.items() if _HASH.fullmatch(key) and isinstance(value, dict)}


def _is_own(path: Path) -> bool:
    """Return whether this is a file of this user, no link, which no other user can write."""
    try:
        status = path.lstat()
    except OSError:
        return False
    is_private = os.name == "nt" or (status.st_uid == os.getuid() and not status.st_mode & 0o022)
    return stat.S_ISREG(status.st_mode) and is_private


def _is_in_library(path: Path) -> bool:
    return path.resolve().is_relative_to(find_location().home.resolve())


def block_problems(design: HasBlocks) -> list[Problem]:
    """Return why a design's custom blocks cannot be built on this computer; [] if they can. Nothing of them runs."""
    found = []
    for place, slot in BLOCK_SLOTS.items():
        try:
            _check_place(design, place)
        except ValueError as error:
            found.append(Problem(slot, str(error)))
    return found


def check_blocks(design: HasBlocks) -> None:
    """Raise ValueError if a design's custom blocks cannot be built on this computer. Nothing of them runs."""
    for place in BLOCK_SLOTS:
        _check_place(design, place)


def _check_place(design: HasBlocks, place: str) -> None:
    block = find_in(design, place)
    if block is None:
        return
    block.values(options_in(design, place))
    check_positions(block, design)
    check_allowed(block)


def check_positions(block: CustomBlock, design: HasPosition) -> None:
    """Raise ValueError if an attention block does not take positions that a design applies to queries or scores."""
    scheme = scheme_of(design)
    if block.slot == "attention" and not block.takes_positions and scheme.applied_to in ("queries", "scores"):
        raise ValueError(
            f"The block “{block.title}” does not take positions, so {scheme.title} has no effect on it: use position "
            '"learned", "sinusoidal" or "none".'
        )


def find_installed_blocks() -> Found[CustomBlock]:
    """Read the texts of all blocks of the installed extensions, by the names of the blocks."""
    entries, packages, problems = dict[str, CustomBlock](), dict[str, str](), []
    for extension in installed():
        package = extension.package
        for file in extension.declaration.blocks if extension.declaration else ():
            try:
                block = _read(extension.folder, file)
                if wrong := name_problem(block.name, (), packages):
                    raise ValueError(wrong)
            except ValueError as error:
                problems.append((package, left_out(f"The block in {file}", package, str(error))))
            else:
                entries[block.name], packages[block.name] = block, package
    return Found(kind="blocks", entries=entries, packages=packages, problems=tuple(problems))


def _read(folder: Path, file: Any) -> CustomBlock:
    """Return the block in a file of a folder. Raises ValueError, the end of “…, because ”."""
    if not isinstance(file, str) or not (path := (folder / file).resolve()).is_relative_to(folder.resolve()):
        raise ValueError("its path does not lead to a file of the package")
    found = inspect_file(path)
    if found.block is None:
        raise ValueError(f"it is not a proper block (“{found.problem}”)")
    return found.block
