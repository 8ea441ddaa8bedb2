"""Prompts of conversations that may be longer than the context: on request, the model itself summarises the oldest
messages, and the summary replaces them.

A small model summarises badly or not at all. An implausible summary (empty, unfinished, not shorter than its source,
repetitive) is not used: the messages are left out instead, and a Notice says so.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Generator, Sequence

from tokenizers import Tokenizer

from terrarium.models.architecture.transformer import AnyModel
from terrarium.models.chat.own_template import Message, max_prompt_tokens
from terrarium.models.chat.prompting import (
    Prompt,
    PromptSettings,
    build_prompt,
    check_fits,
    encode_untruncated,
    truncate_to_fit,
)
from terrarium.models.chat.sandbox import ChatTemplateError
from terrarium.models.chat.template_config import ChatTemplateConfig, reply_ends
from terrarium.models.events import Event, Notice, Phase, Progress, ReplyFinished, TokenMade
from terrarium.models.inference.generate import generate
from terrarium.models.settings.sampling_config import SamplingConfig
from terrarium.models.tokenizers import encode_text

_ASK = (
    "Provide a concise, objective summary of the input conversation in up to three sentences. Keep names, numbers and "
    "what was agreed on."
)
_SO_FAR = "Summary of what was said before: {summary}\n\n"
_STANDS_FOR = "(Summary of our conversation before this: {summary})\n\n{content}"
_SPEAKERS = {"user": "User", "assistant": "Assistant", "system": "System"}
_LOST = "The model could not write a summary, so the oldest messages are left out."


class SummaryCache:
    """A cache of summaries by the messages that they replace; "" for a failed summary.

    A growing conversation keeps its summary until the context is full again.
    """

    def __init__(self) -> None:
        self._known: dict[tuple[tuple[str, str], ...], str] = {}

    def longest(self, messages: Sequence[Message]) -> tuple[int, str]:
        """Return the longest summarised prefix: its number of messages, and the summary; (0, "") if there is none."""
        key = _key(messages)
        n = max((len(known) for known in self._known if key[: len(known)] == known), default=0)
        return n, self._known[key[:n]] if n else ""

    def keep(self, messages: Sequence[Message], summary: str) -> None:
        """Store the summary of these messages."""
        self._known[_key(messages)] = summary


def prompt_events(
    model: AnyModel,
    tokenizer: Tokenizer,
    messages: Sequence[Message],
    prompting: PromptSettings,
    template_config: ChatTemplateConfig,
    summaries: SummaryCache,
    *,
    n_prefix: int = 0,
) -> Generator[Event, None, Prompt]:
    """Like `build_prompt`; yields Phase and Progress (tokens) while it summarises, and a Notice if that failed.

    Raises:
        ValueError: as `build_prompt`.
    """
    context_length = model.config.context_length
    if prompting.when_full != "summarise":
        return build_prompt(context_length, tokenizer, messages, prompting, template_config, n_prefix=n_prefix)
    first, rest = _split(messages)
    n, summary = summaries.longest(rest)
    prompt = _with_summary(model, tokenizer, first, rest, n, summary, prompting, template_config, n_prefix)
    if prompt.n_left_out > n:  # summarise more than necessary, so that not every reply requires a new summary
        shorter = truncate_to_fit(
            context_length,
            tokenizer,
            [*first, *rest[n:]],
            prompting,
            template_config,
            n_prefix=n_prefix,
            max_tokens=max_prompt_tokens(context_length) // 2,
        )
        n_new = n + shorter.n_left_out
        yield Phase(name=f"Summarising the oldest {n_new} messages" if n_new > 1 else "Summarising the oldest message")
        summary = yield from _summarise(model, tokenizer, summary, rest[n:n_new], template_config)
        summaries.keep(rest[:n_new], summary)
        n = n_new
        prompt = _with_summary(model, tokenizer, first, rest, n, summary, prompting, template_config, n_prefix)
    if n and not summary:
        yield Notice(sentence=_LOST)
    check_fits(prompt, n_prefix)
    return prompt


def _split(messages: Sequence[Message]) -> tuple[list[Message], list[Message]]:
    """Split off the system message, if any."""
    n = 1 if messages and messages[0]["role"] == "system" else 0
    return list(messages[:n]), list(messages[n:])


def _with_summary(
    model: AnyModel,
    tokenizer: Tokenizer,
    first: list[Message],
    rest: list[Message],
    n: int,
    summary: str,
    prompting: PromptSettings,
    template_config: ChatTemplateConfig,
    n_prefix: int,
) -> Prompt:
    """Build the prompt with a summary instead of the oldest n messages; more are left out if it still does not fit."""
    kept = rest[n:]
    if summary and kept:
        content = _STANDS_FOR.format(summary=summary, content=kept[0]["content"])
        kept = [{**kept[0], "content": content}, *kept[1:]]
    prompt = truncate_to_fit(
        model.config.context_length, tokenizer, [*first, *kept], prompting, template_config, n_prefix=n_prefix
    )
    summary = summary if prompt.n_left_out == 0 else ""
    return dataclasses.replace(prompt, n_left_out=n + prompt.n_left_out, summary=summary)


def _summarise(
    model: AnyModel, tokenizer: Tokenizer, so_far: str, messages: Sequence[Message], template_config: ChatTemplateConfig
) -> Generator[Event, None, str]:
    """Merge a summary and the messages after it into a new one, in several steps if they are long; "" on failure."""
    longest = max(model.config.context_length // 8, 16)
    waiting = [f"{_SPEAKERS[message['role']]}: {message['content']}" for message in messages]
    while waiting:
        text, n = _take_what_fits(model, tokenizer, so_far, waiting, template_config, longest)
        ids = _ask(model, tokenizer, text, template_config)
        made = yield from _generate_summary(model, tokenizer, ids, template_config, longest)
        so_far = made if _is_plausible(tokenizer, made, text) else ""
        if not so_far:
            return ""
        waiting = waiting[n:]
    return so_far


def _ask(model: AnyModel, tokenizer: Tokenizer, text: str, template_config: ChatTemplateConfig) -> list[int]:
    """Encode a summary request; as a single message for templates without a system role."""
    length = model.config.context_length
    apart: list[Message] = [{"role": "system", "content": _ASK}, {"role": "user", "content": text}]
    try:
        prompt = encode_untruncated(length, tokenizer, apart, PromptSettings(), template_config)
    except ChatTemplateError:
        together: list[Message] = [{"role": "user", "content": f"{_ASK}\n\n{text}"}]
        prompt = encode_untruncated(length, tokenizer, together, PromptSettings(), template_config)
    ids: list[int] = prompt.ids.tolist()
    return ids


def _take_what_fits(
    model: AnyModel,
    tokenizer: Tokenizer,
    so_far: str,
    waiting: Sequence[str],
    template_config: ChatTemplateConfig,
    longest: int,
) -> tuple[str, int]:
    """Return the summary so far with the messages that fit one prompt (at least the start of one); their number."""
    room = model.config.context_length - longest
    before = _SO_FAR.format(summary=so_far) if so_far else ""
    text, n = before + waiting[0], 1
    while n < len(waiting) and len(_ask(model, tokenizer, f"{text}\n\n{waiting[n]}", template_config)) <= room:
        text, n = f"{text}\n\n{waiting[n]}", n + 1
    while (n_ids := len(_ask(model, tokenizer, text, template_config))) > room and len(text) > 1:
        text = text[: min(len(text) * room // n_ids, len(text) - 1)]
    return text, n


def _generate_summary(
    model: AnyModel, tokenizer: Tokenizer, ids: Sequence[int], template_config: ChatTemplateConfig, longest: int
) -> Generator[Event, None, str]:
    """Generate the greedy reply; only its complete sentences if it does not end."""
    ends = reply_ends(model.config, tokenizer, template_config)
    sampling = SamplingConfig(temperature=0.0, max_tokens=longest, stop=ends.texts)
    made, ended, n, reported, total = "", False, 0, time.monotonic(), len(ids) + longest
    for event in generate(model, tokenizer, ids, sampling, end_ids=ends.ids):
        if isinstance(event, TokenMade):
            made, n = made + event.text, n + 1
            if time.monotonic() - reported > 0.1:
                reported = time.monotonic()
                yield Progress(done=len(ids) + n, total=total)
        elif isinstance(event, ReplyFinished):
            ended = event.reason == "stop"
        else:
            yield Progress(done=event.done, total=total)
    whole = made if ended else made[: max(map(made.rfind, ".!?")) + 1]
    return " ".join(whole.split())


def _is_plausible(tokenizer: Tokenizer, summary: str, text: str) -> bool:
    """Return whether a text can be a summary of another: not empty, shorter, and not repetitive."""
    words = summary.split()
    threes = [tuple(words[i : i + 3]) for i in range(len(words) - 2)]
    in_circles = len(threes) > 8 and len(set(threes)) < 0.6 * len(threes)
    return bool(words) and not in_circles and len(encode_text(tokenizer, summary)) < len(encode_text(tokenizer, text))


def _key(messages: Sequence[Message]) -> tuple[tuple[str, str], ...]:
    return tuple((message["role"], message["content"]) for message in messages)
