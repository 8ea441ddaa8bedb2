"""The picker of a run's tokenizer: one of the library, or a new one trained on the run's text."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import QSignalBlocker, Qt, Signal, Slot
from PySide6.QtWidgets import QSpinBox, QWidget

from terrarium.app.kit.basics import column, group, label
from terrarium.app.kit.forms.editors import keep_wheel_for_scrolling
from terrarium.app.kit.inputs import choice, fill_choice, named
from terrarium.app.kit.setting_names.value_words import words
from terrarium.app.session.session import Session
from terrarium.app.worker.background import LatestTask
from terrarium.models.settings.run_spec import TokenizerSpec

_KINDS = ("bpe", "unigram", "wordpiece", "word", "char", "byte")
_BYTE_TOKENS = 261


class TokenizerPicker(QWidget):
    """Chooses a TokenizerSpec.

    Signals:
        changed(): `spec` has changed.
    """

    changed = Signal()

    def __init__(self, session: Session, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._session = session
        self._proposed = TokenizerSpec()
        self._source = "tiny-world"
        self._path = ""  # the path of a chosen tokenizer that is not in the library
        self._size_of_file = _BYTE_TOKENS  # its vocabulary size; a default until it has been read
        self._reader = LatestTask(self)
        self._sizes: dict[str, int] = {}  # name of a tokenizer in the library -> its vocabulary size
        self.choice = choice("Tokenizer", "Splits text into the tokens that the model reads and writes")
        self._kind = choice(
            "Kind of tokenizer",
            "What a token is: a frequent piece of text, a word, a character or a byte",
            {kind: words(kind) for kind in _KINDS},
        )
        self._size = named(QSpinBox(), "Vocabulary", "The largest number of different tokens")
        self._size.setRange(_BYTE_TOKENS, 1_000_000)
        self._size.setValue(1024)
        self._size.setSingleStep(256)
        self._size.setGroupSeparatorShown(True)
        self._size.setSuffix(" tokens")
        self._size.setAlignment(Qt.AlignmentFlag.AlignRight)
        self._new = group(self._kind, self._size, horizontal=True, grows=self._kind)
        self._about = label("", "caption", wrap=True)
        self.setLayout(column(self.choice, self._about, self._new))
        keep_wheel_for_scrolling(self._size)
        self.choice.currentIndexChanged.connect(self._on_choice)
        self._kind.currentIndexChanged.connect(self._on_choice)
        self._size.valueChanged.connect(self.changed)
        self._reader.done.connect(self._on_file_read)
        session.tokenizers.list_changed.connect(self.reload)
        self.reload()

    @property
    def spec(self) -> TokenizerSpec:
        """The chosen tokenizer."""
        name = self.choice.currentData()
        if name:
            return TokenizerSpec(path=name)
        return TokenizerSpec(kind=self._kind.currentData(), vocab_size=self._size.value())

    @property
    def vocab_size(self) -> int:
        """The maximum vocabulary size."""
        name = self.choice.currentData()
        if name:
            return self._sizes.get(name) or self._size_of_file
        return _BYTE_TOKENS if self._kind.currentData() == "byte" else self._size.value()

    @property
    def exists(self) -> bool:
        """Whether the tokenizer needs no training: it exists, or is the byte tokenizer."""
        return bool(self.choice.currentData()) or self._kind.currentData() == "byte"

    def set_spec(self, spec: TokenizerSpec, name: str = "") -> None:
        """Choose the tokenizer `name` if the library has it, else `spec`."""
        names = {info.name for info in self._session.tokenizers.list() if info.problem is None}
        chosen = name if name in names else spec.path
        path = chosen if chosen not in names else ""
        if path and path != self._path:
            self._read_file(path)
        self._path = path
        with QSignalBlocker(self), QSignalBlocker(self._kind), QSignalBlocker(self._size):
            if not chosen:
                self._kind.setCurrentIndex(max(0, self._kind.findData(spec.kind)))
                self._size.setValue(spec.vocab_size)
            self._fill(chosen)
        self._on_choice()

    def _read_file(self, path: str) -> None:
        """Read the vocabulary size of a tokenizer in the background. A run that starts reports an unreadable one."""
        from terrarium.models.tokenizers import load_tokenizer

        library = self._session.library
        self._size_of_file = _BYTE_TOKENS
        self._reader.ask(lambda: load_tokenizer(path, library).get_vocab_size())

    @Slot(object)
    def _on_file_read(self, n_tokens: int) -> None:
        self._size_of_file = n_tokens
        self.changed.emit()

    def set_source(self, source: str) -> None:
        """Set the data source. If it has changed, choose to train a new tokenizer, since the chosen one is unlikely to
        suit the new text."""
        if source != self._source:
            self._source = source
            self.choice.setCurrentIndex(0)
            self._on_choice()

    def propose(self, spec: TokenizerSpec) -> None:
        """Propose `spec`, and choose it unless the user has chosen another one."""
        if spec != self._proposed and self.spec == self._proposed:
            self._proposed = spec
            self.set_spec(spec)
        self._proposed = spec

    def forget(self) -> None:
        """Discard the user's choice and choose the proposed tokenizer."""
        self.set_spec(self._proposed)

    @property
    def _is_other_text(self) -> bool:
        return self._source != "tiny-world"

    @Slot()
    def reload(self) -> None:
        """List the library's tokenizers again, retaining the choice."""
        self._fill(self.choice.currentData())
        self._on_choice()

    def _fill(self, chosen: str) -> None:
        found = [info for info in self._session.tokenizers.list() if info.problem is None]
        self._sizes = {info.name: info.vocab_size for info in found}
        entries = {"": "Train a new one on this text"}
        entries |= {info.name: f"{info.name}  ({words(info.kind)}, {info.vocab_size:,})" for info in found}
        if self._path:
            entries[self._path] = f"{Path(self._path).name}  (file)"
        fill_choice(self.choice, entries, chosen)

    @Slot()
    def _on_choice(self) -> None:
        new = not self.choice.currentData()
        self._new.setVisible(new)
        self._size.setVisible(self._kind.currentData() != "byte")
        self._about.setText(
            "Learns frequent pieces of this text, and is saved in the library."
            if new
            else "Already trained, perhaps on other text: then it cuts this text into more tokens than a new one would."
            if self._is_other_text
            else "Already trained; used unchanged."
        )
        self.changed.emit()
