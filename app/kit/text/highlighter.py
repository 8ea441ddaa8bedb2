"""A syntax highlighter in the theme's colours."""

from __future__ import annotations

from collections.abc import Mapping

from PySide6.QtCore import Slot
from PySide6.QtGui import QSyntaxHighlighter, QTextCharFormat, QTextDocument

from terrarium.app.kit.theme import ThemeProvider


class Highlighter(QSyntaxHighlighter):
    """A highlighter; subclasses adjust formats in `restyle_formats`, and apply them in `highlightBlock`.

    Attributes:
        formats: kind -> its text format.
    """

    def __init__(self, document: QTextDocument, theme: ThemeProvider, roles: Mapping[str, str]) -> None:
        """roles: kind -> the theme's colour role."""
        super().__init__(document)
        self._theme, self._roles = theme, roles
        self.formats: dict[str, QTextCharFormat] = {}
        self._restyle()
        theme.theme_changed.connect(self._restyle)

    def restyle_formats(self) -> None:
        """Adjust `formats`, whose colours are already set."""

    @Slot()
    def _restyle(self) -> None:
        self.formats = {}
        for kind, role in self._roles.items():
            self.formats[kind] = QTextCharFormat()
            self.formats[kind].setForeground(self._theme.theme.color(role))
        self.restyle_formats()
        self.rehighlight()
