"""The doctor's view of a run: its problems with remedies, and the checks that passed."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import numpy as np
from PySide6.QtCore import Qt, Signal, Slot
from PySide6.QtWidgets import QFrame, QLabel, QSizePolicy, QWidget

from terrarium.app.kit.basics import EmptyState, button, clear, column, frame, group, label, row, scrolling, show_if
from terrarium.app.kit.inputs import grid
from terrarium.app.kit.theme import SPACE, ThemeProvider
from terrarium.app.plots.curve_points import Floats
from terrarium.app.plots.plot_spec import Goal, PlotSpec, Series
from terrarium.app.plots.plot_view import PlotView
from terrarium.app.run_views.examining import RunExaminer
from terrarium.app.run_views.shown_run import ShownRun
from terrarium.app.session.run_history import RunHistory
from terrarium.app.worker.failures import Failure
from terrarium.models.alignment.figures import figure_of
from terrarium.models.diagnosis import SHOWN_BY, TITLES, Check, Diagnosis, Examination, Remedy
from terrarium.models.number_words import format_count, with_minus

_READING = ("Examining…", "Each step of a long run is read for this, which takes some seconds.")
_EMPTY = ("Nothing to examine yet", "The doctor reads the log of a run, step by step.")
_WIDEST = 880
"""Pixels: longer lines are hard to read."""
_ICON = 16
_GRAVE = frozenset({"nan", "divergence", "exploding", "dead"})
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


class DoctorView(QWidget):
    """Examines a run in the background, and again as it grows.

    Signals:
        remedy_asked(run_id, remedy): the user wants to apply this `Remedy`.
    """

    remedy_asked = Signal(str, object)

    def __init__(self, theme: ThemeProvider, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._theme = theme
        self.cards: dict[str, _DiagnosisCard] = {}
        self.heading = label("", "heading", wrap=True)
        self.summary = label("", "muted", wrap=True)
        self.checks = CheckList(theme)
        self._examiner = RunExaminer(self)
        self._examiner.examined.connect(self._on_examined)
        self._examiner.failed.connect(self._on_failed)
        self._empty = EmptyState(*_EMPTY)
        self._build()

    def _build(self) -> None:
        inside = QWidget()
        inside.setMaximumWidth(_WIDEST)
        self._lines = column(self.heading, self.summary, spacing=SPACE + SPACE // 2, margin=(0, 0, SPACE, 0))
        inside.setLayout(self._lines)
        self._first_card = self._lines.count()
        self._others = label("Passed checks", "subheading")
        self._lines.addWidget(self._others)
        self._lines.addWidget(self.checks)
        self._lines.addStretch(1)
        self._found = scrolling(inside)
        self.setLayout(column(self._found, self._empty))
        self._found.hide()

    def show_run(self, run: ShownRun) -> None:
        """Examine another run; the previous run's cards go first, as their buttons would apply to this run."""
        if run is not self._examiner.run:
            self._show_cards(run, ())
            self.heading.setText("Examining…")
            self.summary.setText("")
            self.checks.set_checks(())
            self._others.hide()
        self._say_unless(self._examiner.show_run(run))

    def refresh(self) -> None:
        """Examine the run again, since it has grown; an examination in progress is finished first."""
        self._say_unless(self._examiner.refresh())

    def _say_unless(self, is_examined: bool) -> None:
        run = self._examiner.run
        if run is not None and is_examined and not run.history.train.is_whole and self._found.isHidden():
            self._show_empty(*_READING)
        elif run is not None and not is_examined:
            why = run.history.empty_reason
            self._show_empty(*(("Nothing to examine", why) if why else _EMPTY))

    @Slot(object)
    def _on_examined(self, examination: Examination) -> None:
        run = self._examiner.run
        assert run is not None
        self._show_cards(run, examination.diagnoses)
        n = len(examination.diagnoses)
        made = sum(check.possible for check in examination.checks)
        self.checks.set_checks(examination.checks)
        self._others.setVisible(bool(n and examination.checks))
        if n:
            self.heading.setText("1 problem" if n == 1 else f"{n} problems")
            self.summary.setText("The most severe first. Each button makes a new run; this one stays unchanged.")
        elif made:
            self.heading.setText("Too early to tell" if examination.is_early else "No problems found")
            later = len(examination.checks) - made
            passed = f"{format_count(made, 'check')} passed"
            self.summary.setText(f"{passed}; {later} could not be made: see below." if later else f"All {passed}.")
        if n or made:
            self._empty.hide()
            self._found.show()
        else:
            self._show_empty(*_EMPTY)

    def _show_cards(self, run: ShownRun, diagnoses: tuple[Diagnosis, ...]) -> None:
        """Update cards in place, so that a button is not replaced while it is being pressed."""
        found = {diagnosis.kind: diagnosis for diagnosis in diagnoses}
        for kind in set(self.cards) - set(found):
            self.cards.pop(kind).deleteLater()
        for i, (kind, diagnosis) in enumerate(found.items()):
            if kind not in self.cards:
                card = self.cards[kind] = _DiagnosisCard(kind, self._theme)
                card.remedy_asked.connect(self._on_remedy)
            self._lines.insertWidget(self._first_card + i, self.cards[kind])
            self.cards[kind].show_diagnosis(diagnosis, run)

    def _show_empty(self, heading: str, sentence: str) -> None:
        self._empty.set_words(heading, sentence)
        self._found.hide()
        self._empty.show()

    @Slot(object)
    def _on_failed(self, failure: Failure) -> None:
        self._show_empty("This run's log cannot be read", failure.sentence)

    @Slot(object)
    def _on_remedy(self, remedy: Remedy) -> None:
        if self._examiner.run is not None:
            self.remedy_asked.emit(self._examiner.run.id, remedy)


