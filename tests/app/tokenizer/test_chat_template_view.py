"""The Conversation view: the tokens of the prompt, their turns, truncation, and errors."""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from PySide6.QtGui import QGuiApplication
from pytestqt.qtbot import QtBot
from tokenizers import Tokenizer, models

from terrarium.app.kit.theme import ThemeProvider
from terrarium.app.session.session import Session
from terrarium.app.tokenizer.conversation_view import MAX_SYNC_CHARACTERS, ChatTemplateView
from terrarium.models.chat.foreign import foreign_chat_tokens
from terrarium.models.chat.own_template import CHAT_TEMPLATE, encode_messages
from terrarium.models.chat.tokens import ChatTokens
from terrarium.models.tokenizers import train_tokenizer


@pytest.fixture(scope="module")
def bpe() -> Tokenizer:
    return train_tokenizer(["Who has the kite? Ben has the kite. " * 20], "bpe", 300)


@pytest.fixture
def view(qtbot: QtBot, session: Session, theme: ThemeProvider, bpe: Tokenizer) -> ChatTemplateView:
    widget = ChatTemplateView(session, theme)
    qtbot.addWidget(widget)
    widget.resize(900, 600)
    widget.set_tokenizer(bpe, "bpe")
    widget.set_text("another text")
    widget.show()
    return widget


def ids(view: ChatTemplateView) -> list[int]:
    assert view.result is not None
    return [int(id) for id in view.result.tokens.ids]


def train_on_it(view: ChatTemplateView) -> None:
    view.purpose.choose("train")
    view.purpose.changed.emit("train")


def test_the_tokens_are_those_of_the_prompt(view: ChatTemplateView, session: Session, bpe: Tokenizer) -> None:
    assert ids(view) == encode_messages(bpe, view.turns.messages, add_generation_prompt=True)[0]
    assert view.stats.number("tokens") == str(len(ids(view)))
    assert view.stats.number("markers") == "7"
    assert view.describe(0) == "⟨user⟩   id 2 · begins turn 1: User"
    assert view.describe(len(ids(view)) - 1) == "⟨assistant⟩   id 3 · generation prompt: the model continues after it"
    train_on_it(view)
    learned = encode_messages(bpe, view.turns.messages)
    assert view.result is not None
    assert (ids(view), view.result.is_reply.tolist()) == learned
    end_of_reply = learned[1].index(True) + sum(learned[1]) - 1
    assert "ends turn 2: Assistant · part of a reply: counts in full in training" in view.describe(end_of_reply)
    assert "in turn 1: User · counts in training with the “Prompt loss weight”" in view.describe(1)
    view.copy_ids()
    assert QGuiApplication.clipboard().text() == str(learned[0])


def test_turns_are_added_edited_and_removed(view: ChatTemplateView, bpe: Tokenizer) -> None:
    view.turns.add_turn()
    view.turns.turns[-1].editor.setPlainText("<|end|>Ben")
    view.turns.turns[0].roles.setCurrentIndex(0)
    assert [message["role"] for message in view.turns.messages] == ["system", "assistant", "user", "assistant"]
    assert ids(view) == encode_messages(bpe, view.turns.messages, add_generation_prompt=True)[0]
    assert view.result is not None
    assert [turn.count.text() for turn in view.turns.turns] == [f"{n} tokens" for n in view.result.counts[:-1]]
    view.turns.remove_turn(1)
    assert len(view.turns.messages) == 3
    for _ in range(3):
        view.turns.remove_turn(0)
    assert ids(view) == [3]
    view.turns.add_turn()
    assert view.turns.messages == [{"role": "user", "content": ""}]


def test_each_turn_starts_a_row(view: ChatTemplateView) -> None:
    assert view.result is not None
    begins = [0, *(np.flatnonzero(np.diff(view.result.messages)) + 1).tolist()]
    rows = [view.view.pills.row_of(index) for index in begins]
    assert len(set(rows)) == len(begins)
    assert all(view.view.pills.x_of(index) == 0 for index in begins)
    train_on_it(view)
    view.grab()  # underlined


