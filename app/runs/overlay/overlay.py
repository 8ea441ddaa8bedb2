"""An overlay of the curves of any number of runs, with a table of their differences."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from PySide6.QtCore import QPointF, QTimer, Signal, Slot
from PySide6.QtWidgets import QBoxLayout, QCheckBox, QWidget

from terrarium.app.kit.basics import button, column, frame, group, label, row, splitter
from terrarium.app.kit.export_button import Columns, ExportButton
from terrarium.app.kit.inputs import choice
from terrarium.app.kit.labels import ElidedLabel
from terrarium.app.kit.layout.relayout import SideBySide
from terrarium.app.kit.layout.tab_order import put_after
from terrarium.app.kit.theme import SPACE, ThemeProvider
from terrarium.app.run_views.curves.curve_choices import Smoother
from terrarium.app.run_views.curves.run_axis import X_AXES, RunAxis
from terrarium.app.runs.overlay.differences import RunDifferences
from terrarium.app.runs.overlay.overlay_chart import Drawing, OverlayPlot
from terrarium.app.runs.overlay.overlay_curves import Curves, CurvesRead, CurvesReader
from terrarium.app.runs.overlay.overlay_legend import OverlayLegend
from terrarium.app.runs.overlay.overlay_lines import COMPARED, ComparedQuantity, LineMaker, OverlaySpec, aligned
from terrarium.app.session.routes import ShowRun
from terrarium.app.session.session import Session
from terrarium.app.worker.background import LatestTask
from terrarium.models.events import Event
from terrarium.models.library.library import RunInfo
from terrarium.models.number_words import format_count
from terrarium.models.runs.curve import Table

_WIDE = 720
"""Minimum width at which the controls are beside the title, in pixels at the usual text size."""
_DRAW_MS, _READ_MS, _POLL_MS = 60, 250, 3000
"""Milliseconds to batch changes, to batch newly read curves, and between polls for live runs."""


class RunOverlay(QWidget):
    """Compares runs of the library, including runs that are training."""

    def __init__(self, session: Session, theme: ThemeProvider, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._session, self._theme = session, theme
        self._runs: dict[str, RunInfo] = {}
        self.curves: dict[str, Curves] = {}
        self._reader, self.maker = CurvesReader(), LineMaker()
        self.drawn: tuple[object, ...] = ()
        self._axis = RunAxis()
        self._is_thinned = False
        self.plot = OverlayPlot(theme)
        self.chart = self.plot.lines_chart
        self.legend = OverlayLegend(theme)
        self.differences = RunDifferences(theme)
        self.title = label("", "heading")
        self.caption = ElidedLabel()
        self.caption.setProperty("role", "caption")
        self.controls = _OverlayControls()
        self.whole = button("Show everything", theme, self.chart.show_whole, role="link", tip="Or double-click")
        self.whole.hide()
        self._build()
        self.reading, self._making = LatestTask(self), LatestTask(self)
        self.reading.events_received.connect(self._on_read)
        self.reading.done.connect(self._show_caption)
        self._making.done.connect(self.on_lines_made)
        self._draw = QTimer(self, singleShot=True)
        self._draw.timeout.connect(self._make_lines)
        self._look = QTimer(self, interval=_POLL_MS)
        self._look.timeout.connect(self.poll)
        self._look.start()
        session.runs.changed.connect(self._on_runs_changed)
        self.controls.scale_changed.connect(self._on_scale)
        self.controls.smoothing_changed.connect(self._on_changed)
        self.chart.getPlotItem().getViewBox().sigRangeChanged.connect(self._on_range)
        self.plot.read.connect(self._on_read_out)
        self.plot.log_changed.connect(self.controls.log_scale.setChecked)
        self.chart.pointed.connect(self._on_pointed)
        self.legend.hidden_changed.connect(self._on_changed)
        self.legend.pointed.connect(self.chart.point_out)
        for part in (self.legend, self.differences):
            part.opened.connect(lambda run_id: session.go(ShowRun(run_id)))
        theme.theme_changed.connect(self._on_theme)

    def _build(self) -> None:
        ticks = row(
            button("All", self._theme, lambda: self.legend.show_all(True), role="link", tip="Draw all lines"),
            button("None", self._theme, lambda: self.legend.show_all(False), role="link", tip="Hide all lines"),
            None,
            spacing=SPACE // 2,
        )
        side = group(self.legend, ticks, spacing=SPACE // 2)
        side.setMinimumWidth(190)
        plot = group(self.plot, row(self.caption, self.whole), spacing=SPACE // 2)
        picture = splitter(plot, side, sizes=[660, 330], grows=0)
        self.export = ExportButton(self._session.notices, self._theme, picture, self._numbers)
        self.export.name = "runs"
        head = QBoxLayout(QBoxLayout.Direction.TopToBottom)
        head.setSpacing(SPACE // 2)
        head.addWidget(self.title)
        head.addLayout(row(None, self.controls, self.export), 1)
        card = frame("card", head, picture, grows=picture)
        SideBySide(card, head, self._theme, _WIDE)
        put_after(self.differences.copy, self.differences.table)
        self.setLayout(column(splitter(card, self.differences, sizes=[460, 240], grows=(3, 2), vertical=True)))

    # -- Compared runs ---------------------------------------------------------------------------------------

    @property
    def run_ids(self) -> tuple[str, ...]:
        """The ids of the compared runs."""
        return tuple(self._runs)

    def show_runs(self, run_ids: Sequence[str]) -> None:
        """Compare these runs; deleted runs are left out."""
        self._runs = self._known(run_ids)
        self.curves = {run_id: curves for run_id, curves in self.curves.items() if run_id in self._runs}
        self.title.setText(format_count(len(self._runs), "run"))
        self.legend.set_runs({run_id: info.name for run_id, info in self._runs.items()})
        self.differences.show_runs(list(self._runs.values()), self.legend.swatch)
        self.drawn = ()
        self.chart.show_whole()
        self._read()
        self._draw.start(_DRAW_MS)

    def _known(self, run_ids: Sequence[str]) -> dict[str, RunInfo]:
        known = {info.id: info for info in self._session.runs.index.infos()}
        return {run_id: known[run_id] for run_id in run_ids if run_id in known}

    @Slot()
    def _on_runs_changed(self) -> None:
        """Handle deleted and renamed runs."""
        runs = self._known(self.run_ids)
        if [(run_id, info.name) for run_id, info in runs.items()] != [(i, info.name) for i, info in self._runs.items()]:
            self.show_runs(self.run_ids)

    def _read(self) -> None:
        folders: dict[str, Path] = {run_id: info.folder for run_id, info in self._runs.items()}
        if folders:
            current = dict(self.curves)
            self.reading.drive(lambda: self._reader.read(folders, current))

    @Slot()
    def poll(self) -> None:
        """While visible, read rows that were added to the runs."""
        if not self.isVisible() or self.reading.busy:
            return
        runs = self._known(self.run_ids)
        if list(runs.values()) != list(self._runs.values()) and len(runs) == len(self._runs):
            self._runs = runs
            self.differences.show_runs(list(runs.values()), self.legend.swatch)
        self._read()

    @Slot(object)
    def _on_read(self, events: tuple[Event, ...]) -> None:
        read = {event.run_id: event.curves for event in events if isinstance(event, CurvesRead) and event.curves}
        self.curves |= {run_id: curves for run_id, curves in read.items() if curves and run_id in self._runs}
        if read:
            self.legend.set_problems({run_id: c.problem for run_id, c in self.curves.items() if c.problem})
            self.drawn = ()
            if not self._draw.isActive():
                self._draw.start(_READ_MS)

    # -- Drawing ---------------------------------------------------------------------------------------------

    @Slot()
    def _on_changed(self) -> None:
        self.drawn = ()
        if not self._draw.isActive():
            self._draw.start(_DRAW_MS)

    @Slot()
    def _on_theme(self) -> None:
        """Redraw in the new colours; the legend has its own handler."""
        self.differences.show_runs(list(self._runs.values()), self.legend.swatch)
        self._on_changed()

    @Slot()
    def _on_scale(self) -> None:
        """Handle a change of quantity, axis or scale: reset the zoom, which no longer applies."""
        self.plot.is_log = self.controls.log
        self.chart.getPlotItem().getAxis("left").setLogMode(y=self.controls.log)
        self.chart.show_window(None)
        self._on_changed()

    @Slot()
    def _on_range(self) -> None:
        self.whole.setVisible(self.chart.window is not None)
        if not self._draw.isActive():
            self._draw.start(_DRAW_MS)

    @Slot()
    def _make_lines(self) -> None:
        hidden = self.legend.hidden
        curves = {
            run_id: self.curves[run_id] for run_id in self._runs if run_id in self.curves and run_id not in hidden
        }
        self._axis = self._axis_of(curves)
        view = self.chart.getPlotItem().getViewBox()
        left, right = self.chart.window or (0.0, self._length(curves))
        spec = OverlaySpec(
            quantity=self.controls.quantity,
            axis=self._axis.column,
            unit=self._axis.unit,
            left=left,
            right=right,
            n_columns=max(int(view.width()), 100),
            smoothing=self.controls.smoothing,
            log=self.controls.log,
        )
        wanted = (spec, tuple(curves))
        if self.drawn == wanted:
            return
        self.drawn = wanted
        maker = self.maker
        self._making.ask(lambda: (spec, Drawing.of(maker.lines(curves, spec))))

    @Slot(object)
    def on_lines_made(self, result: tuple[OverlaySpec, Drawing]) -> None:
        spec, drawing = result
        lines = drawing.lines
        if not lines.keys() <= self.curves.keys():  # outdated: the compared runs have changed
            return
        strokes = {run_id: self.legend.stroke(run_id) for run_id in lines}
        names = {run_id: self._runs[run_id].name for run_id in lines}
        self.chart.show_drawing(drawing, strokes, names)
        curves = {run_id: self.curves[run_id] for run_id in lines}
        self.plot.show_lines(spec.quantity.label, self._axis.title, (0.0, self._length(curves)), names)
        self.chart.say("" if lines or self.reading.busy else f"No {spec.quantity.label.lower()} was measured.")
        self._show_values({run_id: line.end[1] for run_id, line in lines.items()})
        self._is_thinned = any(line.is_thinned for line in lines.values())
        self._show_caption()

    def _axis_of(self, curves: Mapping[str, Curves]) -> RunAxis:
        name = self.controls.axis
        ends = Table((name,))
        ends.append({name: self._farthest(curves, name)})
        return RunAxis.of(name, ends)

    def _length(self, curves: Mapping[str, Curves]) -> float:
        return self._farthest(curves, self._axis.column) / self._axis.unit or 1.0

    def _farthest(self, curves: Mapping[str, Curves], name: str) -> float:
        columns = (run.column(kind, name) for run in curves.values() for kind in ("train", "val"))
        return max((float(column[-1]) for column in columns if len(column)), default=0.0)

    # -- Reading ---------------------------------------------------------------------------------------------

    @Slot(object)
    def _on_pointed(self, point: QPointF | None) -> None:
        self.chart.show_cursor(None if point is None else point.x())
        ends = {run_id: line.end[1] for run_id, line in self.chart.lines.items()}
        self._show_values(ends if point is None else self.chart.values_at(point.x()))

    @Slot(object)
    def _on_read_out(self, i: int | None) -> None:
        """Show the values where a key or the pointer reads."""
        x = None if i is None else float(self.plot.places[i])
        self._on_pointed(None if x is None else QPointF(x, 0.0))

    def _show_values(self, values: Mapping[str, float]) -> None:
        form, log = self.controls.quantity.form, self.controls.log
        self.legend.set_values({run_id: format(10**y if log else y, form) for run_id, y in values.items()})

    @Slot()
    def _show_caption(self) -> None:
        quantity = self.controls.quantity
        n_whole = sum(curves.is_whole for curves in self.curves.values())
        parts = [f"{quantity.label}, {quantity.unit}" if quantity.unit else quantity.label]
        if self.chart.draws_points:
            parts.append(
                "drawn thin: the lowest and highest of each pixel" if self._is_thinned else "drawn thin: each step"
            )
        if self.controls.smoothing:
            parts.append("drawn thick: smoothed" if self.chart.draws_points else "smoothed")
        elif not self.chart.draws_points:
            parts.append("drawn: the lowest and highest of each pixel" if self._is_thinned else "drawn: each step")
        if self.chart.draws_alternating:
            parts.append("coinciding lines alternate")
        if n_whole < len(self.curves) and self.reading.busy:
            parts.append(f"{len(self.curves) - n_whole} of the runs are still being read and show a sample")
        self.caption.setText("; ".join(parts) + ".")

    def _numbers(self) -> Callable[[], Columns]:
        """Return a function that computes the exported columns: the x axis, and the quantity of each visible run."""
        hidden = self.legend.hidden
        shown = {run_id: run for run_id, run in self.curves.items() if run_id not in hidden}
        names = {run_id: self._runs[run_id].name for run_id in shown}
        return functools.partial(aligned, shown, names, self.controls.quantity, self.controls.axis)


class _OverlayControls(QWidget):
    """The controls side by side: quantity, x axis, smoothing and scale.

    Signals:
        scale_changed(): the quantity, axis or scale has changed, so the zoom no longer applies.
        smoothing_changed(): the smoothing has changed.
    """

    scale_changed = Signal()
    smoothing_changed = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        quantities = {name: quantity.label for name, quantity in COMPARED.items()}
        self.quantities = choice("Compared quantity", "Compared quantity", quantities)
        axes = {name: f"by {words.lower()}" for name, words in X_AXES.items()}
        self.axes = choice("X axis", "X axis: steps, tokens or training time", axes)
        self.log_scale = QCheckBox("Log scale")
        self.log_scale.setToolTip("Draw the values on a logarithmic axis, which shows late differences")
        self.smoother = Smoother("Smoothing of the lines, over up to a quarter of each run")
        self.setLayout(row(label("Smoothing", "caption"), self.smoother, self.log_scale, self.quantities, self.axes))
        self.quantities.currentIndexChanged.connect(self.scale_changed)
        self.axes.currentIndexChanged.connect(self.scale_changed)
        self.log_scale.toggled.connect(self.scale_changed)
        self.smoother.valueChanged.connect(self.smoothing_changed)

    @property
    def quantity(self) -> ComparedQuantity:
        """The compared quantity."""
        return COMPARED[self.quantities.currentData()]

    @property
    def axis(self) -> str:
        """The column of the x axis."""
        name: str = self.axes.currentData()
        return name

    @property
    def smoothing(self) -> float:
        """The smoothing, from 0 (none) to 1."""
        return self.smoother.amount

    @property
    def log(self) -> bool:
        """Whether the y axis is logarithmic."""
        return self.log_scale.isChecked()
