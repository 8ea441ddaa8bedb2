"""A run in one file: what is in it, under which names, and how much of it there can be. No torch import.

NAME.terrarium is a zip: the files of a run's folder under their names there, conversations in chats/, and manifest.json
`{format, program, created, run, files: {name: {sha256, size}}}`, which lists all the others.
"""

from __future__ import annotations

import re
from pathlib import PurePosixPath, PureWindowsPath
from typing import Any

from terrarium.models.library.library import safe_name
from terrarium.models.library.run_corrections import FILE as CORRECTIONS
from terrarium.models.library.run_notes import FILE as NOTES
from terrarium.models.runs.checkpoint_state import BASE
from terrarium.models.settings.align_spec import REWARD_MODELS

SUFFIX = ".terrarium"
RUN_FILE = "terrarium"
"""The format of the source in the lineage of a run that came out of one."""
FORMAT = 1
MANIFEST = "manifest.json"
CHATS = "chats"

WEIGHTS = (".safetensors", ".gguf")
"""What is stored as it is, since compression gains nothing; the rest is text, and is compressed."""

MAX_FILES = 10_000
MAX_MANIFEST_BYTES = 1 << 24
MAX_TEXT_BYTES = 4 << 30
"""Of one file that is text; the metrics of a million steps have a twentieth of it."""
MAX_BYTES = 1 << 39
"""Of all files together."""
MAX_RATIO = 100
"""How many times as large a text can be as it is in the zip, where it has more than a megabyte; logs have 3 to 20."""

_PLACE = re.compile(rf"(scores|replies|{'|'.join(REWARD_MODELS.values())}|{BASE}|{CHATS}|checkpoints/step-\d{{8,12}})")
_ENDINGS = (".json", ".jsonl", *WEIGHTS)
_WORDS = ("prompts",)
"""Settings that hold what somebody wrote, whatever it looks like."""


def is_known(name: str) -> bool:
    """Whether a file of this name, with “/” between its parts, can be in a run's file.

    That is one of the kinds that a run has, in one of its folders; no name that leads out of the run, that some system
    does not take for a file's, or that has a meaning to the system.
    """
    *folders, file = name.split("/")
    if folders and not _PLACE.fullmatch("/".join(folders)):
        return False
    try:
        return safe_name(file) == file and file.endswith(_ENDINGS) and name not in (MANIFEST, NOTES, CORRECTIONS)
    except ValueError:
        return False


def is_text(name: str) -> bool:
    """Whether a file of this name is compressed."""
    return not name.endswith(WEIGHTS)


def without_folders(value: Any) -> Any:
    """A part of run.json in which absolute paths are names only: where files lie is nobody else's business."""
    if isinstance(value, dict):
        return {key: each if key in _WORDS else without_folders(each) for key, each in value.items()}
    if isinstance(value, list):
        return [without_folders(each) for each in value]
    if isinstance(value, str):
        for path in (PurePosixPath(value), PureWindowsPath(value)):
            if path.is_absolute() and len(path.parts) > 1:
                return path.name
    return value
