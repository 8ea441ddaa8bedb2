"""The requests to the endpoint, with their states and results."""

from __future__ import annotations

import time
from collections.abc import Sequence

from PySide6.QtCore import QEvent, QSize, Qt, Slot
from PySide6.QtGui import QFontMetrics
from PySide6.QtWidgets import QListWidget, QListWidgetItem, QWidget

from terrarium.app.kit.basics import plain_tip
from terrarium.app.kit.theme import SPACE, ThemeProvider
from terrarium.app.serve.endpoint.request_log import RequestRecord
from terrarium.models.number_words import format_count, format_duration

_MAX_ROWS = 6
_ICONS = {
    "waiting": ("hourglass", "muted"),
    "writing": ("pencil-simple", "accent"),
    "done": ("check", "accent"),
    "left": ("x", "muted"),
    "failed": ("warning-circle", "danger"),
    "refused": ("warning-circle", "warning"),
}


class RequestList(QListWidget):
    """A list with a row per request, the newest first."""

    def __init__(self, theme: ThemeProvider, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._theme = theme
        self._requests: tuple[RequestRecord, ...] = ()
        self.setProperty("role", "plain")
        self.setAccessibleName("Requests")
        self.setSelectionMode(QListWidget.SelectionMode.NoSelection)
        self.setTextElideMode(Qt.TextElideMode.ElideRight)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        theme.theme_changed.connect(self._restyle)
        self._fit()

    def set_requests(self, requests: Sequence[RequestRecord]) -> None:
        """Show these requests."""
        if tuple(requests) == self._requests:
            return
        self._requests = tuple(requests)
        while self.count() > len(requests):
            self.takeItem(self.count() - 1)
        while self.count() < len(requests):
            self.addItem(QListWidgetItem())
        for row, request in enumerate(requests):
            item = self.item(row)
            item.setIcon(self._theme.icon(*_ICONS[request.state]))
            item.setText(format_request(request))
            item.setToolTip(plain_tip(_tip(request)))
        self._fit()

    def changeEvent(self, event: QEvent) -> None:
        super().changeEvent(event)
        if event.type() in (QEvent.Type.FontChange, QEvent.Type.StyleChange):
            self._fit()

    def minimumSizeHint(self) -> QSize:
        return QSize(0, 0)

    @Slot()
    def _restyle(self) -> None:
        requests, self._requests = self._requests, ()
        self.set_requests(requests)

    def _fit(self) -> None:
        """Set the height to that of the rows, at most _MAX_ROWS."""
        one = self.sizeHintForRow(0) if self.count() else QFontMetrics(self.font()).height()
        self.setFixedHeight(min(max(self.count(), 1), _MAX_ROWS) * one + 2 * self.frameWidth() + SPACE // 2)


def format_request(request: RequestRecord) -> str:
    """Format a request as one line."""
    made = format_count(request.n_made, "token")
    what = {
        "waiting": f"waiting, {format_count(request.n_prompt, 'token')} to read",
        "writing": f"{made} so far",
        "done": f"{request.n_prompt:,} → {made}, {format_duration(request.seconds, fine=True)}",
        "left": f"client disconnected after {made}",
    }.get(request.state, request.note)
    return f"{request.kind}: {what}"


def _tip(request: RequestRecord) -> str:
    at = time.strftime("%H:%M:%S", time.localtime(request.began))
    read = (
        f"{format_count(request.n_prompt, 'token')} read, {request.n_made:,} generated"
        if request.state != "refused"
        else ""
    )
    ends = {"stop": "It finished, or reached a stop text.", "length": "It reached the length limit."}
    return "\n".join(filter(None, (f"{at}, {request.kind}", read, ends.get(request.note, request.note))))
