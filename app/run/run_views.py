"""The views of one run."""

from __future__ import annotations

from typing import Any

from PySide6.QtCore import Signal, Slot
from PySide6.QtWidgets import QWidget

from terrarium.app.kit.layout.views import View, Views
from terrarium.app.kit.theme import ThemeProvider
from terrarium.app.run_views.curves.curves_view import CurvesView
from terrarium.app.run_views.shown_run import ShownRun
from terrarium.app.session.session import Session

_SIMPLE = ("curves", "rewards", "replies", "machine", "scores", "doctor")
"""The views that are offered at the simple level of detail."""
_VIEWS_OF_IMPORTED = ("scores", "lineage")
_VIEWS_OF_ALIGNED = ("rewards", "replies")


class RunViews(Views):
    """The views of one run, as tabs; the visible one is updated during training.

    Signals:
        remedy_asked(run_id, remedy): apply a remedy of the doctor.
    """

    remedy_asked = Signal(str, object)

    def __init__(self, session: Session, theme: ThemeProvider, parent: QWidget | None = None) -> None:
        views = {
            "curves": View("Curves", "Measurements, step by step", self._make_curves, "Loss"),
            "rewards": View(
                "Rewards",
                "Reward beside what is meant, KL to the parent, lengths …",
                self._make_rewards,
                "Reward hacking",
            ),
            "replies": View("Replies", "What it wrote, and what each reply earned", self._make_replies, "Reward model"),
            "machine": View(
                "Time machine", "Samples, predictions and attention at any step", self._make_machine, "Checkpoint"
            ),
            "scores": View("Scores", "What it is worth on data that it has never seen", self._make_scores, "Held-out"),
            "data": View("Data", "What it reads and predicts, token by token", self._make_data, "Batch"),
            "doctor": View("Doctor", "Problems, with evidence and a remedy", self._make_doctor, "Overfitting"),
            "lineage": View(
                "Lineage",
                "The stages of its lineage, compared, and its origin",
                self._make_lineage,
                "Fine-tuning",
            ),
        }
        super().__init__("Views of the run", views, parent)
        self._session, self._theme = session, theme
        self._run: ShownRun | None = None
        self._view_before_import = "curves"
        self._shown: dict[str, ShownRun] = {}
        for name in _VIEWS_OF_ALIGNED:
            self.offer(name, is_offered=False)
        self.keep_simple(session.detail, _SIMPLE)

    def show_run(self, run: ShownRun) -> None:
        """Show a run.

        The first view is created here, not in the constructor, since its charts take a tenth of a second.
        """
        self._run = run
        self._offer_views(run)
        if self.current:
            self._update(self.current)
        else:
            self.show_view(self._view_before_import)

    def _offer_views(self, run: ShownRun) -> None:
        """Offer the views that apply to a run.

        An imported model has only scores and a lineage; the next trained run restores the view before it. An aligned
        run has two more views and opens with the rewards, since its loss is not informative.
        """
        info = self._session.runs.look_up(run.id) if run.id else None
        is_trained = info is None or info.status != "imported"
        self._offer_rewards(is_offered=run.spec is not None and run.spec.align is not None)
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

    def _offer_rewards(self, *, is_offered: bool) -> None:
        if is_offered == self.is_offered("rewards"):
            return
        if not is_offered and self.current in _VIEWS_OF_ALIGNED:
            self.show_view("curves")  # otherwise the tab bar selects another tab when the current one is hidden
        for name in _VIEWS_OF_ALIGNED:
            self.offer(name, is_offered=is_offered)
        if is_offered and self.current in ("", "curves"):
            self.show_view("rewards")

    def refresh(self) -> None:
        """Redraw the visible view after the run has progressed."""
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

    def _make_rewards(self) -> QWidget:
        from terrarium.app.run_views.rewards.rewards_view import RewardsView

        view = RewardsView(self._session, self._theme)
        view.step_asked.connect(self._show_replies)
        return view

    @Slot(int)
    def _show_replies(self, step: int) -> None:
        self.show_view("replies")
        self.view("replies").go_to_step(step)

    def _make_replies(self) -> QWidget:
        from terrarium.app.run_views.rewards.replies import RepliesView

        return RepliesView(self._session, self._theme)

    def _make_curves(self) -> QWidget:
        return CurvesView(self._session, self._theme)

    def _make_machine(self) -> QWidget:
        from terrarium.app.run_views.time_machine.kl_pane import KlPane
        from terrarium.app.run_views.time_machine.time_machine_view import TimeMachine

        return TimeMachine(self._session.go, self._theme, KlPane(self._session, self._theme))

    def _make_scores(self) -> QWidget:
        from terrarium.app.run_views.scores.scores_view import ScoresView

        return ScoresView(self._session, self._theme)

    def _make_data(self) -> QWidget:
        from terrarium.app.run.data_view import RunDataView

        return RunDataView(self._session, self._theme)

    def _make_doctor(self) -> QWidget:
        from terrarium.app.run_views.diagnosis.diagnosis_view import DoctorView

        view = DoctorView(self._theme)
        view.remedy_asked.connect(self.remedy_asked)
        return view

    def _make_lineage(self) -> QWidget:
        from terrarium.app.lineage.lineage_view import LineageView

        return LineageView(self._session, self._theme)
