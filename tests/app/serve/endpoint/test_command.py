"""`terrarium serve`: what it says, and that Ctrl-C ends it."""

from __future__ import annotations

import json

import pytest
from tokenizers import Tokenizer

from app.cli import main
from app.commands import serve
from app.serve.endpoint.activity import Call
from app.serve.endpoint.engine import Served
from app.serve.endpoint.http_server import HttpServer
from tests.app.serve.endpoint.conftest import tiny_served


@pytest.fixture(autouse=True)
def stopped_at_once(byte_tokenizer: Tokenizer, monkeypatch: pytest.MonkeyPatch) -> None:
    """A model is served until Ctrl-C, which comes at once."""

    def open_served(text: str, device: str, weights: str) -> Served:
        return tiny_served(byte_tokenizer)[0]

    def answer_at(server: HttpServer, bound: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(serve, "open_served", open_served)
    monkeypatch.setattr(HttpServer, "answer_at", answer_at)


def test_the_address_goes_to_stdout(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["serve", "tiny", "--port", "0"]) == 0
    out, err = capsys.readouterr()
    assert out.startswith("http://127.0.0.1:")
    assert out.endswith("/v1\n")
    assert "“tiny” answers there" in err
    assert main(["serve", "tiny", "--port", "0", "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert set(said) == {"url", "model"}
    assert said["model"] == "tiny"


def test_each_request_is_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    call = Call(number=1, kind="chat", state="done", n_prompt=7, n_made=12, began=0.0, seconds=0.51, note="stop")
    serve.write_call(call)
    serve.write_call(Call(number=2, kind="chat", state="refused", began=0.0, note="“n” is missing."))
    serve.write_call(Call(number=3, kind="/\x1b[2Jx", state="refused", began=0.0, note="There is no /\x1b[2Jx."))
    first, second, third = capsys.readouterr().err.splitlines()
    assert first.endswith("chat: 7 tokens read, 12 made in 0.5 s; done: stop")
    assert second.endswith("chat: refused: “n” is missing.")
    assert "\x1b" not in third


def test_there_is_no_way_to_serve_other_computers(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["serve", "tiny", "--host", "0.0.0.0"]) == 2
    assert "--host" in capsys.readouterr().err
