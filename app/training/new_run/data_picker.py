"""Where the text of a run comes from: Tiny World, the user's files, or the standard library's docstrings."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import QSignalBlocker, Qt, Signal, Slot
from PySide6.QtWidgets import QComboBox, QDoubleSpinBox, QFileDialog, QGridLayout, QSpinBox, QWidget

from app.kit.basics import button, column, label
from app.kit.file_dialogs import FILE_FILTER
from app.kit.labels import ElidedLabel
from app.kit.theme import SPACE, ThemeProvider
from models.settings.run_spec import DataSpec

SOURCES = (
    ("tiny-world", "Tiny World", "A small synthetic world of people, places and things: stories, questions, chats."),
    ("files", "Text files", "Your own UTF-8 text. The end of it is kept away from training, to measure on."),
    ("stdlib", "Python docstrings", "The documentation inside Python's standard library: over a megabyte of English."),
    ("pronouns", "Pronoun pairs", "Pairs of sentences that differ in one adjective, which decides what “it” means."),
)
_OFFERED = SOURCES[:3]
"""The others come from a recipe: they are there where a run of it is repeated."""


class DataPicker(QWidget):
    """Chooses a DataSpec.

    Signals:
        changed(): `spec` or `problem` is new.
    """

    changed = Signal()

    def __init__(self, theme: ThemeProvider, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._files: tuple[str, ...] = ()
        self.source = QComboBox()
        self.source.setAccessibleName("Data")
        self.source.setToolTip("Where the text comes from that the model learns from")
        for source in _OFFERED:
            self._add(*source)
        self._about = label("", "caption", wrap=True)
        self._seed = QSpinBox()
        self._seed.setRange(0, 2**31 - 1)
        self._seed.setAlignment(Qt.AlignmentFlag.AlignRight)
        self._seed.setAccessibleName("World seed")
        self._seed.setToolTip("Which little world is generated: another seed has other people, places and facts")
        self._names = ElidedLabel("No file chosen")
        self._share = QDoubleSpinBox()
        self._share.setRange(0.1, 50.0)
        self._share.setValue(10.0)
        self._share.setDecimals(1)
        self._share.setSuffix(" %")
        self._share.setAlignment(Qt.AlignmentFlag.AlignRight)
        self._share.setAccessibleName("Validation share")
        self._share.setToolTip("How much of the text's end is kept away from training, to measure on")
        choose = button(
            "Choose files…",
            theme,
            self.choose_files,
            icon="file-text",
            tip="UTF-8 text files to learn from, read in this order",
        )
        world = _page(("World seed", self._seed))
        files = QWidget()
        grid = QGridLayout(files)
        grid.setContentsMargins(0, 0, 0, 0)
        grid.setSpacing(SPACE)
        grid.addWidget(choose, 0, 0)
        grid.addWidget(self._names, 0, 1)
        grid.addWidget(label("Validation share"), 1, 0)
        grid.addWidget(self._share, 1, 1)
        grid.setColumnStretch(1, 1)
        self._details = {"tiny-world": world, "files": files}
        self.setLayout(column(self.source, self._about, world, files))
        self.source.currentIndexChanged.connect(self._on_source)
        self._seed.valueChanged.connect(self.changed)
        self._share.valueChanged.connect(self.changed)
        self._on_source()

    @property
    def problem(self) -> str:
        """Why there is no `spec`, '' where there is one."""
        if self.source.currentData() == "files" and not self._files:
            return "Choose at least one text file to train on, or another source."
        return ""

    @property
    def spec(self) -> DataSpec:
        """What is chosen; ValueError where `problem` says why not."""
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
        """Choose what `spec` says."""
        with QSignalBlocker(self):
            if self.source.findData(spec.source) < 0:
                self._add(*next(source for source in SOURCES if source[0] == spec.source))
            if spec.source == "files":
                self.set_files(spec.files)
                self._share.setValue(100 * spec.val_fraction)
            else:
                self.source.setCurrentIndex(self.source.findData(spec.source))
            if spec.source == "tiny-world":
                self._seed.setValue(spec.seed)
        self.changed.emit()

    def set_files(self, files: tuple[str, ...]) -> None:
        """Choose files of the user's."""
        self._files = files
        names = ", ".join(Path(file).name for file in files)
        self._names.setText(names or "No file chosen")
        self.source.setCurrentIndex(self.source.findData("files"))
        self.changed.emit()

    @Slot()
    def choose_files(self) -> None:
        """Ask for files."""
        files, _ = QFileDialog.getOpenFileNames(self, "Choose text files", "", FILE_FILTER)
        if files:
            self.set_files(tuple(files))

    @Slot()
    def _on_source(self) -> None:
        i = self.source.currentIndex()
        self._about.setText(SOURCES[i][2])
        for name, details in self._details.items():
            details.setVisible(name == SOURCES[i][0])
        self.changed.emit()


def _page(*rows: tuple[str, QWidget]) -> QWidget:
    page = QWidget()
    grid = QGridLayout(page)
    grid.setContentsMargins(0, 0, 0, 0)
    grid.setSpacing(SPACE)
    for i, (words, editor) in enumerate(rows):
        caption = label(words)
        caption.setBuddy(editor)
        caption.setToolTip(editor.toolTip())
        grid.addWidget(caption, i, 0)
        grid.addWidget(editor, i, 1)
    grid.setColumnStretch(0, 1)
    grid.setRowStretch(len(rows), 1)
    return page
