"""The tile of a task recipe: what is learned, Start, progress, score, and details."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from PySide6.QtCore import QSignalBlocker, Qt, Signal, Slot
from PySide6.QtGui import QDragEnterEvent, QDragLeaveEvent, QDropEvent
from PySide6.QtWidgets import QComboBox, QFileDialog, QGridLayout, QSizePolicy, QWidget

from terrarium.app.kit.basics import button, label, set_role, show_only
from terrarium.app.kit.file_dialogs import dropped_paths
from terrarium.app.kit.forms.editors import IntBox, keep_wheel_for_scrolling
from terrarium.app.kit.inputs import caption, grid, named
from terrarium.app.kit.labels import ElidedCombo
from terrarium.app.kit.layout.tab_order import put_after
from terrarium.app.kit.theme import ThemeProvider
from terrarium.app.recipes.outcome import RecipeOutcome, ScoredRun
from terrarium.app.recipes.tile import Tile
from terrarium.app.session.session import Session
from terrarium.app.worker.background import LatestTask
from terrarium.app.worker.failures import Failure
from terrarium.models.corpora.datasets import DatasetInfo
from terrarium.models.library.run_record import RunInfo
from terrarium.models.metrics.metrics_table import METRICS, format_score
from terrarium.models.number_words import capitalized, format_count, format_minutes
from terrarium.models.published.corpora import COLLECTIONS, read_collection
from terrarium.models.recipes.recipe_specs import task_spec
from terrarium.models.recipes.tasks.published import PublishedRecipe
from terrarium.models.recipes.tasks.tasks_table import TaskRecipe
from terrarium.models.runs.run_queue import RecipeSpec
from terrarium.models.settings.tasks import TASKS

_FILES = "files of recipes"
"""The setting that remembers the last file of each recipe, by recipe name."""
_OPEN_FILE, _OPEN_GGUF, _OPEN_FOLDER = "open:file", "open:gguf", "open:folder"
_MAX_SEED = 999_999
_MODEL_ENDINGS = (".gguf", ".safetensors")


class RecipeCard(Tile):
    """Starts its recipe, and shows its progress while it is the current training."""

    def __init__(self, recipe: TaskRecipe, session: Session, theme: ThemeProvider) -> None:
        super().__init__(
            recipe.name,
            recipe.title,
            recipe.help,
            session,
            theme,
            noun="Recipe",
            start_tip="Learn this task, and score it",
            kept="the run so far is kept",
        )
        self.recipe = recipe
        self.setAcceptDrops(True)
        self.start.setAccessibleName(f"Learn {recipe.title}")
        self.minutes.setText(format_minutes(60 * recipe.minutes))
        self.minutes.setToolTip("On two cores that do nothing else")
        self.choices = _StartChoices(recipe)
        what = "model" if self.choices.needs_parent else "file"
        ask = self.choices.ask_for_model if self.choices.needs_parent else self.choices.ask_for_file
        self.open = button(f"Open the {what}…", theme, ask, icon="folder-open", tip="Details say where to get it")
        self.open.setAccessibleName(f"Open the {what} for {recipe.title}")
        self.buttons.insertWidget(0, self.open)
        put_after(self.result, self.open, self.start, self.more)
        self._drop_problem = self._file_note = ""  # sentences
        self._checking = LatestTask(self)
        self._checking.done.connect(self._on_checked)
        self._checking.failed.connect(self._on_unreadable)
        self.outcome = RecipeOutcome(session.go, theme)
        self.none = label("Not learned yet. Its score will appear here.", "muted", wrap=True)
        self.details.left.addLayout(facts_grid(recipe_facts(recipe)))
        self.details.left.addWidget(self.choices)
        self.details.left.addStretch(1)
        for widget in (self.outcome, self.none):
            self.details.right.addWidget(widget)
        self.details.right.addStretch(1)
        self._has_result = False
        file = str(session.remembered.get(_FILES, {}).get(recipe.name, ""))
        if self.choices.needs_file and file and Path(file).is_file():
            self.choices.rows.add_path(Path(file))
        self.choices.changed.connect(self._on_choices)
        self.show_state()

    # -- Display -------------------------------------------------------------------------------------------------------

    def show_results(self, runs: Sequence[ScoredRun]) -> None:
        """Show the results of this recipe's runs, the newest first."""
        self._has_result = bool(runs)
        if runs:
            result = runs[0].result
            self.outcome.show_results(self.recipe.title, runs)
            score = f"{format_score(result.metric, result.report.value)}  {METRICS[result.metric].title}"
            met = result.are_bars_met
            goal = f"  ·  {'goal reached' if met else 'short of the goal'}" if result.bars else ""
            self.show_result(score + goal, "Show the scores beside simple rules", is_good=met)
        self.show_state()

    @property
    def has_result(self) -> bool:
        """Whether there is a score."""
        return self._has_result

    @property
    def _missing(self) -> str:
        return self.choices.missing

    @property
    def _can_start_here(self) -> bool:
        return not self._missing

    @Slot()
    def show_state(self) -> None:
        super().show_state()
        state, is_going = self.state, self.is_going
        show_only(
            {
                self.outcome: self._has_result,
                self.none: not self._has_result,
                self.open: bool(self._missing) and not is_going,
            }
        )
        self.choices.setEnabled(not is_going)
        note, problem = self._file_note or self._missing or self.choices.unusual, self._drop_problem
        if state is not None and state.is_over and not problem:
            if state.status == "failed":
                problem = state.problem
            elif state.status in ("stopped", "paused"):
                note = "It was stopped before it was scored. Resume the run in the list, or start again."
        self.show_words("" if is_going else note, problem)

    # -- Actions -------------------------------------------------------------------------------------------------------

    @property
    def recipe_spec(self) -> RecipeSpec:
        choices = self.choices
        return task_spec(self.recipe.name, choices.seed.value(), choices.parent_model, choices.data)

    def _on_start(self) -> None:
        self._drop_problem = ""
        choices = self.choices
        if self._session.training.start_recipe(self.recipe_spec):
            files = {**self._session.remembered.get(_FILES, {}), self.recipe.name: choices.data}
            self._session.remembered.set(_FILES, files)

    def _on_result(self) -> None:
        self.more.setChecked(not self.more.isChecked())

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
        """Use a dropped file or model."""
        self._drop_problem = self.choices.take(paths)
        self.show_state()

    @Slot()
    def _on_choices(self) -> None:
        """Update the tile; a chosen package file is read in the background, to validate it and count its rows."""
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
        """Whether a file is being read."""
        return self._checking.busy


