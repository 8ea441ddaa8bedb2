"""Designs as JSON files: a ModelConfig in, a ModelConfig out, and one sentence for each way a file can be wrong."""

from __future__ import annotations

import difflib
import json
import reprlib
from dataclasses import fields
from pathlib import Path
from typing import Any

from models.files.atomic import atomic_write_json
from models.settings.model_config import ModelConfig, upgraded

MOST_BYTES = 1_000_000
"""A design has some two thousand; what is larger is another kind of file, and is not read into memory."""
_MEND = "mend it in a text editor, or export the design again"


def write_design(path: Path, config: ModelConfig) -> None:
    """Write an architecture as JSON that `read_design` gives back."""
    atomic_write_json(path, config.to_dict())


def read_design(path: Path) -> ModelConfig:
    """The architecture in a JSON file.

    Raises:
        ValueError: where the file is missing, no JSON, not a design or an illegal one: a sentence that names the file,
            what is wrong with it, and what to do.
    """
    data = _parsed(path)
    if not isinstance(data, dict):
        raise ValueError(f"{path} holds no design: a design is a JSON object of slots, like one that was exported.")
    if "model_type" in data or "architectures" in data:
        raise ValueError(
            f"{path} is a Hugging Face configuration, not a design: import its folder with “terrarium import”."
        )
    known = [f.name for f in fields(ModelConfig)]
    unknown = [key for key in data if key not in known]
    if unknown:
        raise ValueError(_unknown_sentence(path, unknown, known))
    return ModelConfig.from_dict(upgraded(data), where=str(path))


def _parsed(path: Path) -> Any:
    data = _bytes(path)
    try:
        return json.loads(data, object_pairs_hook=_each_once)
    except _TwiceError as error:
        raise ValueError(f"{path} has the slot {reprlib.repr(error.args[0])} twice: take one of them out.") from error
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is no text in UTF-8, so it holds no design: choose another file.") from error
    except json.JSONDecodeError as error:
        if not data.strip():
            raise ValueError(f"{path} is empty: delete it, or export the design again.") from error
        raise ValueError(f"{path} is no valid JSON (line {error.lineno}, column {error.colno}): {_MEND}.") from error
    except ValueError as error:  # a number with thousands of digits
        raise ValueError(f"{path} holds a number that is too long to read: {_MEND}.") from error
    except RecursionError as error:
        raise ValueError(f"{path} holds no design: its lists are too deep. Choose another file.") from error


class _TwiceError(ValueError):
    """The name that stands twice in an object of a file."""


def _each_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """The object of these pairs; the JSON of Python itself would leave out all but the last of a name."""
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise _TwiceError(key)
        found[key] = value
    return found


def _bytes(path: Path) -> bytes:
    try:
        if path.is_dir():
            raise ValueError(f"{path} is a folder: choose a JSON file in it.")
        size = path.stat().st_size
        if size > MOST_BYTES:
            raise ValueError(
                f"{path} holds no design: it has {size:,} bytes and a design a few thousand. Choose another file."
            )
        return path.read_bytes()
    except FileNotFoundError:
        raise ValueError(f"{path} is missing: it may have been moved or deleted.") from None
    except OSError as error:
        raise ValueError(f"{path} cannot be read ({error.strerror}): check that you may read it.") from error


def _unknown_sentence(path: Path, unknown: list[str], known: list[str]) -> str:
    key = unknown[0] if len(unknown[0]) <= 40 else f"{unknown[0][:40]}…"
    near = difflib.get_close_matches(unknown[0][:100], known, n=1)
    remedy = f"did you mean {near[0]!r}? Rename it or take it out" if near else "take it out"
    more = f" (and {len(unknown) - 1} more like it)" if len(unknown) > 1 else ""
    return f"{path} has a slot {key!r} that no design has{more}: {remedy}."
