"""Reward against KL, in the rewards view: the looks, the peak and the run that stops there, the law, best-of-n."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Sequence

import numpy as np
import pytest
from PySide6.QtCore import QPointF, Qt
from PySide6.QtTest import QTest

from terrarium.app.run.fork_dialog import ForkDialog
from terrarium.app.run.run_view import RunView
from terrarium.app.run_views.rewards.kl_panel import KlPanel
from terrarium.app.run_views.rewards.rewards_view import RewardsView
from terrarium.app.session.routes import Route, ShowRun, StopAt
from terrarium.app.session.session import Session
from terrarium.models.alignment.best_of import BestOfPoint
from terrarium.models.alignment.overoptimisation import ParentCurves, read_parent_curves, write_parent_curves
from terrarium.models.files.jsonl import read_rows
from terrarium.models.runs.run_folder import RunFolder
from terrarium.models.training.stages import parent_draws
from tests.app.heard import Heard, Until


def panel_of(run_view: RunView, run_id: str, until: Until) -> KlPanel:
    run_view.show_run(run_id)
    until(lambda: run_view.follower.is_loaded)
    run_view.views.show_view("rewards")
    view = run_view.views.view("rewards")
    assert isinstance(view, RewardsView)
    view.refresh()
    QTest.mouseClick(view.against.buttons.button(1), Qt.MouseButton.LeftButton)
    assert view.kl.isVisible()
    return view.kl


def write_looks(session: Session, run_id: str, golds: Sequence[float], kls: Sequence[float] = ()) -> None:
    """Replace the run's looks by made ones, at equal steps up to its last."""
    log = session.runs.find(run_id).folder / "alignment.jsonl"
    rows = [row for row in read_rows(log) if not row["is_validation"]]
    steps = np.linspace(0, 6 if len(golds) < 8 else 2 * len(golds), len(golds)).tolist()
    for i, (step, gold) in enumerate(zip(steps, golds, strict=True)):
        kl = kls[i] if kls else 0.5 * i
        figures = {"kl": kl, "reward": 0.4 * i, "gold": gold, "held_out/replies": 128}
        rows.append({"step": round(step), "tokens": 0, "elapsed_s": 0.0, "is_validation": True, "figures": figures})
    log.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def test_every_look_is_a_dot_and_a_click_shows_its_replies(
    run_view: RunView, session: Session, run_id: str, until: Until
) -> None:
    panel = panel_of(run_view, run_id, until)
    log = read_rows(session.runs.find(run_id).folder / "alignment.jsonl")
    held_out = [row for row in log if row["is_validation"]]
    assert [look.step for look in panel.points] == [0, 3, 6]
    assert panel.proxy.dots.value.tolist() == [row["figures"]["reward"] for row in held_out]
    assert panel.gold.dots.value.tolist() == [row["figures"]["gold"] for row in held_out]
    assert panel.gold.dots.high[0] == pytest.approx(panel.points[0].interval[1])  # type: ignore[index]
    chart = panel.proxy
    (first, last), _ = chart.chart.getPlotItem().getViewBox().viewRange()
    assert first <= 0 < panel.points[-1].kl ** 0.5 <= last
    chart.chart.pointed.emit(QPointF(panel.points[1].kl ** 0.5, panel.points[1].proxy))
    assert panel.gold.read_out.text() == "0\N{NO-BREAK SPACE}% (0 to 49)", "both say what is pointed at"
    assert run_view.views.view("rewards").position.text().startswith("Step 3 · KL ")
    QTest.mouseClick(panel.axis.buttons.button(1), Qt.MouseButton.LeftButton)
    (_, last), _ = chart.chart.getPlotItem().getViewBox().viewRange()
    assert last >= panel.points[-1].kl
    QTest.keyClick(chart, Qt.Key.Key_Right)
    QTest.keyClick(chart, Qt.Key.Key_Return)
    views = run_view.views
    until(lambda: views.current == "replies")
    assert views.view("replies").step == 6, "the keys went one further"


