"""For each mask of a text a card: the words around it, and what might stand there."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QVBoxLayout, QWidget

from app.chat.modes.candidate_bars import CandidateBars, Row
from app.glass.names import share
from app.kit.basics import label, titled_card
from app.kit.theme import SPACE, ThemeProvider

if TYPE_CHECKING:
    from models.inference.fill_mask import Candidate

_NOTE = (
    "Shares of the whole vocabulary. All masks are guessed at once, each without knowing what the others become: put "
    "one in, and the others are guessed anew."
)


class MaskList(QWidget):
    """Cards above each other, or a sentence.

    Signals:
        chosen(mask, candidate): this candidate is to stand in the place of this mask; numbered from 0.
    """

    chosen = Signal(int, int)

    def __init__(self, theme: ThemeProvider, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._theme = theme
        self.bars: list[CandidateBars] = []
        self._cards: list[QWidget] = []
        self._sentence = label("", "muted", wrap=True)
        self._note = label(_NOTE, "caption", wrap=True)
        self._lines = QVBoxLayout(self)
        self._lines.setContentsMargins(SPACE, 0, SPACE, 0)
        self._lines.setSpacing(SPACE)
        self._lines.addWidget(self._sentence)
        self._lines.addWidget(self._note)
        self._lines.addStretch(1)
        self.say("")

    def say(self, sentence: str) -> None:
        """A sentence in the place of cards."""
        self._clear()
        self._sentence.setText(sentence)
        self._sentence.show()
        self._note.hide()

    def show_masks(self, masks: Sequence[Sequence[Candidate]], around: Sequence[str]) -> None:
        """The candidates of each mask, best first, and the words around it."""
        self._clear()
        self._sentence.hide()
        self._note.show()
        for number, (candidates, words) in enumerate(zip(masks, around, strict=True)):
            rows = [Row(c.text.strip() or repr(c.text), c.probability, share(c.probability)) for c in candidates]
            bars = CandidateBars(f"Candidates for mask {number + 1}", self._theme, rows)
            bars.chosen.connect(lambda candidate, number=number: self.chosen.emit(number, candidate))
            title = f"Mask {number + 1}" if len(masks) > 1 else "Mask"
            card = titled_card(title, label(words, "caption", wrap=True), bars)
            self._lines.insertWidget(self._lines.count() - 2, card)
            self.bars.append(bars)
            self._cards.append(card)

    def _clear(self) -> None:
        for card in self._cards:
            self._lines.removeWidget(card)
            card.hide()
            card.deleteLater()
        self._cards, self.bars = [], []
