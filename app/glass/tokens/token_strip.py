"""Input tokens as a few rows of pills, each coloured by an amount or crossed out."""

from __future__ import annotations

import html
from collections.abc import Collection, Sequence

from PySide6.QtCore import QEvent, QPointF, QRectF, Qt, QTimer, Signal, Slot
from PySide6.QtGui import QColor, QHelpEvent, QKeyEvent, QMouseEvent, QPainter, QPen
from PySide6.QtWidgets import QToolTip, QWidget

from terrarium.app.kit.theme import ThemeProvider
from terrarium.app.kit.tokens.token_view import TokenView
from terrarium.app.plots.heat_map import colour_table
from terrarium.models.tokenizers import Piece

_MARGIN = 8  # pixels around the rows, as in TokenView
_STRONGEST = 0.6  # maximum opacity of a colour behind text, so that it stays legible


class TokenStrip(TokenView):
    """A view of tokens that is as high as its rows, up to `max_rows`; longer texts are scrolled to their end.

    Signals:
        chosen(i): a token was clicked, or Enter was pressed on it.
    """

    chosen = Signal(int)

    def __init__(self, name: str, theme: ThemeProvider, *, max_rows: int = 4, parent: QWidget | None = None) -> None:
        super().__init__(theme, parent)
        self._max_rows = max_rows
        self._amounts: Sequence[float] | None = None
        self._reach = 1.0
        self._tips: Sequence[str] = ()
        self._crossed: Collection[int] = ()
        self._tokens: tuple[tuple[int, ...], tuple[str, ...]] = ((), ())
        self._fitting = QTimer(self, singleShot=True, interval=0)
        self._fitting.timeout.connect(self._fit)
        self.set_show_ids(False)
        self.setAccessibleName(name)

    def show_tokens(self, ids: Sequence[int], words: Sequence[str]) -> None:
        """Show other tokens, without colours and without crossing out."""
        self._amounts, self._tips, self._crossed = None, (), ()
        if (tuple(ids), tuple(words)) != self._tokens:
            self._tokens = tuple(ids), tuple(words)
            self.set_pieces([Piece(id, b"", 0, 0, word) for id, word in zip(ids, words, strict=True)])
        self._fit()
        self.viewport().update()

    def show_amounts(self, amounts: Sequence[float], reach: float, tips: Sequence[str]) -> None:
        """Colour the tokens by amounts. reach: the absolute amount with the strongest colour. tips: their tooltips."""
        self._amounts, self._reach, self._tips = amounts, reach, tips
        self.viewport().update()

    def cross_out(self, tokens: Collection[int]) -> None:
        """Cross out the tokens with these indices."""
        self._crossed = tokens
        self.viewport().update()

    def resizeEvent(self, event: object) -> None:
        super().resizeEvent(event)
        self._fitting.start()  # a resize within a resize would be ignored

    @Slot()
    def _fit(self) -> None:
        rows = min(max(self.pills.n_rows, 1), self._max_rows)
        self.setFixedHeight(rows * self._row_height + 2 * _MARGIN)
        self.verticalScrollBar().setValue(self.verticalScrollBar().maximum())

    # -- Painting ------------------------------------------------------------------------------------------------------

    def _paint_ground(self, painter: QPainter, index: int, piece: Piece, shape: QRectF) -> None:
        colors = self._theme.theme
        painter.setPen(QPen(colors.color("border_strong"), 1))
        painter.setBrush(colors.color("surface"))
        if self._amounts is not None and index < len(self._amounts):
            painter.setBrush(self._ground(self._amounts[index] / max(self._reach, 1e-12)))
        if index in self._crossed:
            painter.setPen(QPen(colors.color("danger"), 1, Qt.PenStyle.DashLine))
            painter.setBrush(colors.color("danger_soft"))
        painter.drawRoundedRect(shape, 4, 4)

    def _paint_pill(self, painter: QPainter, index: int) -> None:
        super()._paint_pill(painter, index)
        if index in self._crossed:
            rect = QRectF(self.pill_rect(index))
            painter.setPen(QPen(self._theme.theme.color("danger"), 1.5))
            painter.drawLine(QPointF(rect.left() + 3, rect.center().y()), QPointF(rect.right() - 3, rect.center().y()))

    def _ground(self, share: float) -> QColor:
        """Return the colour for an amount between −1 and 1, mixed with the background."""
        table, ground = colour_table(self._theme, "diverging"), self._theme.theme.color("surface")
        color = QColor.fromRgb(int(table[int(127.5 + 127.5 * min(max(share, -1.0), 1.0))]))
        mixed = [
            int(_STRONGEST * a + (1 - _STRONGEST) * b)
            for a, b in zip(color.getRgb()[:3], ground.getRgb()[:3], strict=True)  # type: ignore[index]
        ]
        return QColor(*mixed)

    # -- Input ---------------------------------------------------------------------------------------------------------

    def mousePressEvent(self, event: QMouseEvent) -> None:
        index = self.token_at(event.position())
        if event.button() == Qt.MouseButton.LeftButton and index >= 0:
            self.chosen.emit(index)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter, Qt.Key.Key_Space) and self.current >= 0:
            self.chosen.emit(self.current)
        else:
            super().keyPressEvent(event)

    def viewportEvent(self, event: QEvent) -> bool:
        if event.type() == QEvent.Type.ToolTip and isinstance(event, QHelpEvent):
            index = self.token_at(QPointF(event.pos()))
            tip = self._tips[index] if 0 <= index < len(self._tips) else ""
            QToolTip.showText(event.globalPos(), f"<p>{html.escape(tip)}</p>" if tip else "", self.viewport())
            return True
        return super().viewportEvent(event)
