"""Speculative decoding in the chat tab: a draft is chosen, and the reply shows token by token what was accepted."""

from __future__ import annotations

import json

import pytest
from PySide6.QtCore import Qt
from PySide6.QtGui import QColor
from PySide6.QtWidgets import QDoubleSpinBox
from pytestqt.qtbot import QtBot
from tokenizers import Tokenizer

from terrarium.app.chat.archive.json_format import chat_from, chat_text
from terrarium.app.chat.archive.message_tree import Message
from terrarium.app.chat.chat_tab import ChatTab
from terrarium.app.glass.tokens.colours import DRAFT, draft_colours
from terrarium.app.kit.layout.section import Section
from terrarium.app.kit.theme import ThemeProvider
from terrarium.app.session.second_models import Drafting
from terrarium.app.session.session import Session
from terrarium.models.chat.template_config import ChatTemplateConfig
from terrarium.models.library.library import Library
from terrarium.models.settings.sampling_config import SamplingConfig
from terrarium.models.tokenizers import train_tokenizer
from tests.app.heard import Heard
from tests.app.small_models import put_model

FORM = ChatTemplateConfig(template="{% for m in messages %}{{ m.content }};{% endfor %}")


@pytest.fixture
def chat(qtbot: QtBot, session: Session, theme: ThemeProvider, library: Library, byte_tokenizer: Tokenizer) -> ChatTab:
    """The tab with a model that talks, beside one that can draft for it and others that cannot."""
    other = train_tokenizer(["the cat and the dog"] * 4, "bpe", 270)
    put_model(library, other, "decoder-only", name="stranger")
    put_model(library, byte_tokenizer, "encoder-only")
    put_model(library, byte_tokenizer, "decoder-only", name="small", context_length=128, n_kv_head=1, init_std=0.1)
    talker = put_model(
        library, byte_tokenizer, "decoder-only", name="talker", form=FORM, context_length=128, init_std=0.1
    )
    tab = ChatTab(session, theme)
    qtbot.addWidget(tab)
    tab.resize(1440, 900)
    tab.show()
    open_model(tab, session, talker, qtbot)
    tab.sampling.set_config(SamplingConfig(max_tokens=24, seed=1, temperature=1.0))
    tab.sampling.new_each_time.setChecked(False)
    return tab


def open_model(tab: ChatTab, session: Session, run_id: str, qtbot: QtBot) -> None:
    assert session.chat.open(run_id)
    qtbot.waitUntil(lambda: session.chat.state == "ready")
    tab.side.show_view("settings")
    [section] = [each for each in tab.side.findChildren(Section) if each.title == "Draft model"]
    section.set_folded(False)
    qtbot.waitUntil(lambda: not tab.draft.busy)


def choose(tab: ChatTab, name: str, qtbot: QtBot) -> None:
    """As with the keyboard in the list of draft models."""
    choice = tab.draft.choice
    choice.setFocus()
    index = next(i for i in range(choice.count()) if choice.itemText(i).startswith(name))
    while choice.currentIndex() != index:
        key = Qt.Key.Key_Down if choice.currentIndex() < index else Qt.Key.Key_Up
        qtbot.keyClick(choice, key)


def ask(tab: ChatTab, session: Session, qtbot: QtBot, text: str = "Hi") -> Message:
    tab.page.composer.field.setPlainText(text)
    with qtbot.waitSignal(session.chat.reply_ended):
        qtbot.mouseClick(tab.page.composer.send, Qt.MouseButton.LeftButton)
    return tab.conversation.chat.path[-1]


