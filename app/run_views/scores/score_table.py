"""A small table of numbers, whose height fits its rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from operator import itemgetter
from types import MappingProxyType

from PySide6.QtCore import QEvent, QSize, Slot
from PySide6.QtGui import QShowEvent
from PySide6.QtWidgets import QWidget

from terrarium.app.kit.record_table import Column, RecordTable
from terrarium.app.kit.theme import ThemeProvider
from terrarium.models.number_words import format_percent

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


class ScoreTable(RecordTable):
    """A read-only table of texts; the first column is a name, the others are numbers."""

    def __init__(self, name: str, theme: ThemeProvider, parent: QWidget | None = None) -> None:
        super().__init__(name, theme, has_many=True, parent=parent)
        self.setWordWrap(True)
        theme.theme_changed.connect(self._fit)

    def show_rows(
        self,
        titles: Sequence[str],
        rows: Sequence[Sequence[str]],
        tips: Sequence[str] = (),
        heads: Mapping[str, str] = MappingProxyType(_TIPS),
    ) -> None:
        """Show rows under titles. tips: a tooltip per row, () for the cells' texts. heads: tooltips by title."""
        columns = [_column(at, title, heads.get(title, ""), has_tips=bool(tips)) for at, title in enumerate(titles)]
        self.show_records([(row, tips[at] if tips else "") for at, row in enumerate(rows)], columns)
        self.horizontalHeader().setMinimumSectionSize(40)
        self._fit()

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
        shown = min(len(self.records), _MAX_ROWS)
        rows = sum(self.rowHeight(i) for i in range(shown))
        header = self.horizontalHeader()
        return QSize(320, max(header.sizeHint().height(), header.height()) + rows + 2 * self.frameWidth() + 4)

    def minimumSizeHint(self) -> QSize:
        return QSize(220, self.sizeHint().height())


def _column(at: int, title: str, about: str, *, has_tips: bool) -> Column:
    """Return a column of records (texts, tip): a name on the left, or a number."""
    return Column(
        title=title,
        about=about,
        value=lambda row: row[0][at] if at < len(row[0]) else "",
        tip=itemgetter(1) if has_tips else None,
        is_number=at > 0,
        grows=at == 0,
    )


def figure_row(name: str, row: dict[str, float]) -> list[str]:
    """Return the cells of a name with its precision, recall, F1, and if known its support and predicted count."""
    shares = [format_percent(row[key], 1) for _, key in _SHARES]
    counts = [f"{row[key]:,.0f}" for key in ("n_gold", "n_predicted") if key in row]
    return [name, *shares, *counts]
