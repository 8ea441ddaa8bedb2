"""Cards with a question, a model's reply, its own critique of the reply, and its own revision."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from PySide6.QtWidgets import QFrame, QWidget

from terrarium.app.kit.basics import button, column, frame, label, row, set_enabled, set_role
from terrarium.app.kit.layout.relayout import SideBySide
from terrarium.app.kit.theme import SPACE, ThemeProvider
from terrarium.models.number_words import format_percent, format_signed

_WIDE = 760
"""The minimum width for cards side by side, in pixels at the default text size."""
_TITLES = ("Question", "Its reply", "Its own critique", "Its own revision")


class CritiqueCards(QWidget):
    """Four cards that show one of `rows` at a time; for rows see ConstitutionResult.cards."""

    def __init__(self, theme: ThemeProvider, rows: Sequence[Mapping[str, Any]], parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._rows, self._at = list(rows), 0
        self.before = button("", theme, lambda: self._go(-1), icon="caret-left", role="quiet", tip="The one before")
        self.after = button("", theme, lambda: self._go(1), icon="caret-right", role="quiet", tip="The next one")
        self.before.setAccessibleName("The reply before")
        self.after.setAccessibleName("The next reply")
        self.count = label("", "mono-small")
        self.texts = [label("", wrap=True, selectable=True) for _ in _TITLES]
        self.notes = [label("", "caption", wrap=True) for _ in _TITLES]
        cards = [_card(*parts) for parts in zip(_TITLES, self.texts, self.notes, strict=True)]
        self._cards = row(*cards, grows=cards)
        self.setLayout(column(row(self.before, self.count, self.after, None), self._cards))
        SideBySide(self, self._cards, theme, _WIDE)
        self._go(0)

    def _go(self, by: int) -> None:
        if not self._rows:
            self.setVisible(False)
            return
        self._at = (self._at + by) % len(self._rows)
        shown, n = self._rows[self._at], len(self._rows)
        self.count.setText(f"{self._at + 1} of {n}")
        for each in (self.before, self.after):
            set_enabled(each, "" if n > 1 else "There is no other reply.")
        critique = shown["critique"]
        is_broken = critique["log_odds"] > 0
        asked = next(each["content"] for each in reversed(shown["messages"]) if each["role"] == "user")
        revision = shown["revision"] if is_broken else ""
        texts = (asked, shown["reply"], critique["words"] or "–", revision or "–")
        for widget, words in zip(self.texts, texts, strict=True):
            widget.setText(words)
        forbidden = "Forbidden" if shown["cell"] == "forbidden" else "Harmless"
        odds = critique["log_odds"]
        sure = 1 / (1 + math.exp(-max(-40.0, min(40.0, odds))))
        is_kept = shown["messages"][-1]["role"] == "assistant"
        if not is_kept:
            learned = ("Not learned from", "Not learned from: the model is unsure, or this is no better")
        elif is_broken:
            learned = ("Not learned from", "Learned from instead of the reply")
        else:
            learned = ("Kept, and learned from", "Not needed: the reply stays")
        notes = (
            forbidden,
            learned[0],
            f"“{critique['rule']}”\nlog-odds of “Yes” over “No” {format_signed(odds, 1)}, so {format_percent(sure)}",
            learned[1],
        )
        for widget, words in zip(self.notes, notes, strict=True):
            widget.setText(words)
        set_role(self.texts[2], "error" if is_broken else "accent")


def _card(title: str, text: QWidget, note: QWidget) -> QFrame:
    return frame("sunken", label(title, "subheading"), text, note, None, margin=SPACE + SPACE // 2, spacing=SPACE // 2)
