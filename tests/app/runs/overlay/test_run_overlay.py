"""The overlay of several runs, and the lineage of one."""

from __future__ import annotations

import csv
import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyqtgraph as pg
import pytest
from PySide6.QtCore import QPointF, Qt
from pytestqt.qtbot import QtBot

from terrarium.app.kit.theme import ThemeProvider
from terrarium.app.lineage.origin_view import LineageCard, OriginView
from terrarium.app.run_views.shown_run import ShownRun
from terrarium.app.runs.overlay.overlay import RunOverlay
from terrarium.app.runs.overlay.overlay_curves import Curves
from terrarium.app.session.routes import Route, ShowRun
from terrarium.app.session.run_history import RunHistory
from terrarium.app.session.session import Session
from terrarium.models.settings.model_config import ModelConfig
from tests.app.heard import Heard
from tests.runs_on_disk import make_run, metrics_line

Until = Callable[[Callable[[], bool]], None]


@pytest.fixture
def overlay(session: Session, theme: ThemeProvider, tiny_config: ModelConfig, qtbot: QtBot) -> RunOverlay:
    """Two runs of 200 and 100 steps, which end at losses of 2 and 3."""
    make_run(session.library, tiny_config, "long", losses=[7 - i / 40 for i in range(200)], validations=(2.5, 2.25))
    wide = dataclasses.replace(tiny_config, d_model=64)
    make_run(session.library, wide, "short", losses=[6 - i / 33 for i in range(100)], validations=())
    session.runs.index.refresh()
    overlay = RunOverlay(session, theme)
    qtbot.addWidget(overlay)
    overlay.resize(1100, 700)
    overlay.show()
    return overlay


def shown(overlay: RunOverlay) -> set[str]:
    return set(overlay.chart.lines)


def test_runs_are_drawn_with_their_differences(overlay: RunOverlay, until: Until) -> None:
    overlay.show_runs(("long", "short", "gone"))
    until(lambda: shown(overlay) == {"long", "short"} and all(run.is_whole for run in overlay.curves.values()))
    until(lambda: len(overlay.differences.comparison.runs) == 2)
    assert next(one.label for one in overlay.differences.comparison.columns if one.is_setting) == "Width"
    until(lambda: "each step" in overlay.caption.text())
    table = list(csv.reader(overlay.differences.as_csv().splitlines()))
    assert table[0][0] == "Run"
    assert {row[0] for row in table[1:]} == {"long", "short"}
    overlay.grab()


def test_one_differing_setting_is_counted_as_one(
    overlay: RunOverlay, session: Session, tiny_config: ModelConfig, until: Until
) -> None:
    for name, config in (("a", tiny_config), ("b", dataclasses.replace(tiny_config, dropout=0.3))):
        make_run(session.library, config, name, losses=[3.0, 2.0])
    session.runs.index.refresh()
    overlay.show_runs(("a", "b"))
    until(lambda: overlay.differences.note.text().startswith("1 setting differs; "))


def test_lines_are_hidden_and_another_quantity_is_chosen(overlay: RunOverlay, until: Until) -> None:
    overlay.show_runs(("long", "short"))
    until(lambda: shown(overlay) == {"long", "short"})
    overlay.legend.topLevelItem(1).setCheckState(0, Qt.CheckState.Unchecked)
    until(lambda: shown(overlay) == {"long"})
    overlay.legend.show_all(True)
    until(lambda: shown(overlay) == {"long", "short"})
    overlay.controls.quantities.setCurrentIndex(overlay.controls.quantities.findData("val"))
    until(lambda: shown(overlay) == {"long"})
    assert overlay.legend.topLevelItem(1).text(1) == "–"
    overlay.controls.quantities.setCurrentIndex(overlay.controls.quantities.findData("bits"))
    until(lambda: shown(overlay) == set())


def test_larger_text_does_not_cut_off_the_names_of_the_lines(
    overlay: RunOverlay, theme: ThemeProvider, until: Until
) -> None:
    overlay.show_runs(("long", "short"))
    until(lambda: shown(overlay) == {"long", "short"} and not overlay.reading.busy)
    chart, area = overlay.chart, overlay.chart.getPlotItem().getViewBox()
    theme.set_text_scale(1.5)

    def names() -> list[pg.TextItem]:
        return [item for item in chart.items() if isinstance(item, pg.TextItem) and item.toPlainText() in chart.lines]

    size = theme.font(0.9).pointSizeF()
    until(lambda: [item.textItem.font().pointSizeF() for item in names()] == [size, size])
    chart.grab()
    assert all(item.sceneBoundingRect().right() <= area.sceneBoundingRect().right() for item in names())


def test_the_pointer_reads_all_lines(overlay: RunOverlay, until: Until) -> None:
    overlay.controls.smoother.setValue(0)
    overlay.controls.log_scale.setChecked(True)
    overlay.controls.axes.setCurrentIndex(overlay.controls.axes.findData("tokens"))
    overlay.show_runs(("long", "short"))
    until(lambda: shown(overlay) == {"long", "short"} and overlay.chart.lines["long"].end[0] == pytest.approx(12.8))
    assert [overlay.legend.topLevelItem(i).text(1) for i in (0, 1)] == ["2.025", "3.000"]
    overlay.chart.pointed.emit(QPointF(0.064, 0))
    assert [overlay.legend.topLevelItem(i).text(1) for i in (0, 1)] == ["7.000", "6.000"]
    overlay.chart.pointed.emit(QPointF(10.0, 0))
    assert overlay.legend.topLevelItem(1).text(1) == "–"
    overlay.chart.pointed.emit(None)
    assert overlay.legend.topLevelItem(1).text(1) == "3.000"


def test_zooming_in_draws_all_points(overlay: RunOverlay, until: Until) -> None:
    overlay.controls.smoother.setValue(0)
    overlay.show_runs(("long", "short"))
    until(lambda: shown(overlay) == {"long", "short"})
    overlay.chart.show_window((50.0, 60.0))
    until(lambda: len(overlay.chart.lines["long"].raw[0]) < 30)
    assert overlay.whole.isVisibleTo(overlay)
    overlay.whole.click()
    until(lambda: len(overlay.chart.lines["long"].raw[0]) == 200)


def test_growing_runs_are_redrawn(overlay: RunOverlay, session: Session, until: Until) -> None:
    overlay.show_runs(("long", "short"))
    until(lambda: shown(overlay) == {"long", "short"} and not overlay.reading.busy)
    with (session.library.runs / "short" / "metrics.jsonl").open("a") as file:
        file.write(metrics_line("train", 300, 1.0))
    overlay.poll()
    until(lambda: overlay.chart.lines["short"].end[0] == 300)


def test_the_numbers_are_exported_run_by_run(overlay: RunOverlay, heard: Heard, tmp_path: Path, until: Until) -> None:
    overlay.show_runs(("long", "short"))
    until(lambda: shown(overlay) == {"long", "short"} and not overlay.reading.busy)
    columns = overlay.export.numbers()()
    assert list(columns) == ["step", "long", "short"]
    assert columns["long"][0] == 7.0
    assert columns["short"][1] == pytest.approx(6 - 1 / 33, abs=1e-6)
    assert len(columns["short"]) == 200
    assert np.isnan(columns["short"][100:]).all()


def test_a_lineage_leads_to_other_runs(
    session: Session, theme: ThemeProvider, tiny_config: ModelConfig, qtbot: QtBot, until: Until
) -> None:
    make_run(session.library, tiny_config, "parent")
    folder = make_run(session.library, tiny_config, "child", lineage={"parent": {"run": "parent", "step": 5}})
    view, asked = OriginView(session, theme), list[Route]()
    session.routed.connect(asked.append)
    qtbot.addWidget(view)
    view.resize(700, 500)
    view.show()
    view.show_run(ShownRun(id="", name="new", folder=None, spec=None, history=RunHistory()))
    assert view.lineage is None
    view.show_run(ShownRun(id="child", name="child", folder=folder, spec=None, history=RunHistory()))
    until(lambda: view.lineage is not None)
    card: LineageCard = view.cards[1]
    qtbot.mouseClick(card, Qt.MouseButton.LeftButton)
    card.setFocus()
    qtbot.keyClick(card, Qt.Key.Key_Return)
    qtbot.mouseClick(view.cards[0], Qt.MouseButton.LeftButton)
    assert asked == [ShowRun("parent"), ShowRun("parent")]
    (folder / "run.json").write_text("{")
    session.runs.changed.emit()
    until(lambda: view.lineage is None)


def test_outdated_lines_are_not_drawn(overlay: RunOverlay, until: Until) -> None:
    overlay.show_runs(("long", "short"))
    until(lambda: shown(overlay) == {"long", "short"} and not overlay.reading.busy and bool(overlay.drawn))
    made = overlay.drawn[0], overlay.chart.drawing
    overlay.show_runs(("long",))
    overlay.show_runs(("long", "short"))  # whose curves are read once more
    overlay.on_lines_made(made)
    until(lambda: shown(overlay) == {"long", "short"} and not overlay.reading.busy)


def test_smoothed_lines_of_older_curves_are_not_reused(overlay: RunOverlay, until: Until) -> None:
    overlay.show_runs(("long",))
    until(lambda: shown(overlay) == {"long"} and not overlay.reading.busy and bool(overlay.drawn))
    maker, spec = overlay.maker, overlay.drawn[0]
    curves = overlay.curves["long"]
    lower = {name: values / 2 if name == "loss" else values for name, values in curves.columns["train"].items()}
    newer = Curves({**curves.columns, "train": lower})
    old, new = (maker.lines({"long": one}, spec)["long"].end[1] for one in (curves, newer))
    assert new == pytest.approx(old / 2)
    assert not maker.lines({}, spec)
    assert not maker.smoothed
