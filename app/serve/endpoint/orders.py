"""From a request to what is to be made: the prompts as token ids, how the texts are drawn, and the work itself."""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from app.serve.endpoint.engine import Served
from app.serve.endpoint.errors import ApiError
from app.serve.endpoint.schemas import Asked, ChatAsked, CompletionAsked, Message
from app.serve.endpoint.scores import plain_events, scored_events
from models.events import Event
from models.settings.sampling_config import NUMBERS, SamplingConfig

if TYPE_CHECKING:
    from tokenizers import Tokenizer

_SEEDS = 2**31


@dataclass(frozen=True, kw_only=True)
class Order:
    """One text to make: what it goes on from, how, and which tokens end it.

    `echo` is a text that comes before it; `n_top`: see Asked.
    """

    ids: tuple[int, ...]
    end_ids: tuple[int, ...]
    sampling: SamplingConfig = field(default_factory=SamplingConfig)
    n_top: int | None = None
    echo: str = ""


@dataclass(frozen=True, kw_only=True)
class Began(Event):
    """The text is being made, with weights of the training step `step`, where that is known."""

    step: int | None


def chat_orders(served: Served, asked: ChatAsked) -> list[Order]:
    """The replies that a chat request asks for; seconds of work for long texts.

    Raises:
        ApiError: 400, where the model holds no conversations, or this one does not fit into its context.
    """
    if served.config.topology != "decoder-only":
        what = "an encoder, which fills masks" if served.config.topology == "encoder-only" else "an encoder-decoder"
        raise ApiError(400, f"“{served.name}” is {what}, so it holds no conversations.", param="model")
    from models.chat.prompting import PromptSettings, encode_untruncated
    from models.chat.template_config import reply_ends

    messages = [{"role": _role(message), "content": message.content} for message in asked.messages]
    try:
        prompt = encode_untruncated(
            served.config.context_length, served.tokenizer, messages, PromptSettings(), served.form
        )
    except ValueError as error:  # a template can refuse whatever it does not know
        raise ApiError(400, str(error), param="messages") from error
    ids = _checked(served, prompt.ids.tolist(), "messages")
    ends = reply_ends(served.config, served.tokenizer, served.form)
    order = Order(ids=ids, end_ids=ends.ids, n_top=asked.n_top)
    return _numbered(served, asked, [order], stop=ends.texts, advised=served.form.sampling)


def completion_orders(served: Served, asked: CompletionAsked) -> list[Order]:
    """The texts that a completion request asks for, `n` of the first prompt first; seconds of work for long texts.

    Raises:
        ApiError: 400, where the model writes no texts, or a prompt is none or does not fit into its context.
    """
    if served.config.topology == "encoder-only":
        raise ApiError(400, f"“{served.name}” is an encoder, which fills masks and writes no texts.", param="model")
    from models.tokenizers.special_tokens import end_id

    end, orders = end_id(served.tokenizer, served.config), []
    for prompt in asked.prompt:
        ids = _checked(served, _prompt_ids(served, prompt), "prompt")
        echo = _echo(served.tokenizer, prompt) if asked.echo else ""
        end_ids = () if end is None else (end,)
        orders.append(Order(ids=ids, end_ids=end_ids, n_top=asked.n_top, echo=echo))
    return _numbered(served, asked, orders)


def make_text(served: Served, order: Order) -> Iterator[Event]:
    """Where models compute: Began, Said for each token, and ReplyFinished. The texts are those of `generate`."""
    from models.inference.generate import generate

    loan = served.lend()
    yield Began(step=loan.step)
    events = generate(
        loan.model, served.tokenizer, order.ids, order.sampling, n_top=order.n_top or 0, end_ids=order.end_ids
    )
    if order.n_top is None:
        yield from plain_events(events)
    else:
        yield from scored_events(events, served.tokenizer, order.end_ids)


def _role(message: Message) -> str:
    return "system" if message.role == "developer" else message.role  # two names for one thing


def _prompt_ids(served: Served, prompt: str | list[int]) -> list[int]:
    from models.inference.prompts import encode_for

    if isinstance(prompt, str):
        return encode_for(served.config, served.tokenizer, prompt)
    size = served.config.vocab_size
    strange = next((id for id in prompt if not 0 <= id < size), None)
    if strange is not None:
        raise ApiError(400, f"There is no token {strange}: ids go from 0 to {size - 1}.", param="prompt")
    return prompt


def _echo(tokenizer: Tokenizer, prompt: str | list[int]) -> str:
    from models.tokenizers import decode

    return prompt if isinstance(prompt, str) else decode(tokenizer, prompt)


def _checked(served: Served, ids: Sequence[int], param: str) -> tuple[int, ...]:
    """The prompt, if there is one and at least one token can follow it."""
    from models.inference.continuation import check_prompt

    try:
        check_prompt(len(ids), served.config.context_length)
    except ValueError as error:
        code = "context_length_exceeded" if ids else "empty_prompt"
        raise ApiError(400, str(error), param=param, code=code) from error
    return tuple(ids)


def _numbered(
    served: Served,
    asked: Asked,
    orders: Sequence[Order],
    *,
    stop: Sequence[str] = (),
    advised: Mapping[str, float] | None = None,
) -> list[Order]:
    """`n` of each, drawn as asked; the first with the seed itself, so it is what `terrarium generate` makes.

    What the request leaves off is as the model's makers advise.
    """
    size, longest = served.config.vocab_size, served.config.context_length
    strange = next((id for id in asked.logit_bias if int(id) >= size), None)
    if strange is not None:
        raise ApiError(400, f"There is no token {strange}: ids go from 0 to {size - 1}.", param="logit_bias")
    left_off = {name: value for name, value in (advised or {}).items() if name not in asked.model_fields_set}
    values: dict[str, Any] = {name: getattr(asked, name) for name in NUMBERS} | left_off
    try:
        sampling = SamplingConfig(
            **{**values, "top_k": max(int(values["top_k"]), 0)},
            logit_bias=tuple((int(id), value) for id, value in asked.logit_bias.items()),
            stop=(*asked.stop, *stop),
            max_tokens=min(asked.max_new or longest, longest),
        )
    except ValueError as error:
        raise ApiError(400, str(error), param="stop" if "stop" in str(error) else None) from error
    seed = secrets.randbelow(_SEEDS) if asked.seed is None else asked.seed
    return [
        replace(order, sampling=replace(sampling, seed=(seed + i) % _SEEDS)) for order in orders for i in range(asked.n)
    ]
