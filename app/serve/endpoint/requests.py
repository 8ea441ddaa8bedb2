"""Converts request bodies into prompts as token ids and sampling settings, and generates their texts."""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from terrarium.app.serve.endpoint.engine import ServedModel
from terrarium.app.serve.endpoint.errors import ApiError
from terrarium.app.serve.endpoint.logprobs import stripped, token_deltas, token_deltas_with_logprobs
from terrarium.app.serve.endpoint.schemas import ApiRequest, ChatMessage, ChatRequest, CompletionRequest
from terrarium.models.events import Event
from terrarium.models.settings.sampling_config import NUMERIC_SETTINGS, SamplingConfig

if TYPE_CHECKING:
    from tokenizers import Tokenizer

_SEEDS = 2**31


@dataclass(frozen=True, kw_only=True)
class GenerationRequest:
    """One text to generate: its prompt, sampling settings, and the tokens that end it.

    echo: text to put before the generated one. n_top_logprobs: see ApiRequest. is_reply: whether it is a message, of
    which surrounding white space is stripped.
    """

    prompt_ids: tuple[int, ...]
    end_ids: tuple[int, ...]
    sampling: SamplingConfig = field(default_factory=SamplingConfig)
    n_top_logprobs: int | None = None
    echo: str = ""
    is_reply: bool = False


@dataclass(frozen=True, kw_only=True)
class GenerationStarted(Event):
    """Generation has started, with the weights of training step `step`, if known."""

    step: int | None


def chat_requests(served: ServedModel, body: ChatRequest) -> list[GenerationRequest]:
    """Return the replies to generate for a chat request. Takes seconds for long conversations.

    Raises:
        ApiError: 400, if the model is not a chat model, or the conversation does not fit into its context.
    """
    if served.config.topology != "decoder-only":
        what = "an encoder" if served.config.topology == "encoder-only" else "an encoder-decoder"
        raise ApiError(400, f"“{served.name}” is {what}, not a chat model.", param="model")
    _check_writes(served)
    from terrarium.models.chat.prompting import PromptSettings, encode_untruncated
    from terrarium.models.chat.template_config import reply_ends

    messages = [{"role": _role(message), "content": message.content} for message in body.messages]
    try:
        prompt = encode_untruncated(
            served.config.context_length, served.tokenizer, messages, PromptSettings(), served.template_config
        )
    except ValueError as error:  # a template can refuse a message
        raise ApiError(400, str(error), param="messages") from error
    ids = _checked_prompt(served, prompt.ids.tolist(), "messages")
    ends = reply_ends(served.config, served.tokenizer, served.template_config)
    request = GenerationRequest(prompt_ids=ids, end_ids=ends.ids, n_top_logprobs=body.n_top_logprobs, is_reply=True)
    return _with_seeds(served, body, [request], stop=ends.texts, advised=served.template_config.sampling)


def _check_writes(served: ServedModel) -> None:
    if served.config.head != "language":
        raise ApiError(400, f"“{served.name}” predicts labels and does not generate text.", param="model")


def completion_requests(served: ServedModel, body: CompletionRequest) -> list[GenerationRequest]:
    """Return the texts to generate for a completion request, `n` per prompt in order. Takes seconds for long texts.

    Raises:
        ApiError: 400, if the model does not generate text, or a prompt is invalid or does not fit into its context.
    """
    if served.config.topology == "encoder-only":
        raise ApiError(400, f"“{served.name}” is an encoder: it fills masks and does not generate text.", param="model")
    _check_writes(served)
    from terrarium.models.tokenizers.special_tokens import end_id

    end, requests = end_id(served.tokenizer, served.config), []
    for prompt in body.prompt:
        ids = _checked_prompt(served, _prompt_ids(served, prompt), "prompt")
        echo = _echo(served.tokenizer, prompt) if body.echo else ""
        end_ids = () if end is None else (end,)
        requests.append(
            GenerationRequest(prompt_ids=ids, end_ids=end_ids, n_top_logprobs=body.n_top_logprobs, echo=echo)
        )
    return _with_seeds(served, body, requests)


