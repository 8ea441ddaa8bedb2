"""The texts of custom blocks in the library, and which of them may run on this computer. No torch.

`blocks/NAME.py` is a text that can be changed; `blocks/texts/SHA256.py` keeps each text that a design has used. Consent
is kept outside of the library, beside the user's other settings of this computer, so that no file carries it here.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path

from platformdirs import user_config_dir

from terrarium.models.custom_blocks.manifest import MAX_BYTES, CustomBlock, decode_source, read_block, sha256_of
from terrarium.models.files.atomic import atomic_write_json, atomic_write_text, read_json
from terrarium.models.library.location import find_location
from terrarium.models.settings.block_references import (
    BLOCK_SLOTS,
    NAME,
    BlockReference,
    HasBlocks,
    blocks_of,
    options_in,
)
from terrarium.models.settings.slots import Problem

TRUST_VARIABLE = "TERRARIUM_TRUST_BLOCKS"
"""The environment variable with the hashes of further texts that may run, separated by commas: what `--trust-block`
sets for a command and for the processes that it starts."""

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


def blocks_folder() -> Path:
    """Return the library's folder of texts."""
    return find_location().home / "blocks"


def list_blocks() -> list[BlockFile]:
    """Return the texts of the library by name; links are left out."""
    folder = blocks_folder()
    if not folder.is_dir():
        return []
    paths = sorted(path for path in folder.glob("*.py") if path.is_file() and not path.is_symlink())
    return [inspect_file(path) for path in paths]


def inspect_file(path: Path) -> BlockFile:
    """Read a text and its manifest; a problem is in the result, not raised."""
    try:
        with path.open("rb") as file:
            source = decode_source(file.read(MAX_BYTES + 1), path.name)
    except (OSError, ValueError) as error:
        return BlockFile(name=path.stem, path=path, problem=str(error))
    try:
        return BlockFile(name=path.stem, path=path, source=source, block=read_block(source))
    except ValueError as error:
        return BlockFile(name=path.stem, path=path, source=source, problem=str(error))


def save_block(source: str) -> CustomBlock:
    """Save a text under the name in its manifest, and keep it for designs; ValueError if it is not a proper block."""
    block = read_block(source)
    atomic_write_text(blocks_folder() / f"{block.name}.py", source)
    keep_text(block)
    return block


def keep_text(block: CustomBlock) -> None:
    """Keep a text for the designs that name it by its hash; this gives no consent."""
    if not has_text(block.reference):  # nor if it is there, but damaged
        atomic_write_text(_text_path(block.sha256), block.source)


def has_text(reference: BlockReference) -> bool:
    """Return whether the library has the text that a design names, unchanged."""
    return _kept(str(_text_path(reference.sha256)), reference.sha256) is not None


def delete_block(name: str) -> None:
    """Delete the text that can be changed; designs that use it still have theirs."""
    assert NAME.fullmatch(name)
    (blocks_folder() / f"{name}.py").unlink(missing_ok=True)


def find_block(reference: BlockReference) -> CustomBlock:
    """Return the block that a design names.

    Raises:
        ValueError: if its text is not in the library, or its manifest says otherwise than the reference.
    """
    path = _text_path(reference.sha256)
    block = _kept(str(path), reference.sha256)
    if block is None:
        raise ValueError(
            f"The text of the block “{reference.name}” ({reference.sha256[:12]}…) is not in this library: open its "
            "file in the builder, under “Blocks”."
        )
    if block.reference != reference:
        raise ValueError(f"The design says of the block “{reference.name}” what its text does not: choose it again.")
    return block


def find_in(design: HasBlocks, place: str) -> CustomBlock | None:
    """Return the custom block in a place of a design; None if that is built in. Raises as `find_block`."""
    reference = blocks_of(design).get(place)
    if reference is None:
        return None
    block = find_block(reference)
    if block.slot != place:
        raise ValueError(f"The block “{block.title}” is for {block.slot}, not for {place}: choose another.")
    return block


@lru_cache(maxsize=256)
def _kept_text(path: str, sha256: str, stamp: int) -> CustomBlock | None:
    try:
        with open(path, "rb") as file:
            source = decode_source(file.read(MAX_BYTES + 1), Path(path).name)
        return read_block(source) if sha256_of(source) == sha256 else None
    except (OSError, ValueError):
        return None


def _kept(path: str, sha256: str) -> CustomBlock | None:
    try:
        return _kept_text(path, sha256, os.stat(path).st_mtime_ns)
    except OSError:
        return None


def _text_path(sha256: str) -> Path:
    assert _HASH.fullmatch(sha256)
    return blocks_folder() / "texts" / f"{sha256}.py"


# -- Consent -----------------------------------------------------------------------------------------------------------


def consent_file() -> Path:
    """Return the file of consent, outside of the library."""
    return Path(user_config_dir("Terrarium", appauthor=False)) / "allowed-blocks.json"


def is_allowed(block: CustomBlock) -> bool:
    """Return whether this exact text may run on this computer."""
    sha256 = block.sha256
    return sha256 in os.environ.get(TRUST_VARIABLE, "").split(",") or sha256 in _allowed()


def check_allowed(block: CustomBlock) -> None:
    """Raise NotAllowedError unless this exact text may run on this computer."""
    if not is_allowed(block):
        raise NotAllowedError(
            f"The block “{block.title}” is a program that was not allowed on this computer yet: read and allow it in "
            f"the builder, under “Blocks”, or add to the command: --trust-block {block.sha256}."
        )


def allow(block: CustomBlock) -> None:
    """Record the user's consent to this exact text, which was shown to them."""
    entries = {**_allowed(), block.sha256: {"name": block.name, "when": datetime.now(UTC).isoformat("T", "seconds")}}
    atomic_write_json(consent_file(), {"allowed": entries})


def withdraw(sha256: str) -> None:
    """Take the consent to a text back."""
    atomic_write_json(consent_file(), {"allowed": {key: value for key, value in _allowed().items() if key != sha256}})


def _allowed() -> Mapping[str, object]:
    path = consent_file()
    if not path.exists():
        return {}
    try:
        entries = read_json(path).get("allowed", {})
    except ValueError:  # damaged: nothing is allowed, and the user is asked again
        return {}
    return entries if isinstance(entries, dict) else {}


def block_problems(design: HasBlocks) -> list[Problem]:
    """Return why a design's custom blocks cannot be built on this computer; [] if they can. Nothing of them runs."""
    found = []
    for place in blocks_of(design):
        try:
            _check_place(design, place)
        except ValueError as error:
            found.append(Problem(BLOCK_SLOTS[place], str(error)))
    return found


def check_blocks(design: HasBlocks) -> None:
    """Raise ValueError if a design's custom blocks cannot be built on this computer. Nothing of them runs."""
    for place in blocks_of(design):
        _check_place(design, place)


def _check_place(design: HasBlocks, place: str) -> None:
    block = find_in(design, place)
    assert block is not None
    block.values(options_in(design, place))
    check_allowed(block)
