"""Importing a tokenizer from the window: where from is asked here, and how words are cut where no file says it."""

from __future__ import annotations

from PySide6.QtCore import QEvent, QObject, Signal, Slot
from PySide6.QtGui import QDragEnterEvent, QDropEvent
from PySide6.QtWidgets import (
    QComboBox,
    QDialog,
    QDialogButtonBox,
    QFileDialog,
    QHBoxLayout,
    QLineEdit,
    QMenu,
    QVBoxLayout,
    QWidget,
)

from app.kit.basics import button, label
from app.kit.theme import SPACE, ThemeProvider
from app.session.session import Session
from app.tokenizer.making.importing import PatternWanted, TokenizerImporter

_FILES = (
    "Tokenizers (*.json *.txt *.model *.tiktoken *.gguf *.bpe);;"
    "tokenizer.json, vocab.json (*.json);;vocab.txt, merges.txt (*.txt);;SentencePiece (*.model);;"
    "tiktoken ranks (*.tiktoken);;GGUF models (*.gguf);;All files (*)"
)
_TIP = "Bring a tokenizer of another model: a file, a Hugging Face folder, or by its name on the hub"
_WIDTH = 460


class TokenizerImport(QWidget):
    """A button with a menu of places to import from.

    Signals:
        imported(name): a tokenizer is in the library, and chosen.
    """

    imported = Signal(str)

    def __init__(self, session: Session, theme: ThemeProvider, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.button = button("Import", theme, icon="download-simple", tip=_TIP)
        self.menu = QMenu(self.button)
        for words, icon, ask in (
            ("A file…", "file", self.ask_for_file),
            ("A Hugging Face folder…", "folder-open", self.ask_for_folder),
            ("From the Hugging Face hub…", "cloud-arrow-down", self.ask_for_name),
        ):
            entry = self.menu.addAction(words)
            theme.set_icon(entry, icon)
            entry.triggered.connect(lambda checked=False, ask=ask: ask())
        self.button.setMenu(self.menu)
        self.dialog: PatternDialog | HubDialog | None = None
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.button)
        self.importer = TokenizerImporter(session.library, session.tokenizers, session.notices, self)
        self.importer.changed.connect(self._on_changed)
        self.importer.imported.connect(self.imported)
        self.importer.pattern_wanted.connect(self._on_pattern_wanted)

    def accept_drops_on(self, widget: QWidget) -> None:
        """Import what is dropped on `widget`."""
        widget.setAcceptDrops(True)
        widget.installEventFilter(self)

    def ask_for_file(self) -> None:
        """Choose a file, and import it."""
        file, _ = QFileDialog.getOpenFileName(self, "Choose a tokenizer", "", _FILES)
        if file:
            self.importer.start(file)

    def ask_for_folder(self) -> None:
        """Choose a folder, and import the tokenizer in it."""
        folder = QFileDialog.getExistingDirectory(self, "Choose a folder with a tokenizer in it")
        if folder:
            self.importer.start(folder)

    def ask_for_name(self) -> None:
        """Ask for a name on the Hugging Face hub, and import its tokenizer."""
        self._open(HubDialog(self.window()))

    @Slot(object)
    def _on_pattern_wanted(self, wanted: PatternWanted) -> None:
        self._open(PatternDialog(wanted, self.window()))

    def _open(self, dialog: PatternDialog | HubDialog) -> None:
        self.dialog = dialog
        dialog.accepted.connect(lambda: self.importer.start(*dialog.answer))
        dialog.finished.connect(self._on_dialog_finished)
        dialog.open()

    @Slot()
    def _on_dialog_finished(self) -> None:
        if self.dialog is not None:
            self.dialog.deleteLater()
            self.dialog = None

    @Slot()
    def _on_changed(self) -> None:
        busy = self.importer.busy
        self.button.setEnabled(not busy)
        self.button.setText("Importing…" if busy else "Import")

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        if isinstance(event, QDragEnterEvent) and event.type() == QEvent.Type.DragEnter:
            if _dropped(event):
                event.acceptProposedAction()
            return True
        if event.type() == QEvent.Type.DragMove:  # a list would refuse it again
            return True
        if isinstance(event, QDropEvent) and event.type() == QEvent.Type.Drop:
            self.importer.start(_dropped(event))
            return True
        return False


def _dropped(event: QDropEvent) -> str:
    """The one file or folder that is dragged; '' where it is nothing of that kind."""
    files = [url.toLocalFile() for url in event.mimeData().urls() if url.isLocalFile()]
    return files[0] if len(files) == 1 else ""


class _Question(QDialog):
    """A heading, a few lines, something to fill in, and Import or Cancel."""

    def __init__(self, title: str, text: str, field: QWidget, note: str, parent: QWidget) -> None:
        super().__init__(parent)
        self.setWindowTitle(title)
        self.setMinimumWidth(_WIDTH)
        self.buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Cancel)
        self.agree = self.buttons.addButton("Import", QDialogButtonBox.ButtonRole.AcceptRole)
        self.agree.setProperty("role", "primary")
        self.agree.setDefault(True)
        self.buttons.accepted.connect(self.accept)
        self.buttons.rejected.connect(self.reject)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(2 * SPACE, 2 * SPACE, 2 * SPACE, 2 * SPACE)
        layout.setSpacing(SPACE + SPACE // 2)
        layout.addWidget(label(title, "heading"))
        layout.addWidget(label(text, wrap=True))
        layout.addWidget(field)
        layout.addWidget(label(note, "caption", wrap=True))
        layout.addWidget(self.buttons)
        field.setFocus()


class PatternDialog(_Question):
    """How a tokenizer cuts texts into words, where no file of it says so."""

    def __init__(self, wanted: PatternWanted, parent: QWidget) -> None:
        from models.tokenizers.foreign.patterns import PATTERNS

        self._wanted = wanted
        self.pattern = QComboBox()
        self.pattern.setAccessibleName("How words are cut")
        for name, pattern in PATTERNS.items():
            self.pattern.addItem(f"{name}: {pattern.used_by}", name)
        self.pattern.setCurrentIndex(self.pattern.findData("cl100k"))
        super().__init__(
            "How are words cut?",
            f"{_file_name(wanted.source)} holds tokens, but not how a text is cut into words before they are merged.",
            self.pattern,
            "Behind each pattern stand the models that use it. With another one than it was made with, the tokenizer "
            "gives other ids.",
            parent,
        )

    @property
    def answer(self) -> tuple[str, str, str]:
        """What TokenizerImporter.start is to be called with."""
        return self._wanted.source, self._wanted.name, str(self.pattern.currentData())


class HubDialog(_Question):
    """The name of a model on the Hugging Face hub."""

    def __init__(self, parent: QWidget) -> None:
        self.name = QLineEdit()
        self.name.setAccessibleName("Name on the hub")
        self.name.setPlaceholderText("openai-community/gpt2")
        super().__init__(
            "Import from the Hugging Face hub",
            "The name of a model, as it stands at the end of its address, huggingface.co/…",
            self.name,
            "Only the tokenizer's files are fetched, no weights. This needs the internet, unless they were fetched "
            "before.",
            parent,
        )
        self.agree.setEnabled(False)
        self.name.textChanged.connect(lambda text: self.agree.setEnabled(bool(text.strip())))

    @property
    def answer(self) -> tuple[str, str, str]:
        """What TokenizerImporter.start is to be called with."""
        name = self.name.text().strip().removeprefix("https://").removeprefix("huggingface.co/").strip("/")
        return name, "", ""


def _file_name(source: str) -> str:
    return source.replace("\\", "/").rstrip("/").rpartition("/")[2]
