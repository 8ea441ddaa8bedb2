"""The time machine: a run's samples, predictions and attention over its steps, on a slider and as an animation."""

from __future__ import annotations

import math

from PySide6.QtCore import QSignalBlocker, Qt, QTimer, Signal, Slot
from PySide6.QtGui import QHideEvent, QKeyEvent
from PySide6.QtWidgets import QBoxLayout, QPushButton, QSizePolicy, QStackedWidget, QWidget

from terrarium.app.kit.basics import EmptyState, button, column, frame, label, plain_tip, row, set_enabled, splitter
from terrarium.app.kit.inputs import choice, named
from terrarium.app.kit.layout.relayout import SideBySide
from terrarium.app.kit.layout.segments import Segments
from terrarium.app.kit.theme import SPACE, ThemeProvider
from terrarium.app.run_views.shown_run import ShownRun
from terrarium.app.run_views.time_machine.kl_pane import KlPane, is_offered
from terrarium.app.run_views.time_machine.panes import Panes
from terrarium.app.run_views.time_machine.snapshots import Snapshots, kept_checkpoints, nearest
from terrarium.app.run_views.time_machine.timeline import Timeline, stride_of
from terrarium.app.run_views.token_names import TokenNames
from terrarium.app.session.routes import ForkRun, Go, OpenModel

_WIDE = 800
"""Minimum width at which the prompt is beside the controls, in pixels at the usual text size."""
_SHOWS = {"samples": "Samples", "kl": "KL to the parent"}
_EMPTY = (
    "Nothing recorded yet",
    "A run with pinned prompts records its outputs for them as it learns. For a new run, enter some under “Pinned "
    "prompts”, and set “Sample every” above 0.",
)
_EMPTY_LABELS = (
    "Nothing recorded yet",
    "This model predicts labels and writes no text. A run records what it predicts for a few texts as it learns: for a "
    "new run, enter them under “Pinned prompts”, and set “Sample every” above 0. Scores has its predictions for rows "
    "of data.",
)
_SPEEDS = (0.5, 1.0, 2.0, 4.0)
_INTERVAL_MS = 600
"""Milliseconds per snapshot at speed 1."""


