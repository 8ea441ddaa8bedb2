"""A sweep: set up in its dialog, trained, and compared by its settings."""

from __future__ import annotations

import dataclasses
import json

import pytest
from PySide6.QtCore import Qt
from pytestqt.qtbot import QtBot

from terrarium.app.kit.theme import ThemeProvider
from terrarium.app.run.sweep_dialog import SweepDialog
from terrarium.app.runs.overlay.parallel_axes import parallel_axes, setting_title
from terrarium.app.runs.overlay.sweep_view import SweepView
from terrarium.app.session.routes import Route
from terrarium.app.session.session import Session
from terrarium.models.runs.sweep import SweepRun, SweepValues, grid
from terrarium.models.settings.model_config import ModelConfig
from terrarium.models.settings.run_spec import RunSpec
from terrarium.models.settings.tune_spec import TuneSpec
from tests.app.heard import Until
from tests.models.own_blocks import put_block, start_source, with_block
from tests.runs_on_disk import make_run, metrics_line, metrics_row


def run_of(loss: float | None, **values: object) -> SweepRun:
    named = {name.replace("_", ".", 1): value for name, value in values.items()}
    return SweepRun(id=f"id-{loss}", name="run", status="finished", best_loss=loss, values=named)


def test_axes_have_one_position_per_run() -> None:
    runs = [
        run_of(1.0, train_lr=0.001, model_n_layer=2, train_optimizer="adamw"),
        run_of(3.0, train_lr=0.1, model_n_layer=4, train_optimizer="muon"),
        run_of(None, train_lr=0.01, model_n_layer=3, train_optimizer="adamw"),
    ]
    lr, layers, optimizer, loss = parallel_axes(runs)
    assert [round(place, 6) for place in lr.positions if place is not None] == [0.0, 1.0, 0.5], "logarithmic"
    assert layers.positions == (0.0, 1.0, 0.5)
    assert [words for _, words in layers.ticks] == ["2", "3", "4"]
    assert optimizer.positions == (0.25, 0.75, 0.25)
    assert loss.positions == (0.0, 1.0, None)
    assert [words for _, words in loss.ticks] == ["1", "2", "3"]
    assert setting_title("train.lr") == "Learning rate"
    assert parallel_axes([run_of(None)])[0].positions == (None,)


def test_a_sweep_from_its_dialog_to_its_summary(
    session: Session, theme: ThemeProvider, tiny_spec: RunSpec, until: Until, qtbot: QtBot
) -> None:
    dialog = SweepDialog(session, theme, tiny_spec)
    qtbot.addWidget(dialog)
    dialog.show()
    assert not dialog.start.isEnabled()
    (axis,) = dialog.axes
    axis.values.setText("0.000001, nonsense")
    assert not dialog.start.isEnabled()
    assert dialog.problem.text().startswith("Learning rate must be a number")
    axis.values.setText("0.000001, 0.01")
    dialog.add_axis()
    second = dialog.axes[1]
    assert (second.name, second.setting.findData("train.objective")) == ("train.batch_size", -1)
    second.setting.setCurrentIndex(second.setting.findData("train.lr"))
    second.values.setText("1")
    assert dialog.problem.text() == "Learning rate is varied twice in this sweep: name it once."
    second.setting.setCurrentIndex(second.setting.findData("train.seed"))
    second.values.setText("1, 2")
    assert dialog.words.text() == "4 runs in all."
    tags: list[str] = []
    dialog.queued.connect(tags.append)
    qtbot.mouseClick(dialog.start, Qt.MouseButton.LeftButton)
    until(lambda: not session.queue.is_draining and not session.training.active)
    assert tags == ["sweep-tiny"]
    runs = session.runs.index.refresh()
    assert len(runs) == 4
    assert {run.tags for run in runs} == {("sweep-tiny",)}
    view = SweepView(session, theme)
    qtbot.addWidget(view)
    view.resize(900, 600)
    view.show()
    view.show_runs([run.id for run in runs])
    until(lambda: len(view.table.records) == 4)
    assert view.table.names[3:5] == ["Learning rate", "Seed"]
    losses = [float(view.table.texts()[row][1]) for row in range(4)]
    assert losses == sorted(losses)
    assert {view.table.texts()[row][3] for row in (0, 1)} == {"0.01"}, "the tiny learning rate learns nothing"
    asked: list[Route] = []
    session.routed.connect(asked.append)
    view.plot.setFocus()
    qtbot.keyClick(view.plot, Qt.Key.Key_Right)
    assert "1 of 4: validation" in view.plot.accessibleDescription()
    qtbot.mouseClick(view.plot, Qt.MouseButton.LeftButton, pos=view.plot.points(0)[0].toPoint())
    assert len(asked) == 1


