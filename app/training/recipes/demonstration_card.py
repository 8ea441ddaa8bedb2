"""A demonstration of alignment as a card: what it shows and needs, the button that starts it, and what it came to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from PySide6.QtCore import QSignalBlocker, Qt, Signal, Slot
from PySide6.QtWidgets import QComboBox, QFrame, QHBoxLayout, QSizePolicy, QVBoxLayout, QWidget

from app.kit.basics import button, column, frame, label, row
from app.kit.figures.interval_bars import IntervalBars
from app.kit.forms.editors import IntBox, keep_wheel_for_scrolling
from app.kit.labels import ElidedCombo
from app.kit.layout.refit import SideBySide
from app.kit.theme import SPACE, ThemeProvider
from app.session.session import Session
from app.session.training_state import TrainingState
from app.training.recipes.align_figures import outcome_bars
from app.training.recipes.base_choice import BaseChoice, BaseMeasurer
from app.training.recipes.card import facts_grid
from app.training.recipes.recipe_progress import RecipeProgress
from app.training.recipes.rules_editor import RulesEditor
from models.number_words import capitalized, format_count, format_date, format_duration, format_percent
from models.recipes.alignment.bases import Base
from models.recipes.alignment.results import STRONG, Demonstrated
from models.recipes.alignment.table import AlignRecipe

_WIDE = 760
"""Pixels from which on the outcome stands beside the words, at the usual text size."""
_MAX_SEED = 999_999
_NEEDS = f"A model that answers {format_percent(STRONG)} of the held-out questions of Tiny World, or more"


@dataclass(frozen=True, kw_only=True)
class OwnPairs:
    """A set of pairs with a better reply that somebody has chosen, and how many."""

    name: str
    n: int


class DemonstrationCard(QFrame):
    """Starts its demonstration and follows it while it is the current training.

    Signals:
        run_asked(run_id): show a run as it learns.
        result_asked(name): show what the demonstration has come to.
        train_asked(run_id): train a base on.
        pairs_asked(run_id): judge pairs of what a base writes by hand.
        problem_shown(): `problem` says something new.
    """

    run_asked = Signal(str)
    result_asked = Signal(str)
    train_asked = Signal(str)
    pairs_asked = Signal(str)
    problem_shown = Signal()

    def __init__(self, recipe: AlignRecipe, session: Session, measurer: BaseMeasurer, theme: ThemeProvider) -> None:
        super().__init__()
        self.recipe, self._session, self._theme = recipe, session, theme
        self.setProperty("role", "card")
        self.setAccessibleName(f"Demonstration {recipe.title}")
        self.base = BaseChoice(recipe.title, measurer, theme)
        self.own = ElidedCombo()
        self.own.setAccessibleName("Your own pairs")
        self.own.setToolTip("Pairs that you have judged in Chat → Compare come first; the simulated annotator fills up")
        self.own.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        self.own.setMinimumContentsLength(18)
        keep_wheel_for_scrolling(self.own)
        self.judge = button(
            "Judge pairs…",
            theme,
            self._on_judge,
            icon="scales",
            role="quiet",
            tip="Compare replies of the base in Chat",
        )
        self.rules = RulesEditor(theme)
        self.rules.changed.connect(self.show_state)
        self.seed = IntBox(0, _MAX_SEED, 1)
        self.seed.setAccessibleName(f"Seed of {recipe.title}")
        self.seed.setToolTip("Another seed draws other stories and trains in another order")
        self.seed.setSizePolicy(QSizePolicy.Policy.Fixed, QSizePolicy.Policy.Fixed)
        self.seed.setMinimumWidth(130)
        self.start = button(
            "Start", theme, self._on_start, icon="play-fill", role="primary", tip="Run this demonstration"
        )
        self.start.setAccessibleName(f"Start {recipe.title}")
        self.more = button("Options", theme, icon="sliders", role="quiet", tip="The seed")
        self.more.setCheckable(True)
        self.more.setAccessibleName(f"Options of {recipe.title}")
        self.note, self.problem = label("", "caption", wrap=True), label("", "error", wrap=True)
        self.takes = label("", wrap=True, selectable=True)
        self.going = RecipeProgress(
            recipe.title,
            session.training,
            theme,
            kept="what has been trained is kept, and the next start continues there",
            stages=[recipe.stages[name] for name in recipe.trained],
        )
        self.going.run_asked.connect(self.run_asked)
        self.none = frame("sunken", margin=3 * SPACE)
        self.verdict, self.summary = label("", "heading", wrap=True), label("", wrap=True)
        self.when = label("", "caption", wrap=True)
        self.bars = IntervalBars(f"Stages of {recipe.title}", theme)
        self.open = button(
            "Open the result", theme, self._on_open, icon="chart-line", tip="Every stage, every bar, and the curves"
        )
        self.open.setAccessibleName(f"Open the result of {recipe.title}")
        self._found: list[Demonstrated] = []
        self._build()
        SideBySide(self, self._halves, theme, _WIDE)
        self.base.changed.connect(self.show_state)
        self.base.train_asked.connect(self.train_asked)
        self.more.toggled.connect(self._show_options)
        self._was_active = session.training.active
        session.training.changed.connect(self._on_training)
        self.offer((), ())
        self._show_options(False)
        self.show_results((), {})

    # -- Building ------------------------------------------------------------------------------------------------------

    def _build(self) -> None:
        recipe = self.recipe
        grid = facts_grid((("Needs", _NEEDS), ("Must reach", capitalized(recipe.reaches))))
        own = QWidget()
        line = row(self.own, self.judge)
        line.setStretch(0, 1)
        own.setLayout(line)
        self._own, self._options = (label("Your pairs", "muted"), own), (label("Seed", "muted"), self.seed)
        self._rules = (label("Rules", "muted"), self.rules)
        takes, base = (label("Takes", "muted"), self.takes), (label("Base", "muted"), self.base)
        beside = (takes, base, self._own, self._rules, self._options)
        for at, (caption, widget) in enumerate(beside, start=grid.rowCount()):
            grid.addWidget(caption, at, 0, Qt.AlignmentFlag.AlignTop)
            # Aligned, a small editor does not limit the column to its own width.
            is_small = widget is self.seed
            grid.addWidget(widget, at, 1, Qt.AlignmentFlag.AlignLeft if is_small else Qt.AlignmentFlag(0))
        words = QWidget()
        lines = QVBoxLayout(words)
        lines.setContentsMargins(0, 0, 0, 0)
        lines.setSpacing(SPACE)
        lines.addWidget(label(recipe.title, "heading"))
        lines.addWidget(label(recipe.help, wrap=True))
        lines.addLayout(grid)
        lines.addLayout(row(self.start, self.more, None))
        lines.addWidget(self.note)
        lines.addWidget(self.problem)
        lines.addStretch(1)
        inside = self.none.layout()
        assert isinstance(inside, QVBoxLayout)
        none = label("Not run yet. Its result will appear here.", "subheading", wrap=True)
        none.setAlignment(Qt.AlignmentFlag.AlignHCenter)
        inside.addWidget(none)
        self._outcome = QWidget()
        outcome = column(self.verdict, self.summary, self.bars, self.when, spacing=SPACE)
        outcome.addLayout(row(self.open, None))
        self._outcome.setLayout(outcome)
        right = QWidget()
        right.setLayout(column(self.going, self._outcome, self.none, None, spacing=2 * SPACE))
        self._halves = QHBoxLayout(self)
        self._halves.setContentsMargins(2 * SPACE, 2 * SPACE, 2 * SPACE, 2 * SPACE)
        self._halves.setSpacing(3 * SPACE)
        self._halves.addWidget(words, 1)
        self._halves.addWidget(right, 1)
        for widgets, is_asked in ((self._own, recipe.asks_own), (self._rules, recipe.asks_rules)):
            for widget in widgets:  # now that they have a place: else they would be windows
                widget.setVisible(is_asked)

    # -- What is shown -------------------------------------------------------------------------------------------------

    def offer(self, bases: Sequence[Base], own: Sequence[OwnPairs]) -> None:
        """Offer these bases, and these sets of pairs."""
        chosen = self.own.currentData()
        with QSignalBlocker(self.own):
            self.own.clear()
            self.own.addItem("None: the simulated annotator judges all", "")
            for pairs in own:
                self.own.addItem(f"{pairs.name}  ·  {format_count(pairs.n, 'choice')}", pairs.name)
            self.own.setCurrentIndex(max(0, self.own.findData(chosen)))
        self.base.offer(bases)
        self.show_state()

    def show_results(self, found: Sequence[Demonstrated], names: Mapping[str, str]) -> None:
        """Show what it came to, the newest first. names: of the runs, by their ids."""
        self._found = list(found)
        if found:
            result = found[0].result
            n_met = sum(bar.is_met for bar in result.bars)
            whole = n_met == len(result.bars)
            self.verdict.setText("All bars are met" if whole else f"{n_met} of {len(result.bars)} bars are met")
            short = [bar.sentence() for bar in result.bars if not bar.is_met]
            self.summary.setText("\n".join(short))
            self.summary.setVisible(bool(short))
            self.bars.show_bars(outcome_bars(result, self.recipe.stages))
            before = f", and {len(found) - 1} before" if len(found) > 1 else ""
            base = names.get(result.base, result.base)
            self.when.setText(f"From {base}, seed {result.seed}; {format_date(found[0].created)}{before}.")
        self.takes.setText(self._time_words())
        self.show_state()

    def _time_words(self) -> str:
        measured = next((each.seconds for each in self._found if each.seconds is not None), None)
        if measured is not None:
            return f"{format_duration(measured)}; measured here last time"
        return f"about {self.recipe.minutes:g} min on two idle cores"

    @property
    def _state(self) -> TrainingState | None:
        """The current or last training, if it is of this demonstration."""
        state = self._session.training.state
        return state if state is not None and state.recipe == self.recipe.name else None

    @Slot()
    def show_state(self) -> None:
        """Show what has changed."""
        state, active = self._state, self._session.training.active
        is_going = active and state is not None
        self.going.setVisible(is_going)
        self._outcome.setVisible(bool(self._found) and not is_going)
        self.none.setVisible(not self._found and not is_going)
        for widget in (self.base, self.own, self.rules, self.seed, self.more):
            widget.setEnabled(not is_going)
        waits = self._waits_for()
        self.start.setEnabled(not waits)
        self.judge.setEnabled(self.base.base is not None)
        self.start.setToolTip(waits or "Run this demonstration")
        if is_going and state is not None:
            self.going.show_state(state)
        note = problem = ""
        if state is not None and state.over:
            if state.status == "failed":
                problem = state.problem
            elif state.status in ("stopped", "paused"):
                note = "It was stopped early. Start it again with the same base and seed to continue."
        is_new = bool(problem) and problem != self.problem.text()
        for line, words in ((self.note, note), (self.problem, problem)):
            line.setText(words)
            line.setVisible(bool(words))
        if is_new:
            self.problem_shown.emit()

    def _waits_for(self) -> str:
        """Why it cannot start, "" if it can."""
        if self._session.training.active:
            return "A run is training. Stop it or wait."
        if self.base.base is None:
            return "It needs a model that can chat."
        if self.recipe.asks_rules and not self.rules.rules:
            return "Something is wrong with the rules."
        return ""

    @Slot()
    def _on_training(self) -> None:
        """This comes many times a second, mostly with news of something else."""
        active = self._session.training.active
        if self._state is not None or active != self._was_active:
            self._was_active = active
            self.show_state()

    @Slot(bool)
    def _show_options(self, shown: bool) -> None:
        for widget in self._options:
            widget.setVisible(shown or bool(self.seed.value()))

    # -- What is done --------------------------------------------------------------------------------------------------

    def _on_start(self) -> None:
        base = self.base.base
        if base is not None:
            self.more.setChecked(False)
            own = str(self.own.currentData() or "") if self.recipe.asks_own else ""
            rules = self.rules.rules if self.recipe.asks_rules else ()
            self._session.training.start_demonstration(self.recipe.name, base.run_id, self.seed.value(), own, rules)

    def _on_judge(self) -> None:
        if self.base.base is not None:
            self.pairs_asked.emit(self.base.base.run_id)

    def _on_open(self) -> None:
        self.result_asked.emit(self.recipe.name)
