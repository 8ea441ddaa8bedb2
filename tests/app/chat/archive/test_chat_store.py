"""Conversations on disk: what is kept, older files, files that are none, and what other programs give and take."""

from __future__ import annotations

import dataclasses
import json
import os
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from terrarium.app.chat.archive.chat_library import as_markdown, import_chat
from terrarium.app.chat.archive.json_format import chat_text
from terrarium.app.chat.archive.message_tree import Chat, DraftUse, DrawnToken, GenerationInfo, Message
from terrarium.app.chat.archive.store import ChatIndex, ChatSaver, ChatStore
from terrarium.models.chat.prompting import PromptSettings
from terrarium.models.events import Speculated
from terrarium.models.library.library import Library
from terrarium.models.settings.sampling_config import SamplingConfig

OLD_REPLY = {"model": "tiny", "step": 3, "seed": 1, "n_prompt": 4, "n_tokens": 2, "tokens_per_s": 99.5}
OLD_REPLY |= {"context_length": 128, "reason": "stop"}


def old_turn(prompt: str, *replies: str, shown: int = 0, **more: Any) -> dict[str, Any]:
    turn = {"prompt": prompt, "kind": "", "gold": "", "topic": [], "fresh": False, "goes_on": False, "shown": shown}
    return turn | {"replies": [{"text": text, **OLD_REPLY} for text in replies]} | more


def full_chat() -> Chat:
    """A conversation that uses everything there is."""
    generation = GenerationInfo(
        model="tiny",
        run_id="r",
        step=3,
        seed=9,
        sampling=SamplingConfig(temperature=0.5, stop=("\n",), logit_bias=((5, 1.5),), seed=9),
        prompt_ids=(1, 2),
        source_ids=(7,),
        tokens=(
            DrawnToken(4, 0.5, 1.25, 1, 0.75),
            DrawnToken(5),
            DrawnToken(6, 0.5, 1.25, 2, None, Speculated(outcome="replaced", proposed=4, p=0.25, q=0.5)),
            DrawnToken(7, 0.5, 1.25, 2, None, Speculated(outcome="bonus")),
        ),
        draft=DraftUse(model="small", run_id="s", n_tokens=5, n_drafted=3, n_accepted=0, n_passes=2, n_made=2),
        n_prefix=1,
        n_prompt=2,
        n_tokens=2,
        n_left_out=1,
        summary="before",
        first_token_s=0.01,
        tokens_per_s=99.5,
        context_length=128,
        reason="length",
    )
    asked = Message(
        content="Où est Anna ?", kind="state", gold="Here", topic=("a", "b", "c"), fresh=True, is_completion=True
    )
    chat = Chat(name="Mine", run_id="r", prompting=PromptSettings(system="Be brief.", when_full="stop")).with_message(
        asked
    )
    for reply in (Message(content="Ici.", generation=generation), Message(content="Là.", edited=True)):
        chat = chat.with_message(dataclasses.replace(reply, parent=asked.id, role="assistant"))
    return chat.showing(chat.messages[1].id)


def test_a_chat_round_trips(library: Library) -> None:
    store, chat = ChatStore(library), full_chat()
    store.save(chat)
    assert store.load(chat.id) == chat
    assert json.loads(store.path(chat.id).read_text("utf-8"))["format"] == 2
    assert list(library.chats.iterdir()) == [store.path(chat.id)], "one file, and nothing beside it"


def test_a_chat_of_turns_becomes_a_tree(library: Library) -> None:
    turns = [old_turn("one", "1", "uno", shown=1, fresh=True), old_turn("two"), old_turn("three", "3", gold="3")]
    path = ChatStore(library).path("old")
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps({"format": 1, "id": "old", "created": "2026-01-01", "run_id": "r", "turns": turns}))
    chat = ChatStore(library).load("old")
    assert [message.content for message in chat.path] == ["one", "uno", "two", "three", "3"]
    assert [message.content for message in chat.siblings(chat.path[1].id)] == ["1", "uno"]
    generation = chat.path[-1].generation
    assert generation == GenerationInfo(**OLD_REPLY)  # type: ignore[arg-type]
    assert (chat.path[3].gold, chat.path[0].fresh, chat.run_id, chat.created) == ("3", True, "r", "2026-01-01")
    assert generation.sampling is None, "only the seed is known"
    assert not generation.can_continue
    ChatStore(library).save(chat)
    assert ChatStore(library).load("old") == chat


