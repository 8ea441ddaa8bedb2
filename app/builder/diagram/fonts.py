"""The fonts and text widths of the diagram, unscaled: the user's text size scales the whole picture."""

from __future__ import annotations

from PySide6.QtGui import QFont, QFontMetricsF

from terrarium.app.kit.theme import ThemeProvider


class Fonts:
    """A font per kind of text; `measure` caches widths across redraws."""

    def __init__(self, theme: ThemeProvider) -> None:
        base = 1 / theme.text_scale
        self._fonts = {
            "title": theme.font(base),
            "detail": theme.mono_font(0.86 * base),
            "caption": theme.mono_font(0.86 * base),
            "badge": theme.font(1.2 * base, bold=True),
        }
        self._metrics = {name: QFontMetricsF(font) for name, font in self._fonts.items()}
        self._known: dict[tuple[str, str], float] = {}

    def font(self, name: str) -> QFont:
        """Return the font for "title", "detail", "caption" or "badge"."""
        return self._fonts[name]

    def measure(self, text: str, name: str) -> float:
        """Return the width of `text` in the font `name`, in pixels of the unscaled picture."""
        if (text, name) not in self._known:
            self._known[text, name] = self._metrics[name].horizontalAdvance(text)
        return self._known[text, name]
