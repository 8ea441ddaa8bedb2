"""The positions view: pictures of what a design's position scheme computes."""

from __future__ import annotations

from PySide6.QtCore import QObject, QSignalBlocker, Qt, Signal, Slot
from PySide6.QtWidgets import QBoxLayout, QWidget

from terrarium.app.builder.positions.scheme_pictures import SchemePictures
from terrarium.app.builder.positions.schemes import DisplayOptions, LearnedDisplay, display_of
from terrarium.app.kit.basics import EmptyState, column, group, label, row, show_only
from terrarium.app.kit.forms.editors import IntBox
from terrarium.app.kit.inputs import choice, named
from terrarium.app.kit.layout.segments import Segments
from terrarium.app.kit.theme import ThemeProvider
from terrarium.app.plots.heat_map import HeatMap
from terrarium.app.plots.pictures import HeatPicture
from terrarium.app.plots.plot_spec import PlotSpec
from terrarium.app.plots.plot_view import PlotView
from terrarium.app.session.session import Session
from terrarium.app.worker.background import LatestTask
from terrarium.app.worker.notices import Notices
from terrarium.models.events import Event
from terrarium.models.inspect.position_weights import (
    PositionRun,
    PositionRunsFound,
    PositionWeightsRead,
    find_position_runs,
    has_same_tables,
    read_position_weights,
    stacks,
)
from terrarium.models.library.library import Library
from terrarium.models.settings.model_config import ModelConfig
from terrarium.models.settings.positions import scheme_of

_SHOW = {"cos": "cos", "angle": "Angle"}
_ORDER = {"stored": "As stored", "sorted": "Sines, then cosines"}
_STRETCH = {"on": "Scaled", "off": "Unscaled"}
_STACK = {"decoder": "Decoder", "encoder": "Encoder"}


