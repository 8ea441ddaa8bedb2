"""The user's text files in the window: choosing them, and the actions for them."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Protocol

from PySide6.QtCore import QObject, Slot
from PySide6.QtWidgets import QFileDialog, QWidget

from terrarium.app.home.home import Home
from terrarium.app.kit.file_dialogs import FILE_FILTER
from terrarium.app.session.datasets import about_rows
from terrarium.app.session.routes import DoToRun, ImportFiles, ShowPlace
from terrarium.app.shell.screens import Screens
from terrarium.app.shell.toasts import Toasts
from terrarium.models.corpora.text_corpora import check_text_files
from terrarium.models.library.run_record import RunInfo


class TextWindow(Screens, Protocol):
    """The interface of the window that text files need."""

    @property
    def home(self) -> Home: ...
    @property
    def toasts(self) -> Toasts: ...


class TextFiles(QObject):
    """Offers actions for text files on the home page, and performs them.

    Args:
        parent: the window as a widget, over which the dialog opens.
    """

    def __init__(self, window: TextWindow, parent: QWidget) -> None:
        super().__init__(parent)
        self._window, self._parent = window, parent
        self._to_tune_on: tuple[str, ...] = ()
        """The files on which to fine-tune the next published model that is downloaded or imported; () for none."""

    @Slot()
    def choose(self) -> None:
        """Ask for text files, and offer actions for them on the home page."""
        files, _ = QFileDialog.getOpenFileNames(self._parent, "Choose text files", "", FILE_FILTER)
        if files:
            self.offer(files)

    def offer(self, files: Sequence[str]) -> None:
        """Offer actions for text files on the home page, or show a notice there that says why none are possible."""
        self._window.session.go(ShowPlace("home"))
        if not self._window.session.notices.attempt(lambda: check_text_files(files)):
            self._window.home.offer_files(())  # remove the offer of earlier files
            return
        self._window.home.offer_files(tuple(files))
        if about := about_rows(files):
            go = self._window.session.go
            self._window.toasts.offer(about, "Import them…", partial(go, ImportFiles(tuple(files))))

    def tune_published(self, files: tuple[str, ...]) -> None:
        """Show the form to fine-tune the newest imported model on files; without such a model, the page “Models”."""
        published = [run.id for run in self._window.session.runs.list() if _is_published(run)]
        if published:
            self._tune(published[0], files)
            return
        self._to_tune_on = files
        self._window.session.go(ShowPlace("models"))
        self._window.session.notices.say("Download a model here first, or open one; then fine-tune it on your text.")

    @Slot(str, str)
    def offer_tuning(self, run_id: str, name: str) -> None:
        """Offer to fine-tune a newly downloaded or imported model on the files that wait for one."""
        if self._to_tune_on and _is_published(self._window.session.runs.find(run_id)):
            tune = partial(self._tune, run_id, self._to_tune_on)
            texts = ", ".join(Path(file).name for file in self._to_tune_on)
            self._window.toasts.offer(f"“{name}” is here: fine-tune it on {texts}?", "Fine-tune it…", tune)
            self._to_tune_on = ()

    def _tune(self, run_id: str, files: tuple[str, ...]) -> None:
        self._window.session.go(DoToRun(run_id, "tune"))
        self._window.training.new_run.data.set_files(files)


def _is_published(run: RunInfo) -> bool:
    """Return whether a run is an imported model that writes text: decoder-only or encoder-decoder."""
    if run.status != "imported" or not run.has_model or run.spec is None:
        return False
    return run.spec.model.is_causal and run.spec.model.head == "language"
