"""The time machine: every recorded step is shown exactly; playback, following and keys."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PySide6.QtCore import QPoint, QPointF, Qt
from PySide6.QtWidgets import QApplication, QLabel
from pytestqt.qtbot import QtBot

from terrarium.app.kit.basics import EmptyState
from terrarium.app.kit.theme import ThemeProvider
from terrarium.app.plots.attention_pictures import head_picture, side_of
from terrarium.app.plots.chart import Curve
from terrarium.app.run_views.curves.sample_feed import changes
from terrarium.app.run_views.shown_run import ShownRun
from terrarium.app.run_views.time_machine import panes
from terrarium.app.run_views.time_machine.attention_pane import AttentionPane, format_site, head_weights
from terrarium.app.run_views.time_machine.snapshots import Snapshots, nearest
from terrarium.app.run_views.time_machine.time_machine_view import TimeMachine
from terrarium.app.run_views.time_machine.timeline import Timeline
from terrarium.app.session.routes import ForkRun, OpenModel, Route
from terrarium.app.session.run_history import AttentionSnapshot, RunHistory
from terrarium.models.events import AttentionSeen, SampleMade, TrainMetrics
from terrarium.models.library.library import Library
from terrarium.models.runs.run_folder import RunFolder
from terrarium.models.settings.presets import PRESETS
from terrarium.models.settings.run_spec import RunSpec
from tests.models.training.support import make_run, train

Until = Callable[[Callable[[], bool]], None]
STEPS = (0, 5, 6, 10, 12)  # every 6 steps, at checkpoints every 5, and at the end


def metrics(step: int) -> TrainMetrics:
    """A row of the log; only its step and its loss matter here."""
    return TrainMetrics(
        step=step,
        total_steps=500,
        tokens=step,
        elapsed_s=1.0,
        loss=3.0 - step / 1000,
        lr=0.1,
        grad_norm=1.0,
        tokens_per_s=1.0,
        seconds_left=1.0,
    )


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """A run that was trained to its end."""
    library = Library(tmp_path_factory.mktemp("library"))
    config = dataclasses.replace(PRESETS["gpt2-tiny"], n_layer=2, n_head=2, d_model=32, d_ff=64, context_length=32)
    settings = {"steps": 12, "sample_interval": 6, "checkpoint_interval": 5, "prompts": ("The cat", "The dog")}
    run = make_run(library, config, **settings)
    train(run, library)
    return RunFolder.open(run.folder)


def shown(run: RunFolder, history: RunHistory | None = None) -> ShownRun:
    history = RunHistory.read(run) if history is None else history
    return ShownRun(id=run.id, name=run.name, folder=run.folder, spec=run.spec, history=history)


@pytest.fixture
def went() -> list[Route]:
    """Where the view leads."""
    return []


@pytest.fixture
def view(theme: ThemeProvider, went: list[Route], qtbot: QtBot) -> TimeMachine:
    """The view, on screen."""
    view = TimeMachine(went.append, theme)
    qtbot.addWidget(view)
    view.resize(1000, 470)
    view.show()
    return view


@pytest.fixture
def machine(view: TimeMachine, run: RunFolder, until: Until) -> TimeMachine:
    """The view of the trained run, with its tokenizer read."""
    view.show_run(shown(run))
    until(lambda: not view.busy)
    return view


def test_a_run_that_records_nothing_says_why(view: TimeMachine, run: RunFolder) -> None:
    view.show_run(shown(run, RunHistory()))
    assert "enter some under “Pinned prompts”" in empty_words(view)
    classifier = dataclasses.replace(run.spec, model=dataclasses.replace(run.spec.model, head="sequence", n_label=3))
    view.show_run(dataclasses.replace(shown(run, RunHistory()), spec=classifier))
    assert "predicts labels and writes no text" in empty_words(view)


def test_what_to_do_with_a_checkpoint_stands_in_a_line(machine: TimeMachine) -> None:
    assert machine.panes.fork.y() == machine.panes.chat.y()


def empty_words(view: TimeMachine) -> str:
    (empty,) = (each for each in view.findChildren(EmptyState) if each.isVisible())
    return empty.words


def test_a_step_shows_exactly_what_was_recorded_of_it(machine: TimeMachine, run: RunFolder, qtbot: QtBot) -> None:
    assert machine.steps == STEPS
    said = " ".join(words.toolTip() for words in machine.panes.findChildren(QLabel) if words.isVisible())
    assert "Drawn at random (temperature 0.8 and top-k 50)" in said.replace("\n", " ")
    assert machine.step == 12, "the newest comes first"
    attention = {(row["prompt"], row["step"]): row for row in run.read_attention()}
    for number, prompt in enumerate(("The cat", "The dog")):
        machine.prompt.setCurrentIndex(number)
        machine.prompt.activated.emit(number)
        rows = [row for row in run.read_samples() if row["prompt"] == prompt]
        for index, row in enumerate(rows):
            machine.timeline.index_requested.emit(index)
            assert machine.step == row["step"]
            panes = machine.panes
            assert panes.written.text == row["text"]
            assert [[piece.id, p] for piece, p in panes.bars.rows] == row["top"]
            seen = np.array(attention[prompt, row["step"]]["weights"], np.float32)
            assert np.array_equal(np.nan_to_num(panes.attention.weights), seen)
            assert np.isnan(panes.attention.weights[:, 0, 1:]).all(), "the first token sees none that come later"
    machine.grab()
    assert not any(piece.display.startswith("#") for piece, _ in machine.panes.bars.rows)
    assert "At the previous sample" in machine.panes.bars.tip(0)


def test_the_timeline_says_what_it_counts(machine: TimeMachine) -> None:
    assert machine.timeline.getPlotItem().getAxis("bottom").labelText == "Steps"
    assert machine.timeline.legend.toPlainText().split("   ") == [
        "━ training loss",
        "● validation",
        "│ recorded step",
        "◆ checkpoint on disk",
    ]


def test_the_timeline_is_clicked_and_dragged(machine: TimeMachine, qtbot: QtBot) -> None:
    def place(step: float) -> QPoint:
        view = machine.timeline.getPlotItem().getViewBox()
        low, high = view.viewRange()[1]
        return machine.timeline.mapFromScene(view.mapViewToScene(QPointF(step, (low + high) / 2)))

    viewport = machine.timeline.viewport()
    qtbot.mousePress(viewport, Qt.MouseButton.LeftButton, pos=place(5.4))
    assert machine.step == 5
    qtbot.mouseMove(viewport, place(9))
    assert machine.step == 10
    qtbot.mouseRelease(viewport, Qt.MouseButton.LeftButton, pos=place(9))
    qtbot.mouseMove(viewport, place(1))
    assert machine.step == 10, "let go of"
    assert machine.transport.where.text() == "Step 10 of 12"
    assert machine.transport.loss.text() == f"· loss {machine.timeline.loss_at(10):.2f}"


def test_keys_and_buttons_move(machine: TimeMachine, qtbot: QtBot) -> None:
    machine.timeline.setFocus()
    for key, step in (("Home", 0), ("Left", 0), ("Right", 5), ("Right", 6), ("Left", 5), ("End", 12)):
        qtbot.keyClick(machine.timeline, getattr(Qt.Key, f"Key_{key}"))
        assert machine.step == step, key
    qtbot.mouseClick(machine.transport.back, Qt.MouseButton.LeftButton)
    assert machine.step == 10
    qtbot.mouseClick(machine.transport.latest, Qt.MouseButton.LeftButton)
    assert machine.step == 12
    assert not machine.transport.forward.isEnabled()
    machine.go_to(0)
    assert machine.transport.loss.text() == "· before training"
    assert not machine.transport.back.isEnabled()


def test_it_plays_to_the_end_and_stops(machine: TimeMachine, qtbot: QtBot, until: Until) -> None:
    machine.transport.speed.setCurrentIndex(machine.transport.speed.count() - 1)
    assert machine.transport.interval_ms == 150
    seen = []
    machine.timeline.setFocus()
    qtbot.keyClick(machine.timeline, Qt.Key.Key_Space)
    assert machine.playing
    assert machine.step == 0, "from the start, as it stood at the end"

    def has_ended() -> bool:
        seen.append(machine.step)
        return not machine.playing

    until(has_ended)
    assert machine.step == 12
    assert tuple(dict.fromkeys(seen)) == STEPS
    machine.transport.loop.setChecked(True)
    machine.play()
    machine.go_to(4)
    until(lambda: machine.step == 0)
    assert machine.playing
    machine.hide()
    assert not machine.playing, "nobody sees it"


def test_checkpoints_on_disk_can_be_forked_and_chatted_with(
    machine: TimeMachine, run: RunFolder, went: list[Route], qtbot: QtBot
) -> None:
    kept = {int(path.name.removeprefix("step-")) for path in run.checkpoints()}
    assert 12 in kept
    assert 5 not in kept
    for index, step in enumerate(STEPS):
        machine.go_to(index)
        assert machine.panes.fork.isEnabled() == machine.panes.chat.isEnabled() == (step in kept)
    for button in (machine.panes.fork, machine.panes.chat):
        qtbot.mouseClick(button, Qt.MouseButton.LeftButton)
    assert went == [ForkRun(run.id, 12), OpenModel(run.id, step=12)]


def test_it_follows_a_growing_run(view: TimeMachine, run: RunFolder, until: Until) -> None:
    whole, growing = RunHistory.read(run), RunHistory()
    view.show_run(shown(run, growing))
    assert view.step == -1
    for sample in whole.samples[:2]:
        growing.add(sample)
    view.refresh()
    assert (view.step, view.steps) == (0, (0,))
    for sample in whole.samples[2:6]:
        growing.add(sample)
    view.refresh()
    assert (view.step, view.steps) == (6, (0, 5, 6)), "it was at the newest"
    view.go_to(1)
    growing.add(SampleMade(step=7, prompt="asked", seed=0, text="for once", top=()))
    growing.replace_with(whole)
    view.refresh()
    assert (view.step, view.steps) == (5, STEPS), "it stays where it was put"
    growing.add(SampleMade(step=7, prompt="asked", seed=0, text="for once", top=()))
    view.refresh()
    assert [view.prompt.itemData(i) for i in range(view.prompt.count())] == ["The cat", "The dog", "asked"]
    view.prompt.setCurrentIndex(2)
    view.prompt.activated.emit(2)
    assert (view.step, view.panes.written.text) == (7, "for once")
    assert view.panes.attention.title.text() == "Attention", "none is kept of what was asked for once"
    until(lambda: not view.busy)


def test_a_selection_stays_until_a_new_sample(view: TimeMachine, run: RunFolder, until: Until) -> None:
    history = RunHistory.read(run)
    view.show_run(shown(run, history))
    until(lambda: not view.busy)
    text = view.panes.written.findChildren(QLabel)[0]
    text.setSelection(0, 3)
    history.add(metrics(13))
    view.refresh()
    assert text.selectedText() == "The"
    assert view.timeline.loss_at(13) > 0


def test_a_move_reads_one_of_500_snapshots(
    view: TimeMachine, run: RunFolder, until: Until, monkeypatch: pytest.MonkeyPatch
) -> None:
    history, n = RunHistory(), 32
    row = tuple([1 / n] * n)
    weights = tuple(tuple([row] * n) for _ in range(8))
    for step in range(500):
        words = f"{step} it went to the barn and then " * 6
        top = tuple((token, 1 / (token + 2)) for token in range(40, 50))
        history.add(metrics(step))
        history.add(
            AttentionSeen(step=step, prompt="The cat", site="blocks.0.attention", ids=tuple(range(n)), weights=weights)
        )
        history.add(SampleMade(step=step, prompt="The cat", seed=0, text=words, top=top))
    view.show_run(shown(run, history))
    until(lambda: not view.busy)
    work: list[str] = []

    def count(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def counted(*args: Any, **options: Any) -> Any:
            work.append(name)
            return function(*args, **options)

        return counted

    for owner, name in (
        (Snapshots, "at"),
        (Snapshots, "read_new"),
        (Timeline, "show_history"),
        (Timeline, "show_marks"),
        (Curve, "updateData"),
        (AttentionPane, "show_attention"),
        (panes, "highlight_changes"),
    ):
        monkeypatch.setattr(owner, name, count(name, getattr(owner, name)))
    for index in range(0, 500, 25):
        work.clear()
        view.timeline.index_requested.emit(index)
        view.repaint()
        QApplication.processEvents()
        assert sorted(work) == ["at", "highlight_changes", "show_attention"], index
    assert view.step == 475


def test_a_run_without_samples_says_what_to_set(view: TimeMachine, tiny_spec: RunSpec, tmp_path: Path) -> None:
    view.show_run(ShownRun(id="", name="", folder=None, spec=tiny_spec, history=RunHistory()))
    view.play()
    view.refresh()
    assert not view.playing
    assert not view.timeline.isVisible()
    view.show_run(ShownRun(id="", name="", folder=None, spec=None, history=RunHistory()))
    assert view.step == -1


def test_the_attention_of_a_single_token_is_no_map(theme: ThemeProvider, qtbot: QtBot) -> None:
    pane = AttentionPane(theme)
    qtbot.addWidget(pane)
    pane.show()
    for tokens in (["The"], ["The", "·cat"]):
        n = len(tokens)
        weights = np.full((2, n, n), 1 / n, np.float32)
        seen = AttentionSnapshot(step=1, prompt="The", site="blocks.0.attention", ids=tuple(range(n)), weights=weights)
        pane.show_attention(seen, tokens, None)
        assert pane.map.isVisible() == (n > 1)
        assert ("single token" in pane.nothing.words) == (n == 1)


def test_only_new_samples_are_indexed() -> None:
    history = RunHistory()
    snapshots = Snapshots(history, ("b", "a"))
    assert not snapshots.read_new()
    assert snapshots.prompts == ()
    for step, prompt, text in ((0, "a", "0"), (0, "b", "1"), (5, "a", "2"), (5, "a", "again")):
        history.add(SampleMade(step=step, prompt=prompt, seed=0, text=text, top=()))
    assert snapshots.read_new()
    assert not snapshots.read_new()
    assert snapshots.prompts == ("b", "a")
    snapshot = snapshots.at("a", 1)
    assert (snapshot.sample.text, [sample.text for sample in snapshot.earlier]) == ("again", ["0"])
    assert [nearest((0, 10, 20), place) for place in (-3, 4, 6, 16, 99)] == [0, 0, 1, 2, 2]


def test_new_words_are_highlighted() -> None:
    assert changes("the cat sat", "the cat ran") == [("the cat ", False), ("ran", True)]
    assert changes("", "all new") == [("all new", True)]
    assert changes("same", "same") == [("same", False)]
    assert changes("a b", "a  b") == [("a", False), ("  ", False), ("b", False)], "spaces are not worth a mark"


@pytest.mark.parametrize(
    ("preset", "site", "words", "hidden"),
    [
        ("gpt2-tiny", "blocks.1.attention", "Layer 2", 6),
        ("bert-tiny", "blocks.0.attention", "Layer 1", 0),
        ("t5-tiny", "encoder.blocks.3.attention", "Encoder layer 4", 0),
    ],
)
def test_masked_attention_is_not_drawn_as_zero(preset: str, site: str, words: str, hidden: int) -> None:
    history = RunHistory()
    weights = tuple(tuple(tuple([0.25] * 4) for _ in range(4)) for _ in range(2))
    history.add(AttentionSeen(step=0, prompt="a", site=site, ids=(1, 2, 3, 4), weights=weights))
    (kept,) = history.attention
    heads = head_weights(kept, PRESETS[preset])
    assert int(np.isnan(heads[0]).sum()) == hidden
    assert format_site(site, 0) == f"{words}, head 1"
    side = side_of(["a", "b", "c", "d"])
    picture = head_picture(heads[0], words, side, side, "root")
    assert picture.values[3, 0] == 0.5
    assert picture.describe(3, 0) == "d (4) attends to\na (1): 25.0\N{NO-BREAK SPACE}%"
    assert ("cannot see" in picture.describe(0, 3)) == bool(hidden)
    assert (picture.low, picture.high) == (0, 1), "whatever the largest weight"


def test_damaged_rows_of_attention_are_left_out() -> None:
    history = RunHistory()
    row = {"step": 1, "prompt": "a", "site": "blocks.0.attention", "ids": [1, 2], "weights": [[[1, 0], [0.5, 0.5]]]}
    history.take("attention", [row | {"weights": [[[1]]]}, row | {"weights": [[[1, 0], [1]]]}, row | {"ids": "x"}, row])
    assert len(history.attention) == 1


def test_heads_are_selected_by_mouse_and_keyboard(machine: TimeMachine, qtbot: QtBot) -> None:
    pane = machine.panes.attention
    before, second = pane.title.text(), pane.heads.rect_of(1).center().toPoint()
    qtbot.mouseClick(pane.heads, Qt.MouseButton.RightButton, pos=second)
    assert pane.title.text() == before
    qtbot.mouseClick(pane.heads, Qt.MouseButton.LeftButton, pos=second)
    assert pane.title.text() == "Layer 1, head 2"
    assert pane.map.picture is not None
    qtbot.keyClick(pane.heads, Qt.Key.Key_Up)
    assert pane.title.text() == "Layer 1, head 1"
    before = pane.map.picture.values
    pane.scale.choose("linear")
    pane.scale.changed.emit("linear")
    assert np.allclose(np.nan_to_num(pane.map.picture.values), np.nan_to_num(before) ** 2, atol=1e-6)
    machine.go_to(0)
    assert pane.scale.value == "linear"
