"""A tokenizer in the library."""

from __future__ import annotations

import pytest
from tokenizers import Tokenizer

from models.library.library import Library
from models.tokenizers.store import save_tokenizer


@pytest.fixture
def byte_tokenizer_name(library: Library, byte_tokenizer: Tokenizer) -> str:
    save_tokenizer(byte_tokenizer, library, "bytes", {})
    return "bytes"
