"""A picker for the text to train or measure a tokenizer on: built-in texts, a corpus of the library, or files."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import Signal, Slot
from PySide6.QtWidgets import QFileDialog, QSizePolicy, QWidget

from terrarium.app.kit.basics import row
from terrarium.app.kit.file_dialogs import FILE_FILTER, safe_file_name
from terrarium.app.kit.inputs import choice, fill_choice
from terrarium.app.session.session import Session
from terrarium.models.corpora.corpus import list_corpora
from terrarium.models.data.corpus_texts import CorpusChoice, files_label
from terrarium.models.number_words import format_size

_TINY_WORLD, _STDLIB = CorpusChoice(source="tiny-world"), CorpusChoice(source="stdlib")
_FILES = "Text files…"
_FILES_TIP = "Choose text files in UTF-8, or in UTF-16 with a byte order mark"


class CorpusPicker(QWidget):
    """A combo box for a CorpusChoice, whose last entry asks for files.

    Signals:
        changed(): `choice` has changed.
    """

    changed = Signal()

    def __init__(self, session: Session, tip: str = "Texts to count on", parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._session = session
        self._stems: dict[CorpusChoice, str] = {}
        self._files: tuple[str, ...] = ()
        self._text = ""
        self._shown = _TINY_WORLD
        self.box = choice("Corpus", tip, width=12)
        self.box.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setLayout(row(self.box))
        self.setFocusProxy(self.box)
        self.box.activated.connect(self._on_activated)
        session.tokenizers.list_changed.connect(self.reload)
        session.runs.changed.connect(self.reload)
        session.datasets.list_changed.connect(self.reload)
        self.reload()

    @property
    def choice(self) -> CorpusChoice:
        """The current choice; `corpus_texts` loads its texts."""
        return self._shown if self._shown.source != "text" else CorpusChoice(source="text", text=self._text)

    @property
    def words(self) -> str:
        """The label of the choice."""
        return self.box.currentText()

    @property
    def stem(self) -> str:
        """A prefix for the names of things made from the chosen text, valid as a file name."""
        return self._stems[self._shown]

    def set_files(self, files: tuple[str, ...]) -> None:
        """Choose these files."""
        self._files = files
        self._choose(CorpusChoice(source="files", files=files))

    def set_text(self, text: str) -> None:
        """Offer the text of the tab as well; "" removes it."""
        if text == self._text:
            return
        offered = bool(self._text)
        self._text = text
        if bool(text) != offered:
            self.reload()
        elif self._shown.source == "text":
            self.changed.emit()

    @Slot()
    def reload(self) -> None:
        """Refresh the list; the choice remains unless it no longer exists."""
        entries = [("Tiny World", _TINY_WORLD, "Stories, questions and dialogue of Terrarium's own synthetic world")]
        entries.append(("Python's documentation", _STDLIB, "Docstrings of Python's standard library"))
        self._stems = {choice: choice.source for _, choice, _ in entries}
        if self._text:
            entries.append(("Your text", CorpusChoice(source="text"), "The text in the editor"))
        for corpus in list_corpora(self._session.library):
            choice = CorpusChoice(source="corpus", sha=corpus.sha)
            size = format_size(corpus.n_bytes)
            entries.append((f"{corpus.label} ({size})", choice, f"Corpus {corpus.sha} of the library, {size}"))
            self._stems[choice] = safe_file_name(Path(corpus.label).stem if corpus.kind == "text" else corpus.label)
        if self._files:
            names, choice = "\n".join(self._files), CorpusChoice(source="files", files=self._files)
            entries.append((files_label(self._files), choice, names))
            self._stems[choice] = Path(self._files[0]).stem
        gone = self._shown not in [choice for _, choice, _ in entries]
        if gone:
            self._shown = _TINY_WORLD
        tips = {choice: tip for _, choice, tip in entries}
        words_of = {choice: words for words, choice, _ in entries}
        fill_choice(self.box, {**words_of, None: _FILES}, self._shown, {**tips, None: _FILES_TIP})
        if gone:
            self.changed.emit()

    @Slot()
    def choose_files(self) -> None:
        """Ask the user for files."""
        files, _ = QFileDialog.getOpenFileNames(self, "Choose text files", "", FILE_FILTER)
        if files:
            self.set_files(tuple(files))

    @Slot(int)
    def _on_activated(self, row: int) -> None:
        choice = self.box.itemData(row)
        if choice is None:
            self.reload()  # shows the previous choice until files are chosen
            self.choose_files()
        else:
            self._choose(choice)

    def _choose(self, choice: CorpusChoice) -> None:
        changed = choice != self._shown
        self._shown = choice
        self.reload()
        if changed:
            self.changed.emit()
