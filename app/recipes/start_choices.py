"""The choices for the start of a recipe: the rows to learn from, the model to start from, and the seed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from PySide6.QtCore import QSignalBlocker, Qt, Signal, Slot
from PySide6.QtWidgets import QComboBox, QFileDialog, QSizePolicy, QWidget

from terrarium.app.kit.forms.editors import IntBox, keep_wheel_for_scrolling
from terrarium.app.kit.inputs import caption, grid, named
from terrarium.app.kit.labels import ElidedCombo
from terrarium.models.corpora.datasets import DatasetInfo
from terrarium.models.library.run_record import RunInfo
from terrarium.models.number_words import capitalized
from terrarium.models.recipes.tasks.published import PublishedRecipe
from terrarium.models.recipes.tasks.tasks_table import TaskRecipe

_OPEN_FILE, _OPEN_GGUF, _OPEN_FOLDER = "open:file", "open:gguf", "open:folder"
_MAX_SEED = 999_999
_MODEL_ENDINGS = (".gguf", ".safetensors")


class StartChoices(QWidget):
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