class CheckList(QWidget):
    """The checks that passed or were not possible, one line each, with their values.

    The lines of all other checks are hidden.
    """

    def __init__(self, theme: ThemeProvider, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._theme = theme
        self._lines = {kind: _CheckLine() for kind in TITLES}
        cells = [(line.icon, line.title, line.words) for line in self._lines.values()]
        for widget in itertools.chain.from_iterable(cells):
            widget.setAlignment(Qt.AlignmentFlag.AlignTop)
        self.setLayout(column(frame("card", grid(*cells, grows=2, spacing=(SPACE + SPACE // 2, SPACE)))))
        theme.theme_changed.connect(self._restyle)

    def set_checks(self, checks: Sequence[Check]) -> None:
        """Show these checks."""
        by_kind = {check.kind: check for check in checks}
        for kind, line in self._lines.items():
            line.set_check(by_kind.get(kind))
        self._restyle()
        self.setVisible(bool(by_kind))

    def words(self) -> list[str]:
        """Return the visible texts, line by line."""
        return [f"{line.title.text()}: {line.words.text()}" for line in self._lines.values() if line.check is not None]

    @Slot()
    def _restyle(self) -> None:
        for line in self._lines.values():
            possible = line.check is None or line.check.possible
            icon = self._theme.icon("check-circle" if possible else "hourglass", "accent" if possible else "muted")
            line.icon.setPixmap(icon.pixmap(_ICON, _ICON))


class _CheckLine:
    """The widgets of one check."""

    def __init__(self) -> None:
        self.check: Check | None = None
        self.icon, self.title, self.words = QLabel(), label(""), label("", "muted", wrap=True)

    def set_check(self, check: Check | None) -> None:
        self.check = check
        show_if(check is not None, self.icon, self.title, self.words)
        if check is not None:
            self.title.setText(check.title)
            self.words.setText(check.words)
            state = "Passed" if check.possible else "Not possible yet"
            self.icon.setToolTip(state)
            self.icon.setAccessibleName(state)


class _DiagnosisCard(QFrame):
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
        grave = kind in _GRAVE
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
