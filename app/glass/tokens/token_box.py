"""The tokens of a text in a frame, with a colour legend above them if they are coloured."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtWidgets import QVBoxLayout, QWidget

from terrarium.app.glass.focus import Focus
from terrarium.app.glass.read_text import ReadText
from terrarium.app.glass.tokens.legend import TokenLegend
from terrarium.app.glass.tokens.token_text import TokenText
from terrarium.app.kit.basics import frame
from terrarium.app.kit.theme import SPACE, ThemeProvider

TokenStats = tuple[float, float, int]
"""A token's probability, the entropy of its distribution (nats), and its rank from 1."""


class TokenBox(QWidget):
    """Tokens of a text with a legend; hidden while there is no text."""

    def __init__(self, theme: ThemeProvider, focus: Focus, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.tokens = TokenText(theme, focus)
        self.legend = TokenLegend(theme)
        self.legend.chosen.connect(self.tokens.set_quantity)
        box = frame("card", margin=SPACE)
        inside = box.layout()
        assert inside is not None
        inside.addWidget(self.tokens)
        lines = QVBoxLayout(self)
        lines.setContentsMargins(0, 0, 0, 0)
        lines.addWidget(self.legend)
        lines.addWidget(box)
        self.show_text(None)

    def show_text(self, text: ReadText | None, *, with_prompt: bool = False) -> None:
        """Show another text, uncoloured; see TokenText.set_text."""
        self.tokens.set_text(text, with_prompt=with_prompt)
        self.legend.hide()
        self.setVisible(text is not None)

    def colour(self, given: Sequence[TokenStats], first: int | None = None) -> None:
        """Colour the tokens from position `first` of the text on; None: from the first sampled token."""
        if given:
            probabilities, entropies, ranks = zip(*given, strict=True)
            self.tokens.set_values(probabilities, entropies, ranks, first)
            self.legend.show()
