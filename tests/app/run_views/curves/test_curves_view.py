"""The curves view: linked axis, pointer and zoom of all charts, and the layer heat map."""

from __future__ import annotations

import csv
import dataclasses
import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PySide6.QtCore import QEvent, QPoint, QPointF, Qt
from PySide6.QtGui import QMouseEvent
from PySide6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot

from terrarium.app.kit.theme import ThemeProvider
from terrarium.app.plots.chart import Chart
from terrarium.app.run_views.curves.curves_view import CurvesView, RunMarks
from terrarium.app.run_views.curves.layer_heat import LEVELS, format_ratio, in_model_order, layer_cells, short_name
from terrarium.app.run_views.curves.run_axis import RunAxis
from terrarium.app.run_views.shown_run import ShownRun
from terrarium.app.session.run_history import READING, RunHistory
from terrarium.app.session.session import Session
from terrarium.models.events import Noted, TrainMetrics
from terrarium.models.settings.run_spec import RunSpec
from tests.app.run_views.curves.runs import LAYERS, history
from tests.app.wheel import turn_wheel


@pytest.fixture
def view(qtbot: QtBot, session: Session, theme: ThemeProvider, tiny_spec: RunSpec) -> CurvesView:
    view = CurvesView(session, theme)
    qtbot.addWidget(view)
    view.resize(1000, 560)
    view.show()
    view.show_run(ShownRun(id="a", name="Tiny", folder=None, spec=tiny_spec, history=history()))
    return view


def test_before_the_layers_are_measured_it_says_when_they_will_be(view: CurvesView, tiny_spec: RunSpec) -> None:
    def said(step: int, **changes: int) -> object:
        run = RunHistory()
        if step:
            run.train.append({"step": step, "tokens": 100 * step, "elapsed_s": 0.1, "loss": 5.0})
        spec = dataclasses.replace(tiny_spec, train=dataclasses.replace(tiny_spec.train, **changes))
        view.show_run(ShownRun(id="a", name="Tiny", folder=None, spec=spec, history=run))
        return view.layers.chart.message.textItem.toPlainText()

    assert said(3, steps=100, layer_interval=10) == "Measured at step 10 for the first time, then every 10 steps"
    assert said(10, steps=100, layer_interval=10).startswith("Measured at step 20 "), "a fork continues from there"
    assert said(3, steps=8, layer_interval=10) == "Not measured: the run ends at step 8, before step 10"
    assert said(3, steps=100, layer_interval=0) == "Not measured: “Layer statistics every” is 0"


def zoom(chart: Chart, share: float) -> None:
    """As the wheel does it."""
    view = chart.getPlotItem().getViewBox()
    view.scaleBy((share, 1))
    view.sigRangeChangedManually.emit([True, False])


def wheel(chart: Chart, at: QPointF) -> None:
    """Turn the wheel by one notch at a place of the scene."""
    turn_wheel(chart.viewport(), QPointF(chart.mapFromScene(at)))


def test_all_charts_have_the_same_axis(view: CurvesView) -> None:
    run = view.history
    view.choices.axes.setCurrentIndex(view.choices.axes.findData("tokens"))
    for chart in (view.loss.raw, view.rate.line, view.gradient.line, view.speed.line):
        assert np.array_equal(chart.xData, run.train["tokens"] / 1000)
    without_numbers = (view.rate, view.gradient)  # which have charts with the same axis below
    for each in view.charts:
        bottom = each.chart.getPlotItem().getAxis("bottom")
        is_titled = bottom.label.isVisible() and bottom.labelText == "Tokens (thousands)"
        assert is_titled == bottom.style["showValues"] == (each not in without_numbers)
    assert view.layers.positions[-1] == 20.0
    assert view.marks.lines == [6.0, 10.0]
    assert all(chart.axis == RunAxis.of("tokens", run.train) for chart in view.charts)


