"""The charts of a run: values, labels and zoom."""

from __future__ import annotations

import math

import numpy as np
import pytest
from PySide6.QtCore import QPointF
from pytestqt.qtbot import QtBot

from terrarium.app.kit.help_mark import HelpMark
from terrarium.app.kit.theme import ThemeProvider
from terrarium.app.plots.chart import NumberAxis
from terrarium.app.plots.curve_points import moving_average, thinned, trailing_average
from terrarium.app.run_views.curves.loss_chart import BITS_PER_BYTE, PERPLEXITY, QUANTITIES, LossChart
from terrarium.app.run_views.curves.run_axis import RunAxis, nearest_row
from terrarium.app.run_views.curves.small_chart import SmallChart
from terrarium.app.session.run_history import RunHistory
from terrarium.models.events import TextCompared
from terrarium.models.settings.tasks import TASKS
from tests.app.run_views.curves.runs import history

MEASURED = {"unigram_entropy": 5.214, "unigram_tokens": 200_000}


@pytest.fixture
def chart(qtbot: QtBot, theme: ThemeProvider) -> LossChart:
    chart = LossChart(theme)
    qtbot.addWidget(chart)
    chart.resize(700, 300)
    chart.show()
    return chart


def seen(chart: LossChart) -> tuple[tuple[float, float], tuple[float, float]]:
    (x0, x1), (y0, y1) = chart.chart.getPlotItem().getViewBox().viewRange()
    return (x0, x1), (y0, y1)


def choose(chart: LossChart, quantity: object) -> None:
    chart.quantities.setCurrentIndex(QUANTITIES.index(quantity))


def test_an_empty_run_has_a_hint(chart: LossChart) -> None:
    assert chart.chart.message.isVisible()
    assert not any(name.isVisible() for name in chart.line_names)
    chart.show_history(history(), 1024)
    assert not chart.chart.message.isVisible()


def test_what_is_drawn_is_what_was_measured(chart: LossChart) -> None:
    run = history()
    chart.show_history(run, 1024)
    chart.set_smoothing(0.4)
    for curve, y in ((chart.raw, run.train["loss"]), (chart.smooth, moving_average(run.train["loss"], 0.4))):
        assert np.array_equal(curve.xData, run.train["step"])
        assert np.array_equal(curve.yData, y)
    assert np.array_equal(chart.val.getData(), (run.val["step"], run.val["loss"]))


def test_the_loss_of_labels_is_not_per_token(chart: LossChart) -> None:
    chart.show_history(history(), 1024)
    choose(chart, PERPLEXITY)
    assert chart.quantities.itemText(0) == "Loss (nats per token)"
    chart.show_history(history(), 3, None, "label", TASKS["classification"].loss_unit)
    assert chart.quantities.currentText() == "Loss (nats per row)"
    assert not chart.quantities.model().item(QUANTITIES.index(PERPLEXITY)).isEnabled()
    chart.show_history(history(), 1024)
    assert chart.quantities.model().item(QUANTITIES.index(PERPLEXITY)).isEnabled()


def test_perplexity_is_e_to_the_loss(chart: LossChart) -> None:
    run = history()
    chart.show_history(run, 1024, MEASURED)
    choose(chart, PERPLEXITY)
    assert np.allclose(chart.raw.yData, np.exp(run.train["loss"]))
    assert np.allclose(chart.smooth.yData, np.exp(moving_average(run.train["loss"], 0.4)))
    assert np.allclose(chart.val.getData()[1], np.exp(run.val["loss"]))
    assert chart.uniform_guess.value == pytest.approx(1024)
    assert chart.uniform_guess.name.textItem.toPlainText() == "uniform guess: 1,024"
    assert chart.frequencies.name.textItem.toPlainText() == f"token frequencies: {math.exp(5.214):.0f}"
    chart.show_point(119)
    assert f"training {math.exp(run.train['loss'][119]):.2f}" in chart.read_out.text()


