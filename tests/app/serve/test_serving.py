"""Serving from the window: through its worker, beside training, until the model goes away."""

from __future__ import annotations

import dataclasses
import http.client
import json
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import torch
from pytestqt.qtbot import QtBot

from terrarium.app.kit.theme import ThemeProvider
from terrarium.app.serve.endpoint.http_server import bind
from terrarium.app.serve.serve_panel import ServePanel
from terrarium.app.serve.serving import Serving
from terrarium.app.session.session import Session
from terrarium.models.events import Event, Progress
from terrarium.models.interop.loading import load_model
from terrarium.models.settings.run_spec import RunSpec
from terrarium.models.tokenizers import encode_text
from tests.app.heard import Heard, Until, long
from tests.models.own_blocks import WRITES, put_block, with_block


@pytest.fixture
def serving(session: Session) -> Serving:
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
    return serving


def post(port: int, prompt: str, **more: object) -> tuple[int, dict[str, Any]]:
    """Status and JSON of a completion."""
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=240)) as connection:
        connection.request("POST", "/v1/completions", json.dumps({"model": "tiny", "prompt": prompt, **more}))
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read())


class Asking:
    """A completion that is asked for on a thread of its own, since the window's must go on meanwhile."""

    def __init__(self, serving: Serving, prompt: str = "The cat", **more: object) -> None:
        self.answer: tuple[int, dict[str, Any]] | None = None
        port = serving.state.port

        def ask() -> None:
            self.answer = post(port, prompt, **more)

        self._thread = threading.Thread(target=ask, daemon=True)
        self._thread.start()

    def wait(self, until: Until) -> tuple[int, dict[str, Any]]:
        until(lambda: self.answer is not None)
        self._thread.join()
        assert self.answer is not None
        return self.answer


def test_a_run_is_served_from_the_window(
    session: Session, serving: Serving, heard: Heard, tiny_spec: RunSpec, until: Until
) -> None:
    assert not serving.start(0)
    assert "No model is open" in heard.failures.pop()

    session.training.start(tiny_spec)
    until(lambda: not session.training.active)
    (info,) = session.runs.list()
    session.chat.open(info.id)
    until(lambda: session.chat.state == "ready")
    with bind(0) as taken:
        assert not serving.start(taken.getsockname()[1])
    assert "taken by another program" in heard.failures.pop()
    assert serving.state.status == "off"

    assert serving.start(0)
    assert serving.state.status == "on"
    assert serving.state.url == f"http://127.0.0.1:{serving.state.port}/v1"
    status, answer = Asking(serving, max_tokens=5, temperature=0).wait(until)
    assert status == 200
    assert answer["usage"]["completion_tokens"] == 5
    assert answer["system_fingerprint"] == "step-12"
    until(lambda: serving.state.n_answered == 1)
    (request,) = serving.state.requests
    assert (request.kind, request.state, request.n_made) == ("completion", "done", 5)

    # Whoever has the endpoint open keeps its model when the run is deleted from the list: a sentence, no crash.
    session.runs.delete([info.id])
    status, answer = Asking(serving).wait(until)
    assert status == 503
    assert "“tiny” has been deleted" in answer["error"]["message"]
    assert serving.state.problem == answer["error"]["message"]
    serving.stop()
    until(lambda: serving.state.status == "off")
    assert serving.state.url == ""
    assert not heard.failures


def test_a_run_with_a_block_is_served_and_opened_as_long_as_it_is_allowed(
    session: Session, serving: Serving, heard: Heard, tiny_spec: RunSpec, until: Until, tmp_path: Path
) -> None:
    block = put_block(WRITES % str(tmp_path / "it ran"))
    session.training.start(dataclasses.replace(tiny_spec, model=with_block(tiny_spec.model, block)))
    until(lambda: not session.training.active)
    (info,) = session.runs.list()
    session.chat.open(info.id)
    until(lambda: session.chat.state == "ready")
    assert serving.start(0)
    status, answer = Asking(serving, prompt="The cat", max_tokens=5, temperature=0).wait(until)
    assert status == 200
    model, tokenizer = load_model(session.library.find_run(info.id))
    assert tokenizer is not None
    ids = encode_text(tokenizer, "The cat")
    for _ in range(5):
        ids.append(int(model(torch.tensor([ids]))[0, -1].argmax()))
    assert answer["choices"][0]["text"] == tokenizer.decode(ids[-5:])
    serving.stop()
    until(lambda: serving.state.status == "off")

    session.blocks.withdraw(block.sha256)
    (tmp_path / "it ran").unlink()
    assert not heard.failures
    session.chat.open(info.id)
    until(lambda: bool(heard.failures))
    assert "was not allowed on this computer yet" in heard.failures.pop()
    assert not serving.start(0)
    assert not (tmp_path / "it ran").exists()


def test_the_model_in_training_is_served_until_it_ends(
    session: Session,
    serving: Serving,
    heard: Heard,
    tiny_spec: RunSpec,
    until: Until,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    live_trainer = session.training.live_trainer

    def on_the_worker(run_id: str = "") -> object:
        assert threading.current_thread() is not threading.main_thread()
        return live_trainer(run_id)

    monkeypatch.setattr(session.training, "live_trainer", on_the_worker)
    session.training.start(long(tiny_spec))
    until(lambda: session.training.state is not None and session.training.state.step >= 2)
    session.chat.open("live")
    until(lambda: session.chat.state == "ready")
    assert session.chat.tokenizer is not None
    assert serving.start(0)
    first, second = Asking(serving, max_tokens=6), Asking(serving, max_tokens=6)
    assert [asking.wait(until)[0] for asking in (first, second)] == [200, 200]
    step = session.training.state.step  # type: ignore[union-attr]
    until(lambda: session.training.state.step > step)  # type: ignore[union-attr]

    session.training.stop()
    until(lambda: not session.training.active and session.chat.state == "ready")
    until(lambda: bool(serving.state.problem))
    status, answer = Asking(serving).wait(until)
    assert status == 503
    assert "training of “tiny” has ended" in answer["error"]["message"]

    # The chat goes on with its checkpoint, and so can serving, at the same port.
    port = serving.state.port
    assert serving.start(port)
    assert serving.state.port == port
    assert serving.state.problem == ""
    assert Asking(serving, max_tokens=2).wait(until)[0] == 200
    assert not heard.failures


def test_closing_the_window_ends_an_answer(
    session: Session,
    theme: ThemeProvider,
    tiny_spec: RunSpec,
    until: Until,
    qtbot: QtBot,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def endless(*_: object, **__: object) -> Iterator[Event]:
        while True:
            yield Progress(done=0, total=1)

    panel = ServePanel(session, theme)
    qtbot.addWidget(panel)
    serving = panel.serving
    session.training.start(tiny_spec)
    until(lambda: not session.training.active)
    session.chat.open(session.runs.list()[0].id)
    until(lambda: session.chat.state == "ready")
    monkeypatch.setattr("terrarium.models.inference.generate.generate", endless)
    serving.start(0)
    asking = Asking(serving)
    until(lambda: [request.state for request in serving.state.requests] == ["writing"])
    session.close()
    assert serving.state.status == "off"
    status, answer = asking.wait(until)
    assert (status, answer["error"]["message"]) == (503, "Serving has been stopped.")
