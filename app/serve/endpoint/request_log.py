"""A log of the newest requests and their states. Thread-safe."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

_MAX_FINISHED = 100


@dataclass(frozen=True, kw_only=True)
class RequestRecord:
    """A request.

    kind: chat or completion, or the path of any other. state: waiting, writing, done, left (the client disconnected),
    failed or refused. note: how it ended, or the error message. began: in seconds since 1970.
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
        """Whether the request is waiting or being answered."""
        return self.state in ("waiting", "writing")


class RequestLog:
    """The newest requests. `on_finished` is called with each request that ends, on the thread that answered it."""

    def __init__(self, on_finished: Callable[[RequestRecord], object] = lambda record: None) -> None:
        self._lock = threading.Lock()
        self._records: dict[int, RequestRecord] = {}
        self._number = 0
        self._on_finished = on_finished
        self.n_answered = 0
        """The number of completely answered requests."""

    @property
    def records(self) -> tuple[RequestRecord, ...]:
        """The requests, the newest first."""
        with self._lock:
            return tuple(reversed(self._records.values()))

    @property
    def n_open(self) -> int:
        """The number of requests that are waiting or being answered."""
        with self._lock:
            return sum(record.is_open for record in self._records.values())

    def begin(self, kind: str, n_prompt: int) -> int:
        """Add a waiting request with a prompt of `n_prompt` tokens, and return its number."""
        return self._add(kind, "waiting", n_prompt=n_prompt).number

    def refuse(self, kind: str, sentence: str) -> None:
        """Add a request that was refused immediately; `sentence` says why."""
        self._on_finished(self._add(kind, "refused", note=sentence))

    def change(self, number: int, **changes: Any) -> None:
        """Change fields of a request."""
        with self._lock:
            record = self._records[number]
            record = self._records[number] = replace(record, seconds=time.time() - record.began, **changes)
            self.n_answered += record.state == "done"
        if not record.is_open:
            self._on_finished(record)

    def _add(self, kind: str, state: str, **values: Any) -> RequestRecord:
        with self._lock:
            self._number = number = self._number + 1
            record = RequestRecord(number=number, kind=kind, state=state, began=time.time(), **values)
            self._records[number] = record
            finished = [past.number for past in self._records.values() if not past.is_open]
            for past in finished[:-_MAX_FINISHED]:
                del self._records[past]
        return record
