"""The head of a run's view: its name, what it is doing, how far it is, and the buttons that steer it."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QFrame, QHBoxLayout, QMenu, QProgressBar, QPushButton, QVBoxLayout, QWidget

from app.kit.basics import button, label, row, set_role
from app.kit.labels import ElidedLabel
from app.kit.theme import SPACE, ThemeProvider
from app.session.session import Session
from app.session.training_state import TrainingState
from app.training.run_list.run_delegate import TONES
from app.training.run_list.run_query import RESUMABLE
from models.library.library import RunInfo
from models.library.run_record import last_saved_step
from models.number_words import duration, percent

_PILL_TONES = {"accent": "ok", "warning": "warning", "danger": "danger"}


class RunHead(QFrame):
    """Shows a run's state and offers what can be done in it; only what is possible is enabled.

    Signals:
        go_on_asked(), chat_asked(), settings_asked(), fork_asked(), template_asked(), sweep_asked(): of a button.
        lr_asked(), sample_asked(), discard_asked(): of the run that is trained now.
        export_asked(kind): "toml" or "tensorboard".
    """

    go_on_asked = Signal()
    chat_asked = Signal()
    settings_asked = Signal()
    fork_asked = Signal()
    template_asked = Signal()
    sweep_asked = Signal()
    lr_asked = Signal()
    sample_asked = Signal()
    discard_asked = Signal()
    export_asked = Signal(str)

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
            "Pause", theme, training.pause, icon="pause-fill", tip="Wait after this step; go on any time"
        )
        self.resume = button("Resume", theme, training.resume, icon="play-fill", role="primary", tip="Go on training")
        self.step = button("Step", theme, training.step, icon="skip-forward", tip="Train one step, then wait again")
        self.stop = button(
            "Stop and keep",
            theme,
            training.stop,
            icon="stop-fill",
            tip="End the training here, with a checkpoint",
        )
        self.go_on = button(
            "Go on training",
            theme,
            self.go_on_asked.emit,
            icon="play-fill",
            role="primary",
            tip="Go on from the last checkpoint",
        )
        self.chat = button("Chat with it", theme, self.chat_asked.emit, icon="chat-circle", tip="Talk to this model")
        self.fork = button(
            "Fork…",
            theme,
            self.fork_asked.emit,
            icon="git-fork",
            tip="A new run that goes on from one of the checkpoints, with other settings or the same",
        )
        self.more = button("", theme, icon="dots-three", tip="More that can be done")
        self._live_menu = self._make_menu(
            ("Save a checkpoint now", "floppy-disk", training.save),
            ("Sample now…", "text-aa", self.sample_asked.emit),
            ("Change the learning rate…", "trend-down", self.lr_asked.emit),
            ("Pause and free the device", "pause-circle", lambda: training.pause(free=True)),
            None,
            ("Stop without saving", "stop-circle", lambda: training.stop(keep=False)),
            ("Stop and discard the run", "trash", self.discard_asked.emit),
        )
        self._of_steps = self._live_menu.actions()[:4]  # before the first step and after the last they would do nothing
        self._resting_menu = self._make_menu(
            ("New run like this one", "copy", self.template_asked.emit),
            ("Sweep its settings…", "sliders", self.sweep_asked.emit),
            None,
            ("Export its settings (TOML)…", "export", lambda: self.export_asked.emit("toml")),
            ("Export for TensorBoard…", "chart-line", lambda: self.export_asked.emit("tensorboard")),
        )
        self.settings = button(
            "Settings",
            theme,
            self.settings_asked.emit,
            icon="sliders-horizontal",
            role="quiet",
            tip="What this run was made from, as the run itself says",
        )
        self.progress = QProgressBar()
        self.progress.setRange(0, 1000)
        self.progress.setTextVisible(False)
        self.progress.setAccessibleName("Progress of the run")
        self.count = label("", "mono-small")
        self.problem = label("", "error", wrap=True)
        self._build()

    def _make_menu(self, *entries: tuple[str, str, Callable[[], object]] | None) -> QMenu:
        menu = QMenu(self)
        for entry in entries:
            if entry is None:
                menu.addSeparator()
                continue
            words, icon, do = entry
            action = menu.addAction(words)
            self._theme.set_icon(action, icon)
            action.triggered.connect(lambda checked=False, do=do: do())
        return menu

    def _build(self) -> None:
        title = QHBoxLayout()
        title.setSpacing(SPACE)
        title.addWidget(self.name)
        title.addWidget(self.status)
        title.addSpacing(SPACE)
        title.addWidget(self.summary, 1)
        title.addWidget(self.count)
        buttons = (self.resume, self.go_on, self.pause, self.step, self.stop, self.chat, self.fork, self.more)
        lines = QVBoxLayout(self)
        lines.setContentsMargins(2 * SPACE, SPACE + SPACE // 2, 2 * SPACE, SPACE + SPACE // 2)
        lines.setSpacing(SPACE)
        lines.addLayout(title)
        lines.addWidget(self.progress)
        lines.addWidget(self.problem)
        lines.addLayout(row(*buttons, None, self.settings))

    def show_live(self, state: TrainingState, chat_state: str) -> None:
        """Show the run that is being trained."""
        staging = state.status in ("preparing", "evaluating")
        waiting = state.status == "running" and chat_state == "replying"
        words = "waiting for chat" if waiting else (state.phase.lower() if staging else "") or state.status
        self._show_pill(words, TONES.get(state.status, "muted"))
        self.name.setText(state.name)
        done, total = (state.done, state.total) if staging else (state.step, state.total_steps)
        left = state.seconds_left if state.status in ("running", "preparing", "evaluating") else None
        self._show_progress(done, total, left, None if staging else state.elapsed_s, steps=not staging)
        self._show_problem(state.problem)
        resting = state.status in ("paused", "blocked", "pausing")
        self.pause.setEnabled(state.status in ("running", "preparing", "evaluating"))
        self.resume.setEnabled(state.status in ("paused", "blocked"))
        self.step.setEnabled(state.status == "paused")
        keeps = bool(state.total_steps)  # before the first step there is nothing to keep
        self.stop.setText("Stop and keep" if keeps else "Stop")
        self.stop.setToolTip("End the training here, with a checkpoint" if keeps else "Do not train it now")
        self.stop.setEnabled(state.status != "stopping" and not state.over)
        self.more.setEnabled(state.status != "stopping" and not state.over)
        self.chat.setText("Chat with it as it learns")
        self.more.setMenu(self._live_menu)
        for action in self._of_steps:
            action.setEnabled(bool(state.total_steps) and not staging)
        _set_visible(
            {
                self.pause: not resting,
                self.resume: resting,
                self.step: state.status in ("running", "paused", "pausing"),
                self.stop: True,
                self.more: True,
                self.chat: bool(state.total_steps),
                self.fork: state.saved_step is not None,
                self.go_on: False,
                self.settings: bool(state.run_id),
            }
        )

    def show_resting(self, info: RunInfo) -> None:
        """Show a run that this session does not train now."""
        self.name.setText(info.name)
        self._show_pill(info.status, TONES.get(info.status, "muted"))
        self._show_progress(info.step, info.total_steps, None, info.elapsed_s, steps=True)
        self._show_problem(info.problem or "")
        self.chat.setText("Chat with it")
        saved = last_saved_step(info.folder)
        self.go_on.setText("Go on training" if saved >= info.step else f"Go on from step {saved:,}")
        self.go_on.setEnabled(not self._session.training.active)
        self.more.setMenu(self._resting_menu)
        whole = info.problem is None
        _set_visible(
            {
                self.pause: False,
                self.resume: False,
                self.step: False,
                self.stop: False,
                self.more: whole,
                self.chat: whole,
                self.fork: whole and info.status != "imported",
                self.go_on: whole and info.status in RESUMABLE,
                self.settings: whole,
            }
        )

    def _show_pill(self, words: str, tone: str) -> None:
        self.status.setText(words)
        tone = _PILL_TONES.get(tone, "")
        if self.status.property("tone") != tone:
            set_role(self.status, "pill", tone=tone)

    def _show_problem(self, sentence: str) -> None:
        self.problem.setText(sentence)
        self.problem.setVisible(bool(sentence))

    def _show_progress(self, done: int, total: int, left: float | None, elapsed: float | None, *, steps: bool) -> None:
        self.progress.setVisible(total > 0 or not steps)
        self.progress.setValue(round(1000 * done / total) if total else 0)
        words = [f"step {done:,} of {total:,}" if steps and total else percent(done / total) if total else ""]
        if elapsed is not None:
            words.append(f"{duration(elapsed)} trained")
        if left is not None:
            words.append(f"{duration(left)} left")
        self.count.setText("   ".join(words))


def _set_visible(visible: Mapping[QPushButton, bool]) -> None:
    for widget, shown in visible.items():
        widget.setVisible(shown)
