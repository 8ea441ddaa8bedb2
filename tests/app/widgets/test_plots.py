"""The charts of a run: what they show of it, and where they write."""

from __future__ import annotations

import math

import numpy as np
import pytest
from PySide6.QtCore import QPointF
from pytestqt.qtbot import QtBot

from app.run_history import RunHistory
from app.theme import ThemeProvider
from app.widgets.chart import NumberAxis, moving_average
from app.widgets.plots import LossChart
from app.widgets.small_chart import SmallChart


def history(n: int = 200, *, end: float = 0.5) -> RunHistory:
    """A run whose loss falls from 7 to `end`, validated every 50 steps."""
    run = RunHistory()
    for step in range(1, n + 1):
        loss = end + (7 - end) * math.exp(-20 * step / n)
        shared = {"step": step, "tokens": 100 * step, "elapsed_s": 0.1 * step, "loss": loss}
        run.train.append({**shared, "lr": 0.003, "grad_norm": 1.5, "tokens_per_s": 20_000})
        if step % 50 == 0:
            run.val.append({**shared, "bits_per_byte": loss / 3})
    return run


@pytest.fixture
def chart(qtbot: QtBot, theme: ThemeProvider) -> LossChart:
    chart = LossChart(theme)
    qtbot.addWidget(chart)
    chart.resize(700, 300)
    chart.show()
    return chart


def seen(chart: LossChart) -> tuple[tuple[float, float], tuple[float, float]]:
    (x0, x1), (y0, y1) = chart._chart.getPlotItem().getViewBox().viewRange()
    return (x0, x1), (y0, y1)


def test_an_empty_run_says_what_will_come(chart: LossChart) -> None:
    assert chart._nothing.isVisible()
    assert not any(name.isVisible() for name in chart._names)
    chart.show_history(history(), 1024)
    assert not chart._nothing.isVisible()


def test_all_of_a_run_is_seen_with_room_for_the_names(chart: LossChart) -> None:
    chart.show_history(history(), 1024)
    (left, right), (low, high) = seen(chart)
    assert -20 < left < 0
    assert right > 220, "the names stand beside the curves' ends"
    assert -0.7 < low < 0
    assert high > math.log(1024)
    ends = sorted((name.textItem.toPlainText(), name.pos().y()) for name in chart._names)
    assert ends[0][0].startswith("training 0.5")
    assert ends[1][0] == "validation 0.500"
    per_pixel = (high - low) / chart._chart.getPlotItem().getViewBox().height()
    assert abs(ends[0][1] - ends[1][1]) >= 0.99 * chart._names[0].boundingRect().height() * per_pixel
    assert all(name.pos().x() >= 200 for name in chart._names)


def test_noise_does_not_stretch_the_logarithmic_axis(chart: LossChart) -> None:
    run = history()
    run.train["loss"][150] = 1e-6
    chart.show_history(run, 0)
    chart._log.setChecked(True)
    assert seen(chart)[1][0] > math.log10(0.1)


def test_a_closer_look_stays_until_everything_is_asked_for(chart: LossChart) -> None:
    run = history()
    chart.show_history(run, 1024)
    view = chart._chart.getPlotItem().getViewBox()
    whole = seen(chart)
    view.scaleBy((0.5, 0.5))
    view.sigRangeChangedManually.emit([True, True])
    closer = seen(chart)
    chart.refresh()
    assert seen(chart) == closer
    chart._chart.mouseDoubleClickEvent(None)
    assert np.allclose(seen(chart), whole)


def test_the_pointer_reads_off_the_run(chart: LossChart) -> None:
    chart.show_history(history(), 1024)
    view = chart._chart.getPlotItem().getViewBox()
    chart._on_mouse((view.mapViewToScene(QPointF(120, 3)),))
    assert chart._cursor.value() == 120
    lines = chart._read_out.textItem.toPlainText().split("\n")
    assert [line.split()[0] for line in lines] == ["step", "training", "validation", "bits/byte"]
    assert lines[0].split()[1] == "120"
    chart._on_mouse((QPointF(-50, -50),))
    assert not chart._read_out.isVisible()


def test_numbers_along_an_axis_have_room(theme: ThemeProvider) -> None:
    axis = NumberAxis("left")
    axis.setTickFont(theme.font())
    ((spacing, values),) = axis.tickValues(0.0, 35_000.0, 60.0)
    assert 1 <= len(values) <= 3
    assert axis.tickStrings([0.0, 20_000.0], 1.0, spacing) == ["0", "20,000"]
    assert axis.tickStrings([-0.001, 0.0, 0.001], 1.0, 0.001) == ["", "0", "0.001"]


def test_logarithmic_axes_name_round_numbers(theme: ThemeProvider) -> None:
    axis = NumberAxis("left")
    axis.setLogMode(False, True)
    ((_, values),) = axis.tickValues(math.log10(0.09), math.log10(7), 200.0)
    assert axis.tickStrings(values, 1.0, 1.0) == ["0.1", "0.2", "0.5", "1", "2", "5"]


def test_the_average_spans_a_share_of_the_run() -> None:
    step = np.concatenate((np.zeros(500), np.ones(500)))
    assert np.array_equal(moving_average(step, 0.0), step)
    assert moving_average(step, 0.4)[550] > 0.9
    assert moving_average(step, 1.0)[550] < 0.3


def test_small_charts_name_the_latest_value(qtbot: QtBot, theme: ThemeProvider) -> None:
    chart = SmallChart(theme, "Learning rate", "lr", "", ".3g")
    qtbot.addWidget(chart)
    assert chart._value.text() == "–"
    run = history()
    chart.show_history(run)
    assert chart._value.text() == "0.003"
    run.train.append({"step": 201})
    chart.refresh()
    assert chart._value.text() == "–"