def test_unknown_settings_do_not_lose_the_messages(library: Library) -> None:
    chat = full_chat()
    data = json.loads(chat_text(chat))
    data["messages"][1]["made"]["sampling"] |= {"of the future": 1}
    data["messages"][2] |= {"made": {**OLD_REPLY, "sampling": {"temperature": "hot"}}}
    data["prompting"] = {"when_full": "panic"}
    path = ChatStore(library).path(chat.id)
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps(data))
    read = ChatStore(library).load(chat.id)
    assert read.messages[1] == chat.messages[1]
    assert read.messages[2].generation == GenerationInfo(**OLD_REPLY)  # type: ignore[arg-type]
    assert read.prompting == PromptSettings()


_MESSAGE = '{"id": "%s", "parent": "%s", "role": "user", "content": "x", "created": ""}'
_HEAD = '"format": 2, "id": "", "created": "", "name": "", "run_id": "", "shown": {}'


@pytest.mark.parametrize(
    "content",
    [
        "",
        "[]",
        "{}",
        '{"turns": [1], "created": "", "run_id": "", "id": ""}',
        '{"turns": [{"prompt": "x"}]}',
        "\xff",
        '{"format": 3}',
        f'{{{_HEAD}, "messages": [1]}}',
        f'{{{_HEAD}, "messages": [{_MESSAGE % ("a", "b")}]}}',
        f'{{{_HEAD}, "messages": [{_MESSAGE % ("a", "")}, {_MESSAGE % ("a", "")}]}}',
        f'{{{_HEAD}, "messages": [{_MESSAGE % ("a", "a")}]}}',
        '{"format": "two", "messages": []}',
        '{"format": Infinity, "messages": []}',
        *(
            f'{{{_HEAD}, "messages": [{(_MESSAGE % ("a", ""))[:-1]}, "made": {{"model": "m", {wrong}}}}}]}}'
            for wrong in (
                '"step": Infinity',
                '"tokens_per_s": NaN',
                '"tokens": [[1, NaN, 0, 0, 0]]',
                '"tokens": [[-1, 0, 0, 0, 0]]',
                '"prompt_ids": [9e99]',
            )
        ),
    ],
)
def test_a_file_that_is_not_a_chat_is_reported_and_left_alone(library: Library, content: str) -> None:
    store, good = ChatStore(library), full_chat()
    store.save(good)
    bad = store.path("bad")
    bad.write_bytes(content.encode("latin1"))
    lines = {line.id: line for line in ChatIndex(store.folder).find()}
    assert (lines[good.id].title, lines[good.id].problem) == ("Mine", "")
    assert str(bad) in lines["bad"].problem
    assert bad.read_bytes() == content.encode("latin1")


def test_chats_are_found_by_names_and_all_messages(library: Library) -> None:
    store, index = ChatStore(library), ChatIndex(library.chats)
    assert index.find() == ()
    chat, other = full_chat(), Chat().with_message(Message(content="Something else", created="2999-01-01"))
    store.save(chat)
    store.save(other)
    assert [line.id for line in index.find()] == [other.id, chat.id], "the latest first"
    assert [line.id for line in index.find("mine  LÀ")] == [chat.id], "also in a version that is not shown"
    assert index.find("nowhere") == ()
    store.save(other.with_message(Message(parent=other.messages[0].id, content="nowhere", created="2999")))
    assert [line.id for line in index.find("nowhere")] == [other.id]
    store.path(other.id).unlink()
    assert [line.id for line in index.find()] == [chat.id]


def test_concurrent_writes_keep_the_newest_state(library: Library) -> None:
    store = ChatStore(library)
    saver, chat = ChatSaver(store), Chat()
    with ThreadPoolExecutor(4) as threads:
        for i in range(50):
            chat = chat.with_message(Message(parent=chat.leaf.id if chat.leaf else "", content=str(i)))
            saver.add(chat)
            threads.submit(saver.write_all)
        saver.write_all()
        assert store.load(chat.id) == chat
    assert store.load(chat.id) == chat
    assert saver.take_problem() is None


def test_a_failed_write_is_reported_once_and_retried(library: Library) -> None:
    library.chats.parent.mkdir(parents=True, exist_ok=True)
    library.chats.write_text("a file where the folder should be")
    saver, first, second = ChatSaver(ChatStore(library)), Chat(name="first"), Chat(name="second")
    for chat in (first, second):
        saver.add(chat)
        saver.write_all()
    assert isinstance(saver.take_problem(), OSError)
    saver.add(first)
    saver.write_all()
    assert saver.take_problem() is None, "it is known"
    library.chats.unlink()
    saver.add(dataclasses.replace(second, name="newer"))
    saver.write_all()
    assert not saver.holds
    assert [ChatStore(library).load(chat.id).name for chat in (first, second)] == ["first", "newer"]


