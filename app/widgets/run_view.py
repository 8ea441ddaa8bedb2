"""One run: what it is, what it is doing, the buttons that steer it, its curves and its samples."""

from __future__ import annotations

from collections.abc import Mapping

from PySide6.QtCore import Qt, QTimer, Signal, Slot
from PySide6.QtGui import QShowEvent
from PySide6.QtWidgets import (
    QDialog,
    QDialogButtonBox,
    QHBoxLayout,
    QMenu,
    QProgressBar,
    QPushButton,
    QScrollArea,
    QSplitter,
    QVBoxLayout,
    QWidget,
)

from app.session import Session
from app.status import duration
from app.theme import SPACE, ThemeProvider
from app.widgets.basics import button, column, frame, label, row, set_role
from app.widgets.elided_label import ElidedLabel
from app.widgets.plots import LossChart, SmallChart
from app.widgets.run_list import TONES
from app.widgets.sample_feed import SampleFeed
from app.widgets.spec_view import SpecView, summary
from models.training.spec import RunSpec

_REDRAW_MS = 100
_RESUMABLE = ("paused", "stopped", "interrupted", "failed", "queued")
_PILL_TONES = {"accent": "ok", "warning": "warning", "danger": "danger"}


class RunView(QWidget):
    """Shows one run, live where the session trains it.

    Signals:
        chat_asked(which): the user wants to talk to it: a run id, or "live".
    """

    chat_asked = Signal(str)

    def __init__(self, session: Session, theme: ThemeProvider, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._session, self._theme = session, theme
        self._run_id = ""
        self._spec: RunSpec | None = None
        self._dirty = False
        self._build_head()
        self.loss = LossChart(theme)
        self._small = [
            SmallChart(theme, "Learning rate", "lr", "", ".2e"),
            SmallChart(theme, "Gradient norm", "grad_norm", "", ".3f"),
            SmallChart(theme, "Speed", "tokens_per_s", "tokens/s", ",.0f", steps=True),
        ]
        self.samples = SampleFeed(theme)
        self._build_body()
        self._redraw = QTimer(self)
        self._redraw.setInterval(_REDRAW_MS)
        self._redraw.timeout.connect(self._on_redraw)
        self._redraw.start()
        session.training_changed.connect(self._on_training)
        session.training_events.connect(self._on_events)
        session.runs_changed.connect(self._on_runs_changed)
        session.chat_changed.connect(self._show_state)

    def _build_head(self) -> None:
        self._name = ElidedLabel()
        self._name.setProperty("role", "heading")
        self._status = label("", "pill")
        self._summary = ElidedLabel()
        self._summary.setProperty("role", "muted")
        theme, session = self._theme, self._session
        self.pause = button(
            "Pause", theme, session.pause, icon="pause-fill", tip="Wait after this step; go on any time"
        )
        self.resume = button("Resume", theme, session.resume, icon="play-fill", role="primary", tip="Go on training")
        self.step = button("Step", theme, session.step, icon="skip-forward", tip="Train one step, then wait again")
        self.stop = button(
            "Stop and keep", theme, session.stop, icon="stop-fill", tip="End the training here, with a checkpoint"
        )
        self.more = button("", theme, icon="dots-three", tip="More")
        self.more.setMenu(self._make_menu())
        self.go_on = button(
            "Go on training",
            theme,
            self._on_go_on,
            icon="play-fill",
            role="primary",
            tip="Go on from the last checkpoint",
        )
        self.chat = button("Chat with it", theme, self._on_chat, icon="chat-circle", tip="Talk to this model")
        self.settings = button("Settings", theme, self.show_settings, icon="sliders-horizontal", role="quiet")
        self.settings.setToolTip("What this run was made from, as the run itself says")
        self._progress = QProgressBar()
        self._progress.setRange(0, 1000)
        self._progress.setTextVisible(False)
        self._progress.setAccessibleName("Progress of the run")
        self._count = label("", "mono-small")

    def _make_menu(self) -> QMenu:
        menu, session = QMenu(self), self._session
        for words, icon, action in (
            ("Save a checkpoint now", "floppy-disk", session.save_now),
            ("Pause and free the device", "pause-circle", lambda: session.pause(free=True)),
            ("Stop without saving", "trash", lambda: session.stop(keep=False)),
        ):
            menu.addAction(self._theme.icon(icon), words).triggered.connect(lambda checked=False, do=action: do())
        return menu

    def _build_body(self) -> None:
        head = frame("card")
        lines = head.layout()
        assert isinstance(lines, QVBoxLayout)
        title = QHBoxLayout()
        title.setSpacing(SPACE)
        title.addWidget(self._name, 1)
        title.addWidget(self._status)
        buttons = row(
            self.resume, self.go_on, self.pause, self.step, self.stop, self.more, self.chat, None, self.settings
        )
        lines.addLayout(title)
        lines.addWidget(self._summary)
        lines.addLayout(row(self._progress, self._count, spacing=2 * SPACE))
        lines.addLayout(buttons)
        loss = _card(self.loss)
        small = frame("card")
        small_lines = small.layout()
        assert isinstance(small_lines, QVBoxLayout)
        for chart in self._small:
            small_lines.addWidget(chart, 1)
        charts = QSplitter(Qt.Orientation.Horizontal)
        charts.setChildrenCollapsible(False)
        charts.addWidget(loss)
        charts.addWidget(small)
        charts.setStretchFactor(0, 3)
        charts.setStretchFactor(1, 1)
        charts.setSizes([720, 260])
        body = QSplitter(Qt.Orientation.Vertical)
        body.setChildrenCollapsible(False)
        body.addWidget(charts)
        body.addWidget(_card(self.samples))
        body.setStretchFactor(0, 3)
        body.setStretchFactor(1, 1)
        body.setSizes([440, 190])
        layout = column(head, body)
        layout.setStretch(1, 1)
        self.setLayout(layout)

    # -- What is shown ----------------------------------------------------------------------------------

    @property
    def run_id(self) -> str:
        """The run that is shown, '' for one that is still being prepared."""
        return self._run_id

    def show_run(self, run_id: str) -> None:
        """Show a run of the library; '' shows the current training before it has a run."""
        self._run_id = run_id
        self._spec = self._session.run_spec(run_id) if run_id else None
        history = self._session.run_history(run_id) if run_id else self._session.history
        vocab_size = self._spec.model.vocab_size if self._spec is not None else 0
        self.loss.show_history(history, vocab_size)
        for chart in self._small:
            chart.show_history(history)
        self.samples.show_history(history)
        self._summary.setText(summary(self._spec) if self._spec is not None else "")
        self._show_state()

    @property
    def live(self) -> bool:
        """Whether the session is training what is shown."""
        state = self._session.training
        return self._session.training_active and state is not None and state.run_id == self._run_id

    @Slot()
    def _show_state(self) -> None:
        if self.live:
            self._show_live()
        elif self._run_id:
            self._show_resting()

    def _show_live(self) -> None:
        state = self._session.training
        assert state is not None
        preparing = state.status in ("preparing", "evaluating")
        waiting = state.status == "running" and self._session.chat_state == "replying"
        words = "waiting for chat" if waiting else state.phase.lower() or state.status if preparing else state.status
        self._show_pill(words, TONES.get(state.status, "muted"))
        self._name.setText(state.name)
        done, total = (state.done, state.total) if preparing else (state.step, state.total_steps)
        self._show_progress(done, total, state.seconds_left if state.status != "paused" else None, steps=not preparing)
        if state.status == "blocked":
            self._count.setText(state.problem)
        resting = state.status in ("paused", "blocked", "pausing")
        running = state.status in ("running", "preparing", "evaluating")
        visible = {
            self.pause: not resting,
            self.resume: resting,
            self.step: state.status in ("running", "paused", "pausing"),
            self.stop: True,
            self.more: True,
            self.chat: bool(state.run_id),
            self.go_on: False,
            self.settings: self._spec is not None,
        }
        self.pause.setEnabled(running)
        self.resume.setEnabled(state.status in ("paused", "blocked"))
        self.step.setEnabled(state.status == "paused")
        self.stop.setEnabled(state.status != "stopping")
        self.more.setEnabled(state.status != "stopping")
        self.chat.setText("Chat with it as it learns")
        self._set_visible(visible)

    def _show_resting(self) -> None:
        try:
            info = self._session.find_run(self._run_id)
        except ValueError:
            return
        self._name.setText(info.name)
        self._show_pill(info.status, TONES.get(info.status, "muted"))
        self._show_progress(info.step, info.total_steps, None, steps=True)
        if info.problem:
            self._count.setText(info.problem)
        self.chat.setText("Chat with it")
        self.go_on.setEnabled(not self._session.training_active)
        elsewhere = info.status == "running"
        self._set_visible(
            {
                self.pause: False,
                self.resume: False,
                self.step: False,
                self.stop: False,
                self.more: False,
                self.chat: info.problem is None,
                self.go_on: info.status in _RESUMABLE and info.problem is None and not elsewhere,
                self.settings: self._spec is not None,
            }
        )

    def _set_visible(self, visible: Mapping[QPushButton, bool]) -> None:
        for widget, shown in visible.items():
            widget.setVisible(shown)

    def _show_pill(self, words: str, tone: str) -> None:
        self._status.setText(words)
        tone = _PILL_TONES.get(tone, "")
        if self._status.property("tone") != tone:
            set_role(self._status, "pill", tone=tone)

    def _show_progress(self, done: int, total: int, left: float | None, *, steps: bool) -> None:
        self._progress.setValue(round(1000 * done / total) if total else 0)
        words = f"step {done:,} of {total:,}" if steps and total else f"{done / total:.0%}" if total else ""
        if left is not None:
            words += f"   {duration(left)} left"
        self._count.setText(words)

    # -- Following --------------------------------------------------------------------------------------

    @Slot()
    def _on_training(self) -> None:
        state = self._session.training
        if state is not None and not self._run_id and state.run_id:
            self.show_run(state.run_id)
        elif state is not None and state.run_id == self._run_id:
            self._show_state()

    @Slot(object)
    def _on_events(self, events: object) -> None:
        if self.live:
            self._dirty = True

    @Slot()
    def _on_runs_changed(self) -> None:
        self._show_state()

    @Slot()
    def _on_redraw(self) -> None:
        # The redraw rate is the viewer's, not the data's; what is not seen is drawn when it is.
        if self._dirty and self.isVisible():
            self._dirty = False
            self.loss.refresh()
            for chart in self._small:
                chart.refresh()
            self.samples.refresh()

    def showEvent(self, event: QShowEvent) -> None:
        super().showEvent(event)
        self._dirty = True

    # -- Actions ----------------------------------------------------------------------------------------

    def _on_go_on(self) -> None:
        self._session.resume_run(self._run_id)

    def _on_chat(self) -> None:
        self.chat_asked.emit("live" if self.live else self._run_id)

    def show_settings(self) -> None:
        """Show the run's own settings in a window."""
        if self._spec is None:
            return
        dialog = QDialog(self.window())
        dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        dialog.setWindowTitle(f"Settings of {self._name.text()}")
        dialog.resize(980, 640)
        area = QScrollArea()
        area.setWidgetResizable(True)
        area.setFrameShape(QScrollArea.Shape.NoFrame)
        view = SpecView(self._spec)
        view.setProperty("role", "scrolled")
        area.setWidget(view)
        buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Close)
        buttons.rejected.connect(dialog.reject)
        layout = QVBoxLayout(dialog)
        layout.setContentsMargins(3 * SPACE, 3 * SPACE, 3 * SPACE, 2 * SPACE)
        layout.addWidget(area)
        layout.addWidget(buttons)
        dialog.open()


def _card(widget: QWidget) -> QWidget:
    card = frame("card")
    layout = card.layout()
    assert layout is not None
    layout.addWidget(widget)
    return card
