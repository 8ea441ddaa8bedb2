"""A card for one diagnosis: the problem, the evidence, and a button that applies the remedy."""

from __future__ import annotations

import math

import numpy as np
from PySide6.QtCore import Qt, Signal, Slot
from PySide6.QtWidgets import QFrame, QLabel, QSizePolicy, QWidget

from terrarium.app.kit.basics import button, clear, column, group, label, row
from terrarium.app.kit.theme import SPACE, ThemeProvider
from terrarium.app.plots.curve_points import Floats
from terrarium.app.plots.plot_spec import Goal, PlotSpec, Series
from terrarium.app.plots.plot_view import PlotView
from terrarium.app.run_views.shown_run import ShownRun
from terrarium.app.session.run_history import RunHistory
from terrarium.models.alignment.figures import figure_of
from terrarium.models.diagnosis import SHOWN_BY, Diagnosis
from terrarium.models.number_words import with_minus

GRAVE = frozenset({"nan", "divergence", "exploding", "dead"})
"""Kinds of diagnosis after which the model is useless."""
_CURVES = {
    **dict.fromkeys(("nan", "exploding", "dead"), ("Gradient norm", "train", "grad_norm")),
    **dict.fromkeys(("overfitting", "little_data", "small_validation"), ("Validation loss", "val", "loss")),
}
_LOSS = ("Training loss", "train", "loss")
_WITHOUT_CURVE = frozenset({"forgetting", "over_refusal"})
"""Kinds measured only once or twice in a run."""
_WIDTH, _HEIGHT = 264, 132
_WIDE_SPAN = 50.0
"""Values that differ by more than this factor are drawn on a logarithmic scale."""


class DiagnosisCard(QFrame):
    """Shows a diagnosis of one kind, which may change as the run continues.

    Signals:
        remedy_asked(remedy): the user wants to apply this `Remedy`.
    """

    remedy_asked = Signal(object)

    def __init__(self, kind: str, theme: ThemeProvider, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setProperty("role", "card")
        self.kind = kind
        self.diagnosis: Diagnosis | None = None
        grave = kind in GRAVE
        self._title = label("", "subheading")
        self._since = label("", "pill")
        self._since.setProperty("tone", "danger" if grave else "warning")
        self._sentence = label("", wrap=True, selectable=True)
        self._numbers = row(spacing=3 * SPACE)
        self._figures: list[tuple[QLabel, QLabel]] = []
        self._chart = SymptomChart(theme, "danger" if grave else "warning")
        self.remedy = button("", theme, self._on_remedy, icon="first-aid-kit")
        self.remedy.setSizePolicy(QSizePolicy.Policy.Maximum, QSizePolicy.Policy.Fixed)
        self._build()

    def _build(self) -> None:
        words = column(row(self._title, self._since, None), self._sentence, self._numbers, self.remedy)
        margin = (2 * SPACE, SPACE + SPACE // 2, 2 * SPACE, SPACE + SPACE // 2)
        across = row(words, self._chart, spacing=2 * SPACE, grows=words, margin=margin)
        across.setAlignment(self._chart, Qt.AlignmentFlag.AlignTop)
        self.setLayout(across)

    def show_diagnosis(self, diagnosis: Diagnosis, run: ShownRun) -> None:
        """Show a diagnosis of `run`."""
        self.diagnosis = diagnosis
        self._title.setText(diagnosis.title)
        self._since.setText(f"since step {diagnosis.step:,}" if diagnosis.step > 1 else "since the start")
        self._sentence.setText(diagnosis.sentence)
        self._show_evidence({name: value for name, value in diagnosis.evidence.items() if math.isfinite(value)})
        self.remedy.setVisible(diagnosis.remedy is not None)
        if diagnosis.remedy is not None:
            self.remedy.setText(diagnosis.remedy.words)
            self.remedy.setAccessibleName(diagnosis.remedy.words)
            is_fork = diagnosis.remedy.fork_step is not None
            self.remedy.setToolTip(
                "Fork that checkpoint with these settings" if is_fork else "Repeat the run with these settings"
            )
        self._chart.set_curve(*_curve(self.kind, run.history), diagnosis.step)

    def _show_evidence(self, evidence: dict[str, float]) -> None:
        if [caption.text() for _, caption in self._figures] != list(evidence):
            self._make_figures(list(evidence))
        for (number, _), value in zip(self._figures, evidence.values(), strict=True):
            words = f"{value:,.0f}" if value == round(value) and abs(value) < 1e9 else f"{value:.3g}"
            number.setText(with_minus(words))

    def _make_figures(self, names: list[str]) -> None:
        clear(self._numbers)
        self._figures = []
        for name in names:
            number, caption = label("", "number"), label(name, "caption")
            self._figures.append((number, caption))
            self._numbers.addWidget(group(number, caption, spacing=0))
        self._numbers.addStretch(1)

    @Slot()
    def _on_remedy(self) -> None:
        assert self.diagnosis is not None
        self.remedy_asked.emit(self.diagnosis.remedy)


def _curve(kind: str, history: RunHistory) -> tuple[str, Floats, Floats]:
    """Return the title, steps and values of the curve beside a diagnosis: an alignment figure if the run has it."""
    if kind in _WITHOUT_CURVE:
        return "", np.zeros(0), np.zeros(0)
    for name in SHOWN_BY.get(kind, ()):
        for is_validation in (False, True):
            table = history.figures.get((name, is_validation))
            if table is not None:
                return figure_of(name).title, table["step"], table["value"]
    title, of, column = _CURVES.get(kind, _LOSS)
    rows = history.train if of == "train" else history.val
    return title, rows["step"], rows[column]


class SymptomChart(PlotView):
    """The curve behind a diagnosis, with a dashed line at the step where the problem starts."""

    def __init__(self, theme: ThemeProvider, tone: str) -> None:
        super().__init__(theme, role="caption", margins=(4, 6, 8))
        self._tone = tone
        self.setFixedSize(_WIDTH, _HEIGHT)

    def set_curve(self, name: str, steps: Floats, values: Floats, mark: int) -> None:
        """Draw the finite `values` over `steps`, both (N,), and mark the step `mark`."""
        known = np.isfinite(values)
        steps, values = _thinned(steps[known], values[known])
        self.setVisible(len(values) > 1)
        if len(values) < 2:
            return
        self.is_log = bool(values.min() > 0 and values.max() > _WIDE_SPAN * values.min())
        low, high = float(values.min()), float(values.max())
        self.set_title(name)
        self.set_name(f"{name} over the steps")
        self.show_spec(
            PlotSpec(
                series=(Series(x=steps, y=values, name=name, role="text", width=1.4, in_legend=False),),
                goals=(Goal(value=float(mark), name=f"step {mark:,}", is_vertical=True, role=self._tone),),
                x_title="Steps",
                y_title=name,
                y_range=(low, high if high > low else low + 1.0),
            )
        )


def _thinned(steps: Floats, values: Floats) -> tuple[Floats, Floats]:
    """Thin a curve to the pixels available, by medians, since single spikes are noise."""
    n = -(-len(values) // (_WIDTH // 2))
    if n <= 1:
        return steps, values
    rows = len(values) // n
    blocks = values[len(values) - rows * n :].reshape(rows, n)
    return steps[len(values) - rows * n :].reshape(rows, n)[:, -1], np.median(blocks, axis=1)
