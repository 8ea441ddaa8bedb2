"""The page “Models”: published models, downloaded or opened from the disk."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from PySide6.QtCore import Signal, Slot
from PySide6.QtWidgets import QFrame, QWidget

from terrarium.app.download.details import ModelCard
from terrarium.app.download.shown import ShownModel, of_disk, of_list, of_run, of_search
from terrarium.app.kit.basics import button, column, frame, group, label, row, set_role
from terrarium.app.kit.inputs import line_edit
from terrarium.app.kit.item_list import Item, ItemList
from terrarium.app.kit.layout.relayout import AdaptiveSplitter, WholeRows
from terrarium.app.kit.layout.segments import Segments
from terrarium.app.kit.theme import SPACE, ThemeProvider
from terrarium.app.session.session import Session
from terrarium.app.worker.background import LatestTask
from terrarium.app.worker.failures import Failure
from terrarium.models.interop.hub.catalogue import listed_models
from terrarium.models.number_words import format_count

if TYPE_CHECKING:
    from terrarium.models.interop.hub.hub_models import HubModel
    from terrarium.models.interop.hub.on_disk import FoundModel


LISTED, HUB, DISK = "listed", "hub", "disk"


class ModelsPage(QWidget):
    """The lists at the left, the chosen model at the right."""

    def __init__(self, session: Session, theme: ThemeProvider, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setProperty("role", "page")
        self.list, self.card = _ModelList(session, theme), ModelCard(session, theme)
        self.list.chosen.connect(self.card.show_model)
        self.card.other_requested.connect(self.list.choose)
        self.card.disk_requested.connect(lambda: self.list.show_source(DISK))
        self.card.show_model(self.list.current)
        self.setLayout(column(AdaptiveSplitter(self.list, self.card, sizes=[400, 760], grows=1), margin=2 * SPACE))
        self.setFocusProxy(self.list.results)

    @property
    def busy(self) -> bool:
        """Whether the hub is being searched or the disk read."""
        return self.list.busy or self.card.busy


class _ModelList(QFrame):
    """A list to choose a model from. Nothing is sent to the network before the user presses Search.

    Signals:
        chosen(model): a ShownModel, or None.
        file_requested(), folder_requested(): the user wants to open a GGUF file, or a Hugging Face folder.
    """

    chosen = Signal(object)
    file_requested = Signal()
    folder_requested = Signal()

    def __init__(self, session: Session, theme: ThemeProvider, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setProperty("role", "card")
        self._session, self._theme = session, theme
        self._models: dict[str, ShownModel] = {}
        self._found: tuple[ShownModel, ...] = ()
        self._on_disk: tuple[ShownModel, ...] = ()
        self._said, self._has_failed = "", False
        self.source = Segments(
            "Models", {LISTED: "Short list", HUB: "Search", DISK: "On this computer"}, "Where to look for models"
        )
        tip = "Words in the name of a model; Enter searches"
        self.query = line_edit("Words to search for", tip, "Name, such as “smol instruct”", clears=True)
        self.results = ItemList("Models", theme)
        self._searching, self._looking = LatestTask(self), LatestTask(self)
        self._build()
        self._connect()
        self.show_source(LISTED)

    def _build(self) -> None:
        self.search_button = button(
            "Search", self._theme, self.search, icon="magnifying-glass", role="primary", tip="Ask the Hugging Face hub"
        )
        self._search_line = group(row(self.query, self.search_button))
        self.state = label("", "caption", wrap=True)
        self.file = button("GGUF file…", self._theme, self.file_requested.emit, icon="file", tip="Import a GGUF file")
        self.folder = button(
            "Hugging Face folder…",
            self._theme,
            self.folder_requested.emit,
            icon="folder-open",
            tip="Import a folder with config.json and safetensors",
        )
        drop = frame(
            "sunken",
            label("Have a file already? Drop a .gguf here.", "subheading", wrap=True),
            row(self.file, self.folder, None),
            margin=SPACE + SPACE // 2,
        )
        rows = WholeRows(self.results)
        contents = label("Models", "heading"), self.source, self._search_line, self.state, rows, drop
        self.setLayout(column(*contents, grows=rows, margin=2 * SPACE))

    def _connect(self) -> None:
        self.source.changed.connect(self.show_source)
        self.query.returnPressed.connect(self.search)
        self.results.chosen.connect(lambda key: self.chosen.emit(self._models.get(key)))
        self._searching.done.connect(self._on_found)
        self._searching.failed.connect(self._on_not_found)
        self._looking.done.connect(self._on_looked)
        self._looking.failed.connect(self._session.notices.fail)
        self._session.runs.changed.connect(self._on_runs)

    @property
    def busy(self) -> bool:
        """Whether the hub is being searched or the disk read."""
        return self._searching.busy or self._looking.busy

    @property
    def current(self) -> ShownModel | None:
        """The model that is chosen."""
        return self._models.get(self.results.current_key)

    def choose(self, id: str) -> None:
        """Choose a model of the short list."""
        self.show_source(LISTED)
        self.results.select(f"listed/{id}")
        self.results.setFocus()
        self.chosen.emit(self.current)

    def choose_run(self, run_id: str) -> None:
        """Choose a model of the library, if the run has one."""
        if self._session.runs.has(run_id):
            self.show_source(DISK)
        if (key := f"run/{run_id}") in self._models:
            self.results.select(key)
            self.chosen.emit(self.current)

    @Slot(str)
    def show_source(self, source: str) -> None:
        """Show one of the lists."""
        self.source.choose(source)
        self._search_line.setVisible(source == HUB)
        if source == LISTED:
            self._show(
                [of_list(model) for model in listed_models()],
                "Small models that run here. Nothing is downloaded until you ask for it.",
            )
        elif source == HUB:
            self._show_hub()
            self.query.setFocus()
        else:
            self._show_disk()
            self.look()

    def _show_hub(self) -> None:
        """Show the search results; if the hub cannot be reached, the models on this computer instead."""
        if self._has_failed:
            self._show_disk()
            self.look()
        else:
            self._show(self._found, self._said or self._asks)

    @property
    def _asks(self) -> str:
        return f"Searching asks {self._session.downloads.hub.host}; so does choosing a result, for its size and files."

    def _show(self, models: Sequence[ShownModel], words: str, role: str = "caption") -> None:
        """Show models, and choose the first one that runs here."""
        self._models = {model.key: model for model in models}
        items = [
            Item(each.key, each.name, each.detail, each.problem, False, "Does not run here" if each.problem else "")
            for each in models
        ]
        current = self.results.current_key
        if current not in self._models:  # the hub is asked about what is chosen there, so that nothing is
            is_hub = self.source.value == HUB
            current = "" if is_hub else next((each.key for each in models if not each.problem), "")
        self.results.set_items(items, current)
        self.state.setText(words)
        set_role(self.state, role)
        self.chosen.emit(self.current)

    # -- The hub -------------------------------------------------------------------------------------------------------

    def search(self) -> None:
        """Search the hub for models of the entered name."""
        hub, query = self._session.downloads.hub, self.query.text()
        self.state.setText(f"Asking {hub.host}…")
        set_role(self.state, "caption")
        self._searching.drive(lambda: hub.search(query, sort="downloads" if query.strip() else "trending_score"))

    @Slot(object)
    def _on_found(self, found: tuple[HubModel, ...]) -> None:
        self._found = tuple(sorted(map(of_search, found), key=lambda model: bool(model.problem)))
        n = sum(1 for model in self._found if not model.problem)
        self._said = f"{format_count(len(found), 'model')} found, {n} that may run here."
        if not found:
            self._said = "Nothing found: try other words."
        self._has_failed = False
        if self.source.value == HUB:
            self._show_hub()

    @Slot(object)
    def _on_not_found(self, failure: Failure) -> None:
        self._found, self._said, self._has_failed = (), failure.sentence, True
        if self.source.value == HUB:
            self._show_hub()

    # -- This computer -------------------------------------------------------------------------------------------------

    def look(self) -> None:
        """Search the disk for models of other programs; only names and sizes are read."""

        def look() -> tuple[FoundModel, ...]:
            from terrarium.models.interop.hub.on_disk import find_models

            return find_models()

        self._looking.ask(look)

    @Slot(object)
    def _on_looked(self, found: tuple[FoundModel, ...]) -> None:
        self._on_disk = tuple(map(of_disk, found))
        self._on_runs()

    @Slot()
    def _on_runs(self) -> None:
        if self.source.value == DISK or (self.source.value == HUB and self._has_failed):
            self._show_disk()

    def _show_disk(self) -> None:
        runs = [of_run(run) for run in self._session.runs.known() if run.has_model]
        models = [*runs, *self._on_disk]
        if self.source.value == HUB:
            self._show(models, f"{self._said} Below is what is on this computer." if models else self._said, "warning")
            return
        words = "Models of your library, and files that other programs have downloaded."
        if not models:
            words = (
                "None yet. Your own models appear here, and those that Hugging Face's library, LM Studio, Ollama or "
                "llama.cpp have downloaded."
            )
        self._show(models, words)
