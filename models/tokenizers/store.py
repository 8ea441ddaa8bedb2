"""Tokenizers on disk: a folder with tokenizer.json (Hugging Face format) and about.json (its origin)."""

from __future__ import annotations

import shutil
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer

from terrarium.models.events import result_of
from terrarium.models.files.atomic import atomic_write_json, atomic_write_text, read_json, replace_path
from terrarium.models.library.library import Library, safe_name
from terrarium.models.tokenizers.making.train import tokenizer_kind


def save_tokenizer(tokenizer: Tokenizer, library: Library, name: str, about: dict[str, Any]) -> Path:
    """Save a tokenizer in the library under a new name; returns its folder.

    Raises:
        ValueError: if the name is invalid or taken.
    """
    folder = library.tokenizers / safe_name(name)
    if folder.exists():
        raise ValueError(f"There is a tokenizer called {folder.name} already: choose another name.")
    write_tokenizer(tokenizer, folder, about)
    return folder


def write_tokenizer(tokenizer: Tokenizer, folder: Path, about: dict[str, Any]) -> dict[str, Any]:
    """Write both files into `folder`, each atomically; returns the content of about.json.

    about: the origin of the tokenizer; its name, kind and size are added.
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


def rename_tokenizer(library: Library, name: str, new_name: str) -> str:
    """Rename a tokenizer of the library; returns the new name. Runs have copies of their own.

    Raises:
        ValueError: if the new name is taken or invalid, or the tokenizer is gone.
    """
    new_name = safe_name(new_name)
    old, new = library.tokenizers / safe_name(name), library.tokenizers / new_name
    if not old.is_dir():
        raise ValueError(f"{old} is missing: it may have been moved or deleted.")
    if new.exists() and not new.samefile(old):  # case-insensitive file systems
        raise ValueError(f"There is a tokenizer called {new_name!r} already: choose another name.")
    replace_path(old, new)
    update_about(new, {"name": new_name})
    return new_name


def duplicate_tokenizer(library: Library, name: str) -> str:
    """Copy a tokenizer of the library; returns the name of the copy. Its about.json names the original.

    Raises:
        ValueError: if it is gone or cannot be read.
    """
    old = library.tokenizers / safe_name(name)
    about = read_about(old)
    copy = library.free_name(library.tokenizers, name)
    tokenizer = read_tokenizer(old / "tokenizer.json")
    kept = {key: value for key, value in about.items() if key not in ("format", "name", "created")}
    write_tokenizer(tokenizer, library.tokenizers / copy, {**kept, "copy_of": name})
    for file in old.iterdir():  # files of an imported one, such as its chat template
        if file.is_file() and not (library.tokenizers / copy / file.name).exists():
            shutil.copyfile(file, library.tokenizers / copy / file.name)
    return copy


def read_about(folder: Path) -> dict[str, Any]:
    """Return the origin of a tokenizer (about.json); empty if the file is missing.

    Raises:
        ValueError: if about.json is damaged.
    """
    file = folder / "about.json"
    return read_json(file) if file.exists() else {}


def read_template(folder: Path) -> str:
    """Return the chat template of an imported tokenizer; "" if it has none, or it cannot be read."""
    try:
        return (folder / "chat_template.jinja").read_text(encoding="utf-8")
    except (OSError, UnicodeError):
        return ""


def update_about(folder: Path, facts: dict[str, Any]) -> None:
    """Update fields of a tokenizer's about.json."""
    atomic_write_json(folder / "about.json", {**read_about(folder), **facts})


def load_tokenizer(where: str | Path, library: Library) -> Tokenizer:
    """Load a tokenizer by the path of its folder or file, or by its name in the library.

    Raises:
        ValueError: if it does not exist or the file is damaged; the message names the file.
    """
    from terrarium.models.tokenizers.foreign.isolated_reading import read_isolated

    path = find_tokenizer(where, library)
    if library.home.resolve() in path.resolve().parents:
        return read_tokenizer(path)
    return result_of(read_isolated(path)).tokenizer


def find_tokenizer(where: str | Path, library: Library) -> Path:
    """Return the tokenizer file (tokenizer.json or another format) of a path or a library name.

    Raises:
        ValueError: if it does not exist.
    """
    from terrarium.models.tokenizers.foreign.foreign_files import find_tokenizer_file

    candidates = [Path(where).expanduser()]
    if candidates[0].name == str(where):
        candidates.append(library.tokenizers / str(where))
    for path in candidates:
        if path.is_file():
            return path
        if (path / "tokenizer.json").is_file():
            return path / "tokenizer.json"
        foreign = find_tokenizer_file(path)
        if foreign is not None:
            return foreign
    names = sorted(folder.name for folder in library.tokenizers.glob("*/") if (folder / "tokenizer.json").is_file())
    known = f"the library has {', '.join(names)}" if names else "the library has none yet"
    raise ValueError(f"There is no tokenizer at {where!s}: give a folder, a file or a name; {known}.")


def read_tokenizer(path: Path) -> Tokenizer:
    """Read a tokenizer.json of the library with truncation and padding switched off; other files by `read_isolated`.

    Raises:
        ValueError: if it cannot be read or is not a tokenizer.
    """
    if path.name != "tokenizer.json":
        from terrarium.models.tokenizers.foreign.isolated_reading import read_isolated

        return result_of(read_isolated(path)).tokenizer
    try:
        tokenizer = Tokenizer.from_str(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ValueError(f"{path} cannot be read: {error.strerror or error}.") from error
    except Exception as error:  # the Rust library raises plain Exception
        raise ValueError(f"{path} is damaged or not a tokenizer ({error}).") from error
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer
