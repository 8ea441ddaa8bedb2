"""The steps of a word as a table."""

from __future__ import annotations

from PySide6.QtCore import QModelIndex, Qt, Signal, Slot
from PySide6.QtGui import QFontMetrics, QResizeEvent
from PySide6.QtWidgets import QHeaderView, QWidget

from terrarium.app.kit.record_table import Column, RecordTable
from terrarium.app.kit.theme import ThemeProvider
from terrarium.app.kit.tokens.glyphs import Glyphs
from terrarium.app.tokenizer.steps.presenter import StepPresenter

_SAMPLED_ROWS, _PADDING = 100, 24  # rows sampled for the width of a column; pixels around its text
_WIDE = ("Merge", "Piece", "Last piece", "Word", "Token")  # columns that share the spare width

_TIPS = {
    "Rank": "When the merge was learned, 0 = first. The lowest rank is merged first",
    "Applied": "How often the merge applies in the corpus below",
    "Counted": "How often the token occurs in the corpus below",
    "Score": "Log-probability of the piece",
    "Sum": "Log-probability of the best path up to here",
}


class StepTable(RecordTable):
    """A row for each step, with the current one selected.

    Signals:
        step_chosen(int): the user has selected the row of this step.
    """

    step_chosen = Signal(int)

    def __init__(self, theme: ThemeProvider, parent: QWidget | None = None) -> None:
        super().__init__("Steps in order", theme, parent=parent)
        self._presenter: StepPresenter | None = None
        self.setTextElideMode(Qt.TextElideMode.ElideMiddle)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self._silent = False
        self.record_reached.connect(self._on_row)
        theme.theme_changed.connect(self._size)

    def show_presenter(self, presenter: StepPresenter | None) -> None:
        """Show the steps of a presenter; None for none."""
        self._silent = True
        self._presenter = presenter
        if presenter is None:
            self.show_records((), ())
        else:
            glyphs = Glyphs(self._theme.mono_font(0.95))
            self.show_records(range(presenter.n_rows), _columns(presenter, glyphs))
        self._silent = False
        self._size()

    def show_step(self, step: int) -> None:
        """Select the row of a step without emitting a signal."""
        row = self._presenter.row_of(step) if self._presenter is not None else -1
        self._silent = True
        if 0 <= row < len(self.records):
            self.selectRow(row)
            self.scrollTo(self.model().index(row, 0))
        else:
            self.setCurrentIndex(QModelIndex())
            self.clearSelection()
        self._silent = False

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self.scrollTo(self.currentIndex())

    @Slot(object)
    def _on_row(self, row: int) -> None:
        if not self._silent and self._presenter is not None:
            self.step_chosen.emit(self._presenter.step_of(row))

    def _size(self) -> None:
        header, presenter = self.horizontalHeader(), self._presenter
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


def _columns(presenter: StepPresenter, glyphs: Glyphs) -> list[Column]:
    """Return the columns; their records are the numbers of rows."""

    def column(at: int, title: str) -> Column:
        return Column(
            title=title,
            about=_TIPS.get(title, ""),
            value=lambda row: glyphs.drawable(presenter.cell(row, at)),
            mono=0.95,
            is_number=title not in _WIDE,
            tone=None if title else lambda row: "muted",
        )

    return [column(at, title) for at, title in enumerate(presenter.headers)]
