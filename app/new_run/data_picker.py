"""The picker of a run's data: Tiny World, a dataset, files, or the standard library's docstrings."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from PySide6.QtCore import QSignalBlocker, Qt, Signal, Slot
from PySide6.QtWidgets import QDoubleSpinBox, QFileDialog, QSpinBox, QWidget

from terrarium.app.kit.basics import button, column, group, label, row, show_if, show_only
from terrarium.app.kit.file_dialogs import FILE_FILTER
from terrarium.app.kit.forms.editors import keep_wheel_for_scrolling
from terrarium.app.kit.inputs import caption, choice, fill_choice, grid, named
from terrarium.app.kit.labels import ElidedLabel
from terrarium.app.kit.theme import SPACE, ThemeProvider
from terrarium.app.session.datasets import about_rows
from terrarium.app.session.routes import ImportFiles, ShowPlace
from terrarium.app.session.session import Session
from terrarium.models.corpora.datasets import DatasetInfo
from terrarium.models.corpora.text_corpora import check_text_files
from terrarium.models.metrics.metrics_table import METRICS
from terrarium.models.number_words import format_count
from terrarium.models.settings.model_config import ModelConfig
from terrarium.models.settings.run_spec import DataSpec
from terrarium.models.settings.tasks import ALIGNED_TASKS, TASKS

SOURCES = (
    ("tiny-world", "Tiny World", "A small synthetic world of people, places and things: stories, questions, chats."),
    ("files", "Text files", "Your own UTF-8 text. Its end is held out for validation."),
    (
        "stdlib",
        "Python's documentation",
        "The docstrings of Python's standard library: over a megabyte of English.",
    ),
    ("dataset", "A dataset", "Rows with a task, from the data tab. Their task and labels come with them."),
    ("pronouns", "Pronoun pairs", "Pairs of sentences that differ in one adjective, which decides what “it” means."),
)
_SPLITS = {"train": "training", "val": "validation", "test": "test"}
_OFFERED = SOURCES[:4]
"""The sources that are always listed. Others belong to a recipe; they are listed when such a run is repeated."""


class DataPicker(QWidget):
    """Chooses a DataSpec.

    Signals:
        changed(): `spec` or `problem` has changed.
    """

    changed = Signal()

    def __init__(self, session: Session, theme: ThemeProvider, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._datasets, self._notices = session.datasets, session.notices
        self._files: tuple[str, ...] = ()
        self._model = "", ""  # topology and head
        self.source = choice("Data", "The text that the model learns from")
        for source in _OFFERED:
            self._add(*source)
        self._about = label("", "caption", wrap=True)
        self._seed = named(
            QSpinBox(), "World seed", "Which world is generated: another seed has other people, places and facts"
        )
        self._seed.setRange(0, 2**31 - 1)
        self._seed.setAlignment(Qt.AlignmentFlag.AlignRight)
        self._names = ElidedLabel("No file chosen")
        self._share = named(
            QDoubleSpinBox(), "Validation share", "How much of the text, at its end, is held out for validation"
        )
        self._share.setRange(0.1, 50.0)
        self._share.setValue(10.0)
        self._share.setDecimals(1)
        self._share.setSuffix(" %")
        self._share.setAlignment(Qt.AlignmentFlag.AlignRight)
        for box in (self.source, self._seed, self._share):
            keep_wheel_for_scrolling(box)
        choose = button(
            "Choose files…",
            theme,
            self.choose_files,
            icon="file-text",
            tip="UTF-8 text files to train on, in this order",
        )
        self._rows_note = label("", "caption", wrap=True)
        self.import_rows = button(
            "Import them…",
            theme,
            lambda: session.go(ImportFiles(tuple(self._files))),
            icon="table",
            role="link",
            tip="Open the import of the data tab with this file",
        )
        show_if(False, self._rows_note, self.import_rows)
        seed = caption("World seed", self._seed, tip=self._seed.toolTip())
        world = group(row(seed, self._seed, grows=seed), None)
        lines = grid(
            (choose, self._names),
            (label("Validation share"), self._share),
            (self._rows_note,),
            (self.import_rows,),
            grows=1,
            spacing=(SPACE, SPACE),
        )
        lines.setAlignment(self.import_rows, Qt.AlignmentFlag.AlignLeft)
        files = QWidget()
        files.setLayout(lines)
        dataset = self._dataset_page(session, theme)
        self._details = {"tiny-world": world, "files": files, "dataset": dataset}
        self.setLayout(column(self.source, self._about, world, files, dataset))
        self.source.currentIndexChanged.connect(self._on_source)
        self._seed.valueChanged.connect(self.changed)
        self._share.valueChanged.connect(self.changed)
        self.dataset.activated.connect(self._on_dataset)
        self.metric_box.activated.connect(lambda: self.changed.emit())
        session.datasets.list_changed.connect(self._reload)
        self._reload()
        self._on_source()

    @property
    def problem(self) -> str:
        """Why `spec` is invalid, in a sentence; '' if it is valid."""
        if self.source.currentData() == "files" and not self._files:
            return "Choose at least one text file to train on, or another source."
        if self.source.currentData() == "dataset" and self.info is None:
            return "There is no dataset yet: import one in the data tab, or choose another source."
        return ""

    @property
    def files(self) -> tuple[str, ...]:
        """The last chosen text files, even if another source is chosen now."""
        return self._files

    @property
    def info(self) -> DatasetInfo | None:
        """The chosen dataset, None if another source is chosen."""
        return self._datasets.info(self.dataset.currentData()) if self.source.currentData() == "dataset" else None

    @property
    def spec(self) -> DataSpec:
        """The chosen data. Raises ValueError if there is a `problem`."""
        info = self.info
        if info is not None:
            corpus = info.corpus
            return DataSpec(
                source="dataset",
                dataset=corpus.sha,
                task=corpus.task,
                labels=corpus.labels,
                metric=self.metric_box.currentData() or "",
            )
        return DataSpec(
            source=self.source.currentData(),
            files=self._files if self.source.currentData() == "files" else (),
            val_fraction=round(self._share.value() / 100, 4),
            seed=self._seed.value() if self.source.currentData() == "tiny-world" else 0,
        )

    def _add(self, name: str, words: str, tip: str) -> None:
        self.source.addItem(words, name)
        self.source.setItemData(self.source.count() - 1, tip, Qt.ItemDataRole.ToolTipRole)

    def set_spec(self, spec: DataSpec) -> None:
        """Choose `spec`."""
        self._proposes = False
        with QSignalBlocker(self):
            if self.source.findData(spec.source) < 0:
                self._add(*next(source for source in SOURCES if source[0] == spec.source))
            if spec.source == "dataset":
                self._choose_dataset(spec.dataset)
                self.metric_box.setCurrentIndex(max(0, self.metric_box.findData(spec.metric)))
            if spec.source == "files":
                self.set_files(spec.files)
                self._share.setValue(100 * spec.val_fraction)
            else:
                self.source.setCurrentIndex(self.source.findData(spec.source))
            if spec.source == "tiny-world":
                self._seed.setValue(spec.seed)
        self.changed.emit()

    def set_files(self, files: tuple[str, ...]) -> None:
        """Choose text files."""
        self._files = files
        names = ", ".join(Path(file).name for file in files)
        self._names.setText(names or "No file chosen")
        about = about_rows(files)
        self._rows_note.setText(about)
        show_if(about, self._rows_note, self.import_rows)
        self.source.setCurrentIndex(self.source.findData("files"))
        self.changed.emit()

    def set_dataset(self, sha: str) -> None:
        """Choose a dataset of the library."""
        with QSignalBlocker(self):
            self._choose_dataset(sha)
        self.changed.emit()

    def set_learned(self, spec: DataSpec) -> None:
        """Set the data that the starting model was trained on; the description of that dataset then says so."""
        self._learned = spec
        self._show_dataset()

    def prefer(self, model: ModelConfig) -> None:
        """Set the model; unless the user has chosen a dataset, choose one that the model can learn."""
        if (model.topology, model.head) != self._model:
            self._model = model.topology, model.head
            self._reload()

    def propose_like(self) -> None:
        """Choose a dataset of the task that the model was trained on, preferably one that it was not trained on.

        For a model trained on texts, choose text files as the source, with none selected yet.
        """
        if self._learned.source != "dataset":
            self.set_files(())
            return
        self._proposes = True
        self.source.setCurrentIndex(self.source.findData("dataset"))
        self._reload()

    def _proposed(self) -> str:
        """Return the hash of the dataset proposed for the model's training data, "" for none."""
        alike = [info for info in self._datasets.list() if info.corpus.task == self._learned.task]
        others = sorted(alike, key=self._is_learned)
        return others[0].corpus.sha if self._proposes and others else ""

    def _is_learned(self, info: DatasetInfo) -> bool:
        return self._learned.source == "dataset" and self._learned.dataset in (info.corpus.sha, info.name)

    def _suits(self, info: DatasetInfo) -> tuple[bool, bool]:
        """Return whether the model can learn a dataset by imitation, and whether it already has the head for it."""
        heads, (topology, head) = TASKS[info.corpus.task].heads, self._model
        return topology in heads and info.corpus.task not in ALIGNED_TASKS, heads.get(topology) == head

    def _choose_dataset(self, name: str) -> None:
        """Choose a dataset by its hash or its name."""
        found = next((info for info in self._datasets.list() if name in (info.corpus.sha, info.name)), None)
        self._wanted, self._proposes = name, False
        self.source.setCurrentIndex(self.source.findData("dataset"))
        if found is not None:
            self.dataset.setCurrentIndex(max(0, self.dataset.findData(found.corpus.sha)))
        self._show_dataset()

    def _dataset_page(self, session: Session, theme: ThemeProvider) -> QWidget:
        self._wanted, self._learned, self._proposes = "", DataSpec(), False
        self.dataset = choice("Dataset", "A dataset of the library", width=18)
        self.metric_box = choice("Metric", "The metric that decides which checkpoint is the best", width=18)
        self._about_dataset = label("", "caption", wrap=True)
        go = button(
            "Open the data tab",
            theme,
            partial(session.go, ShowPlace("data")),
            icon="table",
            role="link",
            tip="Import a dataset, or look at this one",
        )
        self._metric_name = caption("Metric", self.metric_box)
        metric = row(self._metric_name, self.metric_box, grows=self.metric_box)
        return group(self.dataset, self._about_dataset, metric, row(go, None))

    @Slot()
    def _reload(self) -> None:
        """List the datasets again, retaining the choice; the default is the first that suits the model best."""
        was, known = self._proposed() or self._wanted, self._datasets.list()
        with QSignalBlocker(self.dataset):
            entries = {info.corpus.sha: f"{info.name}  ·  {TASKS[info.corpus.task].title}" for info in known}
            fill_choice(self.dataset, entries)
            wanted = (info for info in known if was in (info.corpus.sha, info.name))
            chosen = next(wanted, max(known, key=self._suits, default=None))
            self.dataset.setCurrentIndex(self.dataset.findData(chosen.corpus.sha) if chosen is not None else -1)
        self._show_dataset()
        self.changed.emit()

    @Slot()
    def _on_dataset(self) -> None:
        self._wanted, self._proposes = self.dataset.currentData(), False
        self._show_dataset()
        self.changed.emit()

    def _show_dataset(self) -> None:
        """Show the description of the chosen dataset, and the metrics of its task."""
        info = self._datasets.info(self.dataset.currentData() or "")
        chosen = self.metric_box.currentData()
        self.metric_box.clear()
        show_if(info is not None, self.dataset, self.metric_box, self._metric_name)
        if info is None:
            self._about_dataset.setText("None in the library yet.")
            return
        corpus = info.corpus
        task = TASKS[corpus.task]
        n_labels = f", {format_count(len(corpus.labels), 'label')}" if corpus.labels else ""
        rows = ", ".join(f"{n:,} for {_SPLITS[split]}" for split, n in info.n_rows.items())
        known = " The model has learned these rows already." if self._is_learned(info) else ""
        self._about_dataset.setText(f"{task.title}: to {task.help}. Rows: {rows}{n_labels}.{known}")
        has_metric = corpus.metric in METRICS
        usual = f"As the dataset says ({METRICS[corpus.metric].title})" if has_metric else "The usual one"
        metrics = [name for name in task.metrics if METRICS[name].higher_is_better is not None]
        fill_choice(
            self.metric_box,
            {"": usual, **{name: METRICS[name].title for name in metrics}},
            chosen,
            tips={name: METRICS[name].help for name in metrics},
        )
        show_if(task.metrics, self.metric_box, self._metric_name)

    @Slot()
    def choose_files(self) -> None:
        """Ask for text files."""
        files, _ = QFileDialog.getOpenFileNames(self, "Choose text files", "", FILE_FILTER)
        if files and self._notices.attempt(lambda: check_text_files(files)):
            self.set_files(tuple(files))

    @Slot()
    def _on_source(self) -> None:
        i = self.source.currentIndex()
        if self.source.currentData() == "dataset" and not self._datasets.is_read:
            self._datasets.refresh()
        self._about.setText(SOURCES[i][2])
        show_only({details: name == SOURCES[i][0] for name, details in self._details.items()})
        self.changed.emit()
