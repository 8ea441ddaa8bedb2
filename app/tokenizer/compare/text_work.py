"""Background work of the comparison: encodes the text with each tokenizer, and aligns and measures the tokens."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from terrarium.app.tokenizer.compare.text_grid import AlignedTokens, TextGrid
from terrarium.models.data.corpus_texts import CorpusTexts
from terrarium.models.events import Event, Progress
from terrarium.models.library.library import Library
from terrarium.models.tokenizers import load_tokenizer
from terrarium.models.tokenizers.codec import replace_surrogates
from terrarium.models.tokenizers.text.compare import Figures, measure
from terrarium.models.tokenizers.token_bytes import special_ids

if TYPE_CHECKING:
    from tokenizers import Tokenizer


MAX_DRAWN = 200_000
"""The maximum number of characters drawn, so that resizing the window stays fast."""


class TokenizerCache:
    """Loads tokenizers by name, and keeps them until their files change; usable from any thread."""

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


@dataclass(frozen=True, kw_only=True)
class ComparedText:
    """A text as tokens of several tokenizers, by name.

    Attributes:
        n_characters: of the whole text; the grid has only the first MAX_DRAWN.
        problems: errors of tokenizers that could not be loaded.
        has_specials: whether the text spells a special token of any of them.
    """

    grid: TextGrid
    n_characters: int
    tokens: dict[str, AlignedTokens] = field(default_factory=dict)
    figures: dict[str, Figures] = field(default_factory=dict)
    sizes: dict[str, int] = field(default_factory=dict)
    problems: dict[str, str] = field(default_factory=dict)
    has_specials: bool = False


def text_work(
    cache: TokenizerCache, names: Sequence[str], text: str, missing: frozenset[str]
) -> Callable[[], Generator[Event, None, ComparedText]]:
    """Return the work for a LatestTask that encodes the text with each tokenizer, special tokens in it as plain text.

    missing: the characters that no font has.
    """

    def work() -> Generator[Event, None, ComparedText]:
        whole = replace_surrogates(text)
        grid = TextGrid(whole[:MAX_DRAWN], missing)
        loaded, problems, tokens = {}, {}, {}
        for i, name in enumerate(names):
            yield Progress(done=i, total=len(names))
            try:
                loaded[name] = cache.load(name)
            except ValueError as error:
                problems[name] = str(error)
                continue
            tokens[name] = AlignedTokens(loaded[name], grid)
        figures = yield from measure(loaded, CorpusTexts("your text", len(whole.encode()), iter([whole])))
        specials = {content for each in loaded.values() for content in special_ids(each).values()}
        return ComparedText(
            grid=grid,
            n_characters=len(whole),
            tokens=tokens,
            figures=figures,
            sizes={name: tokenizer.get_vocab_size() for name, tokenizer in loaded.items()},
            problems=problems,
            has_specials=any(content in whole for content in specials),
        )

    return work
