"""One reply, token by token, coloured by its advantage, or by the log-ratio of the policy to the parent."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from PySide6.QtCore import QRectF, QSize, Qt
from PySide6.QtGui import QColor, QFontMetrics, QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import QSizePolicy, QWidget

from terrarium.app.kit.colours import readable_on
from terrarium.app.kit.theme import SPACE, ThemeProvider
from terrarium.app.kit.tokens.token_view import TokenView, describe_token
from terrarium.models.tokenizers import Piece

_SHADES = 65
_BAR = 6


def shades(theme: ThemeProvider) -> list[QColor]:
    """Return the colours from the most negative to the most positive value; the middle one (0) is the background."""
    table = np.asarray(theme.diverging_map().getLookupTable(nPts=_SHADES, alpha=False), dtype=float)
    ground = QColor(theme.theme.surface)
    strength = np.clip(np.abs(np.linspace(-1, 1, _SHADES)) / 0.25, 0, 1)[:, None]
    table = table * strength + np.array([ground.red(), ground.green(), ground.blue()]) * (1 - strength)
    return [QColor(*(round(channel) for channel in row)) for row in table.tolist()]


def shade_of(value: float, limit: float) -> int:
    """Return the index of a value's shade, for values clipped to ± `limit`."""
    share = min(max(value / limit, -1.0), 1.0) if limit > 0 and math.isfinite(value) else 0.0
    return round((share + 1) / 2 * (_SHADES - 1))


def as_odds(log_ratio: float) -> str:
    """Describe a log-ratio: “2.3 times as likely as under the parent”."""
    ratio = math.exp(min(abs(log_ratio), 700.0))
    if ratio < 1.05:
        return "as likely as under the parent"
    times = f"{ratio:,.1f}" if ratio < 100 else f"{ratio:,.0f}"
    return f"{times} times {'as likely as' if log_ratio > 0 else 'less likely than'} under the parent"


class ReplyTokens(TokenView):
    """Shows the tokens of a reply in the colours of their values (n,)."""

    def __init__(self, theme: ThemeProvider, parent: QWidget | None = None) -> None:
        super().__init__(theme, parent)
        self.values: Sequence[float] = ()
        self._tips: Sequence[str] = ()
        self._limit = 1.0
        self._take_shades()
        self.set_show_ids(False)
        self.setAccessibleName("Tokens of the reply")
        theme.theme_changed.connect(self._take_shades)

    def _take_shades(self) -> None:
        self._shades = shades(self._theme)
        self._inks = [readable_on(shade) for shade in self._shades]
        self.viewport().update()

    def show_reply(self, pieces: Sequence[Piece], values: Sequence[float], limit: float, tips: Sequence[str]) -> None:
        """Show tokens with their values and descriptions; values from ± `limit` on have the strongest colours."""
        self.values, self._limit, self._tips = values, limit, tips
        self.set_pieces(pieces)

    def describe(self, index: int) -> str:
        """Describe the token at an index."""
        return f"{describe_token(self.pieces[index])}   {self._tips[index]}"

    def _tip(self, index: int) -> str:
        return self.describe(index)

    def _ink(self, index: int) -> QColor | None:
        return self._inks[shade_of(self.values[index], self._limit)]

    def _paint_ground(self, painter: QPainter, index: int, piece: Piece, shape: QRectF) -> None:
        colors = self._theme.theme
        style = Qt.PenStyle.DashLine if piece.special else Qt.PenStyle.SolidLine
        painter.setPen(QPen(colors.color("muted" if piece.special else "border"), 1, style))
        painter.setBrush(self._shades[shade_of(self.values[index], self._limit)])
        painter.drawRoundedRect(shape, 4, 4)


class DivergingScale(QWidget):
    """The legend of the colours: from −limit over 0 to +limit, or from 0 to limit if not `signed`.

    Args:
        unit: of the values; "" if they have none, or if it is shown elsewhere.
    """

    def __init__(self, theme: ThemeProvider, *, signed: bool = True, unit: str = "") -> None:
        super().__init__()
        self._theme, self._limit, self._signed, self._unit = theme, 1.0, signed, f" {unit}" if unit else ""
        self.setSizePolicy(QSizePolicy.Policy.Fixed, QSizePolicy.Policy.Fixed)
        theme.theme_changed.connect(self.update)

    def show_limit(self, limit: float) -> None:
        """Set the value at the end of the scale."""
        self._limit = limit
        self.setAccessibleName(f"Scale from {f'−{limit:.2g}' if self._signed else '0'} to {limit:.2g}{self._unit}")
        self.update()

    def sizeHint(self) -> QSize:
        return QSize(190, _BAR + 3 + QFontMetrics(self._theme.font(0.85)).height())

    def paintEvent(self, event: QPaintEvent) -> None:
        painter, colors = QPainter(self), self._theme.theme
        grounds = shades(self._theme)[0 if self._signed else _SHADES // 2 :]
        for i, ground in enumerate(grounds):
            start, end = (self.width() * edge // len(grounds) for edge in (i, i + 1))
            painter.fillRect(start, 0, end - start, _BAR, ground)
        painter.setPen(colors.color("border_strong"))
        painter.drawRect(0, 0, self.width() - 1, _BAR - 1)
        painter.setPen(colors.color("muted"))
        painter.setFont(self._theme.font(0.85))
        high = painter.fontMetrics().height()
        below = QRectF(0, _BAR + 2, self.width(), high)
        for side, words in (
            (Qt.AlignmentFlag.AlignLeft, f"≤ −{self._limit:.2g}" if self._signed else "0"),
            (Qt.AlignmentFlag.AlignHCenter, "0" if self._signed else ""),
            (Qt.AlignmentFlag.AlignRight, f"≥ {'+' if self._signed else ''}{self._limit:.2g}{self._unit}"),
        ):
            painter.drawText(below.adjusted(0, 0, -SPACE // 8, 0), side, words)
        painter.end()
