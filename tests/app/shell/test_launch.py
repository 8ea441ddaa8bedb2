"""Signals: they quit the program through its event loop, never in the middle of something else."""

from __future__ import annotations

import os
import signal

import pytest
from pytestqt.qtbot import QtBot

from app.shell.launch import Interrupts


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
