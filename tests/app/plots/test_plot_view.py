"""Charts that are described by specs: what they draw, read, zoom, summarize and export."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from PySide6.QtCore import QPoint, QPointF, Qt
from PySide6.QtGui import QContextMenuEvent, QEnterEvent
from PySide6.QtWidgets import QApplication, QFileDialog, QMenu, QToolButton, QVBoxLayout, QWidget
from pytestqt.qtbot import QtBot

from terrarium.app.kit.export_button import Exporter
from terrarium.app.kit.theme import ThemeProvider
from terrarium.app.plots.chart import Chart
from terrarium.app.plots.linked_charts import LinkedCharts
from terrarium.app.plots.plot_spec import Band, Goal, PlotSpec, Series, as_steps, short_number
from terrarium.app.plots.plot_view import PlotView
from terrarium.app.session.session import Session
from tests.app.charts import assert_abilities

X = np.array([1.0, 2.0, 4.0, 8.0])
DOTS = Series(
    x=X,
    y=np.array([3.0, math.nan, 0.5, 6.0]),
    kind="joined",
    name="score",
    low=np.array([2.0, math.nan, 0.25, math.nan]),
    high=np.array([4.0, math.nan, 1.0, math.nan]),
    star=2,
)
BARS = Series(x=X, y=np.array([1.0, 2.0, 3.0, 4.0]), kind="bars", name="count", role=1, labels=["one", "", "", "four"])
LINE = Series(x=np.array([1.0, 8.0]), y=np.array([2.0, 20.0]), name="law", style="dashed", width=1.2)
SPEC = PlotSpec(
    series=(DOTS, LINE),
    goals=(Goal(value=5.0, name="goal: 5"), Goal(value=3.0, name="start", is_vertical=True)),
    bands=(Band(low=1.0, high=2.0, name="healthy"),),
    x_title="Steps",
    y_title="Score",
)


@pytest.fixture
def plot(qtbot: QtBot, theme: ThemeProvider) -> PlotView:
    plot = PlotView(theme, "Scores", has_y=True)
    qtbot.addWidget(plot)
    plot.resize(500, 260)
    plot.show()
    return plot


def ranges(plot: PlotView) -> tuple[list[float], list[float]]:
    across, up = plot.chart.getPlotItem().getViewBox().viewRange()
    return across, up


@pytest.mark.parametrize("mode", ["light", "dark"])
@pytest.mark.parametrize(
    "spec",
    [
        SPEC,
        PlotSpec(series=(BARS,), x_names=[(1.0, "first"), (8.0, "last")]),
        PlotSpec(series=(DOTS,), at=X, heights=DOTS.y, words="{}".format, arrows=[(0, 2)]),
        PlotSpec(series=(Series(x=X, y=X, kind="none", name="drawn elsewhere"),)),
        PlotSpec(series=(Series(x=X[:1], y=X[:1], name="one point"),)),
    ],
    ids=["lines", "bars", "dots", "none", "one"],
)
def test_whatever_is_shown_can_be_read_zoomed_and_exported(
    plot: PlotView, theme: ThemeProvider, spec: PlotSpec, mode: str, tmp_path: Path
) -> None:
    theme.set_mode(mode)
    plot.show_spec(spec)
    plot.grab()
    assert_abilities(plot, tmp_path)


def test_nothing_is_built_before_there_is_something_to_show(plot: PlotView) -> None:
    assert plot.findChild(Chart) is None
    plot.show_spec(SPEC)
    assert plot.findChild(Chart) is plot.chart


def test_the_menu_opens_by_key_and_by_a_click(plot: PlotView, qtbot: QtBot, monkeypatch: pytest.MonkeyPatch) -> None:
    plot.show_spec(SPEC)
    opened = list[QPoint]()
    monkeypatch.setattr(QMenu, "popup", lambda menu, at: opened.append(at))
    ground = plot.chart.viewport()
    inside, corner = ground.rect().center(), plot.chart.geometry().topRight()
    by_key, by_mouse = QContextMenuEvent.Reason.Keyboard, QContextMenuEvent.Reason.Mouse
    QApplication.sendEvent(plot, QContextMenuEvent(by_key, corner, plot.mapToGlobal(corner)))
    QApplication.sendEvent(ground, QContextMenuEvent(by_mouse, inside, ground.mapToGlobal(inside)))
    assert opened == [plot.mapToGlobal(corner), ground.mapToGlobal(inside)]
    QApplication.sendEvent(plot, QEnterEvent(*[QPointF(inside)] * 3))
    qtbot.waitUntil(lambda: plot.findChild(QToolButton) is not None)
    button = plot.findChild(QToolButton)
    button.click()
    assert len(opened) == 3
    plot.resize(300, 200)
    assert plot.rect().contains(button.geometry()), "it stays at the corner"
    plot.copy_picture()
    assert not button.isVisible(), "it is not in the picture"


def test_the_summary_names_ends_extremes_and_intervals(plot: PlotView) -> None:
    plot.show_spec(SPEC)
    words = plot.accessibleDescription()
    assert words == plot.summary()
    assert words.startswith("Score by Steps, from 1 to 8. Score: 3 points, first 3 (2 to 4), last 6,")
    assert "lowest 0.5 (0.25 to 1), highest 6." in words
    assert "Law: 2 points, first 2, last 20" in words
    assert "Line: goal: 5. Line: start. Healthy: 1 to 2." in words


def test_all_numbers_are_exported(plot: PlotView) -> None:
    columns = SPEC.columns()
    assert columns["score, x"].tolist() == X.tolist()  # type: ignore[union-attr]
    np.testing.assert_array_equal(columns["score, y"], DOTS.y)
    np.testing.assert_array_equal(columns["score, low"], DOTS.low)
    np.testing.assert_array_equal(columns["law, y"], [2.0, 20.0, math.nan, math.nan])
    assert list(PlotSpec(series=(LINE, LINE)).columns())[2:] == ["law (2), x", "law (2), y"]
    assert PlotSpec(series=(BARS,)).columns()["count, label"] == ["one", "", "", "four"]


def test_keys_read_and_choose(plot: PlotView, qtbot: QtBot) -> None:
    plot.show_spec(SPEC)
    read, chosen = list[int | None](), list[int]()
    plot.read.connect(read.append)
    plot.chosen.connect(chosen.append)
    for key in (Qt.Key.Key_Home, Qt.Key.Key_Right, Qt.Key.Key_End, Qt.Key.Key_Return, Qt.Key.Key_Escape):
        qtbot.keyClick(plot, key)
    assert read == [0, 1, 2, None], "without a y there is nothing to read at 2"
    assert chosen == [2]
    plot.show_point(0)
    assert plot.read_out.text() == "Steps 1: score 3 (2 to 4), law 2"


def test_the_pointer_reads_the_nearest_x_or_the_point_that_is_near(plot: PlotView) -> None:
    plot.show_spec(SPEC)
    plot.chart.pointed.emit(QPointF(6.1, 100.0))
    assert plot.index == 2
    assert plot.chart.cursor_line.value() == 8
    plot.show_spec(PlotSpec(series=(DOTS,), at=X, heights=DOTS.y, words="{}".format))
    plot.chart.pointed.emit(QPointF(4.05, 0.5))
    assert (plot.index, plot.read_out.text()) == (2, "2")
    plot.chart.pointed.emit(QPointF(4.05, 6.0))
    assert plot.index is None


def test_a_logarithmic_axis_shows_positive_values_only(plot: PlotView) -> None:
    plot.show_spec(PlotSpec(series=(LINE,)))
    assert plot.can_log
    plot.set_log(True)
    np.testing.assert_allclose(plot.items[0].line.getData()[1], np.log10(LINE.y))
    low, high = ranges(plot)[1]
    assert low < math.log10(2) < math.log10(20) < high
    assert high - low < 2
    plot.show_spec(PlotSpec(series=(Series(x=X, y=X - 1.0),)))
    assert not plot.can_log, "zero has no logarithm"
    assert np.isnan(plot.up(np.array([0.0])))[0]


def test_a_logarithmic_x_axis_begins_where_it_says(plot: PlotView) -> None:
    plot.show_spec(
        PlotSpec(series=(Series(x=np.array([0.0, 10.0, 100.0]), y=X[:3]),), x_range=(1.0, 100.0), is_log_x=True)
    )
    assert plot.items[0].line.getData()[0].tolist() == [0.0, 1.0, 2.0]
    assert plot.places.tolist() == [0.0, 10.0, 100.0]


def test_zoom_is_shared_and_undone(qtbot: QtBot, theme: ThemeProvider) -> None:
    plots = [PlotView(theme, name) for name in ("above", "below")]
    for plot in plots:
        qtbot.addWidget(plot)
        plot.show_spec(SPEC)
    linked = LinkedCharts([plot.chart for plot in plots])
    qtbot.keyClick(plots[0], Qt.Key.Key_End)
    qtbot.keyClick(plots[0], Qt.Key.Key_Plus)
    assert plots[1].chart.window == plots[0].chart.window != None  # noqa: E711
    linked.show_whole()
    assert plots[0].chart.window is None


def test_items_are_kept_while_a_chart_is_redrawn_and_removed_with_their_series(plot: PlotView) -> None:
    plot.show_spec(SPEC)
    dots, n = plot.items[0].dots, len(plot.chart.scene().items())
    plot.show_spec(SPEC)
    assert plot.items[0].dots is dots
    assert len(plot.chart.scene().items()) == n
    plot.show_spec(PlotSpec(series=(BARS,)))
    plot.show_spec(SPEC)
    assert len(plot.chart.scene().items()) == n


def test_a_long_series_is_thinned_without_losing_peaks(plot: PlotView) -> None:
    x, y = np.arange(100_000.0), np.zeros(100_000)
    y[77_777] = 9.0
    for kind in ("line", "dots"):
        plot.show_spec(PlotSpec(series=(Series(x=x, y=y, kind=kind),)))  # type: ignore[arg-type]
        plot.grab()
        item = plot.items[0].line if kind == "line" else plot.items[0].dots
        drawn = item.getData()
        assert len(drawn[0]) < 5_000
        assert drawn[1].max() == 9.0


def test_the_menu_exports_by_the_window(
    qtbot: QtBot, theme: ThemeProvider, session: Session, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    window = QWidget()
    qtbot.addWidget(window)
    window.installEventFilter(Exporter(session.notices, theme, window))
    inside, plot = QWidget(), PlotView(theme, "Scores: of all")
    QVBoxLayout(window).addWidget(inside)
    QVBoxLayout(inside).addWidget(plot)
    plot.show_spec(SPEC)
    asked: list[str] = []

    def answer(parent: object, title: str, name: str, filters: str) -> tuple[str, str]:
        asked.append(name)
        return str(tmp_path / name), filters

    monkeypatch.setattr(QFileDialog, "getSaveFileName", answer)
    for kind in ("PNG", "CSV"):
        action = next(action for action in plot.menu().actions() if kind in action.text())
        action.trigger()
    qtbot.waitUntil(lambda: (tmp_path / "Scores- of all.csv").exists())
    assert asked == ["Scores- of all.png", "Scores- of all.csv"]
    assert (tmp_path / "Scores- of all.csv").read_text("utf-8").startswith('"score, x","score, y"')


def test_the_scale_is_chosen_in_the_menu(plot: PlotView) -> None:
    heard = list[bool]()
    plot.log_changed.connect(heard.append)
    plot.show_spec(PlotSpec(series=(LINE,)))
    log = next(action for action in plot.menu().actions() if action.text() == "Logarithmic scale")
    log.trigger()
    assert heard == [True]
    assert plot.is_log
    plot.show_spec(PlotSpec(series=(BARS,)))
    plot.set_log(False)
    log = next(action for action in plot.menu().actions() if action.text() == "Logarithmic scale")
    assert not log.isEnabled(), "bars begin at zero"


def test_steps_and_numbers() -> None:
    x, y = as_steps(np.array([0, 1, 2]), np.array([5, 6, 7]))
    assert x.tolist() == [0, 1, 1, 2, 2]
    assert y.tolist() == [5, 5, 6, 6, 7]
    numbers = (12345.6, 0.00012346, 3.0, math.nan, -0.5)
    assert [short_number(each) for each in numbers] == ["12,346", "0.0001235", "3", "–", "−0.5"]
