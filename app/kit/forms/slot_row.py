"""A row of a generated form: a setting's label, its editor, and its problem if any."""

from __future__ import annotations

import dataclasses
import html
import re
from typing import Any

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QPainter, QPaintEvent
from PySide6.QtWidgets import QCheckBox, QGridLayout, QPlainTextEdit, QPushButton, QVBoxLayout, QWidget

from terrarium.app.kit.basics import button, label, row, without_mnemonic
from terrarium.app.kit.forms.editors import Editor
from terrarium.app.kit.help_mark import HelpMark, set_term
from terrarium.app.kit.setting_names.terms import term_of_setting
from terrarium.app.kit.setting_names.value_words import words
from terrarium.app.kit.theme import ThemeProvider

_ADVICE = re.compile(r"\buse (.+?)\.?$")
_BAR = 3  # pixels: the highlight at the left
ROW_MARGIN = (8, 2, 6, 2)
"""Pixels around a row, which are also left around what is aligned with it: left, top, right, bottom."""


class SlotRow(QWidget):
    """A setting with its editor; `note` is a permanent line below it.

    Signals:
        advised(name, value): the user clicked a suggested value: a problem's advice, or a proposed value.
    """

    advised = Signal(str, object)

    def __init__(self, f: dataclasses.Field[Any], editor: Editor, theme: ThemeProvider, note: str = "") -> None:
        super().__init__()
        self.field, self.editor, self._theme = f, editor, theme
        self._glow = 0.0
        self._problem: QWidget | None = None
        self._sentence = ""
        self._proposed: Any = None
        self._back: QPushButton | None = None
        self.name: str = f.metadata.get("label", f.name)
        """The label of the setting."""
        self.title = label(without_mnemonic(self.name))
        self.title.setBuddy(editor.widget)
        self.title.setWordWrap(True)
        editor.widget.setAccessibleName(self.name)
        editor.widget.setAccessibleDescription(f.metadata.get("help", ""))
        told = html.escape(f.metadata.get("help", ""), quote=False)
        for widget in (self.title, editor.widget):
            widget.setToolTip(f"<p>{told}</p><p><code>{f.name}</code></p>")
        self._grid = grid = QGridLayout(self)
        grid.setContentsMargins(*ROW_MARGIN)
        grid.setHorizontalSpacing(12)
        grid.setVerticalSpacing(3)
        grid.setColumnStretch(0, 1)
        if isinstance(editor.widget, QPlainTextEdit):
            grid.addWidget(editor.widget, 1, 0, 1, 3)
        else:
            side = Qt.AlignmentFlag.AlignRight if isinstance(editor.widget, QCheckBox) else Qt.AlignmentFlag(0)
            grid.addWidget(editor.widget, 0, 2, side)
        grid.addWidget(self.title, 0, 0)
        term = term_of_setting(f.name)
        if term:
            set_term(self, term)
            grid.addWidget(HelpMark(term), 0, 1)
        if note:
            grid.addWidget(label(note, "caption", wrap=True), 2, 0, 1, 3)

    @property
    def sentence(self) -> str:
        """The problem that is shown, '' for none."""
        return self._sentence

    @property
    def glow(self) -> float:
        """The strength of the highlight, 0 to 1."""
        return self._glow

    def set_glow(self, glow: float) -> None:
        """Highlight the row."""
        if glow != self._glow:
            self._glow = glow
            self.update()

    def set_problem(self, sentence: str, advice: str = "") -> None:
        """Show a problem below the editor, with a button for each suggested value; '' removes it.

        Args:
            advice: the sentence with raw field values, from which the suggestions are parsed; default: `sentence`.
        """
        if sentence == self._sentence:
            return
        self._sentence = sentence
        if self._problem is not None:
            self._grid.removeWidget(self._problem)
            self._problem.hide()
            self._problem.deleteLater()
            self._problem = None
        if sentence:
            self._problem = self._make_problem(sentence, self.advice(advice or sentence))
            self._grid.addWidget(self._problem, 3, 0, 1, 3)
            self._problem.show()
        widget = self.editor.widget
        if bool(widget.property("invalid")) != bool(sentence):
            widget.setProperty("invalid", bool(sentence))
            widget.style().polish(widget)

    @property
    def proposed(self) -> Any:
        """The value proposed instead of the user's, None for none."""
        return self._proposed

    def set_proposed(self, value: Any) -> None:
        """Show a proposed value below the editor as a link that applies it; None removes it."""
        if value == self._proposed:
            return
        self._proposed = value
        if self._back is not None:
            self._grid.removeWidget(self._back)
            self._back.hide()
            self._back.deleteLater()
            self._back = None
        if value is None:
            return
        self._back = button(
            f"Proposed: {_shown(value)}",
            self._theme,
            lambda: self.advised.emit(self.field.name, value),
            icon="arrow-counter-clockwise",
            role="link",
            tip=f"You have changed this. Set {self.name} to what is proposed",
        )
        self._grid.addWidget(self._back, 4, 0, 1, 3, Qt.AlignmentFlag.AlignRight)
        self._back.show()

    def advice(self, sentence: str) -> list[Any]:
        """Parse the values that a problem's sentence suggests: [4, 6] from “… : use 4 or 6.”."""
        found = _ADVICE.search(sentence)
        named = re.split(r", or | or |, ", found.group(1)) if found else []
        values = [self._value(word.strip()) for word in named]
        return [value for value in values if value is not None]

    def _value(self, word: str) -> Any:
        choices = self.field.metadata.get("choices")
        if choices:
            return word if word in choices else None
        kind = type(self.field.default)
        if kind not in (int, float) or not re.fullmatch(r"-?\d+(\.\d+)?(e[+-]?\d+)?", word):
            return None
        return kind(float(word)) if kind is float or float(word).is_integer() else None

    def _make_problem(self, sentence: str, values: list[Any]) -> QWidget:
        box = QWidget()
        lines = QVBoxLayout(box)
        lines.setContentsMargins(0, 0, 0, 2)
        lines.setSpacing(4)
        lines.addWidget(label(sentence, "error", wrap=True, selectable=True))
        buttons = [
            button(
                f"Use {words(value) if isinstance(value, str) else value}",
                self._theme,
                lambda value=value: self.advised.emit(self.field.name, value),  # type: ignore[misc]
                role="segment",
                tip=f"Set {self.name} to this value",
            )
            for value in values
        ]
        if buttons:
            lines.addLayout(row(*buttons, None, spacing=6))
        return box

    def paintEvent(self, event: QPaintEvent) -> None:
        if self._glow <= 0:
            return
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setOpacity(self._glow)
        painter.setBrush(self._theme.theme.color("accent_soft"))
        painter.drawRoundedRect(self.rect(), 6, 6)
        painter.setBrush(self._theme.theme.color("accent"))
        painter.drawRoundedRect(0, 4, _BAR, self.height() - 8, 1.5, 1.5)


_SHOWN_CHARACTERS = 30


def _shown(value: Any) -> str:
    """Format a proposed value briefly."""
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, tuple):
        value = ", ".join(map(str, value)) or "none"
    text = words(value) if isinstance(value, str) else f"{value:g}"
    return text if len(text) <= _SHOWN_CHARACTERS else f"{text[:_SHOWN_CHARACTERS]}…"
