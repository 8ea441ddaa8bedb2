"""`terrarium serve` with a run that has custom blocks: the answers are the model's own, as long as they may run."""

from __future__ import annotations

import re
import socket
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import torch
from tokenizers import Tokenizer

from terrarium.app.cli import main
from terrarium.app.serve.endpoint.http_server import HttpServer, base_url
from terrarium.models.architecture.transformer import AnyModel
from terrarium.models.chat.own_template import encode_messages
from terrarium.models.custom_blocks import store
from terrarium.models.custom_blocks.manifest import CustomBlock
from terrarium.models.interop.loading import load_model
from terrarium.models.library.library import Library
from terrarium.models.tokenizers import decode, encode_text
from tests.app.small_models import put_model
from tests.models.own_blocks import WRITES, put_block, start_source

if TYPE_CHECKING:
    import openai
    from openai.types.chat import ChatCompletionMessageParam

ASKED: list[ChatCompletionMessageParam] = [{"role": "user", "content": "Where is Ben?"}]
N_TOKENS = 12
Visit = Callable[["openai.OpenAI"], None]


@pytest.fixture
def ran(tmp_path: Path) -> Path:
    """The file that one of the blocks writes whatever of it runs."""
    return tmp_path / "it ran"


@pytest.fixture
def blocks(library: Library, ran: Path, monkeypatch: pytest.MonkeyPatch) -> list[CustomBlock]:
    """Two blocks, for attention and for feed-forward, that may run."""
    monkeypatch.delenv(store.TRUST_VARIABLE, raising=False)
    writes = (WRITES % str(ran)).replace("        return", "        RAN.touch()\n        return")
    return [put_block(start_source("temperature")), put_block(writes)]


@pytest.fixture
def model(library: Library, blocks: list[CustomBlock], byte_tokenizer: Tokenizer) -> AnyModel:
    """The model of the run `own`, which has these blocks, with random weights."""
    attention, feed_forward = (str(block.reference) for block in blocks)
    slots = {"attention_block": attention, "feed_forward_block": feed_forward, "init_std": 0.3}
    put_model(library, byte_tokenizer, "decoder-only", name="own", context_length=256, **slots)
    return load_model(library.find_run("own"))[0]


@pytest.fixture
def serve(monkeypatch: pytest.MonkeyPatch) -> Callable[..., int]:
    """Serve with the command until a visitor with the official client leaves, as by Ctrl-C; returns the exit code."""

    def serve(visit: Visit, *words: str) -> int:
        import openai

        serve_on = HttpServer.serve_on

        def until_the_visitor_leaves(server: HttpServer, bound: socket.socket) -> None:
            url = base_url(bound)
            thread = threading.Thread(target=serve_on, args=(server, bound))
            thread.start()
            try:
                with openai.OpenAI(base_url=url, api_key="none", max_retries=0, timeout=240) as client:
                    visit(client)
            finally:
                server.stop()
                thread.join()
            raise KeyboardInterrupt

        with monkeypatch.context() as patch:
            patch.setattr(HttpServer, "serve_on", until_the_visitor_leaves)
            return main(["serve", "own", "--port", "0", "--device", "cpu", *words])

    return serve


def greedy(model: AnyModel, ids: list[int]) -> list[int]:
    """The most likely tokens, each time with the whole text read anew."""
    found = list(ids)
    with torch.no_grad():
        for _ in range(N_TOKENS):
            found.append(int(model(torch.tensor([found]))[0, -1].argmax()))
    return found[len(ids) :]


@pytest.mark.parametrize("is_trusted", [False, True], ids=["allowed", "--trust-block"])
def test_its_answers_are_the_models_greedy_tokens(
    is_trusted: bool,
    model: AnyModel,
    blocks: list[CustomBlock],
    byte_tokenizer: Tokenizer,
    ran: Path,
    serve: Callable[..., int],
) -> None:
    prompt, asked = encode_text(byte_tokenizer, "The cat"), encode_messages(byte_tokenizer, ASKED, True)[0]
    continued, reply = greedy(model, prompt), greedy(model, asked)
    assert continued != reply
    words = []
    if is_trusted:
        for block in blocks:
            store.withdraw(block.sha256)
            words += ["--trust-block", block.sha256]
    ran.unlink()
    visits = []

    def visit(client: openai.OpenAI) -> None:
        completion = client.completions.create(model="own", prompt="The cat", temperature=0, max_tokens=N_TOKENS)
        assert completion.choices[0].text == decode(byte_tokenizer, continued)
        assert completion.usage is not None
        assert (completion.usage.prompt_tokens, completion.usage.completion_tokens) == (len(prompt), N_TOKENS)
        stream = client.chat.completions.create(
            model="own", messages=ASKED, temperature=0, max_tokens=N_TOKENS, stream=True
        )
        pieces = list(stream)
        text = "".join(piece.choices[0].delta.content or "" for piece in pieces)
        assert text == decode(byte_tokenizer, reply).strip()
        visits.append(text)

    assert serve(visit, *words) == 0
    assert len(visits) == 1
    assert ran.exists()
    assert all(store.is_allowed(block) is not is_trusted for block in blocks), "trusted while it was served only"


def test_one_hash_of_two_is_not_enough(
    model: AnyModel, blocks: list[CustomBlock], ran: Path, serve: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    for block in blocks:
        store.withdraw(block.sha256)
    ran.unlink()
    assert serve(lambda client: pytest.fail("it is served"), "--trust-block", blocks[0].sha256) == 1
    out, err = capsys.readouterr()
    (sentence,) = err.splitlines()
    assert sentence.endswith(f"--trust-block {blocks[1].sha256}.")
    assert not out
    assert not ran.exists()


def test_it_answers_no_more_when_consent_is_withdrawn(
    model: AnyModel, blocks: list[CustomBlock], ran: Path, serve: Callable[..., int]
) -> None:
    """Although its model is in memory, and again when it is given."""

    def visit(client: openai.OpenAI) -> None:
        import openai

        def ask() -> str:
            return client.completions.create(model="own", prompt="The cat", temperature=0).choices[0].text

        before = ask()
        store.withdraw(blocks[1].sha256)
        ran.unlink()
        said = f"not allowed on this computer yet.*--trust-block {re.escape(blocks[1].sha256)}"
        for _ in range(2):
            with pytest.raises(openai.InternalServerError, match=said) as refused:
                ask()
            assert refused.value.status_code == 503
        assert not ran.exists()
        store.allow(blocks[1])
        assert ask() == before

    assert serve(visit) == 0
