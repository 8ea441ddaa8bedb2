"""Keeping a tokenizer from elsewhere in the library: as a tokenizer.json, with what is known of where it comes from."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

from models.files.atomic import atomic_write_text
from models.library.library import Library
from models.tokenizers.foreign.reading import read_foreign
from models.tokenizers.store import save_tokenizer

_HUB_NAME = re.compile(r"[A-Za-z0-9][\w.-]*(/[\w.-]+)?")
_FETCHED = [
    *("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json", "chat_template.jinja"),
    *("vocab.json", "merges.txt", "vocab.txt", "tokenizer.model", "spiece.model", "sentencepiece.bpe.model"),
    "*.tiktoken",
]
"""All that is fetched: no weights."""

_TIMEOUT_S = 10


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
    if not path.exists() and _is_hub_name(str(source)):
        fetched_from = str(source)
        path = _fetch(fetched_from)
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


def _is_hub_name(text: str) -> bool:
    """Whether it can be a name on the hub, as “openai-community/gpt2”."""
    return _HUB_NAME.fullmatch(text) is not None


def _fetch(name: str) -> Path:
    """The folder with the tokenizer's files of the model called `name`.

    Raises:
        ValueError: where there is no such model, it may not be read, or the hub cannot be reached.
    """
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(name, allow_patterns=_FETCHED, etag_timeout=_TIMEOUT_S))
    except (OSError, ValueError) as error:
        raise ValueError(f"{name!r} is no file or folder here, and {_why_not(name, error)}") from error


def _why_not(name: str, error: Exception) -> str:
    """Why it did not come from the hub, as the rest of a sentence."""
    kinds = {kind.__name__ for kind in type(error).__mro__}  # the library moves these classes between its modules
    if "GatedRepoError" in kinds:
        return (
            "on the Hugging Face hub its owner wants terms accepted first: do so at "
            f"https://huggingface.co/{name}, log in with “hf auth login”, and try again."
        )
    if "RepositoryNotFoundError" in kinds or "HFValidationError" in kinds:
        return "the Hugging Face hub has no public model of that name: check its spelling."
    if kinds & {"LocalEntryNotFoundError", "OfflineModeIsEnabled", "ConnectionError", "ConnectError"}:
        return (
            "the Hugging Face hub cannot be reached to look it up there: connect to the internet, or download the "
            "model's folder elsewhere and import that."
        )
    return (
        f"the Hugging Face hub did not give it ({str(error).splitlines()[0] if str(error) else type(error).__name__})."
    )
