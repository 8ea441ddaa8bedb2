"""The endpoint as OpenAI's client sees it: the same texts as `generate`, in OpenAI's formats, several at a time."""

from __future__ import annotations

import dataclasses
import http.client
import itertools
import json
from collections.abc import Iterator
from contextlib import closing
from typing import TYPE_CHECKING

import pytest
import torch

from terrarium.app.serve.endpoint.errors import ApiError
from terrarium.app.serve.endpoint.requests import chat_requests
from terrarium.app.serve.endpoint.schemas import ChatRequest, read_body
from terrarium.models.chat.own_template import encode_messages
from terrarium.models.chat.template_config import ChatTemplateConfig
from terrarium.models.events import ReplyFinished, TokenMade
from terrarium.models.inference.generate import generate
from terrarium.models.settings.sampling_config import NUMERIC_SETTINGS, SamplingConfig
from terrarium.models.tokenizers import IncrementalDecoder, TokenBytes, decode, encode_text
from terrarium.models.tokenizers.special_tokens import end_id
from tests.app.serve.endpoint.conftest import Endpoint, until
from tests.models.every_cut import EVERY_CUT

if TYPE_CHECKING:
    import openai

ASKED = [{"role": "user", "content": "Where is Ben?"}]


def made(endpoint: Endpoint, ids: list[int], config: SamplingConfig) -> tuple[str, list[int], str]:
    """Text, ids and reason of what `generate` makes."""
    text, tokens = "", []
    for event in generate(endpoint.model, endpoint.served.tokenizer, ids, config):
        if isinstance(event, ReplyFinished):
            return text, tokens, event.reason
        assert isinstance(event, TokenMade)
        text += event.text
        tokens.append(event.id)
    raise AssertionError


def asked_ids(endpoint: Endpoint) -> list[int]:
    return encode_messages(endpoint.served.tokenizer, ASKED, add_generation_prompt=True)[0]


def no_end(endpoint: Endpoint) -> dict[str, int]:
    """A bias with which an answer goes on and on."""
    return {str(end_id(endpoint.served.tokenizer, endpoint.served.config)): -100}


def test_models(client: openai.OpenAI) -> None:
    import openai

    assert [model.id for model in client.models.list()] == ["tiny"]
    assert client.models.retrieve("20260101-000000-tiny").id == "tiny"
    with pytest.raises(openai.NotFoundError, match="no model “gpt-5” here"):
        client.models.retrieve("gpt-5")


def test_a_chat_is_what_generate_makes(client: openai.OpenAI, endpoint: Endpoint) -> None:
    ids = asked_ids(endpoint)
    text, tokens, reason = made(endpoint, ids, SamplingConfig(temperature=0.9, seed=3, max_tokens=40))
    reply = client.chat.completions.create(model="tiny", messages=ASKED, temperature=0.9, seed=3, max_tokens=40)
    assert reply.choices[0].message.content == text.strip()
    assert reply.choices[0].message.role == "assistant"
    assert reply.choices[0].finish_reason == reason
    assert reply.choices[0].logprobs is None
    assert reply.system_fingerprint == "step-7"
    assert reply.usage is not None
    assert (reply.usage.prompt_tokens, reply.usage.completion_tokens) == (len(ids), len(tokens))

    stream = client.chat.completions.create(
        model="20260101-000000-tiny",
        messages=[
            {"role": "user", "content": [{"type": "text", "text": "Where is "}, {"type": "text", "text": "Ben?"}]}
        ],
        temperature=0.9,
        seed=3,
        max_completion_tokens=40,
        stream=True,
        stream_options={"include_usage": True},
    )
    *pieces, counts = list(stream)
    assert pieces[0].choices[0].delta.role == "assistant"
    assert "".join(piece.choices[0].delta.content or "" for piece in pieces) == text.strip()
    assert [piece.choices[0].finish_reason for piece in pieces][-2:] == [None, reason]
    assert counts.choices == []
    assert counts.usage == reply.usage


