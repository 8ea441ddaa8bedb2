"""A cache of the models in memory, by user. No torch import."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Hashable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from PySide6.QtCore import QEvent, QObject, QTimer, Signal, Slot

from terrarium.app.worker.worker import Worker

if TYPE_CHECKING:
    from tokenizers import Tokenizer

PATIENCE_MS = 30_000
"""Milliseconds after a page is hidden before its models are released."""


@dataclass(eq=False)
class LoadedModel:
    """A model with its tokenizer at a training step; created on the worker thread. about: any data of its user."""

    name: str
    model: Any
    tokenizer: Tokenizer
    step: int
    about: Any = None

    def __post_init__(self) -> None:
        tensors = {id(tensor): tensor.nbytes for tensor in (*self.model.parameters(), *self.model.buffers())}
        self.n_bytes = sum(tensors.values())


class ModelUse(NamedTuple):
    """A model in memory: its user (“Chat”), its name, and the bytes of its weights."""

    user: str
    name: str
    n_bytes: int


class ModelsInMemory(QObject):
    """A cache of loaded models, by user and key. Does not contain the model in training.

    Users hold no other references, so the memory of a released model is freed as soon as the job that uses it ends.
    `put`, `get` and `release` are thread-safe; they call no torch code.

    Signals:
        freed(): all models were released, to free the device.
    """

    freed = Signal()

    def __init__(self, worker: Worker, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._worker = worker
        self._lock = threading.Lock()
        self._kept: dict[str, dict[Hashable, LoadedModel]] = {}

    def put(self, user: str, key: Hashable, loaded: LoadedModel) -> None:
        """Cache a model for `user`, replacing the model under this key."""
        with self._lock:
            self._kept.setdefault(user, {})[key] = loaded

    def get(self, user: str, key: Hashable) -> LoadedModel | None:
        """Return the model under this key, or None if it was released."""
        with self._lock:
            return self._kept.get(user, {}).get(key)

    def release(self, user: str, but: Collection[Hashable] = ()) -> None:
        """Release the models of a user, except those under the keys `but`."""
        with self._lock:
            kept = self._kept.pop(user, {})
            stay = {key: loaded for key, loaded in kept.items() if key in but}
            if stay:
                self._kept[user] = stay
        if len(stay) < len(kept):
            self.return_free_memory()

    @Slot()
    def free(self) -> None:
        """Release all models."""
        with self._lock:
            self._kept.clear()
        self.freed.emit()
        self.return_free_memory()

    @Slot()
    def return_free_memory(self) -> None:
        """Return the memory of released models to the device and the system, as soon as the worker is free."""
        self._worker.call(_return_free_memory)

    @property
    def uses(self) -> tuple[ModelUse, ...]:
        """The models in memory, grouped by user."""
        with self._lock:
            return tuple(
                ModelUse(user, loaded.name, loaded.n_bytes)
                for user, kept in self._kept.items()
                for loaded in kept.values()
            )

    def release_when_left(self, user: str, page: QObject, busy: Callable[[], bool]) -> QTimer:
        """Release the models of `user` PATIENCE_MS after its page is hidden, but not while it is `busy`.

        Returns the timer, which is active while the page is hidden.
        """
        return _IdleRelease(page, lambda: self.release(user), busy).timer


class _IdleRelease(QObject):
    """Calls a function some time after a page is hidden."""

    def __init__(self, page: QObject, release: Callable[[], None], busy: Callable[[], bool]) -> None:
        super().__init__(page)
        self._release, self._busy = release, busy
        self.timer = QTimer(self, singleShot=True, interval=PATIENCE_MS)
        self.timer.timeout.connect(self._on_timeout)
        page.installEventFilter(self)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        if event.type() == QEvent.Type.Hide:
            self.timer.start()
        elif event.type() == QEvent.Type.Show:
            self.timer.stop()
        return False

    @Slot()
    def _on_timeout(self) -> None:
        if self._busy():
            self.timer.start()
        else:
            self._release()


def _return_free_memory() -> None:
    """Runs on the worker thread, as it needs torch."""
    from terrarium.models.device import return_free_memory

    return_free_memory()
