"""Refused requests: each error is in OpenAI's format, with the right status and a message."""

from __future__ import annotations

import http.client
import json
import math
import select
import socket
import threading
from collections.abc import Mapping
from contextlib import ExitStack, closing
from typing import Any

import pytest
import torch
from tokenizers import Tokenizer

from terrarium.app.cli import main
from terrarium.app.serve.endpoint import endpoints
from terrarium.app.serve.endpoint.endpoints import MAX_BODY_BYTES
from terrarium.app.serve.endpoint.http_server import HOST, base_url, bind
from terrarium.app.serve.endpoint.request_log import RequestLog, RequestRecord
from terrarium.app.serve.endpoint.requests import chat_requests
from terrarium.app.serve.endpoint.response_formats import CompletionFormat
from tests.app.serve.endpoint.conftest import Endpoint, answering, until

CHAT, COMPLETION = "/v1/chat/completions", "/v1/completions"
MESSAGES = [{"role": "user", "content": "Hello"}]


def ask(
    endpoint: Endpoint, method: str, path: str, body: object = None, headers: Mapping[str, str] | None = None
) -> tuple[int, dict[str, Any]]:
    """Status and JSON of an answer; `body` is JSON, or bytes to send as they are."""
    data = body if isinstance(body, bytes) else json.dumps(body)
    with closing(http.client.HTTPConnection(*endpoint.address, timeout=240)) as connection:
        connection.request(method, path, data, dict(headers or {}))
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read())


@pytest.mark.parametrize(
    ("path", "changes", "status", "param", "words"),
    [
        (CHAT, {"model": "gpt-5"}, 404, "model", "no model “gpt-5” here; the model served is “tiny”"),
        (CHAT, {"model": None}, 400, "model", "“model” is missing"),
        (CHAT, {"messages": None}, 400, "messages", "is missing"),
        (CHAT, {"messages": []}, 400, "messages", "at least 1"),
        (CHAT, {"messages": "Hello"}, 400, "messages", "list"),
        (CHAT, {"messages": [{"role": "tool", "content": "x"}]}, 400, "messages[0].role", "'user'"),
        (CHAT, {"messages": [{"role": "user"}]}, 400, "messages[0].content", "is missing"),
        (
            CHAT,
            {"messages": [{"role": "user", "content": [{"type": "image_url"}]}]},
            400,
            "messages[0].content",
            "text",
        ),
        (CHAT, {"messages": [{"role": "user", "content": "a" * 20_001}]}, 400, "messages", "context takes 20,000"),
        (CHAT, {"temperature": "hot"}, 400, "temperature", "number"),
        (CHAT, {"temperature": 3}, 400, "temperature", "less than or equal to 2"),
        (CHAT, {"max_tokens": 0}, 400, "max_tokens", "greater than or equal to 1"),
        (CHAT, {"max_tokens": True}, 400, "max_tokens", "integer"),
        (CHAT, {"stream": "yes"}, 400, "stream", "boolean"),
        (CHAT, {"stop": [""]}, 400, "stop", "stop text is empty"),
        (CHAT, {"stop": 5}, 400, "stop", "list"),
        (CHAT, {"n": 1000}, 400, "n", "32"),
        (CHAT, {"seed": 2**70}, 400, "seed", "less than"),
        (CHAT, {"top_logprobs": 3}, 400, None, "logprobs"),
        (CHAT, {"logit_bias": {"the": 1}}, 400, "logit_bias.the", "pattern"),
        (CHAT, {"logit_bias": {"1": 200}}, 400, "logit_bias.1", "100"),
        (CHAT, {"logit_bias": {"100000": 1}}, 400, "logit_bias", "no token 100000"),
        (CHAT, {"tools": [{"type": "function"}]}, 400, "tools", "not supported"),
        (CHAT, {"response_format": {"type": "json_object"}}, 400, "response_format", "not supported"),
        (COMPLETION, {"prompt": ""}, 400, "prompt", "prompt is empty"),
        (COMPLETION, {"prompt": None}, 400, "prompt", "is missing"),
        (COMPLETION, {"prompt": {"text": "a"}}, 400, "prompt", "a list of texts"),
        (COMPLETION, {"prompt": [99999]}, 400, "prompt", "no token 99999"),
        (COMPLETION, {"prompt": ["a", "b"], "n": 20}, 400, None, "more than 32 texts"),
        (COMPLETION, {"prompt": "a", "echo": True, "logprobs": 1}, 400, None, "echo"),
        (COMPLETION, {"prompt": "a", "suffix": "b"}, 400, "suffix", "not supported"),
    ],
)
def test_wrong_requests(
    endpoint: Endpoint, path: str, changes: dict[str, object], status: int, param: str | None, words: str
) -> None:
    known = {"model": "tiny", "messages": MESSAGES} if path == CHAT else {"model": "tiny", "prompt": "a"}
    got, answer = ask(endpoint, "POST", path, known | changes)
    assert set(answer) == {"error"}
    assert set(answer["error"]) == {"message", "type", "param", "code"}
    error = answer["error"]
    assert (got, error["param"], error["type"]) == (status, param, "invalid_request_error"), error
    assert words in error["message"]
    assert endpoint.finished[-1].state == "refused"


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"{", "not valid JSON"),
        (b"\xff\xfe", "not valid JSON"),
        (b"[]", "must be a JSON object"),
        (b'{"temperature": NaN}', "NaN is not a number"),
        (b"[" * 100_000, "nested too deeply"),
        (b'{"model": "\\ud800"}', "not valid JSON"),
        (b'{"seed": ' + b"9" * 10_000 + b"}", "not valid JSON"),
    ],
)
def test_bodies_that_are_not_json(endpoint: Endpoint, body: bytes, words: str) -> None:
    status, answer = ask(endpoint, "POST", CHAT, body)
    assert status == 400
    assert words in answer["error"]["message"]


