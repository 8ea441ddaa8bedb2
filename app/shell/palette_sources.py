"""The sources of the command palette: actions of menus and of the run in view, places, the library, and terms."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from PySide6.QtGui import QAction, QKeySequence
from PySide6.QtWidgets import QMenu, QMenuBar

from terrarium.app.help.palette import PaletteEntry
from terrarium.app.help.places import FOUND_BY, PLACES
from terrarium.app.session.routes import DoToRun, Go, LearnTask, ShowDesign, ShowPlace, ShowRun, ShowTerm, ShowTokenizer
from terrarium.app.session.session import Session
from terrarium.app.shell.help_desk import HelpDesk
from terrarium.app.shell.keys import plain
from terrarium.app.shell.screens import Screens


class MenuSource:
    """The enabled actions of the menus. An action in two menus is listed once.

    bar: called each time, since PySide may invalidate the Python wrapper of a menu bar that still exists. but: the
    text of an action to omit.
    """

    def __init__(self, bar: Callable[[], QMenuBar], but: str) -> None:
        self._bar, self._but = bar, but

    def entries(self) -> Sequence[PaletteEntry]:
        """Return each action with its menu and its shortcut."""
        found: dict[str, PaletteEntry] = {}
        for top in self._bar().actions():
            menu = top.menu()
            if isinstance(menu, QMenu):
                menu.aboutToShow.emit()  # some actions update their enabled state only then
                for entry in self._of(menu, f"{plain(top.text())} menu"):
                    found.setdefault(entry.title, entry)
                menu.aboutToHide.emit()
        return list(found.values())

    def _of(self, menu: QMenu, where: str, before: str = "") -> Sequence[PaletteEntry]:
        found: list[PaletteEntry] = []
        for action in menu.actions():
            words, within = plain(action.text()), action.menu()
            if isinstance(within, QMenu):
                found += self._of(within, f"{where} → {words}", f"{words}: ")
            elif words and words != self._but and action.isEnabled() and action.isVisible():
                found.append(_of_action(action, f"{before}{words}", where))
        return found


def _of_action(action: QAction, title: str, where: str) -> PaletteEntry:
    keys = action.shortcut().toString(QKeySequence.SequenceFormat.NativeText)
    return PaletteEntry(key=f"menu/{title}", title=title.rstrip("…"), do=action.trigger, where=where, keys=keys)


class RunSource:
    """The available actions on the run in view in the training tab or the chat tab."""

    def __init__(self, window: Screens) -> None:
        self._window = window

    def entries(self) -> Sequence[PaletteEntry]:
        """Return the enabled entries of the run's menu."""
        session, run_id = self._window.session, self._run_in_view()
        if not run_id or not session.runs.has(run_id):
            return []
        from terrarium.app.runs.run_actions import run_actions

        return [
            PaletteEntry(
                key=f"run action/{action.name}",
                title=action.words.rstrip("…"),
                do=partial(session.go, DoToRun(run_id, action.name)),
                where=session.runs.find(run_id).name,
                find_by=action.tip,
            )
            for group in run_actions(session, run_id)
            for action in group.actions
            if not action.problem
        ]

    def _run_in_view(self) -> str:
        if self._window.pages.current == "training":
            return self._window.training.run_in_view
        model = self._window.session.chat.model
        return model.run_id if model is not None and self._window.pages.current == "chat" else ""


class PlaceSource:
    """The views of the tabs and the settings of the forms. The tabs themselves are in the View menu."""

    def __init__(self, go: Go) -> None:
        self._go = go

    def entries(self) -> Sequence[PaletteEntry]:
        """Return each place, titled by the last part of its path."""
        return [
            PaletteEntry(
                key=f"place/{place}",
                title=words.rpartition(" → ")[2],
                do=partial(self._go, ShowPlace(place)),
                where=words.rpartition(" → ")[0],
                find_by=f"view {FOUND_BY.get(place, '')}",
            )
            for place, words in PLACES.items()
            if " → " in words
        ]


class LibrarySource:
    """The runs, designs, tokenizers and recipes."""

    def __init__(self, session: Session) -> None:
        self._session, self._go = session, session.go

    def entries(self) -> Sequence[PaletteEntry]:
        """Return the current items of the library, and the built-in designs and recipes."""
        session = self._session
        return [*self._runs(session), *self._designs(session), *self._tokenizers(session), *self._recipes()]

    def _runs(self, session: Session) -> list[PaletteEntry]:
        return [
            PaletteEntry(key=f"run/{run.id}", title=run.name, do=partial(self._go, ShowRun(run.id)), where="Run")
            for run in session.runs.known()
        ]

    def _designs(self, session: Session) -> list[PaletteEntry]:
        from terrarium.app.kit.setting_names.preset_words import design_title
        from terrarium.models.settings.presets import PRESETS

        return [
            PaletteEntry(
                key=f"design/{name}",
                title=design_title(name),
                do=partial(self._go, ShowDesign(name)),
                where="Design",
                find_by=name,
            )
            for name in (*session.designs.list(), *PRESETS)
        ]

    def _tokenizers(self, session: Session) -> list[PaletteEntry]:
        return [
            PaletteEntry(
                key=f"tokenizer/{info.name}",
                title=info.name,
                do=partial(self._go, ShowTokenizer(info.name)),
                where="Tokenizer",
            )
            for info in session.tokenizers.list()
            if not info.problem
        ]

    def _recipes(self) -> list[PaletteEntry]:
        from terrarium.models.recipes.demonstrations.demonstrations_table import DEMONSTRATIONS
        from terrarium.models.recipes.tasks.tasks_table import TASK_RECIPES

        titles = {name: recipe.title for name, recipe in TASK_RECIPES.items()}
        titles |= {name: recipe.title for name, recipe in DEMONSTRATIONS.items()}
        return [
            PaletteEntry(
                key=f"recipe/{name}",
                title=title,
                do=partial(self._go, LearnTask(name)),
                where="Learn a task",
            )
            for name, title in titles.items()
        ]


class TermSource:
    """The terms of the glossary."""

    def __init__(self, desk: HelpDesk, go: Go) -> None:
        self._desk, self._go = desk, go

    def entries(self) -> Sequence[PaletteEntry]:
        """Return each term; it is found by its synonyms, too."""
        return [
            PaletteEntry(
                key=f"term/{entry.term}",
                title=entry.term,
                do=partial(self._go, ShowTerm(entry.term)),
                where="Glossary",
                find_by=" ".join(entry.also),
            )
            for entry in self._desk.glossary.entries
        ]
