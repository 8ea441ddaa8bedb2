"""Every class of charts has the abilities of all: here with made numbers, or on the pages that show it."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from pytestqt.qtbot import QtBot

from terrarium import app
from terrarium.app.builder.costs.design_costs import Slice
from terrarium.app.builder.costs.stacked_bar import StackedBar
from terrarium.app.home.accuracy_chart import AccuracyChart
from terrarium.app.kit.theme import ThemeProvider
from terrarium.app.plots.chart_base import ChartBase
from terrarium.app.plots.plot_spec import Floats
from terrarium.app.run_views.curves.accuracy_curves import AccuracyCurves
from terrarium.app.run_views.curves.layer_heat import LayerHeat
from terrarium.app.run_views.curves.loss_chart import LossChart
from terrarium.app.run_views.curves.metric_chart import MetricChart
from terrarium.app.run_views.curves.run_axis import RunAxis
from terrarium.app.run_views.curves.small_chart import SmallChart
from terrarium.app.run_views.diagnosis.diagnosis_view import SymptomChart
from terrarium.app.run_views.rewards.figure_chart import FigureChart, Series
from terrarium.app.run_views.rewards.kl_chart import Dots, KlChart, Line
from terrarium.app.run_views.scores.figures import ConfusionMap, ReliabilityPlot
from terrarium.app.runs.overlay.overlay_chart import Drawing, OverlayPlot
from terrarium.app.runs.overlay.overlay_legend import Stroke
from terrarium.app.runs.overlay.overlay_lines import RunLine
from terrarium.app.tokenizer.compare.group_bars import BarSeries, Group, GroupBars
from terrarium.app.tokenizer.compare.metrics import Metric
from terrarium.app.tokenizer.making.growth_chart import GrowthChart
from terrarium.models.events import AlignMetrics, VocabularyGrowth
from terrarium.models.tokenizers.text.compare import Figures
from tests.app.charts import assert_abilities
from tests.app.measured import measured
from tests.app.run_views.curves.runs import history
from tests.app.run_views.curves.test_metric_chart import scored

ON_PAGES = (
    "ContributionBars",
    "HeatMap",
    "LayerLines",
    "LensGrid",
    "MaskGrid",
    "ParallelPlot",
    "PartGrid",
    "TokenMap",
    "TrackedLines",
    "WinMatrix",
    "PlotView",
    "ReliabilityCurve",
)
"""Charts without a recipe below: tests/app/shell/test_every_page_fits.py meets them, or their own tests read them."""
Make = Callable[[ThemeProvider], ChartBase]
MADE: dict[type[ChartBase], Make] = {}


def makes(cls: type[ChartBase]) -> Callable[[Make], Make]:
    """Register what makes a chart of a class, with data."""

    def add(make: Make) -> Make:
        MADE[cls] = make
        return make

    return add


@makes(KlChart)
def kl_chart(theme: ThemeProvider) -> ChartBase:
    chart, kl = KlChart(theme, "What was meant", "", "validation", has_x=True), np.array([0.0, 0.5, 2.0, 1.5])
    value = np.array([0.1, 0.3, 0.6, 0.5])
    words = [f"look {i}" for i in range(4)]
    law = Line(name="law", tip="", kl=kl[:3], value=value[:3], role="muted")
    chart.draw(Dots(kl=kl, value=value, low=value - 0.1, high=value + 0.1, words=words, peak=2), [law], 3.0)
    return chart


@makes(LossChart)
def loss_chart(theme: ThemeProvider) -> ChartBase:
    chart = LossChart(theme)
    chart.show_history(history(), 200)
    return chart


@makes(SmallChart)
def small_chart(theme: ThemeProvider) -> ChartBase:
    chart = SmallChart(theme, "Gradient norm", "grad_norm", noisy=True)
    chart.draw(history(), RunAxis())
    return chart


@makes(MetricChart)
def metric_chart(theme: ThemeProvider) -> ChartBase:
    chart = MetricChart(theme, LossChart(theme))
    chart.draw(scored("macro_f1", (0.5, 0.9, 0.7, 0.95)), RunAxis())
    return chart


@makes(AccuracyCurves)
def accuracy_curves(theme: ThemeProvider) -> ChartBase:
    chart, run = AccuracyCurves(theme, LossChart(theme)), history()
    for each in (measured(50, 0.5), measured(100, 0.75)):
        run.add(each)
    chart.draw(run, RunAxis())
    return chart


@makes(LayerHeat)
def layer_heat(theme: ThemeProvider) -> ChartBase:
    chart = LayerHeat(theme)
    chart.draw(history(), RunAxis())
    return chart


@makes(FigureChart)
def figure_chart(theme: ThemeProvider) -> ChartBase:
    chart, run = FigureChart(theme, (Series(name="kl"),), tall=True), history()
    for step in range(1, 9):
        figures = (("kl", step / 4),)
        run.add(AlignMetrics(step=step, tokens=step, elapsed_s=float(step), is_validation=False, figures=figures))
    chart.draw(run, RunAxis())
    return chart


@makes(SymptomChart)
def symptom_chart(theme: ThemeProvider) -> ChartBase:
    chart = SymptomChart(theme, "danger")
    chart.set_curve("Gradient norm", np.arange(1.0, 9.0), np.exp(np.arange(8.0)), 4)
    return chart


@makes(ReliabilityPlot)
def reliability_plot(theme: ThemeProvider) -> ChartBase:
    chart = ReliabilityPlot(theme)
    shares = [i / 10 for i in range(10)]
    chart.show_bins([{"low": s, "high": s + 0.1, "n": round(10 * s), "accuracy": s, "confidence": s} for s in shares])
    return chart


@makes(ConfusionMap)
def confusion_map(theme: ThemeProvider) -> ChartBase:
    chart = ConfusionMap(theme)
    chart.show_confusion(("glad", "sad"), ((5, 1), (2, 7)))
    return chart


@makes(GroupBars)
def group_bars(theme: ThemeProvider) -> ChartBase:
    chart = GroupBars(theme)
    metric = Metric("Tokens", "", "{:.0f}".format, -1, of_texts=lambda figures: figures.n_tokens)
    figures = [Figures(n_tokens=n, n_words=3) for n in (7, 4)]
    chart.show_groups(metric, [BarSeries("byte", 0), BarSeries("word", 1)], [Group("All", figures)])
    return chart


@makes(GrowthChart)
def growth_chart(theme: ThemeProvider) -> ChartBase:
    chart = GrowthChart(theme)
    for i in range(3):
        chart.add_point(VocabularyGrowth(vocab_size=256 * 2**i, bytes_per_token=1.0 + i, sample_bytes=1000))
    return chart


@makes(OverlayPlot)
def overlay_plot(theme: ThemeProvider) -> ChartBase:
    plot, x = OverlayPlot(theme), np.arange(1.0, 9.0)
    points: tuple[Floats, Floats] = x, 1 / x
    line = RunLine(raw=points, smooth=points, end=(8.0, 0.125), is_thinned=False)
    names = {"a": "first"}
    plot.lines_chart.show_drawing(Drawing.of({"a": line}), {"a": Stroke.number(0, theme)}, names)
    plot.show_lines("Loss", "Steps", (0.0, 8.0), names)
    return plot


@makes(StackedBar)
def stacked_bar(theme: ThemeProvider) -> ChartBase:
    bar = StackedBar(theme, "{:.0f}".format)
    bar.setAccessibleName("Parameters")
    bar.set_bars([Slice("attention", 40, 0), Slice("feed-forward", 80, 1)])
    return bar


@makes(AccuracyChart)
def accuracy_chart(theme: ThemeProvider) -> ChartBase:
    chart = AccuracyChart(theme)
    chart.show_kinds(measured(50, 0.5).kinds)
    return chart


@pytest.mark.parametrize("cls", MADE, ids=lambda cls: cls.__name__)
def test_it_has_the_abilities_of_every_chart(
    cls: type[ChartBase], qtbot: QtBot, theme: ThemeProvider, tmp_path: Path
) -> None:
    chart = MADE[cls](theme)
    qtbot.addWidget(chart)
    chart.resize(500, 260)
    chart.show()
    assert type(chart) is cls
    assert_abilities(chart, tmp_path)


def classes() -> Iterator[type[ChartBase]]:
    """Yield all classes of charts of the window."""
    for module in pkgutil.walk_packages(app.__path__, "terrarium.app."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    waiting = [ChartBase]
    while waiting:
        cls = waiting.pop()
        waiting += cls.__subclasses__()
        if cls.__module__.startswith("terrarium.app") and cls is not ChartBase:
            yield cls


def test_no_class_of_charts_is_forgotten() -> None:
    bases = {"Figure", "RunChart", "LayerFigure"}
    assert {cls.__name__ for cls in classes()} - {cls.__name__ for cls in MADE} - bases == set(ON_PAGES)
