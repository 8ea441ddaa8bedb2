"""One endpoint for all tests of a file, in front of a tiny model with random weights."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest
import torch
from tokenizers import Tokenizer

from terrarium.app.serve.endpoint.endpoints import BODY_SECONDS, make_endpoint
from terrarium.app.serve.endpoint.engine import ModelLease, ServedModel, ThreadEngine
from terrarium.app.serve.endpoint.http_server import HEAD_SECONDS, HttpServer, base_url, bind
from terrarium.app.serve.endpoint.request_log import RequestLog, RequestRecord
from terrarium.models.architecture.transformer import AnyModel, Decoder, Encoder
from terrarium.models.chat.template_config import ChatTemplateConfig
from terrarium.models.settings.model_config import ModelConfig
from terrarium.models.tokenizers import MIN_VOCAB_SIZE

if TYPE_CHECKING:
    import openai


@dataclass(frozen=True)
class Endpoint:
    """A running endpoint with its parts."""

    url: str
    served: ServedModel
    model: AnyModel
    engine: ThreadEngine
    request_log: RequestLog
    finished: list[RequestRecord]
    """The requests that have ended."""
    address: tuple[str, int]


@pytest.fixture(scope="module")
def endpoint(byte_tokenizer: Tokenizer) -> Iterator[Endpoint]:
    """A decoder called tiny, with a context so long that an answer without an end lasts until it is stopped."""
    yield from answering(byte_tokenizer, "decoder-only")


@pytest.fixture(scope="module")
def encoder_endpoint(byte_tokenizer: Tokenizer) -> Iterator[Endpoint]:
    """An encoder."""
    yield from answering(byte_tokenizer, "encoder-only")


@pytest.fixture
def client(endpoint: Endpoint) -> Iterator[openai.OpenAI]:
    """The official client."""
    import openai

    with openai.OpenAI(base_url=endpoint.url, api_key="none", max_retries=0, timeout=240) as client:
        yield client


def until(condition: Callable[[], object]) -> None:
    """Wait for what happens on the server's threads."""
    end = time.monotonic() + 240
    while not condition():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.005)


def tiny_served_model(tokenizer: Tokenizer, topology: str = "decoder-only") -> tuple[ServedModel, AnyModel]:
    """A tiny model with random weights, and how it is served."""
    torch.manual_seed(0)
    config = ModelConfig(
        vocab_size=MIN_VOCAB_SIZE,
        context_length=20_000,
        n_layer=2,
        n_head=2,
        d_model=32,
        position="rope",
        init_std=0.3,
        topology=topology,
    )
    model = (Decoder if topology == "decoder-only" else Encoder)(config).eval()
    served = ServedModel(
        name="tiny",
        other_names=("20260101-000000-tiny",),
        created=1,
        config=config,
        tokenizer=tokenizer,
        template_config=ChatTemplateConfig(),
        acquire=lambda: ModelLease(model=model, step=7),
    )
    return served, model


def answering(
    tokenizer: Tokenizer, topology: str, *, body_seconds: float = BODY_SECONDS, head_seconds: float = HEAD_SECONDS
) -> Iterator[Endpoint]:
    """An endpoint, stopped when the iterator continues."""
    served, model = tiny_served_model(tokenizer, topology)
    finished: list[RequestRecord] = []
    engine, request_log, bound = ThreadEngine(served), RequestLog(finished.append), bind(0)
    app = make_endpoint(engine, request_log, body_seconds)
    server = HttpServer(app, lambda: engine.close("It is over."), head_seconds)
    url, address = base_url(bound), bound.getsockname()
    thread = threading.Thread(target=server.serve_on, args=(bound,))
    thread.start()
    yield Endpoint(url, served, model, engine, request_log, finished, address)
    server.stop()
    thread.join()
