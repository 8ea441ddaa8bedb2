"""Reading untrusted JSON, and atomic writes."""

from __future__ import annotations

import os
import stat
import time
from pathlib import Path

import pytest

from terrarium.models.files import atomic as files
from terrarium.models.files.atomic import (
    DamagedError,
    atomic_file,
    atomic_folder,
    atomic_write_json,
    atomic_write_text,
    clear_leftovers,
    make_private,
    private_folder,
    read_json,
    remove_folder,
)


@pytest.mark.parametrize("data", [b"", b"{", b"\xff\xfe{}", b"[" * 100_000, b'{"n": ' + b"9" * 5000 + b"}"])
def test_invalid_json_is_damaged(tmp_path: Path, data: bytes) -> None:
    file = tmp_path / "about.json"
    file.write_bytes(data)
    with pytest.raises(DamagedError, match=r"about.json is damaged: it is not valid JSON"):
        read_json(file)


def test_only_json_objects_are_accepted(tmp_path: Path) -> None:
    file = tmp_path / "about.json"
    file.write_text("[1]")
    with pytest.raises(DamagedError, match="does not hold a JSON object"):
        read_json(file)
    with pytest.raises(DamagedError, match=r"nothing.json is missing"):
        read_json(tmp_path / "nothing.json")
    with pytest.raises(ValueError, match="cannot be read"):
        read_json(tmp_path)


def test_written_json_is_read_back(tmp_path: Path) -> None:
    atomic_write_json(tmp_path / "new" / "about.json", {"name": "ä", "n": 1.5})
    assert read_json(tmp_path / "new" / "about.json") == {"name": "ä", "n": 1.5}
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["about.json"]
    with pytest.raises(ValueError, match="not JSON compliant"):
        atomic_write_json(tmp_path / "new" / "about.json", {"n": float("nan")})
    assert read_json(tmp_path / "new" / "about.json")["n"] == 1.5


def test_a_folder_is_written_atomically(tmp_path: Path) -> None:
    def fill(text: str, *, fails: bool) -> None:
        with atomic_folder(tmp_path / "new") as half_made:
            (half_made / "file").write_text(text)
            if fails:
                raise OSError("full")

    with pytest.raises(OSError, match="full"):
        fill("a", fails=True)
    assert list(tmp_path.iterdir()) == []
    fill("b", fails=False)
    with pytest.raises(OSError):  # noqa: PT011 (in the words of the system)
        fill("c", fails=False)
    assert [entry.name for entry in tmp_path.iterdir()] == ["new"]
    assert (tmp_path / "new" / "file").read_text() == "b"


def test_a_file_in_use_is_replaced_once_it_is_closed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As Windows behaves."""
    refusals, replace = iter([PermissionError("in use")] * 2), os.replace

    def refuse_at_first(source: Path, target: Path) -> None:
        refusal = next(refusals, None)
        if refusal is not None:
            raise refusal
        replace(source, target)

    monkeypatch.setattr(os, "replace", refuse_at_first)
    monkeypatch.setattr(files, "PAUSE_S", 0.0)
    monkeypatch.setattr(files, "TRIES", 1)
    with pytest.raises(PermissionError):
        atomic_write_json(tmp_path / "a.json", {})
    monkeypatch.setattr(files, "TRIES", 3)
    atomic_write_json(tmp_path / "a.json", {"a": 1})
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.json"]


def test_a_folder_in_use_is_removed_once_it_is_closed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As Windows behaves: a folder cannot be renamed while a file in it is open."""
    refusals, replace = iter([PermissionError("in use")] * 4), os.replace

    def refuse_at_first(source: Path, target: Path) -> None:
        refusal = next(refusals, None)
        if refusal is not None:
            raise refusal
        replace(source, target)

    monkeypatch.setattr(os, "replace", refuse_at_first)
    monkeypatch.setattr(files, "PAUSE_S", 0.0)
    monkeypatch.setattr(files, "TRIES", 2)
    (tmp_path / "a" / "b").mkdir(parents=True)
    with pytest.raises(PermissionError):
        remove_folder(tmp_path / "a")
    assert [entry.name for entry in tmp_path.iterdir()] == ["a"]
    monkeypatch.setattr(files, "TRIES", 3)
    remove_folder(tmp_path / "a")
    assert list(tmp_path.iterdir()) == []


def test_leftovers_of_killed_processes_are_deleted_after_a_day(tmp_path: Path) -> None:
    for name in (".tmp-old", ".tmp-young", "whole"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").write_text("x", encoding="utf-8")
    (tmp_path / ".tmp-file").write_text("x", encoding="utf-8")
    a_day_ago = time.time() - 90_000
    for name in (".tmp-old", ".tmp-file", "whole"):
        os.utime(tmp_path / name, (a_day_ago, a_day_ago))
    clear_leftovers(tmp_path)
    clear_leftovers(tmp_path / "not there")
    assert sorted(entry.name for entry in tmp_path.iterdir()) == [".tmp-young", "whole"]


def test_a_file_is_written_where_killed_processes_left_theirs(tmp_path: Path) -> None:
    left = [tmp_path / name for name in (".tmp-run.terrarium-12345678", ".tmp-other.gguf-12345678")]
    young = tmp_path / ".tmp-run.terrarium-abcdef12"
    for path in (*left, young):
        path.write_bytes(b"half")
    for path in left:
        os.utime(path, (time.time() - 90_000,) * 2)
    with atomic_file(tmp_path / "run.terrarium") as temporary:
        temporary.write_bytes(b"whole")
    assert {path.name for path in tmp_path.iterdir()} == {"run.terrarium", left[1].name, young.name}


@pytest.mark.skipif(os.name == "nt", reason="has no modes")
def test_what_is_private_can_be_read_by_its_owner_only(tmp_path: Path) -> None:
    def mode(path: Path) -> int:
        return stat.S_IMODE(path.stat().st_mode)

    old = tmp_path / "old"
    old.mkdir()
    old.chmod(0o755)
    assert mode(private_folder(old)) == 0o700
    assert mode(private_folder(tmp_path / "new")) == 0o700
    file = tmp_path / "file.json"
    atomic_write_text(file, "x")
    file.chmod(0o644)
    assert mode(make_private(file)) == 0o600
    atomic_write_text(file, "y", private=True)
    assert (mode(file), file.read_text()) == (0o600, "y")
    assert not make_private(tmp_path / "missing").exists()