def test_too_long_a_body(endpoint: Endpoint) -> None:
    status, answer = ask(endpoint, "POST", CHAT, b"{}", {"Content-Length": str(MAX_BODY_BYTES + 1)})
    assert (status, answer["error"]["code"]) == (413, "request_too_large")
    with closing(http.client.HTTPConnection(*endpoint.address, timeout=240)) as connection:
        connection.request("POST", CHAT, iter([b" " * 500_000] * 9), encode_chunked=True)
        assert connection.getresponse().status == 413


def test_other_paths_and_methods(endpoint: Endpoint) -> None:
    status, answer = ask(endpoint, "POST", "/v1/embeddings", {})
    assert status == 404
    assert "/v1/chat/completions" in answer["error"]["message"]
    status, answer = ask(endpoint, "GET", CHAT)
    assert status == 405
    assert answer["error"]["type"] == "invalid_request_error"


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Host": "evil.example"}, 403),
        ({"Host": "127.0.0.1.evil.example:8765"}, 403),
        ({"Host": "["}, 403),
        ({"Host": "127.0.0.1#.evil.example"}, 403),
        ({"Host": "evil.example@127.0.0.1"}, 403),
        ({"Host": "127.0.0.1/evil"}, 403),
        ({"Host": "localhost:8765:1"}, 403),
        ({"Origin": "http://localhost@evil.example"}, 403),
        ({"Origin": "http://evil.example#localhost"}, 403),
        ({"Origin": "https://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Host": "localhost:8765"}, 200),
        ({"Host": "LocalHost"}, 200),
        ({"Host": "[::1]", "Origin": "http://localhost:3000"}, 200),
    ],
)
def test_pages_from_elsewhere(endpoint: Endpoint, headers: dict[str, str], status: int) -> None:
    with closing(http.client.HTTPConnection(*endpoint.address, timeout=240)) as connection:
        connection.request("GET", "/v1/models", headers=headers)
        answer = connection.getresponse()
        assert answer.status == status
        assert answer.getheader("access-control-allow-origin") is None
        assert ("error" in json.loads(answer.read())) == (status == 403)


