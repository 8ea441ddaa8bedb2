"""Child processes of this program, and function calls in them with time and memory limits, for untrusted input.

Arguments and results of a call are JSON, so the child's output cannot execute code in the parent. No torch import.
"""

from __future__ import annotations

import contextlib
import faulthandler
import importlib
import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
import traceback
import weakref
from collections.abc import Callable, Generator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import psutil

from terrarium.models.events import Event, Progress, result_of
from terrarium.models.number_words import format_size

ANSWER_CALLS = "answer-calls"
"""The command-line argument that makes this program serve calls (app.__main__)."""

_CHECK_S = 0.02
"""Polling interval of the child's memory, in seconds; a process can allocate about 50 MB in that time."""

_START_S = 120.0
"""Limit on a child's start-up time, which is seconds on a busy machine, and much less on others."""

_IDLE_BYTES = 1 << 27
"""Default of ChildProcess; before any call, a child has 20 to 60 MB."""

_LENGTH_BYTES = 8
_OUT_OF_MEMORY = 78
"""Exit code of a child that ran out of memory; not used otherwise."""

_NO_WINDOW = getattr(subprocess, "CREATE_NO_WINDOW", 0)
"""The flag that starts a child without a console of its own on Windows; 0 on other systems."""


def own_command() -> list[str]:
    """Return the command line that starts this program."""
    return [sys.executable] if getattr(sys, "frozen", False) else [sys.executable, "-m", "terrarium"]


def start_child(arguments: list[str], *, stdin: int, stdout: int, stderr: int) -> subprocess.Popen[bytes]:
    """Start a command line of this program, with the environment that it needs.

    Args:
        stdin, stdout, stderr: as in subprocess.Popen.
    """
    environment = dict(os.environ)
    if not getattr(sys, "frozen", False):
        root = str(Path(__file__).resolve().parents[1])
        environment["PYTHONUTF8"] = "1"
        environment["PYTHONPATH"] = os.pathsep.join(filter(None, (root, environment.get("PYTHONPATH"))))
    return subprocess.Popen(
        arguments, stdin=stdin, stdout=stdout, stderr=stderr, env=environment, creationflags=_NO_WINDOW
    )


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Limits of one call: wall-clock time, memory of the child, and size of the answer (as JSON)."""

    seconds: float
    memory_bytes: int
    answer_bytes: int


class LimitError(ValueError):
    """A call exceeded a limit or crashed the child; the message is a clause: “it takes longer than 5 s”."""


class ChildProcess:
    """A child process, started lazily by the first call and restarted after a kill. Serializes calls from threads."""

    def __init__(self, *, idle_bytes: int = _IDLE_BYTES) -> None:
        """idle_bytes: resident memory above which the child is killed after a call."""
        self._lock = threading.Lock()
        self._running: _Running | None = None
        self._idle_bytes = idle_bytes

    @property
    def pid(self) -> int:
        """The process id, or 0 if no child is running."""
        running = self._running
        return running.pid if running is not None and running.is_alive else 0

    def call(
        self, function: Callable[..., Any], *args: Any, limits: Limits, errors: tuple[type[ValueError], ...] = ()
    ) -> Any:
        """Run `function(*args)` in the child and return its result.

        Args:
            function: a module-level function whose arguments and result are JSON-serializable.
            errors: subclasses of ValueError that it may raise; they have one argument, the message.

        Raises:
            ValueError: if the function raises one.
            LimitError: if the call exceeded a limit or crashed the child.
            RuntimeError: for any other error of the function, with its traceback.
        """
        return result_of(self.call_events(function, *args, limits=limits, errors=errors))

    def call_events(
        self, function: Callable[..., Any], *args: Any, limits: Limits, errors: tuple[type[ValueError], ...] = ()
    ) -> Generator[Event, None, Any]:
        """Like `call`, but yields Progress of unknown total every few milliseconds. Closing it kills the child."""
        while not self._lock.acquire(timeout=_CHECK_S):
            yield Progress(done=0, total=0)
        try:
            if not self.pid:
                self.kill()
                self._running = _Running()
            assert self._running is not None
            request = {"module": function.__module__, "function": function.__qualname__, "args": args}
            answer = yield from self._running.ask(request, limits)
            if self._running.memory_bytes() > self._idle_bytes:
                self.kill()  # it does not free what it has read, and the next call may be a long time off
        except BaseException:  # also when the generator is closed: the next call would receive this answer
            self.kill()
            raise
        finally:
            self._lock.release()
        if "result" in answer:
            return answer["result"]
        if "details" in answer:
            raise RuntimeError(f"{function.__qualname__} failed in the child process:\n{answer['details']}")
        kind = next((kind for kind in errors if kind.__name__ in answer["kinds"]), ValueError)
        raise kind(answer["sentence"])

    def kill(self) -> None:
        """Kill the child, if it is running."""
        if self._running is not None:
            self._running.kill()
            self._running = None


class _Running:
    """A running child, and the thread that reads its answers."""

    def __init__(self) -> None:
        pipe, nothing = subprocess.PIPE, subprocess.DEVNULL
        self._child = start_child([*own_command(), ANSWER_CALLS], stdin=pipe, stdout=pipe, stderr=nothing)
        assert self._child.stdin is not None
        assert self._child.stdout is not None
        self._requests = self._child.stdin
        self._reader = _Reader(self._child.stdout)
        self._reader.start()
        self._process: psutil.Process | None = None
        self.kill = weakref.finalize(self, _end, self._child, self._reader)
        """Kills the child; also called at the exit of this program."""

    @property
    def is_alive(self) -> bool:
        return self.kill.alive and self._child.poll() is None

    @property
    def pid(self) -> int:
        """The process id of Python itself: on Windows, the child that was started may be only a launcher."""
        return self._child.pid if self._process is None else self._process.pid

    def memory_bytes(self) -> int:
        """Return the child's resident memory in bytes; 0 before it has started and after it has ended."""
        try:
            return 0 if self._process is None else int(self._process.memory_info().rss)
        except psutil.Error:
            return 0

    def ask(self, request: dict[str, Any], limits: Limits) -> Generator[Event, None, dict[str, Any]]:
        """Send a request and wait for the answer. Raises LimitError if none arrives within the limits."""
        try:
            if self._process is None:
                hello = yield from self._answer(Limits(seconds=_START_S, memory_bytes=0, answer_bytes=1 << 10))
                self._process = psutil.Process(hello["pid"])
            self._reader.max_bytes = limits.answer_bytes
            _send(self._requests, {**request, "limits": [limits.seconds, limits.memory_bytes]})
            return (yield from self._answer(limits))
        except (OSError, psutil.Error) as error:
            raise LimitError("it ends the process that computes it") from error

    def _answer(self, limits: Limits) -> Generator[Event, None, dict[str, Any]]:
        ends = time.monotonic() + limits.seconds
        while True:
            try:
                answer = self._reader.answers.get(timeout=_CHECK_S)
                break
            except queue.Empty:
                if self.memory_bytes() > limits.memory_bytes:
                    raise LimitError(_too_large(limits)) from None
                if time.monotonic() > ends:
                    raise LimitError(f"it takes longer than {limits.seconds:g} s") from None
            yield Progress(done=0, total=0)
        if answer is None:
            code = self._child.wait()
            raise LimitError(_too_large(limits) if code == _OUT_OF_MEMORY else f"it crashes its process, code {code}")
        if not answer:
            raise LimitError(f"its result is larger than {format_size(limits.answer_bytes)}")
        return json.loads(answer)  # type: ignore[no-any-return]


