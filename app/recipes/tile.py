"""The tile of a recipe or demonstration: summary, duration, result and Start; a grid of tiles shows its details."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import QEvent, QSize, Signal, Slot
from PySide6.QtWidgets import QFrame, QWidget

from terrarium.app.kit.basics import button, column, group, label, plain_tip, row, set_enabled, show_if, show_words
from terrarium.app.kit.inputs import progress_bar, show_progress
from terrarium.app.kit.labels import ElidedLabel
from terrarium.app.kit.layout.advanced_settings import RevealRequested
from terrarium.app.kit.layout.relayout import RelayoutOnResize, SideBySide
from terrarium.app.kit.layout.tab_order import put_after
from terrarium.app.kit.theme import SPACE, ThemeProvider
from terrarium.app.session.routes import ShowRun
from terrarium.app.session.session import Session
from terrarium.app.session.training_state import TrainingState
from terrarium.models.number_words import capitalized, format_duration
from terrarium.models.runs.run_queue import RecipeSpec

_WIDE = 760
"""The minimum width for the two halves of the details side by side, in pixels at the default text size."""
_TILE_WIDTH, _MAX_COLUMNS = 310, 3
"""The minimum width of a tile in a row of several, in pixels at the default text size; the maximum per row."""
_QUEUE, _QUEUE_TIP = "Add to the queue", "A run is training: this starts by itself when that has ended"
_STATES = {
    "pausing": "Pausing…",
    "paused": "Paused. “Watch it learn” opens the run; resume it there.",
    "stopping": "Stopping…",
}


class Details(QFrame):
    """The details of a tile in two halves, side by side if the width suffices.

    Signals:
        reveal_asked(): a widget within should become visible.
    """

    reveal_asked = Signal()

    def __init__(self, title: str, theme: ThemeProvider) -> None:
        super().__init__()
        self.setProperty("role", "card")
        self.setAccessibleName(f"Details of {title}")
        self.left, self.right = column(), column()
        sides = QWidget(), QWidget()
        for side, lines in zip(sides, (self.left, self.right), strict=True):
            side.setLayout(lines)
        halves = row(*sides, margin=2 * SPACE, spacing=3 * SPACE, grows=sides)
        self.setLayout(halves)
        SideBySide(self, halves, theme, _WIDE)
        self.hide()

    def event(self, event: QEvent) -> bool:
        if event.type() == RevealRequested.TYPE:
            self.reveal_asked.emit()
        return super().event(event)


class Tile(QFrame):
    """Starts a recipe, and shows its progress while it is the current training. Subclasses define what is started.

    name: of the recipe. details: a widget that is hidden at first, and placed by whatever shows the tile. result: a
    link with the result; hidden if there is none. note, problem: sentences; hidden if empty.

    Args:
        noun: its kind, for screen readers. kept: what is retained when it is stopped, in a few words.
        stages: see RecipeProgress.

    Signals:
        unfolded(is_open): the details should be shown or hidden.
        problem_shown(): `problem` has a new sentence.
    """

    unfolded = Signal(bool)
    problem_shown = Signal()

    def __init__(
        self,
        name: str,
        title: str,
        help: str,
        session: Session,
        theme: ThemeProvider,
        *,
        noun: str,
        start_tip: str,
        kept: str,
        stages: Sequence[str] = (),
    ) -> None:
        super().__init__()
        self.name, self._title, self._start_tip = name, title, start_tip
        self._session, self._theme = session, theme
        self.setProperty("role", "card")
        self.setAccessibleName(f"{noun} {title}")
        self.start = button("Start", theme, self._on_pressed, icon="play-fill", role="primary", tip=start_tip)
        self.start.setAccessibleName(f"Start {title}")
        self.more = button("Details", theme, role="quiet", tip="The goal, what it learns from, and what you can choose")
        self.more.setCheckable(True)
        self.more.setAccessibleName(f"Details of {title}")
        self.more.toggled.connect(self._on_unfolded)
        self.minutes = label("", "caption")
        self.result = button("", theme, self._on_result, role="link")
        self.note, self.problem = label("", "caption", wrap=True), label("", "error", wrap=True)
        self.going = _RecipeProgress(title, session, theme, kept=kept, stages=stages)
        self.details = Details(title, theme)
        self.details.reveal_asked.connect(lambda: self.more.setChecked(True))
        self.buttons = row(self.start, self.more, None)
        hidden: tuple[QWidget, ...] = (self.note, self.problem, self.going)
        self.setLayout(
            column(
                row(label(title, "heading"), None, self.minutes),
                label(help, wrap=True),
                None,
                row(self.result, None),
                *hidden,
                SPACE,  # so that a ring of the guide around a button does not cover the text above
                self.buttons,
                margin=(2 * SPACE, SPACE + SPACE // 2, 2 * SPACE, SPACE + SPACE // 2),
                spacing=SPACE // 2,
            )
        )
        put_after(self.result, self.start, self.more)
        show_if(False, self.result, *hidden)
        self._on_unfolded(False)
        self._was_active = session.training.active
        session.training.changed.connect(self._on_training)

    # -- Display -------------------------------------------------------------------------------------------------------

    @property
    def state(self) -> TrainingState | None:
        """The current or last training, if it is of this recipe."""
        state = self._session.training.state
        return state if state is not None and state.recipe == self.name else None

    @property
    def is_going(self) -> bool:
        """Whether the recipe is the current training."""
        return self._session.training.active and self.state is not None

    @property
    def recipe_spec(self) -> RecipeSpec | None:
        """The recipe with the user's choices; None if something is missing."""
        raise NotImplementedError

    @property
    def _missing(self) -> str:
        """What is still missing, as a sentence; "" for nothing."""
        return ""

    def show_state(self) -> None:
        """Update the buttons and the progress."""
        is_going, state = self.is_going, self.state
        focused = QWidget.window(self).focusWidget()  # None once Stop is disabled
        had_focus = self.going.isVisible() and (focused is None or self.going.isAncestorOf(focused))
        starts_focused = focused is self.start
        waits = self._session.training.active
        self.start.setText(_QUEUE if waits else "Start")
        self._theme.set_icon(self.start, "queue" if waits else "play-fill", "on_accent")
        set_enabled(self.start, self._missing, _QUEUE_TIP if waits else self._start_tip)
        self.start.setVisible(not is_going and self._can_start_here)
        if not is_going and had_focus:  # else the focus would move to another recipe
            self.start.setFocus()
        self.going.setVisible(is_going)
        if is_going and state is not None:
            self.going.show_state(state)
            if starts_focused:
                self.going.stop.setFocus()

    @property
    def _can_start_here(self) -> bool:
        """Whether Start is shown; otherwise another button must be used first."""
        return True

    def show_words(self, note: str, problem: str) -> None:
        """Show a note and a problem; "" hides them."""
        is_new = bool(problem) and problem != self.problem.text()
        show_words(self.note, note)
        show_words(self.problem, problem)
        if is_new:
            self.problem_shown.emit()

    def show_result(self, words: str, tip: str, *, is_good: bool) -> None:
        """Show the result in a few words; "" hides it."""
        show_words(self.result, words)
        self.result.setToolTip(plain_tip(tip))
        self._theme.set_icon(self.result, "check-circle" if is_good else "warning", "accent" if is_good else "warning")

    @Slot()
    def _on_training(self) -> None:
        """Update the tile if the change concerns it. Called many times a second during any training."""
        active = self._session.training.active
        if self.state is not None or active != self._was_active:
            self._was_active = active
            self.show_state()

    # -- Actions -------------------------------------------------------------------------------------------------------

    def _on_pressed(self) -> None:
        """Start the recipe, or add it to the queue while another run is training."""
        if not self._session.training.active:
            self._on_start()
        elif (recipe := self.recipe_spec) is not None:
            self._session.queue.add_recipe(recipe, self._title)

    def _on_start(self) -> None:
        """Start the recipe."""

    def _on_result(self) -> None:
        """Show the result."""

    @Slot(bool)
    def _on_unfolded(self, is_open: bool) -> None:
        self._theme.set_icon(self.more, "caret-up" if is_open else "caret-down", "muted")
        self.unfolded.emit(is_open)


