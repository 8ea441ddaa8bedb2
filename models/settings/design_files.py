"""Reading and writing designs as JSON files, with a specific message for each kind of mistake."""

from __future__ import annotations

import difflib
import json
import reprlib
from dataclasses import fields
from pathlib import Path
from typing import Any

from terrarium.models.files.atomic import atomic_write_json
from terrarium.models.settings.model_config import ModelConfig, upgraded

MAX_BYTES = 1_000_000
"""The size limit; a design has about two thousand bytes, so a larger file is not read."""
_REMEDY = "fix it in a text editor, or export the design again"


def write_design(path: Path, config: ModelConfig) -> None:
    """Write an architecture as JSON, for `read_design`."""
    atomic_write_json(path, config.to_dict())


def read_design(path: Path) -> ModelConfig:
    """Return the architecture in a JSON file.

    Raises:
        ValueError: if the file is missing, not JSON, or not a valid design; names the file, the mistake and the remedy.
    """
    data = _parsed(path)
    if not isinstance(data, dict):
        raise ValueError(f"{path} is not a design: a design is a JSON object of settings, as Terrarium exports it.")
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
        return json.loads(data, object_pairs_hook=_reject_duplicates)
    except _DuplicateKeyError as error:
        raise ValueError(f"{path} has the setting {reprlib.repr(error.args[0])} twice: delete one of them.") from error
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is not UTF-8 text, so it is not a design: choose another file.") from error
    except json.JSONDecodeError as error:
        if not data.strip():
            raise ValueError(f"{path} is empty: delete it, or export the design again.") from error
        raise ValueError(f"{path} is not valid JSON (line {error.lineno}, column {error.colno}): {_REMEDY}.") from error
    except ValueError as error:  # a number with thousands of digits
        raise ValueError(f"{path} contains a number that is too long to read: {_REMEDY}.") from error
    except RecursionError as error:
        raise ValueError(f"{path} is not a design: its lists are nested too deeply. Choose another file.") from error


class _DuplicateKeyError(ValueError):
    """A key occurs twice in a JSON object."""


def _reject_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Build the dict of a JSON object; raises for duplicate keys, of which Python's json silently keeps the last."""
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise _DuplicateKeyError(key)
        found[key] = value
    return found


def _bytes(path: Path) -> bytes:
    try:
        if path.is_dir():
            raise ValueError(f"{path} is a folder: choose a JSON file in it.")
        size = path.stat().st_size
        if size > MAX_BYTES:
            raise ValueError(
                f"{path} is not a design: it has {size:,} bytes, and a design a few thousand. Choose another file."
            )
        return path.read_bytes()
    except FileNotFoundError:
        raise ValueError(f"{path} is missing: it may have been moved or deleted.") from None
    except OSError as error:
        raise ValueError(f"{path} cannot be read ({error.strerror}): check its permissions.") from error


def _unknown_sentence(path: Path, unknown: list[str], known: list[str]) -> str:
    key = unknown[0] if len(unknown[0]) <= 40 else f"{unknown[0][:40]}…"
    near = difflib.get_close_matches(unknown[0][:100], known, n=1)
    remedy = f"did you mean {near[0]!r}? Rename it or delete it" if near else "delete it"
    more = f" (and {len(unknown) - 1} more like it)" if len(unknown) > 1 else ""
    return f"{path} has a setting {key!r} that no design has{more}: {remedy}."
