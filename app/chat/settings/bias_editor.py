"""The logit-bias editor: find tokens by their text and give them a bias."""

from __future__ import annotations

from typing import Any

from PySide6.QtCore import QObject, Qt, Signal, Slot
from PySide6.QtGui import QValidator
from PySide6.QtWidgets import QDoubleSpinBox, QListWidget, QListWidgetItem, QWidget
from tokenizers import Tokenizer

from terrarium.app.glass.names import token_names
from terrarium.app.glass.tokens.token_chips import Chip, TokenChips
from terrarium.app.kit.basics import column, row
from terrarium.app.kit.forms.editors import keep_wheel_for_scrolling
from terrarium.app.kit.inputs import caption, line_edit, named
from terrarium.app.kit.theme import SPACE, ThemeProvider
from terrarium.app.worker.background import LatestTask
from terrarium.models.number_words import with_minus
from terrarium.models.settings.sampling_config import MAX_BIAS
from terrarium.models.tokenizers import Piece
from terrarium.models.tokenizers.codec import pieces_of, show_bytes

_MAX_MATCHES = 6
_USUAL = -5.0


class BiasEditor(QWidget):
    """The bias, a search field for tokens, the matches, and the tokens that have a bias.

    Signals:
        changed(): the bias of a token has changed.
    """

    changed = Signal()

    def __init__(self, theme: ThemeProvider, title: str, tip: str) -> None:
        super().__init__()
        self.search = TokenSearch(self)
        self._biases: dict[int, float] = {}
        about = "Added to the token's logit: −100 all but forbids it, 100 all but forces it"
        self.bias = named(_BiasBox(), "Bias", about)
        self.bias.setRange(-MAX_BIAS, MAX_BIAS)
        self.bias.setDecimals(1)
        self.bias.setValue(_USUAL)
        self.bias.setPrefix("bias ")
        self.bias.setAlignment(Qt.AlignmentFlag.AlignRight)
        keep_wheel_for_scrolling(self.bias)
        self.field = line_edit(title, tip, "Find a token by its text", clears=True)
        self.field.setAccessibleDescription(tip)
        self.found = named(QListWidget(), "Tokens with this text")
        self.found.setFont(theme.mono_font())
        self.found.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.found.hide()
        self.chips = TokenChips("Tokens with a bias", theme, mono=True)
        head = row(caption(title, self.field, tip=tip), None, self.bias)
        self.setLayout(column(head, self.field, self.found, self.chips, spacing=SPACE // 2))
        self.field.textChanged.connect(self._on_typed)
        self.field.returnPressed.connect(self._on_entered)
        self.found.itemClicked.connect(self._on_chosen)
        self.found.itemActivated.connect(self._on_chosen)
        self.chips.removed.connect(self._on_removed)
        self.search.changed.connect(self._on_typed)

    @property
    def biases(self) -> tuple[tuple[int, float], ...]:
        """Pairs of a token id and its bias."""
        return tuple(self._biases.items())

    def set_biases(self, biases: tuple[tuple[int, float], ...]) -> None:
        """Set the biases, without a signal."""
        self._biases = dict(biases)
        self._show_chips()

    def set_tokenizer(self, tokenizer: Tokenizer | None) -> None:
        """Use another model's tokens, without a signal; drop biases of ids that are another token there."""
        before = self.search.tokenizer
        if before is not None and tokenizer is not None:
            same = (id for id in self._biases if before.id_to_token(id) == tokenizer.id_to_token(id))
            self._biases = {id: self._biases[id] for id in same}
        self.search.set_tokenizer(tokenizer)
        self._show_chips()

    def _show_chips(self) -> None:
        tip, names = "Click to remove the bias", token_names(self.search.tokenizer, self._biases)
        self.chips.show_chips(
            [Chip(f"{names[id]} {f'{bias:+g}'.replace('-', '−')}", tip) for id, bias in self._biases.items()]
        )
        self.chips.setVisible(bool(self._biases))

    @Slot()
    def _on_typed(self) -> None:
        self.found.clear()
        for piece in self.search.find(self.field.text(), _MAX_MATCHES):
            item = QListWidgetItem(piece.display)
            item.setData(Qt.ItemDataRole.UserRole, piece.id)
            item.setToolTip(f"Token {piece.id:,}")
            self.found.addItem(item)
        self.found.setVisible(self.found.count() > 0)
        self.found.setFixedHeight(self.found.sizeHintForRow(0) * self.found.count() + 2 * self.found.frameWidth())

    @Slot()
    def _on_entered(self) -> None:
        if self.found.count():
            self._on_chosen(self.found.item(0))

    @Slot(QListWidgetItem)
    def _on_chosen(self, item: QListWidgetItem) -> None:
        self._biases[item.data(Qt.ItemDataRole.UserRole)] = self.bias.value()
        self._on_changed()
        self.field.clear()

    @Slot(int)
    def _on_removed(self, i: int) -> None:
        del self._biases[list(self._biases)[i]]
        self._on_changed()

    def _on_changed(self) -> None:
        self._show_chips()
        self.changed.emit()


class _BiasBox(QDoubleSpinBox):
    """A spin box that shows negative numbers with a real minus sign, and accepts either sign."""

    def textFromValue(self, value: float) -> str:
        return with_minus(super().textFromValue(value))

    def valueFromText(self, text: str) -> float:
        return super().valueFromText(text.replace("−", "-"))

    def validate(self, text: str, pos: int) -> tuple[QValidator.State, str, int]:
        state, *_ = super().validate(text.replace("−", "-"), pos)
        return state, text, pos


class TokenSearch(QObject):
    """Finds tokens by their text; the texts are computed in the background at the first search.

    Signals:
        changed(): the set of tokens that can be found has changed.
    """

    changed = Signal()

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._tokenizer: Tokenizer | None = None
        self._all: list[Piece] | None = None
        self._task = LatestTask(self)
        self._task.done.connect(self._on_spelled)

    @property
    def busy(self) -> bool:
        """Whether token texts are being computed."""
        return self._task.busy

    @property
    def tokenizer(self) -> Tokenizer | None:
        """The tokenizer whose tokens are searched."""
        return self._tokenizer

    def set_tokenizer(self, tokenizer: Tokenizer | None) -> None:
        """Set the tokenizer whose tokens are searched."""
        self._task.cancel()
        self._tokenizer, self._all = tokenizer, None
        self.changed.emit()

    def find(self, text: str, max_matches: int) -> list[Piece]:
        """Return the tokens that contain `text`: exact matches (with or without a leading space) first, then by length.

        Return [] while token texts are being computed; `changed` follows.
        """
        tokenizer, wanted = self._tokenizer, show_bytes(text.encode())
        if not wanted or tokenizer is None:
            return []
        if self._all is None:
            if not self.busy:
                self._task.ask(lambda: pieces_of(tokenizer, sorted(tokenizer.get_vocab().values())))
            return []
        bare = wanted.lstrip("·")
        if not bare:
            return [piece for piece in self._all if piece.display == wanted][:max_matches]
        found = [piece for piece in self._all if wanted in piece.display]
        return sorted(found, key=lambda piece: (piece.display.lstrip("·") != bare, len(piece.display), piece.id))[
            :max_matches
        ]

    @Slot(object)
    def _on_spelled(self, pieces: Any) -> None:
        self._all = pieces
        self.changed.emit()