class TileGrid(QWidget):
    """Tiles in up to three columns, depending on the width. The details of at most one are shown, below its row."""

    def __init__(self, tiles: Sequence[Tile], theme: ThemeProvider) -> None:
        super().__init__()
        self._tiles, self._theme = list(tiles), theme
        self._rows: list[QWidget] = []
        self._n_columns = 0
        self._lines = column()
        self.setLayout(self._lines)
        for tile in tiles:
            tile.unfolded.connect(lambda is_open, tile=tile: self._on_unfolded(tile, is_open))
        RelayoutOnResize(self, self._arrange)
        self._arrange()

    def minimumSizeHint(self) -> QSize:
        """Return the minimum size of one column, so that more columns do not limit how narrow the page can become."""
        widest = max((tile.minimumSizeHint().width() for tile in self._tiles), default=0)
        return QSize(widest, super().minimumSizeHint().height())

    def _arrange(self) -> None:
        room = (self.width() + SPACE) / (_TILE_WIDTH * self._theme.text_scale + SPACE)
        n = max(1, min(_MAX_COLUMNS, int(room)))
        if n == self._n_columns:
            return
        self._n_columns, before = n, self._rows
        self._rows = []
        for first in range(0, len(self._tiles), n):
            some = self._tiles[first : first + n]
            parts = [*some, *(QWidget() for _ in range(n - len(some)))]
            tiles = group(*parts, horizontal=True, grows=parts)
            self._rows.append(tiles)
            self._lines.addWidget(tiles)
            for tile in some:
                self._lines.addWidget(tile.details)
        for old in before:
            self._lines.removeWidget(old)
            old.deleteLater()

    def _on_unfolded(self, tile: Tile, is_open: bool) -> None:
        for other in self._tiles:
            if is_open and other is not tile:
                other.more.setChecked(False)
        tile.details.setVisible(is_open)


