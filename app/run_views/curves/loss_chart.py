"""The chart of a run's loss."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyqtgraph as pg
from PySide6.QtCore import QSize, Slot
from PySide6.QtGui import QFontMetrics, QStandardItemModel
from PySide6.QtWidgets import QComboBox

from terrarium.app.kit.basics import label, plain_tip
from terrarium.app.kit.help_mark import HelpMark, set_term
from terrarium.app.kit.labels import ElidedCombo
from terrarium.app.kit.theme import SPACE, ThemeProvider
from terrarium.app.plots.chart import Curve
from terrarium.app.plots.curve_points import SMOOTHING, Floats, moving_average, trailing_average
from terrarium.app.plots.plot_spec import NONE, Goal, PlotSpec, Series
from terrarium.app.plots.reference_line import ReferenceLine
from terrarium.app.plots.series_items import Dots
from terrarium.app.run_views.curves.run_axis import RunAxis
from terrarium.app.run_views.curves.run_chart import RunChart, finite_between, span_of
from terrarium.app.session.run_history import RunHistory
from terrarium.models.evaluation.text_verdict import GZIP, TRIGRAM, short_table_words
from terrarium.models.events import TextCompared
from terrarium.models.number_words import with_minus
from terrarium.models.runs.curve import Table

_GAP = 6
"""Pixels between the end of a curve and its label."""

_TRAILING = 0.2
"""On a logarithmic axis of steps, the thick line is a trailing mean over this share of the steps so far."""

_NOTHING_YET = "The curve starts with the first steps."
_NOTHING = ((NONE, NONE),) * 3
_GUESS_TIP = "The loss of giving every token or label the same probability"
_TABLES_TIP = "Bits per byte of the same held-out text, by what has read the rest of it"


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
        self.quantities = ElidedCombo()
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
        self.line_names = [pg.TextItem(anchor=(0, 0.5)), pg.TextItem(anchor=(0, 0.5))]
        self._drawn, self._ends = _NOTHING, (math.nan, math.nan)
        super().__init__(theme, title, unit="" if controls else quantity.unit)
        if controls:  # a title that is a label already has its help mark
            set_term(self, "Loss")
            self.head.insertWidget(1, HelpMark("Loss"))
        self._vocab_size = 0
        self._noun = "token"
        self._compared: TextCompared | None = None
        self._measured: Mapping[str, float] = {}
        self._smoothing, self._has_log_steps = SMOOTHING, False
        self.set_name(quantity.name)
        self.read_out.setProperty("role", "small")
        for name in self.line_names:
            name.textItem.document().setDocumentMargin(1)
            name.setZValue(80)
            self.chart.addItem(name)
        self.quantities.currentIndexChanged.connect(self._on_quantity)
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
        self.draw(self.history, RunAxis.of(self.axis.column, self.history.train), *self._marks)

    def set_smoothing(self, amount: float) -> None:
        """Set the smoothing of the thick line, from 0 (none) to 1: see `moving_average`."""
        self._smoothing = amount
        self.refresh()

    def set_log_steps(self, on: bool) -> None:
        """Use a logarithmic axis of steps, which shows the first steps, where most changes."""
        self._has_log_steps = on
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
        is_log = self._has_log_steps
        return quantity.of(
            trailing_average(means, _TRAILING, rows) if is_log else moving_average(means, self._smoothing, rows)
        )

    @property
    def raw(self) -> Curve:
        """The line of the training loss."""
        return self.items[0].line

    @property
    def smooth(self) -> Curve:
        """The smoothed line."""
        return self.items[1].line

    @property
    def val(self) -> Dots:
        """The dots of the validation loss."""
        return self.items[2].dots

    def _spec(self) -> PlotSpec:
        train, val, axis = self.history.train, self.history.val, self.axis
        bits_known = bool(np.isfinite(train[BITS_PER_BYTE.column]).any())
        self._offer(BITS_PER_BYTE, known=bits_known, keep=not len(train))
        quantity = self.quantity
        x, x_val = axis.of_rows(train), axis.of_rows(val)
        raw, dots = quantity.of(train[quantity.column]), quantity.of(val[quantity.column])
        smoothed = self._smoothed()
        anything = len(train) > 1
        known = np.isfinite(dots)  # alignment by rewards has no validation loss
        self._drawn = ((x, raw), (x, smoothed), (x_val[known], dots[known])) if anything else _NOTHING
        self._ends = (_last(smoothed), _last(dots))
        name, is_smoothed = quantity.name, bool(self._smoothing)
        training = Series(x=x, y=raw, name=f"Training {name.lower()}", alpha=0.35 if is_smoothed else 1.0)
        thick = Series(  # its antialiasing hides peaks; the thin line shows them
            x=x, y=smoothed, kind="line" if is_smoothed else "none", name=f"{training.name}, smoothed", width=2
        )
        (x_dots, y_dots), name = self._drawn[2], f"Validation {name.lower()}"
        validation = Series(x=x_dots, y=y_dots, kind="dots", name=name, role="validation")
        return PlotSpec(
            series=(training, thick, validation),
            goals=self._goals(train if anything else Table(("loss", "bits_per_byte"))),
            y_title=quantity.label,
            x_range=(1.0 if self._has_log_steps else 0.0, self._length()),
            y_range=self._fitted,
            is_log_x=self._has_log_steps,
            message="" if anything else self.history.empty_caption or _NOTHING_YET,
        )

    def _goals(self, train: Table) -> list[Goal]:
        """Return the reference lines: guesses, then the bits per byte of a 3-gram model, gzip and an n-gram table."""
        quantity, vocab_size, val = self.quantity, self._vocab_size, self.history.val
        # Tokens of the held-out text may be shorter, and the validation losses are what the lines are compared with.
        rates = val if np.isfinite(val[quantity.column]).any() else train
        guess = quantity.of_nats(math.log(vocab_size), rates) if vocab_size > 1 and len(train) else math.nan
        entropy = self._measured.get("unigram_entropy", math.nan)
        frequencies = quantity.of_nats(entropy, rates) if len(train) else math.nan
        logarithm = f"ln {vocab_size:,} = " if quantity is LOSS else ""
        format = quantity.format if quantity is PERPLEXITY else "{:.2f}".format
        tip = (
            f"The lowest loss without any context, from {self._noun} frequencies alone: "
            f"the entropy of {self._measured.get('unigram_tokens', 0):,.0f} {self._noun}s of the training data"
        )
        guesses = (
            (guess, f"uniform guess: {logarithm}{format(guess)}", _GUESS_TIP),
            (frequencies, f"{self._noun} frequencies: {format(frequencies)}", tip),
        )
        return [
            Goal(value=value if value > 0 else math.nan, name=words, tip=tip)
            for value, words, tip in (*guesses, *self._tables())
        ]

    def _tables(self) -> list[tuple[float, str, str]]:
        compared = self._compared if self.quantity is BITS_PER_BYTE else None
        if compared is None:
            return [(math.nan, "", "")] * 3
        known = (
            (compared.trigram, TRIGRAM),
            (compared.gzip, GZIP),
            (compared.table, short_table_words(compared.table_order)),
        )
        return [(bits, f"{words}: {bits:.2f}", _TABLES_TIP) for bits, words in known]

    @property
    def uniform_guess(self) -> ReferenceLine:
        """The line of a uniform guess."""
        return self.goal_lines[0]

    @property
    def frequencies(self) -> ReferenceLine:
        """The line of the token frequencies."""
        return self.goal_lines[1]

    @property
    def tables(self) -> Sequence[ReferenceLine]:
        """The lines of a 3-gram model, gzip and an n-gram table."""
        return self.goal_lines[2:]

    def _offer(self, quantity: Quantity, *, known: bool, keep: bool = False) -> None:
        """Enable a quantity if it is known. keep: leave it selected even if it is not known."""
        index = QUANTITIES.index(quantity)
        model = self.quantities.model()
        assert isinstance(model, QStandardItemModel)
        model.item(index).setEnabled(known)
        if not known and not keep and self.quantities.currentIndex() == index:
            self.quantities.setCurrentIndex(0)

    def _fitted(self, first: float, last: float) -> tuple[float, float]:
        """Return the y range between two x values: from zero for the whole run, fitted to the data for a part.

        On a logarithmic axis, it fits the smoothed and validation losses, not the noise below them.
        """
        raw, smoothed, dots = (finite_between(x, y, first, last) for x, y in self._drawn)
        everything = np.concatenate((raw, smoothed, dots))
        whole = self.chart.window is None
        if whole:
            references = np.array([goal.value for goal in self.spec.goals])
            everything = np.concatenate((everything, references[np.isfinite(references)]))
        if self.is_log:
            top = float(everything.max(initial=0.0)) or 1.0
            main = np.concatenate((smoothed, dots))
            lowest = float(main[main > 0].min(initial=math.inf))
            lowest = lowest if math.isfinite(lowest) else top / 10
            return lowest * 10**-0.1, max(top, 2 * lowest)
        return span_of(everything, whole=whole)

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
        if not self.goal_lines:
            return
        self.uniform_guess.place_name(right)
        apart = self.line_names[0].boundingRect().height() * per_pixel
        self._place_frequencies(right, low, apart)
        self._place_tables(right, low, apart)
        right += _GAP * view.viewPixelSize()[0]
        ends: dict[int, float] = {}
        for i, value in enumerate(self._ends):
            shown = math.isfinite(value) and (value > 0 or not self.is_log) and len(self.history.train) > 1
            self.line_names[i].setVisible(shown)
            if shown:
                self.line_names[i].setText(f"{('training', 'validation')[i]} {self.quantity.format(value)}")
                ends[i] = float(self.up(np.array([value]))[0])
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
        value, guess = self.frequencies.axis_value, self.uniform_guess.axis_value
        late = self._drawn[1][1][-max(len(self._drawn[1][1]) // 3, 1) :]
        late = self.up(late[np.isfinite(late)])
        below = guess - value < 2 * line or (bool(len(late)) and float(np.median(late)) > value)
        self.frequencies.place_name(right, below=below, fits=not below or value - line >= low)

    def _place_tables(self, right: float, low: float, line: float) -> None:
        """Place the labels at the left, as curves begin high: each above its line, or below if another label is there.

        Args:
            low: the lowest visible y.
            line: the height of a line of text, in y.
        """
        taken = math.inf
        for each in sorted((each for each in self.tables if math.isfinite(each.value)), key=lambda each: -each.value):
            value = each.axis_value
            bottom = value if value + line <= taken else value - line
            each.place_name(right, below=bottom < value, fits=bottom >= low, at_left=True)
            taken = bottom

    @property
    def right_margin(self) -> int:
        """Pixels between the data and the right edge, for the names of the curves."""
        widest = f"validation {self.quantity.format(88.88)}"
        return QFontMetrics(self._theme.font(0.9, bold=True)).horizontalAdvance(widest) + _GAP + SPACE

    # -- Style and choices ------------------------------------------------------------------------------

    @Slot(int)
    def _on_quantity(self, index: int) -> None:
        self.quantity = QUANTITIES[index]
        self.set_name(self.quantity.name)
        self.chart.show_window(self.chart.window)
        self.refresh()

    def _free(self) -> tuple[int, int, int]:
        return 6, QFontMetrics(self._theme.font(0.9)).height() + SPACE, self.right_margin

    def restyle(self) -> None:
        super().restyle()
        theme, colors = self._theme, self._theme.theme
        for name, color in zip(self.line_names, (colors.accent, colors.validation), strict=True):
            name.setColor(color)
            name.fill = pg.mkBrush(colors.surface)  # so that no line crosses it
            name.setFont(theme.font(0.9, bold=True))


def _last(values: Floats) -> float:
    """Return the last finite value, or NaN."""
    known = values[np.isfinite(values)]
    return float(known[-1]) if len(known) else math.nan
