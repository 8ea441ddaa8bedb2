"""The quick start in progress: stages, loss curve, samples, and the final evaluation."""

from __future__ import annotations

import math

from PySide6.QtCore import Qt, QTimer, Signal, Slot
from PySide6.QtWidgets import QFrame, QHBoxLayout, QProgressBar, QScrollArea, QStackedWidget, QVBoxLayout, QWidget

from app.kit.basics import button, frame, label, row, set_role
from app.kit.labels import ElidedLabel
from app.kit.stat_strip import StatStrip
from app.kit.theme import SPACE, ThemeProvider
from app.quickstart.accuracy_chart import AccuracyChart
from app.quickstart.stepper import Stepper
from app.session.run_history import RunHistory
from app.session.session import Session
from app.session.training_state import TrainingState
from app.training.curves.loss_chart import LossChart
from app.training.curves.sample_feed import SampleFeed
from models.number_words import format_duration, format_percent

STAGES = ("Data", "Tokenizer", "Training", "Evaluation", "Chat")
DATA, TOKENIZER, TRAINING, EVALUATION, CHAT = range(5)
_REDRAW_MS = 500
"""Redrawing takes CPU time from training: ten redraws a second cost a quarter of its speed (measured)."""

LOSS, PERPLEXITY, BITS = "validation loss", "perplexity", "bits per byte"


def stage_of(state: TrainingState) -> int:
    """The current stage of STAGES; the last one when the model is ready for chat."""
    if state.evaluated is not None or (state.over and state.status != "failed"):
        return CHAT
    if state.outcome:
        return EVALUATION
    if state.total_steps:
        return TRAINING
    if not any("tokenizer" in phase.lower() for phase in state.phases):
        return DATA
    return TOKENIZER if "tokenizer" in state.phase.lower() else TRAINING


