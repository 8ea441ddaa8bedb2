"""What tests of all recipes share."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from pathlib import Path
from typing import Any

import pytest

from terrarium.models.events import Event, Phase
from terrarium.models.tokenizers import read_texts, train_tokenizer, write_tokenizer
from terrarium.models.training import prepare


def train_here(
    files: Sequence[Path], kind: str, vocab_size: int, out_dir: Path
) -> Generator[Event, None, dict[str, Any]]:
    """As `train_in_child`, in this process: the child is proved elsewhere, and takes half a second to start."""
    yield Phase(name="Training the tokenizer")
    return write_tokenizer(train_tokenizer(read_texts(files), kind, vocab_size), out_dir, {})


@pytest.fixture(autouse=True)
def tokenizers_of_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prepare, "train_in_child", train_here)
