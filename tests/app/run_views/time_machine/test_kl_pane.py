"""Where the KL of a tuning run lies, by position, in the time machine: measured at every checkpoint that is left."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PySide6.QtCore import QPointF, Qt
from PySide6.QtTest import QTest
from pytestqt.qtbot import QtBot

from terrarium.app.kit.theme import ThemeProvider
from terrarium.app.run.run_view import RunView
from terrarium.app.run_views.time_machine.kl_pane import KlPane
from terrarium.app.run_views.time_machine.time_machine_view import TimeMachine
from terrarium.app.session.session import Session
from terrarium.models.chat.own_template import encode_messages
from terrarium.models.interop.loading import load_model
from terrarium.models.library.library import Library
from terrarium.models.runs.run_folder import RunFolder
from terrarium.models.training.stages import position_kl
from tests.app.heard import Until


@pytest.fixture
def library(rewarded_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Library:
    """A copy of the library with an aligned run, which is also the default one while the test runs."""
    shutil.copytree(rewarded_home, tmp_path / "home")
    monkeypatch.setenv("TERRARIUM_HOME", str(tmp_path / "home"))
    return Library()


@pytest.fixture
def run_view(session: Session, theme: ThemeProvider, qtbot: QtBot, monkeypatch: pytest.MonkeyPatch) -> RunView:
    monkeypatch.setattr(position_kl, "N_REPLIES", 4)
    view = RunView(session, theme)
    qtbot.addWidget(view)
    view.resize(1000, 620)
    view.show()
    return view


def opened(run_view: RunView, session: Session, name: str, until: Until) -> TimeMachine:
    run_view.show_run(next(info.id for info in session.runs.list() if info.name == name))
    until(lambda: run_view.follower.is_loaded)
    run_view.views.show_view("machine")
    view = run_view.views.view("machine")
    assert isinstance(view, TimeMachine)
    return view


def pane_of(machine: TimeMachine) -> KlPane:
    QTest.mouseClick(machine.shows.buttons.button(1), Qt.MouseButton.LeftButton)
    pane = machine.kl
    assert pane is not None
    assert pane.isVisible()
    return pane


def test_kl_by_position_is_exact_at_every_checkpoint(run_view: RunView, session: Session, until: Until) -> None:
    pane = pane_of(opened(run_view, session, "aligned", until))
    pane.prompt.setText("Say a")
    QTest.mouseClick(pane.measure, Qt.MouseButton.LeftButton)
    until(lambda: not pane.busy)
    assert not pane.problem.text()
    run = RunFolder.open(session.runs.find(run_view.run_id).folder)
    assert [each.step for each in pane.measured] == [int(path.name[5:]) for path in run.checkpoints()]
    shown = pane.shown
    assert shown is pane.measured[-1]
    assert len(shown.replies) == 4
    # The KL of each token by hand, from both models' logits.
    tokenizer_model = [load_model(path) for path in (run.checkpoints()[-1], run.folder / "base")]
    model, parent = (each for each, _ in tokenizer_model)
    tokenizer = tokenizer_model[0][1]
    assert tokenizer is not None
    prompt, _ = encode_messages(tokenizer, [{"role": "user", "content": "Say a"}], add_generation_prompt=True)
    for reply in shown.replies:
        ids = torch.tensor([[*prompt, *reply.ids]])
        with torch.no_grad():
            own, ref = (torch.log_softmax(each(ids[:, :-1])[0, len(prompt) - 1 :], -1) for each in (model, parent))
        assert reply.kl == pytest.approx((own.exp() * (own - ref)).sum(1).tolist(), abs=1e-4)
    means, n = shown.by_position
    assert means[0] == pytest.approx(np.mean([reply.kl[0] for reply in shown.replies]))
    assert n[0] == 4
    pane.plot.chart.pointed.emit(QPointF(1.2, 0.0))
    assert pane.plot.read_out.text() == f"token 1: {means[0]:.3f} nats, of 4 replies"
    assert "of its KL to the parent lies in the first 5 tokens" in pane.words.text()
    assert list(pane.tokens.values) == list(shown.replies[0].kl)
    QTest.mouseClick(pane.forward, Qt.MouseButton.LeftButton)
    assert list(pane.tokens.values) == list(shown.replies[1].kl)
    assert pane.asked.text() == "Reply 2 of 4 to “Say a”"
    pane.slider.setValue(0)
    assert pane.where.text() == f"Step {pane.measured[0].step}"


def test_what_was_measured_fits_into_a_window_of_1280_by_720(
    run_view: RunView, session: Session, theme: ThemeProvider, until: Until
) -> None:
    theme.apply_theme(run_view)
    run_view.resize(982, 575)
    pane = pane_of(opened(run_view, session, "aligned", until))
    QTest.mouseClick(pane.measure, Qt.MouseButton.LeftButton)
    until(lambda: not pane.busy)
    assert pane.words.isVisible()
    until(lambda: pane.visibleRegion().boundingRect() == pane.rect())


def test_the_parents_replies_are_the_same_at_every_checkpoint(
    run_view: RunView, session: Session, until: Until
) -> None:
    pane = pane_of(opened(run_view, session, "aligned", until))
    QTest.mouseClick(pane.whose.buttons.button(1), Qt.MouseButton.LeftButton)
    QTest.mouseClick(pane.measure, Qt.MouseButton.LeftButton)
    until(lambda: not pane.busy)
    assert len(pane.measured) > 1
    assert len({tuple(reply.ids for reply in each.replies) for each in pane.measured}) == 1
    assert len({reply.prompt for reply in pane.measured[0].replies}) > 1, "held-out prompts of its data"


def test_what_cannot_be_asked_says_so_and_a_run_without_a_parent_has_no_such_chart(
    run_view: RunView, session: Session, until: Until
) -> None:
    machine = opened(run_view, session, "aligned", until)
    pane = pane_of(machine)
    pane.prompt.setText("a" * 400)
    QTest.mouseClick(pane.measure, Qt.MouseButton.LeftButton)
    until(lambda: not pane.busy)
    assert "ask something shorter" in pane.problem.text()
    assert pane.problem.isVisible()
    machine = opened(run_view, session, "small", until)
    assert not machine.shows.isVisible()
    assert not pane.isVisible()
