"""Import of tokenizers into the library, as a tokenizer.json with a record of its origin."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Generator
from pathlib import Path

from terrarium.models.events import Event, result_of
from terrarium.models.files.atomic import atomic_write_text
from terrarium.models.library.library import Library
from terrarium.models.tokenizers.foreign.isolated_reading import read_isolated
from terrarium.models.tokenizers.store import save_tokenizer

_HUB_NAME = re.compile(r"[A-Za-z0-9][\w.-]*(/[\w.-]+)?")
TOKENIZER_FILES = (
    *("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json", "chat_template.jinja"),
    *("vocab.json", "merges.txt", "vocab.txt", "tokenizer.model", "spiece.model", "sentencepiece.bpe.model"),
    *("tekken.json", "*.model.v*", "encoder.json", "vocab.bpe", "*.tiktoken"),
)
"""File name patterns of tokenizer files, for downloads."""

_TIMEOUT_S = 10
_STANDARD_STEMS = ("tokenizer", "vocab", "merges", "spiece", "sentencepiece.bpe", "sentencepiece", "tekken", "encoder")
_VERSION = re.compile(r"(.+)\.model\.(v\w+)")
"""The end of the names of Mistral's files, “tokenizer.model.v3”."""


def import_tokenizer(source: str | Path, library: Library, name: str = "", *, pattern: str = "") -> str:
    """Run `import_tokenizer_events` to its end and return its result."""
    return result_of(import_tokenizer_events(source, library, name, pattern=pattern))


def import_tokenizer_events(
    source: str | Path, library: Library, name: str = "", *, pattern: str = ""
) -> Generator[Event, None, str]:
    """Import a tokenizer from a file, a folder or the Hugging Face hub; returns its name in the library.

    Yields Progress of unknown extent; closing it leaves nothing.

    Args:
        name: its new name; "" for the name of the source, with a number if that is taken.
        pattern: as for `read_foreign`.

    Raises:
        ValueError: if it cannot be read exactly or downloaded, or the name is taken or invalid.
    """
    path = Path(source).expanduser()
    fetched_from = ""
    if not path.exists() and _is_hub_name(str(source)):
        fetched_from = str(source)
        path = _fetch(fetched_from)
    path = path.absolute()
    found = yield from read_isolated(path, pattern)
    name = name or library.free_name(library.tokenizers, _called(path, fetched_from))
    about = {
        "imported_from": f"{fetched_from} on the Hugging Face hub" if fetched_from else str(path),
        "form": found.form,
        "sha256": _digests(found.files),
        **found.named_tokens,
        "assumptions": list(found.assumptions),
    }
    folder = save_tokenizer(found.tokenizer, library, name, about)
    if found.template:
        atomic_write_text(folder / "chat_template.jinja", found.template)
    return folder.name


def _called(path: Path, fetched_from: str) -> str:
    """Return the default name of a source: the name of its folder if the file has a standard name."""
    if fetched_from:
        return fetched_from.rpartition("/")[2]
    if path.is_dir():
        return path.name
    if path.stem in _STANDARD_STEMS:
        return path.parent.name
    versioned = _VERSION.fullmatch(path.name)
    return f"{versioned[1]}-{versioned[2]}" if versioned else path.stem


def _digests(files: tuple[Path, ...]) -> str:
    """Return the SHA-256 of the files read, with their names if there are several."""
    found = []
    for file in files:
        with file.open("rb") as stream:
            digest = hashlib.file_digest(stream, "sha256").hexdigest()
        found.append(digest + (f"  {file.name}" if len(files) > 1 else ""))
    return "\n".join(found)


def _is_hub_name(text: str) -> bool:
    """Return whether a text looks like a name on the hub, such as “openai-community/gpt2”."""
    return _HUB_NAME.fullmatch(text) is not None


def _fetch(name: str) -> Path:
    """Download the tokenizer files of a model; returns their folder.

    Raises:
        ValueError: if there is no such model, it may not be read, or the hub cannot be reached.
    """
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(name, allow_patterns=[*TOKENIZER_FILES], etag_timeout=_TIMEOUT_S))
    except (OSError, ValueError) as error:
        raise ValueError(f"{name!r} is not a local file or folder, and {_why_not(name, error)}") from error


def _why_not(name: str, error: Exception) -> str:
    """Why the download failed, as the rest of a sentence."""
    kinds = {kind.__name__ for kind in type(error).__mro__}  # the library moves these classes between its modules
    if "GatedRepoError" in kinds:
        return (
            "the model on the Hugging Face hub is gated: accept its terms at "
            f"https://huggingface.co/{name}, log in with “hf auth login”, and try again."
        )
    if "RepositoryNotFoundError" in kinds or "HFValidationError" in kinds:
        return "the Hugging Face hub has no public model of that name: check its spelling."
    if kinds & {"LocalEntryNotFoundError", "OfflineModeIsEnabled", "ConnectionError", "ConnectError"}:
        return (
            "the Hugging Face hub cannot be reached: connect to the internet, or download the model's "
            "folder on another machine and import it."
        )
    reason = str(error).splitlines()[0] if str(error) else type(error).__name__
    return f"the download from the Hugging Face hub failed ({reason})."
