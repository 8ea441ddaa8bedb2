"""A recipe as a card: what is learned and what it must reach, the button that starts it, how far it is, its score."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from PySide6.QtCore import Qt, Signal, Slot
from PySide6.QtGui import QDragEnterEvent, QDragLeaveEvent, QDropEvent
from PySide6.QtWidgets import QFrame, QGridLayout, QHBoxLayout, QVBoxLayout, QWidget

from app.kit.basics import button, column, frame, label, row, set_role
from app.kit.file_dialogs import dropped_paths
from app.kit.layout.refit import SideBySide
from app.kit.theme import SPACE, ThemeProvider
from app.session.session import Session
from app.session.training_state import TrainingState
from app.training.recipes.outcome import RecipeOutcome, ScoredRun
from app.training.recipes.recipe_progress import RecipeProgress
from app.training.recipes.start_choices import StartChoices
from app.worker.background import LatestTask
from app.worker.failures import Failure
from models.data.collections.corpora import COLLECTIONS, read_collection
from models.number_words import format_count
from models.recipes.tasks.published import PublishedRecipe
from models.recipes.tasks.table import TaskRecipe
from models.settings.tasks import TASKS

_WIDE = 760
"""Pixels from which on the outcome stands beside the words, at the usual text size."""
_FILES = "files of recipes"
"""The setting with the file that each recipe learned from last, by its name."""


class RecipeCard(QFrame):
    """Starts its recipe and follows it while it is the current training.

    Signals:
        run_asked(run_id): show a run as it learns.
        scores_asked(run_id), chat_asked(run_id): show what a run is worth, or use its model.
        problem_shown(): `problem` says something new.
    """

    run_asked = Signal(str)
    scores_asked = Signal(str)
    chat_asked = Signal(str)
    problem_shown = Signal()

    def __init__(
        self, recipe: TaskRecipe, session: Session, theme: ThemeProvider, parent: QWidget | None = None
    ) -> None:
        super().__init__(parent)
        self.recipe, self._session, self._theme = recipe, session, theme
        self.setProperty("role", "card")
        self.setAcceptDrops(True)
        self.setAccessibleName(f"Recipe {recipe.title}")
        self.choices = StartChoices(recipe)
        self.start = button(
            "Start", theme, self._on_start, icon="play-fill", role="primary", tip="Learn this task, and score it"
        )
        self.start.setAccessibleName(f"Learn {recipe.title}")
        self.more = button("Options", theme, icon="sliders", role="quiet", tip="Your own rows, another model, the seed")
        self.more.setCheckable(True)
        self.more.setAccessibleName(f"Options of {recipe.title}")
        self.more.toggled.connect(self.choices.set_all_shown)
        self.note, self.problem = label("", "caption", wrap=True), label("", "error", wrap=True)
        self._drop_problem = self._file_note = ""  # sentences
        self._checking = LatestTask(self)
        self._checking.done.connect(self._on_checked)
        self._checking.failed.connect(self._on_unreadable)
        self.outcome = RecipeOutcome(theme)
        self.outcome.scores_asked.connect(self.scores_asked)
        self.outcome.chat_asked.connect(self.chat_asked)
        self._has_result = False
        self._build()
        file = str(session.remembered.get(_FILES, {}).get(recipe.name, ""))
        if self.choices.needs_file and file and Path(file).is_file():
            self.choices.rows.add_path(Path(file))
        SideBySide(self, self._halves, theme, _WIDE)
        self.choices.changed.connect(self._on_choices)
        self._was_active = session.training.active
        session.training.changed.connect(self._on_training)
        self.show_state()

    # -- Building ------------------------------------------------------------------------------------------------------

    def _build(self) -> None:
        recipe = self.recipe
        self._words = QWidget()
        lines = QVBoxLayout(self._words)
        lines.setContentsMargins(0, 0, 0, 0)
        lines.setSpacing(SPACE)
        lines.addWidget(label(recipe.title, "heading"))
        lines.addWidget(label(recipe.help, wrap=True))
        lines.addLayout(facts_grid(recipe_facts(recipe)))
        lines.addWidget(self.choices)
        self.choices.set_all_shown(False)
        lines.addLayout(row(self.start, self.more, None))
        lines.addWidget(self.note)
        lines.addWidget(self.problem)
        lines.addStretch(1)
        self.going = RecipeProgress(recipe.title, self._session.training, self._theme, kept="the run so far is kept")
        self.going.run_asked.connect(self.run_asked)
        self.none = frame("sunken", margin=3 * SPACE)
        self._none_words = label("", "subheading", wrap=True)
        self._none_words.setAlignment(Qt.AlignmentFlag.AlignHCenter)
        what = "model" if self.choices.needs_parent else "file"
        ask = self.choices.ask_for_model if self.choices.needs_parent else self.choices.ask_for_file
        self.open = button(f"Open the {what}…", self._theme, ask, icon="folder-open")
        self.open.setAccessibleName(f"Open the {what} for {recipe.title}")
        inside = self.none.layout()
        assert isinstance(inside, QVBoxLayout)
        inside.addWidget(self._none_words)
        inside.addWidget(self.open, 0, Qt.AlignmentFlag.AlignHCenter)
        self._right = QWidget()
        self._right.setLayout(column(self.going, self.outcome, self.none, None, spacing=2 * SPACE))
        self._halves = QHBoxLayout(self)
        self._halves.setContentsMargins(2 * SPACE, 2 * SPACE, 2 * SPACE, 2 * SPACE)
        self._halves.setSpacing(3 * SPACE)
        self._halves.addWidget(self._words, 1)
        self._halves.addWidget(self._right, 1)

    # -- What is shown -------------------------------------------------------------------------------------------------

    def show_results(self, runs: Sequence[ScoredRun]) -> None:
        """Show what runs of this recipe came to, the newest first."""
        self._has_result = bool(runs)
        if runs:
            self.outcome.show_results(self.recipe.title, runs)
        self.show_state()

    @property
    def _state(self) -> TrainingState | None:
        """The current or last training, if it is of this recipe."""
        state = self._session.training.state
        return state if state is not None and state.recipe == self.recipe.name else None

    @Slot()
    def show_state(self) -> None:
        """Show what has changed."""
        state, active = self._state, self._session.training.active
        is_going = active and state is not None
        self.going.setVisible(is_going)
        self.outcome.setVisible(self._has_result and not is_going)
        self.none.setVisible(not self._has_result and not is_going)
        missing = self.choices.missing
        self._none_words.setText(missing or "Not learned yet. Its score will appear here.")
        self.open.setVisible(bool(missing))
        for widget in (self.choices, self.more):
            widget.setEnabled(not is_going)
        self.start.setEnabled(not active and not missing)
        waits = "A run is training. Stop it or wait." if active else missing
        self.start.setToolTip(waits or "Learn this task, and score it")
        if is_going and state is not None:
            self.going.show_state(state)
        note, problem = self._file_note, self._drop_problem
        if missing and not problem and self._has_result:
            note = missing
        if state is not None and state.over and not problem:
            if state.status == "failed":
                problem = state.problem
            elif state.status in ("stopped", "paused"):
                note = "It was stopped before it was scored. Resume the run in the list, or start again."
        is_new = bool(problem) and problem != self.problem.text()
        for line, words in ((self.note, note), (self.problem, problem)):
            line.setText(words)
            line.setVisible(bool(words))
        if is_new:
            self.problem_shown.emit()

    @Slot()
    def _on_training(self) -> None:
        """This comes many times a second, mostly with news of another recipe."""
        active = self._session.training.active
        if self._state is not None or active != self._was_active:
            self._was_active = active
            self.show_state()

    # -- What is done --------------------------------------------------------------------------------------------------

    def _on_start(self) -> None:
        self._drop_problem = ""
        self.more.setChecked(False)
        choices = self.choices
        if self._session.training.start_recipe(self.recipe, choices.seed.value(), choices.parent_model, choices.data):
            files = {**self._session.remembered.get(_FILES, {}), self.recipe.name: choices.data}
            self._session.remembered.set(_FILES, files)

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:
        if dropped_paths(event) and self.choices.isEnabled():
            event.acceptProposedAction()
            set_role(self, "banner")

    def dragLeaveEvent(self, event: QDragLeaveEvent) -> None:
        set_role(self, "card")

    def dropEvent(self, event: QDropEvent) -> None:
        set_role(self, "card")
        event.acceptProposedAction()
        self.take(dropped_paths(event))

    def take(self, paths: Sequence[str]) -> None:
        """Use a file or a model that was dropped."""
        self._drop_problem = self.choices.take(paths)
        if not self._drop_problem and (self.choices.parent_model or not self.choices.needs_file):
            self.more.setChecked(True)
        self.show_state()

    @Slot()
    def _on_choices(self) -> None:
        """Another choice: a file that is to be a package's is looked into."""
        self._drop_problem = self._file_note = ""
        path, name = Path(self.choices.data), self.recipe.name
        if self.choices.needs_file and path.is_file() and path.suffix != ".jsonl":
            self._file_note = f"Reading {path.name}…"
            self._checking.ask(lambda: f"{path.name}: {format_count(len(read_collection(name, path)), 'row')}.")
        else:
            self._checking.cancel()
        self.show_state()

    @Slot(object)
    def _on_checked(self, words: str) -> None:
        self._file_note = words
        self.show_state()

    @Slot(object)
    def _on_unreadable(self, failure: Failure) -> None:
        self.choices.rows.remove_path(self.choices.data)
        self._file_note, self._drop_problem = "", failure.sentence
        self.show_state()

    @property
    def busy(self) -> bool:
        """Whether a file is looked into."""
        return self._checking.busy


