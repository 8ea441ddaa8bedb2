"""The glossary over a dialog, in a window of its own."""

from __future__ import annotations

from PySide6.QtWidgets import QWidget

from app.help.glossary import Glossary
from app.help.panel import HelpPanel
from app.kit.basics import column
from app.kit.dialog import Dialog
from app.kit.theme import ThemeProvider

_SIZE = 380, 560
"""Pixels at the usual text size."""


class HelpDialog(Dialog):
    """Explains terms of the dialog that it belongs to; it leads nowhere else, as one is not done there."""

    def __init__(self, glossary: Glossary, problem: str, theme: ThemeProvider, parent: QWidget) -> None:
        super().__init__(parent)
        self.setWindowTitle("Glossary")
        self.panel = HelpPanel(glossary, theme, problem, leads=False)
        self.panel.closed.connect(self.close)
        self.setLayout(column(self.panel))
        self.resize(*(round(side * theme.text_scale) for side in _SIZE))

    def show_term(self, term: str) -> None:
        """Show a term, or the search if that has no entry."""
        self.show()
        self.activateWindow()
        self.panel.search.setFocus()
        self.panel.show_term(term)
