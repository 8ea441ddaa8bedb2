"""The panel that serves the chat's model to other programs on this computer and lists their requests."""

from __future__ import annotations

import json
import shlex
import sys
import time
from collections.abc import Sequence

from PySide6.QtCore import QEvent, QSize, Qt, QTimer, Slot
from PySide6.QtGui import QFontMetrics, QGuiApplication, QResizeEvent
from PySide6.QtWidgets import QListWidget, QListWidgetItem, QPlainTextEdit, QPushButton, QSizePolicy, QWidget

from terrarium.app.kit.basics import (
    button,
    column,
    group,
    label,
    plain_tip,
    row,
    set_enabled,
    set_role,
    show_only,
    show_words,
)
from terrarium.app.kit.forms.editors import IntBox
from terrarium.app.kit.inputs import caption, line_edit, named
from terrarium.app.kit.layout.segments import Segments
from terrarium.app.kit.text.code_editor import CodeEditor
from terrarium.app.kit.theme import SPACE, ThemeProvider
from terrarium.app.serve.endpoint.request_log import RequestRecord
from terrarium.app.serve.serving import ServeState, Serving
from terrarium.app.session.chat_model import ChatModel
from terrarium.app.session.session import Session
from terrarium.models.number_words import format_count, format_duration

_COPIED_MS = 1500
_ABOUT = (
    "Lets editors, scripts and other programs on this computer use the model that is open in the chat, through "
    "OpenAI's API. Other computers cannot reach it."
)
_QUESTION = "Hello! Who are you?"
_PROMPT = "Once upon a time"
_MAX_ROWS = 6
_ICONS = {
    "waiting": ("hourglass", "muted"),
    "writing": ("pencil-simple", "accent"),
    "done": ("check", "accent"),
    "left": ("x", "muted"),
    "failed": ("warning-circle", "danger"),
    "refused": ("warning-circle", "warning"),
}


