"""Buttons that name a place lead there, and the keyboard is where one sees it."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot
from tokenizers import Tokenizer

from terrarium.app.chat.archive.message_tree import Message
from terrarium.app.chat.chat_tab import ChatTab
from terrarium.app.home.quickstart_view import QuickStartView
from terrarium.app.minimal_pairs.minimal_pairs_page import MinimalPairs
from terrarium.app.session.chat_model import use_words
from terrarium.app.session.life import Life
from terrarium.app.session.routes import OpenModel, Route
from terrarium.app.session.training_state import TrainingState
from terrarium.app.shell.main_window import MainWindow
from terrarium.app.task_pages.label_page import LabelPage
from terrarium.models.library.library import Library
from terrarium.models.settings.run_spec import DataSpec, RunSpec
from tests.app.heard import Heard, long
from tests.app.small_models import put_model

Until = Callable[[Callable[[], bool]], None]


def chat_tab(window: MainWindow) -> ChatTab:
    tab = window.pages.page("chat")
    assert isinstance(tab, ChatTab)
    return tab


def use(window: MainWindow, run_id: str, until: Until) -> ChatTab:
    assert window.session.use_model(run_id)
    chat = window.session.chat
    until(lambda: chat.state == "ready" and chat.model is not None and chat.model.run_id == run_id)
    assert window.pages.current == "chat"
    return chat_tab(window)


def test_chat_opens_the_conversation_whatever_was_open(
    window: MainWindow, byte_tokenizer: Tokenizer, library: Library, until: Until
) -> None:
    writer = put_model(library, byte_tokenizer, "decoder-only")
    labels = put_model(library, byte_tokenizer, "encoder-only", name="labels", head="sequence", n_label=3)
    window.session.runs.changed.emit()
    for view in ("embeddings", "pairs", "notebook"):
        tab = use(window, writer, until)
        assert tab.modes.current == "chat"
        tab.modes.show_view(view)
    assert use(window, writer, until).modes.current == "chat"
    assert use(window, labels, until).modes.current == "labels", "it writes nothing"
    assert use(window, writer, until).modes.current == "chat"


def test_another_model_begins_a_chat_of_its_own_and_the_old_one_leads_back(
    window: MainWindow, byte_tokenizer: Tokenizer, library: Library, until: Until, qtbot: QtBot
) -> None:
    first = put_model(library, byte_tokenizer, "decoder-only", name="first")
    second = put_model(library, byte_tokenizer, "decoder-only", name="second")
    window.session.runs.changed.emit()
    tab = use(window, first, until)
    conversation = tab.conversation
    conversation.say(Message(content="The cat"))
    until(lambda: not conversation.writing)
    old = conversation.chat.id
    assert use(window, first, until).conversation.chat.id == old, "the same model goes on"
    use(window, second, until)
    assert not conversation.chat.messages
    assert not tab.page.other.isVisible()
    conversation.open_saved(old)
    until(lambda: conversation.chat.id == old)
    assert tab.page.other.words.text() == "This chat was held with “first”; “second” is open now."
    qtbot.mouseClick(tab.page.other.open, Qt.MouseButton.LeftButton)
    chat = window.session.chat
    until(lambda: chat.state == "ready" and chat.model is not None and chat.model.run_id == first)
    assert conversation.chat.id == old, "it is continued"
    assert not tab.page.other.isVisible()


def test_a_chat_whose_model_is_gone_is_continued_with_another(
    window: MainWindow, byte_tokenizer: Tokenizer, library: Library, until: Until
) -> None:
    first = put_model(library, byte_tokenizer, "decoder-only", name="first")
    second = put_model(library, byte_tokenizer, "decoder-only", name="second")
    window.session.runs.changed.emit()
    conversation = use(window, first, until).conversation
    conversation.say(Message(content="The cat"))
    until(lambda: not conversation.writing)
    window.session.runs.delete((first,))
    use(window, second, until)
    assert conversation.chat.messages


def test_what_is_it_asks_the_pronoun_models(
    window: MainWindow, byte_tokenizer: Tokenizer, library: Library, until: Until, qtbot: QtBot
) -> None:
    use(window, put_model(library, byte_tokenizer, "decoder-only"), until)
    tab = chat_tab(window)
    tab.modes.show_view("pairs")
    pairs = tab.modes.pages.page("pairs")
    assert isinstance(pairs, MinimalPairs)
    pairs.source.buttons.button(1).click()
    assert pairs.source.value == "open"
    window.show_home()
    qtbot.mouseClick(window.home.pronouns, Qt.MouseButton.LeftButton)
    assert tab.modes.current == "pairs"
    assert pairs.source.value == "pronouns"


def test_the_words_of_the_button_say_what_the_model_does(
    window: MainWindow, byte_tokenizer: Tokenizer, library: Library
) -> None:
    session = window.session
    writer = session.runs.spec(put_model(library, byte_tokenizer, "decoder-only"))
    judge = session.runs.spec(
        put_model(library, byte_tokenizer, "decoder-only", name="judge", head="sequence", n_label=1)
    )
    assert writer is not None
    assert judge is not None
    assert use_words(writer) == "Chat with it"
    assert use_words(judge) == "Try it", "a reward model writes no replies"
    pronouns = dataclasses.replace(writer, data=DataSpec(source="pronouns"))
    assert use_words(pronouns) == "What is “it”?"
    window.show_tab("training")
    window.training.show_run(session.runs.list()[0].id)
    assert window.training.run_view.head.chat.text() in ("Chat with it", "Try it")


def test_the_result_of_a_quick_start_stays_its_own_when_a_queued_run_follows(
    window: MainWindow, tiny_spec: RunSpec, until: Until, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = window.pages.page("quickstart")
    assert isinstance(page, QuickStartView)
    training = window.session.training
    asked: list[Route] = []
    monkeypatch.setattr(window.session, "go", asked.append)
    training.state = TrainingState(
        name="Tiny World", quickstart=True, run_id="grown", life=Life(status="finished", is_over=True)
    )
    training.changed.emit()
    training.start(long(tiny_spec))
    until(lambda: training.state is not None and training.state.step >= 1)
    page.result.inside.click()
    page.result.chat.click()
    assert asked == [OpenModel("grown", "next"), OpenModel("grown")]
    assert not page.stop.isVisibleTo(page)
    training.stop()
    until(lambda: not training.active)


def test_the_keyboard_is_in_the_box_that_one_sees(
    window: MainWindow, byte_tokenizer: Tokenizer, library: Library, until: Until, qtbot: QtBot, heard: Heard
) -> None:
    labels = put_model(library, byte_tokenizer, "encoder-only", name="labels", head="sequence", n_label=3)
    tab = use(window, labels, until)
    page = tab.modes.pages.page("labels")
    assert isinstance(page, LabelPage)
    assert QApplication.focusWidget() is page.text
    qtbot.keyClicks(QApplication.focusWidget(), "A long walk")
    assert page.text.toPlainText() == "A long walk"
    assert tab.page.composer.field.toPlainText() == ""
    tab.modes.show_view("embeddings")
    assert QApplication.focusWidget() is tab.modes.pages.page("embeddings").focusProxy()
    window.show_tab("training")
    window.show_tab("chat")
    assert QApplication.focusWidget() is tab.modes.pages.page("embeddings").focusProxy()
    tab.modes.show_view("pairs")
    assert QApplication.focusWidget() is tab.modes.pages.page("pairs").sentences.lines[0]  # type: ignore[attr-defined]
    bar = tab.modes.bar
    qtbot.mouseClick(bar, Qt.MouseButton.LeftButton, pos=bar.tabRect(tab.modes.names.index("labels")).center())
    until(lambda: QApplication.focusWidget() is page.text)
    assert not heard.failures


def test_the_glass_box_does_not_open_under_the_pointer(
    window: MainWindow, byte_tokenizer: Tokenizer, library: Library, until: Until
) -> None:
    window.resize(1440, 900)
    tab = use(window, put_model(library, byte_tokenizer, "decoder-only"), until)
    assert tab.side.is_folded
    below = tab.page.composer.parentWidget().parentWidget()
    below.setAttribute(Qt.WidgetAttribute.WA_UnderMouse, True)
    place = tab.page.composer.mapTo(window, tab.page.composer.rect().center())
    tab.conversation.say(Message(content="The cat"))
    until(lambda: not tab.conversation.writing and tab.focus.text is not None)
    assert tab.side.is_folded
    assert tab.page.composer.mapTo(window, tab.page.composer.rect().center()) == place
    below.setAttribute(Qt.WidgetAttribute.WA_UnderMouse, False)
    tab.page.pointer_left.emit()
    assert not tab.side.is_folded