class QuickStartView(QWidget):
    """Follows `session.training.state` while it is a quick start.

    Signals:
        chat_requested(run_id): open the chat with this run, or "live".
        closed(): back to the home screen or the tabs.
    """

    chat_requested = Signal(str)
    closed = Signal()

    def __init__(self, session: Session, theme: ThemeProvider, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._session = session
        self.setProperty("role", "page")
        self.stepper = Stepper(theme, STAGES)
        self._title = ElidedLabel("Growing a small model")
        set_role(self._title, "title")
        self._phase = ElidedLabel()
        self._progress = QProgressBar()
        self._progress.setRange(0, 1000)
        self._progress.setTextVisible(False)
        self._progress.setAccessibleName("Progress")
        self._left = label("", "mono")
        self.loss = LossChart(theme, controls=False)
        self.samples = SampleFeed(theme)
        self.accuracy = AccuracyChart(theme)
        self._headline = label("", "title")
        self.text_result = TextResult(theme)
        self.stop = button(
            "Stop", theme, self._on_stop, icon="stop-fill", tip="Stop the quick start; the model so far is kept"
        )
        self.again = button("Try again", theme, self._on_again, icon="arrow-counter-clockwise")
        self.back = button("Back", theme, self.closed.emit, role="quiet", tip="Training continues in the background")
        self.chat = button(
            "Chat with your model",
            theme,
            self._on_chat,
            icon="chat-circle",
            role="primary",
            tip="Talk to your model",
        )
        self._build()
        self._dirty = False
        self._redraw = QTimer(self)
        self._redraw.setInterval(_REDRAW_MS)
        self._redraw.timeout.connect(self._on_redraw)
        self._redraw.start()
        session.training.changed.connect(self._on_training)
        session.training.events_received.connect(self._on_events)
        self._shown: tuple[RunHistory, str] | None = None
        self._on_training()

    def _build(self) -> None:
        result = QWidget()
        lines = QVBoxLayout(result)
        lines.setContentsMargins(0, 0, 0, 0)
        lines.addWidget(label("Right answers to questions it has never seen", "muted"))
        lines.addWidget(self._headline)
        lines.addSpacing(SPACE)
        lines.addWidget(self.accuracy)
        lines.addStretch(1)
        self._side = QStackedWidget()
        self._side.addWidget(self.samples)
        self._side.addWidget(result)
        self._side.addWidget(self.text_result)
        charts = QHBoxLayout()
        charts.setSpacing(2 * SPACE)
        for widget, stretch in ((self.loss, 3), (self._side, 2)):
            card = frame("card")
            layout = card.layout()
            assert layout is not None
            layout.addWidget(widget)
            charts.addWidget(card, stretch)
        head = frame("card", margin=3 * SPACE)
        head_lines = head.layout()
        assert isinstance(head_lines, QVBoxLayout)
        head_lines.setSpacing(2 * SPACE)
        head_lines.addLayout(row(self._title, self.back, self.stop, self.again, self.chat))
        head_lines.addWidget(self.stepper)
        head_lines.addLayout(row(self._phase, self._left, spacing=2 * SPACE))
        head_lines.addWidget(self._progress)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(4 * SPACE, 3 * SPACE, 4 * SPACE, 3 * SPACE)
        layout.setSpacing(2 * SPACE)
        layout.addWidget(head)
        layout.addLayout(charts, 1)

    @Slot()
    def _on_training(self) -> None:
        state = self._session.training.state
        if state is None or not state.quickstart:
            return
        stage, failed = stage_of(state), state.status == "failed"
        shown = (self._session.training.history, state.run_id)
        if shown != self._shown:
            self._shown = shown
            spec = self._session.runs.spec(state.run_id) if state.run_id else None
            self.loss.show_history(self._session.training.history, spec.model.vocab_size if spec is not None else 0)
            self.samples.show_history(self._session.training.history, spec)
        self.stepper.show_stage(stage, failed=failed)
        done, total = (state.step, state.total_steps) if stage == TRAINING else (state.done, state.total)
        self._progress.setValue(1000 if stage == CHAT else round(1000 * done / total) if total else 0)
        self._phase.setText(self._describe(state, stage))
        left = state.seconds_left if stage != CHAT else None
        self._left.setText("" if left is None else f"{format_duration(left)} left")
        self._title.setText(
            "That didn't work" if failed else "Your model has grown" if stage == CHAT else "Growing a small model"
        )
        self.stop.setVisible(self._session.training.active)
        self.stop.setEnabled(state.status != "stopping")
        self.again.setVisible(state.over and (failed or not state.run_id))
        self.chat.setVisible(bool(state.run_id) and stage >= TRAINING and not failed)
        self.chat.setText("Chat with your model" if stage == CHAT else "Chat with it as it learns")
        if state.evaluated is not None:
            self._headline.setText(format_percent(state.evaluated.accuracy, 1))
            self.accuracy.show_result(state.evaluated)
        measured = state.files and state.over and len(self._session.training.history.val) > 0
        if measured:
            self.text_result.show_result(self._session.training.history)
        self._side.setCurrentIndex(2 if measured else 1 if state.evaluated is not None else 0)

    def _describe(self, state: TrainingState, stage: int) -> str:
        if state.status == "failed":
            return state.problem
        if state.status in ("paused", "blocked", "stopping", "stopped"):
            return f"{state.status.capitalize()}. {state.problem}"
        if stage == TRAINING:
            return f"Training: step {state.step:,} of {state.total_steps:,}"
        if stage == CHAT:
            what = "continues whatever you write" if state.files else "is ready to chat"
            return f"{state.name} is in your library, and {what}."
        return state.phase

    @Slot(object)
    def _on_events(self, events: object) -> None:
        self._dirty = True

    @Slot()
    def _on_redraw(self) -> None:
        state = self._session.training.state
        if self._dirty and self.isVisible() and state is not None and state.quickstart:
            self._dirty = False
            self.loss.refresh()
            self.samples.refresh()

    def _on_stop(self) -> None:
        self._session.training.stop()

    def _on_again(self) -> None:
        state = self._session.training.state
        self._session.training.start_quickstart(files=state.files if state is not None else ())

    def _on_chat(self) -> None:
        state = self._session.training.state
        if state is not None:
            training = self._session.training.active and stage_of(state) == TRAINING
            self.chat_requested.emit("live" if training else state.run_id)


class TextResult(QWidget):
    """A run's last validation and sample: how well the model predicts unseen text, and what it writes."""

    def __init__(self, theme: ThemeProvider, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.stats = StatStrip(
            {
                LOSS: "Mean cross-entropy on held-out text, in nats per token",
                PERPLEXITY: "exp(loss): the number of equally likely tokens that it is as uncertain between",
                BITS: "The loss per byte of text, comparable between tokenizers",
            },
            theme,
        )
        self.sample = label("", wrap=True, selectable=True)
        self.sample.setAlignment(Qt.AlignmentFlag.AlignTop | Qt.AlignmentFlag.AlignLeft)
        self.sample.setAccessibleName("Sample")
        area = QScrollArea()
        area.setWidgetResizable(True)
        area.setFrameShape(QFrame.Shape.NoFrame)
        area.setFocusPolicy(Qt.FocusPolicy.TabFocus)  # not by clicks between its widgets
        self.sample.setProperty("role", "scrolled")
        area.setWidget(self.sample)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(SPACE)
        layout.addWidget(label("On a part of your text it has never seen", "muted"))
        layout.addWidget(self.stats)
        layout.addSpacing(SPACE)
        layout.addWidget(label("What it writes", "muted"))
        layout.addWidget(area, 1)

    def show_result(self, history: RunHistory) -> None:
        """Show a run's last validation and sample, or a dash if there is none."""
        loss, bits = (
            float(history.val[name][-1]) if len(history.val) else math.nan for name in ("loss", "bits_per_byte")
        )
        self.stats.set_number(LOSS, _number(loss, 3))
        self.stats.set_number(PERPLEXITY, _number(math.exp(min(loss, 700.0)), 2))
        self.stats.set_number(BITS, _number(bits, 3))
        sample = history.samples[-1] if history.samples else None
        self.sample.setText(sample.prompt + sample.text if sample is not None else "–")


def _number(value: float, decimals: int) -> str:
    return f"{value:,.{decimals}f}" if math.isfinite(value) else "–"
