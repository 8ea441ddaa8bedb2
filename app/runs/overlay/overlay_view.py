"""A comparison of several runs: overlaid curves, and settings with losses."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QWidget

from terrarium.app.kit.layout.views import View, Views
from terrarium.app.kit.theme import ThemeProvider
from terrarium.app.session.session import Session


class CompareRuns(Views):
    """Two views of the same runs, created when first shown.

    Signals:
        run_asked(run_id): the user wants to see this run.
    """

    run_asked = Signal(str)

    def __init__(self, session: Session, theme: ThemeProvider, parent: QWidget | None = None) -> None:
        views = {
            "curves": View("Curves", "Overlaid curves, and the differences", self._make_curves),
            "settings": View("Settings and losses", "Which settings lead to which loss", self._make_settings),
        }
        super().__init__("Views of several runs", views, parent)
        self._session, self._theme = session, theme
        self._ids: tuple[str, ...] = ()
        self._shown: dict[str, tuple[str, ...]] = {}

    def show_runs(self, run_ids: Sequence[str]) -> None:
        """Compare these runs."""
        self._ids = tuple(run_ids)
        if self.current:
            self._update(self.current)
        else:
            self.show_view("curves")

    def _update(self, name: str) -> None:
        page: Any = self.pages.page(name)
        if self._shown.get(name) != self._ids:
            self._shown[name] = self._ids
            page.show_runs(self._ids)

    def _make_curves(self) -> QWidget:
        from terrarium.app.runs.overlay.overlay import RunOverlay

        view = RunOverlay(self._session, self._theme)
        view.run_asked.connect(self.run_asked)
        return view

    def _make_settings(self) -> QWidget:
        from terrarium.app.runs.overlay.sweep_view import SweepView

        view = SweepView(self._session, self._theme)
        view.run_asked.connect(self.run_asked)
        return view
