"""Fixtures for the window's tests: Qt without a screen, a library of its own, and nothing left behind."""

from __future__ import annotations

import dataclasses
import gc
import random
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock
from PySide6.QtCore import QCoreApplication, QEvent
from PySide6.QtGui import QAccessible, QAccessibleAnnouncementEvent
from PySide6.QtWidgets import QApplication, QWidget
from pytestqt.qtbot import QtBot

from terrarium.app.kit import announcer
from terrarium.app.kit.theme import ThemeProvider
from terrarium.app.new_run import proposer
from terrarium.app.session import device
from terrarium.app.session.routes import Route
from terrarium.app.session.session import Session
from terrarium.app.worker.worker import Worker
from terrarium.models.design.custom import only_known
from terrarium.models.evaluation import held_out_questions
from terrarium.models.events import result_of
from terrarium.models.library.library import Library
from terrarium.models.recipes import own_text, quickstart
from terrarium.models.settings.model_config import ModelConfig
from terrarium.models.settings.run_spec import DataSpec, RunSpec, TokenizerSpec, TrainConfig
from terrarium.models.tiny_world import corpus
from terrarium.models.training.prepare import prepare_run
from tests.app.heard import Heard, Told
from tests.models.tasks.small_tasks import make_dataset, make_task_spec
from tests.models.training.support import train


