"""The chart of a run's loss."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyqtgraph as pg
from PySide6.QtCore import QSize, Qt, Slot
from PySide6.QtGui import QFontMetrics, QStandardItemModel
from PySide6.QtWidgets import QComboBox

from terrarium.app.kit.basics import label, plain_tip
from terrarium.app.kit.help_mark import HelpMark, set_term
from terrarium.app.kit.plots.chart import Chart
from terrarium.app.kit.plots.curve_points import SMOOTHING, moving_average, thinned, trailing_average
from terrarium.app.kit.theme import SPACE, ThemeProvider
from terrarium.app.run_views.curves.reference_line import ReferenceLine, TableLines
from terrarium.app.run_views.curves.run_axis import RunAxis
from terrarium.app.run_views.curves.run_chart import Floats, RunChart, finite_between, span_of
from terrarium.app.session.run_history import RunHistory
from terrarium.models.events import TextCompared
from terrarium.models.number_words import with_minus
from terrarium.models.runs.curve import Table

_GAP = 6
"""Pixels between the end of a curve and its label."""
_APART = 3
"""Width in pixels of the columns to which crowded dots are thinned."""

_TRAILING = 0.2
"""On a logarithmic axis of steps, the thick line is a trailing mean over this share of the steps so far."""

_NOTHING_YET = "The curve starts with the first steps."
_NOTHING = ((np.empty(0), np.empty(0)),) * 3


@dataclass(frozen=True)
class Quantity:
    """A quantity in which the loss is shown: name, unit, number format, and column of a history's `train` and `val`.

    `is_exponential`: the quantity is e to the power of the column.
    """

    name: str
    unit: str
    form: str
    column: str = "loss"
    is_exponential: bool = False

    @property
    def label(self) -> str:
        """The name with the unit, for a menu."""
        return f"{self.name} ({self.unit})" if self.unit else self.name

    def of(self, values: Floats) -> Floats:
        """Convert values (n,) of the column, or means of it, to the quantity."""
        if not self.is_exponential:
            return values
        with np.errstate(over="ignore"):
            return np.exp(values)

    def of_nats(self, nats: float, table: Table) -> float:
        """Convert a loss in nats per token to the quantity, at the last known ratio in a table; NaN if it has none."""
        if self.column == "loss":
            return float(self.of(np.array([nats]))[0])
        known = np.flatnonzero(np.isfinite(table[self.column]) & (table["loss"] > 0))
        return nats * float(table[self.column][known[-1]] / table["loss"][known[-1]]) if len(known) else math.nan

    def format(self, value: float) -> str:
        """Format a value, “–” if it is not finite."""
        if not math.isfinite(value):
            return "–"
        return f"{value:,.0f}" if self.is_exponential and value >= 100 else with_minus(format(value, self.form))


LOSS = Quantity("Loss", "nats per token", ".3f")
PERPLEXITY = Quantity("Perplexity", "", ".2f", is_exponential=True)
BITS_PER_BYTE = Quantity("Bits per byte", "", ".3f", column="bits_per_byte")
QUANTITIES = (LOSS, PERPLEXITY, BITS_PER_BYTE)


class LossChart(RunChart):
    """Training loss (thin), smoothed (thick), validation loss (dots), and baselines: guesses, gzip and n-gram tables.

    Args:
        controls: whether another quantity can be chosen, such as perplexity instead of the loss.
    """

    def __init__(self, theme: ThemeProvider, *, controls: bool = True, quantity: Quantity = LOSS) -> None:
        self.quantity = quantity
        self.quantities = QComboBox()
        for each in QUANTITIES:
            self.quantities.addItem(each.label)
        self.quantities.setAccessibleName("Unit of the loss")
        self.quantities.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToContents)
        self.quantities.setToolTip(
            plain_tip(
                "Perplexity is e to the loss: how many tokens the model hesitates between. Bits per byte do not depend "
                "on the tokenizer; they are undefined where only some tokens are predicted."
            )
        )
        self.quantities.setCurrentIndex(QUANTITIES.index(quantity))
        title = self.quantities if controls else label(quantity.name, "subheading")
        super().__init__(theme, Chart(theme), title, "" if controls else quantity.unit)
        if controls:  # a title that is a label already has its help mark
            set_term(self, "Loss")
            self.head.insertWidget(1, HelpMark("Loss"))
        self._vocab_size = 0
        self._noun = "token"
        self._compared: TextCompared | None = None
        self._measured: Mapping[str, float] = {}
        self._smoothing, self.is_log, self._has_log_steps = SMOOTHING, False, False
        self.chart.setAccessibleName(quantity.name)
        self.setAccessibleName(
            f"{quantity.name}. Left and right read values, plus and minus zoom, Escape shows everything."
        )
        self.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        self.read_out.setProperty("role", "small")
        self.raw = self.chart.curve()
        self.smooth = self.chart.curve(smooth=True)
        self.val = pg.PlotDataItem(antialias=True, pen=None, symbol="o", symbolSize=7)
        self.chart.addItem(self.val)
        self.uniform_guess = ReferenceLine(self.chart, "The loss of giving every token or label the same probability")
        self.frequencies = ReferenceLine(self.chart, "")
        self.tables = TableLines(self.chart)
        self.line_names = [pg.TextItem(anchor=(0, 0.5)), pg.TextItem(anchor=(0, 0.5))]
        for name in self.line_names:
            name.textItem.document().setDocumentMargin(1)
            self.chart.addItem(name)
        self._drawn = _NOTHING
        self._dots, self._n_dots = _NOTHING[0], 0
        self._ends = (math.nan, math.nan)
        self.quantities.currentIndexChanged.connect(self._on_quantity)
        view = self.chart.getPlotItem().getViewBox()
        view.sigRangeChanged.connect(self._on_range)
        view.sigRangeChanged.connect(self._place_names)
        view.sigResized.connect(self._place_names)
        theme.theme_changed.connect(self._restyle)
        self._restyle()
        self.refresh()

    def sizeHint(self) -> QSize:
        return QSize(560, 280)

    # -- Content ----------------------------------------------------------------------------------------

    def show_history(
        self,
        history: RunHistory,
        vocab_size: int,
        measured: Mapping[str, float] | None = None,
        noun: str = "token",
        unit: str = LOSS.unit,
    ) -> None:
        """Draw another run.

        Args:
            vocab_size: places the line of a uniform guess; 0 = unknown.
            measured: numbers of its run.json, for the line of the unigram entropy.
            noun: what is predicted, “token” or “label”.
            unit: of the loss; perplexity is offered only if it is nats per token.
        """
        self._vocab_size, self._measured, self._noun = vocab_size, measured or {}, noun
        self.quantities.setItemText(QUANTITIES.index(LOSS), dataclasses.replace(LOSS, unit=unit).label)
        self._offer(PERPLEXITY, known=unit == LOSS.unit)
        self.history = history
        self.chart.show_whole()
        self.refresh()

    def show_tables(self, compared: TextCompared | None) -> None:
        """Show the bits per byte of gzip and n-gram tables on the held-out text; None if not measured."""
        if compared != self._compared:
            self._compared = compared
            self.refresh()

    def refresh(self) -> None:
        """Redraw the history."""
        axis = RunAxis.of(self.axis.column, self.history.train)
        self.draw(self.history, dataclasses.replace(axis, is_log=self._has_log_steps))

    def set_smoothing(self, amount: float) -> None:
        """Set the smoothing of the thick line, from 0 (none) to 1: see `moving_average`."""
        self._smoothing = amount
        self.refresh()

    def set_log(self, on: bool) -> None:
        """Use a logarithmic y axis, which shows late progress."""
        self.is_log = on
        self.chart.getPlotItem().setLogMode(y=on)
        self.chart.show_window(self.chart.window)
        self.refresh()

    def set_log_steps(self, on: bool) -> None:
        """Use a logarithmic axis of steps, which shows the first steps, where most changes."""
        self._has_log_steps = on
        self.chart.getPlotItem().getAxis("bottom").setLogMode(x=on)
        self.chart.show_window(None)
        self.refresh()

    @property
    def latest(self) -> float:
        """The smoothed training loss after the last step; NaN before the first step."""
        return _last(self._smoothed())

    def _smoothed(self) -> Floats:
        """The thick line's values."""
        train, quantity = self.history.train, self.quantity
        if not self._smoothing:
            return quantity.of(train[quantity.column])
        means, rows = train[f"mean:{quantity.column}"], train["rows"]
        is_log = self.axis.is_log
        return quantity.of(
            trailing_average(means, _TRAILING, rows) if is_log else moving_average(means, self._smoothing, rows)
        )

    def _draw(self) -> None:
        train, val, axis = self.history.train, self.history.val, self.axis
        bits_known = bool(np.isfinite(train[BITS_PER_BYTE.column]).any())
        self._offer(BITS_PER_BYTE, known=bits_known, keep=not len(train))
        quantity = self.quantity
        x, x_val = axis.of_rows(train), axis.of_rows(val)
        raw, dots = quantity.of(train[quantity.column]), quantity.of(val[quantity.column])
        smoothed = self._smoothed()
        anything = len(train) > 1
        self.raw.setPen(self._theme.pen("accent", alpha=0.35 if self._smoothing else 1.0))
        self.raw.setData(x, raw)
        self.smooth.setVisible(bool(self._smoothing))  # its antialiasing hides peaks; the thin line shows them
        self.smooth.setData(x, smoothed)
        known = np.isfinite(dots)  # alignment by rewards has no validation loss
        self._dots = x_val[known], dots[known]
        self._draw_dots()
        self.val.setVisible(anything)
        self.chart.say("" if anything else self.history.empty_caption or _NOTHING_YET)
        self._ends = (_last(smoothed), _last(dots))
        self._show_references(train if anything else Table(("loss", "bits_per_byte")))
        self._drawn = ((x, raw), (x, smoothed), (x_val, dots)) if anything else _NOTHING
        self.chart.show_range((0.0, self._length()), self._heights)
        self._place_names()

    @Slot()
    def _draw_dots(self) -> None:
        """Draw the validation dots; of those that would overlap, only the lowest and the highest."""
        x, y = self._dots
        most = max(self.chart.width() // _APART, 1)
        if len(x) > 2 * most:
            left, right = self.chart.getPlotItem().getViewBox().viewRange()[0]
            x, y = thinned(x, y, left, right, most)
        self._n_dots = len(x)
        self.val.setData(x, y)

    @Slot()
    def _on_range(self) -> None:
        if len(self._dots[0]) > self._n_dots:
            self._draw_dots()

    def _show_references(self, train: Table) -> None:
        quantity, vocab_size, val = self.quantity, self._vocab_size, self.history.val
        # Tokens of the held-out text may be shorter, and the validation losses are what the lines are compared with.
        rates = val if np.isfinite(val[quantity.column]).any() else train
        guess = quantity.of_nats(math.log(vocab_size), rates) if vocab_size > 1 and len(train) else math.nan
        entropy = self._measured.get("unigram_entropy", math.nan)
        frequencies = quantity.of_nats(entropy, rates) if len(train) else math.nan
        logarithm = f"ln {vocab_size:,} = " if quantity is LOSS else ""
        format = quantity.format if quantity is PERPLEXITY else "{:.2f}".format
        self.uniform_guess.show(guess, f"uniform guess: {logarithm}{format(guess)}", log=self.is_log)
        self.frequencies.show(frequencies, f"{self._noun} frequencies: {format(frequencies)}", log=self.is_log)
        self.frequencies.set_tip(
            f"The lowest loss without any context, from {self._noun} frequencies alone: "
            f"the entropy of {self._measured.get('unigram_tokens', 0):,.0f} {self._noun}s of the training data"
        )

        self.tables.show(self._compared if quantity is BITS_PER_BYTE else None, log=self.is_log)

    def _offer(self, quantity: Quantity, *, known: bool, keep: bool = False) -> None:
        """Enable a quantity if it is known. keep: leave it selected even if it is not known."""
        index = QUANTITIES.index(quantity)
        model = self.quantities.model()
        assert isinstance(model, QStandardItemModel)
        model.item(index).setEnabled(known)
        if not known and not keep and self.quantities.currentIndex() == index:
            self.quantities.setCurrentIndex(0)

    def _heights(self, first: float, last: float) -> tuple[float, float]:
        """Return the y range between two x values: from zero for the whole run, fitted to the data for a part.

        On a logarithmic axis, it fits the smoothed and validation losses, not the noise below them.
        """
        raw, smoothed, dots = (finite_between(x, y, first, last) for x, y in self._drawn)
        everything = np.concatenate((raw, smoothed, dots))
        whole = self.chart.window is None
        if whole:
            references = np.array([line.value for line in self.references])
            everything = np.concatenate((everything, references[np.isfinite(references)]))
        if self.is_log:
            top = float(everything.max(initial=0.0)) or 1.0
            main = np.concatenate((smoothed, dots))
            lowest = float(main[main > 0].min(initial=math.inf))
            lowest = lowest if math.isfinite(lowest) else top / 10
            return math.log10(lowest) - 0.1, math.log10(max(top, 2 * lowest))
        return span_of(everything, whole=whole)

    @property
    def references(self) -> Sequence[ReferenceLine]:
        """The lines that are always in view while the whole run is shown."""
        return self.uniform_guess, self.frequencies, *self.tables.lines

    # -- Text ------------------------------------------------------------------------------------------

    def _read_out_text(self, row: int | None) -> str:
        if row is None:
            return ""
        train, val, quantity = self.history.train, self.history.val, self.quantity
        step = train["step"][row]
        words = f"step {step:,.0f}  training {quantity.format(self._value(train, row))}"
        before = int(np.searchsorted(val["step"], step, side="right")) - 1
        if before < 0:
            return words
        when = "" if val["step"][before] == step else f" at {val['step'][before]:,.0f}"
        return f"{words}  validation {quantity.format(self._value(val, before))}{when}"

    def _value(self, table: Table, row: int) -> float:
        return float(self.quantity.of(table[self.quantity.column][row : row + 1])[0])

    @Slot()
    def _place_names(self) -> None:
        """Place each curve's name and last value beside its end, in the right margin, without overlap."""
        view = self.chart.getPlotItem().getViewBox()
        (_, right), (low, high) = view.viewRange()
        per_pixel = (high - low) / max(view.height(), 1.0)
        right -= self.right_margin * view.viewPixelSize()[0]
        self.uniform_guess.place_name(right)
        apart = self.line_names[0].boundingRect().height() * per_pixel
        self._place_frequencies(right, low, apart)
        self.tables.place_names(right, low, apart)
        right += _GAP * view.viewPixelSize()[0]
        ends: dict[int, float] = {}
        for i, value in enumerate(self._ends):
            shown = math.isfinite(value) and (value > 0 or not self.is_log) and len(self.history.train) > 1
            self.line_names[i].setVisible(shown)
            if shown:
                self.line_names[i].setText(f"{('training', 'validation')[i]} {self.quantity.format(value)}")
                ends[i] = self._axis_value(value)
        if len(ends) == 2 and abs(ends[0] - ends[1]) < apart:
            middle = max(sum(ends.values()) / 2, low + apart)
            upper = 0 if ends[0] >= ends[1] else 1
            ends = {upper: middle + apart / 2, 1 - upper: middle - apart / 2}
        for i, end in ends.items():
            self.line_names[i].setPos(right, min(max(end, low + apart / 2), high - apart / 2))

    def _place_frequencies(self, right: float, low: float, line: float) -> None:
        """Place the label above its line, or below if a curve or the other label is there; hide it if it does not fit.

        Args:
            low: the lowest visible y.
            line: the height of a line of text, in y.
        """
        value, guess = (self._axis_value(reference.value) for reference in (self.frequencies, self.uniform_guess))
        late = self._drawn[1][1][-max(len(self._drawn[1][1]) // 3, 1) :]
        late = late[np.isfinite(late)]
        below = guess - value < 2 * line or (bool(len(late)) and self._axis_value(float(np.median(late))) > value)
        self.frequencies.place_name(right, below=below, fits=not below or value - line >= low)

    def _axis_value(self, value: float) -> float:
        """Return the y coordinate of a value; NaN if a logarithmic axis has none."""
        if not self.is_log:
            return value
        return math.log10(value) if value > 0 else math.nan

    @property
    def right_margin(self) -> int:
        """Pixels between the data and the right edge, for the names of the curves."""
        widest = f"validation {self.quantity.format(88.88)}"
        return QFontMetrics(self._theme.font(0.9, bold=True)).horizontalAdvance(widest) + _GAP + SPACE

    # -- Style and choices ------------------------------------------------------------------------------

    @Slot(int)
    def _on_quantity(self, index: int) -> None:
        self.quantity = QUANTITIES[index]
        self.chart.setAccessibleName(self.quantity.name)
        self.chart.show_window(self.chart.window)
        self._restyle()
        self.refresh()

    @Slot()
    def _restyle(self) -> None:
        theme, colors = self._theme, self._theme.theme
        self.smooth.setPen(theme.pen("accent", width=2))
        self.val.setSymbolPen(theme.pen("surface"))
        self.val.setSymbolBrush(colors.validation)
        self.uniform_guess.restyle(theme)
        self.frequencies.restyle(theme)
        self.tables.restyle(theme)
        for name, color in zip(self.line_names, (colors.accent, colors.validation), strict=True):
            name.setColor(color)
            name.fill = pg.mkBrush(colors.surface)  # so that no line crosses it
            name.setFont(theme.font(0.9, bold=True))
        self.raw.setPen(theme.pen("accent", alpha=0.35 if self._smoothing else 1.0))
        self.chart.set_margins(6, QFontMetrics(theme.font(0.9)).height() + SPACE, self.right_margin)


def _last(values: Floats) -> float:
    """Return the last finite value, or NaN."""
    known = values[np.isfinite(values)]
    return float(known[-1]) if len(known) else math.nan