class _Reader(threading.Thread):
    """Puts the answers in a queue: None at the end of the stream, b"" for one over `max_bytes`, which ends it, too."""

    def __init__(self, stream: IO[bytes]) -> None:
        super().__init__(name="answers of a child", daemon=True)
        self.answers: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self.max_bytes = 1 << 10
        self._stream = stream

    def run(self) -> None:
        while (length := _read_length(self._stream)) is not None:
            if length > self.max_bytes:
                self.answers.put(b"")
                return
            answer = self._stream.read(length)
            if len(answer) < length:  # the child ended while it was sending
                break
            self.answers.put(answer)
        self.answers.put(None)


def _end(child: subprocess.Popen[bytes], reader: _Reader) -> None:
    child.kill()
    child.wait()
    reader.join()
    for stream in (child.stdin, child.stdout):
        assert stream is not None
        with contextlib.suppress(OSError):  # closing flushes a request that the child did not read
            stream.close()


def _too_large(limits: Limits) -> str:
    return f"it takes more than {format_size(limits.memory_bytes)} of memory"


def _read_length(stream: IO[bytes]) -> int | None:
    """Read the length of the next message, or None at the end of the stream."""
    data = stream.read(_LENGTH_BYTES)
    return int.from_bytes(data) if len(data) == _LENGTH_BYTES else None


def _send(stream: IO[bytes], message: dict[str, Any]) -> None:
    data = json.dumps(message, ensure_ascii=False).encode("utf-8", "surrogatepass")
    stream.write(len(data).to_bytes(_LENGTH_BYTES) + data)
    stream.flush()


# -- In the child ------------------------------------------------------------------------------------------------------


def answer_calls() -> None:
    """Serve the calls that arrive on stdin, in order, and write the results to stdout, until stdin ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl+C in a terminal is meant for the parent
    requests, answers = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)  # discards what libraries print
    _send(answers, {"pid": os.getpid()})
    while (length := _read_length(requests)) is not None:
        request = json.loads(requests.read(length))
        seconds, memory_bytes = request["limits"]
        if sys.platform == "linux":  # on other systems, only the parent checks the memory
            import resource

            resource.setrlimit(resource.RLIMIT_DATA, (memory_bytes, resource.RLIM_INFINITY))
        # Ends this process if the parent was killed during the call.
        faulthandler.dump_traceback_later(2 * seconds, exit=True, file=nowhere)
        try:
            _send(answers, _answer_to(request))
        except MemoryError:
            os._exit(_OUT_OF_MEMORY)
        faulthandler.cancel_dump_traceback_later()


def _answer_to(request: dict[str, Any]) -> dict[str, Any]:
    try:
        function = getattr(importlib.import_module(request["module"]), request["function"])
        return {"result": function(*request["args"])}
    except ValueError as error:
        return {"sentence": str(error), "kinds": [kind.__name__ for kind in type(error).__mro__]}
    except MemoryError:
        raise
    except BaseException:  # noqa: BLE001 (a Rust panic is not an Exception)
        return {"details": traceback.format_exc()}
