"""Signals quit through the event loop, never in the middle of something; what fails is reported, and once only."""

from __future__ import annotations

import ctypes
import logging
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from pytestqt.qtbot import QtBot

from terrarium.app.shell.launch import FailureReport, Interrupts, check_display
from terrarium.app.worker.notices import Notices


def fail(report: FailureReport, words: str) -> None:
    try:
        raise RuntimeError(words)
    except RuntimeError as error:
        report(type(error), error, error.__traceback__)


def test_a_failure_that_repeats_itself_is_reported_once(caplog: pytest.LogCaptureFixture) -> None:
    notices, shown, now = Notices(), [], [0.0]
    notices.failed.connect(lambda sentence, details: shown.append(sentence))
    report = FailureReport(notices, lambda: now[0])
    with caplog.at_level(logging.CRITICAL):
        for _ in range(100):
            now[0] += 1.0
            fail(report, "already deleted")
        fail(report, "something else")
    assert len(shown) == len(caplog.records) == 2
    now[0] += 1000.0
    fail(report, "already deleted")
    assert len(shown) == 3, "it has come back after a long time"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.skipif(os.name == "nt", reason="Windows cannot send a signal to one process")
def test_a_signal_is_heard_in_the_event_loop_only(number: signal.Signals, qtbot: QtBot) -> None:
    before, heard = signal.getsignal(number), list[str]()
    interrupts = Interrupts()
    interrupts.requested.connect(lambda: heard.append("quit"))
    try:
        with qtbot.waitSignal(interrupts.requested):
            os.kill(os.getpid(), number)
            signal.raise_signal(number)  # by now Python has run the handlers of both
            assert heard == []
        assert heard == ["quit"]
    finally:
        interrupts.close()
    assert signal.getsignal(number) is before


NO_CLASS_ELSEWHERE = """
import builtins, sys, threading
from pathlib import Path
from PySide6.QtCore import QObject

make, elsewhere = builtins.__build_class__, []

def build(function, name, *bases, **options):
    made = make(function, name, *bases, **options)
    if isinstance(made, type(QObject)) and threading.current_thread() is not threading.main_thread():
        elsewhere.append(f"{made.__module__}.{name}")
    return made

builtins.__build_class__ = build
from terrarium.app.shell.offscreen import application, opened_window
from terrarium.models.library.library import Library

application()
with opened_window(Library(Path(sys.argv[1])), "cpu") as window:
    window.relaunch.prepare()
    while window.pages.is_incomplete or not window.session.device.label:
        application().processEvents()
assert not elsewhere, elsewhere
assert "terrarium.app.chat.chat_tab" in sys.modules and "torch" in sys.modules
"""


@pytest.mark.slow
def test_classes_of_qt_are_made_on_the_window_s_thread_only(tmp_path: Path) -> None:
    """With Python 3.11, PySide's table of classes has no lock (see `load_pages`)."""
    ran = subprocess.run(
        [sys.executable, "-c", NO_CLASS_ELSEWHERE, str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr


@pytest.mark.parametrize(
    ("library", "package"),
    [
        ("libxcb-cursor.so.0", "libxcb-cursor0"),
        ("libxkbcommon-x11.so.0", "libxkbcommon-x11-0"),
        ("libGL.so.1", "libgl1"),
    ],
)
def test_a_library_that_qt_lacks_is_named_with_its_remedy(
    library: str, package: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing(path: str) -> None:
        assert path == str(tmp_path / "platforms" / "libqxcb.so")
        raise OSError(f"{library}: cannot open shared object file: No such file or directory")

    monkeypatch.setattr(ctypes, "CDLL", missing)
    with pytest.raises(ValueError, match=f"{re.escape(library)} is missing.*sudo apt install {package}$"):
        check_display("linux", {"DISPLAY": ":0"}, tmp_path)
    for platform, environment in (
        ("darwin", {"DISPLAY": ":0"}),
        ("linux", {"DISPLAY": ":0", "QT_QPA_PLATFORM": "offscreen"}),
        ("linux", {"DISPLAY": ":0", "WAYLAND_DISPLAY": "wayland-0"}),
        ("linux", {}),
    ):
        check_display(platform, environment, tmp_path)
