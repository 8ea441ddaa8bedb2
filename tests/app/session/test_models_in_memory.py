"""Which models are in memory, and that they are gone when they were released."""

from __future__ import annotations

import weakref

import pytest
from PySide6.QtWidgets import QLabel
from pytestqt.qtbot import QtBot
from tokenizers import Tokenizer

from terrarium.app.kit.theme import ThemeProvider
from terrarium.app.serve.serving import SERVING, Serving
from terrarium.app.session.chat import CHAT, OPEN
from terrarium.app.session.session import Session
from terrarium.app.shell.preferences import Preferences
from terrarium.app.shell.status_bar import StatusBar
from terrarium.models.events import ReplyFinished
from terrarium.models.library.library import Library
from terrarium.models.settings.sampling_config import SamplingConfig
from tests.app.heard import Heard, Until
from tests.app.small_models import put_model

SHORT = SamplingConfig(max_tokens=3, temperature=0.0)


@pytest.fixture
def opened(session: Session, library: Library, byte_tokenizer: Tokenizer, until: Until) -> weakref.ref[object]:
    """A small model is open; a weak reference to it."""
    run_id = put_model(library, byte_tokenizer, "decoder-only")
    session.runs.changed.emit()
    assert session.chat.open(run_id)
    until(lambda: session.chat.state == "ready")
    return model_of(session, CHAT)


def model_of(session: Session, user: str) -> weakref.ref[object]:
    loaded = session.models.get(user, OPEN)
    assert loaded is not None
    return weakref.ref(loaded.model)


def test_freeing_the_device_leaves_no_model_in_memory(
    session: Session, heard: Heard, opened: weakref.ref[object], until: Until
) -> None:
    session.chat.send("The cat", SHORT)
    until(lambda: any(isinstance(event, ReplyFinished) for event in heard.chat))
    assert [(use.user, use.name) for use in session.models.uses] == [("Chat", "decoder-only")]
    session.training.pause(free=True)
    until(lambda: opened() is None)
    assert session.models.uses == ()
    assert session.chat.model is session.chat.tokenizer is None
    assert session.chat.state == "none"
    assert "“decoder-only” is no longer in memory" in heard.notices[-1]
    assert not heard.failures


def test_another_model_takes_the_place_of_the_open_one(
    session: Session, library: Library, byte_tokenizer: Tokenizer, opened: weakref.ref[object], until: Until
) -> None:
    session.chat.open(put_model(library, byte_tokenizer, "encoder-only"))
    until(lambda: session.chat.state == "ready" and opened() is None)
    assert [use.name for use in session.models.uses] == ["encoder-only"]
    session.chat.close_model()
    assert session.models.uses == ()


def test_a_served_model_stays_until_serving_stops_or_the_device_is_freed(
    session: Session, opened: weakref.ref[object], until: Until
) -> None:
    serving = Serving(
        session.worker,
        session.chat,
        session.training,
        session.runs,
        session.models,
        session.remembered,
        session.notices,
        session,
    )
    session.closing.connect(serving.close)
    assert serving.start(0)
    session.chat.close_model()
    assert opened() is model_of(session, SERVING)() is not None
    session.training.pause(free=True)
    until(lambda: opened() is None)
    assert "is no longer in memory" in serving.state.problem
    serving.stop()
    until(lambda: serving.state.status == "off")
    assert session.models.uses == ()


def test_the_status_bar_names_the_models(
    session: Session, theme: ThemeProvider, opened: weakref.ref[object], qtbot: QtBot
) -> None:
    bar = StatusBar(session, Preferences(session, theme, session))
    qtbot.addWidget(bar)
    tips = "\n".join(label.toolTip() for label in bar.findChildren(QLabel))
    assert "Chat: decoder-only, " in tips
    assert any(label.text().endswith("· 1 model") for label in bar.findChildren(QLabel))
