"""Ctrl-C is handled at any moment."""

import io
import signal
import sys

import pytest

from app.commands.shared.interrupt import stop_on_interrupt


class Busy(io.StringIO):
    """Stderr during a print: Python refuses any other print to it."""

    def write(self, text: str) -> int:
        raise RuntimeError("reentrant call")


def test_the_first_ctrl_c_stops_in_the_middle_of_a_print_and_the_second_aborts(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "stderr", Busy())
    asked = []
    with stop_on_interrupt(lambda: asked.append("stop")) as interrupt:
        assert not interrupt.happened
        signal.raise_signal(signal.SIGINT)
        assert interrupt.happened
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    assert asked == ["stop"]
    assert capfd.readouterr().err.count("Stopping after this step") == 1
