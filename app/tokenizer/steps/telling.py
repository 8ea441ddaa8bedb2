"""What is told of a word's steps beside their picture: a summary, a sentence per step, a table. No Qt."""

from __future__ import annotations

from typing import Protocol

from app.tokenizer.steps.facts import applied, count, counts, score_words, share, shown_piece
from models.number_words import counted
from models.tokenizers.steps.bpe import BpeSteps
from models.tokenizers.steps.frequencies import Frequencies
from models.tokenizers.steps.steps import LookupSteps, TokenizerSteps, WordSteps
from models.tokenizers.steps.unigram import UnigramSteps
from models.tokenizers.steps.wordpiece import WordPieceSteps


class Telling(Protocol):
    """The words for one word's steps."""

    @property
    def title(self) -> str:
        """What the table lists."""
        ...

    @property
    def headers(self) -> tuple[str, ...]:
        """What its columns are; "" for the number of the row."""
        ...

    @property
    def n_rows(self) -> int:
        """Rows of the table."""
        ...

    def cell(self, row: int, column: int) -> str:
        """A field of the table."""
        ...

    def row_of(self, step: int) -> int:
        """The row that a step is told in, −1 for none."""
        ...

    def step_of(self, row: int) -> int:
        """The step that a row tells of."""
        ...

    def summary(self) -> str:
        """The whole in a sentence or two."""
        ...

    def step_words(self, step: int) -> str:
        """What has happened at a step."""
        ...


def tell(
    steps: TokenizerSteps, found: WordSteps, frequencies: Frequencies | None, *, is_added: bool = False
) -> Telling:
    """The words for `found`, with how often things are on a corpus where that was counted.

    `is_added`: it is an added token.
    """
    if isinstance(found, BpeSteps):
        return (_BpeTelling if found.n_steps else _SymbolsTelling)(steps, found, frequencies)
    if isinstance(found, WordPieceSteps):
        return _ScanTelling(steps, found, frequencies)
    if isinstance(found, UnigramSteps):
        return _LatticeTelling(steps, found, frequencies)
    return _LookupTelling(steps, found, is_added)


class _OneRowPerStep:
    """Where the table has a row for each step."""

    def row_of(self, step: int) -> int:
        return step - 1

    def step_of(self, row: int) -> int:
        return row + 1


class _BpeTelling(_OneRowPerStep):
    title = "Merges in order"

    def __init__(self, steps: TokenizerSteps, found: BpeSteps, frequencies: Frequencies | None) -> None:
        self._steps, self._found, self._frequencies = steps, found, frequencies
        self.headers = ("", "Merge", "Rank", *(("Applied",) if frequencies is not None else ()))

    @property
    def n_rows(self) -> int:
        return self._found.n_steps

    def cell(self, row: int, column: int) -> str:
        node = self._found.merge(row + 1)
        if column == 0:
            return f"{row + 1:,}"
        if column == 1:
            return f"{self._shown(node.left)} + {self._shown(node.right)}"
        if column == 2:
            return f"{node.rank:,}"
        assert self._frequencies is not None
        assert node.rank is not None
        return f"{self._frequencies.merges[node.rank]:,}"

    def summary(self) -> str:
        found = self._found
        if found.looked_up:
            return "The whole word is a token. This tokenizer looks words up before it merges anything."
        n = len(found.ids)
        kinds = "byte" if self._steps.is_byte_level else "symbol"
        if self._steps.kind == "lookup":
            sentence = f"Nothing is merged: each {kinds} is looked up. {counted(n, 'token')}."
        elif not found.n_steps:
            sentence = f"No merge applies: {counted(found.n_symbols, kinds)}, {counted(n, 'token')}."
        else:
            merges = "1 merge makes" if found.n_steps == 1 else f"{found.n_steps:,} merges make"
            sentence = f"{merges} {counted(n, 'token')} of {counted(found.n_symbols, kinds)}."
        if found.dropped:
            sentence += f" Lost, since it is not in the vocabulary: {found.dropped[:20]}"
        return sentence

    def step_words(self, step: int) -> str:
        if not self._found.n_steps:
            return "No step: nothing is merged here."
        if step == 0:
            return "Before the first merge. The one with the lowest rank comes first, wherever in the word it is."
        node = self._found.merge(step)
        made = self._steps.show_node(self._found, node)
        words = f"{self._shown(node.left)} + {self._shown(node.right)} → {made}, rank {node.rank:,}"
        if self._frequencies is not None and node.rank is not None:
            words += f", {applied(self._frequencies, node.rank)}"
        return words

    def _shown(self, node: int) -> str:
        return self._steps.show_node(self._found, self._found.nodes[node])


class _SymbolsTelling(_BpeTelling):
    """Where nothing is merged: the tokens themselves."""

    title = "Tokens"

    def __init__(self, steps: TokenizerSteps, found: BpeSteps, frequencies: Frequencies | None) -> None:
        super().__init__(steps, found, frequencies)
        self.headers = ("", "Token", "Id", *counts(frequencies))

    @property
    def n_rows(self) -> int:
        return self._found.n_symbols

    def cell(self, row: int, column: int) -> str:
        id = self._found.nodes[row].id
        return (f"{row + 1:,}", self._shown(row), f"{id:,}", count(self._frequencies, id))[column]

    def row_of(self, step: int) -> int:
        return -1

    def step_of(self, row: int) -> int:
        return 0


