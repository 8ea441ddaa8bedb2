"""Conversations on disk: what is kept, what the model reads of them, and files that are none."""

from __future__ import annotations

import json

import pytest

from app.chat_store import Chat, ChatStore, Reply, Turn
from models.library import Library


def reply(text: str) -> Reply:
    return Reply(text=text, model="tiny", step=3, seed=1, n_prompt=4, n_tokens=2, tokens_per_s=99.5, reason="stop")


def test_a_chat_comes_back_as_it_was(library: Library) -> None:
    store = ChatStore(library)
    turn = Turn(
        prompt="Où est Anna ?", kind="state", gold="Here", fresh=True, replies=(reply("a"), reply("b")), shown=1
    )
    chat = Chat(run_id="r", turns=(turn, Turn(prompt="and?")))
    store.save(chat)
    assert store.load(chat.id) == chat
    assert json.loads(store.path(chat.id).read_text("utf-8"))["format"] == 1
    assert list(library.chats.iterdir()) == [store.path(chat.id)], "one file, and nothing beside it"


def test_the_model_reads_what_came_since_the_last_fresh_turn() -> None:
    chat = Chat(
        turns=(
            Turn(prompt="one", replies=(reply("1"),)),
            Turn(prompt="two", fresh=True, replies=(reply("bad"), reply("2")), shown=1),
            Turn(prompt="three", replies=(reply("3"),)),
        )
    )
    assert chat.messages() == [
        {"role": "user", "content": "two"},
        {"role": "assistant", "content": "2"},
        {"role": "user", "content": "three"},
    ]


def test_titles_are_short() -> None:
    assert Chat().title == "New chat"
    assert Chat(turns=(Turn(prompt="hello\nworld"),)).title == "hello world"
    assert len(Chat(turns=(Turn(prompt="x" * 500),)).title) <= 48


@pytest.mark.parametrize(
    "content", ["", "[]", "{}", '{"turns": [1], "created": "", "run_id": ""}', '{"turns": [{"prompt": "x"}]}', "\xff"]
)
def test_a_file_that_is_no_chat_is_told_of_and_left_alone(library: Library, content: str) -> None:
    store = ChatStore(library)
    good = Chat(turns=(Turn(prompt="hi"),))
    store.save(good)
    bad = store.path("bad")
    bad.write_bytes(content.encode("latin1"))
    found = dict(store.list())
    assert found[good.id] == good
    assert str(bad) in str(found["bad"])
    assert bad.read_bytes() == content.encode("latin1")


def test_an_empty_library_has_no_chats(library: Library) -> None:
    assert ChatStore(library).list() == []
