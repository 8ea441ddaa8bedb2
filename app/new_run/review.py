"""The review of a run before it starts: its name, size and cost, and the start button."""

from __future__ import annotations

import math

from PySide6.QtCore import QSize, Qt, Signal, Slot
from PySide6.QtGui import QFontMetrics
from PySide6.QtWidgets import (
    QBoxLayout,
    QFrame,
    QGridLayout,
    QLabel,
    QWidget,
)

from terrarium.app.kit.basics import (
    button,
    column,
    group,
    label,
    plain_tip,
    row,
    scrolling,
    set_enabled,
    set_role,
    show_if,
    show_only,
    show_words,
)
from terrarium.app.kit.inputs import caption, grid, line_edit, named, progress_bar, show_progress
from terrarium.app.kit.labels import ElidedLabel
from terrarium.app.kit.layout.relayout import SideBySide
from terrarium.app.kit.setting_names.preset_words import format_parameter_count
from terrarium.app.kit.theme import SPACE, ThemeProvider
from terrarium.app.new_run.draft import TimeEstimate
from terrarium.app.new_run.trials.trials import TrialState
from terrarium.app.plots.fit_gauge import FitGauge
from terrarium.app.session.device_memory import DeviceMemory, check_fit, format_memory_use
from terrarium.models.design.custom import if_known
from terrarium.models.design.tuning import trained_parameters
from terrarium.models.number_words import format_about, format_compact, format_duration, format_milliseconds
from terrarium.models.settings.align_spec import AlignSpec
from terrarium.models.settings.model_config import ModelConfig
from terrarium.models.settings.run_spec import TrainConfig
from terrarium.models.settings.tune_spec import TuneSpec
from terrarium.models.training.estimates.findings import RunCost
from terrarium.models.training.proposal.step_shape import StepShape

_CHARACTERS = 33
"""Width in characters that fits the longest fact, the memory, in one line."""
_WIDE = 520
"""Minimum width in pixels, at the default text size, for facts and costs side by side."""
_NONE = "–"
_MEASURE = (
    "Train this run for a few steps to measure its cost. The text and the tokenizer are prepared and kept; nothing "
    "else is."
)
_NOT_COUNTED = "Loading, saving and other programs take more."
_MEASURING = "This computer is being measured for a moment: how fast it is decides how many steps are proposed."
_FACTS = (
    ("parameters", "Parameters", "All parameters of the model, its weights"),
    ("trained", "Trained", "Parameters that training changes, or adds (LoRA)"),
    (
        "step",
        "Tokens per step",
        "About how many tokens an update of the weights reads: short rows fill less than the context",
    ),
    ("tokens", "Tokens in all", "All tokens read by the end, including repetitions"),
    ("guess", "Uniform guess", "The loss of uniform guessing: ln(tokens or labels to choose from)"),
)
_COSTS = (
    (
        "memory",
        "Training memory",
        "Peak memory of a step: weights, gradients, optimizer and activations. The program needs its own beside it.",
    ),
    ("time", "Time in all", "All steps with validation and samples; without loading and saving"),
    ("per step", "Per step", "One update of the weights"),
    ("speed", "Speed", "Tokens read per second of training"),
)


