"""Importing a model from the window: choosing it, progress, and an offer to try it."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import QObject, Qt, Slot
from PySide6.QtWidgets import QFileDialog, QProgressDialog, QWidget

from app.session.model_importer import ModelImporter
from app.session.session import Session
from app.shell.toasts import Toasts
from models.events import Event, Notice, Phase, Progress

_PROGRESS_STEPS = 1000


class ImportDialog(QObject):
    """Asks for a model and shows the progress of its import, with Cancel; the window stays usable."""

    def __init__(self, session: Session, toasts: Toasts, window: QWidget) -> None:
        super().__init__(window)
        self._session, self._toasts, self._window = session, toasts, window
        self.progress: QProgressDialog | None = None
        self.importer = ModelImporter(session.library, session.runs, session.notices, self)
        session.closing.connect(self.importer.close)
        self.importer.events_received.connect(self._on_events)
        self.importer.changed.connect(self._on_changed)
        self.importer.imported.connect(self._on_imported)

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

    def start(self, source: Path) -> None:
        """Import `source`."""
        if not self.importer.start(source):
            return
        dialog = self.progress = QProgressDialog(f"Reading {source.name}", "Cancel", 0, _PROGRESS_STEPS, self._window)
        dialog.setWindowTitle("Import a model")
        dialog.setWindowModality(Qt.WindowModality.NonModal)
        dialog.setMinimumDuration(0)
        dialog.setMinimumWidth(420)
        dialog.setAutoClose(False)
        dialog.setAutoReset(False)
        dialog.setValue(0)
        dialog.canceled.connect(self.importer.cancel)

    @Slot(object)
    def _on_events(self, events: tuple[Event, ...]) -> None:
        for event in events:
            if isinstance(event, Notice):
                self._toasts.notice(event.sentence)
            elif self.progress is not None and isinstance(event, Phase):
                self.progress.setLabelText(event.name)
            elif self.progress is not None and isinstance(event, Progress) and event.total:
                self.progress.setValue(round(_PROGRESS_STEPS * event.done / event.total))

    @Slot()
    def _on_changed(self) -> None:
        if not self.importer.busy and self.progress is not None:
            self.progress.deleteLater()
            self.progress = None

    @Slot(str, str)
    def _on_imported(self, run_id: str, name: str) -> None:
        def try_it() -> None:
            if self._session.chat.open(run_id):
                self._session.tab_requested.emit("chat")

        self._toasts.offer(f"“{name}” is now in your library.", "Try it", try_it)
