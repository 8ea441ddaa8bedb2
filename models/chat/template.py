"""Chat templates (Jinja, as in tokenizer_config.json) of strangers, rendered in a child process with limits."""

from __future__ import annotations

import dataclasses
import functools
import itertools
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from terrarium.models.chat.sandbox import ChatTemplateError, render_here
from terrarium.models.child_process import ChildProcess, LimitError, Limits

LIMITS = Limits(seconds=5.0, memory_bytes=1 << 29, answer_bytes=1 << 20)
"""Known templates take milliseconds, and a few times the memory of their messages. The answer may have _REPEATS more
bytes per character of the messages."""

_REPEATS = 16
_AT_A_TIME = 500
"""Conversations per call: of known templates a fiftieth of LIMITS."""

Message = Mapping[str, str]


class RenderedConversation(NamedTuple):
    """A conversation rendered as text, with special tokens as text.

    ends: where each message ends in it, in characters. n_before: how many characters the template writes before the
    first message, for instance a default system prompt. prompt: the generation prompt before the
    first reply, or "".
    """

    text: str
    ends: list[int]
    n_before: int
    prompt: str


def render_template(
    template: str,
    messages: Sequence[Message],
    *,
    add_generation_prompt: bool,
    named_tokens: Mapping[str, str] | None = None,
) -> str:
    """Render a conversation. Takes milliseconds; at most the time in LIMITS.

    Args:
        add_generation_prompt: end the text with the start of the assistant's turn.
        named_tokens: the tokens of NAMED_TOKENS that are available.

    Raises:
        ChatTemplateError: if the template fails, rejects the conversation, needs a missing named token, or
            exceeds LIMITS.
    """
    return _render_one(template, messages, add_generation_prompt, named_tokens or {}, "", ()).text


def render_conversation(
    template: str,
    messages: Sequence[Message],
    *,
    mark: str,
    marked: Sequence[Message],
    add_generation_prompt: bool,
    named_tokens: Mapping[str, str],
) -> RenderedConversation:
    """Render like `render_template`, with message boundaries: several renderings within the limits of one call.

    Args:
        marked: the messages with `mark`, which occurs nowhere else, at positions in their contents. It remains in
            the text, but is not counted.
    """
    return _render_one(template, messages, add_generation_prompt, named_tokens, mark, marked)


def render_conversations(
    template: str,
    conversations: Sequence[Sequence[Message]],
    *,
    mark: str,
    marked: Sequence[Sequence[Message]],
    named_tokens: Mapping[str, str],
    numbers: Sequence[int] = (),
) -> list[RenderedConversation]:
    """As `render_conversation` of each, to train on: without a generation prompt, and `n_before` is not looked for.

    They are rendered many at a time, which takes a tenth of a millisecond for each message.

    Raises:
        ChatTemplateError: as `render_template`, naming the conversation: by its number, else counted from 1.
    """
    rendered: list[RenderedConversation] = []
    for first in range(0, len(conversations), _AT_A_TIME):
        part = [[*map(dict, messages)] for messages in conversations[first : first + _AT_A_TIME]]
        of_part = [[*map(dict, messages)] for messages in marked[first : first + _AT_A_TIME]]
        given = (template, part, dict(named_tokens), mark, of_part)
        *found, problem, line = _call(render_all_or_explain, *given, messages=[m for each in part for m in each])
        if problem:
            at = first + len(found[0])
            raise ChatTemplateError(f"Conversation {numbers[at] if numbers else at + 1:,}: {problem}", line)
        rendered += [RenderedConversation(*each) for each in found[0]]
    return rendered


@functools.cache
def renderer() -> ChildProcess:
    """The process that renders, shared by all threads."""
    return ChildProcess()


def _call(function: Callable[..., Any], *given: Any, messages: Sequence[Message]) -> Any:
    """The result of `function(*given)` in the child, within the limits for these messages."""
    n = sum(len(text) for message in messages for text in message.values())
    limits = dataclasses.replace(LIMITS, answer_bytes=LIMITS.answer_bytes + _REPEATS * n)
    try:
        return renderer().call(function, *given, limits=limits)
    except LimitError as error:
        raise ChatTemplateError(f"The chat template fails: {error}.") from error


def _render_one(
    template: str,
    messages: Sequence[Message],
    add_generation_prompt: bool,
    named_tokens: Mapping[str, str],
    mark: str,
    marked: Sequence[Message],
) -> RenderedConversation:
    given = (template, [*map(dict, messages)], add_generation_prompt, dict(named_tokens), mark, [*map(dict, marked)])
    *rendered, problem, line = _call(render_or_explain, *given, messages=(*messages, *marked))
    if problem:
        raise ChatTemplateError(problem, line)
    return RenderedConversation(*rendered)


