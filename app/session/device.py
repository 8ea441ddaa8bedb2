"""The compute device: looked up with torch on the worker, so that the window never waits for it."""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass

import psutil
from PySide6.QtCore import QObject, Signal, Slot

from terrarium.app.session.device_memory import DeviceMemory
from terrarium.app.session.remembered import Remembered
from terrarium.app.worker.failures import Failure
from terrarium.app.worker.job import INTERACTIVE, Job
from terrarium.app.worker.notices import Notices
from terrarium.app.worker.worker import Worker
from terrarium.models.events import Event
from terrarium.models.settings.run_spec import DEVICE_NAMES


@dataclass(frozen=True, kw_only=True)
class DeviceFound(Event):
    """The device that a device name resolves to on this machine.

    sentence: why it is not the requested device; None if it is. kind: cpu, cuda or mps. memory_bytes: its total
    memory. bfloat16_from: see DeviceMemory.
    """

    label: str
    sentence: str | None
    available: tuple[str, ...]
    kind: str
    memory_bytes: int | None
    bfloat16_from: int | None


class Device(QObject):
    """The chosen device; a notice reports a fallback to another device.

    name: the user's choice, one of DEVICE_NAMES. label: its readable name; '' until torch is loaded.
    available: the devices of this machine. ready: whether torch is loaded. threads: the number of CPU threads that
    the user chose, 0 for `automatic_threads`.

    Signals:
        changed(): one of these attributes, or `memory`, has changed.
    """

    changed = Signal()

    def __init__(self, worker: Worker, remembered: Remembered, notices: Notices, parent: QObject) -> None:
        super().__init__(parent)
        self._worker, self._remembered, self._notices = worker, remembered, notices
        self._jobs: list[Job] = []
        self.name = _known(remembered.get("device", "auto"))
        self.threads = min(max(0, remembered.get("threads", 0)), usable_cores())
        self.label = ""
        self.available: tuple[str, ...] = ("auto", "cpu")
        self.ready = False
        self._found: DeviceFound | None = None
        worker.job_events.connect(self._on_events)
        worker.job_finished.connect(self._on_over)
        worker.job_failed.connect(self._on_failed)

    @property
    def memory(self) -> DeviceMemory | None:
        """The device's memory; for a CPU, the free main memory. None until torch is loaded."""
        found = self._found
        if found is None:
            return None
        free = free_memory_bytes() if found.kind == "cpu" else None
        n_bytes = found.memory_bytes if free is None else free
        return DeviceMemory(
            kind=found.kind,
            label=found.label,
            n_bytes=n_bytes,
            is_free=free is not None,
            bfloat16_from=found.bfloat16_from,
        )

    @property
    def is_loading(self) -> bool:
        """Whether torch is being loaded."""
        return not self.ready and bool(self._jobs)

    def warm_up(self) -> None:
        """Import torch on the worker, set its threads, and look up the chosen device."""
        self._submit("Load torch", self.name, is_first=True)

    def choose(self, name: str) -> None:
        """Use the device `name`, one of DEVICE_NAMES, from the next job on, and save the choice."""
        self.name = _known(name)
        self._remembered.set("device", name)
        self.changed.emit()
        self._submit("Look up device", self.name)

    def choose_threads(self, n: int) -> None:
        """Use `n` CPU threads, 0 for `automatic_threads`, and save the choice.

        The change is a job on the worker, so a run in training keeps its number of threads until it ends.
        """
        assert 0 <= n <= usable_cores()
        self.threads = n
        self._remembered.set("threads", n)
        self.changed.emit()

        def make() -> Iterator[Event]:
            self._set_threads()
            yield from ()

        self._worker.submit(Job("Set threads", make))

    def _set_threads(self) -> None:
        """Set torch's thread count; it is per thread, so this runs on the worker thread."""
        from terrarium.models.device import set_thread_count

        set_thread_count(self.threads or automatic_threads())

    def _submit(self, title: str, name: str, *, is_first: bool = False) -> None:
        def make() -> Iterator[Event]:
            from terrarium.models.device import BFLOAT16_FROM, available_devices, bf16_is_fast, choose_device

            if is_first:
                # The imported objects live forever. Freezing them spares the garbage collections on the main thread,
                # where scanning them would be noticeable (see app.worker.garbage).
                gc.freeze()
                self._set_threads()
            choice = choose_device(name)
            yield DeviceFound(
                label=choice.label,
                sentence=choice.sentence,
                available=("auto", *available_devices()),
                kind=choice.device.type,
                memory_bytes=choice.memory_bytes,
                bfloat16_from=BFLOAT16_FROM if bf16_is_fast(choice.device) else None,
            )

        job = Job(title, make, INTERACTIVE)
        self._jobs.append(job)
        self._worker.submit(job)

    @Slot(object, object)
    def _on_events(self, job: Job, events: tuple[Event, ...]) -> None:
        if job not in self._jobs:
            return
        for event in events:
            assert isinstance(event, DeviceFound)
            self.ready = True
            self._found = event
            self.label = event.label
            self.available = tuple(dict.fromkeys(event.available))
            if event.sentence:
                self._notices.say(event.sentence)
        self.changed.emit()

    @Slot(object)
    def _on_over(self, job: Job) -> None:
        if job in self._jobs:
            self._jobs.remove(job)

    @Slot(object, object)
    def _on_failed(self, job: Job | None, failure: Failure) -> None:
        if job in self._jobs:
            self._jobs.remove(job)
            self._notices.fail(failure)


def usable_cores() -> int:
    """Count the CPU cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def automatic_threads() -> int:
    """Return the default number of CPU threads: all cores on Linux, where the window stays smooth (measured);
    elsewhere one less."""
    return usable_cores() if sys.platform == "linux" else max(1, usable_cores() - 1)


def memory_bytes() -> int:
    """Return the resident memory (RSS) of this process in bytes."""
    return int(psutil.Process().memory_info().rss)


def free_memory_bytes() -> int:
    """Return the main memory that is available without swapping, in bytes."""
    return int(psutil.virtual_memory().available)


def _known(name: str) -> str:
    return name if name in DEVICE_NAMES else "auto"
