"""Tokenizers on disk: a folder with tokenizer.json (Hugging Face format) and about.json (what it was made from)."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer

from models.files import atomic_write_json, atomic_write_text
from models.library import Library, safe_name
from models.tokenizers.train import tokenizer_kind


def save_tokenizer(tokenizer: Tokenizer, library: Library, name: str, about: dict[str, Any]) -> Path:
    """Keep a tokenizer in the library under a new name; returns its folder.

    Raises:
        ValueError: where the name cannot be a folder's, or is taken.
    """
    folder = library.tokenizers / safe_name(name)
    if folder.exists():
        raise ValueError(f"There is a tokenizer called {folder.name} already: choose another name.")
    write_tokenizer(tokenizer, folder, about)
    return folder


def write_tokenizer(tokenizer: Tokenizer, folder: Path, about: dict[str, Any]) -> dict[str, Any]:
    """Write both files into `folder`, each at once, and return what about.json says.

    `about` is what the tokenizer was made from; its name, kind and size are added.
    """
    facts: dict[str, Any] = {
        "format": 1,
        "name": folder.name,
        "kind": tokenizer_kind(tokenizer),
        "vocab_size": tokenizer.get_vocab_size(),
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    atomic_write_text(folder / "tokenizer.json", tokenizer.to_str(pretty=True))
    facts |= about
    atomic_write_json(folder / "about.json", facts)
    return facts


def load_tokenizer(where: str | Path, library: Library) -> Tokenizer:
    """Load a tokenizer by the path of its folder or file, or by its name in the library.

    Raises:
        ValueError: where there is none, or the file is broken; it names the file.
    """
    return read_tokenizer(find_tokenizer(where, library))


def find_tokenizer(where: str | Path, library: Library) -> Path:
    """The tokenizer.json (or other file) that a path or a name stands for.

    Raises:
        ValueError: where there is none.
    """
    candidates = [Path(where).expanduser()]
    if candidates[0].name == str(where):
        candidates.append(library.tokenizers / str(where))
    for path in candidates:
        if path.is_file():
            return path
        if (path / "tokenizer.json").is_file():
            return path / "tokenizer.json"
    names = sorted(folder.name for folder in library.tokenizers.glob("*/") if (folder / "tokenizer.json").is_file())
    known = f"the library has {', '.join(names)}" if names else "the library has none yet"
    raise ValueError(f"There is no tokenizer at {where!s}: give a folder, a tokenizer.json or a name; {known}.")


def read_tokenizer(path: Path) -> Tokenizer:
    """Read one tokenizer.json.

    Raises:
        ValueError: where it cannot be read or is no tokenizer.
    """
    try:
        return Tokenizer.from_str(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ValueError(f"{path} cannot be read: {error.strerror or error}.") from error
    except Exception as error:  # what the Rust library raises is of no narrower class
        raise ValueError(f"{path} is no tokenizer file, or a broken one ({error}): train it again.") from error
