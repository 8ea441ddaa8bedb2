"""The About view: the origin and settings of a tokenizer, its compression by vocabulary size, and notes."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from PySide6.QtCore import Qt, QTimer, Slot
from PySide6.QtWidgets import QFormLayout, QPlainTextEdit, QWidget
from tokenizers import Tokenizer

from terrarium.app.kit.basics import frame, group, label, row, scrolling
from terrarium.app.kit.inputs import named
from terrarium.app.kit.setting_names.value_words import words
from terrarium.app.kit.theme import SPACE, ThemeProvider
from terrarium.app.session.session import Session
from terrarium.app.tokenizer.making.growth_chart import GrowthChart
from terrarium.models.corpora.corpus import open_corpus
from terrarium.models.events import VocabularyGrowth
from terrarium.models.library.library import Library
from terrarium.models.number_words import format_date, format_size
from terrarium.models.settings.tokenizer_options import TokenizerOptions, used_options
from terrarium.models.tokenizers import special_ids, tokenizer_kind

_SAVE_MS = 400
_MAX_LINES = 6
_MORE = {
    "form": "Read from",
    "sha256": "SHA-256",
    "copy_of": "Copy of",
    "created": "Created",
    "notice": "Notice",
}
"""Other fields of about.json -> title."""


class TokenizerAbout(QWidget):
    """Facts, notes, and the compression chart if the tokenizer was measured. Notes are saved while typing."""

    def __init__(self, session: Session, theme: ThemeProvider, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._session = session
        self._name = ""
        self._shown_facts: dict[str, str] = {}
        self._title = label("", "heading", selectable=True)
        self._facts = QWidget()
        self._rows = QFormLayout(self._facts)
        self._rows.setContentsMargins(0, 0, 0, 0)
        self._rows.setHorizontalSpacing(3 * SPACE)
        self._rows.setVerticalSpacing(SPACE)
        self.notes = named(QPlainTextEdit(), "Notes")
        self.notes.setPlaceholderText("Notes on this tokenizer")
        self.notes.setTabChangesFocus(True)
        self.growth = GrowthChart(theme)
        self._saving = QTimer(self, singleShot=True, interval=_SAVE_MS)
        self._saving.timeout.connect(self.save_notes)
        self.notes.textChanged.connect(self._saving.start)
        self.notes.setMinimumHeight(6 * self.notes.fontMetrics().lineSpacing())
        inside = group(self._facts, label("Notes", "subheading"), self.notes)
        left, self._measured = frame("card", self._title, scrolling(inside)), frame("card", self.growth)
        self.setLayout(row(left, self._measured, grows={left: 6, self._measured: 5}))

    def set_tokenizer(self, tokenizer: Tokenizer | None, name: str) -> None:
        """Show this tokenizer of the library."""
        self.save_notes()
        self._name = name
        about = self._session.tokenizers.about(name) if name else {}
        self._title.setText(name)
        while self._rows.rowCount():
            self._rows.removeRow(0)
        self._shown_facts = {} if tokenizer is None else facts(tokenizer, about, self._session.library)
        for title, text in self._shown_facts.items():
            caption = label(title, "muted")
            caption.setAlignment(Qt.AlignmentFlag.AlignTop)
            self._rows.addRow(caption, label(text, wrap=True, selectable=True))
        self.notes.setPlainText(str(about.get("notes", "")))
        self._saving.stop()
        self.growth.set_points(_points(about))
        self._measured.setVisible(bool(self.growth.points))

    def set_text(self, text: str) -> None:
        """Do nothing: the view does not depend on the text."""

    @property
    def facts(self) -> dict[str, str]:
        """The facts on screen, by title."""
        return dict(self._shown_facts)

    @Slot()
    def save_notes(self) -> None:
        """Save pending changes of the notes now."""
        if self._saving.isActive() or self.sender() is self._saving:
            self._saving.stop()
            self._session.tokenizers.set_notes(self._name, self.notes.toPlainText())

    def hideEvent(self, event: object) -> None:
        self.save_notes()


def facts(tokenizer: Tokenizer, about: Mapping[str, Any], library: Library) -> dict[str, str]:
    """Return facts of a tokenizer, title -> text, from itself and its about.json; corpora of the library by name."""
    kind = tokenizer_kind(tokenizer)
    found = {"Kind": words(kind), "Vocabulary": f"{tokenizer.get_vocab_size():,} tokens"}
    specials = special_ids(tokenizer)
    if specials:
        shown = [f"{text} {id}" for id, text in sorted(specials.items())[:12]]
        more = f" and {len(specials) - 12:,} more" if len(specials) > 12 else ""
        found["Special tokens"] = ", ".join(shown) + more
    options = about.get("options")
    if isinstance(options, dict):
        slots = {field.name: field.metadata["label"] for field in dataclasses.fields(TokenizerOptions)}
        chosen = ((slots[name], options[name]) for name in used_options(kind) if name in options and name in slots)
        found |= {title: _format_value(value) for title, value in chosen if value not in ((), [], "")}
    sources = about.get("trained_on") or about.get("imported_from") or about.get("source")
    if sources:
        named = [_name(each, library) for each in sources] if isinstance(sources, list) else _name(sources, library)
        size = f" ({format_size(about['bytes'])} on disk)" if isinstance(about.get("bytes"), int) else ""
        found["Made from"] = f"{_lines(named)}{size}"
    for key, title in _MORE.items():
        if about.get(key):
            found[title] = format_date(str(about[key])) if key == "created" else str(about[key])
    assumed = about.get("assumptions")
    if assumed:
        found["Assumed"] = _lines(assumed)
    return found


def _name(source: Any, library: Library) -> str:
    """Return the display name of a source: the corpus name for a file of the library, the path for other files."""
    folder = Path(str(source)).parent
    if folder.parent.name == library.corpora.name:  # of this library, or of the one from which it was copied
        with contextlib.suppress(ValueError):
            return open_corpus(library, folder.name).label
    return str(source)


def _lines(value: Any) -> str:
    """Join a list into lines, shortened if it is long."""
    if not isinstance(value, list):
        return str(value)
    more = [f"and {len(value) - _MAX_LINES:,} more"] if len(value) > _MAX_LINES else []
    return "\n".join([*map(str, value[:_MAX_LINES]), *more])


def _format_value(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value))
    return words(value) if isinstance(value, str) else f"{value:,}"


def _points(about: Mapping[str, Any]) -> list[VocabularyGrowth]:
    """Return the measured growth in about.json; empty if it is missing or invalid."""
    try:
        return [VocabularyGrowth(**point) for point in about.get("growth", ())]
    except TypeError:
        return []
