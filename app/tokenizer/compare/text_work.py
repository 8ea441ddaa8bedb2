"""What is done beside the window for the text at hand: every tokenizer's tokens, placed, and the figures of them."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, field

from app.tokenizer.compare.shelf import TokenizerShelf
from app.tokenizer.compare.text_grid import AlignedTokens, TextGrid
from models.data.corpus_texts import CorpusTexts
from models.events import Event, Progress
from models.tokenizers.codec import whole_characters
from models.tokenizers.text.compare import measure
from models.tokenizers.text.text_measures import Figures
from models.tokenizers.token_bytes import special_ids

MOST_DRAWN = 200_000
"""Characters whose tokens are placed one by one: few scroll further, and a window's new width is followed at once."""


@dataclass(frozen=True, kw_only=True)
class ComparedText:
    """What several tokenizers make of a text, by their names.

    Attributes:
        n_characters: of the whole text; the grid holds no more than the first MOST_DRAWN.
        problems: of those that could not be loaded, in a sentence each.
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
    shelf: TokenizerShelf, names: Sequence[str], text: str
) -> Callable[[], Generator[Event, None, ComparedText]]:
    """Work for a LatestTask: encode the text with each tokenizer, as text, whatever special tokens it spells."""

    def work() -> Generator[Event, None, ComparedText]:
        whole = whole_characters(text)
        grid = TextGrid(whole[:MOST_DRAWN])
        loaded, problems, tokens = {}, {}, {}
        for i, name in enumerate(names):
            yield Progress(done=i, total=len(names))
            try:
                loaded[name] = shelf.load(name)
            except ValueError as error:
                problems[name] = str(error)
                continue
            tokens[name] = AlignedTokens(loaded[name], grid)
        figures = yield from measure(loaded, CorpusTexts("the text at hand", len(whole.encode()), iter([whole])))
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