def test_without_a_seed_answers_differ(client: openai.OpenAI) -> None:
    texts = {client.completions.create(model="tiny", prompt="The cat").choices[0].text for _ in range(3)}
    assert len(texts) > 1


def test_logprobs_are_the_models_own(client: openai.OpenAI, endpoint: Endpoint) -> None:
    ids = asked_ids(endpoint)
    _, tokens, _ = made(endpoint, ids, SamplingConfig(temperature=0.5, seed=1, max_tokens=12))
    tokens = [id for id in tokens if str(id) not in no_end(endpoint)]  # the end has no text, and no score
    with torch.inference_mode():
        logits = endpoint.model(torch.tensor([[*ids, *tokens]]))[0, len(ids) - 1 : -1]
    expected = torch.log_softmax(logits, dim=-1)

    def ask(**more: object) -> object:
        return client.chat.completions.create(  # type: ignore[call-overload]
            model="tiny", messages=ASKED, temperature=0.5, seed=1, max_tokens=12, logprobs=True, top_logprobs=3, **more
        )

    whole = ask()
    content = whole.choices[0].logprobs.content  # type: ignore[attr-defined]
    assert bytes(itertools.chain.from_iterable(token.bytes for token in content)).decode(errors="replace") == (
        whole.choices[0].message.content  # type: ignore[attr-defined]
    )
    for place, (id, token) in enumerate(zip(tokens, content, strict=True)):
        assert token.logprob == pytest.approx(float(expected[place, id]), abs=1e-4)
        best = expected[place].topk(3).values.tolist()
        assert [other.logprob for other in token.top_logprobs] == pytest.approx(best, abs=1e-4)
    pieces = list(ask(stream=True))  # type: ignore[call-overload]
    streamed = [t for p in pieces if p.choices[0].logprobs for t in p.choices[0].logprobs.content]
    assert streamed == content


def test_completions_of_several_prompts(client: openai.OpenAI, endpoint: Endpoint) -> None:
    tokenizer = endpoint.served.tokenizer
    prompts = ["The cat", "One day"]
    config = SamplingConfig(temperature=1.0, max_tokens=16)
    expected = []
    for prompt in prompts:
        for seed in (5, 6):
            sampling = SamplingConfig(temperature=1.0, max_tokens=16, seed=seed)
            expected.append(prompt + made(endpoint, encode_text(tokenizer, prompt), sampling)[0])
    reply = client.completions.create(model="tiny", prompt=prompts, n=2, seed=5, echo=True)
    assert [choice.text for choice in reply.choices] == expected
    assert [choice.index for choice in reply.choices] == [0, 1, 2, 3]
    stream = client.completions.create(model="tiny", prompt=prompts, n=2, seed=5, echo=True, stream=True)
    texts = ["", "", "", ""]
    for piece in stream:
        texts[piece.choices[0].index] += piece.choices[0].text
    assert texts == expected
    by_ids = client.completions.create(model="tiny", prompt=encode_text(tokenizer, "The cat"), seed=0)
    assert by_ids.choices[0].text == made(endpoint, encode_text(tokenizer, "The cat"), config)[0]


def test_logprobs_of_completions(client: openai.OpenAI) -> None:
    reply = client.completions.create(model="tiny", prompt="Zoë", seed=2, max_tokens=10, logprobs=2)
    scores = reply.choices[0].logprobs
    assert scores is not None
    assert scores.tokens is not None
    assert scores.text_offset is not None
    assert scores.top_logprobs is not None
    assert scores.text_offset[0] == 0
    assert scores.text_offset == sorted(scores.text_offset)
    assert all(len(top) == 2 for top in scores.top_logprobs)
    assert len(scores.tokens) == len(scores.token_logprobs or ()) == len(scores.text_offset)


