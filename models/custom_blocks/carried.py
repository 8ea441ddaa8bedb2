"""The texts of blocks that a folder carries with a design: a run's, or an exported model's. No torch; nothing runs.

The folder `blocks` in it has each text as NAME-<the first 12 digits of its SHA-256>.py. What comes from there into the
library is identified by its hash, and brings no consent with it.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterable
from pathlib import Path

from terrarium.models.custom_blocks.manifest import MAX_BYTES, CustomBlock, decode_source, read_block
from terrarium.models.custom_blocks.store import find_block, has_text, keep_text
from terrarium.models.files.atomic import atomic_write_text
from terrarium.models.settings.block_references import NAME, BlockReference, HasBlocks, blocks_of

FOLDER = "blocks"
SUFFIX = ".py"
FILE = re.compile(rf"{NAME.pattern}-[0-9a-f]{{12}}\.py")
"""The name of a carried text."""


def file_name(reference: BlockReference) -> str:
    """Return the name of the file with the text that a design names."""
    return f"{reference.name}-{reference.sha256[:12]}{SUFFIX}"


def texts_of(designs: Iterable[HasBlocks]) -> dict[str, str]:
    """Return the texts that designs use, by the names of their files; ValueError if the library lacks one."""
    references = {reference for design in designs for reference in blocks_of(design).values()}
    return {file_name(reference): find_block(reference).source for reference in references}


def carry_texts(designs: Iterable[HasBlocks], folder: Path) -> None:
    """Write the texts that designs use into a folder; ValueError if the library lacks one."""
    for name, source in texts_of(designs).items():
        atomic_write_text(folder / FOLDER / name, source)


def repair_texts(design: HasBlocks, folder: Path) -> None:
    """Put texts of a design that the library lacks back into it from the folder that carries them, without consent.

    What is damaged or cannot be written is left out: who needs the text then says that it is not in the library.
    """
    for reference in blocks_of(design).values():
        if not has_text(reference):
            with contextlib.suppress(OSError, ValueError):
                keep_text(_read(folder / FOLDER / file_name(reference), reference))


def take_texts(designs: Iterable[HasBlocks], folder: Path) -> None:
    """Put all texts that a folder from elsewhere carries into the library, without consent.

    Raises:
        ValueError: if a file is not a text of these designs, its hash is another, or it is not a proper block.
        OSError: if the library cannot be written.
    """
    named = {file_name(reference): reference for design in designs for reference in blocks_of(design).values()}
    found = []
    for path in sorted((folder / FOLDER).iterdir()) if (folder / FOLDER).is_dir() else ():
        if path.name not in named:
            raise ValueError(f"{path} is no block of this model's design: get another copy.")
        found.append(_read(path, named[path.name]))
    for block in found:
        keep_text(block)


def _read(path: Path, reference: BlockReference) -> CustomBlock:
    """Read the text that a design names; ValueError if this is another, or no block."""
    if path.is_symlink() or not path.is_file():
        raise ValueError(f"{path} is not a file.")
    with path.open("rb") as file:
        source = decode_source(file.read(MAX_BYTES + 1), str(path))
    try:
        block = read_block(source)
    except ValueError as error:
        raise ValueError(f"{path} is not a proper block: {error}") from error
    if block.reference != reference:
        raise ValueError(f"{path} is damaged: it is not the block that the design names. Get another copy.")
    return block