def half_a_request(endpoint: Endpoint, text: str) -> socket.socket:
    """A connection that has sent this much, and waits."""
    slow = socket.create_connection(endpoint.address, timeout=240)
    slow.sendall(text.replace("\n", "\r\n").encode())
    return slow


HALF_A_BODY = f"POST {CHAT} HTTP/1.1\nHost: localhost\nContent-Length: 1000\n\n{{"


@pytest.mark.parametrize("text", ["", "POST /v1/chat", "POST /v1/chat/completions HTTP/1.1\nHost: localhost\n"])
def test_a_head_that_does_not_come_ends_the_connection(byte_tokenizer: Tokenizer, text: str) -> None:
    running = answering(byte_tokenizer, "decoder-only", head_seconds=0.2)
    endpoint = next(running)
    with half_a_request(endpoint, text) as slow:
        assert slow.recv(1000) == b""
    assert ask(endpoint, "GET", "/v1/models")[0] == 200
    next(running, None)


def test_a_second_head_has_its_time_too(byte_tokenizer: Tokenizer) -> None:
    running = answering(byte_tokenizer, "decoder-only", head_seconds=0.2)
    endpoint = next(running)
    with half_a_request(endpoint, "GET /v1/models HTTP/1.1\nHost: localhost\n\nGET /v1/") as slow:
        found = b""
        while data := slow.recv(1000):
            found += data
    assert found.startswith(b"HTTP/1.1 200")
    next(running, None)


def test_a_body_that_does_not_come_is_refused(byte_tokenizer: Tokenizer) -> None:
    running = answering(byte_tokenizer, "decoder-only", body_seconds=0.2)
    endpoint = next(running)
    with half_a_request(endpoint, HALF_A_BODY) as slow:
        found = b""
        while data := slow.recv(1000):  # until the server closes the connection
            found += data
    assert found.startswith(b"HTTP/1.1 408")
    assert b"did not come in time" in found
    assert endpoint.finished[-1].state == "refused"
    next(running, None)


