"""A conversation as a tree: branches, what is shown, what a model reads, and that nothing is ever lost."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from terrarium.app.chat.archive.message_tree import Chat, GenerationInfo, Message, shortened


def said(id: str, parent: str = "", **more: object) -> Message:
    return Message(id=id, parent=parent, content=f"text {id}", **more)  # type: ignore[arg-type]


def reply(id: str, parent: str) -> Message:
    return said(id, parent, role="assistant", generation=GenerationInfo(model="tiny"))


def branched() -> Chat:
    """u1 → (a1 → u2 → a3, a2), and u1 edited to u1b."""
    chat = Chat()
    for message in (said("u1"), reply("a1", "u1"), said("u2", "a1"), reply("a3", "u2"), reply("a2", "u1"), said("u1b")):
        chat = chat.with_message(message)
    return chat


def ids(messages: tuple[Message, ...]) -> list[str]:
    return [message.id for message in messages]


def test_an_added_message_is_shown_and_the_others_are_kept() -> None:
    chat = branched()
    assert ids(chat.path) == ["u1b"]
    assert ids(chat.siblings("u1")) == ["u1", "u1b"]
    assert ids(chat.siblings("a2")) == ["a1", "a2"]


def test_another_version_comes_with_what_followed_it() -> None:
    chat = branched().showing("a1")
    assert ids(chat.path) == ["u1", "a1", "u2", "a3"]
    chat = chat.showing("a2")
    assert ids(chat.path) == ["u1", "a2"]
    assert ids(chat.showing("u1b").showing("u1").path) == ["u1", "a2"], "each branch remembers what was shown of it"


def test_a_model_reads_the_branch_since_the_last_fresh_message() -> None:
    chat = branched().with_message(said("u4", "a3", fresh=True)).with_message(reply("a5", "u4"))
    chat = chat.with_message(said("u6", "a5"))
    assert [m["content"] for m in chat.read_for("u2")] == ["text u1", "text a1", "text u2"]
    assert chat.read_for("u6") == [
        {"role": "user", "content": "text u4"},
        {"role": "assistant", "content": "text a5"},
        {"role": "user", "content": "text u6"},
    ]


def test_a_reply_that_grows_stays_the_same_message() -> None:
    chat = branched().showing("a2")
    grown = Message(id="a2", parent="u1", role="assistant", content="more")
    assert ids(chat.with_message(grown).messages) == ids(chat.messages)
    assert chat.with_message(grown).message("a2").content == "more"


def test_titles_are_short() -> None:
    assert Chat().title == "New chat"
    assert Chat(messages=(Message(content="hello\nworld"),)).title == "hello world"
    assert Chat(messages=(Message(content="hello"),), name="Named").title == "Named"
    assert len(Chat(messages=(Message(content="x" * 500),)).title) <= 48
    assert shortened("one two", 4) == "one…"


def test_a_conversation_without_branches_is_drawn_as_one_line() -> None:
    chat = Chat()
    for i in range(30):
        chat = chat.with_message(said(str(i), str(i - 1) if i else ""))
    assert {(row.lane, row.through, row.turns_off) for row in chat.rows} == {(0, (), False)}


def test_older_versions_branch_off_to_the_right() -> None:
    rows = branched().rows
    assert [(row.message.id, row.lane, row.through, row.turns_off) for row in rows] == [
        ("u1", 1, (0,), True),
        ("a1", 2, (0, 1), True),
        ("u2", 2, (0, 1), False),
        ("a3", 2, (0, 1), False),
        ("a2", 1, (0,), False),
        ("u1b", 0, (), False),
    ]


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(["say", "reply", "edit", "retry", "show", "grow"]), st.integers(0, 99))))
def test_no_operation_loses_a_message(moves: list[tuple[str, int]]) -> None:
    chat, kept = Chat(), dict[str, str]()
    for number, (move, at) in enumerate(moves):
        picked = chat.messages[at % len(chat.messages)] if chat.messages else None
        if picked is None or move == "say":
            leaf = chat.leaf
            new = said(f"m{number}", leaf.id if leaf is not None else "")
        elif move == "reply":
            new = reply(f"m{number}", picked.id)
        elif move in ("edit", "retry"):
            new = said(f"m{number}", picked.parent, role=picked.role)
        elif move == "grow":
            new = Message(id=picked.id, parent=picked.parent, role=picked.role, content=kept[picked.id] + " more")
        else:
            chat = chat.showing(picked.id)
            assert picked in chat.path
            continue
        chat = chat.with_message(new)
        kept[new.id] = new.content
        if move != "grow":
            assert chat.leaf == new
    assert {message.id: message.content for message in chat.messages} == kept
    assert sorted(row.message.id for row in chat.rows) == sorted(kept)
    for message in chat.messages:
        assert message in chat.siblings(message.id)
        assert chat.showing(message.id).path[: len(chat.path_to(message.id))] == chat.path_to(message.id)
