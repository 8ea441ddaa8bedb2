"""`terrarium serve`: what it prints, and that Ctrl-C stops it."""

from __future__ import annotations

import dataclasses
import json

import pytest
from tokenizers import Tokenizer

from terrarium.app.cli import main
from terrarium.app.commands import serve
from terrarium.app.serve.endpoint.engine import ServedModel
from terrarium.app.serve.endpoint.http_server import HttpServer
from terrarium.app.serve.endpoint.request_log import RequestRecord
from tests.app.serve.endpoint.conftest import tiny_served_model


@pytest.fixture(autouse=True)
def stopped_at_once(byte_tokenizer: Tokenizer, monkeypatch: pytest.MonkeyPatch) -> None:
    """A model is served until Ctrl-C, which comes at once."""

    def open_served(text: str, device: str, weights: str) -> ServedModel:
        return tiny_served_model(byte_tokenizer)[0]

    def serve_on(server: HttpServer, bound: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(serve, "open_served", open_served)
    monkeypatch.setattr(HttpServer, "serve_on", serve_on)


def test_the_address_goes_to_stdout(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["serve", "tiny", "--port", "0"]) == 0
    out, err = capsys.readouterr()
    assert out.startswith("http://127.0.0.1:")
    assert out.endswith("/v1\n")
    assert "“tiny” is served there" in err
    assert main(["serve", "tiny", "--port", "0", "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert set(printed) == {"url", "model"}
    assert printed["model"] == "tiny"


@pytest.mark.parametrize("change", [{"topology": "encoder-only"}, {"head": "sequence"}])
def test_a_model_that_writes_no_text_is_refused(
    change: dict[str, str],
    byte_tokenizer: Tokenizer,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    served = tiny_served_model(byte_tokenizer)[0]
    served = dataclasses.replace(served, config=dataclasses.replace(served.config, **change))
    monkeypatch.setattr(serve, "open_served", lambda *rest: served)
    assert main(["serve", "tiny", "--port", "0"]) == 1
    out, err = capsys.readouterr()
    assert not out
    assert err == "terrarium: “tiny” writes no text, so it cannot be served: choose another model.\n"


def test_each_request_is_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    call = RequestRecord(
        number=1, kind="chat", state="done", n_prompt=7, n_made=12, began=0.0, seconds=0.51, note="stop"
    )
    serve.log_request(call)
    serve.log_request(RequestRecord(number=2, kind="chat", state="refused", began=0.0, note="“n” is missing."))
    serve.log_request(
        RequestRecord(number=3, kind="/\x1b[2Jx", state="refused", began=0.0, note="There is no /\x1b[2Jx.")
    )
    first, second, third = capsys.readouterr().err.splitlines()
    assert first.endswith("chat: 7 tokens read, 12 generated in 0.5 s; done: stop")
    assert second.endswith("chat: refused: “n” is missing.")
    assert "\x1b" not in third


def test_there_is_no_way_to_serve_other_computers(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["serve", "tiny", "--host", "0.0.0.0"]) == 2
    assert "--host" in capsys.readouterr().err