def test_two_windows_with_one_chat_lose_nothing(library: Library) -> None:
    one, other, chat = ChatStore(library), ChatStore(library), full_chat()
    one.save(chat)
    mine = chat.with_message(Message(parent=chat.messages[1].id, content="mine"))
    theirs = other.load(chat.id).with_message(Message(parent=chat.messages[2].id, content="theirs"))
    other.save(theirs)
    one.save(mine)
    kept = one.load(chat.id)
    assert {message.content for message in kept.messages} == {"Où est Anna ?", "Ici.", "Là.", "mine", "theirs"}
    assert [message.content for message in kept.path] == ["Où est Anna ?", "Ici.", "mine"]
    growing = Message(parent=chat.messages[0].id, role="assistant", content="I", generation=GenerationInfo(model="m"))
    other.save(theirs.with_message(growing))
    seen = one.load(chat.id)
    ended = dataclasses.replace(growing, content="Ici.", generation=GenerationInfo(model="m", reason="stop"))
    other.save(theirs.with_message(ended))
    one.save(seen)
    assert one.load(chat.id).message(growing.id) == ended


def test_markdown_holds_the_shown_path() -> None:
    chat = full_chat()
    assert as_markdown(chat) == (
        "# Mine\n\n### System\n\nBe brief.\n\n### User\n\nOù est Anna ?\n\n### tiny, step 3\n\nIci.\n"
    )
    assert as_markdown(chat.showing(chat.messages[2].id)).endswith("### Model (edited)\n\nLà.\n")


def test_an_exported_chat_is_imported_as_another(tmp_path: Path) -> None:
    chat, path = full_chat(), tmp_path / "chat.json"
    path.write_text(chat_text(chat), "utf-8")
    taken = import_chat(path)
    assert taken.id != chat.id
    assert dataclasses.replace(taken, id=chat.id) == chat


def test_lists_of_messages_are_imported(tmp_path: Path) -> None:
    said: list[dict[str, Any]] = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": [{"type": "text", "text": "Hello "}, {"type": "text", "text": "there"}]},
        {"role": "assistant", "content": "Hi."},
        {"role": "user", "content": "And?"},
    ]
    path = tmp_path / "from elsewhere.json"
    for data in (said, {"model": "x", "messages": said}):
        path.write_text(json.dumps(data))
        chat = import_chat(path)
        assert (chat.title, chat.prompting.system) == ("from elsewhere", "Be brief.")
        assert [(m.role, m.content) for m in chat.path] == [
            ("user", "Hello there"),
            ("assistant", "Hi."),
            ("user", "And?"),
        ]


def test_a_lone_surrogate_does_not_lose_the_chat(library: Library, tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    path.write_text('[{"role": "user", "content": "a \\ud83d b"}]')
    store, chat = ChatStore(library), import_chat(path)
    store.save(chat)
    assert [message.content for message in store.load(chat.id).path] == ["a \ufffd b"]


def test_a_file_that_is_too_large_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    with path.open("wb") as file:
        file.truncate(65_000_000)
    with pytest.raises(ValueError, match=r"62\.0 MiB"):
        import_chat(path)


@pytest.mark.parametrize(
    "content",
    [
        "",
        "3",
        "{}",
        "[]",
        '{"messages": 3}',
        "[1]",
        '[{"role": "tool", "content": ""}]',
        '[{"role": "user"}]',
        '[{"role": "user", "content": [{"type": "image_url"}]}]',
        '{"shown": {}, "format": 2}',
        "[" * 100_000,
    ],
)
def test_files_that_are_not_chats_are_refused_in_a_sentence(tmp_path: Path, content: str) -> None:
    path = tmp_path / "x.json"
    path.write_text(content)
    with pytest.raises(ValueError, match=r"x\.json.*\.$"):
        import_chat(path)
    with pytest.raises(ValueError, match="cannot be read"):
        import_chat(tmp_path / "missing.json")


@pytest.mark.skipif(os.name == "nt", reason="has no modes")
def test_only_the_owner_may_read_chats_and_the_trash(library: Library) -> None:
    def mode(path: Path) -> int:
        return stat.S_IMODE(path.stat().st_mode)

    store, chat = ChatStore(library), full_chat()
    store.save(chat)
    assert mode(library.chats) == 0o700
    library.chats.chmod(0o755)  # as older versions made it
    ChatStore(library)
    assert mode(library.chats) == 0o700
    library.move_to_trash(store.path(chat.id))
    assert mode(library.trash) == 0o700
