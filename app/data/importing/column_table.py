"""The first rows of a source: above each column its role, its type, and the distribution of its text lengths."""

from __future__ import annotations

from typing import Any

from PySide6.QtCore import QRectF, QSignalBlocker, QSize, Qt, Signal, Slot
from PySide6.QtGui import QFontMetrics, QPainter, QPaintEvent, QResizeEvent
from PySide6.QtWidgets import QTableWidget, QWidget

from terrarium.app.data.importing.role_words import role_title
from terrarium.app.kit.basics import column, frame, group, plain_tip
from terrarium.app.kit.forms.editors import keep_wheel_for_scrolling
from terrarium.app.kit.inputs import fill_choice, named
from terrarium.app.kit.labels import ElidedCombo
from terrarium.app.kit.layout.relayout import WholeRows
from terrarium.app.kit.record_table import Column as RecordColumn
from terrarium.app.kit.record_table import RecordTable
from terrarium.app.kit.theme import SPACE, ThemeProvider
from terrarium.models.importing.guessing import Column
from terrarium.models.importing.inspection import SourceInfo
from terrarium.models.number_words import format_count

_MAX_CELL = 400
_COMBO = 20
"""The minimum height of a combo box's text in pixels (see the style sheet)."""
_TEXT_MARGIN = 3
"""The margin in pixels that Qt adds on both sides of a cell's text, but not of a widget in a cell."""
_HISTOGRAM = 18
"""Height in pixels."""
_MIN_CHARACTERS, _MAX_CHARACTERS = 22, 48


