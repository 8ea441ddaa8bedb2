"""All recipes, each with what it came to last; that is read from the runs of the library."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING

from PySide6.QtCore import QTimer, Signal, Slot
from PySide6.QtGui import QShowEvent
from PySide6.QtWidgets import QVBoxLayout, QWidget

from app.kit.basics import label, scrolling
from app.kit.theme import SPACE, ThemeProvider
from app.session.session import Session
from app.training.recipes.card import RecipeCard
from app.training.recipes.outcome import ScoredRun
from app.worker.background import LatestTask
from models.recipes.tasks.published import ALL_RECIPES, PublishedRecipe
from models.recipes.tasks.results import read_result

if TYPE_CHECKING:
    from models.library.run_index import RunIndex
    from models.library.run_record import RunInfo
    from models.recipes.tasks.table import TaskRecipe

_WAITS = "A run is training: a recipe can start when it has ended."
_ABOUT = (
    "Each trains a model and scores it on rows that it has never seen, beside simple rules. Your own rows: drop them "
    "on a card."
)


class RecipesPage(QWidget):
    """A card for each recipe, those of Tiny World first.

    Signals:
        run_asked(run_id), scores_asked(run_id), chat_asked(run_id): as of a card.
    """

    run_asked = Signal(str)
    scores_asked = Signal(str)
    chat_asked = Signal(str)

    def __init__(
        self,
        session: Session,
        theme: ThemeProvider,
        recipes: Mapping[str, TaskRecipe] = ALL_RECIPES,
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(parent)
        self._session = session
        self.cards = {name: RecipeCard(recipe, session, theme) for name, recipe in recipes.items()}
        inner = QWidget()
        lines = QVBoxLayout(inner)
        lines.setContentsMargins(0, 0, SPACE, 0)
        lines.setSpacing(SPACE)
        lines.addWidget(label("Learn a task", "title"))
        self.about = label(_ABOUT, "muted", wrap=True)
        lines.addWidget(self.about)
        for title, is_published in (("Tiny World", False), ("Real data and published models", True)):
            chosen = [card for card in self.cards.values() if isinstance(card.recipe, PublishedRecipe) == is_published]
            if chosen:
                lines.addSpacing(SPACE)
                lines.addWidget(label(title, "heading"))
            for card in chosen:
                lines.addWidget(card)
                card.run_asked.connect(self.run_asked)
                card.scores_asked.connect(self.scores_asked)
                card.chat_asked.connect(self.chat_asked)
                card.problem_shown.connect(partial(self._scroll_to, card.problem))
        lines.addStretch(1)
        self.area = scrolling(inner)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.area)
        self._runs: list[RunInfo] = []
        self._task = LatestTask(self)
        self._task.done.connect(self._on_read)
        self._task.failed.connect(session.notices.fail)
        session.training.changed.connect(self._show_waits)
        session.runs.changed.connect(self.reload)
        session.datasets.list_changed.connect(self._offer)
        self._show_waits()
        self.reload()

    @property
    def busy(self) -> bool:
        """Whether results are read, or a file is looked into."""
        return self._task.busy or any(card.busy for card in self.cards.values())

    def show_recipe(self, name: str) -> None:
        """Scroll to the top of a recipe, and put the keyboard on its button, or on that which opens what it needs."""
        card = self.cards[name]
        (card.open if card.choices.missing else card.start).setFocus()
        bar = self.area.verticalScrollBar()
        QTimer.singleShot(0, card, lambda: bar.setValue(card.y() - SPACE))  # once it is laid out

    def _scroll_to(self, widget: QWidget) -> None:
        QTimer.singleShot(0, widget, partial(self.area.ensureWidgetVisible, widget, 0, SPACE))  # once it is laid out

    def showEvent(self, event: QShowEvent) -> None:
        super().showEvent(event)
        self._session.datasets.refresh()
        self.reload()  # a command may have learned one meanwhile

    @Slot()
    def _show_waits(self) -> None:
        self.about.setText(_WAITS if self._session.training.active else _ABOUT)

    @Slot()
    def reload(self) -> None:
        """Read what runs of the recipes came to."""
        index = self._session.runs.index
        self._task.ask(lambda: _read(index))

    @Slot()
    def _offer(self) -> None:
        datasets = self._session.datasets.list()
        for card in self.cards.values():
            card.choices.offer(self._runs, datasets)
            card.show_state()

    @Slot(object)
    def _on_read(self, found: tuple[list[RunInfo], list[ScoredRun]]) -> None:
        self._runs, scored = found
        for name, card in self.cards.items():
            card.show_results([run for run in scored if run.result.name == name])
        self._offer()


def _read(index: RunIndex) -> tuple[list[RunInfo], list[ScoredRun]]:
    """On another thread: all runs, and what those of recipes came to, the newest first; damaged ones are left out."""
    runs, scored = index.refresh(), []
    for info in runs:
        with contextlib.suppress(ValueError):
            result = read_result(info.folder) if info.problem is None else None
            if result is not None:
                scored.append(ScoredRun(info.id, result))
    return runs, scored