def test_bits_per_byte_are_drawn_where_they_were_measured(chart: LossChart) -> None:
    run = history()
    chart.show_history(run, 1024)
    choose(chart, BITS_PER_BYTE)
    assert np.array_equal(chart.raw.yData, run.train["bits_per_byte"])
    assert chart.uniform_guess.value == pytest.approx(math.log(1024) / 3), "in the run's own bits per nat"
    masked = history()
    masked.train["bits_per_byte"][:] = math.nan
    chart.show_history(masked, 1024)
    assert np.array_equal(chart.raw.yData, masked.train["loss"]), "a run without any shows its loss"
    assert not chart.quantities.model().item(QUANTITIES.index(BITS_PER_BYTE)).isEnabled()


def test_baselines_in_bits_per_byte_are_those_of_the_held_out_text(chart: LossChart) -> None:
    run = history()
    run.val["bits_per_byte"][:] = run.val["loss"] / 2  # its tokens are shorter
    chart.show_history(run, 1024, MEASURED)
    choose(chart, BITS_PER_BYTE)
    assert chart.uniform_guess.value == pytest.approx(math.log(1024) / 2)
    assert chart.frequencies.value == pytest.approx(5.214 / 2)


def test_tables_of_the_text_are_lines_in_bits_per_byte_only(chart: LossChart) -> None:
    chart.show_history(history(), 1024)
    chart.show_tables(TextCompared(n_held_out=9, n_train=90, gzip=2.6, trigram=2.9, table=2.0, table_order=7))
    assert all(math.isnan(line.value) for line in chart.tables)
    choose(chart, BITS_PER_BYTE)
    assert [line.value for line in chart.tables] == [2.9, 2.6, 2.0]
    assert chart.tables[1].name.toPlainText() == "gzip: 2.60"
    chart.show_tables(None)
    assert all(math.isnan(line.value) for line in chart.tables)


def test_baselines_are_marked(chart: LossChart) -> None:
    chart.show_history(history(), 1024)
    assert not chart.frequencies.name.isVisible(), "nothing was measured"
    chart.show_history(history(), 200, MEASURED)
    guess, frequencies = chart.uniform_guess.name, chart.frequencies.name
    assert guess.textItem.toPlainText() == "uniform guess: ln 200 = 5.30"
    assert frequencies.textItem.toPlainText() == "token frequencies: 5.21"
    assert "200,000 tokens" in frequencies.toolTip()
    upper, lower = (item.mapRectToScene(item.boundingRect()) for item in (guess, frequencies))
    assert upper.bottom() < lower.top(), "the lines are close, the names are not"


@pytest.mark.parametrize("width", [120, 260, 700])
def test_baselines_can_be_read_at_any_width(chart: LossChart, width: int) -> None:
    chart.resize(width, 300)
    chart.show_history(history(), 200, MEASURED)
    name, view = chart.uniform_guess.name, chart.chart.getPlotItem().getViewBox()
    place = name.mapRectToScene(name.boundingRect())
    assert view.sceneBoundingRect().adjusted(-1, -1, 1, 1).contains(place)
    assert place.left() >= view.sceneBoundingRect().left() + 10, "it touches neither the axis nor a curve's beginning"
    words = "uniform guess: ln 200 = 5.30"
    assert name.textItem.toPlainText() == words or words in name.toolTip()


def test_the_whole_run_is_visible_with_space_for_labels(chart: LossChart) -> None:
    chart.show_history(history(), 1024)
    (left, right), (low, high) = seen(chart)
    assert -20 < left < 0
    assert right > 220, "the names stand beside the curves' ends"
    assert -0.7 < low < 0
    assert high > math.log(1024)
    ends = sorted((name.textItem.toPlainText(), name.pos().y()) for name in chart.line_names)
    assert ends[0][0].startswith("training 0.5")
    assert ends[1][0] == "validation 0.500"
    per_pixel = (high - low) / chart.chart.getPlotItem().getViewBox().height()
    assert abs(ends[0][1] - ends[1][1]) >= 0.99 * chart.line_names[0].boundingRect().height() * per_pixel
    assert all(name.pos().x() >= 200 for name in chart.line_names)


