"""The editor of a dataclass field, chosen by its type and the hints in its metadata."""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from PySide6.QtCore import QEvent, QLocale, QObject, QSignalBlocker, Qt, QTimer, SignalInstance
from PySide6.QtGui import QValidator
from PySide6.QtWidgets import QCheckBox, QComboBox, QDoubleSpinBox, QLineEdit, QPlainTextEdit, QSpinBox, QWidget

from terrarium.app.kit.setting_names.value_words import words

_MAX_INT = 2**31 - 1  # the maximum of a QSpinBox
_PAUSE_MS = 400
_THOUSANDS = re.compile(r"\d{1,3}(,\d{3})+(\.\d*)?")  # not 0,5, which may mean one half


@dataclass(frozen=True)
class Editor:
    """A widget with its value: `read` and `write` use the field's type; `write` emits no signal."""

    widget: QWidget
    read: Callable[[], Any]
    write: Callable[[Any], None]
    changed: SignalInstance


class IntBox(QSpinBox):
    """A spin box for an integer. The text of `set_zero_text`, if any, is shown for its minimum ("auto", "none").

    Input takes effect when editing ends, or after a pause in typing.
    """

    def __init__(self, low: int, high: int, step: int, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setRange(max(low, -_MAX_INT), min(high, _MAX_INT))
        self.setSingleStep(step)
        self.setLocale(QLocale(QLocale.Language.English))  # 50,257, as everywhere else on screen
        self.setGroupSeparatorShown(True)
        self.setKeyboardTracking(False)
        self.setAlignment(Qt.AlignmentFlag.AlignRight)
        keep_wheel_for_scrolling(self)
        # Debounced: while the user types 384, a problem with 3 is irrelevant.
        self._pause = QTimer(self, singleShot=True, interval=_PAUSE_MS)
        self._pause.timeout.connect(self._on_pause)
        self.lineEdit().textEdited.connect(self._pause.start)

    def _on_pause(self) -> None:
        if self.hasAcceptableInput():
            self.interpretText()

    def hasAcceptableInput(self) -> bool:
        """Return whether the input is a valid number."""
        return self.lineEdit().hasAcceptableInput()

    def set_zero_text(self, text: str) -> None:
        """Show `text` instead of the minimum."""
        if self.specialValueText() != text:
            self.setSpecialValueText(text)


class FloatBox(QDoubleSpinBox):
    """A spin box for a float, formatted as 0.0003, 1e-05 or 10,000. A step changes the first digit by one."""

    def __init__(self, low: float, high: float, first_step: float, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._first_step = first_step
        self.setDecimals(40)  # enough to lose no digit
        self.setRange(low, high)
        self.setKeyboardTracking(False)
        self.setAlignment(Qt.AlignmentFlag.AlignRight)
        keep_wheel_for_scrolling(self)

    def textFromValue(self, value: float) -> str:
        return f"{value:,.0f}" if 1000 <= value < 1e15 and value.is_integer() else f"{value:.6g}"

    def valueFromText(self, text: str) -> float:
        if text == self.textFromValue(self.value()):  # unchanged: keep the digits that are not shown
            return self.value()
        return _parse(text) or 0.0

    def validate(self, text: str, position: int) -> tuple[QValidator.State, str, int]:
        value = _parse(text)
        if value is not None:
            inside = self.minimum() <= value <= self.maximum()
            state = QValidator.State.Acceptable if inside else QValidator.State.Intermediate
        else:
            partial = all(c in "0123456789,.eE+-" for c in text.strip())
            state = QValidator.State.Intermediate if partial else QValidator.State.Invalid
        return state, text, position

    def fixup(self, text: str) -> str:
        return text  # Qt's fixup would drop commas and turn 0,5 into 5

    def stepBy(self, steps: int) -> None:
        for _ in range(abs(steps)):
            value = self.value()
            # One unit of the first digit; a step down from 0.1 gives 0.09, not 0.
            magnitude = abs(value) * (1 + 1e-9) if steps > 0 else abs(value) * (1 - 1e-9)
            unit = 10.0 ** math.floor(math.log10(magnitude)) if magnitude else self._first_step
            self.setValue(float(f"{value + math.copysign(unit, steps):.6g}"))


def make_editor(field: dataclasses.Field[Any]) -> Editor:
    """Create the editor for `field` from the type of its default and its `choices`, `range` and `step`."""
    default: Any = field.default
    kind: type = type(default)
    choices = field.metadata.get("choices")
    if choices:
        return _choice_editor(choices)
    if kind is bool:
        box = QCheckBox()
        return Editor(box, box.isChecked, _silent(box, box.setChecked), box.toggled)
    if kind is int:
        low, high = field.metadata.get("range", (0, _MAX_INT))
        spin = IntBox(low, high, field.metadata.get("step", _int_step(default)))
        return Editor(spin, spin.value, _silent(spin, spin.setValue), spin.valueChanged)
    if kind is float:
        low, high = field.metadata.get("range", (0.0, 1e12))
        number = FloatBox(low, high, 0.05 if not default else _decade(default))
        return Editor(number, number.value, _silent(number, number.setValue), number.valueChanged)
    if kind is tuple:
        return _lines_editor()
    line = QLineEdit()
    return Editor(line, line.text, _silent(line, line.setText), line.editingFinished)


def _choice_editor(choices: tuple[str, ...]) -> Editor:
    combo = QComboBox()
    for choice in choices:
        combo.addItem(words(choice), choice)
    combo.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToContents)
    keep_wheel_for_scrolling(combo)

    def write(value: str) -> None:
        with QSignalBlocker(combo):
            combo.setCurrentIndex(combo.findData(value))

    return Editor(combo, combo.currentData, write, combo.currentIndexChanged)


def _lines_editor() -> Editor:
    """Create an editor for a tuple of strings, one per line."""
    text = QPlainTextEdit()
    text.setTabChangesFocus(True)
    text.setPlaceholderText("One per line")
    text.setFixedHeight(3 * text.fontMetrics().lineSpacing() + 8)

    def read() -> tuple[str, ...]:
        return tuple(line for line in text.toPlainText().splitlines() if line.strip())

    def write(value: tuple[str, ...]) -> None:
        if read() != value:
            with QSignalBlocker(text):
                text.setPlainText("\n".join(value))

    return Editor(text, read, write, text.textChanged)


def _silent(widget: QWidget, set_value: Callable[[Any], object]) -> Callable[[Any], None]:
    def write(value: Any) -> None:
        with QSignalBlocker(widget):
            set_value(value)

    return write


class _WheelFilter(QObject):
    """Lets the wheel change the value of the focused editor only; otherwise it scrolls the page."""

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        if event.type() == QEvent.Type.Wheel and isinstance(watched, QWidget) and not watched.hasFocus():
            event.ignore()
            return True
        return super().eventFilter(watched, event)


def keep_wheel_for_scrolling(widget: QWidget) -> None:
    """Make `widget` ignore the wheel unless it has the focus."""
    widget.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
    widget.installEventFilter(_WheelFilter(widget))


def _parse(text: str) -> float | None:
    text = text.strip()
    if _THOUSANDS.fullmatch(text):
        text = text.replace(",", "")
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def _int_step(default: int) -> int:
    """Return a step for numbers of the default's size: 1 up to 15, then a power of two of about an eighth."""
    return 1 if default < 16 else 2 ** (default.bit_length() - 4)


def _decade(value: float) -> float:
    return float(10.0 ** math.floor(math.log10(abs(value))))
