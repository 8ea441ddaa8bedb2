"""A table of all predictions of an evaluation, with search, filters, and the selected row in full."""

from __future__ import annotations

from collections import Counter

from PySide6.QtCore import QSignalBlocker, Qt, Signal, Slot
from PySide6.QtWidgets import (
    QCheckBox,
    QHeaderView,
    QWidget,
)

from terrarium.app.kit.basics import (
    button,
    column,
    frame,
    label,
    row,
    scrolling,
    set_enabled,
    set_role,
    show_words,
    splitter,
)
from terrarium.app.kit.inputs import choice, fill_choice, grid, line_edit
from terrarium.app.kit.layout.flow_layout import flowing
from terrarium.app.kit.layout.relayout import RelayoutOnResize, WholeRows
from terrarium.app.kit.record_table import RecordTable
from terrarium.app.kit.theme import SPACE, ThemeProvider
from terrarium.app.run_views.scores.prediction_rows import (
    ORDERS,
    Filters,
    Prediction,
    columns_of,
    filtered,
    format_answer,
    format_worth,
    labels_of,
    predictions_of,
)
from terrarium.models.number_words import format_count, format_prob
from terrarium.models.tasks.stored_scores import ScoredRow, StoredScores

_WIDTHS = {"gold": 190, "prediction": 190, "score": 110, "worth": 110}
"""Widths of columns in pixels at the usual text size; the text column takes the rest."""
_MIN_WIDTH = 120
"""Minimum width of a column of answers, in pixels."""
_MIN_ROWS = 3
_MIN_LINES = 4
"""Minimum height of the selected row's text below the table, in lines."""
_MAX_SHOWN = 5
"""Number of labels whose probabilities are listed."""
_PARTS = _TEXT, _RIGHT, _MODEL, _DETAILS = "Text", "Right answer", "Model's answer", "Details"


