"""What tests of all recipes share."""

from __future__ import annotations

import pytest

from models.training import prepare
from tests.models.tokenizer_here import train_here


@pytest.fixture(autouse=True)
def tokenizers_of_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prepare, "train_in_child", train_here)
