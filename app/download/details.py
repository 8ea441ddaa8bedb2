"""The card of one model on the page “Models”: its use, memory fit, download, and actions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING

from PySide6.QtCore import Qt, Signal, Slot
from PySide6.QtGui import QShowEvent
from PySide6.QtWidgets import QFrame, QWidget

from terrarium.app.download.shown import ShownModel, with_details
from terrarium.app.kit.basics import (
    button,
    clear,
    column,
    frame,
    group,
    label,
    row,
    scrolling,
    set_enabled,
    set_role,
    show_words,
)
from terrarium.app.kit.inputs import choice, fill_choice, progress_bar, show_progress
from terrarium.app.kit.layout.flow_layout import FlowLayout
from terrarium.app.kit.stat_strip import StatStrip
from terrarium.app.kit.theme import SPACE, ThemeProvider
from terrarium.app.session.chat_model import use_words
from terrarium.app.session.device_memory import budget, check_fit
from terrarium.app.session.routes import DoToRun, OpenModel
from terrarium.app.session.session import Session
from terrarium.app.worker.background import LatestTask
from terrarium.app.worker.failures import Failure
from terrarium.models.interop.hub.catalogue import ListedModel, instead_of, too_large
from terrarium.models.library.run_index import size_on_disk
from terrarium.models.number_words import format_compact, format_duration, format_size

if TYPE_CHECKING:
    from terrarium.models.interop.hub.hub_models import ModelDetails

_DOWNLOAD, _ON_DISK = "Download, about", "On disk"
_FIGURES = {
    _DOWNLOAD: "What is downloaded. The hub is asked again before each download; it may have changed.",
    _ON_DISK: "What its folder in your library takes, with all that a training has kept",
    "Memory, about": "What it takes when it is open: its weights, 4 bytes each. A long chat takes more.",
    "Parameters": "The numbers that it has learned",
    "Context": "How many tokens it can read at once",
}


class ModelCard(QFrame):
    """The chosen model.

    Signals:
        import_requested(path, name): open a model of another program.
        other_requested(id): show this model of the short list instead.
        disk_requested(): show what is on this computer.
    """

    import_requested = Signal(object, str)
    other_requested = Signal(str)
    disk_requested = Signal()

    def __init__(self, session: Session, theme: ThemeProvider, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._session, self._theme = session, theme
        self._model: ShownModel | None = None
        self._details: ModelDetails | None = None
        self._other: ListedModel | None = None
        self._in_library: dict[str, str] = {}
        self._kept = 0
        self._asking, self._reading = LatestTask(self), LatestTask(self)
        self._build()
        self._connect()
        self.show_model(None)

    # -- Building ------------------------------------------------------------------------------------------------------

    def _build(self) -> None:
        theme = self._theme
        self.title = label("", "heading", wrap=True, selectable=True)
        self.id = label("", "caption", wrap=True, selectable=True)
        self.sentence = label("", wrap=True, selectable=True)
        self._pills = QWidget()
        self._pill_line = FlowLayout(self._pills, SPACE // 2)
        self.figures = StatStrip(_FIGURES, theme, widest="8.88 GiB")
        self.fit = self._build_fit()
        self.problem = label("", "error", wrap=True)
        tip = "Which of its files: fewer bits are a smaller download and a slightly worse model"
        self.variants = choice("File", tip)
        self.download = button(
            "Download",
            theme,
            self.start_download,
            icon="cloud-arrow-down",
            role="primary",
            tip="Download it, check it, and put it into your library; a stopped download resumes where it left off",
        )
        self.stop = button(
            "Stop", theme, self._stop, icon="x", tip="Stop; what is downloaded is kept for the next time"
        )
        self.discard = button("Delete what was downloaded", theme, self._discard, icon="trash", role="quiet")
        self.disk = button(
            "Show what is on this computer", theme, self.disk_requested.emit, icon="hard-drives", role="link"
        )
        self.take = button(
            "Open in Terrarium",
            theme,
            self._on_take,
            icon="download-simple",
            role="primary",
            tip="Copy it into your library; the file of the other program stays as it is",
        )
        self.progress = progress_bar("Progress of the download")
        self.state = label("", "caption", wrap=True)
        self.ready = self._build_ready()
        card = frame(  # no taller than its content
            "card",
            *(self.title, self.id, self._pills, self.sentence, self.figures, self.fit, self.problem),
            row(self.variants, None),
            self.progress,
            row(self.download, self.take, self.stop, self.discard, None),
            self.state,
            row(self.disk, None),
            self.ready,
            spacing=SPACE + SPACE // 2,
        )
        self.setLayout(column(scrolling(group(card, None))))

    def _build_fit(self) -> QFrame:
        """Create the banner for a model that is too large, with a smaller suggestion."""
        self.fit_sentence = label("", wrap=True)
        self.other = button("", self._theme, self._on_other, icon="arrow-right")
        box = frame("banner", self.fit_sentence, self.other, horizontal=True, grows=self.fit_sentence)
        box.setProperty("tone", "warning")
        return box

    def _build_ready(self) -> QFrame:
        """Create the banner of a model that is in the library."""
        theme = self._theme
        self.chat = button(
            "Chat", theme, lambda: self._session.go(OpenModel(self.run_id)), icon="chat-circle", role="primary"
        )
        self.tune = button(
            "Fine-tune…",
            theme,
            lambda: self._session.go(DoToRun(self.run_id, "tune")),
            icon="graduation-cap",
            tip="Train it on your own text or rows",
        )
        self.inside = button(
            "Look inside",
            theme,
            lambda: self._session.go(OpenModel(self.run_id, "next")),
            icon="magnifying-glass-plus",
            tip="Open it with the glass box beside",
        )
        title = label("It is in your library.", "subheading", wrap=True)
        return frame("banner", title, row(self.chat, self.tune, self.inside, None))

    def _connect(self) -> None:
        session = self._session
        session.downloads.changed.connect(self._show_download)
        session.downloads.downloaded.connect(self._on_downloaded)
        session.device.changed.connect(self._show_fit)
        session.runs.changed.connect(self._on_runs)
        self.variants.activated.connect(self._on_variant)
        self._asking.done.connect(self._on_details)
        self._asking.failed.connect(self._on_no_details)
        self._reading.done.connect(self._on_read)
        self._reading.failed.connect(session.notices.fail)

    @property
    def busy(self) -> bool:
        """Whether a request to the hub about the model is in progress."""
        return self._asking.busy or self._reading.busy

    # -- The model -----------------------------------------------------------------------------------------------------

    @Slot(object)
    def show_model(self, model: ShownModel | None) -> None:
        """Show a model, or nothing for None. The details of a search result are requested from the hub."""
        is_same = model is not None and self._model is not None and model.key == self._model.key
        if is_same and self._details is not None:
            return
        self._asking.cancel()
        self._details, self._kept = None, 0
        self._fill_variants(())
        self._show(model)
        if model is not None and model.key.startswith("hub/") and not model.problem:
            hub, id = self._session.downloads.hub, model.id
            show_words(self.sentence, f"Asking {hub.host} about its files…")
            self._asking.drive(lambda: hub.details(id))

    def _show(self, model: ShownModel | None) -> None:
        self._model = model
        self.title.setText(model.name if model is not None else "Choose a model")
        show_words(self.id, model.id if model is not None and model.id != model.name else "")
        empty = "What it is good for, and what it takes, appears here."
        show_words(self.sentence, model.sentence if model is not None else empty)
        self._show_facts(model.facts if model is not None else ())
        self._show_figures(model)
        show_words(self.problem, model.problem if model is not None else "")
        self.take.setVisible(model is not None and model.path is not None)
        self._show_fit()
        self.refresh()
        self._show_download()

    def _show_figures(self, model: ShownModel | None) -> None:
        numbers = (0,) * len(_FIGURES)
        is_here = model is not None and bool(model.run_id)
        if model is not None:
            numbers = (model.n_bytes, model.n_bytes, model.memory, model.n_parameters, model.context)
        ways: tuple[Callable[[int], str], ...] = (
            format_size,
            format_size,
            format_size,
            partial(format_compact, billion="B"),
            "{:,}".format,
        )
        for name, number, written in zip(_FIGURES, numbers, ways, strict=True):
            self.figures.set_number(name, written(number) if number else "–")
        self.figures.set_shown(_DOWNLOAD, not is_here)
        self.figures.set_shown(_ON_DISK, is_here)
        self.figures.setVisible(any(numbers))

    def _show_facts(self, facts: Sequence[str]) -> None:
        clear(self._pill_line)
        for fact in facts:
            pill = label(fact, "pill")
            self._pill_line.addWidget(pill)
            pill.show()
        self._pills.setVisible(bool(facts))
        self._pills.updateGeometry()

    @Slot(object)
    def _on_details(self, details: ModelDetails) -> None:
        if self._model is None or details.model.id != self._model.id:
            return
        self._details = details
        self._fill_variants([(each.name, each.n_bytes) for each in details.variants])
        self._show(with_details(self._model, details))

    def _fill_variants(self, variants: Sequence[tuple[str, int]]) -> None:
        fill_choice(self.variants, {name: f"{name}  ·  {format_size(n_bytes)}" for name, n_bytes in variants})
        self.variants.setVisible(len(variants) > 1)

    @Slot()
    def _on_variant(self) -> None:
        if self._model is not None and self._details is not None:
            self._show(with_details(self._model, self._details, self.variants.currentData()))

    @Slot(object)
    def _on_no_details(self, failure: Failure) -> None:
        self.sentence.hide()
        show_words(self.problem, failure.sentence)
        self._show_download()

    @Slot()
    def _show_fit(self) -> None:
        """Show whether it fits into memory, and what would."""
        model, memory = self._model, self._session.device.memory
        fit = check_fit(model.memory, memory) if model is not None and model.memory and not model.problem else None
        is_large = fit is not None and fit.level == "no"
        if is_large and model is not None and memory is not None and memory.n_bytes:
            self._other = instead_of(model.id, budget(memory) or 0)
            self.fit_sentence.setText(too_large(model.memory, memory.n_bytes, self._other))
            show_words(self.other, f"Show {self._other.name}" if self._other is not None else "")
        self.fit.setVisible(is_large)
        self.download.setText("Download anyway" if is_large else "Download")

    def _on_other(self) -> None:
        if self._other is not None:
            self.other_requested.emit(self._other.id)

    def _on_take(self) -> None:
        if self._model is not None and self._model.path is not None:
            self.import_requested.emit(self._model.path, self._model.name)

    # -- The library ---------------------------------------------------------------------------------------------------

    def showEvent(self, event: QShowEvent) -> None:
        super().showEvent(event)
        self.refresh()

    @Slot()
    def _on_runs(self) -> None:
        if self.isVisible():  # otherwise it is read when shown
            self.refresh()

    @Slot()
    def refresh(self) -> None:
        """Read which models are in the library, and whether this one is on disk: as a run, or partly downloaded."""
        library, runs, model = self._session.library, self._session.runs, self._model
        id, run_id = ("", "") if model is None else (model.id, model.run_id)
        folder = runs.find(run_id).folder if run_id and runs.has(run_id) else None

        def read() -> tuple[dict[str, str], int, int]:
            from terrarium.models.interop.hub.downloading import downloaded_runs, kept_bytes

            n_bytes = size_on_disk(folder) if folder is not None else 0
            return downloaded_runs(library), kept_bytes(library, id) if id else 0, n_bytes

        self._reading.ask(read)

    @Slot(object)
    def _on_read(self, read: tuple[dict[str, str], int, int]) -> None:
        self._in_library, self._kept, n_bytes = read
        if n_bytes:
            self.figures.set_number(_ON_DISK, format_size(n_bytes))
        self._show_download()

    @property
    def run_id(self) -> str:
        """The id of the model's run in the library, or ""."""
        model = self._model
        return "" if model is None else model.run_id or self._in_library.get(model.id, "")

    @Slot(str, str)
    def _on_downloaded(self, run_id: str, name: str) -> None:
        self._in_library[self._session.downloads.id] = run_id
        self._kept = 0
        self._show_download()
        if self.chat.isVisible():
            self.chat.setFocus(Qt.FocusReason.OtherFocusReason)

    # -- The download --------------------------------------------------------------------------------------------------

    def start_download(self) -> None:
        """Download the model."""
        if self._model is not None:
            self.problem.hide()
            self._session.downloads.start(self._model.id, self._model.file)

    def _stop(self) -> None:
        self._session.downloads.cancel()
        self.refresh()

    def _discard(self) -> None:
        from terrarium.models.interop.hub.downloading import discard

        model = self._model
        if model is not None and self._session.notices.attempt(lambda: discard(self._session.library, model.id)):
            self._kept = 0
            self._show_download()

    @Slot()
    def _show_download(self) -> None:
        """Show the progress of the download or how to start it, or the actions for a model in the library."""
        model, downloads = self._model, self._session.downloads
        is_this = model is not None and bool(model.id) and downloads.id == model.id
        runs, is_hub = downloads.busy and is_this, model is not None and bool(model.id)
        has_files = model is not None and not (model.key.startswith("hub/") and self._details is None)
        can = is_hub and has_files and model is not None and not model.problem and not self.run_id
        self.ready.setVisible(bool(self.run_id))
        if self.run_id:
            self.chat.setText(use_words(self._session.runs.spec(self.run_id)))
        self.download.setVisible(can and not runs)
        other = f"“{downloads.id}” is being downloaded: wait for it, or stop it." if downloads.busy else ""
        for widget in (self.download, self.variants):
            set_enabled(widget, other)
        self.stop.setVisible(runs)
        self.discard.setVisible(can and not runs and self._kept > 0)
        self.progress.setVisible(runs)
        words, role = "", "caption"
        if runs:
            words = self._progress_words()
        elif can and is_this and downloads.problem:
            words, role = downloads.problem, "error"
        elif can:
            kept = (
                f"{format_size(self._kept)} of it are here already, and the download resumes there. "
                if self._kept
                else ""
            )
            words = f"{kept}From {downloads.hub.host}, which is contacted only when you press the button."
        self.disk.setVisible(role == "error" and "cannot be reached" in words)
        show_words(self.state, words)
        set_role(self.state, role)

    def _progress_words(self) -> str:
        downloads = self._session.downloads
        done = downloads.progress
        if done is None:
            show_progress(self.progress)
            return f"{downloads.phase}…"
        show_progress(self.progress, done.done, done.total)
        left = f"  ·  {format_duration(done.seconds_left)} left" if done.seconds_left is not None else ""
        return f"{downloads.phase}: {format_size(done.done)} of {format_size(done.total)}{left}"
