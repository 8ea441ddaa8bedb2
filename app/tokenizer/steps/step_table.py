"""The steps of a word as a table."""

from __future__ import annotations

from PySide6.QtCore import QAbstractTableModel, QModelIndex, QObject, QPersistentModelIndex, Qt, Signal
from PySide6.QtGui import QFontMetrics, QResizeEvent
from PySide6.QtWidgets import QHeaderView, QTableView, QWidget

from terrarium.app.kit.basics import plain_tip
from terrarium.app.kit.tables import plain_table
from terrarium.app.kit.theme import ThemeProvider
from terrarium.app.kit.tokens.glyphs import Glyphs
from terrarium.app.tokenizer.steps.presenter import StepPresenter

_Index = QModelIndex | QPersistentModelIndex
_NO_INDEX = QModelIndex()
_SAMPLED_ROWS, _PADDING = 100, 24  # rows sampled for the width of a column; pixels around its text
_WIDE = ("Merge", "Piece", "Last piece", "Word", "Token")  # columns that share the spare width

_TIPS = {
    "Rank": "When the merge was learned, 0 = first. The lowest rank is merged first",
    "Applied": "How often the merge applies in the corpus below",
    "Counted": "How often the token occurs in the corpus below",
    "Score": "Log-probability of the piece",
    "Sum": "Log-probability of the best path up to here",
}


class StepTable(QTableView):
    """A row for each step, with the current one selected.

    Signals:
        step_chosen(int): the user has selected the row of this step.
    """

    step_chosen = Signal(int)

    def __init__(self, theme: ThemeProvider, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._theme = theme
        self._rows = _Rows(theme, self)
        self.setModel(self._rows)
        plain_table(self, "Steps in order")
        self.setSelectionMode(QTableView.SelectionMode.SingleSelection)
        self.setTextElideMode(Qt.TextElideMode.ElideMiddle)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self._silent = False
        self.selectionModel().currentRowChanged.connect(self._on_row)
        theme.theme_changed.connect(self._size)

    def show_presenter(self, presenter: StepPresenter | None) -> None:
        """Show the steps of a presenter; None for none."""
        self._silent = True
        self._rows.set_presenter(presenter)
        self._silent = False
        self._size()

    def show_step(self, step: int) -> None:
        """Select the row of a step without emitting a signal."""
        presenter = self._rows.presenter
        row = presenter.row_of(step) if presenter is not None else -1
        self._silent = True
        if 0 <= row < self._rows.rowCount():
            self.selectRow(row)
            self.scrollTo(self._rows.index(row, 0))
        else:
            self.setCurrentIndex(QModelIndex())
            self.clearSelection()
        self._silent = False

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self.scrollTo(self.currentIndex())

    def _on_row(self, index: QModelIndex) -> None:
        presenter = self._rows.presenter
        if index.isValid() and not self._silent and presenter is not None:
            self.step_chosen.emit(presenter.step_of(index.row()))

    def _size(self) -> None:
        header, presenter = self.horizontalHeader(), self._rows.presenter
        self.verticalHeader().setDefaultSectionSize(round(26 * self._theme.text_scale))
        if presenter is None:
            return
        # Qt's own resizing measures a thousand rows, which takes 0.1 s.
        rows = {*range(0, presenter.n_rows, max(presenter.n_rows // _SAMPLED_ROWS, 1)), presenter.n_rows - 1} - {-1}
        cells, heads = QFontMetrics(self._theme.mono_font(0.95)), QFontMetrics(self._theme.font(0.9, bold=True))
        for column, name in enumerate(presenter.headers):
            if name in _WIDE:
                header.setSectionResizeMode(column, QHeaderView.ResizeMode.Stretch)
                continue
            widest = max((cells.horizontalAdvance(presenter.cell(row, column)) for row in rows), default=0)
            header.setSectionResizeMode(column, QHeaderView.ResizeMode.Fixed)
            self.setColumnWidth(column, max(widest, heads.horizontalAdvance(name)) + _PADDING)


class _Rows(QAbstractTableModel):
    def __init__(self, theme: ThemeProvider, parent: QObject) -> None:
        super().__init__(parent)
        self._theme, self._glyphs = theme, Glyphs(theme.mono_font(0.95))
        self.presenter: StepPresenter | None = None

    def set_presenter(self, presenter: StepPresenter | None) -> None:
        self.beginResetModel()
        self.presenter = presenter
        self.endResetModel()

    def rowCount(self, parent: _Index = _NO_INDEX) -> int:
        return 0 if parent.isValid() or self.presenter is None else self.presenter.n_rows

    def columnCount(self, parent: _Index = _NO_INDEX) -> int:
        return 0 if parent.isValid() or self.presenter is None else len(self.presenter.headers)

    def headerData(self, section: int, orientation: Qt.Orientation, role: int = Qt.ItemDataRole.DisplayRole) -> object:
        if self.presenter is None or orientation != Qt.Orientation.Horizontal:
            return None
        if role == Qt.ItemDataRole.DisplayRole:
            return self.presenter.headers[section]
        if role == Qt.ItemDataRole.ToolTipRole:
            return _TIPS.get(self.presenter.headers[section])
        return self._alignment(section) if role == Qt.ItemDataRole.TextAlignmentRole else None

    def data(self, index: _Index, role: int = Qt.ItemDataRole.DisplayRole) -> object:
        assert self.presenter is not None
        if role in (Qt.ItemDataRole.DisplayRole, Qt.ItemDataRole.ToolTipRole):
            cell = self._glyphs.drawable(self.presenter.cell(index.row(), index.column()))
            return cell if role == Qt.ItemDataRole.DisplayRole else plain_tip(cell)
        if role == Qt.ItemDataRole.TextAlignmentRole:
            return self._alignment(index.column())
        if role == Qt.ItemDataRole.FontRole:
            return self._theme.mono_font(0.95)
        if role == Qt.ItemDataRole.ForegroundRole and not self.presenter.headers[index.column()]:
            return self._theme.theme.color("muted")
        return None

    def _alignment(self, column: int) -> Qt.AlignmentFlag:
        assert self.presenter is not None
        side = Qt.AlignmentFlag.AlignLeft if self.presenter.headers[column] in _WIDE else Qt.AlignmentFlag.AlignRight
        return side | Qt.AlignmentFlag.AlignVCenter
