"""The views of one run."""

from __future__ import annotations

from typing import Any

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QWidget

from app.kit.layout.views import View, Views
from app.kit.theme import ThemeProvider
from app.session.session import Session
from app.training.curves.view import CurvesView
from app.training.shown_run import ShownRun

_VIEWS_OF_IMPORTED = ("scores", "lineage")


class RunViews(Views):
    """Views of the same run; the visible one is updated while the run grows.

    Signals:
        fork_asked(run_id, step), chat_asked(run_id, step): about one of its checkpoints.
        example_asked(run_id, step, row): use one of its checkpoints on a row of data.
        remedy_asked(run_id, remedy): apply a remedy of the doctor.
        run_asked(run_id), tokenizer_asked(name): show a run or tokenizer of its lineage.
    """

    fork_asked = Signal(str, int)
    chat_asked = Signal(str, int)
    example_asked = Signal(str, int, object)
    remedy_asked = Signal(str, object)
    run_asked = Signal(str)
    tokenizer_asked = Signal(str)

    def __init__(self, session: Session, theme: ThemeProvider, parent: QWidget | None = None) -> None:
        views = {
            "curves": View("Curves", "Measurements, step by step", self._make_curves),
            "machine": View("Time machine", "Samples, predictions and attention at any step", self._make_machine),
            "scores": View("Scores", "What it is worth on data that it has never seen", self._make_scores),
            "data": View("Data", "What it reads and predicts, token by token", self._make_data),
            "doctor": View("Doctor", "Problems, with evidence and a remedy", self._make_doctor),
            "lineage": View("Lineage", "What it was made from, down to its text", self._make_lineage),
        }
        super().__init__("Views of the run", views, parent)
        self._session, self._theme = session, theme
        self._run: ShownRun | None = None
        self._view_before_import = "curves"
        self._shown: dict[str, ShownRun] = {}

    def show_run(self, run: ShownRun) -> None:
        """Show a run, the first one in its curves: charts take a tenth of a second to make."""
        self._run = run
        self._offer_views(run)
        if self.current:
            self._update(self.current)
        else:
            self.show_view(self._view_before_import)

    def _offer_views(self, run: ShownRun) -> None:
        """An imported model has scores and a lineage only; the earlier view comes back with the next run."""
        info = self._session.runs.look_up(run.id) if run.id else None
        is_trained = info is None or info.status != "imported"
        if is_trained == self.bar.isTabEnabled(self.names.index("curves")):
            return
        if not is_trained:
            self._view_before_import = self.current or self._view_before_import
            if self.current not in _VIEWS_OF_IMPORTED:
                self.show_view("lineage")
        for i, name in enumerate(self.names):
            self.bar.setTabEnabled(i, is_trained or name in _VIEWS_OF_IMPORTED)
        if is_trained:
            self.show_view(self._view_before_import)

    def refresh(self) -> None:
        """The run has grown: redraw the visible view."""
        self._update(self.current)

    def _update(self, name: str) -> None:
        if self._run is None:
            return
        page: Any = self.pages.page(name)
        if self._shown.get(name) is self._run:
            page.refresh()
        else:
            self._shown[name] = self._run
            page.show_run(self._run)

    def _make_curves(self) -> QWidget:
        return CurvesView(self._session, self._theme)

    def _make_machine(self) -> QWidget:
        from app.training.time_machine.view import TimeMachine

        view = TimeMachine(self._theme)
        view.fork_asked.connect(self.fork_asked)
        view.chat_asked.connect(self.chat_asked)
        return view

    def _make_scores(self) -> QWidget:
        from app.training.scores.view import ScoresView

        view = ScoresView(self._session, self._theme)
        view.example_asked.connect(self.example_asked)
        return view

    def _make_data(self) -> QWidget:
        from app.training.run.data_view import RunDataView

        return RunDataView(self._session, self._theme)

    def _make_doctor(self) -> QWidget:
        from app.training.doctor.view import DoctorView

        view = DoctorView(self._theme)
        view.remedy_asked.connect(self.remedy_asked)
        return view

    def _make_lineage(self) -> QWidget:
        from app.training.run.lineage_view import RunLineage

        view = RunLineage(self._session, self._theme)
        view.run_asked.connect(self.run_asked)
        view.tokenizer_asked.connect(self.tokenizer_asked)
        return view
