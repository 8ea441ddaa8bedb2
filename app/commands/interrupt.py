"""Ctrl-C: the first one asks a training to stop and keep what it has, the second one aborts."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import FrameType

_STDERR = 2


@dataclass
class Interrupt:
    """Whether Ctrl-C was pressed."""

    happened: bool = False


@contextlib.contextmanager
def stop_on_interrupt(request_stop: Callable[[], None]) -> Iterator[Interrupt]:
    """Within the block the first Ctrl-C calls `request_stop`, the second raises KeyboardInterrupt, as usual."""
    interrupt = Interrupt()

    def on_interrupt(number: int, frame: FrameType | None) -> None:
        if interrupt.happened:
            raise KeyboardInterrupt
        interrupt.happened = True
        request_stop()
        # Past Python's stderr, which refuses to print where Ctrl-C came in the middle of a print to it.
        with contextlib.suppress(OSError):
            os.write(_STDERR, b"\nStopping after this step, and keeping it. Ctrl-C once more aborts.\n")

    before = signal.signal(signal.SIGINT, on_interrupt)
    try:
        yield interrupt
    finally:
        signal.signal(signal.SIGINT, before)
