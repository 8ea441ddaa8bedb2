"""The switch for serving: what it offers, says and copies, as the session's state changes."""

from __future__ import annotations

import dataclasses

import pytest
from PySide6.QtGui import QGuiApplication
from pytestqt.qtbot import QtBot

from app.kit.theme import ThemeProvider
from app.serve.calls import call_words
from app.serve.endpoint.activity import Call
from app.serve.panel import ServePanel, curl_snippet, python_snippet
from app.serve.serving import ServeState
from app.session.chat_model import ChatModel
from app.session.session import Session

MODEL = ChatModel(
    which="20260101-000000-tiny",
    run_id="20260101-000000-tiny",
    name="tiny",
    step=3,
    mode="talk",
    source="files",
    world_seed=0,
    context_length=32,
    n_parameters=1000,
    device="CPU",
)
ON = ServeState(status="on", url="http://127.0.0.1:8765/v1", port=8765, model=MODEL)
CALL = Call(number=1, kind="chat", state="done", n_prompt=7, n_made=1200, began=0.0, seconds=0.5, note="stop")


class Shown:
    """A panel over a session whose state a test sets."""

    def __init__(self, session: Session, theme: ThemeProvider, qtbot: QtBot) -> None:
        self.session, self.panel = session, ServePanel(session, theme)
        qtbot.addWidget(self.panel)
        self.panel.show()

    def see(self, state: ServeState, chat: ChatModel | None = MODEL) -> None:
        self.session.chat.model = chat
        self.panel.serving.state = state
        self.panel.serving.changed.emit()


@pytest.fixture
def shown(session: Session, theme: ThemeProvider, qtbot: QtBot) -> Shown:
    return Shown(session, theme, qtbot)


def test_off_until_there_is_a_model(shown: Shown) -> None:
    panel = shown.panel
    assert panel.port.value() == 8765
    assert panel.start.isVisible()
    assert not panel.start.isEnabled()
    assert not panel.stop.isVisible()
    shown.see(ServeState())
    assert panel.start.isEnabled()
    assert "No other computer" in panel.about.text()
    shown.see(ServeState(), dataclasses.replace(MODEL, mode="fill"))
    assert not panel.start.isEnabled()
    assert "fills masks" in panel.about.text()


def test_on_it_says_where_and_how(shown: Shown, qtbot: QtBot) -> None:
    panel = shown.panel
    shown.see(ON)
    assert panel.url.text() == ON.url
    assert "“tiny”" in panel.about.text()
    assert panel.stop.isEnabled()
    assert not panel.start.isVisible()
    assert not panel.other.isVisible()
    panel.copy_url.click()
    assert QGuiApplication.clipboard().text() == ON.url
    panel.copy_snippet.click()
    assert QGuiApplication.clipboard().text() == python_snippet(ON.url, "tiny", is_chat_model=True)
    panel.way.buttons.button(1).click()
    panel.copy_snippet.click()
    assert QGuiApplication.clipboard().text() == curl_snippet(ON.url, "tiny", is_chat_model=True)
    assert panel.counts.text() == "none yet"
    shown.see(dataclasses.replace(ON, calls=(CALL,), n_answered=1))
    assert panel.counts.text() == "1 answer so far"
    assert panel.calls.item(0).text() == "chat: 7 → 1,200 tokens, 500 ms"
    shown.see(dataclasses.replace(ON, status="stopping"))
    assert not panel.stop.isEnabled()


def test_another_model_can_take_its_place(shown: Shown) -> None:
    panel, other = shown.panel, dataclasses.replace(MODEL, which="x", run_id="x", name="other")
    shown.see(ON, other)
    assert panel.hint.text() == "The chat is with “other” now."
    assert panel.other.isVisible()
    shown.see(dataclasses.replace(ON, problem="“tiny” has been deleted."), other)
    assert panel.problem.text() == "“tiny” has been deleted."
    assert panel.status.text() == "no model"
    shown.see(dataclasses.replace(ON, problem="“tiny” has been deleted."), None)
    assert not panel.other.isVisible()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"state": "waiting"}, "chat: waits, 7 tokens to read"),
        ({"state": "writing"}, "chat: 1,200 tokens so far"),
        ({"state": "left"}, "chat: the client left after 1,200 tokens"),
        ({"state": "refused", "note": "“n” is missing."}, "chat: “n” is missing."),
        ({"seconds": 2.0, "n_made": 1}, "chat: 7 → 1 token, 2.0 s"),
    ],
)
def test_a_request_in_one_line(changes: dict[str, object], words: str) -> None:
    assert call_words(dataclasses.replace(CALL, **changes)) == words  # type: ignore[arg-type]


def test_snippets_are_for_what_the_model_does() -> None:
    compile(python_snippet("http://127.0.0.1:1/v1", "it's “tiny”", is_chat_model=False), "snippet", "exec")
    assert "/v1/completions" in curl_snippet("http://127.0.0.1:1/v1", "it's", is_chat_model=False)
    assert "completions.create" in python_snippet("u", "m", is_chat_model=False)
