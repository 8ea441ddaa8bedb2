"""The hover card that explains a part: the operation, its formula with numbers, its parameters."""

from __future__ import annotations

import html

from PySide6.QtCore import QPoint, QRect, QSize, Qt
from PySide6.QtWidgets import QFrame, QLabel, QWidget

from terrarium.app.builder.diagram.part import Part
from terrarium.app.kit.basics import column
from terrarium.app.kit.theme import ThemeProvider
from terrarium.models.number_words import format_count

_WIDTH = 300
_APART = 12


class HoverCard(QFrame):
    """A card beside a `Part` that explains it. Transparent to the mouse."""

    def __init__(self, theme: ThemeProvider, parent: QWidget) -> None:
        super().__init__(parent)
        self._theme, self._room = theme, parent
        self.setProperty("role", "toast")
        self.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
        self.text = QLabel()
        self.text.setTextFormat(Qt.TextFormat.RichText)
        self.text.setWordWrap(True)
        self.setLayout(column(self.text, margin=(12, 10, 12, 10)))
        self.hide()

    def explain(self, part: Part, total: int, beside: QRect, *, is_line: bool = False) -> None:
        """Show what `part` does, beside a rectangle of the parent.

        Args:
            total: the number of parameters of the model.
            is_line: whether the pointer is on a line, which carries the part's output.
        """
        self.text.setText(self._words(part, total, is_line))
        width = round(min(_WIDTH * self._theme.text_scale, self._room.width() - 8))
        self.text.setFixedWidth(width - 24)
        self.resize(width, self.text.heightForWidth(width - 24) + 24)
        self.move(place_beside(self.size(), beside, self._room.size()))
        self.raise_()
        self.show()

    def _words(self, part: Part, total: int, is_line: bool) -> str:
        colors, mono = self._theme.theme, html.escape(self._theme.mono_font().family())
        formula = "<br>".join(
            f'<span style="color:{colors.text if i == 0 else colors.muted}">{_unbroken(line)}</span>'
            for i, line in enumerate(part.formula.split("\n"))
        )
        small = self._theme.font(0.9).pointSizeF()
        style = f"font-family:'{mono}'; font-size:{small:.1f}pt; margin-top:6px; margin-bottom:6px"
        title = html.escape(part.title)
        if is_line and part.shape:
            title += f' <span style="font-weight:normal; color:{colors.muted}">→ {part.shape}</span>'
        return (
            f'<b>{title}</b><br>{html.escape(part.meaning)}<p style="{style}">{formula}</p>'
            f'<span style="color:{colors.muted}">{format_parameters(part, total)}</span>'
        )


def format_parameters(part: Part, total: int) -> str:
    """Format a part's parameters: '4 × 16,512 = 66,048 parameters, 7.6 % of the model'."""
    if not part.is_counted:
        return "Its numbers are not known yet"
    if not part.n_parameters:
        return "No parameters" if part.kind not in ("block", "stream", "memory", "io") else ""
    share = 100 * part.total_parameters / total
    words = format_count(part.total_parameters, "parameter")
    if part.copies > 1:
        words = f"{part.copies:,} × {part.n_parameters:,} = {words}"
    return f"{words}, {share:.{1 if share >= 0.05 else 3}f} % of the model"


def place_beside(size: QSize, beside: QRect, room: QSize) -> QPoint:
    """Return the position of a widget of `size` at the right, left, bottom or top of `beside`, the first that fits.

    At the top it is placed in any case, even if it then covers `beside`.
    """
    x = beside.right() + _APART
    y = min(max(beside.center().y() - size.height() // 2, 4), max(room.height() - size.height() - 4, 4))
    if x + size.width() <= room.width() - 4:
        return QPoint(x, y)
    if beside.left() - _APART - size.width() >= 4:
        return QPoint(beside.left() - _APART - size.width(), y)
    x = min(max(beside.center().x() - size.width() // 2, 4), max(room.width() - size.width() - 4, 4))
    if beside.bottom() + _APART + size.height() <= room.height() - 4:
        return QPoint(x, beside.bottom() + _APART)
    return QPoint(x, max(beside.top() - _APART - size.height(), 4))


def _unbroken(line: str) -> str:
    """Return the line as rich text that wraps only at triple spaces."""
    pieces = [html.escape(piece).replace(" ", "&nbsp;") for piece in line.split("   ")]
    return "&nbsp;&nbsp; ".join(pieces)
