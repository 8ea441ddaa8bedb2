"""Imports a model or a run: file dialogs, progress, and an offer to try it, also after a download."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from PySide6.QtCore import QObject, Signal, Slot
from PySide6.QtWidgets import QFileDialog, QProgressDialog, QWidget

from terrarium.app.kit.dialog import open_progress, show_events
from terrarium.app.session.model_importer import ModelImporter
from terrarium.app.session.session import Session
from terrarium.app.shell.toasts import Toasts
from terrarium.app.worker.failures import Failure
from terrarium.models.events import Event, Notice
from terrarium.models.runs.run_file.contents import RUN_FILE, SUFFIX
from terrarium.models.runs.run_folder import RunFolder


class ImportDialog(QObject):
    """Asks for a model and shows the progress of its import, with Cancel; the window stays usable.

    Signals:
        run_opened(run_id): a run was imported from a .terrarium file.
    """

    run_opened = Signal(str)

    def __init__(self, session: Session, toasts: Toasts, window: QWidget) -> None:
        super().__init__(window)
        self._session, self._toasts, self._window = session, toasts, window
        self.progress: QProgressDialog | None = None
        self._waiting: list[Path] = []
        self.importer = ModelImporter(session.library, session.runs, session.notices, self)
        session.closing.connect(self.importer.close)
        self.importer.events_received.connect(self._on_events)
        self.importer.changed.connect(self._on_changed)
        self.importer.imported.connect(self._on_imported)
        self._page: QWidget | None = None
        session.downloads.downloaded.connect(self._on_downloaded)
        session.downloads.failed.connect(self._on_not_downloaded)

    def connect_page(self, page: Any) -> None:
        """Import what the page “Models” requests. While visible, the page reports its downloads itself."""
        self._page = page
        page.list.file_requested.connect(self.ask_for_file)
        page.list.folder_requested.connect(self.ask_for_folder)
        page.card.import_requested.connect(self.start)
        self.importer.imported.connect(lambda run_id, name: page.list.choose_run(run_id))

    def ask_for_folder(self) -> None:
        """Choose a Hugging Face folder, and import it."""
        folder = QFileDialog.getExistingDirectory(self._window, "Choose a folder with config.json and safetensors")
        if folder:
            self.start(Path(folder))

    def ask_for_file(self) -> None:
        """Choose a .gguf file, and import it."""
        file, _ = QFileDialog.getOpenFileName(self._window, "Choose a GGUF file", "", "GGUF models (*.gguf)")
        if file:
            self.start(Path(file))

    def ask_for_run(self) -> None:
        """Choose .terrarium files, and open them."""
        files, _ = QFileDialog.getOpenFileNames(
            self._window, "Open a .terrarium file", "", f"Terrarium runs (*{SUFFIX})"
        )
        self.open_files([Path(file) for file in files])

    def open_files(self, files: Sequence[Path]) -> None:
        """Import .terrarium and .gguf files as runs, in order."""
        self._waiting += files
        self._open_next()

    def _open_next(self) -> None:
        if self._waiting and not self.importer.busy:
            self.start(self._waiting.pop(0))

    def start(self, source: Path, name: str = "") -> None:
        """Import `source`, as a run of that name if given."""
        if not self.importer.start(source, name):
            return
        self.progress = open_progress("Import", f"Reading {name or source.name}", self._cancel, self._window)

    def _cancel(self) -> None:
        self._waiting.clear()
        self.importer.cancel()

    @Slot(object)
    def _on_events(self, events: tuple[Event, ...]) -> None:
        for event in events:
            if isinstance(event, Notice):
                self._toasts.notice(event.sentence)
        if self.progress is not None:
            show_events(self.progress, events)

    @Slot()
    def _on_changed(self) -> None:
        if not self.importer.busy and self.progress is not None:
            self.progress.deleteLater()
            self.progress = None
        self._open_next()

    @Slot(str, str)
    def _on_downloaded(self, run_id: str, name: str) -> None:
        if self._page is None or not self._page.isVisible():
            self._offer(run_id, name)

    @Slot(object)
    def _on_not_downloaded(self, failure: Failure) -> None:
        if self._page is None or not self._page.isVisible():
            self._session.notices.fail(failure)

    @Slot(str, str)
    def _on_imported(self, run_id: str, name: str) -> None:
        source = RunFolder.open(self._session.runs.find(run_id).folder).lineage.get("source", {})
        if source.get("format") == RUN_FILE:
            self.run_opened.emit(run_id)
        self._offer(run_id, name)

    def _offer(self, run_id: str, name: str) -> None:
        def try_it() -> None:
            self._session.use_model(run_id)

        self._toasts.done(f"“{name}” is now in your library.", "Try it", try_it)