def test_one_click_makes_a_run_that_ends_at_the_peak(
    run_view: RunView, session: Session, run_id: str, went: list[Route], until: Until, heard: Heard
) -> None:
    write_looks(session, run_id, [0.05, 0.5, 0.1])
    panel = panel_of(run_view, run_id, until)
    assert panel.peak_words.text() == "Peak: 50\N{NO-BREAK SPACE}% as meant, at step 3"
    assert "The model of this step is kept" in panel.peak_detail.text()
    assert "more than chance" in panel.peak_detail.text()
    assert panel.gold.dots.peak == 1
    before = {info.id for info in session.runs.list()}
    QTest.mouseClick(panel.stop, Qt.MouseButton.LeftButton)
    until(lambda: len(session.runs.list()) > len(before))
    [made] = [info for info in session.runs.list() if info.id not in before]
    run, source = (RunFolder.open(session.runs.find(each).folder) for each in (made.id, run_id))
    assert (run.name, run.status, run.spec.train.steps) == ("aligned, stopped at step 3", "finished", 3)
    [kept] = run.checkpoints()
    assert (kept / "model.safetensors").read_bytes() == (source.checkpoint_path(3) / "model.safetensors").read_bytes()
    assert max(row["step"] for row in run.read_alignment()) == 3
    assert [row["event"] for row in run.read_events()][-2:] == ["forked", "finished"]
    until(lambda: went == [StopAt(run_id, 3), ShowRun(made.id)])


def test_a_run_that_still_learns_is_stopped_at_its_peak_too(
    run_view: RunView, session: Session, run_id: str, until: Until
) -> None:
    write_looks(session, run_id, [0.05, 0.5, 0.1])
    source = RunFolder.open(session.runs.find(run_id).folder)
    source.acquire()  # as long as it is trained
    try:
        source.update(status="running")
        panel = panel_of(run_view, run_id, until)
        QTest.mouseClick(panel.stop, Qt.MouseButton.LeftButton)
        until(lambda: len(session.runs.list()) == 3)
        made = next(info for info in session.runs.list() if "stopped at step 3" in info.name)
        assert RunFolder.open(made.folder).status == "finished"
        assert source.status == "running", "it goes on"
    finally:
        source.release()


def test_best_of_n_has_a_law_of_its_own(run_view: RunView, session: Session, run_id: str, until: Until) -> None:
    n = [1 << power for power in range(9)]
    kl = [math.log(each) - (each - 1) / each for each in n]
    gold = [0.05 + d * (0.6 - 0.2 * d) for d in np.sqrt(kl).tolist()]
    points = [BestOfPoint(n=each, proxy=float(i), gold=gold[i], kl=kl[i]) for i, each in enumerate(n)]
    folder = session.runs.find(run_id).folder
    write_parent_curves(
        folder, ParentCurves(n_prompts=32, n_replies=256, share=0.05, best_of=tuple(points), predicted=())
    )
    panel = panel_of(run_view, run_id, until)
    assert "d (α − β d): α 0.60, β 0.20, R² 1.00" in panel.parent_detail.text()
    assert [line.name for line in panel.gold.lines][-1] == "best-of-n's law"


def test_the_peak_is_forked_with_other_settings_too(
    run_view: RunView, session: Session, run_id: str, until: Until
) -> None:
    write_looks(session, run_id, [0.05, 0.5, 0.1])
    panel = panel_of(run_view, run_id, until)
    QTest.mouseClick(panel.fork, Qt.MouseButton.LeftButton)
    dialog = run_view.findChild(ForkDialog) or run_view.window().findChild(ForkDialog)
    assert dialog is not None
    assert dialog.checkpoint.currentData() == 3
    dialog.reject()


def test_what_has_not_fallen_is_not_stopped(run_view: RunView, session: Session, run_id: str, until: Until) -> None:
    write_looks(session, run_id, [0.05, 0.2, 0.3])
    panel = panel_of(run_view, run_id, until)
    assert not panel.stop.isEnabled()
    assert "It has not fallen" in panel.stop.toolTip()
    assert "From 8 measurements on (3 so far)" in panel.fit_detail.text()


