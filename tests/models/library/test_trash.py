"""The trash: what is there, restored exactly or under another name, deleted for good, and gone after 30 days."""

from __future__ import annotations

import json
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from terrarium.models.files.atomic import read_json
from terrarium.models.library.library import Library
from terrarium.models.library.trash import delete_expired, delete_for_good, list_trash
from terrarium.models.settings.model_config import ModelConfig


def deleted_design(library: Library, config: ModelConfig, name: str = "mine") -> str:
    """A design that was saved and deleted; returns the token."""
    return library.move_to_trash(library.save_design(name, config))


def test_what_was_deleted_is_listed(library: Library, tiny_config: ModelConfig) -> None:
    assert list_trash(library.trash) == []
    design = deleted_design(library, tiny_config)
    size = (library.trash / design / "mine.json").stat().st_size
    library.chats.mkdir()
    for name, chat in {
        "a": {"name": "", "messages": [{"content": "Where is\nthe dog? " * 9}]},
        "b": {"name": "Named", "messages": []},
        "c": ["damaged"],
    }.items():
        (library.chats / f"{name}.json").write_text(json.dumps(chat), "utf-8")
        library.move_to_trash(library.chats / f"{name}.json")
    items = list_trash(library.trash)
    assert [item.deleted for item in items] == sorted((item.deleted for item in items), reverse=True)
    found = {item.name: item for item in items}
    assert set(found) == {"mine", "Named", "c", ("Where is the dog? " * 9)[:80] + "…"}
    assert {item.kind for item in items} == {"chat", "design"}
    assert (found["mine"].token, found["mine"].size_bytes) == (design, size)
    assert abs(datetime.now(UTC) - found["mine"].deleted) < timedelta(minutes=5)
    assert found["mine"].expires - found["mine"].deleted == timedelta(days=30)


def test_things_that_are_no_deletion_are_left_out(library: Library, tiny_config: ModelConfig) -> None:
    token = deleted_design(library, tiny_config)
    for name, origin in {"empty": None, "outside": "../../secret", "above": "designs", "moved": "runs/gone"}.items():
        (library.trash / name).mkdir()
        if origin is not None:
            (library.trash / name / "origin.json").write_text(json.dumps({"path": origin}), "utf-8")
    (library.trash / "notes.txt").write_text("mine", "utf-8")
    assert [item.token for item in list_trash(library.trash)] == [token]
    with pytest.raises(ValueError, match=r"origin.json is damaged: its path is '../../secret'"):
        library.restore("outside")


def test_a_taken_name_gives_another(library: Library, tiny_config: ModelConfig) -> None:
    token = deleted_design(library, tiny_config)
    library.save_design("mine", tiny_config)
    assert library.restore(token) == library.designs / "mine-2.json"
    assert library.list_designs() == ["mine", "mine-2"]
    assert not (library.trash / token).exists()


def test_a_chat_whose_place_is_taken_stays(library: Library) -> None:
    chat = library.chats / "a.json"
    chat.parent.mkdir(parents=True)
    chat.write_text("{}", "utf-8")
    token = library.move_to_trash(chat)
    chat.write_text('{"name": "new"}', "utf-8")
    with pytest.raises(ValueError, match="exists again"):
        library.restore(token)
    assert len(list_trash(library.trash)) == 1
    assert read_json(chat) == {"name": "new"}


def test_deleted_for_good_is_not_restored(library: Library, tiny_config: ModelConfig) -> None:
    first, second = deleted_design(library, tiny_config, "a"), deleted_design(library, tiny_config, "b")
    delete_for_good(library.trash, first)
    delete_for_good(library.trash, first)  # another window did so too
    assert [item.token for item in list_trash(library.trash)] == [second]
    assert [entry.name for entry in library.trash.iterdir()] == [second]
    with pytest.raises(ValueError, match="restored already, or deleted for good"):
        library.restore(first)


def test_what_is_old_is_deleted(library: Library, tiny_config: ModelConfig) -> None:
    token = deleted_design(library, tiny_config)
    now = datetime.now(UTC)
    assert delete_expired(library.trash, now + timedelta(days=29)) == 0
    assert len(list_trash(library.trash)) == 1
    assert delete_expired(library.trash, now + timedelta(days=31)) == 1
    assert not (library.trash / token).exists()
    assert delete_expired(library.home / "nowhere") == 0


def test_what_an_older_version_deleted(library: Library, tiny_config: ModelConfig) -> None:
    """Its origin.json has no time: the token has; on Windows its path has backslashes."""
    token = deleted_design(library, tiny_config)
    old = library.trash / "20251020-123456-abcdef"
    shutil.move(library.trash / token, old)
    (old / "origin.json").write_text(json.dumps({"path": "designs\\mine.json"}), "utf-8")
    (item,) = list_trash(library.trash)
    assert (item.kind, item.name) == ("design", "mine")
    assert item.deleted == datetime(2025, 10, 20, 12, 34, 56).astimezone()
    assert library.restore(item.token) == library.designs / "mine.json"


def test_a_deletion_that_fails_leaves_nothing_in_the_trash(
    library: Library, tiny_config: ModelConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = library.save_design("mine", tiny_config)

    def refuse(source: Path, target: Path) -> None:
        raise PermissionError(13, "in use")

    monkeypatch.setattr("terrarium.models.library.library.replace_path", refuse)
    with pytest.raises(PermissionError):
        library.move_to_trash(path)
    assert path.exists()
    assert list(library.trash.iterdir()) == []