def test_zooming_one_chart_zooms_all(view: CurvesView) -> None:
    assert not view.whole.isEnabled()
    zoom(view.gradient.chart, 0.5)
    window = view.gradient.chart.window
    assert window is not None
    assert all(chart.chart.window == window for chart in view.charts)
    assert view.whole.isEnabled()
    view.refresh()
    assert view.loss.chart.window == window
    view.whole.click()
    assert all(chart.chart.window is None for chart in view.charts)
    assert not view.whole.isEnabled()
    zoom(view.loss.chart, 0.5)
    view.layers.chart.mouseDoubleClickEvent(None)
    assert view.loss.chart.window is None
    assert not view.whole.isEnabled()


def test_the_wheel_zooms_and_a_drag_pans(view: CurvesView, qtbot: QtBot) -> None:
    chart = view.gradient.chart
    inside = chart.getPlotItem().getViewBox().sceneBoundingRect()
    heights = chart.getPlotItem().getViewBox().viewRange()[1]
    wheel(chart, inside.center())
    window = view.loss.chart.window
    assert window is not None
    assert window[1] - window[0] < 199
    start, end = inside.center().toPoint(), inside.center().toPoint() + QPoint(40, 25)
    qtbot.mousePress(chart.viewport(), Qt.MouseButton.LeftButton, pos=start)
    for point in (start + QPoint(20, 12), end):
        move = QMouseEvent(
            QEvent.Type.MouseMove,
            QPointF(point),
            chart.viewport().mapToGlobal(QPointF(point)),
            Qt.MouseButton.NoButton,
            Qt.MouseButton.LeftButton,
            Qt.KeyboardModifier.NoModifier,
        )
        QApplication.sendEvent(chart.viewport(), move)
    qtbot.mouseRelease(chart.viewport(), Qt.MouseButton.LeftButton, pos=end)
    moved = view.loss.chart.window
    assert moved is not None
    assert moved[0] < window[0]
    assert moved[1] - moved[0] == pytest.approx(window[1] - window[0])
    held = chart.getPlotItem().getViewBox().viewRange()[1]
    assert not chart.has_own_height, "a drag along the chart does not hold its height"
    wheel(chart, QPointF(inside.left() - 10, inside.center().y()))
    assert chart.getPlotItem().getViewBox().viewRange()[1] != held
    assert view.loss.chart.window == pytest.approx(moved), "over the left axis only the height changes"
    view.whole.click()
    assert chart.getPlotItem().getViewBox().viewRange()[1] == pytest.approx(heights)


def test_the_pointer_in_one_chart_reads_all(view: CurvesView) -> None:
    run = view.history
    view.speed.chart.pointed.emit(QPointF(60.2, 1000))
    assert all(chart.chart.cursor_line.value() == 60 for chart in view.charts)
    assert view.rate.read_out.text() == "0.003"
    assert view.speed.read_out.text().startswith("20,000 · 25")
    assert f"training {run.train['loss'][59]:.3f}" in view.loss.read_out.text()
    assert view.layers.read_out.text() == "3.0e-6 to 3.0e-3"
    assert view.position.text() == "6,000 tokens in 6 s · learning rate multiplied by 0.5"
    view.layers.chart.pointed.emit(QPointF(119, 1.5))
    assert view.layers.read_out.text() == "layer 2, step 120: 6.0e-4"
    assert "step 119" in view.loss.read_out.text()
    view.layers.chart.pointed.emit(None)
    assert view.loss.read_out.text() == ""
    assert view.layers.read_out.text() == "1.0e-5 to 1.0e-2"
    assert view.position.text() == "20,000 tokens in 20 s"


def test_the_time_of_a_run_is_that_of_its_last_measurement(view: CurvesView) -> None:
    """As the head and the list tell it: with the validation at its end."""
    view.history.take("metrics", [{"kind": "val", "step": 200, "tokens": 20_000, "elapsed_s": 21.0, "loss": 1.0}])
    view.speed.chart.pointed.emit(QPointF(60.2, 1000))
    view.speed.chart.pointed.emit(None)
    assert view.position.text() == "20,000 tokens in 21 s"


