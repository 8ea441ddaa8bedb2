"""The format of a run in one file: its content, the names in it, and limits on its size. No torch import.

NAME.terrarium is a zip: the files of a run's folder under the same names, conversations in chats/, and manifest.json
`{format, program, created, run, files: {name: {sha256, size}}}`, which lists all other files.
"""

from __future__ import annotations

import re
from pathlib import PurePosixPath, PureWindowsPath
from typing import Any

from terrarium.models.custom_blocks.carried import FILE as BLOCK
from terrarium.models.custom_blocks.carried import FOLDER as BLOCKS
from terrarium.models.custom_blocks.manifest import MAX_BYTES as MAX_BLOCK_BYTES
from terrarium.models.library.library import safe_name
from terrarium.models.library.run_notes import CORRECTIONS_FILE as CORRECTIONS
from terrarium.models.library.run_notes import NOTES_FILE as NOTES
from terrarium.models.runs.checkpoint_state import BASE
from terrarium.models.settings.align_spec import REWARD_MODELS

SUFFIX = ".terrarium"
RUN_FILE = "terrarium"
"""The format of `source` in the lineage of a run unpacked from such a file."""
FORMAT = 1
MANIFEST = "manifest.json"
CHATS = "chats"

WEIGHTS = (".safetensors", ".gguf")
"""The suffixes of files stored uncompressed, since compression gains nothing; the rest is text, and is compressed."""

MAX_FILES = 10_000
MAX_MANIFEST_BYTES = 1 << 24
MAX_TEXT_BYTES = 4 << 30
"""Size limit of a text file; the metrics of a million steps take a twentieth of it."""
MAX_BYTES = 1 << 39
"""Size limit of all files together."""
MAX_RATIO = 100
"""Limit on the compression ratio of a text of more than a megabyte; that of logs is 3 to 20."""

_PLACE = re.compile(rf"(scores|replies|{'|'.join(REWARD_MODELS.values())}|{BASE}|{CHATS}|checkpoints/step-\d{{8,12}})")
_ENDINGS = (".json", ".jsonl", *WEIGHTS)
_WORDS = ("prompts",)
"""Settings that contain the user's own text, which is not changed even if it looks like a path."""


def is_known(name: str) -> bool:
    """Return whether a file of this name, with “/” between its parts, can be in a run's file.

    Only the kinds of files that a run has, in one of its folders. Refuses names that lead out of the folder, that are
    no valid file name on some system, or that are reserved there.
    """
    *folders, file = name.split("/")
    if folders == [BLOCKS]:
        return bool(BLOCK.fullmatch(file))
    if folders and not _PLACE.fullmatch("/".join(folders)):
        return False
    try:
        return safe_name(file) == file and file.endswith(_ENDINGS) and name not in (MANIFEST, NOTES, CORRECTIONS)
    except ValueError:
        return False


def size_limit(name: str) -> int:
    """Return the maximum size of a text file in bytes."""
    if name.startswith(f"{BLOCKS}/"):
        return MAX_BLOCK_BYTES
    return MAX_MANIFEST_BYTES if name == MANIFEST else MAX_TEXT_BYTES


def is_text(name: str) -> bool:
    """Return whether a file of this name is text, which is compressed."""
    return not name.endswith(WEIGHTS)


def without_folders(value: Any) -> Any:
    """Return a part of run.json with absolute paths reduced to file names, so that it reveals no user's folders."""
    if isinstance(value, dict):
        return {key: each if key in _WORDS else without_folders(each) for key, each in value.items()}
    if isinstance(value, list):
        return [without_folders(each) for each in value]
    if isinstance(value, str):
        for path in (PurePosixPath(value), PureWindowsPath(value)):
            if path.is_absolute() and len(path.parts) > 1:
                return path.name
    return value