def test_noise_does_not_stretch_the_logarithmic_axis(chart: LossChart) -> None:
    run = history()
    run.train["loss"][150] = 1e-6
    chart.show_history(run, 0)
    chart.set_log(True)
    assert seen(chart)[1][0] > math.log10(0.1)
    assert np.allclose(chart.raw.yData, np.log10(run.train["loss"]))


def test_zoom_stays_until_it_is_reset(chart: LossChart) -> None:
    run = history()
    chart.show_history(run, 1024)
    view = chart.chart.getPlotItem().getViewBox()
    whole = seen(chart)
    view.scaleBy((0.5, 1))
    view.sigRangeChangedManually.emit([True, False])
    closer = seen(chart)
    assert closer[1] != whole[1], "as high as what is seen of the curves"
    assert chart.chart.window is not None
    run.train.append({"step": 201, "loss": 0.4})
    chart.refresh()
    assert seen(chart)[0] == closer[0]
    view.scaleBy((1, 0.5))
    view.sigRangeChangedManually.emit([False, True])
    higher = seen(chart)
    chart.refresh()
    assert np.allclose(seen(chart), higher), "the left axis was moved by hand"
    chart.chart.mouseDoubleClickEvent(None)
    assert np.allclose(seen(chart)[1], whole[1])
    assert chart.chart.window is None
    view.scaleBy((3, 1))
    view.sigRangeChangedManually.emit([True, False])
    assert chart.chart.window is None, "more than everything is everything"


def test_the_pointer_reads_values(chart: LossChart) -> None:
    chart.show_history(history(), 1024)
    view = chart.chart.getPlotItem().getViewBox()
    chart.chart.on_mouse((view.mapViewToScene(QPointF(120.3, 3)),))
    assert chart.chart.cursor_line.value() == 120
    loss, validation = chart.history.train["loss"][119], chart.history.val["loss"][1]
    assert chart.read_out.text() == f"step 120  training {loss:.3f}  validation {validation:.3f} at 100"
    chart.chart.on_mouse((QPointF(-50, -50),))
    assert not chart.chart.cursor_line.isVisible()
    assert chart.read_out.text() == ""


def test_the_axis_is_steps_tokens_or_time() -> None:
    run = history()
    assert np.array_equal(RunAxis.of("step", run.train).of_rows(run.train), run.train["step"])
    tokens = RunAxis.of("tokens", run.train)
    assert tokens.title == "Tokens (thousands)"
    assert np.allclose(tokens.of_rows(run.val), [5, 10, 15, 20])
    assert np.allclose(tokens.of_steps([50, 51], run.train), [5, 5.1])
    run.train.append({"step": 201, "tokens": 2e6, "elapsed_s": 4 * 3600.0})
    assert RunAxis.of("tokens", run.train).title == "Tokens (millions)"
    assert RunAxis.of("elapsed_s", run.train).of_rows(run.train)[-1] == 4.0
    assert [nearest_row(np.array([1.0, 2.0, 4.0]), x) for x in (-1, 1.4, 1.6, 2.9, 3.1, 9)] == [0, 0, 1, 1, 2, 2]


def test_no_peak_is_lost_where_points_share_a_pixel() -> None:
    rng = np.random.default_rng(0)
    x, y = np.arange(100_000.0), rng.standard_normal(100_000)
    y[[0, 77_777, 99_999]] = 50, -60, 70
    y[500:600] = math.nan
    drawn_x, drawn_y = thinned(x, y, 0.0, 99_999.0, 800)
    assert len(drawn_x) == len(drawn_y) <= 2 * 801
    for value, place in ((50, 0), (-60, 77_777), (70, 99_999)):
        at = drawn_x[drawn_y == value]
        assert len(at)
        assert np.all(np.abs(at - place) <= 100_000 / 800)
    assert np.all(np.diff(drawn_x) >= 0)
    near_x, near_y = thinned(x, y, 1000.0, 1500.0, 800)
    assert np.array_equal(near_x, x[999:1502])
    assert np.array_equal(near_y, y[999:1502])


