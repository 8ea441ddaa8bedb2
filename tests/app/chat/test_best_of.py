"""The best of several replies, in the chat tab: drawn and scored by real models, looked at, and taken."""

from __future__ import annotations

import json

import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QDoubleSpinBox
from pytestqt.qtbot import QtBot
from tokenizers import Tokenizer

from terrarium.app.chat.archive.json_format import chat_from, chat_text
from terrarium.app.chat.chat_tab import ChatTab
from terrarium.app.chat.conversation.drawn_window import DrawnWindow
from terrarium.app.chat.conversation.reply_captions import explain_reply
from terrarium.app.kit.layout.section import Section
from terrarium.app.kit.theme import ThemeProvider
from terrarium.app.session.second_models import BestOf
from terrarium.app.session.session import Session
from terrarium.models.alignment.best_of import best_of_curve
from terrarium.models.chat.template_config import ChatTemplateConfig
from terrarium.models.library.library import Library
from terrarium.models.settings.sampling_config import SamplingConfig
from terrarium.models.tokenizers import train_tokenizer
from tests.app.heard import Heard
from tests.app.small_models import put_model

FORM = ChatTemplateConfig(template="{% for m in messages %}{{ m.content }};{% endfor %}")
JUDGE = {"head": "sequence", "n_label": 1}


@pytest.fixture
def judge(library: Library, byte_tokenizer: Tokenizer) -> str:
    return put_model(library, byte_tokenizer, "decoder-only", name="judge", context_length=128, **JUDGE)


@pytest.fixture
def chat(
    qtbot: QtBot, session: Session, theme: ThemeProvider, library: Library, byte_tokenizer: Tokenizer, judge: str
) -> ChatTab:
    """The tab with a model that talks, beside a reward model that reads its tokenizer and one that does not."""
    other = train_tokenizer(["the cat and the dog"] * 4, "bpe", 270)
    put_model(library, other, "decoder-only", name="stranger", context_length=128, **JUDGE)
    talker = put_model(library, byte_tokenizer, "decoder-only", name="talker", form=FORM, context_length=128)
    tab = ChatTab(session, theme)
    qtbot.addWidget(tab)
    tab.resize(1440, 900)
    tab.show()
    open_model(tab, session, talker, qtbot)
    tab.sampling.set_config(SamplingConfig(max_tokens=5, seed=1))
    tab.sampling.new_each_time.setChecked(False)
    return tab


def open_model(tab: ChatTab, session: Session, run_id: str, qtbot: QtBot) -> None:
    assert session.chat.open(run_id)
    qtbot.waitUntil(lambda: session.chat.state == "ready")
    tab.side.show_view("settings")
    [section] = [each for each in tab.side.findChildren(Section) if each.title.startswith("Best of")]
    section.set_folded(False)
    qtbot.waitUntil(lambda: not tab.best_of.busy)


def draw(tab: ChatTab, n: int) -> None:
    """As typed in the panel."""
    [box] = tab.best_of.number.findChildren(QDoubleSpinBox)
    box.setValue(n)


def ask(tab: ChatTab, session: Session, qtbot: QtBot, text: str = "Hi") -> None:
    tab.page.composer.field.setPlainText(text)
    with qtbot.waitSignal(session.chat.reply_ended):
        qtbot.mouseClick(tab.page.composer.send, Qt.MouseButton.LeftButton)


def letters(text: str) -> str:
    """Without what Qt has other characters for, such as the ends of lines."""
    return "".join(filter(str.isalnum, text))


def window_of(tab: ChatTab, qtbot: QtBot) -> DrawnWindow:
    qtbot.mouseClick(tab.page.view.messages[-1].buttons.drawn, Qt.MouseButton.LeftButton)
    window = tab.page.view.drawn_window
    assert window is not None
    return window