def test_keys_read_values_and_zoom(view: CurvesView, qtbot: QtBot) -> None:
    view.loss.setFocus(Qt.FocusReason.TabFocusReason)
    qtbot.keyClick(view.loss, Qt.Key.Key_Left)
    assert all(chart.chart.cursor_line.value() == 198 for chart in view.charts)
    qtbot.keyClick(view.loss, Qt.Key.Key_Right, Qt.KeyboardModifier.ShiftModifier)
    assert "step 199" in view.loss.read_out.text()
    for _ in range(5):
        qtbot.keyClick(view.loss, Qt.Key.Key_Plus)
    first, _ = view.memory.chart.window or (0, 0)
    assert 150 < first < 199
    qtbot.keyClick(view.loss, Qt.Key.Key_Home)
    assert view.memory.chart.window is not None
    assert view.memory.chart.window[0] == pytest.approx(1), "it goes along with what is read"
    qtbot.keyClick(view.loss, Qt.Key.Key_Minus)
    qtbot.keyClick(view.loss, Qt.Key.Key_Escape)
    assert view.memory.chart.window is None


def test_events_are_marked(view: CurvesView) -> None:
    assert view.marks.lines == [60, 100]
    assert view.marks.ticks == [50, 100, 150, 200]
    assert view.marks.describe(98, 102) == "checkpoint saved, resumed"
    for chart in view.charts:
        assert chart.chart.mark_lines.xvals == [60, 100]
        assert chart.chart.mark_ticks.xvals == ([50, 100, 150, 200] if chart is view.loss else ())
    ended = RunHistory()
    for event, detail in (("early stop", "5 validations without a new lowest loss"), ("notice", "x"), ("failed", "y")):
        ended.add(Noted(step=7, event=event, detail=detail))
    words = RunMarks(ended, RunAxis()).describe(7, 7)
    assert words == "stopped early: 5 validations without a new lowest loss, failed"


def after_the_end(**changes: float) -> TrainMetrics:
    """A step after those of the run."""
    return TrainMetrics(
        step=201,
        total_steps=300,
        tokens=20_100,
        elapsed_s=20.1,
        loss=0.45,
        lr=0.002,
        grad_norm=2.0,
        tokens_per_s=1_000,
        seconds_left=1.0,
        bits_per_byte=0.15,
        **changes,
    )


@pytest.mark.parametrize(("share", "words"), [(0.25, " · 25\N{NO-BREAK SPACE}% of peak"), (1.27, "")])
def test_no_speed_is_more_than_the_peak(view: CurvesView, share: float, words: str) -> None:
    view.history.add(after_the_end(peak_share=share))
    view.refresh()
    assert view.speed.read_out.text() == f"1,000{words}"


def test_it_follows_a_growing_run(view: CurvesView, qtbot: QtBot, monkeypatch: pytest.MonkeyPatch) -> None:
    event = after_the_end()
    view.gradient.chart.pointed.emit(QPointF(60, 1))
    view.history.add(event)
    view.refresh()
    assert view.loss.chart.cursor_line.isVisible(), "what is read stays"
    assert view.position.text().startswith("6,000 tokens")
    view.gradient.chart.pointed.emit(None)
    assert view.loss.raw.xData[-1] == 201
    assert view.rate.read_out.text() == "0.002"
    assert view.speed.read_out.text() == "1,000", "no share of the peak where none was measured"
    qtbot.waitUntil(lambda: view.pause.until > 0)
    now = [view.pause.until]
    monkeypatch.setattr("time.perf_counter", lambda: now[0])
    view.pause.until += 0.1
    view.history.add(dataclasses.replace(event, step=202))
    view.refresh()
    assert view.loss.raw.xData[-1] == 201, "the training has its time first"
    now[0] += 0.2
    qtbot.waitUntil(lambda: view.loss.raw.xData[-1] == 202)


