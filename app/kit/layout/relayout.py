"""Widgets whose layout is redone whenever their size, or that of their contents, changes."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from PySide6.QtCore import QEvent, QObject, QSize, Qt
from PySide6.QtWidgets import QBoxLayout, QListView, QSplitter, QTableView, QVBoxLayout, QWidget

from terrarium.app.kit.theme import ThemeProvider

_MIN_WIDTH = 240
"""The minimum width of a part in pixels when they are side by side."""


class RelayoutOnResize(QObject):
    """Calls `arrange` when `widget` is resized or its contents request a new layout, as after a change of text size."""

    def __init__(self, widget: QWidget, arrange: Callable[[], object]) -> None:
        super().__init__(widget)
        self._arrange = arrange
        widget.installEventFilter(self)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        if event.type() in (QEvent.Type.Resize, QEvent.Type.LayoutRequest):
            self._arrange()
        return False


class SideBySide(RelayoutOnResize):
    """Lays the parts of a widget out side by side if it is at least `wide` pixels wide (scaled with the text size), and
    in a column otherwise."""

    def __init__(self, widget: QWidget, parts: QBoxLayout, theme: ThemeProvider, wide: int) -> None:
        def arrange() -> None:
            is_wide = widget.width() >= wide * theme.text_scale
            across = QBoxLayout.Direction.LeftToRight if is_wide else QBoxLayout.Direction.TopToBottom
            if parts.direction() != across:
                parts.setDirection(across)

        super().__init__(widget, arrange)


class AdaptiveSplitter(QSplitter):
    """A splitter that is horizontal if its parts fit side by side, and vertical otherwise.

    Args:
        sizes: the initial widths in pixels, side by side. grows: the index of the part that takes spare space.
    """

    def __init__(self, *parts: QWidget, sizes: Sequence[int], grows: int) -> None:
        super().__init__(Qt.Orientation.Horizontal)
        self.setChildrenCollapsible(False)
        for part in parts:
            self.addWidget(part)
        self.setStretchFactor(grows, 1)
        self.setSizes(list(sizes))
        RelayoutOnResize(self, self._turn)

    @property
    def _needed(self) -> list[int]:
        parts = [self.widget(i) for i in range(self.count())]
        return [part.minimumSizeHint().width() for part in parts if part is not None]

    def minimumSizeHint(self) -> QSize:
        return QSize(max(self._needed, default=0), super().minimumSizeHint().height())

    def _turn(self) -> None:
        beside = sum(max(needed, _MIN_WIDTH) for needed in self._needed) + self.handleWidth() * (self.count() - 1)
        wanted = Qt.Orientation.Horizontal if beside <= self.width() else Qt.Orientation.Vertical
        if wanted != self.orientation():
            self.setOrientation(wanted)


def cut_row(height: int, row: int, contents: int) -> int:
    """Return the visible pixels of the row cut off at the bottom, if `contents` pixels are scrolled in `height`.

    row: the height of a row. Returns 0 if everything fits, or if not even one row does.
    """
    return height % row if 0 < row <= height < contents else 0


class WholeRows(QWidget):
    """Contains a table or list with rows of equal height, and shrinks it so that it ends below a whole row."""

    def __init__(self, view: QTableView | QListView, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._view = view
        self._lines = QVBoxLayout(self)
        self._lines.setContentsMargins(0, 0, 0, 0)
        self._lines.addWidget(view)
        RelayoutOnResize(view.viewport(), self._fit)
        model = view.model()
        for changed in (model.rowsInserted, model.rowsRemoved, model.modelReset):
            changed.connect(self._fit)
        if isinstance(view, QTableView):
            view.verticalHeader().geometriesChanged.connect(self._fit)

    def sizeHint(self) -> QSize:
        return self._view.sizeHint()  # without the margin, so that a page sized by its hint does not resize endlessly

    def minimumSizeHint(self) -> QSize:
        # The margin below the last row is not needed.
        return self._view.minimumSizeHint().expandedTo(self._view.minimumSize())

    def _fit(self) -> None:
        view = self._view
        around = view.height() - view.viewport().height()
        row = view.rowHeight(0) if isinstance(view, QTableView) else view.sizeHintForRow(0)
        cut = cut_row(self.height() - around, row, row * view.model().rowCount())
        if cut != self._lines.contentsMargins().bottom():
            self._lines.setContentsMargins(0, 0, 0, cut)