def test_a_random_search_in_the_dialog(
    session: Session, theme: ThemeProvider, tiny_spec: RunSpec, qtbot: QtBot
) -> None:
    spec = dataclasses.replace(tiny_spec, name="wide")
    dialog = SweepDialog(session, theme, spec)
    qtbot.addWidget(dialog)
    dialog.method.choose("random")
    dialog.n.setValue(7)
    dialog.axes[0].values.setText("1e-5..1e-1")
    dialog.method.changed.emit("random")
    axis = dialog.axes[0]
    for name, hint in (
        ("train.lr", "0.002, 0.006, 0.02 or 0.002..0.02"),
        ("model.n_layer", "1, 2, 3 or 1..3"),
        ("train.schedule", "cosine, linear"),
        ("model.qk_norm", "true, false"),
    ):
        axis.setting.setCurrentIndex(axis.setting.findData(name))
        assert axis.values.placeholderText() == hint
    axis.setting.setCurrentIndex(axis.setting.findData("train.lr"))
    rates = [one.train.lr for one in dialog.specs()]
    assert len(rates) == 7
    assert all(1e-5 <= rate <= 1e-1 for rate in rates)
    qtbot.mouseClick(dialog.wait, Qt.MouseButton.LeftButton)
    assert len(session.queue.waiting) == 7
    assert not session.queue.is_draining


def test_progress_is_compared_again_while_visible(
    session: Session, theme: ThemeProvider, tiny_config: ModelConfig, until: Until, qtbot: QtBot
) -> None:
    run = make_run(session.library, tiny_config, "a", losses=[3.0, 2.9], validations=(3.0,))
    make_run(session.library, tiny_config, "b", losses=[3.0, 2.9], validations=(2.8,))
    session.runs.index.refresh()
    view = SweepView(session, theme)
    qtbot.addWidget(view)
    view.show_runs(("a", "b"))
    assert not view.busy  # nobody sees it
    view.show()
    until(lambda: len(view.table.records) == 2)
    assert view.table.texts()[0][0] == "b"
    with (run / "metrics.jsonl").open("a") as file:
        file.write(metrics_line("val", 3, 1.5))
    session.runs.index.refresh()
    list(session.runs.index.measure())
    view.comparer.poll.timeout.emit()
    until(lambda: view.table.texts()[0][0] == "a")


def test_runs_of_a_task_are_ranked_by_its_metric(
    session: Session, theme: ThemeProvider, tiny_config: ModelConfig, until: Until, qtbot: QtBot
) -> None:
    for name, loss, accuracy, seed in (("a", 0.5, 0.9, 1), ("b", 0.2, 0.8, 2), ("c", None, None, 3)):
        run = make_run(session.library, tiny_config, name, seed=seed)
        if loss is not None:
            row = metrics_row(
                "val", step=1, tokens=64, elapsed_s=1, loss=loss, metric="accuracy", metric_value=accuracy
            )
            (run / "metrics.jsonl").write_text(json.dumps(row) + "\n", "utf-8")
    session.runs.index.refresh()
    view = SweepView(session, theme)
    qtbot.addWidget(view)
    view.show()
    view.show_runs(("a", "b", "c"))
    until(lambda: len(view.table.records) == 3)
    assert view.table.names[1] == "Best Accuracy"
    texts = [[view.table.texts()[row][column] for column in (0, 1)] for row in range(3)]
    assert texts == [["a", "90.0\N{NO-BREAK SPACE}%"], ["b", "80.0\N{NO-BREAK SPACE}%"], ["c", "–"]]
    assert "Best Accuracy" in view.plot.accessibleName()


def test_a_tuned_run_varies_its_tuning_and_not_its_design(
    session: Session, theme: ThemeProvider, tiny_spec: RunSpec, qtbot: QtBot
) -> None:
    tuned = dataclasses.replace(tiny_spec, tune=TuneSpec(parent="a", mode="lora"))
    dialog = SweepDialog(session, theme, tuned)
    qtbot.addWidget(dialog)
    (axis,) = dialog.axes
    offered = [axis.setting.itemData(at) for at in range(axis.setting.count())]
    assert {"train.lr", "tune.lora_r", "tune.mode"} <= set(offered)
    assert not any(name.startswith("model.") or name == "tune.parent" for name in offered)
    axis.setting.setCurrentIndex(axis.setting.findData("tune.lora_r"))
    axis.values.setText("4, 8")
    specs = dialog.specs()
    assert [spec.tune.lora_r for spec in specs if spec.tune is not None] == [4, 8]
    ranks, _ = parallel_axes([run_of(1.0, tune_lora_r=4), run_of(2.0, tune_lora_r=None)])
    assert ranks.title == "LoRA rank"
    with pytest.raises(ValueError, match=r"model\.n_layer cannot vary"):
        grid(tuned, [SweepValues("model.n_layer", (1, 2))])


def test_the_options_of_a_custom_block_vary_in_the_dialog(
    session: Session, theme: ThemeProvider, tiny_spec: RunSpec, qtbot: QtBot
) -> None:
    design = with_block(tiny_spec.model, put_block(start_source("retention")))
    dialog = SweepDialog(session, theme, dataclasses.replace(tiny_spec, model=design))
    qtbot.addWidget(dialog)
    (axis,) = dialog.axes
    assert axis.setting.findData("model.block_options") == -1
    axis.setting.setCurrentIndex(axis.setting.findData("attention.decay"))
    assert axis.setting.currentText() == "Decay"
    assert axis.values.placeholderText() == "0.5, 1", "within the range"
    axis.values.setText("0.1, 0.9")
    assert "must lie between 0.5 and 1" in dialog.problem.text()
    axis.values.setText("0.8, 0.9")
    assert [spec.model.block_options for spec in dialog.specs()] == [
        ("attention.decay=0.8",),
        ("attention.decay=0.9",),
    ]
    ranks, _ = parallel_axes([run_of(1.0, attention_decay=0.8), run_of(2.0, attention_decay=0.9)])
    assert ranks.title == "Decay"
