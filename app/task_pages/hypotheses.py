"""The hypotheses of a beam search with their scores; the glass box inspects one of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QKeyEvent, QMouseEvent
from PySide6.QtWidgets import QFrame, QWidget

from terrarium.app.glass.tokens.token_box import TokenStats
from terrarium.app.kit.basics import column, label, row, set_role
from terrarium.app.kit.layout.tab_order import put_after
from terrarium.app.kit.theme import SPACE
from terrarium.models.number_words import format_count, with_minus


@dataclass(frozen=True)
class ScoredText:
    """A hypothesis: its token ids, its text, and its score (in nats, see models.inference.beam).

    given: (probability, entropy, rank) of its last tokens in the model's own distributions.
    """

    ids: tuple[int, ...]
    text: str
    score: float
    ended: bool
    given: tuple[TokenStats, ...] = ()


class HypothesisList(QWidget):
    """A card for each hypothesis, best first.

    Args:
        before: the widget after which Tab leads to the cards, which are made later.

    Signals:
        picked(i): the user wants to inspect hypothesis `i`.
    """

    picked = Signal(int)

    def __init__(self, before: QWidget, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._before = before
        self.cards: list[_Card] = []
        self._lines = column(None, margin=(0, 0, SPACE, 0))
        self.setLayout(self._lines)

    def show_texts(self, found: Sequence[ScoredText]) -> None:
        """Show these hypotheses; the first is selected, without a signal."""
        for card in self.cards:
            self._lines.removeWidget(card)
            card.hide()
            card.deleteLater()
        self.cards = []
        for number, one in enumerate(found):
            card = _Card(number, one)
            card.pressed.connect(self.pick)
            self._lines.insertWidget(number, card)
            self.cards.append(card)
        put_after(self._before, *self.cards)
        self._mark(0)

    def pick(self, number: int) -> None:
        """Select a hypothesis to inspect."""
        self._mark(number)
        self.picked.emit(number)

    def _mark(self, number: int) -> None:
        for i, card in enumerate(self.cards):
            set_role(card, "banner" if i == number else "card")


class _Card(QFrame):
    """The card of a hypothesis.

    Signals:
        pressed(number): it was clicked, or Enter was pressed on it.
    """

    pressed = Signal(int)

    def __init__(self, number: int, found: ScoredText) -> None:
        super().__init__()
        self._number = number
        self.setProperty("role", "card")
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setCursor(Qt.CursorShape.PointingHandCursor)
        self.setAccessibleName(f"Hypothesis {number + 1}: {found.text}")
        self.setToolTip("Click to inspect this one")
        words = label(found.text or "(nothing)", "" if found.text else "muted", wrap=True)
        n = len(found.ids)
        end = "" if found.ended else ", cut off at the length limit"
        about = label(f"score {with_minus(f'{found.score:.3f}')}, {format_count(n, 'token')}{end}", "caption")
        head = row(label(f"{number + 1}", "caption"), about, None)
        self.setLayout(column(head, words, spacing=SPACE // 2, margin=(SPACE + 4, SPACE, SPACE + 4, SPACE)))

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        if event.button() == Qt.MouseButton.LeftButton:
            self.pressed.emit(self._number)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter, Qt.Key.Key_Space):
            self.pressed.emit(self._number)
        else:
            super().keyPressEvent(event)
