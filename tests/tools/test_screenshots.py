"""terrarium screenshots: screenshots of the real window, and an error for an unknown run."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from PySide6.QtCore import Qt, QTimer
from PySide6.QtGui import QImage
from PySide6.QtWidgets import QWidget
from pytestqt.qtbot import QtBot

from terrarium.app.cli import main
from terrarium.app.commands import selftest
from terrarium.app.guide.chapters import read_chapters
from terrarium.app.help.panels import PANELS
from terrarium.app.kit.theme import ThemeProvider
from terrarium.app.worker.background import LatestTask
from terrarium.models.library.library import Library
from terrarium.models.recipes.tasks import tasks_table as table
from tests.models.recipes.small_recipes import few_rows, small
from tools.screenshots import photographer

TOKENIZER_VIEWS = ("steps", "vocabulary", "compare", "decode", "chat", "about", "train")
DESIGN_VIEWS = ("positions", "mask", "compare", "code")
CHAT_MODES = ("notebook", "compare", "pairs", "embeddings")
TASKS = ("mood",)
"""A task on which a model marks texts; the others' pages are reached in the same way."""
RUN_VIEWS = ("machine", "scores", "data", "doctor", "lineage")


@pytest.mark.slow
@pytest.mark.usefixtures("little_quickstart")  # the vocabulary is counted on Tiny World
def test_a_run_is_shown_on_every_tab(
    tmp_path: Path, theme: ThemeProvider, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    home, pictures = tmp_path / "home", tmp_path / "pictures"
    monkeypatch.setenv("TERRARIUM_HOME", str(home))
    monkeypatch.setattr(photographer, "SIZES", ((1280, 720),))
    monkeypatch.setattr(photographer, "MODES", ("dark",))
    monkeypatch.setattr(photographer, "SETTLE_S", 0.05)
    monkeypatch.setattr(photographer, "_SOON_MS", 0)  # how it waits is tested below
    library = Library()
    selftest.check_tokenizer(library)
    selftest.check_training(library, "cpu")
    before = {path: path.stat().st_mtime_ns for path in library.runs.rglob("*")}

    assert set(TASKS) < set(photographer.TASKS_SHOWN) <= table.TASK_RECIPES.keys()
    monkeypatch.setattr(photographer, "TASKS_SHOWN", TASKS)
    monkeypatch.setattr(table, "TASK_RECIPES", {name: small(name) for name in TASKS})
    with few_rows():
        arguments = ["--run", "selftest", "--device", "cpu", "--task-minutes", "0.001"]
        assert main(["screenshots", str(pictures), *arguments]) == 0

    written = [Path(line) for line in capsys.readouterr().out.splitlines()]
    tokenizer = ["tokenizer", *(f"tokenizer-{name}" for name in TOKENIZER_VIEWS)]
    data = ["data-start", "data", "data-dataset", "data-pairs", "data-hub"]
    custom = [f"builder-{name}" for name in ("block", "custom", "twin")]
    builder = ["builder", *(f"builder-{name}" for name in DESIGN_VIEWS), *custom]
    training = ["training", *(f"training-{name}" for name in RUN_VIEWS), "training-new", "training-recipes"]
    chat = ["chat", *(f"chat-{name}" for name in ("settings", *PANELS, *CHAT_MODES))]
    chapters, _ = read_chapters()
    steps = [f"guide-{chapter.number:02}-{which}" for chapter in chapters for which in ("first", "last")]
    guide = ["guide", *steps, "help", "palette"]
    tasks = [
        each.format(task)
        for task in TASKS
        for each in ("training-scores-{}", "training-scores-{}-predictions", "chat-{}")
    ]
    screens = ["models", *tokenizer, *data, *builder, *training, *chat, *guide, *tasks]
    dialogs = ("builder-block", "builder-twin", "chat-pass-wide", "preferences", "extensions", "trash")
    screens = [*screens, *dialogs[3:]]
    screens.insert(screens.index("chat-pass") + 1, "chat-pass-wide")
    names = [f"{name}-dark" if name in dialogs else f"{name}-dark-1280x720" for name in screens]
    assert [path.stem for path in written] == names
    for path in (path for path in written if path.stem.endswith("1280x720")):
        picture = QImage(str(path))
        assert (picture.width(), picture.height()) == (1280, 720)
        mean = picture.scaled(1, 1, mode=Qt.TransformationMode.SmoothTransformation).pixelColor(0, 0)
        assert mean.lightness() < 100, path.stem
    assert {path: path.stat().st_mtime_ns for path in library.runs.rglob("*")} == before, "the library is only read"
    assert not library.chats.exists()


def test_an_unknown_run_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TERRARIUM_HOME", str(tmp_path / "home"))
    assert main(["screenshots", str(tmp_path), "--run", "nobody"]) == 1
    assert "no run called 'nobody'" in capsys.readouterr().err


def test_a_screen_is_at_rest_once_nothing_is_computed_or_redrawn_for_what_is_seen_of_it(qtbot: QtBot) -> None:
    window, part = QWidget(), QWidget()
    part.setParent(window)
    qtbot.addWidget(window)
    window.show()
    notice, redraw = (QTimer(part, singleShot=True, interval=ms) for ms in (20_000, 1_000))
    notice.start()
    assert photographer.is_at_rest(window), "a notice that leaves later is part of the picture"
    redraw.start()
    assert not photographer.is_at_rest(window)
    part.hide()
    assert photographer.is_at_rest(window), "what is not seen is not waited for"
    part.show()
    redraw.stop()
    may_end, task = threading.Event(), LatestTask(part)
    task.ask(may_end.wait)
    assert not photographer.is_at_rest(window)
    may_end.set()
    qtbot.wait_until(lambda: photographer.is_at_rest(window))