def facts_grid(facts: Sequence[tuple[str, str]]) -> QGridLayout:
    """Lay out facts, each a name and a sentence, as the rows of a grid."""
    cells = ((label(name, "muted"), label(words, wrap=True, selectable=True)) for name, words in facts)
    return grid(*cells, grows=1, align={0: Qt.AlignmentFlag.AlignTop})


def recipe_facts(recipe: TaskRecipe) -> list[tuple[str, str]]:
    """Return the facts about a recipe before it starts, as (name, sentence)."""
    published = recipe if isinstance(recipe, PublishedRecipe) else None
    learns_from = "Tiny World, made by Terrarium" if published is None else "Orders and replies, made by Terrarium"
    if published is not None and published.reads_package:
        learns_from = f"A file that you get yourself: {COLLECTIONS[recipe.name].where}."
    facts = [("Task", TASKS[recipe.task].title), ("Learns from", learns_from)]
    if published is not None and published.tuning is not None:
        which = "A model that you get yourself" if published.needs_parent else "Random weights or, better, a model"
        facts.append(("Starts from", f"{which}: {published.tuning.where}."))
    facts.append(("Goal", "; ".join(map(str, recipe.bars))))
    beside = [make().title for make in recipe.baselines]
    if published is not None and published.tuning is not None:
        beside.append("the model before" if published.needs_parent else "from scratch")
    facts.append(("Compared with", ", ".join(beside)))
    facts.append(("Takes", f"about {format_minutes(60 * recipe.minutes)} on two cores that do nothing else"))
    if recipe.caveat:
        facts.append(("Note", recipe.caveat))
    return facts


