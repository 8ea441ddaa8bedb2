"""The filters of the vocabulary browser: a search field, and boxes for type and use."""

from __future__ import annotations

import numpy as np
from PySide6.QtCore import QSignalBlocker, Qt, Signal, Slot
from PySide6.QtGui import QKeySequence, QShortcut
from PySide6.QtWidgets import QComboBox, QWidget

from terrarium.app.kit.basics import row, set_role
from terrarium.app.kit.inputs import choice, fill_choice, line_edit
from terrarium.app.tokenizer.vocabulary.token_finder import USE_FILTERS
from terrarium.models.tokenizers.vocabulary.token_counts import Usage
from terrarium.models.tokenizers.vocabulary.token_types import TYPES
from terrarium.models.tokenizers.vocabulary.vocabulary import TYPE_NAMES, Vocabulary

_USE_LABELS = {
    "produced": ("Occur", "Tokens that occur in the corpus"),
    "once": ("Occur once", "Occur once in the corpus: a model sees each of them once per epoch"),
    "step": ("Only steps", "Not produced themselves, but merged into longer tokens"),
    "never": (
        "Never produced",
        "Glitch candidates: a model learns nothing about them from this corpus, so its behaviour is undefined",
    ),
    "unreachable": ("Unreachable", "No text produces them: no merge makes them, or other tokens always win"),
}
_SEARCH_TIP = (
    "Text in a token (case-sensitive); a /regular expression/ between slashes, such as /^ un/; or #id. "
    "Spaces can be typed as such or as · (Ctrl+F)"
)


class VocabularyFilters(QWidget):
    """Search, type and use side by side; choices without matches are left out.

    Signals:
        changed(): `text`, `type` or `use` has changed.
        submitted(): the user wants to move to the results.
    """

    changed = Signal()
    submitted = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.search = line_edit("Search", _SEARCH_TIP, "Text, /regular expression/ or #id", clears=True)
        self.search.setMinimumWidth(140)
        self.search.textChanged.connect(self.changed)
        self.search.returnPressed.connect(self.submitted)
        self.types = choice("Type", "Show tokens of one type only")
        self.uses = choice("Use", "Show only tokens that the corpus uses in one way")
        self.types.currentIndexChanged.connect(self.changed)
        self.uses.currentIndexChanged.connect(self.changed)
        for key, act in ((Qt.Key.Key_Down, self.submitted.emit), (Qt.Key.Key_Escape, self.search.clear)):
            shortcut = QShortcut(QKeySequence(key), self.search, act)
            shortcut.setContext(Qt.ShortcutContext.WidgetShortcut)  # PySide ignores it beside a callable
        self.setLayout(row(self.search, self.types, self.uses, grows=self.search))

    @property
    def text(self) -> str:
        """The search text."""
        return self.search.text()

    @property
    def type(self) -> str:
        """One of TYPES, "" for all."""
        return str(self.types.currentData() or "")

    @property
    def use(self) -> str:
        """One of USE_FILTERS, "" for all."""
        return str(self.uses.currentData() or "")

    def set_vocabulary(self, vocabulary: Vocabulary, usage: Usage | None) -> None:
        """Offer the types and uses that occur, with counts; the choice remains if it is still offered."""
        n_of = np.bincount(vocabulary.types, minlength=len(TYPE_NAMES)).tolist()
        types = [(f"{name.capitalize()} ({n:,})", name, TYPES[name]) for name, n in zip(TYPES, n_of, strict=True) if n]
        _fill(self.types, "All types", types)
        uses = []
        for name, (words, tip) in _USE_LABELS.items():
            if usage is not None:
                n = usage.n(*USE_FILTERS[name])
            else:
                n = int(np.count_nonzero(~vocabulary.reachable)) if name == "unreachable" else 0
            if n:
                uses.append((f"{words} ({n:,})", name, tip))
        _fill(self.uses, "All uses", uses)

    def show_only(self, *, use: str) -> None:
        """Reset the other filters, and show all tokens with this use."""
        with QSignalBlocker(self.search), QSignalBlocker(self.types), QSignalBlocker(self.uses):
            self.search.clear()
            self.types.setCurrentIndex(0)
            self.uses.setCurrentIndex(max(self.uses.findData(use), 0))
        self.changed.emit()

    @Slot(bool)
    def show_problem(self, is_wrong: bool) -> None:
        """Mark the search text as invalid, or valid again."""
        if bool(self.search.property("invalid")) != is_wrong:
            set_role(self.search, "", invalid="true" if is_wrong else "")


def _fill(box: QComboBox, all_words: str, entries: list[tuple[str, str, str]]) -> None:
    named = {value: words for words, value, _ in entries}
    fill_choice(box, {"": all_words, **named}, box.currentData(), {value: tip for _, value, tip in entries})
    box.setEnabled(bool(entries))
