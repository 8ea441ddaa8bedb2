"""One endpoint for all tests of a file, in front of a tiny model with random weights."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import openai
import pytest
import torch
from tokenizers import Tokenizer

from app.serve.endpoint.activity import Activity, Call
from app.serve.endpoint.address import bind, url_of
from app.serve.endpoint.endpoints import make_endpoint
from app.serve.endpoint.engine import Loan, Served
from app.serve.endpoint.http_server import HttpServer
from app.serve.endpoint.thread_engine import ThreadEngine
from models.architecture.transformer import AnyModel, Decoder, Encoder
from models.chat.template_config import ChatTemplateConfig
from models.settings.model_config import ModelConfig
from models.tokenizers import MIN_VOCAB_SIZE


@dataclass(frozen=True)
class Endpoint:
    """An endpoint that answers, and what it answers with."""

    url: str
    served: Served
    model: AnyModel
    engine: ThreadEngine
    activity: Activity
    over: list[Call]
    """The requests that are answered, refused or left."""
    address: tuple[str, int]


@pytest.fixture(scope="module")
def endpoint(byte_tokenizer: Tokenizer) -> Iterator[Endpoint]:
    """A decoder called tiny, whose context takes so much that an answer lasts until somebody stops it."""
    yield from answering(byte_tokenizer, "decoder-only")


@pytest.fixture(scope="module")
def encoder_endpoint(byte_tokenizer: Tokenizer) -> Iterator[Endpoint]:
    """An encoder."""
    yield from answering(byte_tokenizer, "encoder-only")


@pytest.fixture
def client(endpoint: Endpoint) -> Iterator[openai.OpenAI]:
    """The official client."""
    with openai.OpenAI(base_url=endpoint.url, api_key="none", max_retries=0, timeout=240) as client:
        yield client


def until(condition: Callable[[], object]) -> None:
    """Wait for what happens on the server's threads."""
    end = time.monotonic() + 240
    while not condition():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.005)


def tiny_served(tokenizer: Tokenizer, topology: str = "decoder-only") -> tuple[Served, AnyModel]:
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
    served = Served(
        name="tiny",
        other_names=("20260101-000000-tiny",),
        created=1,
        config=config,
        tokenizer=tokenizer,
        form=ChatTemplateConfig(),
        lend=lambda: Loan(model=model, step=7),
    )
    return served, model


def answering(tokenizer: Tokenizer, topology: str) -> Iterator[Endpoint]:
    """An endpoint until the iterator goes on."""
    served, model = tiny_served(tokenizer, topology)
    over: list[Call] = []
    engine, activity, bound = ThreadEngine(served), Activity(over.append), bind(0)
    server = HttpServer(make_endpoint(engine, activity), lambda: engine.close("It is over."))
    url, address = url_of(bound), bound.getsockname()
    thread = threading.Thread(target=server.answer_at, args=(bound,))
    thread.start()
    yield Endpoint(url, served, model, engine, activity, over, address)
    server.stop()
    thread.join()