def test_a_stop_text_is_found_across_tokens(client: openai.OpenAI, endpoint: Endpoint) -> None:
    ids = asked_ids(endpoint)
    drawn = {"temperature": 0.0, "max_tokens": 30}
    whole, tokens, _ = made(endpoint, ids, SamplingConfig(**drawn))  # type: ignore[arg-type]
    stop = whole[4:7]  # of three tokens at least: each is a byte
    before = whole[: whole.index(stop)].strip()
    sampling = {"model": "tiny", "messages": ASKED, "logprobs": True, **drawn}
    reply = client.chat.completions.create(**sampling, stop=stop)  # type: ignore[call-overload]
    assert reply.choices[0].message.content == before
    assert reply.choices[0].finish_reason == "stop"
    assert reply.usage.completion_tokens < len(tokens)
    told = [bytes(token.bytes) for token in reply.choices[0].logprobs.content]
    assert b"".join(told).decode(errors="replace") == before
    stream = client.chat.completions.create(**sampling, stop=["never so", stop], stream=True)  # type: ignore[call-overload]
    assert "".join(piece.choices[0].delta.content or "" for piece in stream) == before


def test_penalties_and_biases_arrive(client: openai.OpenAI, endpoint: Endpoint) -> None:
    prompt = encode_text(endpoint.served.tokenizer, "The cat")
    more = {"frequency_penalty": 1.5, "presence_penalty": 1.0}
    sampling = SamplingConfig(
        temperature=0.8, top_p=0.9, top_k=40, seed=4, max_tokens=24, logit_bias=((101, 5.0),), **more
    )
    reply = client.completions.create(
        model="tiny",
        prompt="The cat",
        temperature=0.8,
        top_p=0.9,
        seed=4,
        max_tokens=24,
        logit_bias={"101": 5},
        extra_body={"top_k": 40},
        **more,
    )
    assert reply.choices[0].text == made(endpoint, prompt, sampling)[0]


def test_two_clients_are_served_at_the_same_time(client: openai.OpenAI, endpoint: Endpoint) -> None:
    def ask() -> openai.Stream[openai.types.chat.ChatCompletionChunk]:
        return client.chat.completions.create(
            model="tiny", messages=ASKED, logit_bias=no_end(endpoint), max_tokens=20_000, stream=True
        )

    with ask() as first, ask() as second:
        for _ in range(3):  # either would go on for long, and both come to word again and again
            for stream in (first, second):
                began = sum(record.n_made for record in endpoint.request_log.records)
                for piece in stream:
                    if piece.choices[0].delta.content:
                        break
                assert sum(record.n_made for record in endpoint.request_log.records) >= began
        assert [record.state for record in endpoint.request_log.records[:2]] == ["writing", "writing"]
        # Who asks for little is answered long before they are done.
        assert client.completions.create(model="tiny", prompt="a", max_tokens=1).usage


def test_disconnecting_stops_the_answer(client: openai.OpenAI, endpoint: Endpoint) -> None:
    until(lambda: endpoint.request_log.n_open == 0)
    n_before = len(endpoint.finished)
    stream = client.chat.completions.create(
        model="tiny", messages=ASKED, logit_bias=no_end(endpoint), max_tokens=20_000, stream=True
    )
    next(iter(stream))
    stream.close()
    with closing(http.client.HTTPConnection(*endpoint.address)) as connection:  # not streamed: it waits, and gives up
        asked = {"model": "tiny", "messages": ASKED, "logit_bias": no_end(endpoint), "max_tokens": 20_000}
        headers = {"Content-Type": "application/json"}
        connection.request("POST", "/v1/chat/completions", json.dumps(asked), headers)
        until(lambda: endpoint.request_log.n_open == 1 and len(endpoint.finished) == n_before + 1)
    until(lambda: len(endpoint.finished) == n_before + 2)
    assert [record.state for record in endpoint.finished[n_before:]] == ["left", "left"]
    assert endpoint.request_log.n_open == 0
    made_then = [record.n_made for record in endpoint.request_log.records[:2]]
    assert max(made_then) < 20_000
    client.completions.create(model="tiny", prompt="a", max_tokens=1)  # answered at once: nobody else computes
    assert [record.n_made for record in endpoint.request_log.records[1:3]] == made_then