def facts_grid(facts: Sequence[tuple[str, str]]) -> QGridLayout:
    """Names and sentences below one another."""
    grid = QGridLayout()
    grid.setHorizontalSpacing(2 * SPACE)
    grid.setVerticalSpacing(SPACE // 2)
    for at, (name, words) in enumerate(facts):
        grid.addWidget(label(name, "muted"), at, 0, Qt.AlignmentFlag.AlignTop)
        grid.addWidget(label(words, wrap=True, selectable=True), at, 1)
    grid.setColumnStretch(1, 1)
    return grid


def recipe_facts(recipe: TaskRecipe) -> list[tuple[str, str]]:
    """What there is to know of a recipe before it starts: names and sentences."""
    published = recipe if isinstance(recipe, PublishedRecipe) else None
    learns_from = "Tiny World, made by Terrarium" if published is None else "Orders and replies, made by Terrarium"
    if published is not None and published.reads_package:
        learns_from = f"A file that you get yourself: {COLLECTIONS[recipe.name].where}."
    facts = [("Task", TASKS[recipe.task].title), ("Learns from", learns_from)]
    if published is not None and published.tuning is not None:
        which = "A model that you get yourself" if published.needs_parent else "Random weights or, better, a model"
        facts.append(("Starts from", f"{which}: {published.tuning.where}."))
    facts.append(("Must reach", "; ".join(map(str, recipe.bars))))
    beside = [make().title for make in recipe.baselines]
    if published is not None and published.tuning is not None:
        beside.append("the model before" if published.needs_parent else "from scratch")
    facts.append(("Compared with", ", ".join(beside)))
    facts.append(("Takes", f"about {recipe.minutes:g} min on two cores"))
    return facts
