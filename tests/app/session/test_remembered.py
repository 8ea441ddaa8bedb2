"""Settings of two windows on one library: neither loses the other's, and the window never waits for the disk."""

from __future__ import annotations

import os
import stat
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from terrarium.app.chat.settings.sampling_presets import SamplingPresets
from terrarium.app.session.remembered import Remembered
from terrarium.app.session.session import Session
from terrarium.app.worker.notices import Notices
from terrarium.models.files.atomic import read_json
from terrarium.models.library.library import Library
from terrarium.models.settings.sampling_config import SamplingConfig
from tests.app.heard import Heard, Until


@pytest.fixture
def other(session: Session, library: Library) -> Iterator[Session]:
    """A second window's session on the same library."""
    other = Session(library)
    other.start(warm_up=False)
    yield other
    other.close()


def test_two_windows_keep_each_others_settings(session: Session, other: Session, library: Library) -> None:
    session.remembered.set("theme", "dark")
    session.remembered.flush()
    other.remembered.set("tab", "chat")
    other.remembered.flush()
    assert read_json(library.home / "settings.json") == {"theme": "dark", "tab": "chat"}
    assert other.remembered.get("theme", "") == "dark"  # seen from then on
    other.remembered.set("theme", "light")  # the last word on one and the same setting is the later one
    other.remembered.flush()
    session.remembered.set("tab", "builder")
    session.remembered.flush()
    again = Remembered(library.home, Notices())
    assert (again.get("theme", ""), again.get("tab", "")) == ("light", "builder")


def test_two_windows_keep_each_others_presets(session: Session, other: Session, library: Library) -> None:
    first, second = (SamplingPresets(each.remembered, each.notices) for each in (session, other))
    for presets, name in ((first, "A"), (second, "B"), (first, "C")):
        assert presets.save(name, SamplingConfig(temperature=0.5))
    session.remembered.flush()
    other.remembered.flush()
    first.delete("A")
    session.remembered.flush()
    notices = Notices()
    assert set(SamplingPresets(Remembered(library.home, notices), notices).own) == {"B", "C"}


def test_it_is_written_soon_and_not_on_the_windows_thread(
    session: Session, library: Library, until: Until, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[int] = []
    fsync = os.fsync

    def note(descriptor: int) -> None:
        if stat.S_ISREG(os.fstat(descriptor).st_mode):
            synced.append(threading.get_ident())
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", note)
    path = library.home / "settings.json"
    for tab in ("chat", "builder", "training"):
        session.remembered.set("tab", tab)
    assert not path.exists()
    until(lambda: path.exists() and read_json(path)["tab"] == "training")
    assert len(synced) == 1
    assert synced[0] != threading.get_ident()


def test_a_disk_that_refuses_is_reported_once_and_nothing_is_lost(
    session: Session, heard: Heard, library: Library, until: Until, monkeypatch: pytest.MonkeyPatch
) -> None:
    tries: list[Path] = []

    def refuse(path: Path, value: object) -> None:
        tries.append(path)
        raise OSError(28, "No space left on device", str(path))

    monkeypatch.setattr("terrarium.app.session.remembered.atomic_write_json", refuse)
    session.remembered.set("tab", "chat")
    until(lambda: len(heard.failures) == 1)
    session.remembered.set("theme", "dark")
    until(lambda: len(tries) == 2)
    monkeypatch.undo()
    session.remembered.set("text scale", 1.1)
    until((library.home / "settings.json").exists)
    session.remembered.flush()
    assert read_json(library.home / "settings.json") == {"tab": "chat", "theme": "dark", "text scale": 1.1}
    assert len(heard.failures) == 1


def test_settings_are_saved_again_once_the_damaged_file_is_gone(library: Library, qapp: object) -> None:
    path = library.home / "settings.json"
    path.parent.mkdir(parents=True)
    path.write_text("[1, 2]", "utf-8")
    remembered = Remembered(library.home, Notices())
    remembered.set("tab", "chat")
    remembered.flush()
    assert path.read_text("utf-8") == "[1, 2]"
    path.unlink()
    remembered.flush()
    assert read_json(path) == {"tab": "chat"}
