"""A design with a custom block beside its built-in twin: which is better, by how much, and the curves of both."""

from __future__ import annotations

from collections.abc import Sequence
from operator import itemgetter
from statistics import fmean

from PySide6.QtCore import Slot
from PySide6.QtWidgets import QSizePolicy, QWidget

from terrarium.app.kit.basics import column, frame, label
from terrarium.app.kit.record_table import Column, RecordTable
from terrarium.app.kit.theme import ThemeProvider
from terrarium.app.runs.overlay.overlay import RunOverlay
from terrarium.app.runs.overlay.run_comparer import RunComparer
from terrarium.app.session.session import Session
from terrarium.models.number_words import format_count, format_duration, format_percent, format_signed
from terrarium.models.runs.twin import Interval, TwinResult, TwinSide, compare_twins

_NONE = "–"
_TITLES = {
    "": "",
    "Loss": "The mean of the lowest validation losses, over the seeds",
    "95 % interval": "Of the mean, by Student's distribution of few values",
    "Parameters": "",
    "Time per step": "",
}
"""Title and tooltip of the columns before those of the seeds."""
_WAITING = "The runs are being trained: the result begins when the design and its twin have ended with one seed."


class TwinView(QWidget):
    """A sentence, a table of losses by seed, and the curves of all runs."""

    def __init__(self, session: Session, theme: ThemeProvider, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.result: TwinResult | None = None
        self.sentence = label(_WAITING, "heading", wrap=True)
        self.caption = label("", "caption", wrap=True)
        self.table = RecordTable("The block and its twin", theme, has_many=True)
        self.table.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.table.hide()
        self.curves = RunOverlay(session, theme)
        self.curves.differences.hide()
        card = frame("card", self.sentence, self.table, self.caption)
        self.setLayout(column(card, self.curves, grows=self.curves))
        self._comparer = RunComparer(session, compare_twins, self)
        self._comparer.compared.connect(self._on_compared)

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
        rows = [_row(side, seeds) for side in (result.block, result.twin)]
        differences = result.differences
        if differences:
            mean = format_signed(fmean(differences.values()), 4)
            by_seed = [format_signed(differences[seed], 4) if seed in differences else _NONE for seed in seeds]
            rows.append(["Block − twin", mean, _between(result.interval, signed=True), "", "", *by_seed])
        titles = [*_TITLES.items(), *((f"Seed {seed}", "") for seed in seeds)]
        columns = [
            Column(title=title, about=tip, value=itemgetter(at), is_number=at > 0, grows=at == 0)
            for at, (title, tip) in enumerate(titles)
        ]
        self.table.show_records(rows, columns)
        header = self.table.horizontalHeader()
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
