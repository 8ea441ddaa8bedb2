"""Turning the wheel of the mouse over a widget, which pytest-qt cannot do."""

from __future__ import annotations

from PySide6.QtCore import QPoint, QPointF, Qt
from PySide6.QtGui import QWheelEvent
from PySide6.QtWidgets import QApplication, QWidget

_NOTCH = 120  # in eighths of a degree
_PLACE = QPointF(5, 5)


def turn_wheel(
    widget: QWidget, place: QPointF = _PLACE, keys: Qt.KeyboardModifier = Qt.KeyboardModifier.NoModifier
) -> QWheelEvent:
    """Turn the wheel up by one notch at a place of a widget; the event, which tells whether anybody accepted it."""
    event = QWheelEvent(
        place,
        widget.mapToGlobal(place),
        QPoint(),
        QPoint(0, _NOTCH),
        Qt.MouseButton.NoButton,
        keys,
        Qt.ScrollPhase.NoScrollPhase,
        False,
    )
    QApplication.sendEvent(widget, event)
    return event
