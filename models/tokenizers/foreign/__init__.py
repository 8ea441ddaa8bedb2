"""Tokenizers from elsewhere, read so that their ids are those of their own libraries, or refused. No torch."""

from models.tokenizers.foreign.importing import import_tokenizer
from models.tokenizers.foreign.patterns import PATTERNS, PatternUnknownError
from models.tokenizers.foreign.reading import FORMS, Foreign, find_tokenizer_file, read_foreign

__all__ = [
    "FORMS",
    "PATTERNS",
    "Foreign",
    "PatternUnknownError",
    "find_tokenizer_file",
    "import_tokenizer",
    "read_foreign",
]