def test_slow_bodies_are_counted_and_keep_nobody_out(
    byte_tokenizer: Tokenizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(endpoints, "MAX_OPEN_REQUESTS", 2)
    running = answering(byte_tokenizer, "decoder-only", body_seconds=1000)
    endpoint = next(running)
    with ExitStack() as stack:
        slow = [stack.enter_context(half_a_request(endpoint, HALF_A_BODY)) for _ in range(5)]
        until(lambda: len(select.select(slow, [], [], 240)[0]) == 3)
        for ended in select.select(slow, [], [], 0)[0]:
            assert ended.recv(100).startswith(b"HTTP/1.1 408")
        status, _ = ask(endpoint, "POST", CHAT, {"model": "tiny", "messages": MESSAGES, "max_tokens": 1})
        assert status == 200
    next(running, None)


def test_an_encoder_writes_nothing(encoder_endpoint: Endpoint) -> None:
    for path, body in ((CHAT, {"messages": MESSAGES}), (COMPLETION, {"prompt": "a"})):
        status, answer = ask(encoder_endpoint, "POST", path, {"model": "tiny", **body})
        assert status == 400
        assert "is an encoder" in answer["error"]["message"]


def test_no_model_any_more(byte_tokenizer: Tokenizer) -> None:
    running = answering(byte_tokenizer, "decoder-only")
    endpoint = next(running)
    endpoint.engine.close("“tiny” was deleted.")
    for method, path in (("GET", "/v1/models"), ("POST", CHAT)):
        status, answer = ask(endpoint, method, path, {"model": "tiny", "messages": MESSAGES})
        assert status == 503
        assert answer["error"] == {
            "message": "“tiny” was deleted.",
            "type": "server_error",
            "param": None,
            "code": "model_unavailable",
        }
    next(running, None)


def test_too_many_at_once(endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(endpoints, "MAX_OPEN_REQUESTS", 0)
    status, answer = ask(endpoint, "POST", CHAT, {"model": "tiny", "messages": MESSAGES})
    assert (status, answer["error"]["type"]) == (429, "rate_limit_error")


def test_the_limit_also_holds_for_requests_read_at_the_same_time(
    endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    def meanwhile(*given: object) -> object:
        monkeypatch.setattr(endpoints, "MAX_OPEN_REQUESTS", 0)  # as if other requests had come while this one was read
        return chat_requests(*given)  # type: ignore[arg-type]

    monkeypatch.setattr(endpoints, "chat_requests", meanwhile)
    assert ask(endpoint, "POST", CHAT, {"model": "tiny", "messages": MESSAGES})[0] == 429


def test_a_request_that_fails_is_no_longer_open(endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch) -> None:
    def complete(*given: object) -> object:
        raise LookupError("a fault")

    monkeypatch.setattr(CompletionFormat, "complete", complete)
    assert ask(endpoint, "POST", COMPLETION, {"model": "tiny", "prompt": "a"})[0] == 500
    assert endpoint.request_log.n_open == 0
    assert endpoint.finished[-2].state == "failed"


@pytest.mark.parametrize("stream", [False, True])
def test_a_diverged_model_is_an_error_with_a_message(endpoint: Endpoint, stream: bool) -> None:
    import openai

    weight = next(endpoint.model.parameters())
    before = weight.detach().clone()
    with torch.no_grad():
        weight.fill_(math.nan)
    try:
        with openai.OpenAI(base_url=endpoint.url, api_key="none", max_retries=0) as client:

            def ask_it() -> None:
                asked = {"model": "tiny", "prompt": "The cat", "stream": stream}
                answer = client.completions.create(**asked)  # type: ignore[call-overload]
                list(answer)

            with pytest.raises(openai.APIError, match="output is not a number"):
                ask_it()
    finally:
        with torch.no_grad():
            weight.copy_(before)
    assert endpoint.finished[-1].state == "failed"
    assert ask(endpoint, "POST", COMPLETION, {"model": "tiny", "prompt": "a"})[0] == 200


def test_only_this_computer_is_served(endpoint: Endpoint) -> None:
    assert endpoint.address[0] == HOST == "127.0.0.1"
    with socket.socket() as other:
        other.settimeout(5)
        assert other.connect_ex(("127.0.0.2", endpoint.address[1])) != 0


def test_ports() -> None:
    with bind(0) as taken:
        port = taken.getsockname()[1]
        assert base_url(taken) == f"http://127.0.0.1:{port}/v1"
        with pytest.raises(ValueError, match=f"Port {port} is taken by another program"):
            bind(port)
    with bind(port):
        pass  # free again
    with pytest.raises(ValueError, match="70000 is not a port"):
        bind(70_000)


def test_a_taken_port_is_one_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    with bind(0) as taken:
        assert main(["serve", "whatever", "--port", str(taken.getsockname()[1])]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    assert "is taken by another program" in err
    assert main(["serve", "whatever", "--port", "-1"]) == 2


def test_a_refusal_is_reported_however_many_others_overtake_it(monkeypatch: pytest.MonkeyPatch) -> None:
    class Overtaken:
        """A lock after whose first release other threads come first, which refuse many requests."""

        def __init__(self) -> None:
            self.is_first = True

        def __enter__(self) -> None:
            pass

        def __exit__(self, *_: object) -> None:
            if self.is_first:
                self.is_first = False
                for _ in range(200):
                    log.refuse("chat", "later")

    reported = list[RequestRecord]()
    with monkeypatch.context() as patch:
        patch.setattr(threading, "Lock", Overtaken)
        log = RequestLog(reported.append)
    log.refuse("chat", "first")
    assert reported[-1].note == "first"
    assert len(reported) == 201
