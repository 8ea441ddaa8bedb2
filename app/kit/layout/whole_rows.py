"""No row is cut in half at the bottom of what scrolls."""

from __future__ import annotations

from PySide6.QtCore import QSize
from PySide6.QtWidgets import QListView, QTableView, QVBoxLayout, QWidget

from terrarium.app.kit.layout.relayout_on_resize import RelayoutOnResize


def cut_row(height: int, row: int, contents: int) -> int:
    """The pixels that the last visible row has of the `row` that it needs, where `contents` are scrolled in `height`.

    0 where all fits, or where not even one row does.
    """
    return height % row if 0 < row <= height < contents else 0


class WholeRows(QWidget):
    """Holds a table or list whose rows are all of one height, and lets it end below a whole one."""

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
        return self._view.sizeHint()  # with what is left, a page that is as high as its hint would never come to rest

    def minimumSizeHint(self) -> QSize:
        # What is left below the last row can be given away.
        return self._view.minimumSizeHint().expandedTo(self._view.minimumSize())

    def _fit(self) -> None:
        view = self._view
        around = view.height() - view.viewport().height()
        row = view.rowHeight(0) if isinstance(view, QTableView) else view.sizeHintForRow(0)
        cut = cut_row(self.height() - around, row, row * view.model().rowCount())
        if cut != self._lines.contentsMargins().bottom():
            self._lines.setContentsMargins(0, 0, 0, cut)
