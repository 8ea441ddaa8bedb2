"""The header of a run: its name, status, progress and controls."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QFrame, QPushButton, QWidget

from terrarium.app.kit.basics import button, column, label, row, set_enabled, set_role, show_words
from terrarium.app.kit.inputs import progress_bar
from terrarium.app.kit.labels import ElidedLabel
from terrarium.app.kit.layout.flow_layout import flowing
from terrarium.app.kit.theme import SPACE, ThemeProvider
from terrarium.app.runs.run_actions import RunMenu, resume_words
from terrarium.app.runs.run_delegate import TONES
from terrarium.app.session.chat_model import PRONOUN_WORDS, use_words
from terrarium.app.session.routes import DoToRun
from terrarium.app.session.session import Session
from terrarium.app.session.training_state import TrainingState
from terrarium.models.library.library import RunInfo
from terrarium.models.library.run_record import last_saved_step
from terrarium.models.metrics.metrics_table import METRICS, format_score
from terrarium.models.number_words import format_done, format_duration
from terrarium.models.settings.run_spec import RunSpec
from terrarium.models.settings.tasks import TASKS

_NO_SCORE = "Its score appears here when it has ended."
"""A placeholder for the score, so that the buttons do not move when it is shown."""
_PILL_TONES = {"accent": "ok", "warning": "warning", "danger": "danger"}


class RunHead(QFrame):
    """The header of a run, with its state and the actions that the state allows.

    Signals:
        settings_asked(): show the settings of the run. scores_asked(): show its scores.
    """

    settings_asked = Signal()
    scores_asked = Signal()

    def __init__(self, session: Session, theme: ThemeProvider, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setProperty("role", "card")
        self._session, self._theme = session, theme
        training = session.training
        self.name = ElidedLabel()
        self.name.setProperty("role", "heading")
        self.status = label("", "pill")
        self.summary = ElidedLabel()
        self.summary.setProperty("role", "muted")
        self.pause = button(
            "Pause", theme, training.pause, icon="pause-fill", tip="Pause after this step; resume at any time"
        )
        self.resume = button("Resume", theme, training.resume, icon="play-fill", role="primary", tip="Resume training")
        self.step = button("Step", theme, training.step, icon="skip-forward", tip="Train one step, then pause again")
        self.stop = button(
            "Stop and keep",
            theme,
            training.stop,
            icon="stop-fill",
            tip="Stop here and save a checkpoint",
        )
        self.resume_saved = button(
            "Resume training",
            theme,
            self._ask("resume"),
            icon="play-fill",
            role="primary",
            tip="Continue from its last checkpoint",
        )
        self.chat = button(
            "Chat with it", theme, self._ask("chat"), icon="chat-circle", tip="Use this model in the chat tab"
        )
        self.tune = button(
            "Fine-tune…",
            theme,
            self._ask("tune"),
            icon="graduation-cap",
            tip="A new run that starts from its weights and learns other data",
        )
        self.longer = button(
            "Train longer…",
            theme,
            self._ask("longer"),
            icon="fast-forward",
            tip="Continue from where it ended, with the same data",
        )
        self.fork = button(
            "Fork…",
            theme,
            self._ask("fork"),
            icon="git-fork",
            tip="A new run from one of the checkpoints, with the same or other settings",
        )
        self.more = button("", theme, icon="dots-three", role="quiet-icon", tip="More actions")
        self.menu = RunMenu(session, theme, self)
        self.more.setMenu(self.menu)
        self.settings = button(
            "Settings",
            theme,
            self.settings_asked.emit,
            icon="sliders-horizontal",
            role="quiet",
            tip="The settings of this run",
        )
        self.progress = progress_bar("Progress of the run")
        self.count = label("", "mono-small")
        self.note = label("", "caption", wrap=True)
        self.scores = button(
            "Scores", theme, self.scores_asked.emit, icon="gauge", role="quiet", tip="What it is worth on new rows"
        )
        self.problem = label("", "error", wrap=True)
        self._build()

    def _ask(self, name: str) -> Callable[[], None]:
        return lambda: self._session.go(DoToRun(self.menu.run_id, name))

    def _build(self) -> None:
        title = row(self.name, self.status, SPACE, self.summary, self.count, grows=self.summary)
        steering = (self.resume, self.resume_saved, self.pause, self.step, self.stop)
        buttons = (*steering, self.chat, self.tune, self.longer, self.fork)
        noted = row(self.note, self.scores, grows=self.note)
        bar = flowing(*buttons)
        below = row(bar, self.settings, self.more, grows=bar)
        for each in (self.settings, self.more):
            below.setAlignment(each, Qt.AlignmentFlag.AlignTop)
        self.setLayout(
            column(
                title,
                self.progress,
                noted,
                self.problem,
                below,
                margin=(2 * SPACE, SPACE + SPACE // 2, 2 * SPACE, SPACE + SPACE // 2),
            )
        )

    def show_live(self, state: TrainingState, chat_state: str) -> None:
        """Show the run that is training."""
        staging = state.status in ("preparing", "evaluating")
        waiting = state.status == "running" and chat_state == "replying"
        words = "waiting for chat" if waiting else (state.phase.lower() if staging else "") or state.status
        self._show_pill(words, TONES.get(state.status, "muted"))
        self.name.setText(state.name)
        done, total = (state.done, state.total) if staging else (state.step, state.total_steps)
        left = state.seconds_left if state.status in ("running", "preparing", "evaluating") else None
        self._show_progress(done, total, left, None if staging else state.elapsed_s, steps=not staging)
        can_pause = state.status in ("running", "preparing", "evaluating", "blocked")
        can_pause = can_pause and not (state.wants_pause or state.wants_stop)
        waits_paused = state.status == "blocked" and state.wants_pause
        spec = self._session.runs.spec(state.run_id) if state.run_id else None
        self._show_note(_NO_SCORE if _is_scored(spec) else "", is_scored=_is_scored(spec))
        set_enabled(self.scores, _NO_SCORE)
        self._show_problem(f"{state.problem} It pauses as soon as there is room." if waits_paused else state.problem)
        resting = state.status in ("paused", "blocked", "pausing")
        stops = "It stops after the current step." if state.status == "stopping" or state.is_over else ""
        set_enabled(self.pause, "" if can_pause else stops or "It pauses after the current step.")
        can_resume = state.status in ("paused", "blocked")
        set_enabled(self.resume, "" if can_resume else "It pauses after the current step, and can then be resumed.")
        set_enabled(self.step, "" if state.status == "paused" else "Pause it first: then it continues step by step.")
        keeps = bool(state.total_steps)  # before the first step there is nothing to save
        self.stop.setText("Stop and keep" if keeps else "Stop")
        set_enabled(self.stop, stops, "Stop here and save a checkpoint" if keeps else "Do not start training")
        set_enabled(self.more, stops)
        self.menu.run_id = state.run_id
        use = use_words(spec)
        self.chat.setText(f"{use} as it learns")
        set_enabled(self.chat, "")
        _set_visible(
            {
                self.pause: not resting or (state.status == "blocked" and can_pause),
                self.resume: resting,
                self.step: state.status in ("running", "paused", "pausing"),
                self.stop: True,
                self.more: True,
                self.chat: bool(state.total_steps) and use != PRONOUN_WORDS,
                self.tune: False,
                self.longer: False,
                self.fork: state.saved_step is not None,
                self.resume_saved: False,
                self.settings: bool(state.run_id),
            }
        )

    def show_resting(self, info: RunInfo) -> None:
        """Show a run that this session is not training."""
        self.name.setText(info.name)
        self._show_pill(info.status, TONES.get(info.status, "muted"))
        self._show_progress(info.step, info.total_steps, None, info.elapsed_s, steps=True)
        scored = _describe_score(info)
        self._show_note(" ".join(filter(None, (info.early_stop, scored))), is_scored=bool(scored))
        set_enabled(self.scores, "")
        self._show_problem(info.problem or "")
        self.menu.run_id = info.id
        self.chat.setText(use_words(info.spec))
        saved, (words, tip) = last_saved_step(info.folder), resume_words(info)
        if saved < info.step:
            words = f"Resume from step {saved:,}"
        self.resume_saved.setText(words)
        set_enabled(self.resume_saved, self._session.training.why_not_start, tip)
        set_enabled(self.more, "")  # show_live disables it while a training is stopping
        whole = info.problem is None
        no_model = "" if info.has_model else "It has no checkpoint yet."
        for each in (self.chat, self.tune, self.longer):
            set_enabled(each, no_model)
        _set_visible(
            {
                self.pause: False,
                self.resume: False,
                self.step: False,
                self.stop: False,
                self.more: whole,
                self.chat: whole,
                self.tune: whole,
                self.longer: whole and info.status not in ("running", "imported"),
                self.fork: whole and info.status != "imported",
                self.resume_saved: whole and info.can_resume,
                self.settings: whole,
            }
        )

    def _show_pill(self, words: str, tone: str) -> None:
        self.status.setText(words)
        tone = _PILL_TONES.get(tone, "")
        if self.status.property("tone") != tone:
            set_role(self.status, "pill", tone=tone)

    def _show_note(self, words: str, *, is_scored: bool) -> None:
        show_words(self.note, words)
        self.scores.setVisible(is_scored)

    def _show_problem(self, sentence: str) -> None:
        show_words(self.problem, sentence)

    def _show_progress(self, done: int, total: int, left: float | None, elapsed: float | None, *, steps: bool) -> None:
        self.progress.setVisible(total > 0 or not steps)
        self.progress.setValue(round(1000 * done / total) if total else 0)
        words = [f"step {done:,} of {total:,}" if steps and total else format_done(done / total) if total else ""]
        if elapsed is not None:
            words.append(f"{format_duration(elapsed)} trained")
        if left is not None:
            words.append(f"{format_duration(left)} left")
        self.count.setText("   ".join(words))


def _is_scored(spec: RunSpec | None) -> bool:
    """Return whether the run trains on a task that has metrics."""
    return spec is not None and bool(TASKS[spec.data.task].metrics)


def _describe_score(info: RunInfo) -> str:
    """Describe the best validation score of a run in one sentence; "" if there is no score or no task with metrics."""
    if info.best_metric is None or not _is_scored(info.spec):
        return ""
    name, value = info.best_metric
    return f"{METRICS[name].title} {format_score(name, value)} on its validation rows, at its best."


def _set_visible(visible: Mapping[QPushButton, bool]) -> None:
    for widget, shown in visible.items():
        widget.setVisible(shown)
