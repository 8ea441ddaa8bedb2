"""Following a run that another process writes: read once, then incrementally, and again after truncation."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator

import pytest
from PySide6.QtWidgets import QApplication

from terrarium.app.run.follower import RunFollower
from terrarium.app.session.run_history import RunHistory
from terrarium.models.library.library import Library
from terrarium.models.runs.run_folder import RunFolder
from terrarium.models.settings.model_config import ModelConfig
from tests.runs_on_disk import make_run, metrics_line

Until = Callable[[Callable[[], bool]], None]


@pytest.fixture
def follower(qapp: QApplication) -> Iterator[RunFollower]:
    follower = RunFollower()
    yield follower
    follower.stop()


def test_a_run_is_followed_while_it_grows_and_after_truncation(
    follower: RunFollower, library: Library, tiny_config: ModelConfig, until: Until
) -> None:
    folder = make_run(library, tiny_config, "elsewhere", losses=(5.0, 4.0, 3.0), validations=())
    history, heard = RunHistory(), []
    follower.loaded.connect(lambda: heard.append("loaded"))
    follower.appended.connect(lambda: heard.append("appended"))
    follower.follow(folder, history)
    until(lambda: follower.is_loaded)
    assert (heard, history.train["loss"].tolist()) == (["loaded"], [5.0, 4.0, 3.0])
    with (folder / "metrics.jsonl").open("a") as file:
        file.write(metrics_line("train", 4, 2.0) + metrics_line("val", 4, 2.5) + metrics_line("train", 5, 1.0)[:-9])
    (folder / "samples.jsonl").write_text('{"step": 4, "prompt": "a", "seed": 1, "text": "b", "top": []}\n')
    follower.poll()
    until(lambda: len(heard) == 2)
    assert history.train["loss"].tolist() == [5.0, 4.0, 3.0, 2.0]
    assert history.val["loss"].tolist() == [2.5]
    assert [sample.text for sample in history.samples] == ["b"]
    run = RunFolder.open(folder)
    run.cut_after(2, {"metrics": os.stat(folder / "metrics.jsonl").st_size})
    follower.poll()
    until(lambda: len(heard) == 3)
    assert (history.train["loss"].tolist(), len(history.val), history.samples) == ([5.0, 4.0], 0, [])
    assert history.train["loss"].tolist() == RunHistory.read(run).train["loss"].tolist()


def test_a_damaged_log_is_reported_once_and_read_once_repaired(
    follower: RunFollower,
    library: Library,
    tiny_config: ModelConfig,
    until: Until,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("terrarium.app.run.follower._DAMAGED_POLL_MS", 50)
    folder = make_run(library, tiny_config, "damaged", losses=(5.0,))
    whole = (folder / "metrics.jsonl").read_bytes()
    (folder / "metrics.jsonl").write_bytes(b"no\n" + whole)
    said: list[str] = []
    follower.failed.connect(said.append)
    history = RunHistory()
    follower.follow(folder, history)
    until(lambda: bool(said))
    assert "metrics.jsonl is damaged: line 1" in said[0]
    (folder / "metrics.jsonl").write_bytes(whole)
    until(lambda: follower.is_loaded)
    assert (len(said), history.train["loss"].tolist()) == (1, [5.0])


def test_a_history_stays_unchanged_after_stop(
    follower: RunFollower, library: Library, tiny_config: ModelConfig, until: Until
) -> None:
    first, second = (make_run(library, tiny_config, name, losses=(loss,)) for name, loss in (("a", 1.0), ("b", 2.0)))
    old, new = RunHistory(), RunHistory()
    follower.follow(first, old)
    follower.follow(second, new)
    until(lambda: follower.is_loaded)
    assert (len(old.train), new.train["loss"].tolist()) == (0, [2.0])
