"""Labels and combo boxes of stable size: elided text, and numbers of fixed width."""

from __future__ import annotations

from PySide6.QtCore import QEvent, QSize, Qt
from PySide6.QtGui import QHelpEvent, QPainter, QPaintEvent, QPalette, QResizeEvent
from PySide6.QtWidgets import (
    QComboBox,
    QFrame,
    QLabel,
    QSizePolicy,
    QStyle,
    QStyleOptionComboBox,
    QStylePainter,
    QToolTip,
    QWidget,
)

from terrarium.app.kit.basics import joined_tips, plain_tip

_SPARE = 4
"""Pixels by which the text of a combo box may be wider than Qt measures it."""


class ElidedLabel(QFrame):
    """A label with one line of text, elided if it does not fit."""

    def __init__(self, text: str = "", parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._text = text
        self.alignment = Qt.AlignmentFlag.AlignLeft
        """The alignment of the text."""
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)

    def text(self) -> str:
        """Return the whole text, not elided."""
        return self._text

    def setText(self, text: str) -> None:
        """Show `text`."""
        if text != self._text:
            self._text = text
            self.setAccessibleDescription(text)
            self.updateGeometry()
            self._follow()

    def sizeHint(self) -> QSize:
        metrics = self.fontMetrics()
        return QSize(metrics.horizontalAdvance(self._text) + 2, metrics.height() + 2)

    def minimumSizeHint(self) -> QSize:
        return QSize(40, self.fontMetrics().height() + 2)

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self._follow()

    def changeEvent(self, event: QEvent) -> None:
        super().changeEvent(event)
        if event.type() == QEvent.Type.FontChange:
            self._follow()

    def _follow(self) -> None:
        """Repaint, and show the whole text as a tooltip if it is elided."""
        self.setToolTip(plain_tip(self._text) if self._shown != self._text else "")
        self.update()

    @property
    def _shown(self) -> str:
        return self.fontMetrics().elidedText(self._text, Qt.TextElideMode.ElideRight, self.width())

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.setPen(self.palette().windowText().color())
        painter.drawText(self.rect(), Qt.AlignmentFlag.AlignVCenter | self.alignment, self._shown)


class ElidedCombo(QComboBox):
    """A combo box that elides its text and prefixes its tooltip with it; Qt would cut the text off within a letter."""

    def event(self, event: QEvent) -> bool:
        if isinstance(event, QHelpEvent) and event.type() == QEvent.Type.ToolTip:
            words = self.currentText()
            whole = words if self._elided(words) != words else ""
            QToolTip.showText(event.globalPos(), joined_tips(plain_tip(whole), self.toolTip()), self)
            return True
        return super().event(event)

    def sizeHint(self) -> QSize:
        return super().sizeHint() + QSize(_SPARE, 0)

    def paintEvent(self, event: QPaintEvent) -> None:
        option = QStyleOptionComboBox()
        self.initStyleOption(option)
        words = self.currentText()
        if self.currentIndex() < 0:
            words = self.placeholderText()
            option.palette.setBrush(QPalette.ColorRole.ButtonText, option.palette.placeholderText())
        option.currentText = self._elided(words)
        painter = QStylePainter(self)
        painter.drawComplexControl(QStyle.ComplexControl.CC_ComboBox, option)
        painter.drawControl(QStyle.ControlElement.CE_ComboBoxLabel, option)

    def _elided(self, words: str) -> str:
        option = QStyleOptionComboBox()
        self.initStyleOption(option)
        field = QStyle.SubControl.SC_ComboBoxEditField
        room = self.style().subControlRect(QStyle.ComplexControl.CC_ComboBox, option, field, self)
        return self.fontMetrics().elidedText(words, Qt.TextElideMode.ElideRight, room.width() - 2)


class NumberLabel(QLabel):
    """A right-aligned label for a changing number, with a fixed width of `n_characters`. role: see `basics.label`."""

    def __init__(self, n_characters: int, role: str = "mono") -> None:
        super().__init__()
        self._n_characters = n_characters
        self.setProperty("role", role)
        self.setTextFormat(Qt.TextFormat.PlainText)
        self.setAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)

    def sizeHint(self) -> QSize:
        return QSize(self.fontMetrics().horizontalAdvance("0" * self._n_characters) + 2, super().sizeHint().height())

    def minimumSizeHint(self) -> QSize:
        return self.sizeHint()
