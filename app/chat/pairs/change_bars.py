"""The tokens whose probability differs most between two sentences, with bars around zero."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtCore import QRectF, Qt
from PySide6.QtGui import QColor, QFontMetrics, QPainter, QPaintEvent
from PySide6.QtWidgets import QWidget

from app.glass.names import share, signed
from app.kit.figures.heat_map import colour_table
from app.kit.painted_rows import PaintedRows
from app.kit.theme import SPACE, ThemeProvider

if TYPE_CHECKING:
    from models.inspect.minimal_pair import Change

_BAR = 8
_HEADS = ("in A", "in B", "nats")


class ChangeBars(PaintedRows):
    """A row for each token: its probability in A and in B, and by how much its logarithm differs."""

    def __init__(self, theme: ThemeProvider, parent: QWidget | None = None) -> None:
        super().__init__("Tokens whose probability differs most", theme, parent)
        self._changes: tuple[Change, ...] = ()

    def show_changes(self, changes: tuple[Change, ...]) -> None:
        """Show other tokens, the most different one first."""
        self._changes = changes
        said = (f"{c.word} {share(c.first)} to {share(c.second)}" for c in changes)
        self.setAccessibleDescription(", ".join(said))
        self._restyle()

    @property
    def changes(self) -> tuple[Change, ...]:
        """What is shown."""
        return self._changes

    @property
    def _n_rows(self) -> int:
        return 1 + len(self._changes)

    def tip(self, row: int) -> str:
        if not 0 < row <= len(self._changes):
            return ""
        change = self._changes[row - 1]
        return (
            f"{change.word}: probability {share(change.first)} in A and {share(change.second)} in B. Its logarithm "
            f"differs by {signed(change.nats)} nats: the logit's difference, once both are normalised."
        )

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        colors, font, high = self._theme.theme, self._theme.mono_font(0.9), self._row_height
        metrics = QFontMetrics(font)
        number = metrics.horizontalAdvance("<0.0001 %") + SPACE
        longest = max((metrics.horizontalAdvance(change.word) for change in self._changes), default=0)
        word = min(longest + 2 * SPACE, int(0.34 * self.width()))
        track = QRectF(word + 2 * number, 0, max(self.width() - word - 3 * number - SPACE, 20), _BAR)
        right = Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter
        boxes = [QRectF(word, 0, number - SPACE, high), QRectF(word + number, 0, number - SPACE, high)]
        boxes.append(QRectF(self.width() - number, 0, number, high))
        painter.setFont(self._theme.font(0.9))
        painter.setPen(colors.color("muted"))
        for box, head in zip(boxes, _HEADS, strict=True):
            painter.drawText(box, right, head)
        table = colour_table(self._theme, "diverging")
        limit = max((abs(change.nats) for change in self._changes), default=0.0) or 1.0
        painter.setFont(font)
        for i, change in enumerate(self._changes, start=1):
            painter.setPen(colors.color("text"))
            text = metrics.elidedText(change.word, Qt.TextElideMode.ElideRight, word - SPACE)
            painter.drawText(QRectF(0, i * high, word, high), Qt.AlignmentFlag.AlignVCenter, text)
            for box, said in zip(boxes, (share(change.first), share(change.second), signed(change.nats)), strict=True):
                painter.drawText(box.translated(0, i * high), right, said)
            middle = track.center().x()
            end = middle + change.nats / limit * track.width() / 2
            bar = QRectF(min(middle, end), (i + 0.5) * high - _BAR / 2, max(abs(end - middle), 1.0), _BAR)
            painter.fillRect(bar, QColor.fromRgb(int(table[-1 if change.nats > 0 else 0])))
            painter.fillRect(QRectF(middle - 0.5, i * high, 1, high), colors.color("border_strong"))