def test_a_reply_shows_what_was_accepted(chat: ChatTab, session: Session, qtbot: QtBot, heard: Heard) -> None:
    assert chat.draft.drafting is None, "off, until the user wants one"
    assert [chat.draft.choice.itemText(i).split(" · ")[0] for i in range(chat.draft.choice.count())] == [
        "No draft model (off)",
        "small",
    ]
    plain = ask(chat, session, qtbot)
    assert plain.generation is not None
    assert plain.generation.draft is None
    assert chat.page.view.messages[-1].buttons.drafted.isHidden()
    assert chat.page.legend.choice.findData(DRAFT) < 0
    choose(chat, "small", qtbot)
    [box] = chat.draft.number.findChildren(QDoubleSpinBox)
    box.setValue(3)
    assert chat.draft.drafting is not None
    assert chat.draft.drafting[1:] == ("small", 3)
    made = ask(chat, session, qtbot)
    assert [use.user for use in session.models.uses] == ["Chat", "Draft model"]
    generation = made.generation
    assert generation is not None
    draft = generation.draft
    assert draft is not None
    assert (draft.model, draft.n_tokens, draft.n_made) == ("small", 3, len(generation.tokens))
    told = [token.speculated for token in generation.tokens]
    assert None not in told
    outcomes = [each.outcome for each in told if each is not None]
    assert draft.n_accepted == outcomes.count("accepted") > 0
    ended_accepted = outcomes[-1] == "accepted"  # the last pass was cut off there
    assert draft.n_passes == draft.n_made - draft.n_accepted + ended_accepted
    assert "replaced" in outcomes
    view = chat.page.view.messages[-1]
    assert view.note.text().endswith(draft.words)
    assert f"{draft.n_accepted} of {draft.n_drafted} drafted tokens accepted" in draft.words
    assert "Drafted by small, at most 3 tokens at once" in view.note.toolTip()

    qtbot.mouseClick(view.buttons.drafted, Qt.MouseButton.LeftButton)
    assert chat.side.current == "next"
    assert chat.page.legend.quantity == DRAFT
    tokens, text = chat.replies.tokens[view]
    assert tokens.quantity == DRAFT
    assert f"{draft.n_accepted} accepted from the draft" in tokens.accessibleDescription()
    at = outcomes.index("replaced")
    tip = tokens.tip_of(text.n_prompt + at)
    replaced = told[at]
    assert replaced is not None
    assert f"(q {replaced.q:.2f}, p {replaced.p:.2f})".replace("0.00", "<0.01") in tip[0]
    assert f"replaced by “{text.words[text.n_prompt + at]}”" in tip[0]
    assert "and the model accepted it" in tokens.tip_of(text.n_prompt + outcomes.index("accepted"))[0]
    assert "the model’s own" in tokens.tip_of(text.n_prompt + outcomes.index("bonus"))[0]
    assert pictured(tokens, text.n_prompt + at) != pictured(tokens, text.n_prompt + outcomes.index("accepted"))

    read = chat_from(json.loads(chat_text(chat.conversation.chat)), "here")
    assert read.message(made.id).generation == generation
    choose(chat, "No draft", qtbot)
    assert [use.user for use in session.models.uses] == ["Chat"]
    assert not heard.failures


def pictured(tokens: object, position: int) -> str:
    """The colour behind a token, at its lower left."""
    rect = tokens.rect_of(position)  # type: ignore[attr-defined]
    return str(tokens.grab().toImage().pixelColor(rect.left() + 1, rect.top() + 2).name())  # type: ignore[attr-defined]


def test_versions_and_continued_replies_keep_their_marks(chat: ChatTab, session: Session, qtbot: QtBot) -> None:
    choose(chat, "small", qtbot)
    first = ask(chat, session, qtbot)
    assert first.generation is not None
    if not first.generation.can_continue:
        pytest.skip("this reply ended by itself")
    with qtbot.waitSignal(session.chat.reply_ended):
        chat.conversation.continue_reply(first.id)
    longer = chat.conversation.chat.path[-1].generation
    assert longer is not None
    assert longer.tokens[: len(first.generation.tokens)] == first.generation.tokens
    assert longer.draft is not None
    assert longer.draft.n_made == len(longer.tokens) - longer.n_prefix
    with qtbot.waitSignal(session.chat.reply_ended):
        chat.conversation.retry(first.id)
    again = chat.conversation.chat.path[-1].generation
    assert again is not None
    assert again.ids == first.generation.ids, "the same seed"
    chat.conversation.show(first.id)
    assert not chat.page.view.messages[-1].buttons.drafted.isHidden()