class Predictions(QWidget):
    """The table of predictions, above the selected row in full.

    Signals:
        example_asked(row): the user wants to open this row of the dataset where the model is used.
    """

    example_asked = Signal(object)

    def __init__(self, theme: ThemeProvider, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._theme = theme
        self._found: StoredScores | None = None
        self._rows: list[Prediction] = []
        self.search = line_edit(
            "Search the predictions", "Text in the row, the right answer or the model's answer", "Search", clears=True
        )
        self.wrong = QCheckBox("Wrong only")
        self.labels = choice("Only rows of", "Show only rows of one label")
        self.order = choice("Order", "What comes first", ORDERS)
        self.count = label("", "caption")
        self.table = RecordTable("Predictions", theme)
        self.table.verticalHeader().setSectionResizeMode(QHeaderView.ResizeMode.Fixed)
        self.detail = PredictionDetail(theme)
        self._build()
        for changed in (self.search.textChanged, self.labels.currentIndexChanged, self.order.currentIndexChanged):
            changed.connect(self._filter)
        self.wrong.toggled.connect(self._filter)
        self.table.record_reached.connect(self._on_reached)
        self.table.record_activated.connect(self._ask)
        self.detail.open.clicked.connect(self._ask)
        theme.theme_changed.connect(self._fit)
        RelayoutOnResize(self.table, self._fit)
        RelayoutOnResize(self.table.viewport(), self._fit)

    def _build(self) -> None:
        bar = flowing(self.search, self.wrong, self.labels, self.order, self.count)
        rows = WholeRows(self.table)
        card = frame("card", bar, rows, margin=SPACE, grows=rows)
        self.setLayout(column(splitter(card, self.detail, sizes=[320, 180], grows=0, vertical=True)))

    def show_scores(self, found: StoredScores) -> None:
        """Show the predictions of an evaluation."""
        self._found = found
        has_right_ones = found.task != "regression"
        self.wrong.setVisible(has_right_ones)
        counts = Counter(name for each in found.rows for name in labels_of(found.task, each))
        with QSignalBlocker(self.search), QSignalBlocker(self.wrong):
            self.search.clear()
            self.wrong.setChecked(False)
            entries = {name: f"{name} ({counts[name]:,})" for name in sorted(counts)}
            fill_choice(self.labels, {"": "All rows", **entries})
            self.labels.setVisible(bool(counts))
        self._rows = predictions_of(found)
        self.table.show_records((), columns_of(found))
        self._filter()
        self._fit()

    @property
    def chosen(self) -> ScoredRow | None:
        """The row that is shown in full, or None."""
        row = self.table.current
        return row.scored if row is not None else None

    @Slot()
    def _filter(self) -> None:
        if self._found is None:
            return
        filters = Filters(
            text=self.search.text(),
            wrong_only=self.wrong.isChecked(),
            label=self.labels.currentData() or "",
            order=self.order.currentData(),
        )
        self.table.show_records(filtered(self._found, self._rows, filters))
        n, total = len(self.table.records), len(self._rows)
        self.count.setText(format_count(n, "row") if n == total else f"{n:,} of {format_count(total, 'row')}")
        if n:
            self.table.selectRow(0)
        else:
            self.detail.clear()

    @Slot()
    def _fit(self) -> None:
        """Give the text column the remaining width; columns of answers shrink in a narrow window."""
        scale, room = self._theme.text_scale, self.table.viewport().width()
        widths = {name: int(width * scale) for name, width in _WIDTHS.items()}
        for name in ("gold", "prediction"):
            widths[name] = max(int(_MIN_WIDTH * scale), min(widths[name], room // 5))
        others = sum(width for name, width in widths.items() if name in self.table.names)
        widths["text"] = max(int(2 * _MIN_WIDTH * scale), room - others)
        for i, name in enumerate(self.table.names):
            self.table.setColumnWidth(i, widths[name])
        line = self.table.fontMetrics().height() + SPACE
        self.table.verticalHeader().setDefaultSectionSize(line)
        self.table.setMinimumHeight(self.table.horizontalHeader().sizeHint().height() + _MIN_ROWS * line)

    @Slot(object)
    def _on_reached(self, row: Prediction) -> None:
        assert self._found is not None
        self.detail.show_row(self._found.task, row.scored)

    @Slot()
    def _ask(self) -> None:
        if self.chosen is not None:
            self.example_asked.emit(dict(self.chosen.row))


class PredictionDetail(QWidget):
    """One row in full: its text, the right answer, the model's answer, and the probabilities of labels."""

    def __init__(self, theme: ThemeProvider, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.open = button(
            "Open in the glass box",
            theme,
            icon="arrow-square-out",
            tip="Open this row in the chat tab, where you can change it and look into the model (Enter)",
        )
        self.worth = label("", "pill")
        self.values = {name: label("", selectable=True, wrap=True) for name in _PARTS}
        self._names = {name: label(name, "muted") for name in self.values}
        cells = ((self._names[name], value) for name, value in self.values.items())
        lines = grid(*cells, grows=1, align={0: Qt.AlignmentFlag.AlignTop}, spacing=(2 * SPACE, 6))
        lines.setContentsMargins(0, 0, SPACE, 0)
        lines.setRowStretch(len(self.values), 1)
        inside = QWidget()
        inside.setLayout(lines)
        head = row(label("The chosen row", "subheading"), self.worth, None, self.open)
        head.setAlignment(self.worth, Qt.AlignmentFlag.AlignVCenter)
        area = scrolling(inside)
        area.setMinimumHeight(_MIN_LINES * self.fontMetrics().height())
        card = frame("card", head, area, margin=SPACE + SPACE // 2, grows=area)
        self.setLayout(column(card))
        self.clear()

    def clear(self) -> None:
        """Show no row."""
        for value in self.values.values():
            value.setText("")
        self.values[_TEXT].setText("No row matches.")
        self.worth.hide()
        set_enabled(self.open, "Choose a row first.")
        for name in _PARTS[1:]:
            self._names[name].hide()
            self.values[name].hide()

    def show_row(self, task: str, found: ScoredRow) -> None:
        """Show a row of an evaluation."""
        set_enabled(self.open, "")
        texts = {
            _TEXT: _whole_text(task, found),
            _RIGHT: format_answer(task, found.row, found.gold),
            _MODEL: format_answer(task, found.row, found.prediction),
            _DETAILS: _details(found),
        }
        is_code = "outcome" in found.details  # the answer is a function that was run
        for name, text in texts.items():
            show_words(self.values[name], text)
            set_role(self.values[name], "mono" if is_code and name != _DETAILS else "")
            self._names[name].setVisible(bool(text))
        self.worth.setText(format_worth(task, found))
        self.worth.show()


def _whole_text(task: str, found: ScoredRow) -> str:
    match task:
        case "tagging":
            return " ".join(found.row["words"])
        case "span":
            return f"{found.row['question']}\n{found.row['context']}"
        case "text-to-text":
            return str(found.row["source"])
    return "\n‖ ".join(filter(None, (str(found.row["text"]), found.row.get("text_pair"))))


def _details(found: ScoredRow) -> str:
    parts = []
    if found.probabilities:
        best = sorted(found.probabilities.items(), key=lambda item: -item[1])
        parts.append(", ".join(f"{name} {format_prob(p)}" for name, p in best[:_MAX_SHOWN]))
    if len(found.probabilities) > _MAX_SHOWN:
        parts[-1] += f" and {len(found.probabilities) - _MAX_SHOWN} more"
    if detail := found.details.get("detail"):
        parts.append(str(detail))
    if group := found.row.get("group"):
        parts.append(f"group: {group}")
    return "\n".join(parts)
