"""Texts for the steps of a word: a summary, a sentence per step, and a table. No Qt."""

from __future__ import annotations

from typing import Protocol

from terrarium.app.tokenizer.steps.facts import (
    count_headers,
    describe_applied,
    format_frequency,
    format_score,
    format_share,
    show_piece,
)
from terrarium.models.number_words import format_count
from terrarium.models.tokenizers.steps.bpe import BpeSteps
from terrarium.models.tokenizers.steps.frequencies import Frequencies
from terrarium.models.tokenizers.steps.steps import LookupSteps, TokenizerSteps, WordSteps
from terrarium.models.tokenizers.steps.unigram import UnigramSteps
from terrarium.models.tokenizers.steps.wordpiece import WordPieceSteps


class StepPresenter(Protocol):
    """Describes the steps of one word as text."""

    @property
    def title(self) -> str:
        """The title of the table."""
        ...

    @property
    def headers(self) -> tuple[str, ...]:
        """The column headers; "" for the row number."""
        ...

    @property
    def n_rows(self) -> int:
        """The number of rows of the table."""
        ...

    def cell(self, row: int, column: int) -> str:
        """Return the text of a cell."""
        ...

    def row_of(self, step: int) -> int:
        """Return the row of a step, −1 for none."""
        ...

    def step_of(self, row: int) -> int:
        """Return the step of a row."""
        ...

    def summary(self) -> str:
        """Summarize all steps in a sentence or two."""
        ...

    def describe_step(self, step: int) -> str:
        """Describe a step in a sentence."""
        ...


def presenter_for(
    steps: TokenizerSteps, found: WordSteps, frequencies: Frequencies | None, *, is_added: bool = False
) -> StepPresenter:
    """Return the presenter for `found`, with frequencies in a corpus if they were counted.

    is_added: whether it is an added token.
    """
    if isinstance(found, BpeSteps):
        return (_BpePresenter if found.n_steps else _SymbolsPresenter)(steps, found, frequencies)
    if isinstance(found, WordPieceSteps):
        return _ScanPresenter(steps, found, frequencies)
    if isinstance(found, UnigramSteps):
        return _LatticePresenter(steps, found, frequencies)
    return _LookupPresenter(steps, found, is_added)


class _OneRowPerStep:
    """A table with one row per step."""

    def row_of(self, step: int) -> int:
        return step - 1

    def step_of(self, row: int) -> int:
        return row + 1


class _BpePresenter(_OneRowPerStep):
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
            return "The whole word is a token. This tokenizer looks up whole words before merging."
        n = len(found.ids)
        kinds = "byte" if self._steps.is_byte_level else "symbol"
        if self._steps.kind == "lookup":
            sentence = f"No merges: each {kinds} is looked up. {format_count(n, 'token')}."
        elif not found.n_steps:
            sentence = f"No merge applies: {format_count(found.n_symbols, kinds)}, {format_count(n, 'token')}."
        else:
            merges = "1 merge turns" if found.n_steps == 1 else f"{found.n_steps:,} merges turn"
            sentence = f"{merges} {format_count(found.n_symbols, kinds)} into {format_count(n, 'token')}."
        if found.dropped:
            sentence += f" Lost, as not in the vocabulary: {found.dropped[:20]}"
        return sentence

    def describe_step(self, step: int) -> str:
        if not self._found.n_steps:
            return "No steps: nothing is merged."
        if step == 0:
            return "Before the first merge. The lowest rank in the word is merged first."
        node = self._found.merge(step)
        made = self._steps.show_node(node)
        words = f"{self._shown(node.left)} + {self._shown(node.right)} → {made}, rank {node.rank:,}"
        if self._frequencies is not None and node.rank is not None:
            words += f", {describe_applied(self._frequencies, node.rank)}"
        return words

    def _shown(self, node: int) -> str:
        return self._steps.show_node(self._found.nodes[node])


class _SymbolsPresenter(_BpePresenter):
    """Presents a word without merges as the list of its tokens."""

    title = "Tokens"

    def __init__(self, steps: TokenizerSteps, found: BpeSteps, frequencies: Frequencies | None) -> None:
        super().__init__(steps, found, frequencies)
        self.headers = ("", "Token", "Id", *count_headers(frequencies))

    @property
    def n_rows(self) -> int:
        return self._found.n_symbols

    def cell(self, row: int, column: int) -> str:
        id = self._found.nodes[row].id
        return (f"{row + 1:,}", self._shown(row), f"{id:,}", format_frequency(self._frequencies, id))[column]

    def row_of(self, step: int) -> int:
        return -1

    def step_of(self, row: int) -> int:
        return 0