# -- In the child ------------------------------------------------------------------------------------------------------


def render_or_explain(
    template: str,
    messages: Sequence[Message],
    add_generation_prompt: bool,
    named_tokens: Mapping[str, str],
    mark: str,
    marked: Sequence[Message],
) -> tuple[str, list[int], int, str, str, int]:
    """The fields of a RenderedConversation (without `mark`, the text only), then message and line of an error."""
    ends, n_before, prompt = list[int](), 0, ""
    try:
        text = render_here(template, marked if mark else messages, add_generation_prompt, named_tokens)
        if mark:
            plain = text.replace(mark, "")
            ends = _ends(template, named_tokens, messages, plain)
            n_before = _preamble_length(template, named_tokens, messages, plain)
            prompt = _generation_prompt(template, named_tokens, messages)
    except ChatTemplateError as error:
        return "", [], 0, "", str(error), error.line
    return text, ends, n_before, prompt, "", 0


def render_all_or_explain(
    template: str,
    conversations: Sequence[Sequence[Message]],
    named_tokens: Mapping[str, str],
    mark: str,
    marked: Sequence[Sequence[Message]],
) -> tuple[list[tuple[str, list[int], int, str]], str, int]:
    """The fields of each RenderedConversation, up to the first that fails; then message and line of its error."""
    rendered: list[tuple[str, list[int], int, str]] = []
    prompt = None
    try:
        for messages, of_marked in zip(conversations, marked, strict=True):
            text = render_here(template, of_marked, False, named_tokens)
            ends = _ends(template, named_tokens, messages, text.replace(mark, ""), is_whole=True)
            if prompt is None and any(message["role"] == "assistant" for message in messages):
                prompt = _generation_prompt(template, named_tokens, messages)
            rendered.append((text, ends, 0, prompt or ""))
    except ChatTemplateError as error:
        return rendered, str(error), error.line
    return rendered, "", 0


def _generation_prompt(template: str, named_tokens: Mapping[str, str], messages: Sequence[Message]) -> str:
    """Return the generation prompt before the first reply, or "" if missing or dependent on later messages."""
    before = list(itertools.takewhile(lambda message: message["role"] != "assistant", messages))
    try:
        without, asking = (render_here(template, before, asks, named_tokens) for asks in (False, True))
    except ChatTemplateError:
        return ""
    return asking[len(without) :] if asking.startswith(without) else ""


def _preamble_length(template: str, named_tokens: Mapping[str, str], messages: Sequence[Message], text: str) -> int:
    """How many characters a template writes before the first message.

    Measured by appending the first message once more: what that adds to the text is the message itself.
    """
    answered = [*messages[:1], {"role": "assistant", "content": "."}]
    try:
        once = render_here(template, answered, False, named_tokens)
        twice = render_here(template, [*answered, *messages[:1]], False, named_tokens)
        alone = render_here(template, messages[:1], False, named_tokens)
    except ChatTemplateError:
        return 0
    own = twice[len(once) :]
    known = twice.startswith(once) and bool(own) and alone.endswith(own) and text.startswith(alone)
    return len(alone) - len(own) if known else 0


def _ends(
    template: str, named_tokens: Mapping[str, str], messages: Sequence[Message], text: str, *, is_whole: bool = False
) -> list[int]:
    """Where each message ends in the text, in characters: the length of the rendered messages up to it.

    is_whole: the text ends with the last message.

    The text around a message's content is taken from earlier ones of the same role, which avoids rendering a long
    conversation once per message.
    """
    ends: list[int] = []
    around: dict[str, tuple[str, str]] = {}
    for i, message in enumerate(messages):
        done, words = ends[-1] if ends else 0, message["content"].strip()
        if is_whole and i == len(messages) - 1:
            ends.append(len(text))
            continue
        if message["role"] in around and words and i < len(messages) - 1:
            known = words.join(around[message["role"]])
            if text.startswith(known, done):
                ends.append(done + len(known))
                continue
        try:
            so_far = render_here(template, messages[: i + 1], False, named_tokens)
        except ChatTemplateError:
            so_far = ""
        if so_far and text.startswith(so_far) and len(so_far) >= done:
            ends.append(len(so_far))
            before, found, behind = so_far[done:].rpartition(words) if words else ("", "", "")
            if found and words not in before:
                around[message["role"]] = before, behind
        else:  # the template depends on later messages: the end of the content has to do
            found_at = text.find(words, done)
            ends.append(done if found_at < 0 else found_at + len(words))
    return ends
