"""Fetching a tokenizer's files from the Hugging Face hub, or from what was fetched of it before."""

from __future__ import annotations

import re
from pathlib import Path

_NAME = re.compile(r"[A-Za-z0-9][\w.-]*(/[\w.-]+)?")
_FILES = [
    *("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json", "chat_template.jinja"),
    *("vocab.json", "merges.txt", "vocab.txt", "tokenizer.model", "spiece.model", "sentencepiece.bpe.model"),
    "*.tiktoken",
]
"""All that is fetched: no weights."""

_TIMEOUT_S = 10


def is_hub_name(text: str) -> bool:
    """Whether it can be a name on the hub, as “openai-community/gpt2”."""
    return _NAME.fullmatch(text) is not None


def fetch(name: str) -> Path:
    """The folder with the tokenizer's files of the model called `name`.

    Raises:
        ValueError: where there is no such model, it may not be read, or the hub cannot be reached.
    """
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(name, allow_patterns=_FILES, etag_timeout=_TIMEOUT_S))
    except (OSError, ValueError) as error:
        raise ValueError(f"{name!r} is no file or folder here, and {_reason(name, error)}") from error


def _reason(name: str, error: Exception) -> str:
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
