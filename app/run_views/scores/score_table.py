"""A small table of numbers, whose height fits its rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, TypeAlias

from PySide6.QtCore import (
    QAbstractTableModel,
    QEvent,
    QModelIndex,
    QObject,
    QPersistentModelIndex,
    QSize,
    Qt,
    Slot,
)
from PySide6.QtGui import QShowEvent
from PySide6.QtWidgets import QAbstractItemView, QHeaderView, QTableView, QWidget

from terrarium.app.kit.basics import plain_tip
from terrarium.app.kit.tables import plain_table
from terrarium.app.kit.theme import ThemeProvider
from terrarium.models.number_words import format_percent

AnyIndex: TypeAlias = QModelIndex | QPersistentModelIndex

_NOWHERE = QModelIndex()
_DISPLAY, _TIP = Qt.ItemDataRole.DisplayRole, Qt.ItemDataRole.ToolTipRole
_ALIGNMENT = Qt.ItemDataRole.TextAlignmentRole
_MAX_ROWS = 16
"""Maximum number of visible rows; further rows scroll."""
_SHARES = (("Precision", "precision"), ("Recall", "recall"), ("F1", "f1"))
FIGURE_TITLES = (*(title for title, _ in _SHARES), "Support", "Predicted")
"""The column titles of `figure_row`, without that of the name."""
_TIPS = {
    "Precision": "Of those that the model gave, the share that is right",
    "Recall": "Of those that are there, the share that the model found",
    "F1": "The harmonic mean of precision and recall",
    "Support": "How many there are",
    "Predicted": "How many the model gave",
}


class _Figures(QAbstractTableModel):
    """Rows of text under titles.

    A model instead of table items: PySide was seen to crash when it deleted the items of a table that was refilled.
    """

    def __init__(self, parent: QObject) -> None:
        super().__init__(parent)
        self._titles: tuple[str, ...] = ()
        self.rows: list[list[str]] = []
        self._tips: list[str] = []
        self._heads: Mapping[str, str] = {}

    def show_rows(
        self, titles: Sequence[str], rows: Sequence[Sequence[str]], tips: Sequence[str], heads: Mapping[str, str]
    ) -> None:
        """Replace all rows. tips: a tooltip per row, () for the cells' texts. heads: tooltips by title."""
        self.beginResetModel()
        self._titles, self.rows, self._tips = tuple(titles), [list(row) for row in rows], list(tips)
        self._heads = heads
        self.endResetModel()

    def rowCount(self, parent: AnyIndex = _NOWHERE) -> int:
        return 0 if parent.isValid() else len(self.rows)

    def columnCount(self, parent: AnyIndex = _NOWHERE) -> int:
        return 0 if parent.isValid() else len(self._titles)

    def headerData(self, section: int, orientation: Qt.Orientation, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        if orientation != Qt.Orientation.Horizontal or section >= len(self._titles):
            return None
        title = self._titles[section]
        if role == _TIP:
            return self._heads.get(title, "")
        return title if role == _DISPLAY else _alignment(section) if role == _ALIGNMENT else None

    def data(self, index: AnyIndex, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        row, column = index.row(), index.column()
        if column >= len(self.rows[row]):
            return None
        text = self.rows[row][column]
        if role == _TIP:
            return plain_tip(self._tips[row] if self._tips else text)
        return text if role == _DISPLAY else _alignment(column) if role == _ALIGNMENT else None


class ScoreTable(QTableView):
    """A read-only table of texts; the first column is a name, the others are numbers."""

    def __init__(self, name: str, theme: ThemeProvider, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._figures = _Figures(self)
        self.setModel(self._figures)
        plain_table(self, name)
        self.setHorizontalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        theme.theme_changed.connect(self._fit)

    def show_rows(
        self,
        titles: Sequence[str],
        rows: Sequence[Sequence[str]],
        tips: Sequence[str] = (),
        heads: Mapping[str, str] = MappingProxyType(_TIPS),
    ) -> None:
        """Show rows under titles. tips: a tooltip per row, () for the cells' texts. heads: tooltips by title."""
        self._figures.show_rows(titles, rows, tips, heads)
        header = self.horizontalHeader()
        header.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        if titles:
            header.setSectionResizeMode(0, QHeaderView.ResizeMode.Stretch)
        header.setMinimumSectionSize(40)
        self._fit()

    def texts(self) -> list[list[str]]:
        """Return the shown texts, row by row."""
        return [list(row) for row in self._figures.rows]

    def changeEvent(self, event: QEvent) -> None:
        super().changeEvent(event)
        if event.type() in (QEvent.Type.StyleChange, QEvent.Type.FontChange):
            self._fit()

    def showEvent(self, event: QShowEvent) -> None:
        super().showEvent(event)
        self._fit()  # the style sheet, which is applied by now, determines the header's height

    @Slot()
    def _fit(self) -> None:
        self.resizeRowsToContents()
        self.updateGeometry()
        self.setFixedHeight(self.sizeHint().height())

    def sizeHint(self) -> QSize:
        shown = min(self._figures.rowCount(), _MAX_ROWS)
        rows = sum(self.rowHeight(i) for i in range(shown))
        header = self.horizontalHeader()
        return QSize(320, max(header.sizeHint().height(), header.height()) + rows + 2 * self.frameWidth() + 4)

    def minimumSizeHint(self) -> QSize:
        return QSize(220, self.sizeHint().height())


def _alignment(column: int) -> Qt.AlignmentFlag:
    """Return the alignment of a column: names left, numbers right."""
    side = Qt.AlignmentFlag.AlignRight if column else Qt.AlignmentFlag.AlignLeft
    return side | Qt.AlignmentFlag.AlignVCenter


def figure_row(name: str, row: dict[str, float]) -> list[str]:
    """Return the cells of a name with its precision, recall, F1, and if known its support and predicted count."""
    shares = [format_percent(row[key], 1) for _, key in _SHARES]
    counts = [f"{row[key]:,.0f}" for key in ("n_gold", "n_predicted") if key in row]
    return [name, *shares, *counts]
