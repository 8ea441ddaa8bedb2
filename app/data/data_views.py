"""The views of the data tab: a dataset, an import, and the hub."""

from __future__ import annotations

from PySide6.QtWidgets import QWidget

from terrarium.app.data.importing.draft import ImportDraft
from terrarium.app.data.importing.import_page import ImportPage
from terrarium.app.kit.layout.views import View, Views
from terrarium.app.kit.theme import ThemeProvider
from terrarium.app.session.session import Session

_SIMPLE = ("dataset", "import")
"""The views offered at the simple detail level."""


class DataViews(Views):
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