class PositionView(QWidget):
    """A position scheme as two pictures and a text. Learned tables are read from trained runs.

    Args:
        session: gives access to the trained runs and their tables; None: no runs are offered.
    """

    def __init__(self, theme: ThemeProvider, session: Session | None = None, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._trained: _TrainedPositions | None = None
        if session is not None:
            self._trained = _TrainedPositions(session.library, session.notices, self)
            self._trained.runs_found.connect(self._on_runs_found)
            self._trained.weights_read.connect(self._on_weights_read)
            session.runs.changed.connect(self._on_runs_changed)
        self._config: ModelConfig | None = None
        self._length = 1
        self._chose_head = False
        self._searched: ModelConfig | None = None
        self._runs: tuple[PositionRun, ...] = ()
        self._weights: PositionWeightsRead | None = None
        self.pictures: SchemePictures | None = None
        self.words = label("", "muted", wrap=True)
        self.stack = Segments("Stack", _STACK, "Encoder and decoder have separate positions")
        self.show_as = Segments("Show", _SHOW, "The cosine of each angle, or the angle itself")
        self.order = Segments("Order", _ORDER, "The model interleaves sines and cosines")
        self.stretch = Segments("Scaling", _STRETCH, "With the design's RoPE scaling, or without")
        self.head = named(IntBox(1, 1, 1), "Head", "The head that is drawn as a matrix")
        self.head_words = label("Head", "muted")
        self.source = choice("Trained run", "Trained runs with learned positions of this kind", width=24)
        self.heat = (HeatMap(theme), HeatMap(theme))
        self.lines = PlotView(theme, has_y=True, is_boxed=True, ground="window")
        self.nothing: EmptyState | None = None
        self._build()
        self._connect()

    def set_design(self, config: ModelConfig, length: int) -> None:
        """Show the positions of `config`, for texts of `length` tokens."""
        self._config, self._length = config, max(1, length)
        if scheme_of(config).learned is None:
            self._searched = None
        elif self._searched is None or not has_same_tables(self._searched, config):
            self._weights = None
            self._find_runs()
        self._draw()

    # -- Layout --------------------------------------------------------------------------------------------------------

    def _build(self) -> None:
        self._figures = column(self.heat[0], self.lines, self.heat[1])
        self._empty = column()
        self._all_controls = (self.stack, self.order, self.show_as, self.stretch, self.source, self.head)
        for widget in (*self._all_controls, self.head_words):
            widget.hide()
        bar = row(self.stack, self.order, self.show_as, self.stretch, self.source, self.head_words, self.head, None)
        self.controls = group(bar)
        self._lines = column(self.words, self.controls, self._figures, self._empty, grows=self._figures)
        self.setLayout(self._lines)

    def _connect(self) -> None:
        for segments in (self.stack, self.order, self.show_as, self.stretch):
            segments.changed.connect(self._draw)
        self.head.valueChanged.connect(self._on_head)
        self.source.activated.connect(self._on_source)

    # -- Trained runs --------------------------------------------------------------------------------------------------

    def _find_runs(self) -> None:
        if self._trained is not None and self._config is not None:
            self._searched = self._config
            self._trained.find(self._config)

    @Slot()
    def _on_runs_changed(self) -> None:
        if self._searched is not None:
            self._find_runs()

    @Slot(object)
    def _on_runs_found(self, found: PositionRunsFound) -> None:
        if found.config != self._searched or self._config is None:
            return
        self._runs = found.runs
        self._fill_source()
        best = next((run for run in self._runs if has_same_tables(run.config, self._config)), None)
        learned = display_of(self._config).learned
        if best is not None and learned is not None and learned.at_once and self._weights is None and self._trained:
            self._trained.read(best)
        self._draw()

    @Slot(object)
    def _on_weights_read(self, weights: PositionWeightsRead) -> None:
        config = self._config
        if config is None or weights.run not in self._runs or weights.run.config.position != config.position:
            return
        self._weights = weights
        self._fill_source()
        self._draw()

    @Slot()
    def _on_head(self) -> None:
        self._chose_head = True
        self._draw()

    @Slot(int)
    def _on_source(self, index: int) -> None:
        run = self.source.itemData(index)
        if run is None:
            self._weights = None
            self._draw()
        elif self._trained is not None:
            self._trained.read(run)

    def _fill_source(self) -> None:
        assert self._config is not None
        learned = display_of(self._config).learned
        assert learned is not None
        with QSignalBlocker(self.source):
            self.source.clear()
            self.source.addItem(learned.nothing_chosen, None)
            for run in self._runs:
                other = "" if has_same_tables(run.config, self._config) else f", {learned.shape(run.config)}"
                self.source.addItem(f"“{run.name}”, step {run.step:,}{other}", run)
            shown = self._weights.run.checkpoint if self._weights is not None else None
            at = next((i for i, run in enumerate(self._runs) if run.checkpoint == shown), -1)
            self.source.setCurrentIndex(at + 1)

    # -- Drawing -------------------------------------------------------------------------------------------------------

    def _stack(self) -> ModelConfig:
        """Return the settings of the stack shown."""
        assert self._config is not None
        both = stacks(self._config)
        return both[self.stack.value] if len(both) > 1 else both[""]

    def _has_two_stacks(self) -> bool:
        """Return whether the pictures of encoder and decoder differ."""
        assert self._config is not None
        if self._config.topology != "encoder-decoder":
            return False
        display = display_of(self._config)
        return display.differs(self._config) or (display.learned is not None and self._weights is not None)

    @Slot()
    def _draw(self) -> None:
        config = self._config
        if config is None:
            return
        display = display_of(config)
        choices, learned = display.choices(config), display.learned
        stack = self._stack()
        self._allow_heads(stack.n_head)
        has_heads = "head" in choices or (learned is not None and learned.has_heads and self._weights is not None)
        self._show(self.stack, self._has_two_stacks())
        self._show(self.order, "sorted_out" in choices)
        self._show(self.show_as, "angles" in choices)
        self._show(self.stretch, "scaled" in choices)
        self._show(self.source, learned is not None and bool(self._runs))
        self._show(self.head, has_heads)
        self._show(self.head_words, has_heads)
        self.controls.setVisible(any(not widget.isHidden() for widget in self._all_controls))
        self.pictures = self._make_pictures(stack)
        self._show_pictures()

    def _show(self, widget: QWidget, shown: bool) -> None:
        focused = self.focusWidget()
        if not shown and focused is not None and (focused is widget or widget.isAncestorOf(focused)):
            self.setFocus(Qt.FocusReason.OtherFocusReason)  # else Qt would move the focus to a picture, as with Tab
        widget.setVisible(shown)

    def _make_pictures(self, stack: ModelConfig) -> SchemePictures | None:
        """Return the pictures, None if there is nothing to draw."""
        display = display_of(stack)
        if display.learned is not None and self._weights is not None:
            return self._learned(self._weights, display.learned)
        shown = DisplayOptions(
            sorted_out=self.order.value == "sorted",
            angles=self.show_as.value == "angle",
            scaled=self.stretch.value == "on",
            head=self.head.value() - 1,
        )
        return display.draw(stack, self._length, shown) if display.draw is not None else None

    def _learned(self, weights: PositionWeightsRead, display: LearnedDisplay) -> SchemePictures:
        assert self._config is not None
        run = weights.run
        name = self.stack.value if len(weights.learned) > 1 else ""
        source = f"Learned by “{run.name}” in {run.step:,} steps"
        if not has_same_tables(run.config, self._config):
            source += f" (another design, {display.shape(run.config)})"
        own = stacks(run.config)[name]
        if display.has_heads:
            self._allow_heads(own.n_head)
        return display.draw(own, self._length, weights.learned[name], self.head.value() - 1, source)

    def _allow_heads(self, n_head: int) -> None:
        """Allow choosing one of `n_head` heads. The default is the middle one, which has a medium slope in ALiBi."""
        if n_head != self.head.maximum():
            with QSignalBlocker(self.head):
                self.head.setMaximum(n_head)
                if not self._chose_head:
                    self.head.setValue((n_head + 1) // 2)
            self.head_words.setText(f"Head, of {n_head}")

    def _show_pictures(self) -> None:
        pictures = self.pictures
        self.words.setVisible(pictures is not None)
        self._lines.setStretchFactor(self._figures, 0 if pictures is None else 1)
        self._lines.setStretchFactor(self._empty, 1 if pictures is None else 0)
        if self.nothing is not None:
            self._empty.removeWidget(self.nothing)
            self.nothing.hide()
            self.nothing.deleteLater()
            self.nothing = None
        both = (pictures.first, pictures.second) if pictures is not None else ()
        heats = [picture for picture in both if isinstance(picture, HeatPicture)]
        lines = [picture for picture in both if isinstance(picture, PlotSpec)]
        beside = pictures is not None and pictures.beside
        show_only({self.heat[0]: heats and not beside, self.heat[1]: heats and beside, self.lines: lines})
        if pictures is None:
            assert self._config is not None
            self.nothing = EmptyState(*display_of(self._config).nothing(self._config, bool(self._runs)))
            self._empty.addWidget(self.nothing)
            self.nothing.show()
            return
        self.words.setText(pictures.words)
        right, down = QBoxLayout.Direction.LeftToRight, QBoxLayout.Direction.TopToBottom
        self._figures.setDirection(right if beside else down)
        for i, weight in enumerate((0, 4, 5) if beside else (5, 4, 0)):
            self._figures.setStretch(i, weight)
        for heat in heats:
            self.heat[beside].set_picture(heat)
        for line in lines:
            self.lines.show_spec(line)


class _TrainedPositions(QObject):
    """Finds runs with learned positions and reads their tensors; only the latest request of each kind is answered.

    Signals:
        runs_found(PositionRunsFound): the runs with learned positions of the requested kind.
        weights_read(PositionWeightsRead): what a run has learned.
    """

    runs_found = Signal(object)
    weights_read = Signal(object)

    def __init__(self, library: Library, notices: Notices, parent: QObject) -> None:
        super().__init__(parent)
        self._library = library
        self._search, self._reading = LatestTask(self), LatestTask(self)
        for task in (self._search, self._reading):
            task.events_received.connect(self._on_events)
            task.failed.connect(notices.fail)

    def find(self, config: ModelConfig) -> None:
        """Find runs with the topology and position scheme of `config`, those with tensors of the same shapes first."""
        self._search.drive(lambda: find_position_runs(self._library, config))

    def read(self, run: PositionRun) -> None:
        """Read the learned positions of `run`."""
        self._reading.drive(lambda: read_position_weights(run))

    @Slot(object)
    def _on_events(self, events: tuple[Event, ...]) -> None:
        for event in events:
            if isinstance(event, PositionRunsFound):
                self.runs_found.emit(event)
            elif isinstance(event, PositionWeightsRead):
                self.weights_read.emit(event)