def test_exceeding_the_context_is_reported(view: ChatTemplateView, session: Session, bpe: Tokenizer) -> None:
    assert not view.note.isVisible()
    config = dataclasses.replace(session.designs.current, context_length=64)
    session.designs.set(config)
    view.turns.turns[1].editor.setPlainText("kite " * 40)
    expected, _ = encode_messages(bpe, view.turns.messages[2:], add_generation_prompt=True)
    assert view.note.text().startswith("The oldest 2 turns are left out")
    assert view.stats.number("tokens") == str(len(expected))
    view.grab()  # faint
    train_on_it(view)
    assert "its end is cut off in training" in view.note.text()


def test_errors_are_reported(view: ChatTemplateView, bpe: Tokenizer) -> None:
    view.set_tokenizer(Tokenizer(models.BPE()), "foreign")
    assert view.result is None
    assert "This tokenizer has no token <|user|>" in view.message.words
    assert view.message.isVisible()
    assert view.stats.number("tokens") == "–"
    view.set_tokenizer(None, "")
    assert "Train or choose one first" in view.message.words
    view.set_tokenizer(bpe, "bpe")
    assert not view.message.isVisible()
    assert "Prompt loss weight" not in view.about.text()
    train_on_it(view)
    assert "“Prompt loss weight” (default 1)" in view.about.text()


def test_long_turns_are_encoded_in_the_background(
    view: ChatTemplateView, bpe: Tokenizer, until: Callable[[Callable[[], bool]], None]
) -> None:
    view.turns.turns[0].editor.setPlainText("kite " * MAX_SYNC_CHARACTERS)
    assert view.result is None
    until(lambda: view.result is not None)
    assert ids(view) == encode_messages(bpe, view.turns.messages, add_generation_prompt=True)[0]


def test_an_imported_tokenizer_uses_its_own_template(
    view: ChatTemplateView,
    session: Session,
    bpe: Tokenizer,
    until: Callable[[Callable[[], bool]], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    threads = list[threading.Thread]()

    def noted(*args: Any, **how: Any) -> ChatTokens:
        threads.append(threading.current_thread())
        return foreign_chat_tokens(*args, **how)

    monkeypatch.setattr("terrarium.app.tokenizer.conversation_view.foreign_chat_tokens", noted)
    foreign = Tokenizer(models.BPE(vocab={character: i for i, character in enumerate("abWho?Ben ")}, merges=[]))
    foreign.add_special_tokens(["<s>", "</s>"])
    folder = session.library.tokenizers / "foreign"
    folder.mkdir(parents=True)
    template = "{% for message in messages %}{{ bos_token + message.content + '</s>' }}{% endfor %}"
    (folder / "chat_template.jinja").write_text(template, encoding="utf-8")
    view.set_tokenizer(foreign, "foreign")
    until(lambda: "needs its bos_token" in view.message.words)
    assert view.result is None
    (folder / "about.json").write_text('{"bos_token": "<s>"}', encoding="utf-8")
    view.set_tokenizer(foreign, "foreign")
    until(lambda: view.result is not None)
    assert threading.main_thread() not in threads, "the window waits for no template"
    text = "".join(f"<s>{message['content']}</s>" for message in view.turns.messages)
    assert ids(view) == foreign.encode(text).ids
    assert view.describe(0) == "⟨s⟩   id 10 · begins turn 1: User"
    assert view.template_words.text() == template
    view.set_tokenizer(bpe, "bpe")
    assert view.template_words.text() == CHAT_TEMPLATE.strip()
    assert ids(view) == encode_messages(bpe, view.turns.messages, add_generation_prompt=True)[0]


def test_lone_surrogates_are_accepted(view: ChatTemplateView, monkeypatch: pytest.MonkeyPatch) -> None:
    editor = view.turns.turns[0].editor
    monkeypatch.setattr(editor, "toPlainText", lambda: "Half of it: \ud83e")  # as when an emoji is typed in two halves
    editor.textChanged.emit()
    assert view.turns.messages[0]["content"] == "Half of it: \N{REPLACEMENT CHARACTER}"
    assert view.result is not None
