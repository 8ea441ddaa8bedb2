"""Caches the tokenizers of the library until their files change."""

from __future__ import annotations

from typing import TYPE_CHECKING

from terrarium.models.library.library import Library
from terrarium.models.tokenizers import load_tokenizer

if TYPE_CHECKING:
    from tokenizers import Tokenizer


class TokenizerCache:
    """Loads tokenizers by name; usable from any thread."""

    def __init__(self, library: Library) -> None:
        self._library = library
        self._loaded: dict[str, tuple[object, Tokenizer]] = {}

    def stamp(self, name: str) -> object:
        """Return a value that changes with the file; None if the file is missing."""
        try:
            status = (self._library.tokenizers / name / "tokenizer.json").stat()
        except OSError:
            return None
        return status.st_mtime_ns, status.st_size

    def load(self, name: str) -> Tokenizer:
        """Return a tokenizer; slow if it is large and not cached.

        Raises:
            ValueError: if it is missing or damaged.
        """
        stamp = self.stamp(name)
        kept = self._loaded.get(name)
        if kept is not None and kept[0] == stamp:
            return kept[1]
        tokenizer = load_tokenizer(name, self._library)
        self._loaded[name] = stamp, tokenizer
        return tokenizer
