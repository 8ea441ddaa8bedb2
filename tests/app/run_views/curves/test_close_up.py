"""A run too long to be read whole: its shape first, then the steps of the part that one looks at."""

from __future__ import annotations

import csv
import math
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from pytestqt.qtbot import QtBot

from terrarium.app.kit.theme import ThemeProvider
from terrarium.app.plots.curve_points import moving_average
from terrarium.app.run.follower import RunFollower
from terrarium.app.run_views.curves.curves_view import CurvesView
from terrarium.app.run_views.examining import RunExaminer
from terrarium.app.run_views.shown_run import ShownRun
from terrarium.app.session.run_history import RunHistory
from terrarium.app.session.session import Session
from terrarium.models.library.library import Library
from terrarium.models.runs.run_folder import RunFolder
from terrarium.models.settings.model_config import ModelConfig
from tests.runs_on_disk import make_run, metrics_line

Until = Callable[[Callable[[], bool]], None]

N, SPIKE = 5000, 3333


@pytest.fixture
def folder(library: Library, tiny_config: ModelConfig, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr("terrarium.models.runs.curve_index.LONG", 0)
    monkeypatch.setattr("terrarium.models.runs.curve_index._MOST_ROWS", 2000)
    losses = [50.0 if step == SPIKE else 1 + math.sin(step) / 4 for step in range(1, N + 1)]
    return make_run(library, tiny_config, "long", losses=losses, validations=(3.0, 2.0), steps=2 * N)


@pytest.fixture
def follower(qtbot: QtBot) -> Iterator[RunFollower]:
    follower = RunFollower()
    yield follower
    follower.stop()


@pytest.fixture
def history(follower: RunFollower, folder: Path, until: Until) -> RunHistory:
    history = RunHistory()
    follower.follow(folder, history)
    until(lambda: follower.is_loaded)
    return history


@pytest.fixture
def view(qtbot: QtBot, session: Session, theme: ThemeProvider, history: RunHistory, folder: Path) -> CurvesView:
    view = CurvesView(session, theme)
    qtbot.addWidget(view)
    view.resize(1000, 560)
    view.show()
    spec = RunFolder.open(folder).spec
    view.show_run(ShownRun(id="long", name="long", folder=folder, spec=spec, history=history))
    return view


def zoom(view: CurvesView, first: float, last: float) -> None:
    chart = view.loss.chart
    chart.show_window((first, last))
    chart.window_moved.emit((first, last))


def test_the_shape_of_a_long_run_has_its_spike_and_its_smoothed_line(view: CurvesView, folder: Path) -> None:
    train, val = view.history.train, view.history.val
    assert len(train) < N / 5
    assert train["rows"].sum() == N
    assert val["loss"].tolist() == [3.0, 2.0]
    assert train["step"][np.argmax(train["loss"])] == SPIKE
    assert np.nanmax(view.loss.raw.yData) == 50.0
    whole = RunHistory.read(RunFolder.open(folder), is_whole=True).train
    assert whole.is_whole
    expected = moving_average(whole["loss"], 0.4)[train["step"].astype(int) - 1]
    thinned = moving_average(train["mean:loss"], 0.4, train["rows"])
    np.testing.assert_allclose(thinned[len(train) // 10 :], expected[len(train) // 10 :], rtol=0.05)


def test_zooming_in_shows_each_step(view: CurvesView, until: Until) -> None:
    train = view.history.train
    zoom(view, 3000, 3500)
    until(lambda: ((train["step"] >= 3000) & (train["step"] <= 3500)).sum() == 501)
    seen = (train["step"] >= 3000) & (train["step"] <= 3500)
    np.testing.assert_allclose(
        train["loss"][seen], [50.0 if step == SPIKE else 1 + math.sin(step) / 4 for step in range(3000, 3501)]
    )
    zoom(view, 10, 4900)  # too many rows: their shape stays
    assert len(train) < N


def test_it_goes_on_growing_while_one_looks_closer(
    view: CurvesView, follower: RunFollower, folder: Path, until: Until
) -> None:
    train = view.history.train
    zoom(view, 3000, 3500)
    until(lambda: ((train["step"] >= 3000) & (train["step"] <= 3500)).sum() == 501)
    with (folder / "metrics.jsonl").open("a") as file:
        file.writelines(metrics_line("train", step, 7.0, lr=0.1, grad_norm=1.0) for step in range(N + 1, N + 11))
    follower.poll()
    until(lambda: train["step"][-1] == N + 10)
    assert train is view.history.train
    assert train["loss"][-10:].tolist() == [7.0] * 10


def test_all_numbers_are_exported_and_the_doctor_counts_each_step(
    view: CurvesView, folder: Path, tmp_path: Path, until: Until, qtbot: QtBot
) -> None:
    view.export.export_to(tmp_path / "long.csv", "csv")
    until((tmp_path / "long.csv").exists)
    with (tmp_path / "long.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [int(float(row["step"])) for row in rows] == list(range(1, N + 1))
    assert float(rows[SPIKE - 1]["loss"]) == 50.0
    found: list[object] = []
    examiner = RunExaminer(view)
    examiner.examined.connect(found.append)
    spec = RunFolder.open(folder).spec
    examiner.show_run(ShownRun(id="long", name="long", folder=folder, spec=spec, history=view.history))
    until(lambda: bool(found))
    assert f"All {N:,} losses" in " ".join(check.words for check in found[0].checks)  # type: ignore[attr-defined]
