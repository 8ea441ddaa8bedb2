"""How well each token of a text fits where it alone is masked, and the pseudo-perplexity that follows from it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from PySide6.QtWidgets import QPushButton, QVBoxLayout, QWidget

from app.glass.focus import Focus
from app.glass.read_text import ReadText
from app.glass.tokens.token_box import TokenBox
from app.kit.basics import label, row
from app.kit.theme import ThemeProvider

if TYPE_CHECKING:
    from models.inference.fill_mask import TokenFit

_ABOUT = (
    "The exponential of the mean surprisal of each token where it alone is masked: 1 would be certainty. It compares "
    "texts under one model, not models, and is no perplexity of a model that writes."
)


class FitsView(QWidget):
    """The number, and the tokens: in colours once it is measured."""

    def __init__(self, theme: ThemeProvider, focus: Focus, measure: QPushButton, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.number = label("–", "number")
        self.number.setAccessibleName("Pseudo-perplexity")
        self._hint = label("", "caption", wrap=True)
        self.box = TokenBox(theme, focus)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addLayout(row(label("Pseudo-perplexity", "subheading"), self.number, None, measure))
        layout.addWidget(self._hint)
        layout.addWidget(self.box)
        self.clear()

    def clear(self) -> None:
        """There is no text."""
        self.number.setText("–")
        self.box.show_text(None)

    def show_text(self, text: ReadText) -> None:
        """The tokens of a text of which nothing is measured yet."""
        self.number.setText("–")
        self.box.show_text(text, with_prompt=True)

    def set_hint(self, sentence: str, *, busy: bool) -> None:
        """What has to be done before it can be measured; "" where it can be."""
        self._hint.setText("Measuring …" if busy else sentence or _ABOUT)

    def show_fits(self, text: ReadText, fits: Sequence[TokenFit], perplexity: float) -> None:
        """What was measured of the tokens of `text`, and of all of it."""
        self.number.setText(f"{perplexity:,.2f}")
        self.box.show_text(text, with_prompt=True)
        for fit in fits:
            self.box.colour([(math.exp(fit.log_probability), fit.entropy, fit.rank)], fit.place)