class _ScanTelling(_OneRowPerStep):
    title = "Pieces tried, in order"

    def __init__(self, steps: TokenizerSteps, found: WordPieceSteps, frequencies: Frequencies | None) -> None:
        self._steps, self._found, self._frequencies = steps, found, frequencies
        self.headers = ("", "Piece", "Id", *counts(frequencies))

    @property
    def n_rows(self) -> int:
        return self._found.n_steps

    def cell(self, row: int, column: int) -> str:
        tried = self._found.tried(row + 1)
        if tried.id is None:
            return (f"{row + 1:,}", tried.piece, "–", "")[column]
        return (f"{row + 1:,}", tried.piece, f"{tried.id:,}", count(self._frequencies, tried.id))[column]

    def summary(self) -> str:
        found = self._found
        if found.is_too_long:
            return (
                f"The word has more than the {found.longest:,} characters that this tokenizer looks at: all of it is "
                "one unknown token."
            )
        tries = counted(found.n_steps, "piece")
        if found.is_unknown:
            return f"{tries} tried. At one place nothing is in the vocabulary, so the whole word is one unknown token."
        return f"{tries} tried, from long to short, {counted(len(found.ids), 'token')} found."

    def step_words(self, step: int) -> str:
        if not self._found.n_steps:
            return "No step: the word is not looked at."
        if step == 0:
            return "Before the first try: the whole word."
        tried = self._found.tried(step)
        if tried.id is not None:
            return f"{tried.piece} is in the vocabulary, id {tried.id:,}: the longest piece that fits here."
        if step == self._found.n_steps:
            return f"{tried.piece} is not in the vocabulary, and nothing shorter is left: the word is unknown."
        return f"{tried.piece} is not in the vocabulary: one character less."


class _LatticeTelling(_OneRowPerStep):
    title = "Best way up to each place"

    def __init__(self, steps: TokenizerSteps, found: UnigramSteps, frequencies: Frequencies | None) -> None:
        self._steps, self._found, self._frequencies = steps, found, frequencies
        self.headers = ("", "Last piece", "Score", "Sum", *counts(frequencies))

    @property
    def n_rows(self) -> int:
        return len(self._found.word)

    def cell(self, row: int, column: int) -> str:
        place = self._found.places[row + 1]
        piece = self._found.pieces[place.piece]
        scores = score_words(piece.score), score_words(place.score)
        return (f"{row + 1:,}", shown_piece(piece.text), *scores, count(self._frequencies, piece.id))[column]

    def row_of(self, step: int) -> int:
        return min(step, self.n_rows) - 1

    def summary(self) -> str:
        found = self._found
        if not found.word:
            return "No character is left."
        ways = counted(len(found.best), "piece")
        return (
            f"{counted(len(found.pieces), 'piece')} fit somewhere. The most probable way has {ways}: log-probability "
            f"{score_words(found.score)}, {share(found.ways(1)[0].probability)} of all ways together."
        )

    def step_words(self, step: int) -> str:
        found = self._found
        if step == 0:
            return "Before the first place. The best way to each place is found from left to right."
        if step == found.n_steps:
            words = f"Back from the end along the best pieces: {score_words(found.score)} in all."
            for way in found.ways(2)[1:]:
                pieces = " | ".join(shown_piece(found.pieces[i].text) for i in way.pieces[:8])
                more = " | …" if len(way.pieces) > 8 else ""
                words += f" The second best: {pieces}{more}, {score_words(way.score)}, {share(way.probability)} of all"
            return words
        best = found.pieces[found.places[step].piece]
        before, n = found.places[best.start].score, len(found.ending_at(step))
        fits = "the only piece that ends here" if n == 1 else f"the best of {n} pieces that end here"
        sign = "−" if best.score < 0 else "+"
        return (
            f"{shown_piece(best.text)} is {fits}: "
            f"{score_words(before)} {sign} {abs(best.score):.2f} = {score_words(found.places[step].score)}"
        )


class _LookupTelling(_OneRowPerStep):
    title = "Looked up"
    headers = ("Word", "Id")

    def __init__(self, steps: TokenizerSteps, found: LookupSteps, is_added: bool) -> None:
        self._steps, self._found, self._is_added = steps, found, is_added

    @property
    def n_rows(self) -> int:
        return 1

    def cell(self, row: int, column: int) -> str:
        return (self._steps.display(self._found.word), f"{self._found.id:,}")[column]

    def summary(self) -> str:
        if self._is_added:
            return "An added token: it is cut out of the text before anything else is done to it."
        if self._found.known:
            return "The whole word is looked up: it is in the vocabulary."
        return "The whole word is looked up: it is not in the vocabulary, so the unknown token stands for it."

    def step_words(self, step: int) -> str:
        return "No step: it is not taken apart."
