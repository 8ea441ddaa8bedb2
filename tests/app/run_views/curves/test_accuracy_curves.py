"""The chart of held-out accuracy by kind, and what a run's history says of it."""

from __future__ import annotations

import dataclasses
import itertools

import numpy as np
from pytestqt.qtbot import QtBot

from terrarium.app.kit.theme import ThemeProvider
from terrarium.app.run_views.curves.accuracy_curves import AccuracyCurves
from terrarium.app.run_views.curves.curves_view import CurvesView
from terrarium.app.run_views.curves.loss_chart import LossChart
from terrarium.app.run_views.curves.run_axis import RunAxis
from terrarium.app.run_views.shown_run import ShownRun
from terrarium.app.session.run_history import RunHistory
from terrarium.app.session.session import Session
from terrarium.models.tiny_world.questions import KINDS
from tests.app.measured import measured
from tests.app.run_views.curves.runs import history

FOUND = (measured(0, 0.0), measured(50, 0.5), measured(100, 0.75))


def asked() -> RunHistory:
    """A run that was asked held-out questions at steps 0, 50 and 100."""
    run = history()
    for each in FOUND:
        assert run.add(each)
    return run


def test_a_history_reads_it_from_its_log() -> None:
    run = RunHistory()
    rows = [dataclasses.asdict(each) for each in FOUND]
    run.take("accuracy", [rows[0], {"step": 3}, {**rows[1], "kinds": [{"kind": "state"}]}, rows[1], rows[2]])
    assert run.accuracy == list(FOUND), "malformed rows are skipped"
    other = RunHistory()
    other.replace_with(run)
    assert other.accuracy == run.accuracy


def test_it_is_exported_beside_the_loss() -> None:
    columns = asked().columns()
    assert len({len(column) for column in columns.values()}) == 1
    for kind in KINDS:
        column = columns[f"accuracy:{kind}"]
        known = np.flatnonzero(np.isfinite(column))
        assert columns["step"][known].tolist() == [0, 50, 100]
        assert column[known].tolist() == [next(k.accuracy for k in each.kinds if k.kind == kind) for each in FOUND]
    assert columns["tokens"][0] == 0
    assert not any(name.startswith("accuracy:") for name in history().columns())


def test_a_curve_for_each_kind_named_at_its_end(qtbot: QtBot, theme: ThemeProvider) -> None:
    loss = LossChart(theme)
    chart = AccuracyCurves(theme, loss)
    for each in (loss, chart):
        qtbot.addWidget(each)
    chart.resize(600, 220)
    chart.show()
    chart.draw(asked(), RunAxis())
    assert chart.lines["state"].getData()[0].tolist() == [0, 50, 100]
    assert chart.lines["state"].getData()[1].tolist() == [0, 50, 75]
    assert chart.lines["sums"].getData()[1].tolist() == [0, 0, 0]
    assert chart.read_out.text() == "first four: 75.0\N{NO-BREAK SPACE}% at step 100, 24 of each"
    chart.show_point(60)
    assert chart.read_out.text().startswith("first four: 50.0\N{NO-BREAK SPACE}% at step 50: Facts 50, Stories 50")
    apart = chart.names["state"].boundingRect().height() * chart.chart.getPlotItem().getViewBox().viewPixelSize()[1]
    heights = sorted(chart.names[kind].pos().y() for kind in KINDS)
    assert all(high - low > 0.9 * apart for low, high in itertools.pairwise(heights)), "no name on another"
    chart.draw(history(), RunAxis())
    assert chart.read_out.text() == ""


def test_it_is_shown_for_runs_that_were_asked(session: Session, qtbot: QtBot, theme: ThemeProvider) -> None:
    view = CurvesView(session, theme)
    qtbot.addWidget(view)
    for run, shown in ((history(), False), (asked(), True), (history(), False)):
        view.show_run(ShownRun(id="x", name="x", folder=None, spec=None, history=run))
        assert view.accuracy.isHidden() != shown