def generate_text(served: ServedModel, request: GenerationRequest) -> Iterator[Event]:
    """Generate a text: GenerationStarted, a TokenDelta per token, ReplyFinished. Runs on the model's thread."""
    from terrarium.models.inference.generate import generate

    lease = served.acquire()
    yield GenerationStarted(step=lease.step)
    events = generate(
        lease.model,
        served.tokenizer,
        request.prompt_ids,
        request.sampling,
        n_top=request.n_top_logprobs or 0,
        end_ids=request.end_ids,
    )
    if request.n_top_logprobs is None:
        deltas = token_deltas(events)
    else:
        deltas = token_deltas_with_logprobs(events, served.tokenizer, request.end_ids)
    yield from stripped(deltas) if request.is_reply else deltas


def _role(message: ChatMessage) -> str:
    return "system" if message.role == "developer" else message.role  # two names for the same role


def _prompt_ids(served: ServedModel, prompt: str | list[int]) -> list[int]:
    from terrarium.models.inference.prompts import encode_for

    if isinstance(prompt, str):
        return encode_for(served.config, served.tokenizer, prompt)
    size = served.config.vocab_size
    unknown = next((id for id in prompt if not 0 <= id < size), None)
    if unknown is not None:
        raise ApiError(400, f"There is no token {unknown}: ids go from 0 to {size - 1}.", param="prompt")
    return prompt


def _echo(tokenizer: Tokenizer, prompt: str | list[int]) -> str:
    from terrarium.models.tokenizers import decode

    return prompt if isinstance(prompt, str) else decode(tokenizer, prompt)


def _checked_prompt(served: ServedModel, ids: Sequence[int], param: str) -> tuple[int, ...]:
    """Return a prompt after checking that it is not empty, and that at least one token fits after it."""
    from terrarium.models.inference.continuation import check_prompt

    try:
        check_prompt(len(ids), served.config.context_length)
    except ValueError as error:
        code = "context_length_exceeded" if ids else "empty_prompt"
        raise ApiError(400, str(error), param=param, code=code) from error
    return tuple(ids)


def _with_seeds(
    served: ServedModel,
    body: ApiRequest,
    requests: Sequence[GenerationRequest],
    *,
    stop: Sequence[str] = (),
    advised: Mapping[str, float] | None = None,
) -> list[GenerationRequest]:
    """Return `n` copies of each request, with the sampling settings of `body` and consecutive seeds.

    The first copy has the seed itself, so it is the text that `terrarium generate` makes. Settings missing from the
    request default to those recommended for the model (`advised`).
    """
    size, longest = served.config.vocab_size, served.config.context_length
    unknown = next((id for id in body.logit_bias if int(id) >= size), None)
    if unknown is not None:
        raise ApiError(400, f"There is no token {unknown}: ids go from 0 to {size - 1}.", param="logit_bias")
    recommended = {name: value for name, value in (advised or {}).items() if name not in body.model_fields_set}
    values: dict[str, Any] = {name: getattr(body, name) for name in NUMERIC_SETTINGS} | recommended
    try:
        sampling = SamplingConfig(
            **{**values, "top_k": max(int(values["top_k"]), 0)},
            logit_bias=tuple((int(id), value) for id, value in body.logit_bias.items()),
            stop=(*body.stop, *stop),
            max_tokens=min(body.max_new_tokens or longest, longest),
        )
    except ValueError as error:
        raise ApiError(400, str(error), param="stop" if "stop" in str(error) else None) from error
    seed = secrets.randbelow(_SEEDS) if body.seed is None else body.seed
    return [
        replace(request, sampling=replace(sampling, seed=(seed + i) % _SEEDS))
        for request in requests
        for i in range(body.n)
    ]
