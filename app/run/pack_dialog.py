"""Saving a run as one file: a dialog for its content and path, and the background work with its progress."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path

from PySide6.QtCore import QObject, Qt, Slot
from PySide6.QtWidgets import QCheckBox, QProgressDialog, QWidget

from terrarium.app.kit.basics import button, column, label, row, set_enabled
from terrarium.app.kit.dialog import Dialog, open_progress, show_events
from terrarium.app.kit.file_dialogs import ask_save_path
from terrarium.app.kit.theme import SPACE, ThemeProvider
from terrarium.app.session.session import Session
from terrarium.app.worker.background import LatestTask
from terrarium.models.events import Event
from terrarium.models.library.run_index import size_on_disk
from terrarium.models.library.run_record import checkpoint_step
from terrarium.models.number_words import format_count, format_size
from terrarium.models.runs.run_file.contents import SUFFIX
from terrarium.models.runs.run_folder import RunFolder

_ABOUT = (
    "The file holds the run’s settings, tokenizer, curves, samples, scores and last checkpoint. Whoever opens it in "
    "Terrarium sees the run as you do. Your notes, the folders of your files and the training text stay here."
)


class PackDialog(Dialog):
    """Asks for the optional content of a run's file and for its path, then starts `packer`."""

    def __init__(self, run: RunFolder, packer: RunPacker, theme: ThemeProvider, parent: QWidget) -> None:
        super().__init__(parent)
        self._run, self._packer = run, packer
        self.setWindowTitle(f"Save {run.name} as one file")
        self.setMinimumWidth(520)
        *earlier, last = run.checkpoints() or [run.checkpoint_path(0)]
        self.all_checkpoints = QCheckBox("With the earlier checkpoints, too")
        set_enabled(self.all_checkpoints, "" if earlier else "It has no earlier ones.")
        self.chats = QCheckBox("With my conversations with it")
        steps = format_count(len(earlier), "checkpoint")
        more = f"{steps} before step {checkpoint_step(last):,}: {format_size(sum(map(size_on_disk, earlier)))} more."
        save = button("Save…", theme, self._on_save, icon="floppy-disk", role="primary", tip="Choose where to save it")
        save.setDefault(True)
        save_or_not = row(None, button("Cancel", theme, self.reject, tip="Do not save it"), save)
        about_earlier = label(more if earlier else "It has no earlier ones.", "caption")
        about_chats = label("The file then contains what you wrote to it.", "caption")
        self.lay_out(
            label(_ABOUT, wrap=True),
            SPACE,
            column(self.all_checkpoints, about_earlier, spacing=0),
            column(self.chats, about_chats, spacing=0),
            None,
            SPACE,
            save_or_not,
        )

    def _on_save(self) -> None:
        path = ask_save_path(self, "Save as one file", self._run.name, SUFFIX[1:], f"Terrarium runs (*{SUFFIX})")
        if path is not None and self._packer.start(
            self._run, path, all_checkpoints=self.all_checkpoints.isChecked(), chats=self.chats.isChecked()
        ):
            self.accept()


class RunPacker(QObject):
    """Saves a run as one file in the background, one at a time."""

    def __init__(self, session: Session, parent: QWidget) -> None:
        super().__init__(parent)
        self._session, self._window = session, parent
        self.progress: QProgressDialog | None = None
        self._task = LatestTask(self)
        self._task.events_received.connect(self._on_events)
        self._task.busy_changed.connect(self._on_busy)
        self._task.done.connect(self._on_done)
        self._task.failed.connect(session.notices.fail)
        session.closing.connect(self.close)

    @property
    def busy(self) -> bool:
        """Whether a run is being saved."""
        return self._task.busy

    def ask(self, run_id: str, theme: ThemeProvider) -> None:
        """Open the dialog for saving a run."""
        try:
            run = RunFolder.open(self._session.runs.find(run_id).folder)
        except ValueError as error:
            self._session.notices.refuse(str(error))
            return
        dialog = PackDialog(run, self, theme, self._window.window())
        dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        dialog.open()

    def start(self, run: RunFolder, path: Path, *, all_checkpoints: bool, chats: bool) -> bool:
        """Start to save the run, replacing the file at `path`; return whether it started.

        The file is replaced atomically: if saving is cancelled, it is unchanged.
        """
        if self.busy:
            return self._session.notices.refuse("Another run is being saved: try again in a moment.")
        library = self._session.library

        def work() -> Generator[Event, None, Path]:
            from terrarium.models.runs.run_file.packing import pack_run

            return (
                yield from pack_run(run, path, library, all_checkpoints=all_checkpoints, chats=chats, replaces=True)
            )

        self._task.drive(work)
        window = self._window.window()
        self.progress = open_progress("Save as one file", f"Saving {path.name}", self._task.cancel, window)
        return True

    @Slot()
    def close(self) -> None:
        """Cancel saving, and wait until the incomplete file is deleted."""
        self._task.cancel()
        self._task.wait()

    @Slot(object)
    def _on_events(self, events: tuple[Event, ...]) -> None:
        if self.progress is not None:
            show_events(self.progress, events)

    @Slot()
    def _on_busy(self) -> None:
        if not self.busy and self.progress is not None:
            self.progress.deleteLater()
            self.progress = None

    @Slot(object)
    def _on_done(self, path: Path) -> None:
        self._session.notices.say(f"Saved as {path}, {format_size(path.stat().st_size)}.")
