"""Chat templates (Jinja, as in tokenizer_config.json) of strangers, rendered in a child process with limits."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from models.chat.sandbox import ChatTemplateError, render_here
from models.child_process import ChildProcess, LimitError, Limits

LIMITS = Limits(seconds=5.0, memory_bytes=1 << 29, answer_bytes=1 << 20)
"""Known templates take milliseconds, and a few times the memory of their messages. The answer may have _REPEATS more
bytes per character of the messages."""

_REPEATS = 16

Message = Mapping[str, str]


class RenderedConversation(NamedTuple):
    """A conversation as one text, special tokens written out.

    ends: where each message ends in it, in characters. n_before: how many characters the template writes before the
    first message, for instance a default system prompt.
    """

    text: str
    ends: list[int]
    n_before: int


def render_template(
    template: str,
    messages: Sequence[Message],
    *,
    add_generation_prompt: bool,
    named_tokens: Mapping[str, str] | None = None,
) -> str:
    """The conversation as one text. Takes milliseconds, or all the time of LIMITS.

    Args:
        add_generation_prompt: end the text with the start of the assistant's turn.
        named_tokens: the tokens of NAMED_TOKENS, as far as they are known.

    Raises:
        ChatTemplateError: if the template fails, rejects the conversation, needs a named token that is not known, or
            exceeds LIMITS.
    """
    return _call(template, messages, add_generation_prompt, named_tokens or {}, "", ()).text


def render_conversation(
    template: str,
    messages: Sequence[Message],
    *,
    mark: str,
    marked: Sequence[Message],
    add_generation_prompt: bool,
    named_tokens: Mapping[str, str],
) -> RenderedConversation:
    """As `render_template`, and where the messages end: several renderings within the limits of one.

    Args:
        marked: the messages with `mark`, which occurs nowhere else, in places of their contents. It is kept in the
            text, but not counted.
    """
    return _call(template, messages, add_generation_prompt, named_tokens, mark, marked)


@functools.cache
def renderer() -> ChildProcess:
    """The process that renders, shared by all threads."""
    return ChildProcess()


def _call(
    template: str,
    messages: Sequence[Message],
    add_generation_prompt: bool,
    named_tokens: Mapping[str, str],
    mark: str,
    marked: Sequence[Message],
) -> RenderedConversation:
    given = (template, [*map(dict, messages)], add_generation_prompt, dict(named_tokens), mark, [*map(dict, marked)])
    n = sum(len(text) for message in (*messages, *marked) for text in message.values())
    limits = dataclasses.replace(LIMITS, answer_bytes=LIMITS.answer_bytes + _REPEATS * n)
    try:
        *rendered, problem, line = renderer().call(render_or_explain, *given, limits=limits)
    except LimitError as error:
        raise ChatTemplateError(f"The chat template fails: {error}.") from error
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
) -> tuple[str, list[int], int, str, int]:
    """The fields of a RenderedConversation (without `mark`, the text only), then message and line of an error."""
    ends, n_before = list[int](), 0
    try:
        text = render_here(template, marked if mark else messages, add_generation_prompt, named_tokens)
        if mark:
            plain = text.replace(mark, "")
            ends = _ends(template, named_tokens, messages, plain)
            n_before = _preamble_length(template, named_tokens, messages, plain)
    except ChatTemplateError as error:
        return "", [], 0, str(error), error.line
    return text, ends, n_before, "", 0


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


def _ends(template: str, named_tokens: Mapping[str, str], messages: Sequence[Message], text: str) -> list[int]:
    """Where each message ends in the text, in characters: the length of the rendered messages up to it.

    The text around a message's content is taken from earlier ones of the same role, which avoids rendering a long
    conversation once per message.
    """
    ends: list[int] = []
    around: dict[str, tuple[str, str]] = {}
    for i, message in enumerate(messages):
        done, words = ends[-1] if ends else 0, message["content"].strip()
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