class _ScanPresenter(_OneRowPerStep):
    title = "Pieces tried, in order"

    def __init__(self, steps: TokenizerSteps, found: WordPieceSteps, frequencies: Frequencies | None) -> None:
        self._steps, self._found, self._frequencies = steps, found, frequencies
        self.headers = ("", "Piece", "Id", *count_headers(frequencies))

    @property
    def n_rows(self) -> int:
        return self._found.n_steps

    def cell(self, row: int, column: int) -> str:
        tried = self._found.tried(row + 1)
        if tried.id is None:
            return (f"{row + 1:,}", tried.piece, "–", "")[column]
        return (f"{row + 1:,}", tried.piece, f"{tried.id:,}", format_frequency(self._frequencies, tried.id))[column]

    def summary(self) -> str:
        found = self._found
        if found.is_too_long:
            return (
                f"The word is longer than the {found.longest:,} characters that this tokenizer allows: it becomes one "
                "unknown token."
            )
        tries = format_count(found.n_steps, "piece")
        if found.is_unknown:
            return f"{tries} tried. At one position no piece matches, so the whole word becomes one unknown token."
        return f"{tries} tried, from long to short, {format_count(len(found.ids), 'token')} found."

    def describe_step(self, step: int) -> str:
        if not self._found.n_steps:
            return "No steps: the word is not scanned."
        if step == 0:
            return "Before the first try: the whole word."
        tried = self._found.tried(step)
        if tried.id is not None:
            return f"{tried.piece} is in the vocabulary, id {tried.id:,}: the longest piece that fits here."
        if step == self._found.n_steps:
            return f"{tried.piece} is not in the vocabulary, and there is nothing shorter: the word is unknown."
        return f"{tried.piece} is not in the vocabulary: one character less."


class _LatticePresenter(_OneRowPerStep):
    title = "Best path to each position"

    def __init__(self, steps: TokenizerSteps, found: UnigramSteps, frequencies: Frequencies | None) -> None:
        self._steps, self._found, self._frequencies = steps, found, frequencies
        self.headers = ("", "Last piece", "Score", "Sum", *count_headers(frequencies))

    @property
    def n_rows(self) -> int:
        return len(self._found.word)

    def cell(self, row: int, column: int) -> str:
        cell = self._found.cells[row + 1]
        piece = self._found.pieces[cell.piece]
        scores = format_score(piece.score), format_score(cell.score)
        return (f"{row + 1:,}", show_piece(piece.text), *scores, format_frequency(self._frequencies, piece.id))[column]

    def row_of(self, step: int) -> int:
        return min(step, self.n_rows) - 1

    def summary(self) -> str:
        found = self._found
        if not found.word:
            return "No characters are left."
        n_pieces = format_count(len(found.best), "piece")
        return (
            f"{format_count(len(found.pieces), 'piece')} match. The most probable path has {n_pieces}: "
            f"log-probability {format_score(found.score)}, "
            f"{format_share(found.segmentations(1)[0].probability)} of the total probability."
        )

    def describe_step(self, step: int) -> str:
        found = self._found
        if step == 0:
            return "Before the first position. The best path to each position is found from left to right."
        if step == found.n_steps:
            words = f"Traced back from the end: {format_score(found.score)} in total."
            for path in found.segmentations(2)[1:]:
                pieces = " | ".join(show_piece(found.pieces[i].text) for i in path.pieces[:8])
                more = " | …" if len(path.pieces) > 8 else ""
                score, probability = format_score(path.score), format_share(path.probability)
                words += f" Second best: {pieces}{more}, {score}, {probability} of the total"
            return words
        best = found.pieces[found.cells[step].piece]
        before, n = found.cells[best.start].score, len(found.ending_at(step))
        fits = "the only piece that ends here" if n == 1 else f"the best of {n} pieces that end here"
        sign = "−" if best.score < 0 else "+"
        return (
            f"{show_piece(best.text)} is {fits}: "
            f"{format_score(before)} {sign} {abs(best.score):.2f} = {format_score(found.cells[step].score)}"
        )


class _LookupPresenter(_OneRowPerStep):
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
            return "An added token: it is matched in the text before anything else."
        if self._found.known:
            return "The whole word is looked up: it is in the vocabulary."
        return "The whole word is looked up: it is not in the vocabulary, so it becomes the unknown token."

    def describe_step(self, step: int) -> str:
        return "No steps: it is not split."
