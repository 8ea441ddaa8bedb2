"""The tokenizers of the library, each with a check box, and the figures of the compared ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from PySide6.QtCore import QSignalBlocker, QSize, Qt, Signal
from PySide6.QtGui import QFontMetrics, QPainter, QPixmap, QResizeEvent
from PySide6.QtWidgets import QAbstractItemView, QHeaderView, QTableWidget, QTableWidgetItem, QWidget

from terrarium.app.kit.basics import plain_tip
from terrarium.app.kit.setting_names.value_words import words
from terrarium.app.kit.theme import ThemeProvider
from terrarium.app.tokenizer.compare.line_painter import SWATCH, series_color
from terrarium.app.tokenizer.compare.metrics import TABLE, best
from terrarium.models.tokenizers.text.compare import Figures, ModelCost

_PADDING = 12  # pixels on both sides of a cell's text
_RIGHT = Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter
_FIRST = 2
"""The column of the first figure."""


@dataclass(frozen=True, kw_only=True)
class Compared:
    """A tokenizer of the library. `colour`: its colour index, None if it is not compared.

    problem: why it cannot be compared, "" if it can.
    """

    name: str
    kind: str
    vocab_size: int
    problem: str = ""
    colour: int | None = None
    figures: Figures | None = None
    cost: ModelCost | None = None


class FiguresTable(QTableWidget):
    """A row for each tokenizer, a column for each figure; the best value of a column is highlighted.

    Signals:
        ticked(name, bool): the user has checked or unchecked a tokenizer.
    """

    ticked = Signal(str, bool)

    def __init__(self, theme: ThemeProvider, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._theme = theme
        self._compared: Sequence[Compared] = ()
        self.setAccessibleName("Figures of the tokenizers")
        self.setProperty("role", "plain")
        self.setProperty("dense", "true")
        self.setWordWrap(False)
        self.setTextElideMode(Qt.TextElideMode.ElideMiddle)
        self.setShowGrid(False)
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.setSelectionMode(QAbstractItemView.SelectionMode.NoSelection)
        self.setTabKeyNavigation(False)
        self.setHorizontalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        self.setColumnCount(_FIRST + len(TABLE))
        self.verticalHeader().hide()
        header = self.horizontalHeader()
        header.setHighlightSections(False)
        header.setSectionResizeMode(QHeaderView.ResizeMode.Fixed)
        header.setDefaultAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignBottom)
        for column, (title, tip) in enumerate(self._titles()):
            item = QTableWidgetItem(title)
            item.setToolTip(plain_tip(tip))
            if column == 0:
                item.setTextAlignment(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignBottom)
            self.setHorizontalHeaderItem(column, item)
        self.itemChanged.connect(self._on_changed)
        theme.theme_changed.connect(self._fill)

    @property
    def compared(self) -> Sequence[Compared]:
        """The rows from top to bottom."""
        return self._compared

    def show_compared(self, compared: Sequence[Compared]) -> None:
        """Replace the rows."""
        if compared != self._compared:
            self._compared = compared
            self._fill()

    def best_names(self, title: str) -> list[str]:
        """Return the tokenizers that are highlighted in the column with this title."""
        column = _FIRST + [metric.title for metric in TABLE].index(title)
        rows = [(each, self.item(row, column)) for row, each in enumerate(self._compared)]
        return [each.name for each, item in rows if item is not None and item.font().bold()]

    def sizeHint(self) -> QSize:
        rows = min(max(len(self._compared), 1), 8)
        return QSize(720, self.horizontalHeader().sizeHint().height() + rows * self._row_height + 14)

    def minimumSizeHint(self) -> QSize:
        rows = min(max(len(self._compared), 1), 4)
        return QSize(240, self.horizontalHeader().sizeHint().height() + rows * self._row_height + 6)

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self._size_columns()

    @property
    def _row_height(self) -> int:
        return round(26 * self._theme.text_scale)

    @staticmethod
    def _titles() -> list[tuple[str, str]]:
        """Return (title, tooltip) of all columns; longer titles have two lines."""
        titles = [("Compare", "Check the tokenizers to compare"), ("Vocabulary", "Number of distinct tokens")]
        for metric in TABLE:
            titles.append((metric.title.replace(" ", "\n", 1), metric.tip))
        return titles

    def _fill(self) -> None:
        scroll = self.verticalScrollBar().value(), self.currentRow(), self.currentColumn()
        shown = [each for each in self._compared if each.colour is not None]
        values = {metric.title: [metric.value(each.figures, each.cost) for each in shown] for metric in TABLE}
        lossless = [each.figures is not None and not each.figures.n_unknown for each in shown]
        marks = {metric.title: best(metric, values[metric.title], lossless) for metric in TABLE}
        with QSignalBlocker(self):
            self.setRowCount(len(self._compared))
            nth = 0
            for row, each in enumerate(self._compared):
                self._put_name(row, each)
                self._put(row, 1, f"{each.vocab_size:,}", "", is_best=False, is_shown=each.colour is not None)
                for column, metric in enumerate(TABLE, start=_FIRST):
                    if each.colour is None:
                        self._put(row, column, "", "", is_best=False, is_shown=False)
                        continue
                    value = values[metric.title][nth]
                    exact = f"{value:,.0f}" if value >= 1000 else ""
                    self._put(row, column, metric.format(value), exact, is_best=marks[metric.title][nth], is_shown=True)
                nth += each.colour is not None
        self.verticalHeader().setDefaultSectionSize(self._row_height)
        self._size_columns()
        self.setCurrentCell(scroll[1], scroll[2])
        self.verticalScrollBar().setValue(scroll[0])
        self.updateGeometry()

    def _put_name(self, row: int, each: Compared) -> None:
        item = QTableWidgetItem(each.name)
        is_shown = each.colour is not None
        item.setCheckState(Qt.CheckState.Checked if is_shown else Qt.CheckState.Unchecked)
        item.setFlags(Qt.ItemFlag.ItemIsEnabled | Qt.ItemFlag.ItemIsUserCheckable | Qt.ItemFlag.ItemIsSelectable)
        item.setToolTip(plain_tip(each.problem or f"{each.name}: {words(each.kind)}, {each.vocab_size:,} tokens"))
        if each.problem:
            item.setFlags(Qt.ItemFlag.NoItemFlags)
        item.setForeground(self._theme.theme.color("text" if is_shown else "muted"))
        item.setData(Qt.ItemDataRole.DecorationRole, self._swatch(each.colour))
        self.setItem(row, 0, item)

    def _swatch(self, colour: int | None) -> QPixmap:
        """Draw a square in the colour of a tokenizer; transparent for None."""
        ratio = self.devicePixelRatioF()
        picture = QPixmap(round(SWATCH * ratio), round(SWATCH * ratio))
        picture.setDevicePixelRatio(ratio)
        picture.fill(Qt.GlobalColor.transparent)
        if colour is not None:
            painter = QPainter(picture)
            painter.setRenderHint(QPainter.RenderHint.Antialiasing)
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(series_color(self._theme.theme, colour))
            painter.drawRoundedRect(0, 0, SWATCH, SWATCH, 2, 2)
            painter.end()
        return picture

    def _put(self, row: int, column: int, text: str, tip: str, *, is_best: bool, is_shown: bool) -> None:
        item = QTableWidgetItem(text)
        font = self._theme.mono_font(0.95)
        font.setBold(is_best)
        item.setFont(font)
        item.setTextAlignment(_RIGHT)
        item.setFlags(Qt.ItemFlag.ItemIsEnabled | Qt.ItemFlag.ItemIsSelectable)
        item.setForeground(self._theme.theme.color("accent" if is_best else "text" if is_shown else "muted"))
        lines = [tip] if tip and tip != text else []
        lines += ["Best of those compared"] if is_best else []
        item.setToolTip(plain_tip("\n".join(lines)))
        self.setItem(row, column, item)

    def _size_columns(self) -> None:
        """Fit each column to its text; spare width goes to the names first, then to all columns."""
        header, cells = self.horizontalHeader(), self._theme.mono_font(0.95)
        cells.setBold(True)
        metrics, titles = QFontMetrics(cells), QFontMetrics(header.font())
        widths = []
        for column, (title, _) in enumerate(self._titles()):
            lines = max(titles.horizontalAdvance(line) for line in title.split("\n")) if column else 0
            texts = [self.item(row, column) for row in range(self.rowCount())] if column else []
            found = max((metrics.horizontalAdvance(item.text()) for item in texts if item is not None), default=0)
            widths.append(max(lines, found) + _PADDING)
        names = QFontMetrics(self._theme.font())
        longest = max((names.horizontalAdvance(each.name) for each in self._compared), default=0)
        spare = self.viewport().width() - sum(widths[1:])
        wanted = longest + SWATCH + 52
        widths[0] = max(min(wanted, spare), min(wanted, 130))
        spread = max(self.viewport().width() - sum(widths), 0) // len(widths)
        for column, width in enumerate(widths):
            self.setColumnWidth(column, width + spread)

    def _on_changed(self, item: QTableWidgetItem) -> None:
        if item.column() == 0:
            self.ticked.emit(self._compared[item.row()].name, item.checkState() == Qt.CheckState.Checked)
