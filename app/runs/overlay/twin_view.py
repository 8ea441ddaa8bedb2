"""A design with a custom block beside its built-in twin: which is better, by how much, and the curves of both."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean

from PySide6.QtCore import Qt, Signal, Slot
from PySide6.QtWidgets import QHeaderView, QSizePolicy, QTableWidget, QTableWidgetItem, QWidget

from terrarium.app.kit.basics import column, frame, label
from terrarium.app.kit.tables import plain_table
from terrarium.app.kit.theme import ThemeProvider
from terrarium.app.runs.overlay.overlay import RunOverlay
from terrarium.app.runs.overlay.run_comparer import RunComparer
from terrarium.app.session.session import Session
from terrarium.models.number_words import format_count, format_duration, format_percent, format_signed
from terrarium.models.runs.twin_result import Interval, TwinResult, TwinSide, compare_twins

_NONE = "–"
_TIPS = (
    "",
    "The mean of the lowest validation losses, over the seeds",
    "Of the mean, by Student's distribution of few values",
)
_WAITING = "The runs are being trained: the result begins when the design and its twin have ended with one seed."


class TwinView(QWidget):
    """A sentence, a table of losses by seed, and the curves of all runs.

    Signals:
        run_asked(run_id): the user wants to see this run.
    """

    run_asked = Signal(str)

    def __init__(self, session: Session, theme: ThemeProvider, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.result: TwinResult | None = None
        self.sentence = label(_WAITING, "heading", wrap=True)
        self.caption = label("", "caption", wrap=True)
        self.table = QTableWidget()
        plain_table(self.table, "The block and its twin")
        self.table.setEditTriggers(QTableWidget.EditTrigger.NoEditTriggers)
        self.table.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.table.hide()
        self.curves = RunOverlay(session, theme)
        self.curves.differences.hide()
        card = frame("card", self.sentence, self.table, self.caption)
        self.setLayout(column(card, self.curves, grows=self.curves))
        self._comparer = RunComparer(session, compare_twins, self)
        self._comparer.compared.connect(self._on_compared)
        self.curves.run_asked.connect(self.run_asked)

    def show_runs(self, run_ids: Sequence[str]) -> None:
        """Compare these runs."""
        self.curves.show_runs(run_ids)
        self._comparer.show_runs(run_ids)

    @Slot(object)
    def _on_compared(self, result: TwinResult | None) -> None:
        self.result = result
        self.table.setVisible(result is not None)
        self.sentence.setText(_WAITING if result is None or not result.differences else result.sentence)
        self.caption.setText("" if result is None else _caption(result))
        if result is not None:
            self._fill(result)

    def _fill(self, result: TwinResult) -> None:
        seeds = sorted(result.block.losses.keys() | result.twin.losses.keys())
        titles = ["", "Loss", "95 % interval", "Parameters", "Time per step", *(f"Seed {seed}" for seed in seeds)]
        rows = [_row(side, seeds) for side in (result.block, result.twin)]
        differences = result.differences
        if differences:
            mean = format_signed(fmean(differences.values()), 4)
            by_seed = [format_signed(differences[seed], 4) if seed in differences else _NONE for seed in seeds]
            rows.append(["Block − twin", mean, _between(result.interval, signed=True), "", "", *by_seed])
        self.table.setColumnCount(len(titles))
        self.table.setRowCount(len(rows))
        for at, title in enumerate(titles):
            head = QTableWidgetItem(title)
            head.setTextAlignment(_alignment(at))
            head.setToolTip(_TIPS[at] if at < len(_TIPS) else "")
            self.table.setHorizontalHeaderItem(at, head)
        for line, texts in enumerate(rows):
            for at, text in enumerate(texts):
                item = QTableWidgetItem(text)
                item.setTextAlignment(_alignment(at))
                self.table.setItem(line, at, item)
        header = self.table.horizontalHeader()
        header.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        header.setSectionResizeMode(0, QHeaderView.ResizeMode.Stretch)
        height = header.sizeHint().height() + sum(self.table.rowHeight(line) for line in range(len(rows)))
        self.table.setFixedHeight(height + self.table.horizontalScrollBar().sizeHint().height())


def _row(side: TwinSide, seeds: Sequence[int]) -> list[str]:
    return [
        side.title,
        _NONE if side.mean is None else f"{side.mean:.4f}",
        _between(side.interval),
        _NONE if side.n_parameters is None else f"{side.n_parameters:,}",
        _NONE if side.step_s is None else format_duration(side.step_s, fine=True),
        *(f"{side.losses[seed]:.4f}" if seed in side.losses else _NONE for seed in seeds),
    ]


def _between(interval: Interval | None, *, signed: bool = False) -> str:
    if interval is None:
        return _NONE
    return " to ".join(format_signed(end, 4) if signed else f"{end:.4f}" for end in interval)


def _caption(result: TwinResult) -> str:
    """Describe how many runs have ended, the unit, and how the sizes differ."""
    block, twin = result.block, result.twin
    n_ended = len(block.losses) + len(twin.losses)
    words = f"{n_ended} of {format_count(result.n_runs, 'run')} ended. Lowest validation loss in {result.unit}."
    if block.n_parameters and twin.n_parameters:
        share = twin.n_parameters / block.n_parameters - 1
        size = f"{format_percent(abs(share), 2)} {'more' if share > 0 else 'fewer'} parameters" if share else ""
        words += f" The twin has {size or 'as many parameters'}."
    return words


def _alignment(at: int) -> Qt.AlignmentFlag:
    side = Qt.AlignmentFlag.AlignRight if at else Qt.AlignmentFlag.AlignLeft
    return side | Qt.AlignmentFlag.AlignVCenter
