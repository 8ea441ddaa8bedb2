"""Scrolling tables and lists that end below a whole row."""

from __future__ import annotations

from PySide6.QtCore import QSize
from PySide6.QtWidgets import QListView, QTableView, QVBoxLayout, QWidget

from terrarium.app.kit.layout.relayout_on_resize import RelayoutOnResize


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