class TimeMachine(QWidget):
    """Shows one run at any recorded step, follows it while it is live, and plays its snapshots."""

    def __init__(self, go: Go, theme: ThemeProvider, kl: KlPane | None = None, parent: QWidget | None = None) -> None:
        """kl: the pane of the KL to the parent, shown if `is_offered`."""
        super().__init__(parent)
        self._go, self._theme = go, theme
        self._sought: int | None = None
        self.kl = kl
        self.shows = Segments("Shown", _SHOWS, "Samples as it learned; or where it has moved away from its parent")
        self._run: ShownRun | None = None
        self._snapshots: Snapshots | None = None
        self._kept: frozenset[int] = frozenset()
        self._index, self._has_samples = 0, False
        self._names = TokenNames(self)
        self._timer = QTimer(self)
        self.transport = _Transport(theme)
        self.prompt = choice("Pinned prompt", "The prompt whose samples are shown", width=8)
        self.prompt.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.timeline = Timeline(theme)
        self.panes = Panes(theme, self._names)
        self._pages, self._empty = QStackedWidget(), EmptyState(*_EMPTY)
        self._build()
        self._connect()

    # -- Content -------------------------------------------------------------------------------------------------------

    def show_run(self, run: ShownRun) -> None:
        """Show a run at its latest sample."""
        self.pause()
        self._run = run
        self._snapshots = Snapshots(run.history, run.spec.train.prompts if run.spec is not None else ())
        self._names.read(run.folder)
        self.panes.set_spec(run.spec)
        with QSignalBlocker(self.prompt):
            self.prompt.clear()
        self._read_new()
        self.go_to(len(self.steps) - 1)
        if self.kl is not None:
            self.kl.show_run(run)
        self._show_page()

    def refresh(self) -> None:
        """Read new samples of the run; go to the latest if the latest is shown now."""
        if self._run is None:
            return
        if self.kl is not None:
            self.kl.refresh()
        was_last = self._index >= len(self.steps) - 1
        if self._read_new():
            sought = self._sought
            self.go_to(len(self.steps) - 1 if was_last and not self.playing else self._index)
            if sought is not None:
                self.go_to_step(sought)
        elif self.steps:
            self._show_position(self.steps)  # without resetting selections and animations

    @property
    def busy(self) -> bool:
        """Whether the tokenizer is still being read."""
        return self._names.busy

    @property
    def steps(self) -> tuple[int, ...]:
        """The recorded steps of the selected prompt."""
        prompt = self.prompt.currentData()
        return tuple(self._snapshots.steps(prompt)) if self._snapshots is not None and prompt is not None else ()

    @property
    def step(self) -> int:
        """The step that is shown; -1 if nothing was recorded."""
        steps = self.steps
        return steps[self._index] if self._index < len(steps) else -1

    def _read_new(self) -> bool:
        """Read new records of the run; return whether there were any."""
        assert self._snapshots is not None
        assert self._run is not None
        is_new = self._snapshots.read_new()
        self._kept = kept_checkpoints(self._run.folder)
        self._offer_prompts(self._snapshots.prompts)
        self.timeline.show_history(self._run.history)
        self.timeline.show_marks(self.steps, self._kept)
        return is_new

    def _offer_prompts(self, prompts: tuple[str, ...]) -> None:
        self._has_samples = bool(prompts)
        self._show_page()
        why = self._run.history.empty_reason if self._run is not None else ""
        spec = self._run.spec if self._run is not None else None
        predicts_labels = spec is not None and spec.model.head not in ("language", "none")
        advice = _EMPTY_LABELS if predicts_labels else _EMPTY
        self._empty.set_words(*(("Nothing to show", why) if why else advice))
        if prompts == tuple(self.prompt.itemData(i) for i in range(self.prompt.count())):
            return
        chosen = self.prompt.currentData()
        with QSignalBlocker(self.prompt):
            self.prompt.clear()
            for i, prompt in enumerate(prompts):
                self.prompt.addItem(" ".join(prompt.split()) or "(empty prompt)", prompt)
                self.prompt.setItemData(i, plain_tip(prompt), Qt.ItemDataRole.ToolTipRole)
            self.prompt.setCurrentIndex(prompts.index(chosen) if chosen in prompts else 0)

    def _show_page(self) -> None:
        offered = self.kl is not None and self._run is not None and is_offered(self._run)
        self.shows.setVisible(offered)
        is_kl = offered and self.shows.value == "kl"
        if is_kl:
            self.pause()
        self._pages.setCurrentIndex(2 if is_kl else 0 if self._has_samples else 1)

    # -- Moving --------------------------------------------------------------------------------------------------------

    def go_to_step(self, step: int) -> None:
        """Show the snapshot next to a step, again as others are read, until the user moves."""
        steps = self.steps
        if steps:
            self.go_to(min(range(len(steps)), key=lambda i: abs(steps[i] - step)))
        self._sought = step

    def go_to(self, index: int, *, moves: bool = False) -> None:
        """Show the step at an index of `steps`, clamped to the valid range. `moves`: animate the bars."""
        steps = self.steps
        if self._snapshots is None or not steps:
            return
        self._index, self._sought = min(max(index, 0), len(steps) - 1), None
        self.panes.show_snapshot(self._snapshots.at(self.prompt.currentData(), self._index), moves=moves)
        self._show_position(steps)

    def _show_position(self, steps: tuple[int, ...]) -> None:
        assert self._run is not None
        step, spec = steps[self._index], self._run.spec
        total = f" of {spec.train.steps:,}" if spec is not None else ""
        loss = self.timeline.loss_at(step)
        words = f"· loss {loss:.2f}" if math.isfinite(loss) else "· before training" if step == 0 else ""
        if metric := self._run.history.metric_at(step):
            words = f"{words} · {metric}".strip()
        self.timeline.show_step(step)
        self.transport.show_position(self._index, len(steps), f"Step {step:,}{total}", words)
        self.panes.offer_checkpoint(step in self._kept and bool(self._run.id))

    @property
    def playing(self) -> bool:
        """Whether the snapshots are playing."""
        return self._timer.isActive()

    def play(self) -> None:
        """Play to the last step, starting from the first if the last is shown."""
        if len(self.steps) < 2:
            return
        if self._index >= len(self.steps) - 1:
            self.go_to(0)
        self._timer.start(self.transport.interval_ms)
        self.transport.show_playing(True)

    def pause(self) -> None:
        """Stop playing."""
        self._timer.stop()
        self.transport.show_playing(False)

    @Slot()
    def _on_tick(self) -> None:
        last = len(self.steps) - 1
        if self._index < last:
            self.go_to(self._index + 1, moves=True)
        elif self.transport.loop.isChecked():
            self.go_to(0)
        if self._index >= last and not self.transport.loop.isChecked():
            self.pause()

    # -- Input ---------------------------------------------------------------------------------------------------------

    def keyPressEvent(self, event: QKeyEvent) -> None:
        stride = stride_of(event.key())
        if event.key() == Qt.Key.Key_Space:
            self._on_play()
        elif stride:
            self._on_step(stride)
        else:
            super().keyPressEvent(event)

    def hideEvent(self, event: QHideEvent) -> None:
        self.pause()
        super().hideEvent(event)

    @Slot()
    def _on_play(self) -> None:
        if self.playing:
            self.pause()
        else:
            self.play()

    @Slot(int)
    def _on_step(self, by: int) -> None:
        self.pause()
        self.go_to(self._index + by, moves=True)

    @Slot(int)
    def _on_index(self, index: int) -> None:
        self.pause()
        if index != self._index:
            self.go_to(index)

    @Slot()
    def _on_end(self) -> None:
        self._on_index(len(self.steps) - 1)

    @Slot()
    def _on_speed(self) -> None:
        self._timer.setInterval(self.transport.interval_ms)

    @Slot()
    def _on_prompt(self) -> None:
        """Show another prompt, at its step nearest to the current step."""
        self.timeline.show_marks(self.steps, self._kept)
        self.go_to(nearest(self.steps, self.timeline.step))

    @Slot()
    def _show_again(self) -> None:
        self.go_to(self._index)

    @Slot()
    def _on_fork(self) -> None:
        if self._run is not None:
            self._go(ForkRun(self._run.id, self.step))

    @Slot()
    def _on_chat(self) -> None:
        if self._run is not None:
            self._go(OpenModel(self._run.id, step=self.step))

    # -- Layout --------------------------------------------------------------------------------------------------------

    def _build(self) -> None:
        controls = QBoxLayout(QBoxLayout.Direction.TopToBottom)
        controls.setSpacing(SPACE // 2)
        controls.addWidget(self.transport)
        controls.addLayout(row(label("Prompt", "muted"), self.prompt, margin=(SPACE, 0, 0, 0)), 1)
        top = frame("card", controls, self.timeline, margin=SPACE, spacing=SPACE // 2, grows=self.timeline)
        SideBySide(top, controls, self._theme, _WIDE)
        self._pages.addWidget(splitter(top, self.panes, sizes=[184, 286], grows=(1, 3), vertical=True))
        self._pages.addWidget(self._empty)
        if self.kl is not None:
            self._pages.addWidget(self.kl)
        self._pages.setCurrentIndex(1)
        self.shows.hide()
        self.setLayout(column(row(self.shows, None), self._pages, grows=self._pages))

    def _connect(self) -> None:
        self.transport.play_asked.connect(self._on_play)
        self.transport.step_asked.connect(self._on_step)
        self.transport.end_asked.connect(self._on_end)
        self.transport.speed_changed.connect(self._on_speed)
        self.timeline.index_requested.connect(self._on_index)
        self.prompt.activated.connect(self._on_prompt)
        self.panes.fork.clicked.connect(self._on_fork)
        self.panes.chat.clicked.connect(self._on_chat)
        self._timer.timeout.connect(self._on_tick)
        self._names.changed.connect(self._show_again)
        self.shows.changed.connect(lambda _: self._show_page())


class _Transport(QWidget):
    """The controls (back, play, forward, latest, loop, speed), and the current step as text.

    Signals:
        play_asked(): play or pause.
        step_asked(by): move by this many snapshots.
        end_asked(): go to the latest snapshot.
        speed_changed(): the user chose another speed.
    """

    play_asked = Signal()
    step_asked = Signal(int)
    end_asked = Signal()
    speed_changed = Signal()

    def __init__(self, theme: ThemeProvider, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._theme = theme
        self.back = _quiet(theme, "skip-back", "Previous sample (←)")
        self.play = _quiet(theme, "play-fill", "Play from here (space)")
        self.forward = _quiet(theme, "skip-forward", "Next sample (→)")
        self.loop = _quiet(theme, "repeat", "Loop")
        self.loop.setCheckable(True)
        self.speed = choice("Speed", "Playback speed", {speed: f"{speed:g}×" for speed in _SPEEDS})
        self.speed.setCurrentIndex(_SPEEDS.index(1.0))
        self.where = label("", "subheading")
        self.loss = label("", "muted")
        self.latest = button("Latest", theme, self.end_asked.emit, role="quiet")
        self.latest.setToolTip("Go to the newest sample (End). There, the view follows the training.")
        self.setLayout(
            row(self.back, self.play, self.forward, self.latest, self.loop, self.speed, self.where, self.loss)
        )
        self.back.clicked.connect(lambda: self.step_asked.emit(-1))
        self.forward.clicked.connect(lambda: self.step_asked.emit(1))
        self.play.clicked.connect(self.play_asked)
        self.speed.currentIndexChanged.connect(self.speed_changed)

    @property
    def interval_ms(self) -> int:
        """Milliseconds per snapshot while playing."""
        return round(_INTERVAL_MS / _SPEEDS[self.speed.currentIndex()])

    def show_playing(self, playing: bool) -> None:
        """Show whether the snapshots are playing."""
        words = "Pause (space)" if playing else "Play from here (space)"
        self._theme.set_icon(self.play, "pause-fill" if playing else "play-fill")
        named(self.play, words, words)

    def show_position(self, index: int, n: int, where: str, loss: str) -> None:
        """Show texts for the current position, and enable the buttons for snapshot `index` of `n`."""
        self.where.setText(where)
        self.loss.setText(loss)
        set_enabled(self.back, "" if index > 0 else "This is the first step that was recorded.")
        for later in (self.forward, self.latest):
            set_enabled(later, "" if index < n - 1 else "This is the last step that was recorded.")
        set_enabled(self.play, "" if n > 1 else "A single step was recorded: there is nothing to play.")


def _quiet(theme: ThemeProvider, icon: str, tip: str) -> QPushButton:
    made = button("", theme, icon=icon, role="quiet", tip=tip)
    made.setMaximumWidth(40)
    return made
