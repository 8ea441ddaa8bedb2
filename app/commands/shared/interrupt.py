"""Ctrl-C: the first one stops training and saves it, the second one aborts."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from types import FrameType

_STDERR = 2

Handler = Callable[[int, FrameType | None], None] | signal.Handlers


@dataclass
class Interrupt:
    """Whether Ctrl-C was pressed."""

    happened: bool = False


@contextlib.contextmanager
def stop_on_interrupt(request_stop: Callable[[], None], *, or_terminate: bool = False) -> Iterator[Interrupt]:
    """Within the block the first Ctrl-C calls `request_stop`, the second raises KeyboardInterrupt as usual.

    or_terminate: handle SIGTERM too; torchrun sends it to all processes when it is told to end, or when one has ended.
    """
    interrupt = Interrupt()

    def on_interrupt(number: int, frame: FrameType | None) -> None:
        if interrupt.happened:
            raise KeyboardInterrupt
        interrupt.happened = True
        request_stop()
        # Bypasses Python's stderr, which refuses to print if Ctrl-C came in the middle of a print.
        with contextlib.suppress(OSError):
            os.write(_STDERR, b"\nStopping after this step and saving. Press Ctrl-C again to abort.\n")

    def on_terminate(number: int, frame: FrameType | None) -> None:
        interrupt.happened = True
        request_stop()

    handlers: dict[signal.Signals, Handler] = {signal.SIGINT: on_interrupt}
    if or_terminate:
        handlers[signal.SIGTERM] = on_terminate
    try:
        with _handling(handlers):
            yield interrupt
    finally:
        if or_terminate:  # if another process has ended, it may arrive during our last output
            signal.signal(signal.SIGTERM, signal.SIG_IGN)


@contextlib.contextmanager
def ignore_signals() -> Iterator[None]:
    """Within the block Ctrl-C and SIGTERM do nothing here: the main process of the training handles them."""
    with _handling({signal.SIGINT: signal.SIG_IGN, signal.SIGTERM: signal.SIG_IGN}):
        yield


@contextlib.contextmanager
def _handling(handlers: Mapping[signal.Signals, Handler]) -> Iterator[None]:
    before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
