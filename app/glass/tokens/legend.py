"""A selector of the quantity that tokens are coloured by, and the legend of its colours."""

from __future__ import annotations

from PySide6.QtCore import QRectF, QSize, Qt, Signal, Slot
from PySide6.QtGui import QFontMetrics, QPainter, QPaintEvent
from PySide6.QtWidgets import QComboBox, QSizePolicy, QWidget

from app.glass.tokens.colours import QUANTITIES, Quantity, Shades
from app.kit.basics import row
from app.kit.theme import SPACE, ThemeProvider

_BAR = 6


class TokenLegend(QWidget):
    """A list of QUANTITIES beside the scale of the chosen one.

    Signals:
        chosen(str): the key of the chosen quantity.
    """

    chosen = Signal(str)

    def __init__(self, theme: ThemeProvider, quantity: str = "surprisal") -> None:
        super().__init__()
        self.choice = QComboBox()
        self.choice.setAccessibleName("Colour the tokens by")
        for key, about in QUANTITIES.items():
            self.choice.addItem(about.name, key)
            self.choice.setItemData(self.choice.count() - 1, about.tip, Qt.ItemDataRole.ToolTipRole)
        self._scale = _Scale(theme)
        self.setLayout(row(self.choice, self._scale))
        self.choice.currentIndexChanged.connect(self._on_chosen)
        self.set_quantity(quantity)

    @property
    def quantity(self) -> str:
        """The key of the chosen quantity."""
        return str(self.choice.currentData())

    def set_quantity(self, key: str) -> None:
        """Choose one of QUANTITIES."""
        self.choice.setCurrentIndex(self.choice.findData(key))
        self._show()

    def _show(self) -> None:
        about = QUANTITIES[self.quantity]
        self.choice.setToolTip(about.tip)
        self._scale.show_quantity(about)

    @Slot()
    def _on_chosen(self) -> None:
        self._show()
        self.chosen.emit(self.quantity)


class _Scale(QWidget):
    """The colour scale with labels below."""

    def __init__(self, theme: ThemeProvider) -> None:
        super().__init__()
        self._theme = theme
        self._quantity: Quantity | None = None
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        theme.theme_changed.connect(self.update)

    def show_quantity(self, quantity: Quantity) -> None:
        """Show another scale."""
        self._quantity = quantity
        self.setToolTip(quantity.tip)
        self.setAccessibleName(f"Scale: {', '.join(words for _, words in quantity.marks)}")
        self.update()

    def sizeHint(self) -> QSize:
        return QSize(190, _BAR + 3 + QFontMetrics(self._theme.font(0.85)).height())

    def minimumSizeHint(self) -> QSize:
        return QSize(110, self.sizeHint().height())

    def paintEvent(self, event: QPaintEvent) -> None:
        if self._quantity is None:
            return
        painter, colors = QPainter(self), self._theme.theme
        grounds = Shades(self._theme, self._quantity).grounds
        for i, ground in enumerate(grounds):
            start, end = (self.width() * edge // len(grounds) for edge in (i, i + 1))
            painter.fillRect(start, 0, end - start, _BAR, ground)
        painter.setPen(colors.color("border_strong"))
        painter.drawRect(0, 0, self.width() - 1, _BAR - 1)
        painter.setPen(colors.color("muted"))
        painter.setFont(self._theme.font(0.85))
        metrics = painter.fontMetrics()
        marks = self._quantity.marks
        ends = metrics.horizontalAdvance(marks[0][1] + marks[-1][1]) + SPACE
        for i, (value, words) in enumerate(marks):
            width = metrics.horizontalAdvance(words) + 2
            left = min(max(self.width() * self._quantity.fraction(value) - width / 2, 0.0), self.width() - width)
            if 0 < i < len(marks) - 1 and self.width() < ends + 2 * (width + SPACE):
                continue
            if i == 0 and self.width() < ends:  # too narrow for both: keep the last label
                continue
            painter.drawText(QRectF(left, _BAR + 2, width, metrics.height()), Qt.AlignmentFlag.AlignLeft, words)
        painter.end()
