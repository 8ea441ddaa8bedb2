"""The progress of a quick start: stages, accuracy so far, the loss, and the final evaluation."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial

from PySide6.QtCore import QPointF, QRectF, QSize, Qt, QTimer, Slot
from PySide6.QtGui import QFontMetrics, QPainter, QPaintEvent, QResizeEvent
from PySide6.QtWidgets import QPushButton, QSizePolicy, QWidget

from terrarium.app.home import result
from terrarium.app.home.accuracy_chart import AccuracyChart
from terrarium.app.home.answer_feed import AnswerFeed
from terrarium.app.home.preparing import Preparing
from terrarium.app.home.result import ResultPage
from terrarium.app.kit.basics import button, column, frame, label, row, set_enabled, set_role, stacked, titled_card
from terrarium.app.kit.inputs import progress_bar, show_progress
from terrarium.app.kit.labels import ElidedLabel
from terrarium.app.kit.layout.segments import Segments
from terrarium.app.kit.theme import HEADLINE_SIZE, SPACE, ThemeProvider
from terrarium.app.run_views.curves.loss_chart import BITS_PER_BYTE, LossChart
from terrarium.app.run_views.curves.sample_feed import SampleFeed
from terrarium.app.session.chat_model import LIVE
from terrarium.app.session.routes import (
    ChooseTexts,
    DoToRun,
    OpenModel,
    Route,
    ShowPlace,
    ShowRun,
    ShowTokenizer,
    TunePublished,
)
from terrarium.app.session.run_history import RunHistory
from terrarium.app.session.session import Session
from terrarium.app.session.training_state import TrainingState
from terrarium.models.evaluation.text_verdict import title_of
from terrarium.models.events import KindAccuracy
from terrarium.models.number_words import format_duration, format_percent
from terrarium.models.tiny_world.questions import HEADLINE_KINDS, kind_title

STAGES = ("Data", "Tokenizer", "Training", "Evaluation", "Chat")
DATA, TOKENIZER, TRAINING, EVALUATION, CHAT = range(5)
_REDRAW_MS = 500
"""Redrawing takes CPU time from training: ten redraws a second cost a quarter of its speed (measured)."""
_CURVE_LINES = 11
"""The minimum height of the loss curve in lines of text; with less space the loss is only given in words."""
_LEARNING, _LEARNED = "Chat with it as it learns", "Chat with your model"
_LOG_AXIS = "quick start log axis"
_RESULT, _HISTORY = "result", "history"
_DOT = 22


def stage_of(state: TrainingState) -> int:
    """Return the index of the current stage in STAGES; the last one once the model is ready for chat."""
    return CHAT if state.is_over and state.status != "failed" else _reached(state)


def _reached(state: TrainingState) -> int:
    """Return the index of the stage that was reached, also after a stop or a failure."""
    if state.evaluated is not None or state.is_compared or (state.is_over and state.status == "finished"):
        return CHAT
    if state.outcome and not _was_cut_short(state):
        return EVALUATION
    if state.total_steps or state.run_id:  # a resumed run already has its data and tokenizer
        return TRAINING
    if not any("tokenizer" in phase.lower() for phase in state.phases):
        return DATA
    return TOKENIZER if "tokenizer" in state.phase.lower() else TRAINING


def _was_cut_short(state: TrainingState) -> bool:
    return state.is_over and state.status in ("stopped", "paused") and not state.has_result


def _title(state: TrainingState, stage: int) -> str:
    if state.status == "failed":
        return "That didn't work"
    if stage != CHAT:
        return "Growing a small model"
    if state.compared is not None and state.is_compared:
        return f"Your model {title_of(state.compared)}"
    return "Stopped before it was fully grown" if state.status in ("stopped", "paused") else "Your model has grown"


class QuickStartView(QWidget):
    """Follows the training while it is a quick start, and still shows its result when another training starts.

    state: the state of the last quick start, or None.
    """

    def __init__(self, session: Session, theme: ThemeProvider, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._session, self._theme = session, theme
        self.setProperty("role", "page")
        self.stepper = _Stepper(theme, STAGES)
        self._title = ElidedLabel("Growing a small model")
        set_role(self._title, "title")
        self.phase = ElidedLabel()
        self._progress = progress_bar("Progress")
        self._left = label("", "mono")
        self.preparing = Preparing(theme)
        self.loss = LossChart(theme, controls=False)
        self.bits = LossChart(theme, controls=False, quantity=BITS_PER_BYTE)
        self.log_axis = QPushButton("Log axis")
        self.log_axis.setCheckable(True)
        self.log_axis.setProperty("role", "segment")
        self.log_axis.setToolTip("Spread out the first steps, in which the most changes")
        self.loss.head.addWidget(self.log_axis)
        self.samples = SampleFeed(theme)
        self.accuracy = AccuracyChart(theme)
        self.answers = AnswerFeed(theme)
        self.headline = label("–", "headline")
        self.measured_on = label("", "muted", wrap=True)
        self.result = ResultPage(theme)
        self.shows = Segments(
            "What is shown", {_RESULT: "Result", _HISTORY: "How it learned"}, "The result, or how it was learned"
        )
        self.stop = button(
            "Stop", theme, self._on_stop, icon="stop-fill", tip="Stop the quick start; the model so far is kept"
        )
        self.again = button("Try again", theme, self._on_again, icon="arrow-counter-clockwise")
        self.another = button(
            "Another file…",
            theme,
            partial(session.go, ChooseTexts()),
            icon="folder-open",
            role="primary",
            tip="Choose another text, for which Home then offers a quick start",
        )
        self.back = button(
            "Back",
            theme,
            partial(session.go, ShowPlace("home")),
            role="quiet",
            tip="Training continues in the background",
        )
        self.chat = button(_LEARNING, theme, partial(self._on_chosen, result.CHAT), icon="chat-circle", role="primary")
        self._build()
        theme.theme_changed.connect(self._restyle)
        self._restyle()
        self.state: TrainingState | None = None
        self._history = session.training.history
        self._dirty = False
        self._redraw = QTimer(self)
        self._redraw.setInterval(_REDRAW_MS)
        self._redraw.timeout.connect(self._on_redraw)
        self._redraw.start()
        session.training.changed.connect(self._on_training)
        session.training.events_received.connect(self._on_events)
        self._shown: tuple[RunHistory, str] | None = None
        self._chart = self.loss
        self._accuracy_shown: tuple[object, int] | None = None
        self.accuracy.choose(self.answers.kind)
        self.accuracy.kind_chosen.connect(self.answers.choose)
        self.answers.kind_chosen.connect(self.accuracy.choose)
        self.shows.changed.connect(self._on_training)
        self.result.chosen.connect(self._on_chosen)
        self.log_axis.toggled.connect(self._on_log_axis)
        self.log_axis.setChecked(session.remembered.get(_LOG_AXIS, True))
        self._on_training()

    def _build(self) -> None:
        title, numbers = (
            "Right answers to questions it has never seen",
            row(self.headline, self.measured_on, spacing=2 * SPACE),
        )
        self._result = titled_card(title, numbers, self.accuracy, margin=2 * SPACE, spacing=SPACE)
        self._side, self._curves = stacked(self.answers, self.samples), stacked(self.loss, self.bits)
        self._curve, self._side_card = frame("card", self._curves), frame("card", self._side)
        # Without the curve, the result takes its space.
        left = column(self._result, self._curve, spacing=2 * SPACE, grows={self._result: 1, self._curve: 1000})
        charts = row(left, self._side_card, spacing=2 * SPACE, grows={left: 3, self._side_card: 2})
        self._head = frame(
            "card",
            row(self._title, self.shows, self.back, self.stop, self.again, self.another, self.chat),
            self.stepper,
            row(self.phase, self._left, spacing=2 * SPACE),
            self._progress,
            spacing=SPACE + SPACE // 2,
        )
        contents, grows = (self._head, self.preparing, self.result, charts), (self.preparing, self.result, charts)
        margin = (4 * SPACE, 2 * SPACE, 4 * SPACE, 2 * SPACE)
        self.setLayout(column(*contents, spacing=2 * SPACE, grows=grows, margin=margin))

    @Slot()
    def _restyle(self) -> None:
        """Reserve the maximum space of the headline and the text beside it, so that nothing moves as numbers arrive."""
        metrics = QFontMetrics(self._theme.font(HEADLINE_SIZE, bold=True))
        self.headline.setFixedWidth(metrics.horizontalAdvance(format_percent(1.0, 1)) + SPACE)
        self.measured_on.setMinimumHeight(2 * QFontMetrics(self._theme.font()).lineSpacing())

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self._make_room()

    def _make_room(self) -> None:
        """Show the loss curve if there is space for it below the accuracies."""
        taken = self._head.sizeHint().height() + self._result.sizeHint().height() + 8 * SPACE
        room = self.height() - taken
        has_room = self._result.isHidden() or room >= _CURVE_LINES * self.fontMetrics().height()
        self._curve.setVisible(has_room and not self._side_card.isHidden())

    @property
    def _is_current(self) -> bool:
        """Whether the current training is this quick start."""
        return self._session.training.active and self._session.training.state is self.state

    @Slot()
    def _on_training(self) -> None:
        training = self._session.training
        state = training.state
        if state is None or not state.quickstart:
            return
        self.state, self._history = state, training.history
        stage, failed = stage_of(state), state.status == "failed"
        shown = (self._history, state.run_id)
        if shown != self._shown:
            self._shown, self._accuracy_shown = shown, None
            spec = self._session.runs.spec(state.run_id) if state.run_id else None
            vocab_size = spec.model.vocab_size if spec is not None else 0
            self._chart = self.bits if state.files else self.loss
            # For a text, its tables are more informative baselines than the loss of a uniform guess.
            self._chart.show_history(self._history, 0 if state.files else vocab_size)
            self._curves.setCurrentWidget(self._chart)
            self._chart.head.addWidget(self.log_axis)
            self.samples.show_history(self._history, spec)
        reached = _reached(state)
        self.stepper.show_stage(reached, failed=failed)
        trains = reached == TRAINING and state.total_steps > 0
        done, total = (state.step, state.total_steps) if trains else (state.done, state.total)
        show_progress(self._progress, *((1, 1) if reached == CHAT else (done, total or 1)))
        self.phase.setText(self._describe(state, stage))
        left = state.seconds_left if stage != CHAT else None
        self._left.setText("" if left is None else f"{format_duration(left)} left")
        self._title.setText(_title(state, stage))
        self.stop.setVisible(self._is_current)
        set_enabled(self.stop, "It stops after the current step." if state.status == "stopping" else "")
        self.again.setVisible(state.is_over and (failed or not state.run_id))
        self.another.setVisible(failed and bool(state.files))
        is_open = bool(state.run_id and (state.total_steps or state.is_over)) and stage >= TRAINING and not failed
        self.chat.setVisible(not (state.is_over and not is_open))
        self.chat.setText(_LEARNED if stage == CHAT else _LEARNING)
        set_enabled(self.chat, "" if is_open else "As soon as it has its first weights", "Talk to your model")
        self.preparing.show_state(state)
        self._show_part(state)
        self._make_room()
        self._show_accuracy(state)
        self._side.setCurrentWidget(self.samples if state.files else self.answers)

    def _show_part(self, state: TrainingState) -> None:
        """Show the current part: data preparation, training, or the result."""
        history = self._history
        has_result = state.has_result
        if state.evaluated is not None:
            self.result.show_evaluated(state.evaluated)
        elif has_result and state.compared is not None:
            self.result.show_text(state.compared, history)
        self.bits.show_tables(state.compared)
        has_begun = bool(state.run_id) or state.is_over
        shows_result = has_result and self.shows.value == _RESULT
        self.shows.setVisible(has_result)
        for each in (self.stepper, self._progress):
            each.setVisible(not has_result)
        if state.status == "failed":
            self._progress.hide()  # it has ended
        if shows_result:
            self.chat.hide()  # the result has a card for it
        self.preparing.setVisible(not has_begun)
        self.result.setVisible(shows_result)
        self._side_card.setVisible(has_begun and not shows_result)
        self._result.setVisible(has_begun and not shows_result and not state.files)

    def _show_accuracy(self, state: TrainingState) -> None:
        """Show the accuracies: the latest measurement during training, then the final evaluation."""
        known = self._history.accuracy
        self.answers.show_measured(known)
        latest = state.evaluated or (known[-1] if known else None)
        shown = (latest, len(known))
        if shown == self._accuracy_shown:
            return
        self._accuracy_shown = shown
        if latest is None:
            self.headline.setText("–")
            self.measured_on.setText("Measured as it learns, from the first step on.")
            self.accuracy.show_kinds(())
            return
        self.headline.setText(format_percent(latest.accuracy, 1))
        self.measured_on.setText(_measured_on(latest.kinds, None if latest is state.evaluated else known[-1].step))
        self.accuracy.show_kinds(latest.kinds, known, state.total_steps, is_log=self.log_axis.isChecked())

    def _describe(self, state: TrainingState, stage: int) -> str:
        if state.status == "failed":
            return state.problem
        if _was_cut_short(state) and state.step:
            kept = "What it has learned by then is kept, and it can be resumed in the training tab."
            return f"Stopped at step {state.step:,} of {state.total_steps:,}. {kept}"
        if state.status in ("paused", "blocked", "stopping", "stopped") and not state.has_result:
            return f"{state.status.capitalize()}. {state.problem}"
        if stage == TRAINING and state.total_steps:
            is_drawn = self._curve.isVisibleTo(self)  # then the chart shows it
            loss = f"  ·  loss {self.loss.latest:.3f}" if len(self._history.train) and not is_drawn else ""
            if state.files and not is_drawn:
                bits = self._history.val["bits_per_byte"]
                loss = f"  ·  {bits[-1]:.2f} bits per byte" if len(bits) else ""
            return f"Training: step {state.step:,} of {state.total_steps:,}{loss}"
        if stage == CHAT:
            what = "continues whatever you write" if state.files else "is ready to chat"
            if state.is_compared and state.outcome == "stopped":
                what = f"{what}. Its held-out loss no longer fell, so it stopped before step {state.total_steps:,}"
            return f"{state.name} is in your library, and {what}."
        return state.phase or "Preparing…"

    @Slot(bool)
    def _on_log_axis(self, on: bool) -> None:
        self._session.remembered.set(_LOG_AXIS, on)
        for chart in (self.loss, self.bits):
            chart.set_log_steps(on)
        self._accuracy_shown = None
        if self.state is not None:
            self._show_accuracy(self.state)

    @Slot(object)
    def _on_events(self, events: object) -> None:
        self._dirty = True

    @Slot()
    def _on_redraw(self) -> None:
        if self._dirty and self.isVisible() and self._is_current:
            self._dirty = False
            self._chart.refresh()
            self.samples.refresh()

    def _on_stop(self) -> None:
        self._session.training.stop()

    def _on_again(self) -> None:
        self._session.training.start_quickstart(files=self.state.files if self.state is not None else ())

    @Slot(str)
    def _on_chosen(self, action: str) -> None:
        """Go where an action that follows leads."""
        state, session = self.state, self._session
        if state is None:
            return
        learns = self._is_current and stage_of(state) == TRAINING
        routes: Mapping[str, Callable[[], Route]] = {
            result.CHAT: lambda: OpenModel(LIVE if learns else state.run_id),
            result.MACHINE: lambda: ShowRun(state.run_id, "machine"),
            result.INSIDE: lambda: OpenModel(state.run_id, "next"),
            result.LONGER: lambda: DoToRun(state.run_id, "longer"),
            result.TUNE: lambda: TunePublished(state.files),
            result.TOKENIZER: lambda: ShowTokenizer(session.runs.tokenizer_name(state.run_id)),
        }
        session.go(routes[action]())


def _measured_on(kinds: Sequence[KindAccuracy], step: int | None) -> str:
    """Describe the headline figure and the number of questions behind it; step: None after training."""
    n = min(kind.n for kind in kinds)
    when = f"at step {step:,}; the same ones each time" if step is not None else "after training"
    *titles, last = (kind_title(kind).lower() for kind in HEADLINE_KINDS)
    return f"The mean of {', '.join(titles)} and “{last}”: {n} questions of each, {when}."


class _Stepper(QWidget):
    """Named stages side by side: done, current, to come; `show_stage` sets the current one."""

    def __init__(self, theme: ThemeProvider, stages: Sequence[str], parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._theme = theme
        self._stages = tuple(stages)
        self._current = -1
        self._failed = False
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        theme.theme_changed.connect(self.update)
        self.show_stage(0)

    @property
    def current(self) -> int:
        """The index of the current stage; the number of stages when all are done."""
        return self._current

    def show_stage(self, current: int, *, failed: bool = False) -> None:
        """Mark the stages before `current` as done."""
        if (current, failed) == (self._current, self._failed):
            return
        self._current, self._failed = current, failed
        words = self._stages[current] if current < len(self._stages) else "done"
        self.setAccessibleName(f"Stage {min(current + 1, len(self._stages))} of {len(self._stages)}: {words}")
        self.update()

    def sizeHint(self) -> QSize:
        return QSize(110 * len(self._stages), _DOT + SPACE + self.fontMetrics().height() + 4)

    def paintEvent(self, event: QPaintEvent) -> None:
        colors = self._theme.theme
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        cell = self.width() / len(self._stages)
        middle = _DOT / 2 + 1
        for i in range(len(self._stages) - 1):
            x = cell * (i + 0.5)
            painter.setPen(self._theme.pen("accent" if i < self._current else "border_strong", width=2))
            painter.drawLine(QPointF(x + _DOT / 2 + 6, middle), QPointF(x + cell - _DOT / 2 - 6, middle))
        for i, words in enumerate(self._stages):
            centre = QPointF(cell * (i + 0.5), middle)
            done, now = i < self._current, i == self._current
            tone = "danger" if now and self._failed else "accent"
            painter.setPen(self._theme.pen(tone if done or now else "border_strong", width=2))
            painter.setBrush(colors.color(tone) if done else colors.color("surface"))
            painter.drawEllipse(centre, _DOT / 2 - 1, _DOT / 2 - 1)
            if done:
                painter.setPen(self._theme.pen("on_accent", width=2))
                for a, b in (((-4.5, 0.5), (-1.5, 3.5)), ((-1.5, 3.5), (4.5, -3.5))):
                    painter.drawLine(centre + QPointF(*a), centre + QPointF(*b))
            elif now:
                painter.setPen(Qt.PenStyle.NoPen)
                painter.setBrush(colors.color(tone))
                painter.drawEllipse(centre, 5, 5)
            painter.setFont(self._theme.font(bold=now))
            painter.setPen(colors.color("text" if done or now else "muted"))
            below = QRectF(cell * i, _DOT + SPACE / 2, cell, self.height() - _DOT - SPACE / 2)
            painter.drawText(below, Qt.AlignmentFlag.AlignHCenter | Qt.AlignmentFlag.AlignTop, words)
