"""The tile of an alignment demonstration: Start, progress and result; its needs, goal and choices as details."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from PySide6.QtCore import QEvent, Qt, Signal, Slot
from PySide6.QtWidgets import QPlainTextEdit, QSizePolicy, QWidget

from terrarium.app.kit.basics import button, column, group, label, row, set_enabled, show_only, show_words
from terrarium.app.kit.forms.editors import IntBox
from terrarium.app.kit.inputs import choice, fill_choice, named
from terrarium.app.kit.theme import SPACE, ThemeProvider
from terrarium.app.plots.interval_bars import IntervalBars
from terrarium.app.recipes.align_figures import outcome_bars
from terrarium.app.recipes.base_choice import BaseChoice, BaseMeasurer, about_minutes
from terrarium.app.recipes.card import facts_grid
from terrarium.app.recipes.demonstration_view import GONE
from terrarium.app.recipes.tile import Tile
from terrarium.app.session.candidates import Candidate
from terrarium.app.session.routes import ForkRun, Judge
from terrarium.app.session.session import Session
from terrarium.models.number_words import format_count, format_date, format_duration, format_minutes, format_percent
from terrarium.models.recipes.demonstrations.bases import STRONG, Base, steps_of_strong
from terrarium.models.recipes.demonstrations.demonstrated import Demonstrated
from terrarium.models.recipes.demonstrations.demonstrations_table import AlignRecipe
from terrarium.models.recipes.demonstrations.kept import Halted
from terrarium.models.recipes.recipe_specs import demonstration_spec
from terrarium.models.runs.run_queue import RecipeSpec
from terrarium.models.tiny_world.constitution import MAX_RULES, RULES, parse_rules

_MAX_SEED = 999_999
_NEEDS = (
    f"A model that answers {format_percent(STRONG)} of the held-out questions of Tiny World, or more. A weaker one is "
    "trained on first."
)
_LINES = 4


@dataclass(frozen=True, kw_only=True)
class OwnPairs:
    """A preference set of the user. n: the number of its pairs in which a person chose the better reply."""

    name: str
    n: int


class DemonstrationCard(Tile):
    """Starts its demonstration, and shows its progress while it is the current training.

    Signals:
        result_asked(name): show the result of the demonstration.
    """

    result_asked = Signal(str)

    def __init__(self, recipe: AlignRecipe, session: Session, measurer: BaseMeasurer, theme: ThemeProvider) -> None:
        super().__init__(
            recipe.name,
            recipe.title,
            recipe.help,
            session,
            theme,
            noun="Demonstration",
            start_tip="Run this demonstration",
            kept="what was measured and trained is kept, and the next start continues there",
            stages=[recipe.stages[name] for name in recipe.trained],
        )
        self.recipe = recipe
        self.base = BaseChoice(recipe.title, measurer, theme)
        self.own = choice(
            "Your own pairs",
            "Pairs that you have judged in Chat → Judge replies come first; the program judges the others",
            width=18,
        )
        self.judge = button(
            "Judge pairs…",
            theme,
            self._on_judge,
            icon="scales",
            role="quiet",
            tip="Judge pairs of what the base writes, in Chat → Judge replies",
        )
        self.rules = RulesEditor(theme)
        self.rules.changed.connect(self.show_state)
        self.seed = named(
            IntBox(0, _MAX_SEED, 1),
            f"Seed of {recipe.title}",
            "Another seed writes other stories and trains in another order",
        )
        self.seed.setSizePolicy(QSizePolicy.Policy.Fixed, QSizePolicy.Policy.Fixed)
        self.seed.setMinimumWidth(130)
        self.seed.valueChanged.connect(self.show_state)
        self.takes = label("", wrap=True, selectable=True)
        self.none = label("Not run yet. Its result will appear here.", "muted", wrap=True)
        self.verdict, self.summary = label("", "heading", wrap=True), label("", wrap=True)
        self.when = label("", "caption", wrap=True)
        self.bars = IntervalBars(f"Stages of {recipe.title}", theme)
        self.result.setAccessibleName(f"Open the result of {recipe.title}")
        self._found: list[Demonstrated] = []
        self._halted: list[Halted] = []
        self._build()
        self.base.changed.connect(self.show_state)
        self.base.train_asked.connect(self._on_train)
        self.offer((), ())
        self.show_results((), {})

    # -- Building ------------------------------------------------------------------------------------------------------

    def _build(self) -> None:
        recipe = self.recipe
        lines = facts_grid((("Needs", _NEEDS), ("Goal", recipe.goal)))
        own = group(self.own, self.judge, horizontal=True, grows=self.own)
        beside: list[tuple[str, QWidget]] = [("Takes", self.takes), ("Base", self.base)]
        beside += [("Your pairs", own)] if recipe.asks_own else []
        beside += [("Rules", self.rules)] if recipe.asks_rules else []
        beside.append(("Seed", self.seed))
        for at, (words, widget) in enumerate(beside, start=lines.rowCount()):
            lines.addWidget(label(words, "muted"), at, 0, Qt.AlignmentFlag.AlignTop)
            # With an alignment, a small editor does not limit the column to its own width.
            is_small = widget is self.seed
            lines.addWidget(widget, at, 1, Qt.AlignmentFlag.AlignLeft if is_small else Qt.AlignmentFlag(0))
        self.details.left.addLayout(lines)
        self.details.left.addStretch(1)
        for widget in (self.none, self.verdict, self.summary, self.bars, self.when):
            self.details.right.addWidget(widget)
        self.details.right.addWidget(label("Stages that are trained", "subheading"))
        self.details.right.addWidget(self.going.steps)
        self.details.right.addStretch(1)
        for widget, is_asked in ((own, recipe.asks_own), (self.rules, recipe.asks_rules)):
            if not is_asked:  # it is in no layout, and must not become a window
                widget.setParent(self)
                widget.hide()

    # -- Display -------------------------------------------------------------------------------------------------------

    def offer(self, bases: Sequence[Base], own: Sequence[OwnPairs]) -> None:
        """Offer these bases and preference sets."""
        chosen = self.own.currentData()
        sets = {pairs.name: f"{pairs.name}  ·  {format_count(pairs.n, 'choice')}" for pairs in own}
        fill_choice(self.own, {"": "None: a program judges instead of you", **sets}, chosen)
        self.base.offer(bases)
        self.show_state()

    def show_results(
        self, found: Sequence[Demonstrated], names: Mapping[str, str], halted: Sequence[Halted] = ()
    ) -> None:
        """Show the results, the newest first, and the progress of a stopped demonstration. names: run id -> name."""
        self._found, self._halted = list(found), list(halted)
        if found:
            result = found[0].result
            n_met, n = sum(bar.is_met for bar in result.bars), len(result.bars)
            whole = n_met == n
            self.verdict.setText("All goals are reached" if whole else f"{n_met} of {n} goals are reached")
            missed = [bar.missed for bar in result.bars if not bar.is_met]
            self.summary.setText("\n".join(missed))
            tip = "Open the result: every stage, every goal, and the curves"
            self.show_result(self.verdict.text(), tip, is_good=whole)
            self.bars.show_bars(outcome_bars(result, self.recipe.stages))
            before = f", and {len(found) - 1} before" if len(found) > 1 else ""
            base = names.get(result.base, GONE)
            self.when.setText(f"From {base}, seed {result.seed}; {format_date(found[0].created)}{before}.")
        show_only(
            {
                self.none: not found,
                self.verdict: found,
                self.bars: found,
                self.when: found,
                self.summary: found and self.summary.text(),
            }
        )
        self.show_state()

    @property
    def has_result(self) -> bool:
        """Whether the demonstration was completed at least once."""
        return bool(self._found)

    @property
    def _missing(self) -> str:
        if self.base.base is None:
            return "It needs a model that can chat: grow one with the quick start, on Home."
        if self.recipe.asks_rules and not self.rules.rules:
            return "Something is wrong with the rules: see Details."
        return ""

    @Slot()
    def show_state(self) -> None:
        super().show_state()
        state, is_going = self.state, self.is_going
        for widget in (self.base, self.own, self.rules, self.seed):
            widget.setEnabled(not is_going)
        set_enabled(self.judge, "" if self.base.base is not None else "There is no model that can chat yet.")
        self._show_time()
        problem = state.problem if state is not None and state.is_over and state.status == "failed" else ""
        note = self._missing or self._halted_words() or self._first_words()
        self.show_words("" if is_going else note, problem)

    @property
    def _measured_s(self) -> float | None:
        """The duration of the last completed demonstration on this computer, in seconds; None if unknown."""
        return next((each.seconds for each in self._found if each.seconds is not None), None)

    def _show_time(self) -> None:
        """Show the last duration here, else the recipe's estimate plus that of training a weak base further."""
        measured = self._measured_s
        seconds = 60 * self.recipe.minutes
        took = f"{format_minutes(seconds)}, on two cores that do nothing else"
        if measured is not None:
            seconds, took = measured, f"{format_duration(measured)}, as it took here last time"
        base = self.base.base
        more = 0.0 if base is None or base.seconds_more is None or measured is not None else base.seconds_more
        self.minutes.setText(format_minutes(seconds + more))
        of_base = f", and {about_minutes(more)} to train the base further first" if more else ""
        self.takes.setText(f"{took}{of_base}")

    def _first_words(self) -> str:
        """Describe the training of a weak base before the first stage; "" if the base is not trained further."""
        base = self.base.base
        if base is None or not base.n_more:
            return ""
        if base.seconds_more is None:
            return f"First trains its base further: {base.n_more:,} steps."
        verb = "Includes" if self._measured_s is None else "First takes"
        return f"{verb} {about_minutes(base.seconds_more)} to train its base further."

    def _halted_words(self) -> str:
        """Describe the progress of the demonstration stopped with this base and seed; "" if there is none."""
        base = self.base.base
        if base is None:
            return ""
        for each in self._halted:
            if base.run_id in (each.base, each.mark.base) and each.mark.seed == self.seed.value():
                n = len(each.stages)
                trained = f"after {n} of {len(self.recipe.trained)} stages, " if n else ""
                how_far = f" ({each.done:,} of {each.total:,})" if each.total else ""
                return f"Stopped {trained}at “{each.phase}”{how_far}. Start continues from there."
        return ""

    # -- Actions -------------------------------------------------------------------------------------------------------

    @property
    def recipe_spec(self) -> RecipeSpec | None:
        base = self.base.base
        return None if base is None else demonstration_spec(self.recipe.name, base.run_id, *self._chosen())

    def _on_start(self) -> None:
        recipe = self.recipe_spec
        if recipe is not None:
            self._session.training.start_recipe(recipe)

    def _chosen(self) -> tuple[int, str, Sequence[str]]:
        """Return the seed, the name of the user's preference set ("" for none), and the rules."""
        own = str(self.own.currentData() or "") if self.recipe.asks_own else ""
        return self.seed.value(), own, self.rules.rules if self.recipe.asks_rules else ()

    def _on_judge(self) -> None:
        if self.base.base is not None:
            base = Candidate(self.base.base.run_id)
            self._session.go(Judge(base, base))

    @Slot(str)
    def _on_train(self, run_id: str) -> None:
        """Offer to train a base further."""
        info = self._session.runs.look_up(run_id)
        self._session.go(ForkRun(run_id, changes={"steps": steps_of_strong(0 if info is None else info.step)}))

    def _on_result(self) -> None:
        self.result_asked.emit(self.recipe.name)


