"""Win rates in the window: measured on the worker, kept, and judged by the user."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from PySide6.QtCore import QPoint, QPointF, Qt
from pytestqt.qtbot import QtBot

from terrarium.app.lineage.lineage_view import LineageView
from terrarium.app.lineage.win_matrix import WinMatrix, describe_match
from terrarium.app.session.candidates import Candidate
from terrarium.app.session.routes import Judge
from terrarium.app.session.session import Session
from terrarium.models.alignment.win_rates import GOLD, PROXY, YOU
from terrarium.models.events import result_of
from terrarium.models.library.library import Library
from terrarium.models.preferences.store import Pair, Reply
from terrarium.models.recipes.demonstrations import comparison
from terrarium.models.recipes.demonstrations.comparison import compare_stages
from terrarium.models.settings.run_spec import RunSpec
from terrarium.models.tiny_world import wishes
from tests.app.heard import Until, long

Shown = Callable[[str], LineageView]
STAGES = ("sft", "dpo", "ppo")


@pytest.fixture(autouse=True)
def little(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wishes, "SIZES", {"train": 4, "val": 3, "test": 6})
    monkeypatch.setattr(comparison, "MAX_REPLY_TOKENS", 4)


@pytest.fixture
def shown(lineage: Shown, until: Until) -> LineageView:
    """The win rates of three stages, of which none has been measured."""
    view = lineage("ppo")
    view.show_part("rates")
    view.choice.choose(STAGES)
    view.rates.wish.setCurrentIndex(view.rates.wish.findData("mentions"))
    view.rates.n.setValue(4)
    until(lambda: not view.rates.busy)
    return view


def cell_of(matrix: WinMatrix, row: int, column: int) -> QPoint:
    """A point in a cell."""
    points = (QPointF(x, y) for x in range(0, matrix.width(), 5) for y in range(0, matrix.height(), 5))
    return next(point.toPoint() for point in points if matrix.spot_at(point) == (column, row))


def test_measured_rates_are_those_of_the_command_and_are_kept(
    shown: LineageView, family: Library, lineage: Shown, until: Until, qtbot: QtBot
) -> None:
    rates = shown.rates
    assert rates.grid is None
    assert "Not measured yet" in rates.empty.words
    assert [rates.rewarder.itemText(i) for i in range(rates.rewarder.count())] == ["rm"]
    qtbot.mouseClick(rates.measure, Qt.MouseButton.LeftButton)
    assert rates.stop.isVisibleTo(rates)
    until(lambda: not rates.busy and rates.grid is not None)
    expected = result_of(compare_stages(family, STAGES, "mentions", n=4, reward_model="rm", device="cpu"))
    assert rates.grid == expected.grids[GOLD]
    assert rates.matrix.grid == expected.grids[GOLD]
    assert rates.matrix.names == STAGES
    qtbot.mouseClick(rates.judge.buttons.buttons()[1], Qt.MouseButton.LeftButton)
    assert rates.judge.value == PROXY
    assert rates.matrix.grid == expected.grids[PROXY]
    assert "higher score from rm" in rates.about.text()
    match = expected.grids[PROXY][0][1]
    assert match is not None
    rates.matrix.set_spot((1, 0))
    assert f"won {match.n_won}, tied {match.n_tied}, lost {match.n_lost} of 4" in rates.read_out.text()
    at = cell_of(rates.matrix, 0, 1)
    qtbot.mouseClick(rates.matrix, Qt.MouseButton.LeftButton, pos=at)
    assert rates.pairs.isVisibleTo(rates)
    assert rates.pairs.head.text() == describe_match("sft", "dpo", match)
    pairs = {tuple(text.written for text in pair) for pair in rates.pairs.texts}
    assert rates.rates is not None
    ours, theirs = rates.rates.texts[:2]
    assert ours is not None
    assert theirs is not None
    assert pairs == {(a or "(nothing)", b or "(nothing)") for a, b in zip(ours, theirs, strict=True)}
    columns = rates.export.numbers()()
    assert len(columns["won"]) == 2 * 6
    assert None not in rates.rates.texts, "all have replied"
    again = lineage("sft")
    assert again is shown
    until(lambda: not rates.busy and rates.grid is not None)
    rates.n.setValue(5)
    until(lambda: not rates.busy and rates.grid is None)


def test_what_the_user_judged_between_two_stages_is_counted_and_a_click_judges_more(
    shown: LineageView, session: Session, until: Until, qtbot: QtBot
) -> None:
    asked: list[object] = []
    session.routed.connect(asked.append)
    sides = [Reply(content=name, run=name, model=name, step=40) for name in ("dpo", "ppo")]
    prompt = ({"role": "user", "content": "Say it"},)
    rates = shown.rates
    qtbot.mouseClick(rates.judge.buttons.buttons()[2], Qt.MouseButton.LeftButton)
    assert rates.judge.value == YOU
    assert rates.matrix.isVisibleTo(rates), "also before anything was judged"
    for choice in ("a", "a", "tie"):
        session.preferences.add([Pair(prompt=prompt, a=sides[0], b=sides[1], choice=choice)], "choice")
    until(lambda: not rates.busy and rates.grid is not None)
    assert rates.grid is not None
    match = rates.grid[1][2]
    assert match is not None
    assert (match.n_won, match.n_tied, match.n_lost) == (2, 1, 0)
    qtbot.mouseClick(rates.matrix, Qt.MouseButton.LeftButton, pos=cell_of(rates.matrix, 1, 2))
    rates.matrix.set_spot((0, 1))
    qtbot.keyClick(rates.matrix, Qt.Key.Key_Return)
    rates.matrix.set_spot((1, 1))
    qtbot.keyClick(rates.matrix, Qt.Key.Key_Return)
    assert asked == [Judge(Candidate("dpo"), Candidate("ppo")), Judge(Candidate("dpo"), Candidate("sft"))]


def test_a_comparison_can_be_stopped_and_a_failure_is_said(
    shown: LineageView, family: Library, until: Until, qtbot: QtBot
) -> None:
    rates = shown.rates
    rates.start()
    rates.comparer.cancel()
    until(lambda: not rates.busy)
    assert rates.measure.isVisibleTo(rates)
    (family.runs / "dpo" / "checkpoints" / "step-00000040" / "model.safetensors").write_bytes(b"broken")
    rates.start()
    until(lambda: bool(rates.problem.text()) and not rates.busy)
    assert "model.safetensors" in rates.problem.text()
    assert not list(Path(family.runs / "dpo").glob("replies/*"))


def test_one_stage_alone_has_nobody_to_meet(shown: LineageView, until: Until) -> None:
    shown.choice.choose(("sft",))
    until(lambda: not shown.rates.busy)
    assert not shown.rates.measure.isEnabled()
    assert "at least two stages" in shown.rates.empty.words


def test_nothing_is_measured_beside_a_training(
    shown: LineageView, lineage: Shown, session: Session, tiny_spec: RunSpec, until: Until
) -> None:
    session.training.start(long(tiny_spec))
    until(lambda: session.training.active)
    assert not shown.rates.measure.isEnabled()
    assert shown.rates.measure.toolTip().startswith("A run is training")
    shown.rates.start()
    assert not shown.rates.comparer.busy
    session.training.stop()
    until(lambda: not session.training.active)
    lineage("ppo")
    assert shown.rates.measure.isEnabled()
