"""Which requests came, and what became of them: for whoever watches. Any thread."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

_KEPT = 100


@dataclass(frozen=True, kw_only=True)
class Call:
    """One request.

    kind: chat or completion, or the path of any other. state: waiting, writing, done, left (by the client), failed or
    refused. note: how it ended, or the sentence that was the answer. began: in seconds since 1970.
    """

    number: int
    kind: str
    state: str
    n_prompt: int = 0
    n_made: int = 0
    began: float
    seconds: float = 0.0
    note: str = ""

    @property
    def is_open(self) -> bool:
        """Whether it is still being answered."""
        return self.state in ("waiting", "writing")


class Activity:
    """The newest requests. `on_over` is told of each that is answered, on the thread that answered it."""

    def __init__(self, on_over: Callable[[Call], object] = lambda call: None) -> None:
        self._lock = threading.Lock()
        self._calls: dict[int, Call] = {}
        self._number = 0
        self._on_over = on_over
        self.n_answered = 0
        """How many were answered to the end."""

    @property
    def calls(self) -> tuple[Call, ...]:
        """The newest first."""
        with self._lock:
            return tuple(reversed(self._calls.values()))

    @property
    def n_open(self) -> int:
        """How many are being answered, or wait for it."""
        with self._lock:
            return sum(call.is_open for call in self._calls.values())

    def begin(self, kind: str, n_prompt: int) -> int:
        """A request of so many tokens waits; returns its number."""
        return self._add(kind, "waiting", n_prompt=n_prompt)

    def refuse(self, kind: str, sentence: str) -> None:
        """A request was answered with a sentence at once."""
        self._on_over(self._calls[self._add(kind, "refused", note=sentence)])

    def change(self, number: int, **changes: Any) -> None:
        """There is news of a request."""
        with self._lock:
            call = self._calls[number]
            call = self._calls[number] = replace(call, seconds=time.time() - call.began, **changes)
            self.n_answered += call.state == "done"
        if not call.is_open:
            self._on_over(call)

    def _add(self, kind: str, state: str, **values: Any) -> int:
        with self._lock:
            self._number = number = self._number + 1
            self._calls[number] = Call(number=number, kind=kind, state=state, began=time.time(), **values)
            over = [past.number for past in self._calls.values() if not past.is_open]
            for past in over[:-_KEPT]:
                del self._calls[past]
        return number