@pytest.fixture(scope="session", autouse=True)
def one_thread_behind_windows() -> Iterator[None]:
    """Windows that load torch compute with one thread, too, unless another number is chosen."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(device, "automatic_threads", lambda: 1)
        yield


@pytest.fixture(autouse=True)
def measures_when_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    """Forms of new runs do not measure this computer by themselves: that takes seconds of all cores."""
    monkeypatch.setattr(proposer, "_SETTLE_MS", 10**8)


class PatientBot(QtBot):
    """Waits for conditions as long as a busy machine may take, where a test says nothing of it."""

    def waitUntil(self, callback: Callable[[], bool | None], *, timeout: int = 120_000) -> None:
        super().waitUntil(callback, timeout=timeout)

    def waitSignal(self, signal: Any, *, timeout: int = 120_000, **how: Any) -> Any:
        return super().waitSignal(signal, timeout=timeout, **how)

    def waitSignals(self, signals: list[Any], *, timeout: int = 120_000, **how: Any) -> Any:
        return super().waitSignals(signals, timeout=timeout, **how)

    def waitExposed(self, widget: QWidget, *, timeout: int = 120_000) -> Any:
        return super().waitExposed(widget, timeout=timeout)

    def waitActive(self, widget: QWidget, *, timeout: int = 120_000) -> Any:
        return super().waitActive(widget, timeout=timeout)


@pytest.fixture
def qtbot(qapp: QApplication, request: pytest.FixtureRequest) -> QtBot:
    return PatientBot(request)


@pytest.fixture
def theme(qapp: QApplication) -> Iterator[ThemeProvider]:
    """The light theme of the application, and its usual text size again afterwards. It dresses no window."""
    size = qapp.font().pointSizeF()
    provider = ThemeProvider(qapp, "light")
    yield provider
    font = qapp.font()
    font.setPointSizeF(size)
    qapp.setFont(font)
    provider.deleteLater()


@pytest.fixture
def worker(qapp: QApplication) -> Iterator[Worker]:
    """A running worker, which has ended when the test has."""
    worker = Worker()
    worker.start()
    yield worker
    worker.close()
    assert worker.isFinished()


@pytest.fixture
def session(qapp: QApplication, library: Library) -> Iterator[Session]:
    """A session over an empty library, whose worker runs but has not loaded torch."""
    session = Session(library)
    session.start(warm_up=False)
    with only_known():  # as in the application
        yield session
    session.close()
    assert session.worker.isFinished()


@pytest.fixture
def heard(session: Session) -> Heard:
    """What `session` says."""
    return Heard(session)


@pytest.fixture
def went(session: Session) -> list[Route]:
    """The routes on which `session` was asked to go."""
    routes: list[Route] = []
    session.routed.connect(routes.append)
    return routes


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> Told:
    """What a screen reader is told: a sentence, and whether it is urgent."""
    sentences: Told = []

    class Heard:
        AnnouncementPoliteness = QAccessible.AnnouncementPoliteness

        @staticmethod
        def updateAccessibility(event: QAccessibleAnnouncementEvent) -> None:
            urgent = event.politeness() == QAccessible.AnnouncementPoliteness.Assertive
            sentences.append((event.message(), urgent))

    monkeypatch.setattr(announcer, "QAccessible", Heard)
    return sentences


@pytest.fixture
def text_file(tmp_path: Path) -> Path:
    """Some 40 kB of plain text."""
    path = tmp_path / "text.txt"
    path.write_text("The cat sat on the mat. The dog ran to the park.\n" * 800, encoding="utf-8")
    return path


@pytest.fixture
def story_file(tmp_path: Path) -> Path:
    """Some 30 kB of text that does not repeat itself."""
    words = random.Random(0).choices(
        ("The cat", "a dog", "sat", "ran", "to the park.", "on", "mats", "slowly."), k=6000
    )
    path = tmp_path / "story.txt"
    path.write_text("\n".join(" ".join(words[i : i + 8]) for i in range(0, len(words), 8)), encoding="utf-8")
    return path


@pytest.fixture
def little_quickstart(monkeypatch: pytest.MonkeyPatch) -> None:
    """Quick starts train a tiny model; those on Tiny World read little of it, and give short answers and samples."""
    for model in ("TEXT_MODEL", "TINY_WORLD_MODEL"):
        little = dataclasses.replace(getattr(quickstart, model), n_layer=1, d_model=32)
        monkeypatch.setattr(quickstart, model, little)
    monkeypatch.setattr(own_text, "MIN_STEPS", 8)
    for module, name in ((own_text, "TRAINING"), (quickstart, "TINY_WORLD_TRAINING")):
        monkeypatch.setattr(module, name, dataclasses.replace(getattr(module, name), sample_tokens=4))
    monkeypatch.setattr(quickstart, "PROBE_STEPS", 4)
    monkeypatch.setattr(corpus, "N_TRAIN", 600)
    monkeypatch.setattr(corpus, "N_VAL", 30)
    monkeypatch.setattr(held_out_questions, "N_SEEN", 40)
    monkeypatch.setattr(held_out_questions, "N_SAMPLE", 4)
    monkeypatch.setattr(held_out_questions, "MAX_REPLY_TOKENS", 4)


@pytest.fixture
def tiny_spec(text_file: Path, tiny_config: ModelConfig) -> RunSpec:
    """A run of 12 quick steps of one layer on bytes, with two pinned prompts."""
    return RunSpec(
        name="tiny",
        model=dataclasses.replace(tiny_config, n_layer=1),
        tokenizer=TokenizerSpec(kind="byte"),
        data=DataSpec(source="files", files=(str(text_file),)),
        train=TrainConfig(
            steps=12,
            batch_size=2,
            optimizer="adamw",
            warmup_steps=2,
            eval_interval=4,
            eval_batches=1,
            sample_interval=6,
            sample_tokens=2,
            checkpoint_interval=5,
            prompts=("The cat", "The dog"),
        ),
    )


_LEARNED = (
    ("classification", "encoder-only", 3),  # has learned little
    ("classification", "encoder-only", 40),
    ("multi-label", "encoder-only", 20),
    ("regression", "decoder-only", 4),
    ("tagging", "encoder-only", 20),
    ("span", "encoder-only", 70),
    ("text-to-text", "encoder-decoder", 4),
    ("text-to-text", "decoder-only", 4),  # said to write code
)
"""Task, topology and steps of the runs that have really learned, for all tests that look at such runs."""


@pytest.fixture(scope="session")
def learned_home(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Path:
    """The home of a library with a small run for each task, called as the task and its topology; to be read only.

    Made once: the first of several workers that needs it trains the runs, and the others wait for it.
    """
    folder = tmp_path_factory.getbasetemp()
    if worker_id != "master":
        folder = folder.parent  # of all workers
    home = folder / "learned"
    with FileLock(folder / "learned.lock"):
        if not home.exists():
            half_made = Library(tmp_path_factory.mktemp("learned"))
            for task, topology, steps in _LEARNED:
                make_dataset(half_made, task)
                settings = {"steps": steps, "eval_interval": steps, "checkpoint_interval": steps}
                settings |= {"lr": 0.01, "muon_lr": 0.05}  # learned in half the steps
                spec = make_task_spec(half_made, task, topology, **settings)
                if (task, topology) == ("text-to-text", "decoder-only"):
                    spec = dataclasses.replace(spec, data=dataclasses.replace(spec.data, metric="pass_at_1"))
                train(result_of(prepare_run(half_made, spec)), half_made)
            half_made.home.rename(home)
    return home


@pytest.fixture
def learned_library(learned_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Library:
    """A copy of that library, which is also the default one while the test runs."""
    shutil.copytree(learned_home, tmp_path / "learned")
    monkeypatch.setenv("TERRARIUM_HOME", str(tmp_path / "learned"))
    return Library()


@pytest.fixture
def stays_frozen() -> Iterator[None]:
    """What stood before the test stays frozen, also where a session is closed, and nothing else is."""
    with pytest.MonkeyPatch.context() as patch:
        gc.freeze()  # what stands here (some 240,000 objects) is not looked through after each test
        for name in ("freeze", "unfreeze"):
            patch.setattr(gc, name, lambda: None)
        yield


@pytest.fixture(autouse=True)
def nothing_left_behind(request: pytest.FixtureRequest, stays_frozen: None) -> Iterator[None]:
    """Fail where a test leaves a visible top-level widget behind; collect cycles on this thread alone."""
    gc.disable()
    yield
    app = QApplication.instance()
    if isinstance(app, QApplication):
        # pytest-qt calls deleteLater, and no event loop runs in which that is done: each theme of the tests that follow
        # would be applied to all widgets of those before.
        QCoreApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete.value)
    request.node.funcargs.clear()  # pytest lets go of what the test was given after this only
    gc.collect()
    if isinstance(app, QApplication):
        left = [widget for widget in app.topLevelWidgets() if widget.isVisible()]
        for widget in left:
            widget.close()
        # A window that nobody deleted lives on in what its menus and signals call.
        for widget in app.topLevelWidgets():
            if widget.parent() is None:
                widget.deleteLater()
        QCoreApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete.value)
        assert not left, f"left behind: {left}"


@pytest.fixture
def until(qtbot: QtBot) -> Callable[[Callable[[], bool]], None]:
    """Process events until a condition holds (at most 2 min)."""

    def wait(condition: Callable[[], bool]) -> None:
        qtbot.waitUntil(lambda: bool(condition()))

    return wait