class ServePanel(QWidget):
    """Starts and stops serving; shows the address, the model, example code and the requests from `serving.state`."""

    def __init__(self, session: Session, theme: ThemeProvider, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._session, self._theme = session, theme
        self.serving = Serving(
            session.worker,
            session.chat,
            session.training,
            session.runs,
            session.models,
            session.remembered,
            session.notices,
            self,
        )
        session.closing.connect(self.serving.close)
        self.status = label("", "pill")
        self.about = label("", "muted", wrap=True)
        self.port = IntBox(0, 65535, 1)
        self.start = button(
            "Start",
            theme,
            self.start_serving,
            icon="broadcast",
            role="primary",
            tip="Serve the chat's model at this port",
        )
        self.stop = button("Stop", theme, self.serving.stop, icon="stop-fill", tip="Stop serving")
        self.problem = label("", "error", wrap=True)
        self.hint = label("", "muted", wrap=True)
        self.other = button(
            "Serve it instead", theme, self.start_serving, icon="swap", tip="Serve the chat's model from now on"
        )
        self.url = line_edit("Address", "The base URL for programs; any API key works")
        self.copy_url = button("", theme, icon="copy", role="quiet-icon", tip="Copy the address")
        self.client = Segments("Ask with", {"python": "Python", "curl": "curl"}, "How a program sends a request")
        self.snippet = named(_Snippet(theme), "Example code")
        self.copy_snippet = button("Copy", theme, icon="copy", role="quiet", tip="Copy these lines")
        self.counts = label("", "caption")
        self.requests = _RequestList(theme)
        self._build()
        self.copy_url.clicked.connect(lambda: self._copy(self.url.text(), self.copy_url))
        self.copy_snippet.clicked.connect(lambda: self._copy(self.snippet.toPlainText(), self.copy_snippet))
        self.client.changed.connect(self._show)
        self.serving.changed.connect(self._show)
        session.chat.model_changed.connect(self._show)
        self.port.setValue(self.serving.last_port)
        self._show()

    @Slot()
    def start_serving(self) -> None:
        """Serve the chat's model at the chosen port; errors are shown as notices."""
        self.port.interpretText()
        self.serving.start(self.port.value())

    def _build(self) -> None:
        self.status.setSizePolicy(QSizePolicy.Policy.Maximum, QSizePolicy.Policy.Fixed)
        self.port.setGroupSeparatorShown(False)
        named(self.port, "Port", "The port that programs connect to; 0 takes any free port")
        self._off = group(row(caption("Port", self.port), self.port, None, self.start, spacing=SPACE // 2))
        self.url.setReadOnly(True)
        self.url.setProperty("role", "mono-small")
        self.snippet.set_numbers_shown(False)
        self._on = group(
            self.problem,
            self.hint,
            row(self.other, None),
            row(self.url, self.copy_url, spacing=SPACE // 2),
            row(self.client, None, self.copy_snippet),
            self.snippet,
            row(label("Requests", "subheading"), None, self.counts),
            self.requests,
        )
        self.setLayout(column(row(self.status, None, self.stop), self.about, self._off, self._on, None))

    @Slot()
    def _show(self) -> None:
        state, chosen = self.serving.state, self._session.chat.model
        on, writes = state.status != "off", chosen is not None and chosen.writes
        show_only({self._off: not on, self._on: on, self.stop: on})
        set_enabled(self.stop, "" if state.status == "on" else "It is starting or stopping: wait.")
        set_enabled(self.start, "" if writes else "Open a model that writes texts first.")
        self.status.setText(
            "no model" if state.problem else "stopping…" if state.status == "stopping" else state.status
        )
        set_role(self.status, "pill", tone="warning" if state.problem else "ok" if state.status == "on" else "")
        self.about.setVisible(not state.problem)
        if state.model is not None:
            self.about.setText(f"Programs on this computer can use “{state.model.name}”.")
            self._show_model(state, state.model, chosen if writes else None)
        elif writes or chosen is None:
            self.about.setText(_ABOUT)
        else:
            self.about.setText(f"“{chosen.name}” cannot be served: it does not generate text. Open another model.")

    def _show_model(self, state: ServeState, model: ChatModel, chosen: ChatModel | None) -> None:
        """Show the served model; `chosen`: the chat's model, if it could be served."""
        show_words(self.problem, state.problem)
        other = chosen if state.problem or (chosen and chosen.which != model.which) else None
        show_words(self.hint, f"The chat now uses “{other.name}”." if other is not None else "")
        self.other.setVisible(other is not None)
        self.url.setText(state.url)
        write = python_snippet if self.client.value == "python" else curl_snippet
        self.snippet.show_code(write(state.url, model.name, is_chat_model=model.is_chat_model))
        self.counts.setText(f"{state.n_answered:,} answered" if state.requests else "none yet")
        self.requests.setVisible(bool(state.requests))
        self.requests.set_requests(state.requests)

    def _copy(self, text: str, pressed: QPushButton) -> None:
        """Copy a text to the clipboard; the button shows a check mark for a moment."""
        QGuiApplication.clipboard().setText(text)
        self._theme.set_icon(pressed, "check", "accent")
        QTimer.singleShot(_COPIED_MS, pressed, lambda: self._theme.set_icon(pressed, "copy"))


class _Snippet(CodeEditor):
    """A few lines of code, shown completely: long lines are wrapped, on screen only."""

    def __init__(self, theme: ThemeProvider) -> None:
        super().__init__(theme)
        self.setLineWrapMode(QPlainTextEdit.LineWrapMode.WidgetWidth)
        self.setVerticalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.document().documentLayout().documentSizeChanged.connect(self._fit)

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self._fit()

    @Slot()
    def _fit(self) -> None:
        n_lines = self.document().size().height()  # for plain text, Qt counts lines here
        frame = max(self.height() - self.viewport().height(), 0)  # negative during layout
        around = frame + 2 * int(self.document().documentMargin())
        self.setFixedHeight(int(n_lines * self.fontMetrics().lineSpacing()) + around)


def curl_snippet(url: str, model: str, *, is_chat_model: bool) -> str:
    """Return a shell command that sends a request.

    is_chat_model: send a chat request, else a completion request.
    """
    body: dict[str, object] = {"messages": [{"role": "user", "content": _QUESTION}]}
    path = "chat/completions"
    if not is_chat_model:
        path, body = "completions", {"prompt": _PROMPT, "max_tokens": 100}
    data, on = json.dumps({"model": model, **body}, ensure_ascii=False), "\\\n  "
    if sys.platform == "win32":  # cmd.exe supports only double quotes, and no continued lines
        data, on = '"' + data.replace('"', '\\"') + '"', ""
    else:
        data = shlex.quote(data)
    return f'curl {url}/{path} {on}-H "Content-Type: application/json" {on}-d {data}'


def python_snippet(url: str, model: str, *, is_chat_model: bool) -> str:
    """Return a program that sends a request with the `openai` package."""
    name = json.dumps(model, ensure_ascii=False)
    head = f'from openai import OpenAI\n\nclient = OpenAI(\n    base_url="{url}",\n    api_key="none",\n)\n'
    if is_chat_model:
        return head + (
            "reply = client.chat.completions.create(\n"
            f"    model={name},\n"
            f'    messages=[{{"role": "user", "content": "{_QUESTION}"}}],\n'
            ")\n"
            "print(reply.choices[0].message.content)"
        )
    return head + (
        "reply = client.completions.create(\n"
        f"    model={name},\n"
        f'    prompt="{_PROMPT}",\n'
        "    max_tokens=100,\n"
        ")\n"
        "print(reply.choices[0].text)"
    )


class _RequestList(QListWidget):
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
        for index, request in enumerate(requests):
            item = self.item(index)
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
