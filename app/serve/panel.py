"""The switch that lets other programs of this computer ask the chat's model, and what they have asked."""

from __future__ import annotations

import json
import shlex
import sys

from PySide6.QtCore import Qt, QTimer, Slot
from PySide6.QtGui import QGuiApplication, QResizeEvent
from PySide6.QtWidgets import QLineEdit, QPlainTextEdit, QPushButton, QSizePolicy, QVBoxLayout, QWidget

from app.kit.basics import button, label, row, set_role
from app.kit.forms.editors import IntBox
from app.kit.layout.segments import Segments
from app.kit.text.code_editor import CodeEditor
from app.kit.theme import SPACE, ThemeProvider
from app.serve.calls import ServeCalls
from app.serve.serving import ServeState, Serving
from app.session.chat_model import ChatModel
from app.session.session import Session
from models.number_words import counted

_COPIED_MS = 1500
_ABOUT = (
    "Lets editors, scripts and other programs on this computer talk to the model that is open in the chat, in the way "
    "that they talk to OpenAI's. No other computer can reach it."
)


_QUESTION = "Hello! Who are you?"
_BEGINNING = "Once upon a time"


class ServePanel(QWidget):
    """Start, stop, where, which model, how, and what came; all of it read from `serving`."""

    def __init__(self, session: Session, theme: ThemeProvider, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._session, self._theme = session, theme
        self.serving = Serving(
            session.worker, session.chat, session.training, session.runs, session.remembered, session.notices, self
        )
        session.closing.connect(self.serving.close)
        self.status = label("", "pill")
        self.about = label("", "muted", wrap=True)
        self.port = IntBox(0, 65535, 1)
        self.start = button(
            "Start", theme, self.start_serving, icon="broadcast", role="primary", tip="Answer at this port"
        )
        self.stop = button("Stop", theme, self.serving.stop, icon="stop-fill", tip="Answer nothing more")
        self.problem = label("", "error", wrap=True)
        self.hint = label("", "muted", wrap=True)
        self.other = button(
            "Serve it instead", theme, self.start_serving, icon="swap", tip="Answer with the chat's model from now on"
        )
        self.url = QLineEdit()
        self.copy_url = button("", theme, icon="copy", role="quiet-icon", tip="Copy the address")
        self.way = Segments("Ask with", {"python": "Python", "curl": "curl"}, "How a program asks for an answer")
        self.snippet = _Snippet(theme)
        self.copy_snippet = button("Copy", theme, icon="copy", role="quiet", tip="Put these lines on the clipboard")
        self.counts = label("", "caption")
        self.calls = ServeCalls(theme)
        self._build()
        self.copy_url.clicked.connect(lambda: self._copy(self.url.text(), self.copy_url))
        self.copy_snippet.clicked.connect(lambda: self._copy(self.snippet.toPlainText(), self.copy_snippet))
        self.way.changed.connect(self._show)
        self.serving.changed.connect(self._show)
        session.chat.model_changed.connect(self._show)
        self.port.setValue(self.serving.last_port)
        self._show()

    @Slot()
    def start_serving(self) -> None:
        """Serve the chat's model at the chosen port; what is wrong with that is said."""
        self.port.interpretText()
        self.serving.start(self.port.value())

    def _build(self) -> None:
        self.status.setSizePolicy(QSizePolicy.Policy.Maximum, QSizePolicy.Policy.Fixed)
        self.port.setGroupSeparatorShown(False)
        self.port.setAccessibleName("Port")
        self.port.setToolTip("The number that programs find it by; 0 takes any that is free")
        port_words = label("Port")
        port_words.setBuddy(self.port)
        self._off = QWidget()
        self._off.setLayout(row(port_words, self.port, None, self.start))
        self.url.setReadOnly(True)
        self.url.setProperty("role", "mono-small")
        self.url.setAccessibleName("Address")
        self.url.setToolTip("What programs call the base URL; they need no key")
        self.snippet.set_numbers_shown(False)
        self.snippet.setAccessibleName("How to ask")
        self._on = QWidget()
        lines = QVBoxLayout(self._on)
        lines.setContentsMargins(0, 0, 0, 0)
        lines.setSpacing(SPACE)
        lines.addWidget(self.problem)
        lines.addWidget(self.hint)
        lines.addWidget(self.other, 0, Qt.AlignmentFlag.AlignLeft)
        lines.addLayout(row(self.url, self.copy_url, spacing=SPACE // 2))
        lines.addLayout(row(self.way, None, self.copy_snippet))
        lines.addWidget(self.snippet)
        lines.addLayout(row(label("Requests", "subheading"), None, self.counts))
        lines.addWidget(self.calls)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(SPACE)
        layout.addLayout(row(self.status, None, self.stop))
        for widget in (self.about, self._off, self._on):
            layout.addWidget(widget)
        layout.addStretch(1)

    @Slot()
    def _show(self) -> None:
        state, chosen = self.serving.state, self._session.chat.model
        on, writes = state.status != "off", chosen is not None and chosen.mode != "fill"
        for widget, shown in ((self._off, not on), (self._on, on), (self.stop, on)):
            widget.setVisible(shown)
        self.stop.setEnabled(state.status == "on")
        self.start.setEnabled(writes)
        self.status.setText(
            "no model" if state.problem else "stopping…" if state.status == "stopping" else state.status
        )
        set_role(self.status, "pill", tone="warning" if state.problem else "ok" if state.status == "on" else "")
        self.about.setVisible(not state.problem)
        if state.model is not None:
            self.about.setText(f"Programs on this computer are answered by “{state.model.name}”.")
            self._show_model(state, state.model, chosen if writes else None)
        elif writes or chosen is None:
            self.about.setText(_ABOUT)
        else:
            self.about.setText(
                f"“{chosen.name}” fills masks and writes no texts, so there is nothing that programs could ask it for: "
                "open another model."
            )

    def _show_model(self, state: ServeState, model: ChatModel, chosen: ChatModel | None) -> None:
        """What answers; `chosen`: the model of the chat, if it could answer, too."""
        self.problem.setText(state.problem)
        self.problem.setVisible(bool(state.problem))
        other = chosen if state.problem or (chosen and chosen.which != model.which) else None
        self.hint.setText(f"The chat is with “{other.name}” now." if other is not None else "")
        self.hint.setVisible(other is not None)
        self.other.setVisible(other is not None)
        self.url.setText(state.url)
        write = python_snippet if self.way.value == "python" else curl_snippet
        self.snippet.show_code(write(state.url, model.name, is_chat_model=model.is_chat_model))
        self.counts.setText(f"{counted(state.n_answered, 'answer')} so far" if state.calls else "none yet")
        self.calls.setVisible(bool(state.calls))
        self.calls.set_calls(state.calls)

    def _copy(self, text: str, pressed: QPushButton) -> None:
        """Put it on the clipboard; the button's icon says so for a moment."""
        QGuiApplication.clipboard().setText(text)
        self._theme.set_icon(pressed, "check", "accent")
        QTimer.singleShot(_COPIED_MS, pressed, lambda: self._theme.set_icon(pressed, "copy"))


class _Snippet(CodeEditor):
    """A few lines of code, all of them in sight: long ones are wrapped, on screen only."""

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
        n_lines = self.document().size().height()  # of a plain text, Qt counts lines here
        frame = max(self.height() - self.viewport().height(), 0)  # less than nothing while it is being laid out
        around = frame + 2 * int(self.document().documentMargin())
        self.setFixedHeight(int(n_lines * self.fontMetrics().lineSpacing()) + around)


def curl_snippet(url: str, model: str, *, is_chat_model: bool) -> str:
    """How the shell asks an endpoint: one command.

    `is_chat_model`: the model holds conversations, else it goes on with a text.
    """
    asked: dict[str, object] = {"messages": [{"role": "user", "content": _QUESTION}]}
    path = "chat/completions"
    if not is_chat_model:
        path, asked = "completions", {"prompt": _BEGINNING, "max_tokens": 100}
    data, on = json.dumps({"model": model, **asked}, ensure_ascii=False), "\\\n  "
    if sys.platform == "win32":  # whose shell knows only double quotes, and no lines that go on
        data, on = '"' + data.replace('"', '\\"') + '"', ""
    else:
        data = shlex.quote(data)
    return f'curl {url}/{path} {on}-H "Content-Type: application/json" {on}-d {data}'


def python_snippet(url: str, model: str, *, is_chat_model: bool) -> str:
    """A program for the `openai` package."""
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
        f'    prompt="{_BEGINNING}",\n'
        "    max_tokens=100,\n"
        ")\n"
        "print(reply.choices[0].text)"
    )
