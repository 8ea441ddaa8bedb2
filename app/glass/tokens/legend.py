"""A selector of the quantity that tokens are coloured by, and the legend of its colours."""

from __future__ import annotations

from PySide6.QtCore import QRectF, QSize, Qt, Signal, Slot
from PySide6.QtGui import QFontMetrics, QPainter, QPaintEvent
from PySide6.QtWidgets import QComboBox, QSizePolicy, QWidget

from terrarium.app.glass.draft_mark import OUTCOMES
from terrarium.app.glass.tokens.colours import (
    DRAFT,
    DRAFT_NAME,
    DRAFT_TIP,
    NO_COLOURS,
    QUANTITIES,
    Quantity,
    Shades,
    draft_colours,
)
from terrarium.app.kit.basics import plain_tip, row
from terrarium.app.kit.theme import SPACE, ThemeProvider

_BAR = 6
_NONE = "Plain text: point at a token all the same to look into it"


class TokenLegend(QWidget):
    """A list of QUANTITIES, and of DRAFT if offered, beside the colour scale of the chosen one.

    Args:
        quantity: the initial choice. has_none: whether NO_COLOURS can be chosen too.

    Signals:
        chosen(str): another quantity, with this key, is chosen.
        picked(str): the user chose the quantity with this key.
    """

    chosen = Signal(str)
    picked = Signal(str)

    def __init__(self, theme: ThemeProvider, quantity: str = "surprisal", *, has_none: bool = False) -> None:
        super().__init__()
        self.choice = QComboBox()
        self.choice.setAccessibleName("Colour the tokens by")
        if has_none:
            self.choice.addItem("None", NO_COLOURS)
            self.choice.setItemData(0, _NONE, Qt.ItemDataRole.ToolTipRole)
        for key, about in QUANTITIES.items():
            self.choice.addItem(about.name, key)
            self.choice.setItemData(self.choice.count() - 1, about.tip, Qt.ItemDataRole.ToolTipRole)
        self._scale, self._outcomes = _Scale(theme), _Outcomes(theme)
        self.setLayout(row(self.choice, self._scale, self._outcomes))
        self.choice.currentIndexChanged.connect(self._on_chosen)
        self.choice.activated.connect(lambda _: self.picked.emit(self.quantity))
        self.set_quantity(quantity)

    @property
    def quantity(self) -> str:
        """The key of the chosen quantity."""
        return str(self.choice.currentData())

    def offer_draft(self, offered: bool) -> None:
        """Set whether DRAFT can be chosen; if it was chosen and no longer can be, choose surprisal."""
        at = self.choice.findData(DRAFT)
        if offered and at < 0:
            self.choice.addItem(DRAFT_NAME, DRAFT)
            self.choice.setItemData(self.choice.count() - 1, DRAFT_TIP, Qt.ItemDataRole.ToolTipRole)
        elif not offered and at >= 0:
            if self.quantity == DRAFT:
                self.set_quantity("surprisal")
            self.choice.removeItem(at)

    def set_quantity(self, key: str) -> None:
        """Choose one of QUANTITIES, or NO_COLOURS or DRAFT if they are in the list."""
        self.choice.setCurrentIndex(self.choice.findData(key))
        self._show()

    def _show(self) -> None:
        about, is_draft = QUANTITIES.get(self.quantity), self.quantity == DRAFT
        self.choice.setToolTip(plain_tip(about.tip if about is not None else DRAFT_TIP if is_draft else _NONE))
        self._scale.setVisible(about is not None)
        self._outcomes.setVisible(is_draft)
        if about is not None:
            self._scale.show_quantity(about)

    @Slot()
    def _on_chosen(self) -> None:
        self._show()
        self.chosen.emit(self.quantity)


class _Scale(QWidget):
    """A colour scale with labels below it."""

    def __init__(self, theme: ThemeProvider) -> None:
        super().__init__()
        self._theme = theme
        self._quantity: Quantity | None = None
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        theme.theme_changed.connect(self.update)

    def show_quantity(self, quantity: Quantity) -> None:
        """Show another scale."""
        self._quantity = quantity
        self.setToolTip(plain_tip(quantity.tip))
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


class _Outcomes(QWidget):
    """A named colour patch for each outcome of speculative decoding."""

    def __init__(self, theme: ThemeProvider) -> None:
        super().__init__()
        self._theme = theme
        self.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Fixed)
        self.setToolTip(plain_tip(DRAFT_TIP))
        self.setAccessibleName(f"Colours: {', '.join(OUTCOMES.values())}")
        theme.theme_changed.connect(self.update)

    def sizeHint(self) -> QSize:
        metrics = QFontMetrics(self._theme.font(0.85))
        width = sum(metrics.horizontalAdvance(words) + 3 * SPACE for words in OUTCOMES.values())
        return QSize(width, metrics.height() + 6)

    def minimumSizeHint(self) -> QSize:
        return self.sizeHint()

    def paintEvent(self, event: QPaintEvent) -> None:
        painter, colors = QPainter(self), self._theme.theme
        painter.setFont(self._theme.font(0.85))
        metrics, left = painter.fontMetrics(), 0
        for outcome, words in OUTCOMES.items():
            width = metrics.horizontalAdvance(words) + 2 * SPACE
            patch = QRectF(left, (self.height() - metrics.height() - 4) / 2, width, metrics.height() + 4)
            painted = draft_colours(self._theme, outcome)
            if painted is not None:
                painter.fillRect(patch, painted[0])
            if outcome == "replaced" and painted is not None:
                painter.fillRect(QRectF(patch.left(), patch.bottom() - 2, patch.width(), 2), painted[1])
            painter.setPen(painted[1] if painted is not None else colors.color("text"))
            painter.drawText(patch, Qt.AlignmentFlag.AlignCenter, words)
            left += width + SPACE
        painter.end()
