"""A flow layout: widgets in lines that wrap."""

from __future__ import annotations

from PySide6.QtCore import QPoint, QRect, QSize, Qt
from PySide6.QtWidgets import QLayout, QLayoutItem, QWidget

from terrarium.app.kit.theme import SPACE


class FlowLayout(QLayout):
    """Lays widgets out in wrapping lines, at their preferred size and vertically centred."""

    def __init__(self, parent: QWidget | None = None, spacing: int = SPACE) -> None:
        super().__init__(parent)
        self._items: list[QLayoutItem] = []
        self.setSpacing(spacing)
        self.setContentsMargins(0, 0, 0, 0)

    def addItem(self, item: QLayoutItem) -> None:
        self._items.append(item)

    def count(self) -> int:
        return len(self._items)

    def itemAt(self, index: int) -> QLayoutItem | None:
        return self._items[index] if 0 <= index < len(self._items) else None

    def takeAt(self, index: int) -> QLayoutItem | None:
        return self._items.pop(index) if 0 <= index < len(self._items) else None

    def expandingDirections(self) -> Qt.Orientation:
        return Qt.Orientation(0)

    def hasHeightForWidth(self) -> bool:
        return True

    def heightForWidth(self, width: int) -> int:
        return self._place(QRect(0, 0, width, 0), moves=False)

    def setGeometry(self, rect: QRect) -> None:
        super().setGeometry(rect)
        self._place(rect, moves=True)

    def sizeHint(self) -> QSize:
        sizes = [item.sizeHint() for item in self._items]
        width = sum(size.width() for size in sizes) + self.spacing() * max(len(sizes) - 1, 0)
        return QSize(width, max((size.height() for size in sizes), default=0))

    def minimumSize(self) -> QSize:
        size = QSize()
        for item in self._items:
            size = size.expandedTo(item.minimumSize())
        return size

    def _place(self, rect: QRect, *, moves: bool) -> int:
        """Compute the height of all lines in pixels; with `moves`, also place the widgets."""
        top, lines = rect.top(), self._lines(rect.width())
        for line in lines:
            height, left = max(item.sizeHint().height() for item in line), rect.left()
            for item in line:
                size = item.sizeHint()
                if moves:
                    item.setGeometry(QRect(QPoint(left, top + (height - size.height()) // 2), size))
                left += size.width() + self.spacing()
            top += height + self.spacing()
        return top - rect.top() - (self.spacing() if lines else 0)

    def _lines(self, width: int) -> list[list[QLayoutItem]]:
        lines: list[list[QLayoutItem]] = []
        left = 0
        for item in self._items:
            if item.isEmpty():
                continue
            if not lines or left + item.sizeHint().width() > width:
                lines.append([])
                left = 0
            lines[-1].append(item)
            left += item.sizeHint().width() + self.spacing()
        return lines


def wrapping(*widgets: QWidget, spacing: int = SPACE) -> QWidget:
    """Create a widget that shows others side by side, in wrapping lines."""
    lines = QWidget()  # a flow layout needs its own widget: otherwise PySide treats its items as deleted after a while
    flow = FlowLayout(lines, spacing)
    for widget in widgets:
        flow.addWidget(widget)
    return lines


def flowing(*widgets: QWidget, spacing: int = SPACE) -> QWidget:
    """Create a widget that contains others in wrapping lines."""
    lines = QWidget()
    layout = FlowLayout(lines, spacing)
    for widget in widgets:
        layout.addWidget(widget)
    return lines
