"""The panel for serving: what it offers, shows and copies as the state of serving changes."""

from __future__ import annotations

import dataclasses

import pytest
from PySide6.QtGui import QGuiApplication
from pytestqt.qtbot import QtBot

from terrarium.app.kit.theme import ThemeProvider
from terrarium.app.serve.endpoint.request_log import RequestRecord
from terrarium.app.serve.serve_panel import ServePanel, curl_snippet, format_request, python_snippet
from terrarium.app.serve.serving import ServeState
from terrarium.app.session.chat_model import ChatModel
from terrarium.app.session.session import Session

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
RECORD = RequestRecord(
    number=1, kind="chat", state="done", n_prompt=7, n_made=1200, began=0.0, seconds=0.5, note="stop"
)


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
    assert "Other computers cannot" in panel.about.text()
    shown.see(ServeState(), dataclasses.replace(MODEL, mode="fill"))
    assert not panel.start.isEnabled()
    assert "does not generate text" in panel.about.text()


def test_while_serving_it_shows_the_address_and_example_code(shown: Shown, qtbot: QtBot) -> None:
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
    panel.client.buttons.button(1).click()
    panel.copy_snippet.click()
    assert QGuiApplication.clipboard().text() == curl_snippet(ON.url, "tiny", is_chat_model=True)
    assert panel.counts.text() == "none yet"
    shown.see(dataclasses.replace(ON, requests=(RECORD,), n_answered=1))
    assert panel.counts.text() == "1 answered"
    assert panel.requests.item(0).text() == "chat: 7 → 1,200 tokens, 500 ms"
    shown.see(dataclasses.replace(ON, status="stopping"))
    assert not panel.stop.isEnabled()


def test_another_model_can_be_served_instead(shown: Shown) -> None:
    panel, other = shown.panel, dataclasses.replace(MODEL, which="x", run_id="x", name="other")
    shown.see(ON, other)
    assert panel.hint.text() == "The chat now uses “other”."
    assert panel.other.isVisible()
    shown.see(dataclasses.replace(ON, problem="“tiny” has been deleted."), other)
    assert panel.problem.text() == "“tiny” has been deleted."
    assert panel.status.text() == "no model"
    shown.see(dataclasses.replace(ON, problem="“tiny” has been deleted."), None)
    assert not panel.other.isVisible()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"state": "waiting"}, "chat: waiting, 7 tokens to read"),
        ({"state": "writing"}, "chat: 1,200 tokens so far"),
        ({"state": "left"}, "chat: client disconnected after 1,200 tokens"),
        ({"state": "refused", "note": "“n” is missing."}, "chat: “n” is missing."),
        ({"seconds": 2.0, "n_made": 1}, "chat: 7 → 1 token, 2.0 s"),
    ],
)
def test_a_request_in_one_line(changes: dict[str, object], words: str) -> None:
    assert format_request(dataclasses.replace(RECORD, **changes)) == words  # type: ignore[arg-type]


def test_snippets_fit_the_kind_of_model() -> None:
    compile(python_snippet("http://127.0.0.1:1/v1", "it's “tiny”", is_chat_model=False), "snippet", "exec")
    assert "/v1/completions" in curl_snippet("http://127.0.0.1:1/v1", "it's", is_chat_model=False)
    assert "completions.create" in python_snippet("u", "m", is_chat_model=False)
