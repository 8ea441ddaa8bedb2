"""The panel of tuned probabilities: whether a model is as sure as it is right, and the temperature that mends it."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Generator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PySide6.QtCore import QSize, Slot
from PySide6.QtWidgets import QFileDialog, QGridLayout, QLabel, QVBoxLayout, QWidget

from terrarium.app.glass.calibration.calibration_sentence import (
    describe_calibration,
    describe_data,
    format_error,
    format_interval,
    format_temperature,
)
from terrarium.app.glass.focus import Focus
from terrarium.app.glass.glass_panel import FigurePanel
from terrarium.app.glass.panel_head import About
from terrarium.app.kit.basics import button, label, plain_tip, row, set_enabled
from terrarium.app.kit.chart_export import Columns
from terrarium.app.kit.file_dialogs import FILE_FILTER
from terrarium.app.kit.inputs import BusyRow, show_progress
from terrarium.app.kit.layout.segments import Segments
from terrarium.app.kit.theme import SPACE, ThemeProvider
from terrarium.app.plots.plot_spec import PlotSpec, Series
from terrarium.app.plots.plot_view import PlotView
from terrarium.app.session.session import Session
from terrarium.app.worker.failures import Failure
from terrarium.models.events import Event
from terrarium.models.metrics.calibration import AtTemperature, Calibration, Estimate, Reliability, ReliabilityBin
from terrarium.models.number_words import format_count, format_percent, format_signed
from terrarium.models.settings.sampling_config import SamplingConfig

if TYPE_CHECKING:
    from tokenizers import Tokenizer

    from terrarium.models.architecture.transformer import AnyModel


ABOUT = About(
    title="Tuned probabilities",
    term="Calibration",
    shows="Whether the model is as sure as it is right, on text that it has never learned from.",
    source=(
        "The open model reads held-out text of its own run, up to 20,000 predictions in about ten seconds. They are "
        "grouped by the probability of the most likely token. The temperature with the highest likelihood is fitted on "
        "one half of the texts (temperature scaling, Guo et al. 2017), and judged on the other. Bars are 95 % "
        "intervals, by drawing whole texts again."
    ),
    limits=(
        "A calibrated model knows how often its next token is right, not whether a statement is true. It holds for "
        "text like this only; other text, and replies that were steered by preferences or rewards, may be far off. A "
        "temperature makes all tokens more or less sure at once, and never changes which is the most likely one."
    ),
)
_SECONDS = 10.0
_ROWS = {
    "ece": ("Calibration error", "How far confidence is from accuracy, on average (ECE, 15 equally wide bins)"),
    "adaptive": ("… in equal bins", "The calibration error in 15 bins of equally many predictions"),
    "nll": ("Loss", "The negative log-likelihood of the held-out text, in nats per prediction"),
}
"""The rows of the table: their names and tooltips."""
_FILE_TIP = "Measure on a text file of yours instead of the run's held-out text"
_TICKS = [(share, format_percent(share)) for share in (0.0, 0.25, 0.5, 0.75, 1.0)]
_MARKS = (("accent", "o", 10), ("query", "d", 7))
"""The colour and the dots of each curve; those of the second are smaller, so that equal points are both seen."""
_HIGHEST_BAR = 0.12
"""The height of the highest bar of the histogram, as a share of the y axis."""


class CalibrationPanel(FigurePanel):
    """About the open model as a whole, whatever token is in focus. It measures when it is first shown."""

    def __init__(self, session: Session, theme: ThemeProvider, focus: Focus, parent: QWidget | None = None) -> None:
        super().__init__(session, theme, focus, ABOUT, self.numbers, parent)
        self.found: Calibration | None = None
        self._measured: tuple[str, int, Path | None] | None = None
        self._file: Path | None = None
        self._sampling = SamplingConfig()
        self.busy_row = BusyRow(
            button("Measure", theme, self.measure, icon="chart-bar"),
            button("Stop", theme, self.stop, icon="stop"),
            "Measuring the calibration",
        )
        self.choose = button("", theme, self.choose_file, icon="file-text", role="quiet-icon", tip=_FILE_TIP)
        self.head.add(self.choose)
        self.outcomes = Segments(
            "Predictions",
            {"best": "Most likely", "top": "Ten most likely"},
            "The probability of the most likely outcome alone, or of each of the ten most likely ones",
        )
        self.curve = ReliabilityCurve(theme)
        self.table = QWidget()
        self.cells: dict[str, list[QLabel]] = {}
        """The numbers of the table, before and after, by row."""
        self._at = label("", "caption", wrap=True)
        self.use = button("Use this temperature", theme, self._on_use, icon="thermometer")
        self.data = label("", "caption", wrap=True)
        self._build()
        self.examiner.done.connect(self._on_done)
        self.examiner.failed.connect(self._on_failed)
        self.examiner.changed.connect(self._show_busy)
        self.examiner.progressed.connect(lambda share: show_progress(self.busy_row.progress, round(1000 * share), 1000))
        self.outcomes.changed.connect(self._show_found)

    def _build(self) -> None:
        layout = self.layout()
        assert isinstance(layout, QVBoxLayout)
        layout.insertWidget(1, self.busy_row)
        grid = QGridLayout(self.table)
        grid.setContentsMargins(0, 0, 0, 0)
        grid.setHorizontalSpacing(2 * SPACE)
        grid.setVerticalSpacing(SPACE // 2)
        grid.setColumnStretch(2, 1)
        grid.addWidget(label("As it is", "caption"), 0, 1)
        grid.addWidget(self._at, 0, 2)
        for i, (key, (name, tip)) in enumerate(_ROWS.items(), start=1):
            self.cells[key] = [label("", "small", selectable=True) for _ in range(2)]
            for j, cell in enumerate((label(name, "caption"), *self.cells[key])):
                cell.setToolTip(plain_tip(tip))
                grid.addWidget(cell, i, j)
        self.lines.addWidget(self.sentence)
        self.lines.addLayout(row(self.outcomes, None))
        self.lines.addWidget(self.curve, 1)
        self.lines.addWidget(self.table)
        self.lines.addLayout(row(self.use, None))
        self.lines.addWidget(self.data)
        self.lines.addStretch()
        self.busy_row.hide()

    # -- Measuring ----------------------------------------------------------------------------------------------------

    def show_text(self) -> None:
        """Measure the open model, unless that was done."""
        model = self._session.chat.model
        self.choose.setVisible(model is not None and model.config.head == "language")
        if model is None:
            self._forget()
            self.show_message(
                "No model is open", "Choose a model above: its probabilities are compared with what is true."
            )
        elif self._measured is None or self._measured[:2] != (model.run_id, model.step):
            self._file = None
            self.measure()

    def show_position(self) -> None:
        """Do nothing: the token in focus does not matter."""

    def _forget(self) -> None:
        self.examiner.forget()
        self.found, self._measured = None, None
        self._show_busy()

    @Slot()
    def measure(self) -> None:
        """Measure on the chosen file, or on the held-out text of the model's run; on the worker's thread."""
        model = self._session.chat.model
        if model is None:
            return
        library, file, run_id = self._session.library, self._file, model.run_id
        self.found, self._measured = None, (run_id, model.step, file)

        def question(model: AnyModel, tokenizer: Tokenizer) -> Generator[Event, None, Calibration]:
            from terrarium.models.runs.run_folder import RunFolder
            from terrarium.models.training.held_out_calibration import calibrate

            return calibrate(
                library, RunFolder.open(library.find_run(run_id)), model, tokenizer, file, seconds=_SECONDS
            )

        self.show_message("Reading…", "The model reads text that it has not learned from, and guesses each token.")
        self.examiner.ask(question)

    @Slot()
    def stop(self) -> None:
        """Stop measuring."""
        self.examiner.forget()
        self.show_message("Not measured", "The measurement was stopped.")

    @Slot()
    def choose_file(self) -> None:
        """Ask for a text file, and measure on it."""
        file, _ = QFileDialog.getOpenFileName(self, "Choose a text file", "", FILE_FILTER)
        if file:
            self._file = Path(file)
            self.measure()

    @Slot()
    def _show_busy(self) -> None:
        is_offered = self.found is None and self._session.chat.model is not None
        self.busy_row.set_offered(is_offered)
        self.busy_row.set_busy(self.examiner.busy)
        self.busy_row.setVisible(self.examiner.busy or is_offered)

    @Slot(object)
    def _on_failed(self, failure: Failure) -> None:
        self.show_message("This cannot be measured", failure.sentence)
        self.busy_row.hide()

    # -- Showing ------------------------------------------------------------------------------------------------------

    @Slot(object)
    def _on_done(self, found: Calibration) -> None:
        self.found = found
        self._show_found()
        self.show_body()

    @Slot()
    def _show_found(self) -> None:
        found, model = self.found, self._session.chat.model
        if found is None or model is None:
            return
        at = f"Temperature {format_temperature(found.temperature.value)}"
        which = self.outcomes.value
        self.sentence.setText(describe_calibration(found))
        self.curve.show_curves(
            [(name, _reliability(each, which)) for name, each in (("As it is", found.before), (at, found.after))],
            found.what,
        )
        self._at.setText(at)
        for cells, value in zip(self.cells.values(), self._values(found, which), strict=True):
            for cell, words in zip(cells, value, strict=True):
                cell.setText(words)
        interval = format_interval(found.temperature, 2, percent=False)
        self.use.setToolTip(plain_tip(f"Sample replies at this temperature. 95 % interval: {interval}."))
        self.use.setVisible(model.writes)
        self.data.setText(describe_data(found))
        self._show_use()

    def _values(self, found: Calibration, which: str) -> list[tuple[str, str]]:
        """Return the texts of the table, row by row: before and after."""
        both = [_reliability(each, which) for each in (found.before, found.after)]
        errors = [[each.ece for each in both], [each.adaptive_ece for each in both]]
        losses = [found.before.nll, found.after.nll]
        return [
            *((format_error(first), format_error(second)) for first, second in errors),
            (f"{losses[0].value:.3f}", f"{losses[1].value:.3f} ({format_signed(found.nll_change.value, 3)})"),
        ]

    # -- The temperature ----------------------------------------------------------------------------------------------

    def set_sampling(self, config: SamplingConfig) -> None:
        self._sampling = config
        self._show_use()

    @property
    def _best(self) -> float:
        """The fitted temperature, as precise as the sampling panel shows it."""
        assert self.found is not None
        return round(self.found.temperature.value, 2)

    def _show_use(self) -> None:
        if self.found is not None:
            is_used = self._sampling.temperature == self._best
            set_enabled(self.use, f"Replies are sampled at {self._best:.2f} already." if is_used else "")

    @Slot()
    def _on_use(self) -> None:
        self.sampling_changed.emit(dataclasses.replace(self._sampling, temperature=self._best))

    # -- Export -------------------------------------------------------------------------------------------------------

    def numbers(self) -> Callable[[], Columns]:
        """Return a function that creates the export columns: the figures, then the bins of all curves."""
        found = self.found
        return dict if found is None else lambda: columns_of(found)


def columns_of(found: Calibration) -> Columns:
    """Return the figures and the bins of the curves as columns.

    what: the figure, or “bin”. outcomes: “best” or “top”. value: of a bin, its accuracy. low, high: the value's 95 %
    interval. from, to: the limits of a bin.
    """
    keys = ("what", "outcomes", "temperature", "value", "low", "high", "n", "confidence", "from", "to")
    rows: list[tuple[object, ...]] = [
        ("temperature", None, None, *_numbers(found.temperature), found.n_fitted, *[None] * 3)
    ]
    for at in (found.before, found.after):
        rows.append(("nll", None, at.temperature, *_numbers(at.nll), found.n_judged, *[None] * 3))
        for which in ("best", "top"):
            curve, key = _reliability(at, which), (which, at.temperature)
            for what, value in (("ece", curve.ece), ("adaptive_ece", curve.adaptive_ece), ("excess", curve.excess)):
                rows.append((what, *key, *_numbers(value), found.n_judged, *[None] * 3))
            for each in curve.bins:
                rows.append(("bin", *key, *_numbers(each.accuracy), each.n, each.confidence, each.low, each.high))
    return dict(zip(keys, map(list, zip(*rows, strict=True)), strict=True))


def _reliability(at: AtTemperature, which: str) -> Reliability:
    return at.best if which == "best" else at.top


def _numbers(value: Estimate) -> tuple[float | None, float | None, float | None]:
    return (value.value, *(value.interval or (None, None)))


class ReliabilityCurve(PlotView):
    """Up to two reliability curves, such as before and after temperature scaling, and the histogram of the first."""

    def __init__(self, theme: ThemeProvider, parent: QWidget | None = None) -> None:
        super().__init__(theme, has_y=True, is_boxed=True, margins=(8, 10, 24), least=300, parent=parent)
        self.set_name("Reliability curve: share of right answers by confidence")
        self.points: Sequence[tuple[str, ReliabilityBin]] = ()
        """The points that can be read, each with the name of its curve."""
        self._what = ""

    def sizeHint(self) -> QSize:
        return QSize(380, 340)

    def show_curves(self, curves: Sequence[tuple[str, Reliability]], what: str) -> None:
        """Show curves, each with its name. what: what is predicted, as a noun: “token”."""
        self.points, self._what = [(name, each) for name, curve in curves for each in curve.bins], what
        shares = np.array(curves[0][1].histogram)
        ends, n = np.array([0.0, 1.0]), len(shares)
        self.show_spec(
            PlotSpec(
                series=(
                    Series(
                        x=(np.arange(n) + 0.5) / n,
                        y=_HIGHEST_BAR * shares / shares.max(),
                        kind="bars",
                        name="how often it is so sure",
                        role="faint",
                        alpha=0.6,
                        wide=0.85 / n,
                        in_legend=False,
                    ),
                    Series(
                        x=ends,
                        y=ends,
                        name="as sure as right",
                        role="muted",
                        style="dashed",
                        width=1.2,
                        in_legend=False,
                    ),
                    *(
                        _curve(name, curve, role, symbol, size)
                        for (name, curve), (role, symbol, size) in zip(curves, _MARKS, strict=False)
                    ),
                ),
                x_title="How sure the model is, and how often so (bars)",
                y_title="How often it is right",
                x_range=(0.0, 1.0),
                y_range=(0.0, 1.0),
                x_names=_TICKS,
                y_names=_TICKS,
                at=np.array([each.confidence for _, each in self.points]),
                heights=np.array([each.accuracy.value for _, each in self.points]),
                words=self._describe,
            )
        )

    def _describe(self, i: int) -> str:
        name, each = self.points[i]
        said, right = format_percent(each.confidence, 1), format_percent(each.accuracy.value, 1)
        interval = format_interval(each.accuracy, 0)
        words = f"{name}: {format_count(each.n, self._what)}\nsaid {said}\nright {right}"
        return f"{words} ({interval})" if interval else words


def _curve(name: str, curve: Reliability, role: str, symbol: str, size: float) -> Series:
    ends = np.array([each.accuracy.interval or (np.nan, np.nan) for each in curve.bins])
    return Series(
        x=np.array([each.confidence for each in curve.bins]),
        y=np.array([each.accuracy.value for each in curve.bins]),
        kind="joined",
        name=name,
        role=role,
        width=1.5,
        alpha=0.6,
        symbol=symbol,
        size=size,
        low=ends[:, 0],
        high=ends[:, 1],
    )