def test_the_best_is_shown_and_another_one_can_be_taken(
    chat: ChatTab, session: Session, qtbot: QtBot, heard: Heard
) -> None:
    assert chat.best_of.best_of is None, "one reply, until the user wants more"
    assert chat.best_of.choice.currentText() == "judge", "the only one that can score these replies"
    ask(chat, session, qtbot)
    assert chat.page.view.messages[-1].buttons.drawn.isHidden()
    draw(chat, 6)
    ask(chat, session, qtbot)
    [*_, shown] = chat.conversation.chat.path
    assert shown.generation is not None
    drawn = shown.generation.drawn
    assert drawn is not None
    assert (drawn.judge, len(drawn.replies), drawn.taken) == ("judge", 6, 0)
    assert drawn.scores == sorted(drawn.scores, reverse=True)
    assert shown.content == drawn.replies[0].text
    assert shown.generation.ids == drawn.replies[0].ids
    assert shown.generation.sampling is not None
    assert shown.generation.sampling.temperature == 1.0
    view = chat.page.view.messages[-1]
    assert "best" in view.note.text()
    assert "of\N{NO-BREAK SPACE}6" in view.note.text()
    assert f"{drawn.n_tokens}\N{NO-BREAK SPACE}tokens" in view.note.text()
    window = window_of(chat, qtbot)
    assert len(window.table.records) == 6
    assert window.selected == 0
    assert not window.take.isEnabled(), "it is shown already"
    expected = best_of_curve([drawn.scores], [[0.0] * 6], range(1, 7))
    assert window.curve.spec.series[0].y.tolist() == pytest.approx([point.proxy for point in expected], abs=1e-4)
    assert window.right_curve.isHidden(), "no answer is known"
    window.table.selectRow(4)
    assert letters(window.text.toPlainText()) == letters(drawn.replies[4].text)
    qtbot.mouseClick(window.take, Qt.MouseButton.LeftButton)
    [*_, taken] = chat.conversation.chat.path
    assert (taken.content, taken.parent) == (drawn.replies[4].text, shown.parent)
    assert "number" in chat.page.view.messages[-1].note.text()
    assert taken.generation is not None
    assert "The best of 6 replies that the reward model judge scored." in explain_reply(shown.generation)
    assert "Chosen by you among 6 replies that the reward model judge scored." in explain_reply(taken.generation)
    window.table.selectRow(0)
    qtbot.mouseClick(window.take, Qt.MouseButton.LeftButton)
    assert chat.conversation.chat.path[-1].id == shown.id, "a reply becomes a version once"
    session.undo.stack("chat").undo()
    session.undo.stack("chat").undo()
    assert chat.conversation.chat.siblings(shown.id) == (shown,)
    read = chat_from(json.loads(chat_text(chat.conversation.chat)), "here")
    assert read.message(shown.id).generation == shown.generation
    assert not heard.failures


def test_a_draft_model_is_called_unused_only_while_several_are_drawn(
    chat: ChatTab, session: Session, library: Library, byte_tokenizer: Tokenizer, judge: str, qtbot: QtBot
) -> None:
    writer = put_model(library, byte_tokenizer, "decoder-only", name="writer", context_length=128)
    put_model(library, byte_tokenizer, "decoder-only", name="judge 2", context_length=128, **JUDGE)
    small = put_model(library, byte_tokenizer, "decoder-only", name="small", context_length=128, n_kv_head=1)
    chat.best_of.choice.setCurrentIndex(-1)
    session.runs.changed.emit()
    [section] = [each for each in chat.side.findChildren(Section) if each.title.startswith("Draft")]
    section.set_folded(False)
    qtbot.waitUntil(lambda: not chat.best_of.busy and not chat.draft.busy and chat.draft.choice.count() > 1)
    assert chat.best_of.choice.currentData() is None, "two could be meant"
    index = chat.draft.choice.findData(small)
    chat.draft.choice.setCurrentIndex(index)
    chat.draft.choice.activated.emit(index)
    draw(chat, 4)
    assert "Not used" not in chat.draft.problem.text()
    session.runs.delete((judge,))
    qtbot.waitUntil(lambda: chat.best_of.best_of is not None)
    assert "Not used" in chat.draft.problem.text(), "the only reward model was chosen by itself"
    open_model(chat, session, writer, qtbot)
    qtbot.waitUntil(lambda: not chat.draft.busy)
    assert chat.best_of.best_of is None, "no chat model"
    assert "Not used" not in chat.draft.problem.text()