def test_baselines_are_read_from_the_run(
    view: CurvesView, tiny_spec: RunSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert math.isnan(view.loss.frequencies.value)
    monkeypatch.setattr(
        "terrarium.app.run_views.curves.curves_view.initial_measurements", lambda run: {"unigram_entropy": 3.0}
    )
    view.show_run(ShownRun(id="b", name="B", folder=tmp_path, spec=tiny_spec, history=history()))
    assert view.loss.frequencies.value == 3.0
    monkeypatch.undo()
    view.show_run(ShownRun(id="b", name="B", folder=tmp_path, spec=tiny_spec, history=history()))
    assert math.isnan(view.loss.frequencies.value), "there is no run.json"
    begins = RunHistory()
    view.show_run(ShownRun(id="b", name="B", folder=tmp_path, spec=tiny_spec, history=begins))
    monkeypatch.setattr(
        "terrarium.app.run_views.curves.curves_view.initial_measurements", lambda run: {"unigram_entropy": 2.0}
    )
    begins.replace_with(history())
    view.refresh()
    assert view.loss.frequencies.value == 2.0, "another process has begun to train it"


def test_the_layer_heat_map_shows_each_measurement(view: CurvesView) -> None:
    heat, layers = view.layers, view.history.layers
    assert heat.layer_names == ("embedding", "blocks.0", "blocks.1", "final_norm")
    image = heat.image.image  # the first row is drawn at the foot
    (left, right), width = heat.chart.getPlotItem().getViewBox().viewRange()[0], image.shape[1]
    for row, step in enumerate(layers["step"]):
        column = int((step - left) / (right - left) * width)
        expected = [math.log10(layers[name][row]) for name in reversed(heat.layer_names)]
        assert np.allclose(image[:, column], expected, atol=1e-5)
    assert np.isnan(image[:, 0]).all(), "nothing was measured there"
    assert tuple(heat.image.levels) == LEVELS
    assert heat.cell(5, 0) == layers["embedding"][5]


def test_measurements_in_one_column_are_averaged() -> None:
    positions, values = np.arange(10.0, 10_010.0, 10), np.arange(1000.0)[:, None] * [1, -1]
    values[7] = math.nan
    cells = layer_cells(positions, values, 0.0, 10_000.0, 100)
    assert cells.values.shape == (2, 100)
    assert cells.n_mean == pytest.approx(10, rel=0.01)
    for column in (1, 50, 99):
        inside = (positions >= 100 * column) & (positions < 100 * column + 100)
        assert np.allclose(cells.values[:, column], np.nanmean(values[inside], axis=0))
    assert np.allclose(cells.values[0, 0], np.mean([0, 1, 2, 3, 4, 5, 6, 8])), "what is no number does not count"


def test_uneven_measurements_are_drawn_at_their_steps() -> None:
    positions, values = np.array([1.0, 2.0, 10.0]), np.array([[1.0], [2.0], [3.0]])
    cells = layer_cells(positions, values, 0.0, 20.0, 40)
    at = {x: cells.values[0, int(x * 2)] for x in (0.0, 0.5, 1.0, 1.5, 5.5, 6.0, 10.0, 13.5, 14.5)}
    assert math.isnan(at[0.0])
    assert [at[x] for x in (0.5, 1.0, 1.5, 5.5, 6.0, 10.0, 13.5)] == [1, 1, 2, 2, 3, 3, 3]
    assert math.isnan(at[14.5])
    assert np.isnan(layer_cells(np.empty(0), np.empty((0, 2)), 0, 1, 5).values).all()


def test_layers_are_named_in_model_order() -> None:
    names = ("position", "embedding_norm", "blocks.0", "embedding", "segment", "head", "final_norm")
    assert in_model_order(names) == (
        "embedding",
        "position",
        "segment",
        "embedding_norm",
        "blocks.0",
        "final_norm",
        "head",
    )
    assert short_name("encoder.blocks.11") == "enc layer 12"
    assert [format_ratio(ratio) for ratio in (1.23e-3, 0.0, math.nan)] == ["1.2e-3", "0", "–"]


def test_a_run_without_layers_says_so(view: CurvesView, tiny_spec: RunSpec) -> None:
    run = history()
    bare = RunHistory()
    bare.replace_with(run)
    bare.layers, bare.layer_names = RunHistory().layers, ()
    view.show_run(ShownRun(id="c", name="C", folder=None, spec=tiny_spec, history=bare))
    assert view.layers.chart.message.textItem.toPlainText() == "Nothing measured so far"
    assert not view.layers.image.isVisible()
    view.show_run(ShownRun(id="d", name="D", folder=None, spec=tiny_spec, history=RunHistory()))
    assert view.loss.chart.message.isVisible()
    assert view.position.text() == ""


def test_all_numbers_are_exported_regardless_of_zoom(
    view: CurvesView, session: Session, until: Callable[[Callable[[], bool]], None], tmp_path: Path
) -> None:
    run = view.history
    zoom(view.loss.chart, 0.1)
    written: list[str] = []
    session.notices.notified.connect(written.append)
    view.export.export_to(tmp_path / "run.csv", "csv")
    until(lambda: bool(written))
    with (tmp_path / "run.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 200
    assert [float(row["loss"]) for row in rows] == run.train["loss"].tolist()
    assert [float(row["val_loss"]) for row in rows if row["val_loss"]] == run.val["loss"].tolist()
    ratios = [float(row["update_ratio:blocks.1"]) for row in rows if row["update_ratio:blocks.1"]]
    assert ratios == run.layers["blocks.1"].tolist()
    assert rows[10]["memory_bytes"] == str(11 * 2**20)
    assert view.export.name == "Tiny curves"


def test_exported_columns_have_a_row_per_measured_step() -> None:
    run = RunHistory()
    run.val.append({"step": 0, "tokens": 0, "elapsed_s": 0.0, "loss": 7.0})
    run.train.append({"step": 1, "tokens": 64, "elapsed_s": 0.5, "loss": 6.0})
    columns = run.columns()
    assert list(columns)[:4] == ["step", "tokens", "elapsed_s", "loss"]
    assert columns["step"].tolist() == [0, 1]
    assert columns["tokens"].tolist() == [0, 64]
    assert columns["val_loss"][0] == 7.0
    assert math.isnan(columns["loss"][0])
    assert set(history().columns()) == set(columns) | {f"update_ratio:{name}" for name in LAYERS}


def test_charts_are_exported_as_pictures(view: CurvesView, tmp_path: Path) -> None:
    view.export.export_to(tmp_path / "run.png", "png")
    assert (tmp_path / "run.png").read_bytes().startswith(b"\x89PNG")
    view.export.export_to(tmp_path / "run.svg", "svg")
    text = (tmp_path / "run.svg").read_text("utf-8")
    for words in ("Gradient norm", "uniform guess", "layer 2"):
        assert words in text


def test_a_run_that_is_being_read_shows_that(view: CurvesView, tiny_spec: RunSpec) -> None:
    read = RunHistory()
    read.is_loading = True
    view.show_run(ShownRun(id="e", name="E", folder=None, spec=tiny_spec, history=read))
    said = [view.loss.chart.message.toPlainText(), view.layers.chart.message.toPlainText(), view.samples.empty.text()]
    assert said == [READING] * 3
    read.is_loading = False
    view.refresh()
    assert view.loss.chart.message.toPlainText() == "The curve starts with the first steps."
    assert view.samples.empty.text().startswith("None yet")


def test_choices_are_remembered(view: CurvesView, qtbot: QtBot, session: Session, theme: ThemeProvider) -> None:
    view.choices.smoother.setValue(73)
    view.choices.log.setChecked(True)
    view.choices.axes.setCurrentIndex(view.choices.axes.findData("elapsed_s"))
    qtbot.waitUntil(lambda: session.remembered.get("curves", {}) != {})
    again = CurvesView(session, theme)
    qtbot.addWidget(again)
    choices = again.choices
    assert (choices.smoother.value(), choices.log.isChecked(), choices.axis) == (73, True, "elapsed_s")
    assert again.loss.is_log
    assert again.speed.smoothing == 0.73
