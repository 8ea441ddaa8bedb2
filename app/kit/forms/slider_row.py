"""A number that can be dragged and typed: a slider paired with its number box."""

from __future__ import annotations

from PySide6.QtCore import QEvent, QSignalBlocker, Qt, Signal
from PySide6.QtGui import QValidator
from PySide6.QtWidgets import QDoubleSpinBox, QGridLayout, QSlider, QWidget

from terrarium.app.kit.basics import label, plain_tip, without_mnemonic
from terrarium.app.kit.forms.editors import keep_wheel_for_scrolling
from terrarium.app.kit.help_mark import HelpMark, set_term

_TICKS = 1000


class _NumberBox(QDoubleSpinBox):
    """A number box that shows `high_text`, if any, for its maximum."""

    def __init__(self, high_text: str) -> None:
        super().__init__()
        self._high_text = high_text

    def textFromValue(self, value: float) -> str:
        is_named = bool(self._high_text) and value >= self.maximum()
        return self._high_text if is_named else super().textFromValue(value)

    def valueFromText(self, text: str) -> float:
        return self.maximum() if self._high_text and text == self._high_text else super().valueFromText(text)

    def validate(self, text: str, position: int) -> tuple[QValidator.State, str, int]:
        if self._high_text and text == self._high_text:
            return QValidator.State.Acceptable, text, position
        return super().validate(text, position)


class SliderRow(QWidget):
    """A label and a number box above a slider; both change the same value.

    Args:
        title: the text of the label.
        decimals: decimal places; 0 makes `value` an int.
        power: 1 for a linear slider, 2 for more resolution at small values.
        zero_text: the text for the minimum ("off"). high_text: the text for the maximum.
        in_line: place the slider between the label and the box, not below them.
        term: the glossary term that explains it.

    Signals:
        changed(object): the new value, after the user's edit.
    """

    changed = Signal(object)

    def __init__(
        self,
        title: str,
        tip: str,
        low: float,
        high: float,
        *,
        decimals: int = 0,
        power: float = 1.0,
        zero_text: str = "",
        high_text: str = "",
        in_line: bool = False,
        term: str = "",
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(parent)
        self._low, self._high, self._power, self._decimals = low, high, power, decimals
        self._high_text = high_text
        self._name = label(without_mnemonic(title))
        self._box = self._make_box()
        self._box.setKeyboardTracking(False)
        self._box.setAlignment(Qt.AlignmentFlag.AlignRight)
        self._box.setSpecialValueText(zero_text)
        self._slider = QSlider(Qt.Orientation.Horizontal)
        self._slider.setRange(0, _TICKS)
        self._slider.setPageStep(_TICKS // 10)
        self._slider.setSingleStep(_TICKS // 100)
        self._name.setBuddy(self._box)
        for widget in (self._box, self._slider):
            widget.setAccessibleName(title)
            widget.setAccessibleDescription(tip)
            keep_wheel_for_scrolling(widget)
        for each in (self._name, self._box, self._slider):
            each.setToolTip(plain_tip(tip))
        grid = QGridLayout(self)
        grid.setContentsMargins(0, 0, 0, 0)
        grid.setVerticalSpacing(2)
        grid.addWidget(self._name, 0, 0)
        grid.addWidget(self._box, 0, 2)
        if in_line:
            grid.addWidget(self._slider, 0, 1)
        else:
            grid.addWidget(self._slider, 1, 0, 1, 3)
        if term:
            set_term(self, term)
            if not in_line:
                grid.addWidget(HelpMark(term), 0, 1, Qt.AlignmentFlag.AlignLeft)
        grid.setColumnStretch(1, 1)
        self._size_box()
        self._slider.valueChanged.connect(self._on_slid)
        self._box.valueChanged.connect(self._on_typed)

    @property
    def value(self) -> float | int:
        """The number, an int if there are no decimals."""
        return self._box.value() if self._decimals else round(self._box.value())

    @property
    def label_width(self) -> int:
        """The width in pixels that the label needs."""
        return self._name.sizeHint().width()

    def set_label_width(self, pixels: int) -> None:
        """Set the label's minimum width, to align sliders in a column."""
        self._name.setMinimumWidth(pixels)

    def set_value(self, value: float) -> None:
        """Show `value`, without emitting a signal."""
        with QSignalBlocker(self._box):
            self._box.setValue(value)
        self._move_slider()

    def set_high(self, high: float) -> None:
        """Change the maximum."""
        self._high = high
        with QSignalBlocker(self._box):
            self._box.setMaximum(high)
        self._move_slider()

    def changeEvent(self, event: QEvent) -> None:
        super().changeEvent(event)
        if event.type() in (QEvent.Type.FontChange, QEvent.Type.StyleChange):
            self._size_box()

    def _size_box(self) -> None:
        self._box.setFixedWidth(self.fontMetrics().averageCharWidth() * 7 + 34)

    def _make_box(self) -> QDoubleSpinBox:
        box = _NumberBox(self._high_text)
        box.setDecimals(self._decimals)
        box.setRange(self._low, self._high)
        box.setSingleStep((self._high - self._low) / 20 if self._decimals else 1)
        return box

    def _move_slider(self) -> None:
        share = (self._box.value() - self._low) / (self._high - self._low)
        with QSignalBlocker(self._slider):
            self._slider.setValue(round(share ** (1 / self._power) * _TICKS))

    def _on_slid(self, ticks: int) -> None:
        value = self._low + (ticks / _TICKS) ** self._power * (self._high - self._low)
        before = self._box.value()
        with QSignalBlocker(self._box):
            self._box.setValue(value)
        if self._box.value() != before:
            self.changed.emit(self.value)

    def _on_typed(self) -> None:
        self._move_slider()
        self.changed.emit(self.value)
