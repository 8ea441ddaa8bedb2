"""The bytes of a text in hexadecimal, one cell each, coloured by token."""

from __future__ import annotations

from PySide6.QtCore import QEvent, QRect, QSize, Qt, Signal
from PySide6.QtGui import QColor, QFontMetrics, QMouseEvent, QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import QAbstractScrollArea, QFrame, QSizePolicy, QWidget

from terrarium.app.kit.theme import ThemeProvider
from terrarium.models.tokenizers.codec import show_bytes
from terrarium.models.tokenizers.text.encoded import EncodedText

_PAD, _MARGIN = 4, 8  # pixels around the digits of a cell, and at both ends


class ByteStrip(QAbstractScrollArea):
    """One line of bytes, each with the character that starts there; scrolls to the marked tokens.

    Signals:
        hovered(int): the token of the byte under the pointer, -1 for none.
        picked(int): the token of the clicked byte.
    """

    hovered = Signal(int)
    picked = Signal(int)

    def __init__(self, theme: ThemeProvider, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._theme = theme
        self._pieces: EncodedText | None = None
        self._data = b""
        self.marked = range(0)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setVerticalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setAccessibleName("Bytes of the text")
        self.setToolTip("The text in UTF-8, byte by byte, in the colours of the tokens")
        self.viewport().setMouseTracking(True)
        self._take_fonts()
        theme.theme_changed.connect(self._on_theme_changed)

    def set_pieces(self, pieces: EncodedText | None) -> None:
        """Show the bytes of an encoded text; None for none."""
        self._pieces = pieces
        self._data = pieces.text.encode() if pieces is not None else b""
        self.marked = range(0)
        self._set_range()
        self.viewport().update()

    def mark(self, tokens: range) -> None:
        """Outline the bytes of these tokens and scroll to them; an empty range for none."""
        if tokens == self.marked:
            return
        self.marked = tokens
        if tokens and self._pieces is not None:
            first, last = int(self._pieces.starts[tokens.start]), int(self._pieces.ends[tokens.stop - 1])
            bar, shown = self.horizontalScrollBar(), self.viewport().width() // self.cell_width
            if not bar.value() <= first <= last <= bar.value() + shown:
                bar.setValue(first - max((shown - (last - first)) // 2, 0))
        self.viewport().update()

    def sizeHint(self) -> QSize:
        bar = self.horizontalScrollBar().sizeHint().height()
        return QSize(320, self._metrics.height() + self._small.height() + 10 + bar)

    def minimumSizeHint(self) -> QSize:
        return QSize(120, self.sizeHint().height())

    def _take_fonts(self) -> None:
        self._font, self._small_font = self._theme.mono_font(0.85), self._theme.mono_font(0.78)
        self._metrics, self._small = QFontMetrics(self._font), QFontMetrics(self._small_font)
        self.cell_width = self._metrics.horizontalAdvance("00") + 2 * _PAD
        self.updateGeometry()

    def _set_range(self) -> None:
        shown = max((self.viewport().width() - 2 * _MARGIN) // self.cell_width, 1)
        bar = self.horizontalScrollBar()
        bar.setRange(0, max(0, len(self._data) - shown))
        bar.setPageStep(shown)
        bar.setSingleStep(4)

    def paintEvent(self, event: QPaintEvent) -> None:
        pieces = self._pieces
        if pieces is None or not self._data:
            return
        painter = QPainter(self.viewport())
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        first = self.horizontalScrollBar().value()
        end = min(len(self._data), first + self.viewport().width() // self.cell_width + 1)
        for i in pieces.touching(first, end):
            start, stop = max(int(pieces.starts[i]), first), min(int(pieces.ends[i]), end)
            if start < stop:
                rect = QRect(_MARGIN + (start - first) * self.cell_width, 2, (stop - start) * self.cell_width - 2, 0)
                self._paint_token(painter, i, rect)
        self._paint_bytes(painter, first, end)
        painter.end()

    def _paint_token(self, painter: QPainter, index: int, rect: QRect) -> None:
        colors = self._theme.theme
        rect.setHeight(self._metrics.height() + 2)
        painter.setPen(QPen(QColor(colors.accent), 2) if index in self.marked else Qt.PenStyle.NoPen)
        painter.setBrush(QColor(colors.pill_a if index % 2 == 0 else colors.pill_b))
        painter.drawRoundedRect(rect.adjusted(1, 0, -1, 0), 3, 3)

    def _paint_bytes(self, painter: QPainter, first: int, end: int) -> None:
        colors = self._theme.theme
        for at in range(first, end):
            cell = QRect(_MARGIN + (at - first) * self.cell_width - 1, 2, self.cell_width, self._metrics.height() + 2)
            painter.setFont(self._font)
            painter.setPen(QColor(colors.pill_text))
            painter.drawText(cell, Qt.AlignmentFlag.AlignCenter, f"{self._data[at]:02X}")
            character = self._character_at(at)
            if character:
                painter.setFont(self._small_font)
                painter.setPen(QColor(colors.muted))
                below = QRect(cell.left(), cell.bottom() + 2, self.cell_width, self._small.height())
                painter.drawText(below, Qt.AlignmentFlag.AlignCenter, character)

    def _character_at(self, at: int) -> str:
        """Return the character that starts at this byte, if it fits into a cell, else ""."""
        lead = self._data[at]
        if 0x80 <= lead < 0xC0:
            return ""
        size = 1 + (lead >= 0xC0) + (lead >= 0xE0) + (lead >= 0xF0)
        shown = show_bytes(self._data[at : at + size])
        return shown if len(shown) <= 2 else ""

    def token_at(self, x: int) -> int:
        at = (x - _MARGIN) // self.cell_width + self.horizontalScrollBar().value()
        if self._pieces is None or not 0 <= at < len(self._data) or x < _MARGIN:
            return -1
        tokens = self._pieces.touching(at, at + 1)
        index = tokens.start
        return index if tokens and self._pieces.starts[index] <= at < self._pieces.ends[index] else -1

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        self.hovered.emit(self.token_at(int(event.position().x())))

    def mousePressEvent(self, event: QMouseEvent) -> None:
        if event.button() == Qt.MouseButton.LeftButton:
            self.picked.emit(self.token_at(int(event.position().x())))

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        event.accept()

    def viewportEvent(self, event: QEvent) -> bool:
        if event.type() == QEvent.Type.Leave:
            self.hovered.emit(-1)
        return super().viewportEvent(event)

    def resizeEvent(self, event: object) -> None:
        self._set_range()

    def _on_theme_changed(self) -> None:
        self._take_fonts()
        self._set_range()
        self.viewport().update()