def test_axis_numbers_are_not_cut_off(theme: ThemeProvider) -> None:
    axis = NumberAxis("left")
    axis.setTickFont(theme.font())
    ((spacing, values),) = axis.tickValues(0.0, 35_000.0, 60.0)
    assert 1 <= len(values) <= 3
    assert axis.tickStrings([0.0, 20_000.0], 1.0, spacing) == ["0", "20,000"]
    ((_, values),) = axis.tickValues(0.0, 35_000.0, 18.0)
    assert values == [20_000.0], "a low chart has room for one"
    assert axis.tickStrings([-0.001, 0.0, 0.001], 1.0, 0.001) == ["−0.001", "0", "0.001"]


def test_logarithmic_axes_name_round_numbers(theme: ThemeProvider) -> None:
    axis = NumberAxis("left")
    axis.setLogMode(False, True)
    for low, high, expected in (
        (0.09, 7, ["0.1", "0.2", "0.5", "1", "2", "5"]),
        (0.5, 9000, ["1", "10", "100", "1,000"]),
        (1.3, 6.2, ["2", "3", "4", "5", "6"]),
        (1.84, 1.853, ["1.84", "1.845", "1.85"]),
    ):
        ((_, values),) = axis.tickValues(math.log10(low), math.log10(high), 200.0)
        assert axis.tickStrings(values, 1.0, 1.0) == expected


def test_the_average_spans_a_share_of_the_run() -> None:
    step = np.concatenate((np.zeros(500), np.ones(500)))
    assert np.array_equal(moving_average(step, 0.0), step)
    assert moving_average(step, 0.4)[550] > 0.9
    assert moving_average(step, 1.0)[550] < 0.3


def test_small_charts_name_the_latest_value(qtbot: QtBot, theme: ThemeProvider) -> None:
    chart = SmallChart(theme, "Learning rate", "lr")
    memory = SmallChart(theme, "Memory", "memory_bytes", form=".0f", sparse=True, scale=lambda most: (2.0, "pairs"))
    qtbot.addWidget(chart)
    qtbot.addWidget(memory)
    assert chart.read_out.text() == "–"
    run, axis = history(), RunAxis()
    chart.draw(run, axis)
    memory.draw(run, axis)
    assert chart.read_out.text() == "0.003"
    assert memory.read_out.text() == f"{191 * 2**19}", "looked at every tenth step"
    assert np.array_equal(memory.line.xData, np.arange(1.0, 200.0, 10))
    assert memory.line.yData[0] == 2**19
    memory.show_point(14)
    assert memory.read_out.text() == f"{11 * 2**19}", "in the unit that stands beside the name"
    run.train.append({"step": 201})
    chart.draw(run, axis)
    assert chart.read_out.text() == "–", "a step without one"
    chart.draw(RunHistory(), axis)
    assert chart.read_out.text() == "–"


def test_on_a_logarithmic_axis_the_average_is_of_a_share_of_the_steps_so_far() -> None:
    values = np.arange(1.0, 101.0)
    averaged = trailing_average(values, 0.2)
    assert averaged[0] == 1.0
    assert averaged[9] == pytest.approx(np.mean([9, 10]))
    assert averaged[99] == pytest.approx(np.mean(values[80:]))
    values[98] = np.nan
    assert trailing_average(values, 0.2)[99] == pytest.approx(np.nanmean(values[80:]))
    assert np.isnan(trailing_average(np.full(3, np.nan), 0.2)).all()
    assert trailing_average(np.array([1.0, 2.0]), 1.0, np.array([3.0, 1.0]))[1] == pytest.approx(1.25)


@pytest.mark.parametrize("controls", [True, False])
def test_its_heading_is_explained_once(qtbot: QtBot, theme: ThemeProvider, controls: bool) -> None:
    chart = LossChart(theme, controls=controls)
    qtbot.addWidget(chart)
    assert len(chart.findChildren(HelpMark)) == 1
