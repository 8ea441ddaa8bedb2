"""Tokenizers trained in the process of the test: their child is proved elsewhere, and takes half a second to start."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from pathlib import Path
from typing import Any

from models.events import Event, Phase
from models.tokenizers import read_texts, train_tokenizer, write_tokenizer


def train_here(
    files: Sequence[Path], kind: str, vocab_size: int, out_dir: Path
) -> Generator[Event, None, dict[str, Any]]:
    """As `train_in_child`, for small texts."""
    yield Phase(name="Training the tokenizer")
    return write_tokenizer(train_tokenizer(read_texts(files), kind, vocab_size), out_dir, {})