class _RecipeProgress(QWidget):
    """The state of the current training: its phase, a bar, the time left, stages, and buttons to stop or watch it.

    Args:
        title: of the recipe. kept: what is retained when it is stopped, in a few words.
        stages: the name of the phase with which each stage begins, in order; () if it has no stages. The caller
            places their list, `steps`.
    """

    def __init__(
        self, title: str, session: Session, theme: ThemeProvider, *, kept: str, stages: Sequence[str] = ()
    ) -> None:
        super().__init__()
        self._session, self._stages = session, tuple(stages)
        self.phase, self.left = ElidedLabel(), label("", "mono-small")
        self.progress = progress_bar(f"Progress of {title}")
        self.stages = [label(f"·  {stage}", "small") for stage in stages]
        self.steps = group(*self.stages, spacing=SPACE // 2)
        self.stop = button("Stop", theme, session.training.stop, icon="stop-fill", tip=f"Stop; {kept}")
        self.watch = button(
            "Watch it learn", theme, self._on_watch, icon="chart-line", tip="Its curves, in the list of runs"
        )
        self.setLayout(
            column(self.phase, self.progress, self.left, row(self.stop, self.watch, None), spacing=SPACE // 2)
        )

    def show_state(self, state: TrainingState) -> None:
        """Show the progress of the training."""
        is_training = state.status == "running"
        done, total = (state.step, state.total_steps) if is_training else (state.done, state.total)
        words = state.phase or "Preparing"
        if is_training:  # a recipe may train several runs
            words = f"Training “{state.name}”: step {state.step:,} of {state.total_steps:,}"
        if state.status == "blocked":
            words = state.problem
        self.phase.setText(_STATES.get(state.status, words))
        show_progress(self.progress, done, total)
        left = state.seconds_left
        of_part = " of this part" if self.stages else ""
        begun = [i for i, stage in enumerate(self._stages) if stage in state.phases]
        at = begun[-1] if begun else -1
        parts = [f"stage {at + 1} of {len(self._stages)}"] if begun else []
        parts += [] if left is None else [f"{format_duration(left)} left{of_part}"]
        self.left.setText(capitalized(", ".join(parts)))
        set_enabled(self.stop, "It stops after the current step." if state.status == "stopping" else "")
        set_enabled(self.watch, "" if state.run_id else "There is no run to watch yet: it is being prepared.")
        for i, (line, stage) in enumerate(zip(self.stages, self._stages, strict=True)):
            line.setText(f"{'✓' if i < at else '▸' if i == at else '·'}  {stage}")

    def _on_watch(self) -> None:
        state = self._session.training.state
        if state is not None and state.run_id:
            self._session.go(ShowRun(state.run_id))
