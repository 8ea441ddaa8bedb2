"""Imports models into the library in the background: from files, and from the Hugging Face hub."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QObject, Signal, Slot

from terrarium.app.session.runs import Runs
from terrarium.app.session.status import StatusLine
from terrarium.app.worker.background import LatestTask
from terrarium.app.worker.failures import Failure
from terrarium.app.worker.notices import Notices
from terrarium.models.events import Event, Notice, Phase, Progress
from terrarium.models.library.library import Library
from terrarium.models.runs.run_file.contents import SUFFIX

if TYPE_CHECKING:
    from terrarium.models.interop.hub.hub_models import ModelHub
    from terrarium.models.runs.run_folder import RunFolder


class ModelImporter(QObject):
    """Imports one model at a time; errors are shown as notices.

    Signals:
        changed(): `busy` has changed.
        events_received(events): Phase, Progress (bytes) and Notice.
        imported(run_id, name): a new run is in the library.
    """

    changed = Signal()
    events_received = Signal(object)
    imported = Signal(str, str)

    def __init__(self, library: Library, runs: Runs, notices: Notices, parent: QObject) -> None:
        super().__init__(parent)
        self._library, self._runs, self._notices = library, runs, notices
        self._task = LatestTask(self)
        self._task.busy_changed.connect(self.changed)
        self._task.events_received.connect(self.events_received)
        self._task.done.connect(self._on_done)
        self._task.failed.connect(notices.fail)

    @property
    def busy(self) -> bool:
        """Whether an import is running."""
        return self._task.busy

    def start(self, source: Path, name: str = "") -> bool:
        """Import `source` into the library as a run: a Hugging Face folder, a .gguf or a .terrarium file.

        name: the name of the run, "" for the source's own name.

        Returns whether it started. An import that fails or is cancelled leaves nothing behind.
        """
        if self.busy:
            return self._notices.refuse("A model is already being imported. Wait or cancel it.")

        free = self._runs.free_name(name) if name else ""

        def work() -> Generator[Event, None, RunFolder]:
            if source.suffix.lower() == SUFFIX:
                from terrarium.models.runs.run_file.unpacking import unpack_run

                return (yield from unpack_run(source, self._library, free or None))
            from terrarium.models.interop.importing import import_model

            return (yield from import_model(source, self._library, name=free or None))

        self._task.drive(work)
        return True

    def cancel(self) -> None:
        """Cancel the import, leaving nothing behind."""
        self._task.cancel()

    @Slot()
    def close(self) -> None:
        """Cancel the import and wait until its files are removed."""
        self._task.cancel()
        self._task.wait()

    @Slot(object)
    def _on_done(self, run: RunFolder) -> None:
        self._runs.changed.emit()
        self.imported.emit(run.id, run.name)


class ModelDownloads(QObject):
    """Downloads a model from the hub and imports it as a run. A download continues while other pages are shown.

    Attributes:
        id: the current or last download, owner/name; "" before the first.
        phase: the current phase. progress: its progress, None if unknown.
        problem: why the last download failed, "" if it did not.
        hub: the hub to download from, created on first use.

    Signals:
        changed(): one of these has changed.
        downloaded(run_id, name): a new run is in the library.
        failed(failure): the download failed; a Failure.
    """

    changed = Signal()
    downloaded = Signal(str, str)
    failed = Signal(object)

    def __init__(self, library: Library, runs: Runs, notices: Notices, parent: QObject) -> None:
        super().__init__(parent)
        self._library, self._runs, self._notices = library, runs, notices
        self.id = self.phase = self.problem = ""
        self.progress: Progress | None = None
        self._hub: ModelHub | None = None
        self._task = LatestTask(self)
        self._task.busy_changed.connect(self.changed)
        self._task.events_received.connect(self._on_events)
        self._task.done.connect(self._on_done)
        self._task.failed.connect(self._on_failed)

    @property
    def hub(self) -> ModelHub:
        """The hub to download from; by default the one of HF_ENDPOINT."""
        if self._hub is None:
            from terrarium.models.interop.hub.hub_models import ModelHub

            self._hub = ModelHub()
        return self._hub

    @hub.setter
    def hub(self, hub: ModelHub) -> None:
        self._hub = hub

    @property
    def busy(self) -> bool:
        """Whether a model is being downloaded."""
        return self._task.busy

    @property
    def status(self) -> StatusLine | None:
        """The line for the status bar."""
        if not self.busy:
            return None
        done = self.progress
        return StatusLine(
            words=f"{self.id}: {self.phase}",
            is_computing=False,
            done=done.done if done is not None else 0,
            total=done.total if done is not None else 0,
            seconds_left=done.seconds_left if done is not None else None,
        )

    def start(self, id: str, file: str = "") -> bool:
        """Download a model and return whether it started. file: the GGUF file to download, as in `download_model`."""
        if self.busy:
            return self._notices.refuse(f"“{self.id}” is being downloaded: wait for it, or stop it.")
        library, hub = self._library, self.hub

        def work() -> Generator[Event, None, Any]:
            from terrarium.models.interop.hub.downloading import download_model

            return (yield from download_model(library, hub, id, file))

        self.id, self.phase, self.progress, self.problem = id, f"Asking {hub.host}", None, ""
        self._task.drive(work)
        return True

    def cancel(self) -> None:
        """Stop, keeping the downloaded part; the next download of the model resumes there."""
        self._task.cancel()

    @Slot()
    def close(self) -> None:
        """Stop, and wait until writing has ended."""
        self._task.cancel()
        self._task.wait()

    @Slot(object)
    def _on_events(self, events: tuple[Event, ...]) -> None:
        for event in events:
            if isinstance(event, Phase):
                self.phase, self.progress = event.name, None
            elif isinstance(event, Progress):
                self.progress = event if event.total else None
            elif isinstance(event, Notice):
                self._notices.say(event.sentence)
        self.changed.emit()

    @Slot(object)
    def _on_done(self, run: RunFolder) -> None:
        self._runs.changed.emit()
        self.downloaded.emit(run.id, run.name)
        self.changed.emit()

    @Slot(object)
    def _on_failed(self, failure: Failure) -> None:
        self.problem = failure.sentence
        self.failed.emit(failure)
        self.changed.emit()
