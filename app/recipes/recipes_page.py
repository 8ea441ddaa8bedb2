"""All recipes and demonstrations, each with its last result, read from the runs of the library."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

from PySide6.QtCore import QTimer, Slot
from PySide6.QtGui import QShowEvent
from PySide6.QtWidgets import QApplication, QStackedLayout, QVBoxLayout, QWidget

from terrarium.app.kit.basics import column, label, row, scrolling
from terrarium.app.kit.theme import SPACE, ThemeProvider
from terrarium.app.recipes.base_choice import BaseMeasurer
from terrarium.app.recipes.card import RecipeCard
from terrarium.app.recipes.demonstration_card import DemonstrationCard, OwnPairs
from terrarium.app.recipes.demonstration_view import DemonstrationView
from terrarium.app.recipes.outcome import ScoredRun
from terrarium.app.recipes.tile import Tile, TileGrid
from terrarium.app.session.session import Session
from terrarium.app.worker.background import LatestTask
from terrarium.models.preferences.store import PERSON, PreferenceSet, list_sets
from terrarium.models.recipes.demonstrations.bases import Base, list_bases
from terrarium.models.recipes.demonstrations.demonstrated import Demonstrated, read_demonstrated
from terrarium.models.recipes.demonstrations.demonstrations_table import DEMONSTRATIONS
from terrarium.models.recipes.demonstrations.kept import Halted, list_halted
from terrarium.models.recipes.tasks.published import ALL_RECIPES, PublishedRecipe
from terrarium.models.recipes.tasks.results import read_result

if TYPE_CHECKING:
    from terrarium.models.library.library import Library
    from terrarium.models.library.run_index import RunIndex
    from terrarium.models.library.run_record import RunInfo
    from terrarium.models.recipes.demonstrations.demonstrations_table import AlignRecipe
    from terrarium.models.recipes.tasks.tasks_table import TaskRecipe

_WAITS = "A run is training: what you start now waits in the queue, and follows by itself."
_IS_HELD = "A run is training, and the queue is held: what you start now waits there until you press Start."
_ABOUT = "Each trains a small model and scores it on rows that it has never seen. Your own rows: drop them on a card."
_ABOUT_DEMONSTRATIONS = "Each takes one of your models through several stages. A stopped one continues where it was."
_TITLES = {False: "Tiny World", True: "Real data and published models"}


class RecipesPage(QWidget):
    """A card for each recipe and each alignment demonstration; the result of a demonstration has its own page."""

    def __init__(
        self,
        session: Session,
        theme: ThemeProvider,
        recipes: Mapping[str, TaskRecipe] = ALL_RECIPES,
        demonstrations: Mapping[str, AlignRecipe] = DEMONSTRATIONS,
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(parent)
        self._session = session
        self.cards = {name: RecipeCard(recipe, session, theme) for name, recipe in recipes.items()}
        self.measurer = BaseMeasurer(session.worker, session.library, session.device, self)
        self.demonstrations = {
            name: DemonstrationCard(recipe, session, self.measurer, theme) for name, recipe in demonstrations.items()
        }
        self.result = DemonstrationView(session.go, theme)
        self._inner = inner = QWidget()
        self.waits = label(_WAITS, "accent", wrap=True)
        lines = column(label("Learn a task", "title"), self.waits, margin=(0, 0, SPACE, 0))
        inner.setLayout(lines)
        for is_published, title in _TITLES.items():
            chosen = [card for card in self.cards.values() if isinstance(card.recipe, PublishedRecipe) == is_published]
            self._add_tiles(lines, title, _ABOUT if not is_published else "", chosen, theme)
            if not is_published:
                shown = list(self.demonstrations.values())
                self._add_tiles(lines, "Learning from rewards", _ABOUT_DEMONSTRATIONS, shown, theme)
        for each in self.demonstrations.values():
            each.result_asked.connect(self.show_result)
        lines.addStretch(1)
        self.area = scrolling(inner)
        self._pages = QStackedLayout(self)
        self._pages.setContentsMargins(0, 0, 0, 0)
        self._pages.addWidget(self.area)
        self._pages.addWidget(self.result)
        self.result.back_asked.connect(self._show_cards)
        self.measurer.changed.connect(self._on_measured)
        self._found = _Found()
        self._shown = self._focused = ""  # the demonstrations whose result is shown, and that gets the focus
        self._task = LatestTask(self)
        self._task.done.connect(self._on_read)
        self._task.failed.connect(session.notices.fail)
        session.training.changed.connect(self._show_waits)
        session.queue.changed.connect(self._show_waits)
        session.runs.changed.connect(self.reload)
        session.training.ended.connect(self.reload)  # a stopped demonstration saves its progress
        session.datasets.list_changed.connect(self._offer)
        self._show_waits()
        self.reload()

    def _add_tiles(
        self, lines: QVBoxLayout, title: str, about: str, tiles: Sequence[Tile], theme: ThemeProvider
    ) -> None:
        """Add a heading, a sentence about the tiles, and the tiles; nothing if there are no tiles."""
        if not tiles:
            return
        lines.addSpacing(SPACE // 2)
        about_them = label(about, "muted", wrap=True)
        lines.addLayout(row(label(title, "subheading"), about_them, spacing=2 * SPACE, grows=about_them))
        lines.addWidget(TileGrid(tiles, theme))
        for tile in tiles:
            tile.problem_shown.connect(partial(self._scroll_to, tile.problem))
            tile.unfolded.connect(partial(self._on_unfolded, tile))

    def _on_unfolded(self, tile: Tile, is_open: bool) -> None:
        if is_open:
            self._scroll_to(tile.details)

    def _scroll_up_to(self, widget: QWidget) -> None:
        """Scroll the page so that a widget is at the top."""
        self.area.verticalScrollBar().setValue(widget.mapTo(self._inner, widget.rect().topLeft()).y() - SPACE)

    @property
    def busy(self) -> bool:
        """Whether results or a file are being read, or a base is being measured."""
        return self._task.busy or self.measurer.busy or any(card.busy for card in self.cards.values())

    @property
    def shown_result(self) -> str:
        """The demonstration whose result is shown; "" while the cards are shown."""
        return self._shown

    @property
    def focused(self) -> str:
        """The recipe or demonstration in whose card the keyboard is; "" if none."""
        focus = QApplication.focusWidget()
        cards: Mapping[str, QWidget] = {**self.cards, **self.demonstrations}
        return next((name for name, card in cards.items() if focus is not None and card.isAncestorOf(focus)), "")

    def has_recipe(self, name: str) -> bool:
        """Return whether there is a recipe or demonstration of this name."""
        return name in self.cards or name in self.demonstrations

    def show_recipe(self, name: str) -> None:
        """Scroll to a recipe, and focus its Start button, or the button that opens the file or model it needs."""
        self._show_cards()
        card: RecipeCard | DemonstrationCard
        if name in self.demonstrations:
            card = self.demonstrations[name]
            self._focused = "" if card.start.isEnabled() else name  # its Start is focused once its bases are read
            (card.start if card.start.isEnabled() else card.more).setFocus()
        else:
            card = self.cards[name]
            (card.open if card.choices.missing else card.start).setFocus()
        QTimer.singleShot(0, card, lambda: self._scroll_up_to(card))  # after the layout

    @Slot(str)
    def show_result(self, name: str) -> None:
        """Show the result of a demonstration."""
        self._shown = name
        self.result.show_results(self._results_of(name), self._found.names)
        self._pages.setCurrentWidget(self.result)
        self.result.back.setFocus()

    @Slot()
    def _show_cards(self) -> None:
        self._pages.setCurrentWidget(self.area)
        if self._shown:
            self.demonstrations[self._shown].result.setFocus()
        self._shown = ""

    def _results_of(self, name: str) -> list[Demonstrated]:
        return [each for each in self._found.demonstrated if each.mark.name == name]

    @Slot()
    def _on_measured(self) -> None:
        if not self.measurer.busy:
            self.reload()

    def _scroll_to(self, widget: QWidget) -> None:
        QTimer.singleShot(0, widget, partial(self.area.ensureWidgetVisible, widget, 0, SPACE))  # after the layout

    def showEvent(self, event: QShowEvent) -> None:
        super().showEvent(event)
        self._session.datasets.refresh()
        self.reload()  # a command may have run a recipe

    @Slot()
    def _show_waits(self) -> None:
        self.waits.setText(_IS_HELD if self._session.queue.is_held else _WAITS)
        self.waits.setVisible(self._session.training.active)

    @Slot()
    def reload(self) -> None:
        """Read the results from the library, in the background."""
        index, library = self._session.runs.index, self._session.library
        self._task.ask(lambda: _read(index, library))

    @Slot()
    def _offer(self) -> None:
        datasets = self._session.datasets.list()
        for card in self.cards.values():
            card.choices.offer(self._found.runs, datasets)
            card.show_state()

    @Slot(object)
    def _on_read(self, found: _Found) -> None:
        self._found = found
        for name, card in self.cards.items():
            card.show_results([run for run in found.scored if run.result.name == name])
        for name, each in self.demonstrations.items():
            each.offer(found.bases, found.own)
            if name == self._focused and each.start.isEnabled():
                each.start.setFocus()
            each.show_results(
                self._results_of(name), found.names, [one for one in found.halted if one.mark.name == name]
            )
        self._focused = ""
        if self._shown:
            self.result.show_results(self._results_of(self._shown), found.names)
        self._offer()


@dataclass(frozen=True, kw_only=True)
class _Found:
    """The contents of the library for this page.

    scored, demonstrated: the results of recipes and demonstrations, the newest first. halted: the progress of stopped
    demonstrations. bases: models to start from. own: preference sets with choices by a person.
    """

    runs: list[RunInfo] = field(default_factory=list)
    scored: list[ScoredRun] = field(default_factory=list)
    demonstrated: list[Demonstrated] = field(default_factory=list)
    halted: list[Halted] = field(default_factory=list)
    bases: list[Base] = field(default_factory=list)
    own: list[OwnPairs] = field(default_factory=list)

    @property
    def names(self) -> dict[str, str]:
        """Run id -> name."""
        return {run.id: run.name for run in self.runs}


def _read(index: RunIndex, library: Library) -> _Found:
    """Read the library, without damaged files. Slow: call it on a background thread."""
    runs = index.refresh()
    scored, demonstrated = [], []
    for info in runs:
        if info.problem is not None:
            continue
        with contextlib.suppress(ValueError):
            result = read_result(info.folder)
            if result is not None:
                scored.append(ScoredRun(info.id, result))
        with contextlib.suppress(ValueError):
            ended = read_demonstrated(info.folder)
            if ended is not None:
                demonstrated.append(ended)
    demonstrated.sort(key=lambda each: each.created, reverse=True)
    return _Found(
        runs=runs,
        scored=scored,
        demonstrated=demonstrated,
        halted=[halted for info in runs for halted in list_halted(info.folder)],
        bases=list_bases(runs),
        own=[pairs for name in list_sets(library) if (pairs := _own_pairs(library, name)) is not None],
    )


def _own_pairs(library: Library, name: str) -> OwnPairs | None:
    """Return a preference set with its number of choices by a person; None if there are none or it is damaged."""
    with contextlib.suppress(ValueError):
        pairs = PreferenceSet(library, name).read().pairs
        n = sum(pair.by == PERSON and pair.better is not None for pair in pairs)
        return OwnPairs(name=name, n=n) if n else None
    return None
