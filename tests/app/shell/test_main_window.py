"""The window: imports, pages, menus and messages, and that closing it loses nothing."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from PySide6.QtCore import QMimeData, QPoint, Qt, QUrl
from PySide6.QtGui import QAction, QDragEnterEvent, QDropEvent, QGuiApplication
from PySide6.QtWidgets import QApplication, QFileDialog, QLabel, QPushButton, QToolButton
from pytestqt.qtbot import QtBot
from tokenizers import Tokenizer

from terrarium.app.chat.archive.message_tree import Message
from terrarium.app.chat.chat_tab import ChatTab
from terrarium.app.data.data_tab import DataTab
from terrarium.app.home.home import Home
from terrarium.app.home.quickstart_view import QuickStartView
from terrarium.app.kit.colours import DARK, LIGHT
from terrarium.app.kit.labels import ElidedLabel
from terrarium.app.kit.theme import ThemeProvider
from terrarium.app.session.routes import StartQuickStart
from terrarium.app.session.session import Session
from terrarium.app.shell.main_window import MainWindow
from terrarium.app.shell.status_bar import StatusBar
from terrarium.app.shell.top_bar import TABS
from terrarium.models.architecture.transformer import build_model
from terrarium.models.corpora.corpus import build_examples_corpus
from terrarium.models.evaluation.text_verdict import sentence_of
from terrarium.models.events import Evaluated, KindAccuracy
from terrarium.models.interop.publish.gguf_plan import plan_gguf
from terrarium.models.interop.publish.share import write_gguf
from terrarium.models.library.library import Library
from terrarium.models.runs.run_queue import RecipeSpec
from terrarium.models.settings.model_config import ModelConfig
from terrarium.models.settings.presets import PRESETS
from terrarium.models.settings.run_spec import RunSpec
from terrarium.models.tiny_world.questions import KINDS
from terrarium.models.tokenizers import save_tokenizer
from tests import ROOT
from tests.app.heard import Heard
from tests.app.home.script import STARTED, Script, trained
from tests.app.small_models import put_model
from tests.models.runs_on_disk import put_run

Until = Callable[[Callable[[], bool]], None]


def action(window: MainWindow, words: str) -> QAction:
    """The menu entry with this text."""
    found = [entry for entry in window.findChildren(QAction) if entry.text().replace("&", "") == words]
    assert found, words
    return found[0]


def test_each_letter_opens_one_entry_of_a_menu(window: MainWindow) -> None:
    for top in window.menuBar().actions():
        entries = top.menu().actions()
        letters = [entry.text().partition("&")[2][:1].lower() for entry in entries if "&" in entry.text()]
        assert len(letters) == len(set(letters)), (top.text(), letters)


def test_importing_the_window_does_not_import_torch() -> None:
    code = "import sys, terrarium.app.shell.main_window; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0


def test_the_home_page_leads_everywhere(window: MainWindow, qtbot: QtBot) -> None:
    assert window.pages.current == "home"
    home = window.pages.page("home")
    assert isinstance(home, Home)
    assert home.quickstart.isVisible()
    for way, tab in zip(home.cards.buttons[1:], ("tokenizer", "builder"), strict=True):
        window.show_home()
        qtbot.mouseClick(way, Qt.MouseButton.LeftButton)
        assert window.pages.current == tab
    data = window.pages.page("data")
    assert isinstance(data, DataTab)
    for lead in (home.learn.click, action(window, "Learn a task").trigger, data.views.importing.world.learn.click):
        window.training.show_new_run()
        window.show_home()
        lead()
        assert (window.pages.current, window.training.shows_recipes) == ("training", True)


@pytest.mark.usefixtures("little_quickstart")
def test_an_opened_text_file_is_offered_for_a_quick_start_and_a_run(
    window: MainWindow, story_file: Path, qtbot: QtBot, until: Until, monkeypatch: pytest.MonkeyPatch
) -> None:
    window.show_tab("tokenizer")
    monkeypatch.setattr(QFileDialog, "getOpenFileNames", lambda *args: ([str(story_file)], ""))
    action(window, "Open text file…").trigger()
    assert window.pages.current == "home"
    qtbot.mouseClick(window.home.cards.run, Qt.MouseButton.LeftButton)
    assert window.pages.current == "training"
    assert window.training.new_run.data.spec.files == (str(story_file),)
    window.show_home()
    window.session.training.quickstart_minutes = 0.001
    qtbot.mouseClick(window.home.cards.quickstart, Qt.MouseButton.LeftButton)
    assert window.pages.current == "quickstart"
    until(lambda: not window.session.training.active)
    view = window.pages.page("quickstart")
    assert isinstance(view, QuickStartView)
    assert view.result.text_result.isVisible()
    compared = window.session.training.state.compared  # type: ignore[union-attr]
    assert compared is not None
    assert view.result.text_result.comparison.sentence.text() == sentence_of(compared)
    assert {bar.name: bar.text for bar in view.result.text_result.comparison.bars.bars}[
        "Your model"
    ] == f"{compared.model:.2f}"
    assert view.result.text_result.sample.text().startswith("The")
    window.show_tab("builder")
    window.show_quickstart()  # what it ended in can be seen again
    assert window.pages.current == "quickstart"
    qtbot.mouseClick(view.result.chat, Qt.MouseButton.LeftButton)
    assert window.pages.current == "chat"
    until(lambda: window.session.chat.state == "ready")
    assert window.session.chat.model is not None
    assert not window.session.chat.model.is_chat_model


def test_a_quick_start_that_ends_while_another_page_is_in_view_is_told(
    window: MainWindow, session: Session, until: Until, qtbot: QtBot
) -> None:
    script = Script(session, until)
    script.give(STARTED, trained(400))
    window.show_tab("builder")
    kinds = tuple(KindAccuracy(kind=kind, n=24, accuracy=0.9, most_frequent=0.1) for kind in KINDS)
    script.give(Evaluated(accuracy=0.9, kinds=kinds, seconds=1.0))
    script.end()
    assert window.toasts.sentences == ["“Tiny World” has been grown: see what it can do."]
    (show,) = (each for each in window.toasts.findChildren(QPushButton) if each.text() == "Show it")
    qtbot.mouseClick(show, Qt.MouseButton.LeftButton)
    assert window.pages.current == "quickstart"


def test_the_quick_start_button_leads_to_where_one_is_started(
    window: MainWindow, session: Session, byte_tokenizer: Tokenizer, until: Until, qtbot: QtBot
) -> None:
    for i in range(4):
        put_model(session.library, byte_tokenizer, "decoder-only", name=f"model {i}")
    window.resize(window.minimumSize())
    window.show_tab("builder")
    qtbot.mouseClick(window.top_bar.quickstart_button, Qt.MouseButton.LeftButton)
    home = window.home
    until(lambda: home.models.isVisible() and not home.busy)
    until(lambda: home.another.visibleRegion().boundingRect() == home.another.rect())
    assert home.another.hasFocus()


def test_a_file_that_is_no_text_is_refused_when_it_is_chosen(
    window: MainWindow, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    binary = tmp_path / "bin.txt"
    binary.write_bytes(bytes(range(256)) * 100)
    monkeypatch.setattr(QFileDialog, "getOpenFileNames", lambda *args: ([str(binary)], ""))
    window.texts.choose()
    assert window.home.cards.files == ()
    assert "not a text file" in window.toasts.sentences[0]
    data = window.training.new_run.data
    data.choose_files()
    assert data.files == ()


def test_a_text_of_which_nothing_can_be_learned_is_not_queued(
    window: MainWindow, text_file: Path, tmp_path: Path, until: Until
) -> None:
    short = tmp_path / "short.txt"
    short.write_text("Too short.", "utf-8")
    script = Script(window.session, until, files=(str(text_file),))
    for file in (short, text_file):
        window.start_quickstart_on((str(file),))
    script.end()
    assert not window.session.queue.waiting
    assert "has only 2 words, too few" in window.toasts.sentences[0]
    assert "repeats the same text again and again" in window.toasts.sentences[1]


def test_home_says_what_could_not_start_and_tries_again_or_removes_it(
    window: MainWindow, library: Library, qtbot: QtBot, until: Until
) -> None:
    session = window.session
    put_run(library, "other", ModelConfig(n_layer=1))
    session.queue.add_recipe(RecipeSpec(kind="task", arguments={"name": "telepathy"}), "Telepathy")
    session.queue.start()
    until(lambda: bool(session.queue.waiting[0].problem) and not session.training.active)
    home = window.home
    home.refresh()
    until(lambda: home.remove.isVisibleTo(home))
    assert home.next_sentence.text().startswith("“Telepathy” could not start: This Terrarium has no recipe 'telepathy'")
    assert home.next_button.text() == "Try again"
    qtbot.mouseClick(home.next_button, Qt.MouseButton.LeftButton)
    assert session.training.active, "it has its turn again"
    until(lambda: bool(session.queue.waiting[0].problem) and not session.training.active)
    qtbot.mouseClick(home.remove, Qt.MouseButton.LeftButton)
    assert not session.queue.waiting
    assert not home.remove.isVisibleTo(home)
    session.undo.group.undo()


def test_a_failed_quick_start_can_be_retried_on_the_same_text(
    window: MainWindow, tmp_path: Path, qtbot: QtBot, until: Until
) -> None:
    empty = tmp_path / "empty.txt"
    empty.write_text("", "utf-8")
    window.home.offer_files((str(empty),))
    window.session.go(StartQuickStart(window.home.cards.files))
    until(lambda: not window.session.training.active)
    view = window.pages.page("quickstart")
    assert isinstance(view, QuickStartView)
    assert any("is empty" in label.text() for label in view.findChildren(ElidedLabel))
    assert window.toasts.sentences == [], "said once, on the page"
    qtbot.mouseClick(view.again, Qt.MouseButton.LeftButton)
    assert window.session.training.state is not None
    assert window.session.training.state.files == (str(empty),)
    until(lambda: not window.session.training.active)


@pytest.mark.usefixtures("little_quickstart")
def test_a_quick_start_that_runs_is_announced_and_shown(
    window: MainWindow, story_file: Path, qtbot: QtBot, until: Until
) -> None:
    window.session.training.quickstart_minutes = 10
    window.home.offer_files((str(story_file),))
    window.session.go(StartQuickStart(window.home.cards.files))
    window.show_home()
    assert window.top_bar.quickstart_button.text() == "Growing…"
    assert "is running" in window.home.hint.text()
    qtbot.mouseClick(window.home.quickstart, Qt.MouseButton.LeftButton)
    assert window.pages.current == "quickstart"
    window.session.training.stop()
    until(lambda: not window.session.training.active)
    assert window.top_bar.quickstart_button.text() == "Quick start"
    assert window.home.quickstart.text() == "Quick start"


def test_texts_that_are_dropped_are_offered_on_home(window: MainWindow, story_file: Path, tmp_path: Path) -> None:
    window.show_tab("training")
    assert not drop(window, tmp_path / "a picture.png")
    assert not drop(window, story_file, tmp_path / "mine.terrarium")
    assert window.pages.current == "training"
    assert drop(window, story_file, story_file)
    assert window.pages.current == "home"
    assert window.home.cards.files == (str(story_file), str(story_file))
    assert window.home.cards.quickstart.isVisible()


def test_rows_that_are_dropped_as_a_text_are_offered_to_the_import(
    window: MainWindow, tmp_path: Path, until: Until
) -> None:
    reviews = tmp_path / "reviews.csv"
    reviews.write_text("text,label\n" + "".join(f"Review number {n},{'ab'[n % 2]}\n" for n in range(40)))
    assert drop(window, reviews)
    link = next(each for each in window.toasts.findChildren(QPushButton) if each.text() == "Import them…")
    link.click()
    data = window.pages.page("data")
    assert isinstance(data, DataTab)
    assert window.pages.current == "data"
    assert data.draft.paths == (str(reviews),)
    until(lambda: data.draft.task == "classification")


def test_models_that_are_dropped_are_imported(
    window: MainWindow, byte_tokenizer: Tokenizer, until: Until, tmp_path: Path
) -> None:
    design = dataclasses.replace(
        PRESETS["llama-tiny"], vocab_size=byte_tokenizer.get_vocab_size(), n_layer=1, n_head=2, d_model=16
    )
    file = tmp_path / "mine.gguf"
    for _ in write_gguf(build_model(design), plan_gguf(design, byte_tokenizer, "F32"), file):
        pass
    window.show_tab("training")
    assert drop(window, file, file)
    until(lambda: {run.name for run in window.session.runs.list()} == {"mine", "mine 2"})
    until(lambda: "“mine 2” is now in your library." in window.toasts.sentences)


def drop(window: MainWindow, *paths: Path) -> bool:
    """Drop files on it, where no page takes them; whether it did."""
    data = QMimeData()
    data.setUrls([QUrl.fromLocalFile(str(path)) for path in paths])
    buttons, keys = Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier
    at, action = QPoint(9, 9), Qt.DropAction.CopyAction
    enters = QDragEnterEvent(at, action, data, buttons, keys)
    enters.ignore()
    QApplication.sendEvent(window, enters)
    if enters.isAccepted():
        QApplication.sendEvent(window, QDropEvent(at, action, data, buttons, keys))
    return enters.isAccepted()


def test_tabs_are_reached_by_keyboard_and_menu(window: MainWindow, qtbot: QtBot) -> None:
    window.activateWindow()
    qtbot.waitActive(window)
    for key, name in zip("12345", ("tokenizer", "data", "builder", "training", "chat"), strict=True):
        qtbot.keyClick(window.windowHandle(), getattr(Qt.Key, f"Key_{key}"), Qt.KeyboardModifier.ControlModifier)
        assert window.pages.current == name
    action(window, "Builder").trigger()
    assert window.pages.current == "builder"
    action(window, "Home").trigger()
    assert window.pages.current == "home"
    window.show_tab("chat")
    qtbot.keyClick(window.windowHandle(), Qt.Key.Key_Home, Qt.KeyboardModifier.AltModifier)
    assert window.pages.current == "home"
    shown = {tab.text(): tab.isChecked() for tab in window.top_bar.findChildren(QToolButton)}
    assert list(shown) == ["Home", "Tokenizer", "Data", "Builder", "Training", "Chat"]
    assert [name for name, is_current in shown.items() if is_current] == ["Home"]


def test_home_leads_to_what_was_grown(
    window: MainWindow, byte_tokenizer: Tokenizer, library: Library, qtbot: QtBot, until: Until
) -> None:
    run_id = put_model(library, byte_tokenizer, "decoder-only")
    window.show_home()
    until(lambda: window.home.models.isVisible())
    row = window.home.models.rows[0]
    qtbot.mouseClick(row.run, Qt.MouseButton.LeftButton)
    assert (window.pages.current, window.training.run_view.run_id) == ("training", run_id)
    window.show_home()
    qtbot.mouseClick(window.home.pronouns, Qt.MouseButton.LeftButton)
    assert (window.pages.current, chat_tab(window).modes.current) == ("chat", "pairs")
    window.show_home()
    qtbot.mouseClick(row.chat, Qt.MouseButton.LeftButton)
    assert window.pages.current == "chat"
    until(lambda: window.session.chat.state == "ready")
    assert window.session.chat.model is not None
    assert window.session.chat.model.run_id == run_id
    assert "time machine" not in window.session.remembered.get("seen", {})
    window.show_home()
    qtbot.mouseClick(row.machine, Qt.MouseButton.LeftButton)
    assert window.training.run_view.views.current == "machine"
    assert window.session.remembered.get("seen", {}) == {"time machine": True}


def test_theme_and_text_size_are_remembered(window: MainWindow, library: Library) -> None:
    action(window, "Dark").trigger()
    assert window.theme.theme is DARK
    action(window, "Light").trigger()
    assert window.theme.theme is LIGHT
    size = window.font().pointSizeF()
    action(window, "Larger").trigger()
    assert window.theme.text_scale == pytest.approx(1.1)
    assert window.font().pointSizeF() > size
    action(window, "Normal size").trigger()
    assert window.theme.text_scale == 1.0
    action(window, "Smaller").trigger()
    window.session.remembered.flush()
    again = Session(library)
    assert again.remembered.get("theme", "") == "light"
    assert again.remembered.get("text scale", 1.0) == pytest.approx(0.9)


def test_failures_and_notices_are_shown_and_closed(window: MainWindow, qtbot: QtBot) -> None:
    window.session.notices.failed.emit("The disk is full. Free some space.", "Traceback …")
    window.session.notices.say("Another Terrarium is training.")
    assert window.toasts.sentences == ["The disk is full. Free some space.", "Another Terrarium is training."]
    details = next(b for b in window.toasts.findChildren(QPushButton) if b.text() == "Details")
    qtbot.mouseClick(details, Qt.MouseButton.LeftButton)
    dialog = QGuiApplication.topLevelWindows()[-1]
    assert dialog.title() == "Details"
    dialog.close()
    for _ in range(5):
        window.session.notices.say("The same.")
    assert window.toasts.sentences.count("The same.") == 1


def test_deletions_can_be_undone(window: MainWindow, qtbot: QtBot) -> None:
    window.session.designs.save("mine")
    window.session.designs.delete("mine")
    undo = next(b for b in window.toasts.findChildren(QPushButton) if b.text() == "Undo")
    qtbot.mouseClick(undo, Qt.MouseButton.LeftButton)
    assert window.session.designs.list() == ["mine"]
    assert window.toasts.sentences == []


def test_each_tab_fits_a_small_screen_lies_under_messages_and_names_its_buttons(window: MainWindow) -> None:
    window.resize(1280, 720)
    window.session.notices.say("Another Terrarium is training.")
    for name, *_ in TABS:
        window.show_tab(name)
        assert (window.width(), window.height()) == (1280, 720)
        assert window.minimumSizeHint().width() <= 1280
        assert window.minimumSizeHint().height() <= 720
        assert window.pages.children()[-1] is window.toasts
        for button in window.pages.page(name).findChildren(QPushButton):
            assert button.accessibleName() or button.text() or button.toolTip(), "for screen readers"


def test_the_status_bar_shows_the_device_and_the_current_work(
    window: MainWindow, tiny_spec: RunSpec, until: Until
) -> None:
    session = window.session
    session.device.choose("cpu")
    until(lambda: "CPU" in session.device.label)
    assert session.status.line.words == "Ready"
    session.training.start(dataclasses.replace(tiny_spec, name="growing"))
    until(lambda: session.training.state is not None and session.training.state.step >= 1)
    assert "growing" in session.status.line.words
    (bar,) = window.findChildren(StatusBar)

    def says_so() -> bool:
        return any("other programs use" in each.text() for each in bar.findChildren(ElidedLabel))

    bar.show_load(1.0)
    assert says_so()
    until(lambda: not session.training.active)
    assert session.status.line.words == "Ready"
    assert not says_so()  # nothing is slowed down
    assert any(label.text().startswith("CPU") for label in window.findChildren(QLabel))


def test_closing_while_training_asks_saves_and_offers_to_resume(
    window: MainWindow, theme: ThemeProvider, tiny_spec: RunSpec, until: Until, library: Library, qtbot: QtBot
) -> None:
    endless = dataclasses.replace(tiny_spec.train, steps=1_000_000, checkpoint_interval=100_000)
    window.session.training.start(dataclasses.replace(tiny_spec, train=endless))
    until(lambda: window.session.training.state is not None and window.session.training.state.step >= 2)
    window.close()
    assert window.isVisible()
    box = window.closing.box
    assert box is not None
    assert "“tiny” is training" in box.text()
    buttons = {button.text(): button for button in box.buttons()}
    qtbot.mouseClick(buttons["Keep training"], Qt.MouseButton.LeftButton)
    until(lambda: window.closing.box is None)
    step = window.session.training.state.step  # type: ignore[union-attr]
    until(lambda: window.session.training.state.step > step)  # type: ignore[union-attr]
    window.close()
    assert window.closing.box is not None
    buttons = {button.text(): button for button in window.closing.box.buttons()}
    qtbot.mouseClick(buttons["Save and quit"], Qt.MouseButton.LeftButton)
    until(lambda: not window.isVisible())
    assert window.session.worker.isFinished()
    (run,) = library.list_runs()
    assert run.status == "paused"
    assert run.step > step
    # The next launch offers to resume it, once.
    for offers in (1, 0):
        session = Session(library)
        session.start(warm_up=False)
        again = MainWindow(session, theme)
        qtbot.addWidget(again)
        again.show()
        again.show_tab("training")
        again.relaunch.offer_interrupted()
        assert len(again.toasts.sentences) == offers
        assert (again.training.run_view.run_id == run.id) == bool(offers)
        if offers:
            assert f"“tiny” was saved at step {run.step:,}" in again.toasts.sentences[0]
            marks = [each for each in again.toasts.findChildren(QToolButton) if each.property("role") == "mark"]
            assert [mark.property("iconName") for mark in marks] == ["check-circle"], "what is done leaves by itself"
            session.training.resume_run(run.id)  # from the training tab, say
            assert not again.toasts.sentences
            session.training.stop(status="paused")
            until(lambda session=session: not session.training.active)
        again.close()


def test_damaged_settings_are_reported_at_launch(library: Library, theme: ThemeProvider, qtbot: QtBot) -> None:
    library.home.mkdir(parents=True, exist_ok=True)
    (library.home / "settings.json").write_text("{not json", "utf-8")
    session = Session(library)
    session.start(warm_up=False)
    window = MainWindow(session, theme)
    qtbot.addWidget(window)
    window.show()
    window.relaunch.offer_interrupted()
    (sentence,) = window.toasts.sentences
    assert str(library.home / "settings.json") in sentence
    window.close()


def test_an_interrupted_run_can_be_resumed_at_launch(
    session: Session, theme: ThemeProvider, tiny_spec: RunSpec, until: Until, qtbot: QtBot
) -> None:
    train = dataclasses.replace(tiny_spec.train, steps=1_000_000)
    session.training.start(dataclasses.replace(tiny_spec, train=train))
    until(lambda: session.training.state is not None and (session.training.state.saved_step or 0) >= 5)
    session.training.stop()
    until(lambda: not session.training.active)
    (run,) = session.runs.list()
    record = (run.folder / "run.json").read_text("utf-8")
    (run.folder / "run.json").write_text(record.replace('"stopped"', '"running"'), "utf-8")
    window = MainWindow(session, theme)
    qtbot.addWidget(window)
    window.show()
    window.relaunch.offer_interrupted()
    assert "interrupted" in window.toasts.sentences[0]
    resume = next(b for b in window.toasts.findChildren(QPushButton) if b.text() == "Resume")
    qtbot.mouseClick(resume, Qt.MouseButton.LeftButton)
    until(lambda: session.training.state is not None and session.training.state.step > run.step)
    assert window.pages.current == "training"
    window.quit()


def test_the_window_paints_and_reacts_before_the_last_tokenizer_has_been_read(
    library: Library,
    theme: ThemeProvider,
    byte_tokenizer: Tokenizer,
    qtbot: QtBot,
    until: Until,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    save_tokenizer(byte_tokenizer, library, "mine", {})
    ready = threading.Event()

    def load_slowly(name: str, library: Library) -> Tokenizer:
        assert threading.current_thread() is not threading.main_thread()
        ready.wait()
        return byte_tokenizer

    monkeypatch.setattr("terrarium.models.tokenizers.load_tokenizer", load_slowly)
    session = Session(library)
    window = MainWindow(session, theme)
    qtbot.addWidget(window)
    with qtbot.waitSignal(window.painted):
        window.show()
    session.start(warm_up=False)
    for name, *_ in TABS:
        window.show_tab(name)
        assert window.pages.current == name
    assert (session.tokenizers.name, session.tokenizers.current) == ("mine", None)
    ready.set()
    until(lambda: session.tokenizers.current is byte_tokenizer)
    window.close()


def test_a_run_can_be_set_up_on_a_dataset(window: MainWindow, library: Library, qtbot: QtBot, until: Until) -> None:
    rows = [{"text": f"Letter {n}"} for n in range(20)]
    corpus = build_examples_corpus(library, rows[:15], rows[15:], "letters", None, task="language")
    window.show_tab("data")
    data = window.pages.page("data")
    assert isinstance(data, DataTab)
    until(lambda: data.list.count() == 1)
    data.list.setCurrentRow(0)
    data.views.view("dataset").train.click()
    assert window.pages.current == "training"
    spec = window.training.new_run.draft.spec()
    assert (spec.data.source, spec.data.dataset, spec.data.task) == ("dataset", corpus.sha, "language")


def relaunched(library: Library, theme: ThemeProvider, qtbot: QtBot) -> MainWindow:
    """The window as the next launch shows it."""
    session = Session(library)
    window = MainWindow(session, theme)
    qtbot.addWidget(window)
    with qtbot.waitSignal(window.painted):
        window.show()
    session.start(warm_up=False)
    return window


def test_a_relaunch_opens_the_model_and_the_chat_again(
    window: MainWindow, library: Library, theme: ThemeProvider, byte_tokenizer: Tokenizer, qtbot: QtBot, until: Until
) -> None:
    run_id = put_model(library, byte_tokenizer, "decoder-only")
    window.session.runs.changed.emit()
    window.session.chat.open(run_id, None, "bfloat16")
    until(lambda: window.session.chat.state == "ready")
    window.show_tab("chat")
    conversation = chat_tab(window).conversation
    conversation.say(Message(content="The cat"))
    until(lambda: not conversation.writing)
    chat_id = conversation.chat.id
    window.close()

    again = relaunched(library, theme, qtbot)
    heard = Heard(again.session)
    again.relaunch.reopen_chat()
    assert again.session.chat.state == "loading", "in the background"
    again.show_tab("chat")
    until(lambda: again.session.chat.state == "ready" and chat_tab(again).conversation.chat.id == chat_id)
    model = again.session.chat.model
    assert model is not None
    assert (model.run_id, model.weights) == (run_id, "bfloat16")
    assert chat_tab(again).conversation.chat.messages[0].content == "The cat"
    assert not heard.notices
    assert not heard.failures
    again.session.runs.delete([run_id])  # an open model that is deleted is not looked for again
    chat_tab(again).conversation.delete(chat_id)
    again.close()

    third = relaunched(library, theme, qtbot)
    heard = Heard(third.session)
    third.relaunch.reopen_chat()
    third.show_tab("chat")
    assert third.session.chat.state == "none"
    assert not heard.notices
    third.close()


def test_a_relaunch_says_if_the_model_and_the_chat_are_gone(
    window: MainWindow, library: Library, theme: ThemeProvider, qtbot: QtBot
) -> None:
    last = {"run": "gone", "name": "Mine", "step": 3, "weights": "int8"}
    window.session.remembered.set("open model", last)
    window.session.remembered.set("open chat", "gone")
    window.close()
    window = relaunched(library, theme, qtbot)
    heard = Heard(window.session)
    window.relaunch.reopen_chat()
    window.show_tab("chat")
    assert heard.notices == [
        "“Mine”, the model that was open last, is gone: choose another one above the chat.",
        "The chat that was open last is gone: it was deleted or moved.",
    ]
    assert window.session.remembered.get("open chat", "") == ""
    assert window.session.remembered.get("open model", {}) == {}
    window.close()


def chat_tab(window: MainWindow) -> ChatTab:
    page = window.pages.page("chat")
    assert isinstance(page, ChatTab)
    return page
