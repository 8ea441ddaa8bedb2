"""A comparison of several runs: overlaid curves, settings with losses, and a design beside its built-in twin."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from PySide6.QtCore import Slot
from PySide6.QtWidgets import QWidget

from terrarium.app.kit.layout.views import View, Views
from terrarium.app.kit.theme import ThemeProvider
from terrarium.app.session.session import Session
from terrarium.models.runs.twin import are_twins


class CompareRuns(Views):
    """Views of the same runs, created when first shown. That of twins is offered if they are some, and shown first."""

    def __init__(self, session: Session, theme: ThemeProvider, parent: QWidget | None = None) -> None:
        views = {
            "curves": View("Curves", "Overlaid curves, and the differences", self._make_curves),
            "settings": View("Settings and losses", "Which settings lead to which loss", self._make_settings),
            "twin": View("Beside its twin", "Whether a custom block is better than the built-in part", self._make_twin),
        }
        super().__init__("Views of several runs", views, parent)
        self._session, self._theme = session, theme
        self._ids: tuple[str, ...] = ()
        self._shown: dict[str, tuple[str, ...]] = {}
        self.tag = ""
        """The tag of the runs, which those that begin join; "" if they were chosen."""
        self.offer("twin", is_offered=False)
        session.runs.changed.connect(self._follow)

    @property
    def is_following(self) -> bool:
        """Whether runs that begin join the comparison."""
        return bool(self.tag)

    def show_runs(self, run_ids: Sequence[str]) -> None:
        """Compare these runs."""
        self.tag = ""
        self._show_runs(tuple(run_ids))

    def show_tag(self, tag: str) -> None:
        """Compare the runs of a design and its twin, which have this tag, also those that have not begun."""
        self._ids, self.tag = (), tag
        self.offer("twin", is_offered=True)
        self.show_view("twin")
        self._follow()

    @Slot()
    def _follow(self) -> None:
        """Add the runs with the tag that have begun since."""
        tagged = tuple(info.id for info in self._session.runs.index.infos() if self.tag in info.tags)
        if tagged and tagged != self._ids:
            self._show_runs(tagged)

    def _show_runs(self, ids: tuple[str, ...]) -> None:
        is_other, self._ids = not set(self._ids) & set(ids), ids
        is_twins = bool(self.tag) or are_twins([i for i in self._session.runs.index.infos() if i.id in ids])
        if is_twins and is_other:
            self.show_view("twin")
        elif self.current in ("", "twin") and not is_twins:
            self.show_view("curves")
        else:
            self._update(self.current)
        self.offer("twin", is_offered=is_twins)  # last: without its tab, Qt would choose another view

    def _update(self, name: str) -> None:
        page: Any = self.pages.page(name)
        if self._shown.get(name) != self._ids:
            self._shown[name] = self._ids
            page.show_runs(self._ids)

    def _make_curves(self) -> QWidget:
        from terrarium.app.runs.overlay.overlay import RunOverlay

        return RunOverlay(self._session, self._theme)

    def _make_twin(self) -> QWidget:
        from terrarium.app.runs.overlay.twin_view import TwinView

        return TwinView(self._session, self._theme)

    def _make_settings(self) -> QWidget:
        from terrarium.app.runs.overlay.sweep_view import SweepView

        return SweepView(self._session, self._theme)
