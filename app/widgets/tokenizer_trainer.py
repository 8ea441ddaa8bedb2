"""What to train a tokenizer from, and how it goes while it is trained."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import (
    QComboBox,
    QFileDialog,
    QGridLayout,
    QLineEdit,
    QProgressBar,
    QStackedWidget,
    QVBoxLayout,
    QWidget,
)

from app.theme import SPACE, ThemeProvider
from app.widgets.basics import button, label, row
from app.widgets.editors import IntBox, keep_wheel_for_scrolling
from app.widgets.words import words
from models.events import Event, Phase, Progress
from models.tokenizers import KINDS, SMALLEST
from models.training.spec import DataSpec

_SOURCES = {
    "tiny-world": ("Tiny World", "Terrarium's own synthetic little world: stories, questions and talk"),
    "stdlib": ("Python's documentation", "The docstrings of Python's standard library, over a million characters"),
    "files": ("A text file…", "A UTF-8 text file of yours"),
}
_KIND_TIPS = {
    "byte": "Each byte is a token: 256 of them, nothing to learn, long sequences",
    "char": "Each character is a token; rare ones are spelled in bytes",
    "bpe": "Frequent pieces of text become tokens, merged pair by pair, as in GPT and LLaMA 3",
    "wordpiece": "Words, and pieces of words that go on with ##, the longest that fits first, as in BERT",
    "unigram": "Pieces with probabilities; a text is cut the likeliest way, as in T5 and SentencePiece",
    "word": "Whole words; whatever is not among the most frequent is unknown",
}


class TokenizerTrainer(QWidget):
    """The form, its button, and the progress that takes their place.

    Args:
        free_name: makes a wished name free in the library.

    Signals:
        train_asked(name, kind, vocab_size, data): the user wants this tokenizer; `data` is a DataSpec.
        cancel_asked(): the user wants the training to stop.
    """

    train_asked = Signal(str, str, int, object)
    cancel_asked = Signal()

    def __init__(self, theme: ThemeProvider, free_name: Callable[[str], str], parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._theme, self._free_name = theme, free_name
        self._file = ""
        self._name_is_ours = True
        self.kind, self.source = _combo({kind: (words(kind), _KIND_TIPS[kind]) for kind in KINDS}), _combo(_SOURCES)
        self.vocab = IntBox(SMALLEST, 1_000_000, 256)
        self.name = QLineEdit()
        self._problem = label("", "error", wrap=True)
        self._bar = QProgressBar()
        self._phase = label("", wrap=True)
        self._numbers = label("", "caption")
        self._pages = QStackedWidget()
        self._build()
        self.kind.setCurrentIndex(self.kind.findData("bpe"))
        self.vocab.setValue(1024)
        self.kind.currentIndexChanged.connect(self._on_choice)
        self.vocab.valueChanged.connect(self._on_choice)
        self.source.activated.connect(self._on_source)
        self.name.textEdited.connect(self._on_name_edited)
        self._on_choice()

    def _build(self) -> None:
        form = QWidget()
        lines = QGridLayout(form)
        lines.setContentsMargins(0, 0, 0, 0)
        lines.setSpacing(SPACE)
        lines.setColumnStretch(1, 1)
        for text, widget, tip in (
            ("Kind", self.kind, "What a token is"),
            ("Vocabulary", self.vocab, "How many different tokens there are at most, the 256 bytes among them"),
            ("Text", self.source, "The text whose frequent pieces become tokens"),
            ("Name", self.name, "What it is called in the library"),
        ):
            name = label(text)
            name.setBuddy(widget)
            lines.addWidget(name, lines.rowCount(), 0)
            lines.addWidget(widget, lines.rowCount() - 1, 1)
            widget.setAccessibleName(text)
            for each in (name, widget):
                each.setToolTip(tip)
        self._start = button(
            "Train",
            self._theme,
            self._on_train,
            icon="play",
            role="primary",
            tip="Train it into the library",
        )
        lines.addWidget(self._problem, lines.rowCount(), 0, 1, 2)
        lines.addWidget(self._start, lines.rowCount(), 0, 1, 2)
        self._problem.hide()
        going = QWidget()
        column = QVBoxLayout(going)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(SPACE)
        self._bar.setAccessibleName("Progress of the tokenizer's training")
        cancel = button("Cancel", self._theme, self.cancel_asked.emit, icon="x", tip="Stop; nothing of it stays")
        for part in (self._phase, self._bar, self._numbers):
            column.addWidget(part)
        column.addLayout(row(None, cancel))
        column.addStretch(1)
        self._pages.addWidget(form)
        self._pages.addWidget(going)
        whole = QVBoxLayout(self)
        whole.setContentsMargins(0, 0, 0, 0)
        whole.addWidget(self._pages)

    def show_busy(self, busy: bool) -> None:
        """Show the progress instead of the form, or the form again."""
        if busy and self._pages.currentIndex() == 0:
            self.show_events((Phase(name="Starting"),))
        self._pages.setCurrentIndex(1 if busy else 0)
        if not busy:
            self._name_is_ours = True
            self._on_choice()

    def show_events(self, events: tuple[Event, ...]) -> None:
        """Follow the training."""
        for event in events:
            if isinstance(event, Phase):
                self._phase.setText(event.name)
                self._bar.setRange(0, 0)
                self._numbers.setText(" ")
            elif isinstance(event, Progress) and event.total > 0:
                self._bar.setRange(0, event.total)
                self._bar.setValue(event.done)
                self._numbers.setText(f"{event.done:,} of {event.total:,}")

    def show_problem(self, sentence: str) -> None:
        """Say under the form what is wrong; '' takes it back."""
        self._problem.setText(sentence)
        self._problem.setVisible(bool(sentence))

    def train(self) -> None:
        """As the button does."""
        self._on_train()

    def _on_choice(self) -> None:
        self.vocab.setEnabled(self.kind.currentData() != "byte")
        self.show_problem("")
        if self._name_is_ours:
            source = Path(self._file).stem if self.source.currentData() == "files" else self.source.currentData()
            size = "" if self.kind.currentData() == "byte" else f"-{self.vocab.value()}"
            base = self.kind.currentData() if not size else f"{source}-{self.kind.currentData()}{size}"
            self.name.setText(self._free_name(base))

    def _on_name_edited(self, text: str) -> None:
        self._name_is_ours = not text
        self.show_problem("")

    def _on_source(self) -> None:
        if self.source.currentData() == "files":
            chosen, _ = QFileDialog.getOpenFileName(self, "Text to train the tokenizer on", self._file)
            self.set_file(chosen)
        self._on_choice()

    def set_file(self, path: str) -> None:
        """Use the text file at `path`; '' goes back to Tiny World where no file was chosen before."""
        self._file = path or self._file
        if not self._file:
            self.source.setCurrentIndex(0)
            return
        index = self.source.findData("files")
        self.source.setItemText(index, Path(self._file).name)
        self.source.setCurrentIndex(index)
        self._on_choice()

    def _on_train(self) -> None:
        self.vocab.interpretText()
        source = self.source.currentData()
        try:
            data = DataSpec(source=source, files=(self._file,) if source == "files" else ())
        except ValueError as error:
            self.show_problem(str(error))
            return
        self.train_asked.emit(self.name.text().strip(), self.kind.currentData(), self.vocab.value(), data)


def _combo(choices: dict[str, tuple[str, str]]) -> QComboBox:
    combo = QComboBox()
    for i, (value, (name, tip)) in enumerate(choices.items()):
        combo.addItem(name, value)
        combo.setItemData(i, tip, Qt.ItemDataRole.ToolTipRole)
    combo.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
    combo.setMinimumContentsLength(12)
    keep_wheel_for_scrolling(combo)
    return combo
