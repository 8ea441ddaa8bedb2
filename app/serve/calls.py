"""The requests that came to the endpoint: what is being answered, and what became of the others."""

from __future__ import annotations

import time
from collections.abc import Sequence

from PySide6.QtCore import QEvent, QSize, Qt, Slot
from PySide6.QtGui import QFontMetrics
from PySide6.QtWidgets import QListWidget, QListWidgetItem, QWidget

from app.kit.theme import SPACE, ThemeProvider
from app.serve.endpoint.activity import Call
from models.number_words import counted, duration

_MOST_ROWS = 6
_ICONS = {
    "waiting": ("hourglass", "muted"),
    "writing": ("pencil-simple", "accent"),
    "done": ("check", "accent"),
    "left": ("x", "muted"),
    "failed": ("warning-circle", "danger"),
    "refused": ("warning-circle", "warning"),
}


class ServeCalls(QListWidget):
    """One row for each request, the newest first."""

    def __init__(self, theme: ThemeProvider, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._theme = theme
        self._calls: tuple[Call, ...] = ()
        self.setProperty("role", "plain")
        self.setAccessibleName("Requests")
        self.setSelectionMode(QListWidget.SelectionMode.NoSelection)
        self.setTextElideMode(Qt.TextElideMode.ElideRight)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        theme.theme_changed.connect(self._restyle)
        self._fit()

    def set_calls(self, calls: Sequence[Call]) -> None:
        """Show these."""
        if tuple(calls) == self._calls:
            return
        self._calls = tuple(calls)
        while self.count() > len(calls):
            self.takeItem(self.count() - 1)
        while self.count() < len(calls):
            self.addItem(QListWidgetItem())
        for row, call in enumerate(calls):
            item = self.item(row)
            item.setIcon(self._theme.icon(*_ICONS[call.state]))
            item.setText(call_words(call))
            item.setToolTip(_tip(call))
        self._fit()

    def changeEvent(self, event: QEvent) -> None:
        super().changeEvent(event)
        if event.type() in (QEvent.Type.FontChange, QEvent.Type.StyleChange):
            self._fit()

    def minimumSizeHint(self) -> QSize:
        return QSize(0, 0)

    @Slot()
    def _restyle(self) -> None:
        calls, self._calls = self._calls, ()
        self.set_calls(calls)

    def _fit(self) -> None:
        """As high as its rows, up to a few of them."""
        one = self.sizeHintForRow(0) if self.count() else QFontMetrics(self.font()).height()
        self.setFixedHeight(min(max(self.count(), 1), _MOST_ROWS) * one + 2 * self.frameWidth() + SPACE // 2)


def call_words(call: Call) -> str:
    """A request in one line."""
    what = {
        "waiting": f"waits, {counted(call.n_prompt, 'token')} to read",
        "writing": f"{counted(call.n_made, 'token')} so far",
        "done": f"{call.n_prompt:,} → {counted(call.n_made, 'token')}, {duration(call.seconds, fine=True)}",
        "left": f"the client left after {counted(call.n_made, 'token')}",
    }.get(call.state, call.note)
    return f"{call.kind}: {what}"


def _tip(call: Call) -> str:
    at = time.strftime("%H:%M:%S", time.localtime(call.began))
    read = f"{counted(call.n_prompt, 'token')} read, {call.n_made:,} made" if call.state != "refused" else ""
    ends = {"stop": "It ended by itself, or at a stop text.", "length": "It ended by its length."}
    return "\n".join(filter(None, (f"{at}, {call.kind}", read, ends.get(call.note, call.note))))
