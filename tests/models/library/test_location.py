"""Where the library lies, and choosing another folder for it."""

from __future__ import annotations

from pathlib import Path

import pytest

from terrarium.models.library.library import Library
from terrarium.models.library.location import choose_location, find_location


@pytest.fixture(autouse=True)
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The platform's folders are in `tmp_path`, and the variable is not set."""
    monkeypatch.delenv("TERRARIUM_HOME", raising=False)
    for name in ("config", "data"):
        monkeypatch.setattr(
            f"terrarium.models.library.location.user_{name}_dir", lambda *_, n=name, **__: str(tmp_path / n)
        )


def test_a_chosen_folder_is_used_unless_the_variable_is_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert Library().home == tmp_path / "data"
    (tmp_path / "big disk").mkdir()
    assert choose_location(tmp_path / "big disk") == tmp_path / "big disk"
    assert Library().home == tmp_path / "big disk"
    assert not find_location().is_fixed
    monkeypatch.setenv("TERRARIUM_HOME", str(tmp_path / "here"))
    assert find_location().is_fixed
    assert Library().home == tmp_path / "here"
    assert Library(tmp_path).home == tmp_path


def test_among_other_things_it_gets_a_folder_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "documents").mkdir()
    (tmp_path / "documents" / "letter.txt").write_text("Dear", "utf-8")
    assert choose_location(tmp_path / "documents") == tmp_path / "documents" / "Terrarium"
    (tmp_path / "old" / "runs").mkdir(parents=True)
    assert choose_location(tmp_path / "old") == tmp_path / "old"  # a library already


def test_a_folder_that_is_gone_is_said(tmp_path: Path) -> None:
    chosen = tmp_path / "stick"
    chosen.mkdir()
    choose_location(chosen)
    chosen.rmdir()
    location = find_location()
    assert location.home == tmp_path / "data"
    assert str(chosen) in location.problem
    (tmp_path / "config" / "library.json").write_text("{", "utf-8")
    assert "damaged" in find_location().problem
