"""The page “Models”: published models, downloaded or opened from the disk."""

from __future__ import annotations

from PySide6.QtWidgets import QWidget

from terrarium.app.download.details import ModelCard
from terrarium.app.download.model_list import DISK, ModelList
from terrarium.app.kit.basics import column
from terrarium.app.kit.layout.relayout import AdaptiveSplitter
from terrarium.app.kit.theme import SPACE, ThemeProvider
from terrarium.app.session.session import Session


class ModelsPage(QWidget):
    """The lists at the left, the chosen model at the right."""

    def __init__(self, session: Session, theme: ThemeProvider, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setProperty("role", "page")
        self.list, self.card = ModelList(session, theme), ModelCard(session, theme)
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
