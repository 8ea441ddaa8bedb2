"""The chart of a task's metric, and what a run's history says of it."""

from __future__ import annotations

import numpy as np
import pytest
from pytestqt.qtbot import QtBot

from terrarium.app.kit.theme import ThemeProvider
from terrarium.app.run_views.curves.loss_chart import LossChart
from terrarium.app.run_views.curves.metric_chart import MetricChart
from terrarium.app.run_views.curves.run_axis import RunAxis
from terrarium.app.session.run_history import RunHistory
from terrarium.models.events import Noted, ValMetrics
from tests.app.run_views.curves.runs import history


def scored(metric: str, values: tuple[float | None, ...]) -> RunHistory:
    """A run that is scored every 50 steps, and saved each time but the last."""
    run = history()
    whole = RunHistory()
    whole.replace_with(run)
    whole.val = RunHistory().val
    for i, value in enumerate(values, start=1):
        step, loss = 50 * i, 1.0 / i
        whole.add(
            ValMetrics(
                step=step, tokens=step, elapsed_s=step, loss=loss, bits_per_byte=None, metric=metric, metric_value=value
            )
        )
    whole.marks[:] = [Noted(step=50 * i, event="saved") for i in range(1, len(values))]
    return whole


@pytest.mark.parametrize(
    ("metric", "values", "best"),
    [
        ("macro_f1", (0.5, 0.9, 0.7, 0.95), 1),
        ("macro_f1", (0.5, 0.9, 0.9, 0.95), 2),
        ("mae", (0.5, 0.4, 0.7, 0.1), 1),
        ("macro_f1", (None, 0.2, None, 0.4), 1),
        ("macro_f1", (None, None, None, 0.4), None),
    ],
)
def test_the_best_checkpoint_is_by_the_metric(metric: str, values: tuple[float | None, ...], best: int | None) -> None:
    assert scored(metric, values).best_checkpoint == best


def test_a_history_reads_the_metric_from_its_log() -> None:
    run = RunHistory()
    run.take("metrics", [{"kind": "val", "step": 4, "loss": 1.0, "metric": "macro_f1", "metric_value": 0.976}])
    run.take("metrics", [{"kind": "val", "step": 8, "loss": 1.0, "metric": "macro_f1", "metric_value": None}])
    assert run.metric == "macro_f1"
    assert (run.metric_at(3), run.metric_at(4), run.metric_at(8)) == ("", "Macro F1 97.6\N{NO-BREAK SPACE}%", "")
    assert "val_metric_value" in run.columns()
    assert "val_metric_value" not in history().columns(), "a run without a task"


def test_shares_are_drawn_in_percent_with_a_star_at_the_best(qtbot: QtBot, theme: ThemeProvider) -> None:
    loss = LossChart(theme)
    chart = MetricChart(theme, loss)
    for each in (loss, chart):
        qtbot.addWidget(each)
    chart.draw(scored("macro_f1", (0.5, 0.9, 0.7, 0.95)), RunAxis())
    assert chart.heading.text() == "Macro F1"
    chart.draw(scored("macro_f1", (0.4, 1.0, 1.0, 1.0)), RunAxis())
    ticks = chart.chart.getPlotItem().getAxis("left").tickValues(0.0, 140.0, 60.0)
    assert max(value for _, values in ticks for value in values) <= 100
    chart.draw(scored("macro_f1", (0.5, 0.9, 0.7, 0.95)), RunAxis())
    assert np.allclose(chart.line.getData()[1], [50, 90, 70, 95])
    assert chart.best.getData()[0].tolist() == [100]
    assert chart.read_out.text() == "★ best checkpoint: 90.0\N{NO-BREAK SPACE}% at step 100"
    chart.show_point(60)
    assert chart.read_out.text() == "Macro F1 50.0\N{NO-BREAK SPACE}% at step 50"
    chart.draw(scored("pearson", (-0.2, 0.4)), RunAxis())
    assert np.allclose(chart.line.getData()[1], [-0.2, 0.4])
    assert "−0.200" in chart.read_out.text()
