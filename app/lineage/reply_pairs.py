"""The replies behind a win rate: for each prompt, the replies of two stages and the verdict."""

from __future__ import annotations

from PySide6.QtWidgets import QFrame, QGridLayout, QWidget

from terrarium.app.kit.basics import column, frame, label
from terrarium.app.kit.text.word_difference import ComparedText
from terrarium.app.kit.theme import SPACE, ThemeProvider
from terrarium.app.lineage.win_matrix import describe_match
from terrarium.models.alignment.win_rates import PROXY, WinRates
from terrarium.models.number_words import format_signed

_MAX_PAIRS = 12


class ReplyPairs(QWidget):
    """Shows pairs of replies of two stages, ties last; words that differ are marked."""

    def __init__(self, theme: ThemeProvider) -> None:
        super().__init__()
        self._theme = theme
        self.head = label("", "subheading", wrap=True)
        self.note = label("", "caption", wrap=True)
        self.texts: list[tuple[ComparedText, ComparedText]] = []
        """Pairs of replies: of the stage in the row and of the stage in the column."""
        self._card: QFrame | None = None
        self._lines = column(self.head, self.note)
        self.setLayout(self._lines)
        self.hide()

    def clear_pairs(self) -> None:
        """Remove all pairs."""
        self.texts = []
        if self._card is not None:
            self._card.hide()
            self._card.deleteLater()
            self._card = None
        self.hide()

    def show_pairs(self, rates: WinRates, judge: str, row: int, column: int) -> None:
        """Show the pairs behind a cell of the win matrix."""
        self.clear_pairs()
        values, texts = rates.values.get(judge, ()), rates.texts
        ours, theirs = (values[i] if i < len(values) else None for i in (row, column))
        mine, others = texts[row], texts[column]
        if ours is None or theirs is None or mine is None or others is None:
            return
        first, second = rates.contenders[row].name, rates.contenders[column].name
        order = sorted(range(len(ours)), key=lambda i: (ours[i] == theirs[i], i))[:_MAX_PAIRS]
        self.head.setText(describe_match(first, second, rates.grids[judge][row][column]))
        ties = "" if len(order) == len(ours) else f" {len(order)} of {len(ours):,} are shown, won and lost ones first."
        self.note.setText(f"Words that the other reply does not have are marked.{ties}")
        grid = QGridLayout()
        grid.setHorizontalSpacing(3 * SPACE)
        grid.setVerticalSpacing(SPACE // 2)
        for side in (0, 1):
            grid.addWidget(label((first, second)[side], "subheading"), 0, side)
            grid.setColumnStretch(side, 1)
        for n, i in enumerate(order):
            at = 1 + 4 * n
            grid.setRowMinimumHeight(at, SPACE)
            grid.addWidget(label(rates.prompts[i], "caption", wrap=True), at + 1, 0, 1, 2)
            sides = (mine[i], others[i]), (ours[i], theirs[i])
            pair = ComparedText(f"Reply of {first}", self._theme), ComparedText(f"Reply of {second}", self._theme)
            for side, text in enumerate(pair):
                text.show_text(sides[0][side] or "(nothing)", sides[0][1 - side], marked=True)
                grid.addWidget(text, at + 2, side)
                words = _verdict(sides[1][side], sides[1][1 - side], judge)
                grid.addWidget(label(words, "accent" if words.startswith("won") else "caption"), at + 3, side)
            self.texts.append(pair)
        self._card = frame("card", grid, margin=SPACE + SPACE // 2)
        self._lines.addWidget(self._card)
        self.show()


def _verdict(own: float, other: float, judge: str) -> str:
    outcome = "won" if own > other else "lost" if own < other else "tied"
    if judge == PROXY:
        return f"{outcome}, score {format_signed(own)}"
    return f"{outcome}, {'as meant' if own == 1 else 'not as meant' if own == 0 else f'{own:g}'}"