def test_without_a_checkpoint_of_the_peak_the_one_before_it_is_taken_and_without_any_it_says_so(
    run_view: RunView, session: Session, run_id: str, until: Until
) -> None:
    write_looks(session, run_id, [0.05, 0.1, 0.5, 0.1])  # at the steps 0, 2, 4 and 6
    panel = panel_of(run_view, run_id, until)
    assert "The nearest checkpoint before it is of step 3, 1 step earlier." in panel.peak_detail.text()
    assert panel.stop.isEnabled()
    shutil.rmtree(RunFolder.open(session.runs.find(run_id).folder).checkpoint_path(3))
    panel.refresh()
    assert not panel.stop.isEnabled()
    assert "No checkpoint at or before step 4 is left" in panel.stop.toolTip()


def test_the_words_of_the_least_kl_are_clear_of_the_curve(
    run_view: RunView, session: Session, run_id: str, until: Until
) -> None:
    write_looks(session, run_id, [0.05, 0.5, 0.1])
    panel = panel_of(run_view, run_id, until)
    name, view = panel.gold.goal_lines[0].name, panel.gold.chart.getPlotItem().getViewBox()
    assert name.toPlainText() == "at least ln 1/0.05 = 3.0 nats for 100 %"
    until(lambda: view.mapSceneToView(name.sceneBoundingRect().bottomLeft()).y() > 100.0)


def test_the_law_is_fitted_from_eight_looks_on(run_view: RunView, session: Session, run_id: str, until: Until) -> None:
    d = np.linspace(0, 2.4, 9)
    gold = 0.05 + d * (0.5 - 0.3 * np.log(np.maximum(d, 1e-9)))
    write_looks(session, run_id, gold.tolist(), (d**2).tolist())
    (session.runs.find(run_id).folder / "best_of.json").write_text("{}", encoding="utf-8")
    panel = panel_of(run_view, run_id, until)
    assert panel.fit_words.text() == "α 0.50   β 0.30   R² 1.00"
    assert [line.name for line in panel.gold.lines] == ["highest possible", "Gao's law"]
    assert "is damaged: measure best-of-n again" in panel.problem.text()
    assert panel.problem.isVisible()


def test_best_of_n_is_measured_and_drawn(
    run_view: RunView, session: Session, run_id: str, until: Until, monkeypatch: pytest.MonkeyPatch, heard: Heard
) -> None:
    monkeypatch.setattr(parent_draws, "N_PROMPTS", 2)
    monkeypatch.setattr(parent_draws, "N_REPLIES", 8)
    panel = panel_of(run_view, run_id, until)
    assert panel.parent_words.text() == "Best-of-n is not measured"
    QTest.mouseClick(panel.measure, Qt.MouseButton.LeftButton)
    assert panel.cancel.isVisible()
    until(lambda: not panel.measurer.busy)
    assert not panel.measurer.problem
    folder = session.runs.find(run_id).folder
    curves = read_parent_curves(folder)
    assert curves is not None
    assert [point.n for point in curves.best_of] == [1, 2, 4, 8]
    proxies = [point.proxy for point in curves.best_of]
    assert proxies == sorted(proxies)
    assert {line.name for line in panel.proxy.lines} == {"best of n, to 8", "predicted"}
    assert panel.proxy.lines[0].value.tolist() == proxies
    assert panel.measure.text() == "Measure again"


def test_changes_of_beta_and_rate_are_marked(run_view: RunView, session: Session, run_id: str, until: Until) -> None:
    run = RunFolder.open(session.runs.find(run_id).folder)
    with (run.folder / "events.jsonl").open("a", encoding="utf-8") as file:
        for event, detail in (("beta", "0.2 from here on"), ("learning rate", "× 0.5 from here on")):
            file.write(json.dumps({"step": 4, "event": event, "detail": detail, "time": "2026-01-01T00:00:00"}) + "\n")
    panel = panel_of(run_view, run_id, until)
    kl = next(row["figures"]["kl"] for row in run.read_alignment() if row["step"] == 4)
    assert panel.gold.chart.mark_lines.xvals == pytest.approx([kl**0.5] * 2)
    view = run_view.views.view("rewards")
    assert view.charts[0].chart.mark_lines.xvals.count(4.0) == 2
