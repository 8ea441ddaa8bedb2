"""Keeping a tokenizer from elsewhere in the library: as a tokenizer.json, with what is known of where it comes from."""

from __future__ import annotations

import hashlib
from pathlib import Path

from models.files.atomic import atomic_write_text
from models.library.library import Library
from models.tokenizers.foreign.hub import fetch, is_hub_name
from models.tokenizers.foreign.reading import read_foreign
from models.tokenizers.store import save_tokenizer


def import_tokenizer(source: str | Path, library: Library, name: str = "", *, pattern: str = "") -> str:
    """Keep the tokenizer in a file, a folder or of a name on the Hugging Face hub; returns its name in the library.

    Args:
        name: what to call it; "" for what the source is called, with a number where that is taken.
        pattern: as for `read_foreign`.

    Raises:
        ValueError: where it cannot be read exactly or fetched, or the name is taken or impossible.
    """
    path = Path(source).expanduser()
    fetched_from = ""
    if not path.exists() and is_hub_name(str(source)):
        fetched_from = str(source)
        path = fetch(fetched_from)
    path = path.absolute()
    found = read_foreign(path, pattern)
    name = name or library.free_name(library.tokenizers, _called(path, fetched_from))
    about = {
        "imported_from": f"{fetched_from} on the Hugging Face hub" if fetched_from else str(path),
        "form": found.form,
        "sha256": _digests(found.files),
        **found.marks,
        "assumptions": list(found.assumptions),
    }
    folder = save_tokenizer(found.tokenizer, library, name, about)
    if found.template:
        atomic_write_text(folder / "chat_template.jinja", found.template)
    return folder.name


def _called(path: Path, fetched_from: str) -> str:
    """What a source is called: by its folder where its file is called as all of its kind are."""
    if fetched_from:
        return fetched_from.rpartition("/")[2]
    if path.is_dir() or path.stem in ("tokenizer", "vocab", "merges", "spiece", "sentencepiece.bpe", "sentencepiece"):
        return path.name if path.is_dir() else path.parent.name
    return path.stem


def _digests(files: tuple[Path, ...]) -> str:
    """The SHA-256 of what was read; with names where there are more files than one."""
    found = []
    for file in files:
        with file.open("rb") as stream:
            digest = hashlib.file_digest(stream, "sha256").hexdigest()
        found.append(digest + (f"  {file.name}" if len(files) > 1 else ""))
    return "\n".join(found)