def test_why_there_is_none(
    chat: ChatTab, session: Session, qtbot: QtBot, heard: Heard, library: Library, byte_tokenizer: Tokenizer
) -> None:
    choose(chat, "small", qtbot)
    open_model(chat, session, chat.draft.choice.currentData(), qtbot)  # the draft itself: talker is larger
    assert chat.draft.drafting is None
    choose(chat, "talker", qtbot)
    assert "not smaller" in chat.draft.problem.text()
    strange = next(run.id for run in session.runs.list() if run.name == "stranger")
    open_model(chat, session, strange, qtbot)
    assert chat.draft.drafting is None
    assert not chat.draft.choice.isEnabled()
    assert "No other model here has this model’s tokenizer" in chat.draft.about.text()
    with qtbot.waitSignal(session.chat.reply_ended):
        run = next(run.id for run in session.runs.list() if run.name == "small")
        session.chat.send("Hi", SamplingConfig(), drafting=Drafting(run, "small", 5))
    assert "has another tokenizer" in heard.failures[-1]
    open_model(chat, session, put_model(library, byte_tokenizer, "encoder-decoder", form=FORM), qtbot)
    assert "Only for decoders" in chat.draft.about.text()


def test_a_draft_that_is_deleted_meanwhile(chat: ChatTab, session: Session, qtbot: QtBot) -> None:
    choose(chat, "small", qtbot)
    ask(chat, session, qtbot)
    session.runs.delete((chat.draft.choice.currentData(),))
    qtbot.waitUntil(lambda: not chat.draft.busy)
    assert chat.draft.drafting is None
    assert [use.user for use in session.models.uses] == ["Chat"]
    assert "“small” is no longer in the library" in chat.draft.problem.text()


def test_nothing_is_drafted_for_the_best_of_several(
    chat: ChatTab, session: Session, qtbot: QtBot, library: Library, byte_tokenizer: Tokenizer
) -> None:
    judge = {"head": "sequence", "n_label": 1}
    put_model(library, byte_tokenizer, "decoder-only", name="judge", context_length=128, **judge)
    [section] = [each for each in chat.side.findChildren(Section) if each.title.startswith("Best of")]
    section.set_folded(False)
    qtbot.waitUntil(lambda: not chat.best_of.busy)
    choose(chat, "small", qtbot)
    [box] = chat.best_of.number.findChildren(QDoubleSpinBox)
    box.setValue(2)
    assert "Not used while the best of several" in chat.draft.problem.text()
    made = ask(chat, session, qtbot).generation
    assert made is not None
    assert made.drawn is not None
    assert made.draft is None
    box.setValue(1)
    assert chat.draft.problem.isHidden()


@pytest.mark.parametrize("mode", ["light", "dark"])
def test_the_colours_are_told_apart_and_read(mode: str, theme: ThemeProvider) -> None:
    theme.set_mode(mode)
    grounds = []
    for outcome in ("accepted", "replaced"):
        painted = draft_colours(theme, outcome)
        assert painted is not None
        assert contrast(*painted) >= 4.5, "the least of WCAG 2 for text"
        grounds.append(painted[0])
    assert abs(grounds[0].blue() - grounds[1].blue()) > 64, "blue is seen with any usual colour blindness"
    assert draft_colours(theme, "bonus") is None


def contrast(one: QColor, other: QColor) -> float:
    """The contrast ratio of WCAG 2."""

    def luminance(colour: QColor) -> float:
        parts = [c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in colour.getRgbF()[:3]]  # type: ignore[index]
        return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2]

    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)
