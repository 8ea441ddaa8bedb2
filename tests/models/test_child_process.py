"""Calls in a child process: results, errors, limits, and that no process outlives its use."""

from __future__ import annotations

import math
import operator
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from typing import IO

import psutil
import pytest

from terrarium.models import child_process
from terrarium.models.child_process import ChildProcess, LimitError, Limits

WIDE = Limits(seconds=600.0, memory_bytes=1 << 32, answer_bytes=1 << 20)


class OddError(ValueError):
    """An error with a name of its own."""


def fail_oddly(sentence: str) -> None:
    """Raise an OddError."""
    raise OddError(sentence)


def say(text: str) -> str:
    """Return a text, and print something, as libraries do."""
    print("something", flush=True)  # noqa: T201
    os.write(1, b"something")
    return text


def break_sending() -> None:
    """Have this process end in the middle of its next answer."""

    def send_half(stream: IO[bytes], message: object) -> None:
        stream.write((1000).to_bytes(8) + b'{"result": ')
        stream.flush()
        os._exit(9)

    setattr(child_process, "_send", send_half)  # noqa: B010


@pytest.fixture(scope="module")
def child() -> Iterator[ChildProcess]:
    """A child that most tests share."""
    child = ChildProcess()
    yield child
    child.kill()


def test_results_and_errors_come_back(child: ChildProcess) -> None:
    assert child.pid == 0
    assert child.call(math.sqrt, 9, limits=WIDE) == 3.0
    pid = child.pid
    text = "a\n\0é🪁\ud83e\udffe" * 1000
    assert child.call(say, text, limits=WIDE) == text
    with pytest.raises(ValueError, match=r"^math domain error$"):
        child.call(math.sqrt, -1, limits=WIDE)
    with pytest.raises(OddError, match=r"^One sentence\.$"):
        child.call(fail_oddly, "One sentence.", limits=WIDE, errors=(OddError,))
    with pytest.raises(RuntimeError, match=r"(?s)sqrt failed in the child process:.*TypeError"):
        child.call(math.sqrt, "9", limits=WIDE)
    assert child.pid == pid, "an error ends nothing"


def test_limits_end_it_and_the_next_call_works(child: ChildProcess) -> None:
    for function, args, limits, why in (
        (time.sleep, (600,), Limits(seconds=0.1, memory_bytes=1 << 32, answer_bytes=1 << 20), r"longer than 0\.1 s"),
        (operator.mul, ("x", 1 << 34), Limits(seconds=600, memory_bytes=1 << 28, answer_bytes=1 << 20), "256 MiB of m"),
        (operator.mul, ("x", 1 << 21), WIDE, r"larger than 1\.00 MiB"),
        (os.abort, (), WIDE, "crashes its process, code"),
    ):
        assert child.call(abs, -1, limits=WIDE) == 1
        process = psutil.Process(child.pid)
        with pytest.raises(LimitError, match=why):
            child.call(function, *args, limits=limits)
        assert not process.is_running()
        assert child.pid == 0


def test_closing_a_call_kills_it(child: ChildProcess) -> None:
    events = child.call_events(time.sleep, 600, limits=WIDE)
    for _ in range(2):
        next(events)  # although it says nothing
    process = psutil.Process(child.pid)
    events.close()
    assert not process.is_running()
    assert child.call(abs, -1, limits=WIDE) == 1


def test_threads_call_one_after_another(child: ChildProcess) -> None:
    found = list[int]()
    threads = [threading.Thread(target=lambda i=i: found.append(child.call(abs, -i, limits=WIDE))) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(found) == list(range(8))


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no signals")
def test_an_interrupt_in_the_terminal_is_not_for_the_child(child: ChildProcess) -> None:
    child.call(abs, -1, limits=WIDE)
    pid = child.pid
    os.kill(pid, signal.SIGINT)
    assert child.call(abs, -1, limits=WIDE) == 1
    assert child.pid == pid


def test_it_ends_with_its_parent() -> None:
    code = (
        "import os, time; from terrarium.models.child_process import ChildProcess, Limits; child = ChildProcess()\n"
        "limits = Limits(seconds=0.2, memory_bytes=1 << 30, answer_bytes=1000)\n"
        "child.call(abs, -1, limits=limits); events = child.call_events(time.sleep, 600, limits=limits)\n"
        "next(events); print(child.pid, flush=True); os._exit(0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    _, alive = psutil.wait_procs([psutil.Process(int(done.stdout))], timeout=60)
    assert not alive


def test_the_child_imports_little(child: ChildProcess) -> None:
    loaded = child.call(loaded_of, ["torch", "PySide6", "numpy", "terrarium.app.cli"], limits=WIDE)
    assert loaded == []


def loaded_of(modules: list[str]) -> list[str]:
    """Those of the modules that this process has imported."""
    return [name for name in modules if name in sys.modules]


def test_a_child_that_ends_while_it_answers_is_told_as_that() -> None:
    child = ChildProcess()
    child.call(break_sending, limits=WIDE)
    with pytest.raises(LimitError, match=r"^it crashes its process, code 9$"):
        child.call(math.sqrt, 9, limits=WIDE)
    assert child.call(math.sqrt, 9, limits=WIDE) == 3.0
    child.kill()