class ColumnTable(QWidget):
    """Two tables that scroll sideways together: the column headers, which stay in view, and the rows.

    Signals:
        role_chosen(column, role): a column was given a role, '' for none.
        row_chosen(index): a row was clicked, or reached with the arrow keys.
    """

    role_chosen = Signal(str, str)
    row_chosen = Signal(int)

    def __init__(self, theme: ThemeProvider, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._theme = theme
        self._info: SourceInfo | None = None
        self.roles: dict[str, ElidedCombo] = {}
        self._head = named(QTableWidget(), "Columns: role, type and lengths")
        self._head.setProperty("role", "plain")
        self._head.setShowGrid(False)
        self._head.setHorizontalScrollMode(QTableWidget.ScrollMode.ScrollPerPixel)
        self._head.verticalHeader().hide()
        self._head.horizontalHeader().setDefaultAlignment(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter)
        self.rows = RecordTable("First rows", theme)
        self.rows.setAlternatingRowColors(True)
        for table in (self._head, self.rows):
            table.horizontalHeader().setStretchLastSection(True)
        self._head.setSelectionMode(QTableWidget.SelectionMode.NoSelection)
        self._head.setFocusPolicy(Qt.FocusPolicy.NoFocus)  # its combo boxes take the focus
        self._head.setTabKeyNavigation(False)  # Tab leads from one box to the next
        self._head.setVerticalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self._head.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self._head.horizontalHeader().sectionResized.connect(self._on_resized)
        self.rows.horizontalHeader().hide()
        self.rows.horizontalScrollBar().valueChanged.connect(self._head.horizontalScrollBar().setValue)
        self._head.horizontalScrollBar().valueChanged.connect(self.rows.horizontalScrollBar().setValue)
        self.rows.record_reached.connect(lambda _: self.row_chosen.emit(self.rows.currentIndex().row()))
        rows = WholeRows(self.rows)
        self.setLayout(column(frame("card", self._head, rows, margin=1, spacing=0, grows=rows)))
        theme.theme_changed.connect(self._fit)

    def show_source(self, info: SourceInfo) -> None:
        """Show the columns and first rows of a source, without roles."""
        self._info = info
        self.roles = {}
        names = [found.name for found in info.columns]
        self._head.clear()
        self._head.setRowCount(2)
        self._head.setColumnCount(len(names))
        self._head.setHorizontalHeaderLabels(names)
        for at, found in enumerate(info.columns):
            self._add_column(at, found)
        with QSignalBlocker(self.rows):
            self.rows.show_records(info.rows, [row_column(name, name) for name in names])
            self.rows.selectRow(0)
        self._fit()

    def show_roles(self, roles: tuple[str, ...], of: dict[str, str]) -> None:
        """Offer these roles, and select those of `of`, role -> column."""
        chosen = {name: role for role, name in of.items()}
        for name, box in self.roles.items():
            with QSignalBlocker(box):
                if [box.itemData(i) for i in range(1, box.count())] != list(roles):
                    fill_choice(box, {"": "Not used", **{role: role_title(role) for role in roles}})
                box.setCurrentIndex(max(0, box.findData(chosen.get(name, ""))))

    def _add_column(self, at: int, found: Column) -> None:
        box = named(ElidedCombo(), f"Role of column {found.name}", "What this column is for the model")
        box.addItem("Not used", "")
        keep_wheel_for_scrolling(box)
        box.activated.connect(lambda _, box=box, name=found.name: self.role_chosen.emit(name, box.currentData()))
        for row, widget in enumerate((box, ColumnFacts(found, self._theme))):
            self._head.setCellWidget(row, at, group(widget, margin=(_TEXT_MARGIN, 0, _TEXT_MARGIN, 0)))
        self.roles[found.name] = box

    @Slot(int, int, int)
    def _on_resized(self, at: int, before: int, width: int) -> None:
        """Copy a column's width to the rows, except that of the last column, which each table stretches by itself."""
        if at < len(self.rows.columns) - 1:
            self.rows.setColumnWidth(at, width)

    def _fit(self) -> None:
        """Fit rows and columns to the text size."""
        info = self._info
        if info is None:
            return
        metrics = QFontMetrics(self._theme.font())
        self._fit_columns()
        top = max(_COMBO, metrics.height()) + 10 + SPACE  # with the paddings of box and cell (see the style sheet)
        facts = 2 * QFontMetrics(self._theme.font(0.9)).height() + _HISTOGRAM + 2 * SPACE
        self._head.setRowHeight(0, top)
        self._head.setRowHeight(1, facts)
        self._head.setFixedHeight(top + facts + self._head.horizontalHeader().sizeHint().height() + 2)
        self.rows.verticalHeader().setDefaultSectionSize(metrics.height() + 10)
        self.rows.setMinimumHeight(5 * (metrics.height() + 10))

    def _fit_columns(self) -> None:
        """Fit each column to its texts; the one with the longest texts takes as much of the spare width as it needs."""
        columns = self._info.columns if self._info is not None else ()
        if not columns:
            return
        wide = QFontMetrics(self._theme.font()).averageCharWidth()
        widths = [
            wide * min(max(round(found.lengths[1]), len(found.name) + 4, _MIN_CHARACTERS), _MAX_CHARACTERS)
            for found in columns
        ]
        longest = max(range(len(columns)), key=lambda at: columns[at].lengths[1])
        needed = wide * (columns[longest].lengths[2] + 4) * 8 // 7 - widths[longest]  # some texts are wider than others
        widths[longest] += max(0, min(needed, self.rows.viewport().width() - sum(widths)))
        for at, width in enumerate(widths):
            for table in (self._head, self.rows):
                table.setColumnWidth(at, width)

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self._fit_columns()


class ColumnFacts(QWidget):
    """A column's type, its missing and distinct values, and a histogram of lengths in characters."""

    def __init__(self, column: Column, theme: ThemeProvider) -> None:
        super().__init__()
        self._theme = theme
        low, mean, high = column.lengths
        different = format_count(column.n_unique, "value")
        self._first = f"{column.type} · {different}" + (f" · {column.n_missing:,} missing" if column.n_missing else "")
        self._second = f"{low:,} to {high:,} characters" if high > low else format_count(high, "character")
        self._counts = column.histogram if high > low else ()
        self.setAccessibleName(f"{column.name}: {self._first}, {self._second}, {mean:.0f} on average")
        examples = "\n".join(column.examples)
        self.setToolTip(plain_tip(f"{self._first}\n{self._second}, {mean:,.0f} on average\n\n{examples}"))
        theme.theme_changed.connect(self.update)

    def sizeHint(self) -> QSize:
        return QSize(120, 60)

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        colors = self._theme.theme
        painter.setFont(self._theme.font(0.9))
        metrics, room = painter.fontMetrics(), self.width()
        painter.setPen(colors.color("muted"))
        for line, words in enumerate((self._first, self._second)):
            shown = metrics.elidedText(words, Qt.TextElideMode.ElideRight, room)
            painter.drawText(0, line * metrics.height() + metrics.ascent(), shown)
        if not self._counts:
            return
        most, width = max(self._counts), min(room, 160) / len(self._counts)
        bottom = self.height() - 1.0
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(colors.color("accent", 0.55))
        for i, count in enumerate(self._counts):
            if count:
                tall = max(1.5, (_HISTOGRAM - 4) * count / most)
                painter.drawRect(QRectF(i * width, bottom - tall, max(1.0, width - 1), tall))


def row_column(name: str, title: str) -> RecordColumn:
    """Return the column of a table whose records are rows of a dataset."""
    return RecordColumn(
        title=title,
        value=lambda row: _cell_text(row.get(name)).replace("\n", " ⏎ "),
        tip=lambda row: _cell_text(row.get(name)),
    )


def _cell_text(value: Any) -> str:
    """Format a value as shortened plain text."""
    if value is None:
        return ""
    if isinstance(value, list) and value and all(isinstance(each, dict) for each in value):
        parts = [f"{next(iter(each.values()), '')}: {list(each.values())[-1]}" for each in value]
        text = "\n".join(parts)
    elif isinstance(value, list):
        text = "  ".join(map(str, value))
    else:
        text = str(value)
    return text if len(text) <= _MAX_CELL else f"{text[:_MAX_CELL]}…"
