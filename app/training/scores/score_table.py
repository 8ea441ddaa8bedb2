"""A small table of figures, as high as its rows."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import QEvent, QSize, Qt, Slot
from PySide6.QtGui import QShowEvent
from PySide6.QtWidgets import QAbstractItemView, QHeaderView, QTableWidget, QTableWidgetItem, QWidget

from app.kit.basics import plain_tip
from app.kit.theme import ThemeProvider
from models.number_words import format_percent

_MAX_ROWS = 16
"""More rows than these scroll."""
_SHARES = (("Precision", "precision"), ("Recall", "recall"), ("F1", "f1"))
FIGURE_TITLES = (*(title for title, _ in _SHARES), "Support", "Predicted")
"""The titles of `figure_row` without its name."""
_TIPS = {
    "Precision": "Of those that the model gave, the share that is right",
    "Recall": "Of those that are there, the share that the model found",
    "F1": "The harmonic mean of precision and recall",
    "Support": "How many there are",
    "Predicted": "How many the model gave",
}


class ScoreTable(QTableWidget):
    """Rows of text; the first column is a name, the others are numbers. Nothing in it can be edited."""

    def __init__(self, name: str, theme: ThemeProvider, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setAccessibleName(name)
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.setHorizontalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        self.verticalHeader().hide()
        self.horizontalHeader().setHighlightSections(False)
        self.setShowGrid(False)
        self.setProperty("role", "plain")  # framed by its card
        self.setTabKeyNavigation(False)  # Tab moves to the next widget
        theme.theme_changed.connect(self._fit)

    def show_rows(self, titles: Sequence[str], rows: Sequence[Sequence[str]], tips: Sequence[str] = ()) -> None:
        """Show rows under titles. tips: a tooltip for each row."""
        self.clear()
        self.setColumnCount(len(titles))
        self.setRowCount(len(rows))
        for column, title in enumerate(titles):
            head = QTableWidgetItem(title)
            head.setTextAlignment(_alignment(column))
            head.setToolTip(_TIPS.get(title, ""))
            self.setHorizontalHeaderItem(column, head)
        for i, texts in enumerate(rows):
            for column, text in enumerate(texts):
                item = QTableWidgetItem(text)
                item.setTextAlignment(_alignment(column))
                item.setToolTip(plain_tip(tips[i] if tips else text))
                self.setItem(i, column, item)
        header = self.horizontalHeader()
        header.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        header.setSectionResizeMode(0, QHeaderView.ResizeMode.Stretch)
        header.setMinimumSectionSize(40)
        self._fit()

    def texts(self) -> list[list[str]]:
        """What is shown, row by row."""
        rows, columns = range(self.rowCount()), range(self.columnCount())
        return [[item.text() if (item := self.item(i, j)) is not None else "" for j in columns] for i in rows]

    def changeEvent(self, event: QEvent) -> None:
        super().changeEvent(event)
        if event.type() in (QEvent.Type.StyleChange, QEvent.Type.FontChange):
            self._fit()

    def showEvent(self, event: QShowEvent) -> None:
        super().showEvent(event)
        self._fit()  # the style sheet says how high its header is

    @Slot()
    def _fit(self) -> None:
        self.resizeRowsToContents()
        self.updateGeometry()
        self.setFixedHeight(self.sizeHint().height())

    def sizeHint(self) -> QSize:
        shown = min(self.rowCount(), _MAX_ROWS)
        rows = sum(self.rowHeight(i) for i in range(shown))
        header = self.horizontalHeader()
        return QSize(320, max(header.sizeHint().height(), header.height()) + rows + 2 * self.frameWidth() + 4)

    def minimumSizeHint(self) -> QSize:
        return QSize(220, self.sizeHint().height())


def _alignment(column: int) -> Qt.AlignmentFlag:
    """The name is left-aligned, numbers are right-aligned."""
    side = Qt.AlignmentFlag.AlignRight if column else Qt.AlignmentFlag.AlignLeft
    return side | Qt.AlignmentFlag.AlignVCenter


def figure_row(name: str, row: dict[str, float]) -> list[str]:
    """A name with precision, recall, F1, and how many there are and were given."""
    shares = [format_percent(row[key], 1) for _, key in _SHARES]
    counts = [f"{row[key]:,.0f}" for key in ("n_gold", "n_predicted") if key in row]
    return [name, *shares, *counts]