def test_the_best_of_earlier_replies_is_taken_again(chat: ChatTab, session: Session, qtbot: QtBot) -> None:
    draw(chat, 2)
    ask(chat, session, qtbot)
    window, before = window_of(chat, qtbot), chat.conversation.chat.path[-1].id
    chat.sampling.set_config(SamplingConfig(max_tokens=5, seed=2))
    with qtbot.waitSignal(session.chat.reply_ended):
        chat.conversation.retry(before)
    assert chat.conversation.chat.path[-1].id != before
    qtbot.mouseClick(window.take, Qt.MouseButton.LeftButton)
    assert chat.conversation.chat.path[-1].id == before


def test_drawing_can_be_stopped(chat: ChatTab, session: Session, qtbot: QtBot, heard: Heard) -> None:
    draw(chat, 64)
    chat.page.composer.field.setPlainText("Hi")
    with qtbot.waitSignal(session.chat.reply_ended):
        qtbot.mouseClick(chat.page.composer.send, Qt.MouseButton.LeftButton)
        qtbot.mouseClick(chat.page.composer.stop, Qt.MouseButton.LeftButton)
    assert session.chat.state == "ready"
    assert not chat.conversation.chat.path[-1].is_reply
    assert not heard.failures


def test_a_reward_model_that_is_deleted_meanwhile(
    chat: ChatTab, session: Session, qtbot: QtBot, heard: Heard, judge: str
) -> None:
    draw(chat, 4)
    ask(chat, session, qtbot)
    assert [use.user for use in session.models.uses] == ["Chat", "Reward model"]
    session.runs.delete((judge,))
    qtbot.waitUntil(lambda: not chat.best_of.busy)
    assert chat.best_of.best_of is None
    assert [use.user for use in session.models.uses] == ["Chat"]
    assert "“judge” is no longer in the library" in chat.best_of.problem.text()
    with qtbot.waitSignal(session.chat.reply_ended):
        session.chat.send([{"role": "user", "content": "Hi"}], SamplingConfig(), best_of=BestOf(judge, "judge", 4))
    assert heard.failures == ["This run is no longer in the library: it may have been moved or deleted."]


def test_what_cannot_be_scored_is_said(
    chat: ChatTab, session: Session, qtbot: QtBot, heard: Heard, library: Library, byte_tokenizer: Tokenizer
) -> None:
    choice = chat.best_of.choice
    names = [choice.itemText(i) for i in range(choice.count())]
    assert names == ["judge", "stranger (another tokenizer)"]
    short = put_model(library, byte_tokenizer, "decoder-only", name="short", context_length=64, **JUDGE)
    for run_id in ("stranger", short, "talker"):
        with qtbot.waitSignal(session.chat.reply_ended):
            session.chat.send([{"role": "user", "content": "Hi"}], SamplingConfig(), best_of=BestOf(run_id, run_id, 2))
    strange, too_short, none = heard.failures
    assert "has another tokenizer than the model" in strange
    assert "reads 64 tokens" in too_short
    assert "is no reward model" in none
    open_model(chat, session, put_model(library, byte_tokenizer, "encoder-decoder", form=FORM), qtbot)
    draw(chat, 4)
    assert chat.best_of.best_of is None
    assert not chat.best_of.choice.isEnabled()
    assert chat.best_of.about.text() == "Only a chat model that is a decoder can draw several replies."