def test_omitted_settings_are_those_recommended_for_the_model(endpoint: Endpoint) -> None:
    form = ChatTemplateConfig(sampling={"temperature": 0.2, "top_k": 5})
    served = dataclasses.replace(endpoint.served, template_config=form)
    asked = ChatRequest.model_validate({"model": "tiny", "messages": ASKED, "top_k": -1})
    (request,) = chat_requests(served, asked)
    assert (request.sampling.temperature, request.sampling.top_k) == (0.2, 0)
    assert request.sampling.max_tokens == 20_000


@pytest.mark.parametrize("name", NUMERIC_SETTINGS)
def test_every_sampling_setting_is_a_field_within_its_limits(endpoint: Endpoint, name: str) -> None:
    low, _ = next(f.metadata["range"] for f in dataclasses.fields(SamplingConfig) if f.name == name)
    value = EVERY_CUT.get(name, {name: type(low)(1)})[name]
    asked = ChatRequest.model_validate({"model": "tiny", "messages": ASKED, name: value})
    (request,) = chat_requests(endpoint.served, asked)
    assert request.sampling == SamplingConfig(
        **{"temperature": 1.0, name: value},
        max_tokens=request.sampling.max_tokens,
        seed=request.sampling.seed,
        stop=request.sampling.stop,
    )
    for wrong in (low - 2, "much"):
        with pytest.raises(ApiError, match=name):
            read_body(json.dumps({"model": "tiny", "messages": ASKED, name: wrong}).encode(), ChatRequest)


def test_a_model_with_a_template_of_its_own(endpoint: Endpoint) -> None:
    template = "{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}assistant:"
    served = dataclasses.replace(endpoint.served, template_config=ChatTemplateConfig(template=template))
    asked = ChatRequest.model_validate({"model": "tiny", "messages": ASKED, "stop": "x"})
    (request,) = chat_requests(served, asked)
    assert decode(served.tokenizer, request.prompt_ids) == "user: Where is Ben?\nassistant:"
    assert request.sampling.stop == ("x", "\nuser: ")


SAID = " \n The shed is\n built of gläss. \n"


@pytest.fixture
def said(endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch) -> None:
    """The model says SAID, in single bytes."""
    table = TokenBytes(endpoint.served.tokenizer)
    ids = {table[id]: id for id in range(endpoint.served.config.vocab_size)}

    def say(*_: object, **__: object) -> Iterator[TokenMade | ReplyFinished]:
        decoder, data = IncrementalDecoder(endpoint.served.tokenizer), SAID.encode()
        for byte in data:
            id = ids[bytes([byte])]
            top = ((id, -0.5),)
            yield TokenMade(id=id, text=decoder.add(id), probability=0.6, entropy=1.0, rank=1, draw=0.5, top=top)
        yield ReplyFinished(n_prompt=5, n_tokens=len(data), prefill_s=0.1, tokens_per_s=10.0, reason="length")

    monkeypatch.setattr("terrarium.models.inference.generate.generate", say)


@pytest.mark.usefixtures("said")
@pytest.mark.parametrize("scores", [{}, {"logprobs": True, "top_logprobs": 1}])
def test_a_message_has_no_white_space_around_it(client: openai.OpenAI, scores: dict[str, object]) -> None:
    asked = {"model": "tiny", "messages": ASKED, **scores}
    (choice,) = client.chat.completions.create(**asked).choices  # type: ignore[call-overload]
    assert choice.message.content == SAID.strip()
    pieces = list(client.chat.completions.create(**asked, stream=True))  # type: ignore[call-overload]
    assert "".join(piece.choices[0].delta.content or "" for piece in pieces) == SAID.strip()
    if scores:
        streamed = [t for p in pieces if p.choices[0].logprobs for t in p.choices[0].logprobs.content]
        assert streamed == choice.logprobs.content
        assert b"".join(bytes(token.bytes) for token in streamed).decode() == SAID.strip()
        assert len(streamed) == len(SAID.encode()), "each token has its score"


@pytest.mark.usefixtures("said")
def test_a_completion_keeps_the_white_space_around_it(client: openai.OpenAI) -> None:
    reply = client.completions.create(model="tiny", prompt="One day", echo=True)
    assert reply.choices[0].text == "One day" + SAID
