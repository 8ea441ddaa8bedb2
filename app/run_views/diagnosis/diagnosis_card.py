"""A card for one diagnosis: the problem, the evidence, and a button that applies the remedy."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QPointF, QRectF, QSize, Qt, Signal, Slot
from PySide6.QtGui import QPainter, QPaintEvent, QPen, QPolygonF
from PySide6.QtWidgets import QFrame, QHBoxLayout, QLabel, QSizePolicy, QVBoxLayout, QWidget

from terrarium.app.kit.basics import button, clear, label, row
from terrarium.app.kit.theme import SPACE, ThemeProvider
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
_WIDTH, _HEIGHT = 176, 56
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
        self._numbers = QHBoxLayout()
        self._numbers.setSpacing(3 * SPACE)
        self._figures: list[tuple[QLabel, QLabel]] = []
        self._chart = SymptomChart(theme, "danger" if grave else "warning")
        self.remedy = button("", theme, self._on_remedy, icon="first-aid-kit")
        self.remedy.setSizePolicy(QSizePolicy.Policy.Maximum, QSizePolicy.Policy.Fixed)
        self._build()

    def _build(self) -> None:
        words = QVBoxLayout()
        words.setSpacing(SPACE)
        words.addLayout(row(self._title, self._since, None))
        words.addWidget(self._sentence)
        words.addLayout(self._numbers)
        words.addWidget(self.remedy)
        across = QHBoxLayout(self)
        across.setContentsMargins(2 * SPACE, SPACE + SPACE // 2, 2 * SPACE, SPACE + SPACE // 2)
        across.setSpacing(2 * SPACE)
        across.addLayout(words, 1)
        across.addWidget(self._chart, 0, Qt.AlignmentFlag.AlignTop)

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
            cell = QWidget()
            lines = QVBoxLayout(cell)
            lines.setContentsMargins(0, 0, 0, 0)
            lines.setSpacing(0)
            lines.addWidget(number)
            lines.addWidget(caption)
            self._figures.append((number, caption))
            self._numbers.addWidget(cell)
        self._numbers.addStretch(1)

    @Slot()
    def _on_remedy(self) -> None:
        assert self.diagnosis is not None
        self.remedy_asked.emit(self.diagnosis.remedy)


def _curve(kind: str, history: RunHistory) -> tuple[str, NDArray[np.float64], NDArray[np.float64]]:
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


class SymptomChart(QWidget):
    """The curve behind a diagnosis, without axes, with a dashed line at the step where the problem starts."""

    def __init__(self, theme: ThemeProvider, tone: str) -> None:
        super().__init__()
        self._theme, self._tone = theme, tone
        self._steps: NDArray[np.float64] = np.zeros(0)
        self._values: NDArray[np.float64] = np.zeros(0)
        self._mark = 0
        self.setSizePolicy(QSizePolicy.Policy.Fixed, QSizePolicy.Policy.Fixed)
        theme.theme_changed.connect(self.update)

    def sizeHint(self) -> QSize:
        return QSize(_WIDTH, _HEIGHT)

    def set_curve(self, name: str, steps: NDArray[np.float64], values: NDArray[np.float64], mark: int) -> None:
        """Draw the finite `values` over `steps`, both (N,), and mark the step `mark`."""
        known = np.isfinite(values)
        self._steps, self._values = _thinned(steps[known], values[known])
        self._mark = mark
        scale = ""
        if len(self._values) and self._values.min() > 0 and self._values.max() > _WIDE_SPAN * self._values.min():
            self._values, scale = np.log(self._values), ", on a logarithmic scale"
        self.setToolTip(f"{name}{scale}; the dashed line is step {mark:,}")
        self.setAccessibleName(f"{name} over the steps")
        self.setVisible(len(self._values) > 1)
        self.update()

    def paintEvent(self, event: QPaintEvent) -> None:
        if len(self._values) < 2:
            return
        colors = self._theme.theme
        box = QRectF(self.rect()).adjusted(2, 4, -2, -4)
        first, last = float(self._steps[0]), float(self._steps[-1])
        low, high = float(self._values.min()), float(self._values.max())
        xs = box.left() + (self._steps - first) / max(last - first, 1) * box.width()
        ys = box.bottom() - (self._values - low) / ((high - low) or 1.0) * box.height()
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        mark_x = box.left() + min(max((self._mark - first) / max(last - first, 1), 0.0), 1.0) * box.width()
        painter.setPen(QPen(colors.color(self._tone), 1, Qt.PenStyle.DashLine))
        painter.drawLine(QPointF(mark_x, 0), QPointF(mark_x, self.height()))
        painter.setPen(QPen(colors.color("text"), 1.4))
        painter.drawPolyline(QPolygonF([QPointF(x, y) for x, y in zip(xs.tolist(), ys.tolist(), strict=True)]))
        painter.end()


def _thinned(
    steps: NDArray[np.float64], values: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Thin a curve to the pixels available, by medians, since single spikes are noise."""
    n = -(-len(values) // (_WIDTH // 2))
    if n <= 1:
        return steps, values
    rows = len(values) // n
    blocks = values[len(values) - rows * n :].reshape(rows, n)
    return steps[len(values) - rows * n :].reshape(rows, n)[:, -1], np.median(blocks, axis=1)
