"""Syntax highlighting: of documents in the theme's colours, and of code by Pygments."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import Slot
from PySide6.QtGui import QSyntaxHighlighter, QTextCharFormat, QTextDocument

from terrarium.app.kit.theme import ThemeProvider

if TYPE_CHECKING:
    from pygments.lexer import Lexer

_USUAL = ("python", "bash", "json", "javascript", "html", "sql", "c", "cpp", "java", "rust", "go")


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


@lru_cache(maxsize=64)
def _lexer(language: str) -> Lexer | None:
    from pygments.lexers import get_lexer_by_name
    from pygments.util import ClassNotFound

    try:
        return get_lexer_by_name(language, stripnl=False, ensurenl=False)
    except ClassNotFound:
        return None


def prepare_colours() -> None:
    """Load the lexers of common languages, as each takes a moment. May run on any thread."""
    for language in _USUAL:
        _lexer(language)


@lru_cache(maxsize=4)
def coloured(code: str, language: str) -> Sequence[tuple[str, str]]:
    """Split code into (Pygments' token type, text); the type is "" if the language is unknown."""
    lexer = _lexer(language.lower()) if language else None
    if lexer is None:
        return (("", code),)
    tokens: Iterable[tuple[Any, str]] = lexer.get_tokens(code)
    return tuple((str(kind).removeprefix("Token."), text) for kind, text in tokens)


def split_lines(runs: Iterable[tuple[str, str]]) -> Iterator[list[tuple[str, str]]]:
    line: list[tuple[str, str]] = []
    for kind, text in runs:
        for i, part in enumerate(text.split("\n")):
            if i:
                yield line
                line = []
            if part:
                line.append((kind, part))
    yield line