class _StartChoices(QWidget):
    """Editors for the rows, the model and the seed of a recipe.

    Signals:
        changed(): a choice has changed.
    """

    changed = Signal()

    def __init__(self, recipe: TaskRecipe, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._recipe = recipe
        published = recipe if isinstance(recipe, PublishedRecipe) else None
        self.needs_file = published is not None and published.reads_package
        self.needs_parent = published is not None and published.needs_parent
        self.rows = named(
            _Choice(),
            "Rows to learn from",
            "What the model learns from. Your own rows are a file of JSON lines, one example per line, or a "
            "dataset from the Data tab for the same task; they have no score to reach.",
        )
        self.start = named(
            _Choice(),
            "Start from",
            "Random weights, or a model that has learned something already: one of your runs, an imported model, a "
            "GGUF file, or a folder in Hugging Face's format.",
        )
        self.seed = named(
            IntBox(0, _MAX_SEED, 1),
            "Seed",
            "Another seed means another world, or another split of the rows, and other initial weights",
        )
        self.seed.setSizePolicy(QSizePolicy.Policy.Fixed, QSizePolicy.Policy.Fixed)
        self.seed.setMinimumWidth(130)
        editors = {"File" if self.needs_file else "Rows": self.rows, "Start from": self.start, "Seed": self.seed}
        lines = grid(*((caption(words, editor, "muted"), editor) for words, editor in editors.items()), grows=1)
        lines.setAlignment(self.seed, Qt.AlignmentFlag.AlignLeft)  # so that it does not limit the column to its width
        self.setLayout(lines)
        self.rows.activated.connect(self._on_choice)
        self.start.activated.connect(self._on_choice)
        self.seed.valueChanged.connect(lambda: self.changed.emit())
        self.offer((), ())

    @property
    def data(self) -> str:
        """The rows, as in TaskRun: a path, the folder of a dataset, or "" for the recipe's own."""
        return self.rows.chosen

    @property
    def parent_model(self) -> str:
        """The model to start from, as in TaskRun: the id of a run, a path, or "" for none."""
        return self.start.chosen

    @property
    def missing(self) -> str:
        """The missing choice, as a sentence; "" if the recipe can start."""
        if self.needs_file and not self.data:
            return "Drop the file here, or open it."
        if self.needs_parent and not self.parent_model:
            return "Drop the model here, or choose one."
        return ""

    @property
    def unusual(self) -> str:
        """The choices that differ from the defaults, in words; "" if there are none."""
        own_rows = f"learns from {self.rows.currentText()}" if self.data and not self.needs_file else ""
        parent = f"starts from {self.start.currentText()}" if self.parent_model else ""
        seed = f"seed {self.seed.value()}" if self.seed.value() else ""
        return capitalized(", ".join(filter(None, (own_rows, parent, seed))))

    def take(self, paths: Sequence[str]) -> str:
        """Use a dropped model to start from, or another dropped file as rows. Return the problem, or ""."""
        if len(paths) != 1:
            return "Drop one file or one model at a time."
        path = Path(paths[0])
        if not path.exists():
            return f"{path} does not exist any more."
        if path.is_dir() or path.suffix.lower() in _MODEL_ENDINGS:
            if path.is_dir() and not (path / "config.json").is_file():
                return f"{path.name} is a folder without a model: drop the file that this is learned from, or a model."
            self.start.add_path(path)
        else:
            self.rows.add_path(path)
        self.changed.emit()
        return ""

    def offer(self, runs: Sequence[RunInfo], datasets: Sequence[DatasetInfo]) -> None:
        """Offer the runs that have a model and the datasets of this task; choices are retained."""
        first = "Choose the file…" if self.needs_file else "Made by Terrarium"
        own = [(f"Dataset: {info.name}", info.corpus.sha) for info in datasets if info.corpus.task == self._recipe.task]
        self.rows.offer((first, ""), own, (("Open a file…", _OPEN_FILE),))
        first = "Choose a model…" if self.needs_parent else "From scratch: random weights"
        models = [
            (f"{info.name}  ·  {'imported' if info.status == 'imported' else f'step {info.step:,}'}", info.id)
            for info in runs
            if info.has_model
        ]
        opened = (("Open a GGUF file…", _OPEN_GGUF), ("Open a model's folder…", _OPEN_FOLDER))
        self.start.offer((first, ""), models, opened)

    def ask_for_file(self) -> None:
        """Ask for a file with rows."""
        self._add(self.rows, QFileDialog.getOpenFileName(self, "Choose the rows to learn from")[0])

    def ask_for_model(self) -> None:
        """Ask for a GGUF file."""
        self._add(self.start, QFileDialog.getOpenFileName(self, "Choose a model", "", "GGUF (*.gguf)")[0])

    def ask_for_folder(self) -> None:
        """Ask for the folder of a model in Hugging Face's format."""
        self._add(self.start, QFileDialog.getExistingDirectory(self, "Choose the folder of a model"))

    def _add(self, choice: _Choice, path: str) -> None:
        if path:
            choice.add_path(Path(path))
            self.changed.emit()

    @Slot()
    def _on_choice(self) -> None:
        asks = {_OPEN_FILE: self.ask_for_file, _OPEN_GGUF: self.ask_for_model, _OPEN_FOLDER: self.ask_for_folder}
        for choice in (self.rows, self.start):
            ask = asks.get(choice.currentData() or "")
            if ask is not None:
                choice.choose(choice.chosen)  # shown while the dialog is open, and if it is cancelled
                ask()
            choice.keep_chosen()
        self.changed.emit()


class _Choice(ElidedCombo):
    """A combo box that begins with the default and ends with entries that open a dialog.

    chosen: the data of the entry in use.
    """

    def __init__(self) -> None:
        super().__init__()
        self.chosen = ""
        self._paths: dict[str, str] = {}
        self.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        self.setMinimumContentsLength(18)
        keep_wheel_for_scrolling(self)

    def offer(
        self, usual: tuple[str, str], known: Sequence[tuple[str, str]], opening: Sequence[tuple[str, str]]
    ) -> None:
        """Offer these entries and the opened files; if the chosen entry is gone, choose the default."""
        with QSignalBlocker(self):
            self.clear()
            paths = [(name, path) for path, name in self._paths.items()]
            for words, data in (usual, *paths, *known, *opening):
                self.addItem(words, data)
        self.choose(self.chosen)
        self.keep_chosen()

    def choose(self, data: str) -> None:
        """Choose the entry with this data, or the default."""
        with QSignalBlocker(self):
            self.setCurrentIndex(max(0, self.findData(data)))

    def add_path(self, path: Path) -> None:
        """Offer a file or folder, and choose it."""
        if self.findData(str(path)) < 0:
            # The folder of a model is often called “model”.
            self._paths[str(path)] = name = f"{path.parent.name}/{path.name}" if path.is_dir() else path.name
            self.insertItem(1, name, str(path))
        self.choose(str(path))
        self.keep_chosen()

    def remove_path(self, path: str) -> None:
        """Remove an opened file from the list."""
        if self._paths.pop(path, None) is not None:
            with QSignalBlocker(self):
                self.removeItem(self.findData(path))
            self.choose("")
            self.keep_chosen()

    def keep_chosen(self) -> None:
        """Set `chosen` to the entry that is shown."""
        self.chosen = str(self.currentData() or "")
