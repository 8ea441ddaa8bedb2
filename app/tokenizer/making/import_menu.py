"""The Import button: asks for the source, and for the pre-tokenization pattern if no file defines it."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass

from PySide6.QtCore import QEvent, QObject, Signal, Slot
from PySide6.QtGui import QDragEnterEvent, QDropEvent
from PySide6.QtWidgets import QDialogButtonBox, QFileDialog, QMenu, QWidget

from terrarium.app.kit.basics import button, column, label, plain_tip, row
from terrarium.app.kit.dialog import Dialog
from terrarium.app.kit.help_mark import set_term
from terrarium.app.kit.inputs import choice, fill_choice, line_edit
from terrarium.app.kit.theme import SPACE, ThemeProvider
from terrarium.app.session.session import Session
from terrarium.app.session.tokenizers import Tokenizers
from terrarium.app.worker.background import LatestTask
from terrarium.app.worker.notices import Notices
from terrarium.models.events import Event
from terrarium.models.library.library import Library, safe_name

_FILES = (
    "Tokenizers (*.json *.txt *.model *.model.v* *.tiktoken *.gguf *.bpe);;"
    "tokenizer.json, vocab.json, Mistral's tekken.json (*.json);;vocab.txt, merges.txt, vocab.bpe (*.txt *.bpe);;"
    "SentencePiece (*.model *.model.v*);;tiktoken ranks (*.tiktoken);;GGUF models (*.gguf);;All files (*)"
)
_TIP = "Import the tokenizer of another model from a file, a Hugging Face folder, or the hub"
_WIDTH = 460


class TokenizerImport(QWidget):
    """A button with a menu of import sources; during an import, it cancels the import.

    Signals:
        imported(name): a tokenizer was added to the library, and chosen.
    """

    imported = Signal(str)

    def __init__(self, session: Session, theme: ThemeProvider, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._theme = theme
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
        self.setLayout(row(self.button))
        self.importer = TokenizerImporter(session.library, session.tokenizers, session.notices, self)
        self.importer.changed.connect(self._on_changed)
        self.button.clicked.connect(self.importer.cancel)
        self.importer.imported.connect(self.imported)
        self.importer.pattern_needed.connect(self._on_pattern_needed)

    def accept_drops_on(self, widget: QWidget) -> None:
        """Import files dropped on `widget`."""
        widget.setAcceptDrops(True)
        widget.installEventFilter(self)

    def ask_for_file(self) -> None:
        """Ask for a file, and import it."""
        file, _ = QFileDialog.getOpenFileName(self, "Choose a tokenizer", "", _FILES)
        if file:
            self.importer.start(file)

    def ask_for_folder(self) -> None:
        """Ask for a folder, and import the tokenizer in it."""
        folder = QFileDialog.getExistingDirectory(self, "Choose a folder with a tokenizer")
        if folder:
            self.importer.start(folder)

    def ask_for_name(self) -> None:
        """Ask for a name on the Hugging Face hub, and import its tokenizer."""
        self._open(HubDialog(self.window()))

    @Slot(object)
    def _on_pattern_needed(self, request: _PatternRequest) -> None:
        self._open(PatternDialog(request, self.window()))

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
        self.button.setMenu(None if busy else self.menu)  # type: ignore[arg-type]  # Qt takes None
        self._theme.set_icon(self.button, "x" if busy else "download-simple")
        self.button.setText("Cancel import" if busy else "Import")
        self.button.setToolTip(plain_tip("Stop the import; nothing of it is kept" if busy else _TIP))

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        if isinstance(event, QDragEnterEvent) and event.type() == QEvent.Type.DragEnter:
            if _dropped(event):
                event.acceptProposedAction()
            return True
        if event.type() == QEvent.Type.DragMove:  # item views would refuse the drop
            return True
        if isinstance(event, QDropEvent) and event.type() == QEvent.Type.Drop:
            self.importer.start(_dropped(event))
            return True
        return False


def _dropped(event: QDropEvent) -> str:
    """Return the dragged file or folder; "" unless it is exactly one."""
    files = [url.toLocalFile() for url in event.mimeData().urls() if url.isLocalFile()]
    return files[0] if len(files) == 1 else ""


class _Question(Dialog):
    """A dialog with a heading, an explanation, a field, and Import or Cancel."""

    def __init__(self, title: str, text: str, field: QWidget, note: str, parent: QWidget) -> None:
        super().__init__(parent)
        set_term(self, "Tokenizer")
        self.setWindowTitle(title)
        self.setMinimumWidth(_WIDTH)
        self.buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Cancel)
        self.import_button = self.buttons.addButton("Import", QDialogButtonBox.ButtonRole.AcceptRole)
        self.import_button.setProperty("role", "primary")
        self.import_button.setDefault(True)
        self.buttons.accepted.connect(self.accept)
        self.buttons.rejected.connect(self.reject)
        contents = label(title, "heading"), label(text, wrap=True), field, label(note, "caption", wrap=True)
        self.setLayout(column(*contents, self.buttons, spacing=SPACE + SPACE // 2, margin=2 * SPACE))
        field.setFocus()


class PatternDialog(_Question):
    """Asks for the pre-tokenization pattern of a tokenizer whose files do not define it."""

    def __init__(self, request: _PatternRequest, parent: QWidget) -> None:
        from terrarium.models.tokenizers.foreign.patterns import PATTERNS

        self._request = request
        self.pattern = choice("Word pattern")
        fill_choice(self.pattern, {name: f"{name}: {each.used_by}" for name, each in PATTERNS.items()}, "cl100k")
        super().__init__(
            "Which word pattern?",
            f"{_file_name(request.source)} has tokens, but does not define how text is split into words before "
            "merging.",
            self.pattern,
            "Each pattern is listed with the models that use it. A wrong pattern gives wrong ids.",
            parent,
        )

    @property
    def answer(self) -> tuple[str, str, str]:
        """The arguments for TokenizerImporter.start."""
        return self._request.source, self._request.name, str(self.pattern.currentData())


class HubDialog(_Question):
    """Asks for the name of a model on the Hugging Face hub."""

    def __init__(self, parent: QWidget) -> None:
        self.name = line_edit("Name on the hub", placeholder="openai-community/gpt2")
        super().__init__(
            "Import from the Hugging Face hub",
            "The name of a model, as at the end of its address huggingface.co/…",
            self.name,
            "Only the tokenizer's files are downloaded, no weights. Needs the internet unless they are cached.",
            parent,
        )
        self.import_button.setEnabled(False)
        self.name.textChanged.connect(lambda text: self.import_button.setEnabled(bool(text.strip())))

    @property
    def answer(self) -> tuple[str, str, str]:
        """The arguments for TokenizerImporter.start."""
        name = self.name.text().strip().removeprefix("https://").removeprefix("huggingface.co/").strip("/")
        return name, "", ""


def _file_name(source: str) -> str:
    return source.replace("\\", "/").rstrip("/").rpartition("/")[2]


@dataclass(frozen=True)
class _PatternRequest:
    """A request for the pre-tokenization pattern, which the source does not define; `sentence` says so."""

    source: str
    name: str
    sentence: str


class TokenizerImporter(QObject):
    """Imports one tokenizer at a time, from a file, a folder or the hub; failures become notices.

    Signals:
        changed(): `busy` has changed.
        imported(name): it was added to the library, and chosen.
        pattern_needed(PatternRequest): the import needs a pre-tokenization pattern.
    """

    changed = Signal()
    imported = Signal(str)
    pattern_needed = Signal(object)

    def __init__(self, library: Library, tokenizers: Tokenizers, notices: Notices, parent: QObject) -> None:
        super().__init__(parent)
        self._library, self._tokenizers, self._notices = library, tokenizers, notices
        self._task = LatestTask(self)
        self._task.busy_changed.connect(self.changed)
        self._task.done.connect(self._on_done)
        self._task.failed.connect(notices.fail)

    @property
    def busy(self) -> bool:
        """Whether an import is running."""
        return self._task.busy

    def start(self, source: str, name: str = "", pattern: str = "") -> bool:
        """Start an import as in `models.tokenizers.importing.import_tokenizer_events`. Return whether it started."""
        return self._notices.attempt(lambda: self._start(source, name, pattern))

    def _start(self, source: str, name: str, pattern: str) -> None:
        if self.busy:
            raise ValueError("A tokenizer is already being imported: wait or cancel it.")
        library = self._library
        if name and (library.tokenizers / safe_name(name)).exists():
            raise ValueError(f"There is a tokenizer called {safe_name(name)!r} already: choose another name.")

        def work() -> Generator[Event, None, str | _PatternRequest]:
            from terrarium.models.tokenizers.foreign.patterns import PatternUnknownError
            from terrarium.models.tokenizers.importing import import_tokenizer_events

            try:
                return (yield from import_tokenizer_events(source, library, name, pattern=pattern))
            except PatternUnknownError as error:
                return _PatternRequest(source, name, str(error))

        self._task.drive(work)

    @Slot()
    def cancel(self) -> None:
        """Cancel the import; no partial files remain."""
        self._task.cancel()

    @Slot(object)
    def _on_done(self, result: str | _PatternRequest) -> None:
        if isinstance(result, _PatternRequest):
            self.pattern_needed.emit(result)
        else:
            self._tokenizers.add(result)
            self.imported.emit(result)
