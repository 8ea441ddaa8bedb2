"""Chat templates (Jinja) in the theme's colours: what is said as it stands is plain, what is worked out is coloured."""

from __future__ import annotations

import re

from PySide6.QtGui import QTextDocument

from app.kit.text.highlighter import Highlighter
from app.kit.theme import ThemeProvider

_OPENINGS = {"{#": "#}", "{%": "%}", "{{": "}}"}
_OPENING = re.compile(r"\{[#%{]")
_STATES = (("", ""), *((opening, quote) for opening in _OPENINGS for quote in ("", "'", '"')))
_INSIDE = re.compile(
    r"(?P<quote>[\"'])"
    r"|(?P<number>\b\d+\b)"
    r"|(?P<keyword>\b(?:for|endfor|if|elif|else|endif|set|endset|macro|endmacro|call|endcall|filter|endfilter|generation"
    r"|endgeneration|break|continue|in|is|not|and|or|recursive)\b)"
    r"|(?P<constant>\b(?:[Tt]rue|[Ff]alse|[Nn]one)\b)"
    r"|(?P<mark>\{%[-+]?|[-+]?%\}|\{\{-?|-?\}\})"
)
_ROLES = {
    "comment": "muted",
    "text": "accent",
    "number": "validation",
    "keyword": "info",
    "constant": "validation",
    "mark": "faint",
}


class JinjaColours(Highlighter):
    """Colours a document that is a Jinja template; follows the theme."""

    def __init__(self, document: QTextDocument, theme: ThemeProvider) -> None:
        super().__init__(document, theme, _ROLES)

    def restyle_formats(self) -> None:
        self.formats["comment"].setFontItalic(True)

    def highlightBlock(self, text: str) -> None:
        """The state of a line says what it ends inside of: an opening and a quotation mark, numbered; 0 for neither."""
        state, place = max(self.previousBlockState(), 0), 0
        while place < len(text):
            if not state:
                opening = _OPENING.search(text, place)
                if opening is None:
                    break
                state, place = _STATES.index((opening[0], "")), opening.start()
            kind, quote = _STATES[state]
            if kind == "{#":
                end, closed = _find(text, "#}", place)
                self.setFormat(place, end - place, self.formats["comment"])
                state = 0 if closed else state
            elif quote:
                end, closed = _find(text, quote, place)
                self.setFormat(place, end - place, self.formats["text"])
                state = _STATES.index((kind, "" if closed else quote))
            else:
                end, state = self._colour_code(text, place, kind)
            place = end
        self.setCurrentBlockState(state)

    def _colour_code(self, text: str, start: int, kind: str) -> tuple[int, int]:
        """Colour what stands between marks, up to where a text begins or they end; the place there and the state."""
        for match in _INSIDE.finditer(text, start):
            found = match.lastgroup or ""
            if found == "quote":
                self.setFormat(match.start(), 1, self.formats["text"])
                return match.end(), _STATES.index((kind, match[0]))
            self.setFormat(match.start(), len(match[0]), self.formats[found])
            if found == "mark" and match[0].endswith(_OPENINGS[kind]):
                return match.end(), 0
        return len(text), _STATES.index((kind, ""))


def _find(text: str, what: str, start: int) -> tuple[int, bool]:
    """Where `what` ends, and whether it is there; without it, where the line ends."""
    found = text.find(what, start)
    return (len(text), False) if found < 0 else (found + len(what), True)
