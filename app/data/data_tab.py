"""The data tab: the datasets of the library, and the import of new datasets."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import QEvent, QObject, Slot
from PySide6.QtGui import QDragEnterEvent, QDropEvent, QShowEvent
from PySide6.QtWidgets import QWidget

from terrarium.app.data.importing.draft import ImportDraft
from terrarium.app.data.importing.import_page import ImportPage
from terrarium.app.kit.basics import button, column, label, row, splitter, titled_card
from terrarium.app.kit.file_dialogs import dropped_paths
from terrarium.app.kit.item_list import Item, ItemList
from terrarium.app.kit.layout.views import View, Views
from terrarium.app.kit.theme import SPACE, ThemeProvider
from terrarium.app.session.session import Session
from terrarium.models.corpora.datasets import DatasetInfo
from terrarium.models.number_words import format_count
from terrarium.models.settings.tasks import TASKS

_SIMPLE = ("dataset", "import")
"""The views offered at the simple detail level."""


class DataTab(QWidget):
    """The list of datasets on the left; on the right the chosen dataset, an import, or the hub."""

    def __init__(self, session: Session, theme: ThemeProvider, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._session, self._theme = session, theme
        self.setProperty("role", "page")
        self.draft = ImportDraft(session.library, session.datasets, self)
        session.status.add(self.draft)
        session.closing.connect(self.draft.close)
        self.list = ItemList("Datasets", theme)
        self.views = _DataViews(self.draft, session, theme)
        self._build()
        self.list.chosen.connect(self._on_chosen)
        self.list.delete_requested.connect(session.datasets.delete)
        session.datasets.list_changed.connect(self._on_list)
        session.datasets.changed.connect(self._on_dataset)
        session.datasets.added.connect(lambda _: self.views.show_view("dataset"))
        self.draft.source_changed.connect(self._on_source)
        self._is_untouched = not session.datasets.is_read
        """Whether the list was not read yet at launch and the user has chosen nothing since."""
        self._on_list()
        if session.datasets.sha:  # added before this tab was shown
            self.views.show_view("dataset")
        self.setFocusProxy(self.list)

    def _build(self) -> None:
        self.none = label("None yet. What you import, or make from Tiny World, is listed here.", "caption", wrap=True)
        self.new = button("Import", self._theme, self._on_new, icon="plus", tip="Import files as a dataset")
        self.hub = button(
            "Hub",
            self._theme,
            lambda: self.views.show_view("hub"),
            icon="cloud-arrow-down",
            tip="Search the Hugging Face hub",
        )
        self.list.viewport().setAcceptDrops(True)
        self.list.viewport().installEventFilter(self)
        buttons = row(self.new, self.hub, None)
        panel = titled_card("Datasets", self.none, self.list, buttons, margin=2 * SPACE, spacing=SPACE, grows=self.list)
        self.splitter = splitter(panel, self.views, sizes=[220, 1090], grows=1)
        self.setLayout(column(self.splitter, margin=2 * SPACE))

    @property
    def busy(self) -> bool:
        """Whether a background task is reading."""
        return self.views.importing.busy

    def showEvent(self, event: QShowEvent) -> None:
        super().showEvent(event)
        self._session.datasets.refresh()  # runs and commands create datasets too

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Import files that are dropped on the list."""
        if isinstance(event, QDragEnterEvent) and event.type() == QEvent.Type.DragEnter:
            if dropped_paths(event):
                event.acceptProposedAction()
            return True
        if event.type() == QEvent.Type.DragMove:  # item views would reject the drop
            return True
        if isinstance(event, QDropEvent) and event.type() == QEvent.Type.Drop:
            self.draft.open(dropped_paths(event))
            return True
        return False

    def open_import(self, files: Sequence[str]) -> None:
        """Read files as the source of an import, and show it."""
        self.draft.open(files)
        self._on_new()

    @Slot()
    def _on_new(self) -> None:
        self._is_untouched = False
        self.views.show_view("import")
        self.views.importing.setFocus()  # the list would choose its first dataset, which then is shown instead

    @Slot()
    def _on_source(self) -> None:
        if self.draft.paths:
            self._is_untouched = False
            self.views.show_view("import")

    @Slot(str)
    def _on_chosen(self, sha: str) -> None:
        self._session.datasets.choose(sha)
        self.views.show_view("dataset")

    @Slot()
    def _on_list(self) -> None:
        datasets = self._session.datasets
        found = datasets.list()
        self.list.set_items([Item(info.corpus.sha, info.name, in_short(info)) for info in found], datasets.sha)
        self.none.setVisible(datasets.is_read and not found)
        self._on_dataset()
        if self._is_untouched and datasets.is_read:
            self._is_untouched = False
            if datasets.sha and self.views.current == "import":
                self.views.show_view("dataset")

    @Slot()
    def _on_dataset(self) -> None:
        datasets = self._session.datasets
        is_there = datasets.info(datasets.sha) is not None
        self.list.select(datasets.sha)
        if not is_there and self.views.current == "dataset" and datasets.is_read and not datasets.busy:
            self.views.show_view("import")
        self.views.allow_dataset(allowed=is_there)


def in_short(info: DatasetInfo) -> str:
    """Summarise a dataset's rows, task and number of runs in one line, whose end may be elided."""
    corpus = info.corpus
    parts = [
        format_count(sum(info.n_rows.values()), "row"),
        TASKS[corpus.task].title,
        f"used by {format_count(len(info.used_by), 'run')}" if info.used_by else "",
    ]
    return " · ".join(part for part in parts if part)


class _DataViews(Views):
    """The views of the tab; `importing` is created eagerly, because it receives drops."""

    def __init__(
        self, draft: ImportDraft, session: Session, theme: ThemeProvider, parent: QWidget | None = None
    ) -> None:
        views = {
            "dataset": View("Dataset", "What the chosen dataset holds, and who uses it", self._make_dataset, "Dataset"),
            "import": View("Import", "Bring in files of your own, step by step", self._make_import, "Dataset"),
            "hub": View(
                "Hugging Face hub",
                "Find a dataset on the hub, and look into it first",
                self._make_hub,
                "Hugging Face hub",
            ),
        }
        super().__init__("Views of the data", views, parent)
        self._draft, self._session, self._theme = draft, session, theme
        self.keep_simple(session.detail, _SIMPLE)
        self.importing: ImportPage = self.pages.page("import")  # type: ignore[assignment]
        self.show_view("import")
        self.allow_dataset(allowed=False)

    def allow_dataset(self, *, allowed: bool) -> None:
        """Enable the dataset view if there is a dataset to show."""
        self.bar.setTabEnabled(self.names.index("dataset"), allowed)

    def _update(self, name: str) -> None:
        """Update a view from the session and the draft."""

    def _make_dataset(self) -> QWidget:
        from terrarium.app.data.dataset_view import DatasetView

        return DatasetView(self._session, self._theme)

    def _make_import(self) -> QWidget:
        page = ImportPage(self._draft, self._session, self._theme)
        page.hub_requested.connect(lambda: self.show_view("hub"))
        return page

    def _make_hub(self) -> QWidget:
        from terrarium.app.data.hub_page import HubPage

        page = HubPage(self._session, self._theme)
        page.downloaded.connect(self._on_downloaded)
        return page

    def _on_downloaded(self, paths: list[str], name: str, folder: object) -> None:
        self._draft.open(paths, name, temporary=folder)  # type: ignore[arg-type]  # a Path, which signals do not know
        self.show_view("import")