class RulesEditor(QWidget):
    """A field for the rules of a constitution, one per line, with an error message below it.

    rules: the parsed rules; () while the text is invalid.

    Signals:
        changed(): the text has changed.
    """

    changed = Signal()

    def __init__(self, theme: ThemeProvider, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.rules = RULES
        self.field = named(
            QPlainTextEdit("\n".join(RULES)),
            "Rules",
            f"One per line, {MAX_RULES} at most: about secret words, hiding places or mean words. Anything else "
            "may be told",
        )
        self.field.setTabChangesFocus(True)
        self.problem = label("", "error", wrap=True)
        self.usual = button("The usual rules", theme, self._on_usual, role="link", tip="Put the three rules back")
        self.setLayout(column(self.field, self.problem, row(self.usual, None), spacing=SPACE // 2))
        self.field.textChanged.connect(self._on_changed)
        self._fit()
        self._on_changed()

    def changeEvent(self, event: QEvent) -> None:
        super().changeEvent(event)
        if event.type() in (QEvent.Type.FontChange, QEvent.Type.StyleChange):
            self._fit()

    def _fit(self) -> None:
        margins = 2 * round(self.field.document().documentMargin()) + 2 * self.field.frameWidth() + SPACE
        self.field.setFixedHeight(_LINES * self.field.fontMetrics().lineSpacing() + margins)

    @Slot()
    def _on_changed(self) -> None:
        problem = ""
        try:
            self.rules = parse_rules(self.field.toPlainText())
        except ValueError as error:
            self.rules, problem = (), str(error)
        show_words(self.problem, problem)
        self.usual.setVisible(self.rules != RULES)
        self.changed.emit()

    def _on_usual(self) -> None:
        self.field.setPlainText("\n".join(RULES))
