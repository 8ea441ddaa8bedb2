"""The table model of an evaluation's predictions, filtered and sorted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from PySide6.QtCore import QAbstractTableModel, QModelIndex, QPersistentModelIndex, Qt, Slot
from PySide6.QtGui import QColor
from PySide6.QtWidgets import QWidget

from terrarium.app.kit.basics import plain_tip
from terrarium.app.kit.theme import ThemeProvider
from terrarium.app.run_views.scores.prediction_words import format_answer, format_row, format_worth
from terrarium.models.number_words import format_prob
from terrarium.models.tasks.stored_scores import ScoredRow, StoredScores

Index = QModelIndex | QPersistentModelIndex

COLUMNS = {
    "text": ("Text", "What the model read"),
    "gold": ("Right answer", "The answer of the dataset"),
    "prediction": ("Model's answer", "The answer of the model"),
    "score": ("Confidence", "How sure the model is of its answer, from its own probabilities"),
    "worth": ("Result", "What the answer is worth, compared with the right one"),
}
"""Title and tooltip of each column."""
ORDERS = {"worst": "Worst first", "unsure": "Least sure first", "data": "As in the data"}
_MAX_CHARACTERS = 200  # shown in a cell


@dataclass(frozen=True, kw_only=True)
class Filters:
    """Which rows to show. text: found anywhere in a row. label: one of `labels_of` the row, "" for all rows."""

    text: str = ""
    wrong_only: bool = False
    label: str = ""
    order: str = "worst"


class PredictionModel(QAbstractTableModel):
    """The rows of an evaluation."""

    def __init__(self, theme: ThemeProvider, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._theme = theme
        self._found: StoredScores | None = None
        self._cells: list[dict[str, str]] = []
        self._lower: list[str] = []
        self.rows: list[int] = []
        """The indices of the shown rows in the evaluation, in order."""
        self.columns: tuple[str, ...] = tuple(COLUMNS)
        theme.theme_changed.connect(self._restyle)

    def show_scores(self, found: StoredScores) -> None:
        """Show an evaluation, without filters."""
        self.beginResetModel()
        self._found = found
        task = found.task
        self._cells = [
            {
                "text": format_row(task, each.row),
                "gold": format_answer(task, each.row, each.gold),
                "prediction": format_answer(task, each.row, each.prediction),
                "score": "" if each.score is None else format_prob(each.score),
                "worth": format_worth(task, each),
            }
            for each in found.rows
        ]
        self._lower = ["\n".join(cells.values()).lower() for cells in self._cells]
        has_scores = any(each.score is not None for each in found.rows)
        self.columns = tuple(name for name in COLUMNS if name != "score" or has_scores)
        self.rows = found.worst_first
        self.endResetModel()

    def set_filters(self, filters: Filters) -> None:
        """Show the rows that match, in the filters' order."""
        found = self._found
        if found is None:
            return
        wanted = filters.text.lower().strip()
        order: Sequence[int] = range(len(found.rows))
        if filters.order == "worst":
            order = found.worst_first
        elif filters.order == "unsure":
            order = sorted(order, key=lambda i: -1.0 if (score := found.rows[i].score) is None else score)
        rows = [
            i
            for i in order
            if wanted in self._lower[i]
            and not (filters.wrong_only and found.rows[i].is_right)
            and (not filters.label or filters.label in labels_of(found.task, found.rows[i]))
        ]
        if rows != self.rows:
            self.beginResetModel()
            self.rows = rows
            self.endResetModel()

    def scored_row(self, row: int) -> ScoredRow:
        """Return the evaluation's row that is shown in row `row` of the table."""
        assert self._found is not None
        return self._found.rows[self.rows[row]]

    def rowCount(self, parent: Index = QModelIndex()) -> int:  # noqa: B008
        return 0 if parent.isValid() else len(self.rows)

    def columnCount(self, parent: Index = QModelIndex()) -> int:  # noqa: B008
        return 0 if parent.isValid() else len(self.columns)

    def headerData(self, section: int, orientation: Qt.Orientation, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        if orientation != Qt.Orientation.Horizontal or section >= len(self.columns):
            return None
        title, tip = COLUMNS[self.columns[section]]
        if role == Qt.ItemDataRole.DisplayRole:
            return title
        if role == Qt.ItemDataRole.ToolTipRole:
            return tip
        return self._alignment(section) if role == Qt.ItemDataRole.TextAlignmentRole else None

    def data(self, index: Index, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        if not index.isValid():
            return None
        name, i = self.columns[index.column()], self.rows[index.row()]
        if role == Qt.ItemDataRole.DisplayRole:
            return self._cells[i][name][:_MAX_CHARACTERS]
        if role == Qt.ItemDataRole.ToolTipRole:
            return plain_tip(self._cells[i][name][: 5 * _MAX_CHARACTERS])
        if role == Qt.ItemDataRole.TextAlignmentRole:
            return self._alignment(index.column())
        if role == Qt.ItemDataRole.ForegroundRole and name in ("prediction", "worth"):
            return None if self.scored_row(index.row()).is_right else QColor(self._theme.theme.validation)
        return None

    def _alignment(self, column: int) -> Qt.AlignmentFlag:
        is_number = self.columns[column] in ("score", "worth")
        side = Qt.AlignmentFlag.AlignRight if is_number else Qt.AlignmentFlag.AlignLeft
        return side | Qt.AlignmentFlag.AlignVCenter

    @Slot()
    def _restyle(self) -> None:
        if self.rows:
            self.dataChanged.emit(self.index(0, 0), self.index(len(self.rows) - 1, len(self.columns) - 1))


def labels_of(task: str, row: ScoredRow) -> tuple[str, ...]:
    """Return the labels to filter a row by: the outcome of code, its right labels, entity types, or its group."""
    if outcome := row.details.get("outcome"):
        return (str(outcome),)
    match task:
        case "classification":
            return (str(row.gold),)
        case "multi-label":
            return tuple(row.gold)
        case "tagging":
            return tuple(dict.fromkeys(tag.partition("-")[2] or tag for tag in row.gold if tag != "O"))
        case "span":
            return ("with an answer",) if row.gold else ("without an answer",)
    return (row.row["group"],) if isinstance(row.row.get("group"), str) else ()