class RunReview(QFrame):
    """The card on the right of the form, or in its own view.

    Signals:
        start_asked(): start the run now. queue_asked(): add it to the queue.
        measure_asked(), cancel_asked(): measure its cost; stop measuring.
        fit_asked(): find the largest batch that fits in memory, and use it.
    """

    start_asked = Signal()
    queue_asked = Signal()
    measure_asked = Signal()
    cancel_asked = Signal()
    fit_asked = Signal()

    def __init__(self, theme: ThemeProvider, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setProperty("role", "card")
        self._theme = theme
        self.name = line_edit(
            "Name of the run",
            "Name of the run in the list; if empty, named after the design",
            "Name of the run",
            max_length=60,
        )
        self.like = ElidedLabel()
        self.like.setProperty("role", "caption")
        self.differs = label("", "caption", wrap=True)
        self.start = button(
            "Start training",
            theme,
            self.start_asked.emit,
            icon="play-fill",
            role="primary",
            tip="Start training this model",
        )
        self.queue = button(
            "Add to the queue",
            theme,
            self.queue_asked.emit,
            icon="queue",
            tip="Starts by itself after the current run, or with Start in the queue below the runs",
        )
        self.measure = button(
            "Measure",
            theme,
            self.measure_asked.emit,
            icon="timer",
            role="link",
            tip=_MEASURE,
        )
        self.cancel = button(
            "Stop", theme, self.cancel_asked.emit, icon="x", role="link", tip="Stop after the current step"
        )
        self.fit = button(
            "Make it fit", theme, self.fit_asked.emit, tip="Find the largest batch that fits by trial, and use it"
        )
        self.gauge = FitGauge(theme)
        self.origin = label("", "pill")
        self.phase = ElidedLabel()
        self.phase.setProperty("role", "caption")
        self.progress = progress_bar("Progress of the measurement")
        self.note = label("", "caption", wrap=True)
        self.problem = label("", "error", wrap=True)
        self.facts: dict[str, QLabel] = {}
        self._titles: dict[str, QLabel] = {}
        self._align: AlignSpec | None = None
        self._build()
        theme.theme_changed.connect(self._fit)
        self._fit()

    def _build(self) -> None:
        facts = column(
            column(caption("Name", self.name), self.name, self.like, self.differs, spacing=SPACE // 2),
            self._grid(_FACTS, 3 * SPACE // 2),
            None,
            spacing=3 * SPACE // 2,
        )
        head = row(label("Cost", "subheading"), self.origin, None, self.measure, self.cancel)
        head.setAlignment(self.origin, Qt.AlignmentFlag.AlignVCenter)
        costs = column(
            head,
            self.gauge,
            self._grid(_COSTS, SPACE),
            self.progress,
            self.phase,
            self.note,
            row(self.fit, None),
            None,
        )
        halves = QBoxLayout(QBoxLayout.Direction.TopToBottom)
        halves.setSpacing(2 * SPACE)
        halves.addLayout(facts, 1)
        halves.addLayout(costs, 1)
        inside = group(label("4  Review", "heading"), halves, None, margin=(0, 0, SPACE, 0))
        SideBySide(inside, halves, self._theme, _WIDE)
        area = scrolling(inside)
        area.setFocusPolicy(Qt.FocusPolicy.NoFocus)  # its buttons scroll it when they get the focus
        below = column(self.problem, self.start, self.queue, margin=(0, 0, SPACE, 0))
        self.setLayout(column(area, below, margin=(2 * SPACE, 2 * SPACE, SPACE, 2 * SPACE)))

    def sizeHint(self) -> QSize:
        return QSize(self.minimumWidth(), super().sizeHint().height())

    @Slot()
    def _fit(self) -> None:
        digits = QFontMetrics(self._theme.mono_font()).horizontalAdvance("0" * _CHARACTERS)
        self.setMinimumWidth(digits + 4 * SPACE)

    def _grid(self, facts: tuple[tuple[str, str, str], ...], gap: int) -> QGridLayout:
        for name, words, tip in facts:
            title, number = label(words, "muted"), named(label(_NONE, "mono"), words, tip)
            title.setToolTip(plain_tip(tip))
            number.setAlignment(Qt.AlignmentFlag.AlignRight)
            self.facts[name], self._titles[name] = number, title
        return grid(*((self._titles[name], self.facts[name]) for name, *_ in facts), spacing=(gap, SPACE // 2))

    def fact(self, name: str) -> str:
        """Return a displayed value."""
        return self.facts[name].text()

    def show_run(
        self,
        model: ModelConfig,
        train: TrainConfig,
        tune: TuneSpec | None,
        align: AlignSpec | None,
        problem: str,
        *,
        n_classes: int,
        can_wait: bool,
        is_wrong: bool,
        shape: StepShape | None,
    ) -> None:
        """Show the run, why it cannot start (`problem`, '' if it can), and whether it can be queued (`can_wait`).

        Args:
            n_classes: as RunSpec.n_classes.
            is_wrong: whether the problem is an error, rather than a missing choice.
            shape: the rows and tokens of an update; None for an alignment, or if a choice is missing.
        """
        self._align = align
        set_enabled(self.queue, "" if can_wait else problem)
        if self.problem.text() != problem:
            self.problem.setText(problem)
        set_role(self.problem, "error" if is_wrong else "muted")
        self.problem.setVisible(bool(problem))
        set_enabled(self.start, problem)
        read, what = 0 if shape is None else shape.n_tokens, "Tokens"
        if align is not None:
            what = "Replies" if align.task == "prompts" else "Rows" if len(align.tasks) > 1 else "Pairs"
            read = align.n_prompts * align.n_replies if what == "Replies" else train.batch_size * train.grad_accum_steps
        for name, words in (("step", "per step"), ("tokens", "in all")):
            self._titles[name].setText(f"{what} {words}")
            self.facts[name].setAccessibleName(f"{what} {words}")
        self.facts["parameters"].setText(format_parameter_count(model))
        n_trained = if_known(lambda: trained_parameters(model, tune).total)
        self.facts["trained"].setText(_NONE if n_trained is None else format_compact(n_trained, billion="B"))
        self.facts["step"].setText(f"{read:,}" if read else _NONE)
        self.facts["tokens"].setText(format_compact(read * train.steps) if read else _NONE)
        has_guess = n_classes > 1 and (align is None or align.task != "prompts")
        self.facts["guess"].setText(f"{math.log(n_classes):.3f} nats" if has_guess else _NONE)
        show_if(has_guess, self._titles["guess"], self.facts["guess"])

    def show_template_name(self, name: str, differs: str = "") -> None:
        """Show the name of the run that the settings come from, and how they differ; '' for none."""
        show_words(self.like, f"Like “{name}”{', for llama.cpp' if differs else ''}" if name else "")
        show_words(self.differs, differs)

    def show_cost(
        self,
        measured: RunCost | None,
        expected: TimeEstimate | None,
        estimated: int,
        on: DeviceMemory | None,
        trial: TrialState,
        *,
        cannot_try: str,
        is_measuring: bool,
    ) -> None:
        """Show the cost of this run, measured or estimated, and the progress of a trial.

        Args:
            estimated: the estimated memory of a step in bytes, 0 if unknown.
            cannot_try: why no trial can start, "" if one can.
            is_measuring: whether the speed is being measured, so that the time will be known soon.
        """
        self._show_trial(trial)
        for each in (self.measure, self.fit):
            set_enabled(each, cannot_try)
        if measured is not None and measured.peak_bytes is not None:
            needed = measured.peak_bytes
        elif measured is not None:
            needed = measured.estimated_bytes
        else:
            needed = estimated
        fit = check_fit(needed, on)
        have = (on.n_bytes if on is not None else None) or 0
        level = "no" if measured is not None and not measured.fits else fit.level
        self.gauge.set_shares(needed / have if have else 0.0, level)
        self.facts["memory"].setText(format_memory_use(needed, on) if needed else _NONE)
        set_role(self.origin, "pill", tone="ok" if measured is not None and measured.fits else "")
        self.origin.setText("measured" if measured is not None and measured.ms_per_step is not None else "estimated")
        known = measured is not None and measured.ms_per_step is not None
        for name in ("time", "per step", "speed"):
            self.facts[name].setText(_NONE)
        if not known:
            waits = "measuring…" if is_measuring else "unknown"
            self.facts["time"].setText(waits if expected is None else format_about(expected.seconds))
        if measured is not None and measured.ms_per_step is not None and measured.tokens_per_s is not None:
            self.facts["time"].setText(format_duration(measured.seconds))
            self.facts["per step"].setText(format_milliseconds(measured.ms_per_step))
            self.facts["speed"].setText(f"{format_compact(measured.tokens_per_s)}/s")
        too_much = level == "no"
        self.fit.setVisible(too_much and not trial.running)
        words = ""
        if trial.problem and not trial.running and trial.kind in ("forecast", "batch"):
            words = trial.problem
        elif too_much:
            tried = (
                "Memory ran out when this was tried." if measured is not None and measured.is_tried else fit.sentence
            )
            words = f"{tried} Use a smaller batch with accumulation."
        elif not known and not trial.running:
            words = _MEASURING if is_measuring and expected is None else self._about_time(expected)
        elif known and fit.level == "tight":
            words = fit.sentence
        show_words(self.note, words)

    def _about_time(self, expected: TimeEstimate | None) -> str:
        """Return a note on the time estimate, and how to get a better one."""
        guess = "" if expected is None else f"The time is a guess from {expected.source}. {_NOT_COUNTED}"
        if self._align is None:
            return f"{guess or 'The time is unknown until measured.'} Measure to know it, and the exact memory."
        if guess:
            return guess
        if self._align.task == "prompts":
            return "Measure the base rate, under Data: that also tells roughly how long the run takes."
        return "The time is not known before it starts."

    def _show_trial(self, trial: TrialState) -> None:
        running = trial.running and trial.kind in ("forecast", "batch")
        show_only(
            {
                self.measure: not running and self._align is None,
                self.cancel: running,
                self.progress: running,
                self.phase: running,
            }
        )
        if running:
            show_progress(self.progress, trial.done, trial.total)
            self.phase.setText(trial.phase)
