"""A tokenizer in the library."""

from __future__ import annotations

import pytest
from tokenizers import Tokenizer

from terrarium.models.library.library import Library
from terrarium.models.tokenizers.store import save_tokenizer


@pytest.fixture
def byte_tokenizer_name(library: Library, byte_tokenizer: Tokenizer) -> str:
    save_tokenizer(byte_tokenizer, library, "bytes", {})
    return "bytes"
