"""The fonts of the diagram and text widths, unscaled: the user's text size scales the whole picture."""

from __future__ import annotations

from PySide6.QtGui import QFont, QFontMetricsF

from terrarium.app.kit.theme import ThemeProvider


class Fonts:
    """One font per kind of text; `measure` caches widths for the next redraw."""

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
        """The font for "title", "detail", "caption" or "badge"."""
        return self._fonts[name]

    def measure(self, text: str, name: str) -> float:
        """The width of `text` in that font, in pixels of the unscaled picture."""
        if (text, name) not in self._known:
            self._known[text, name] = self._metrics[name].horizontalAdvance(text)
        return self._known[text, name]
