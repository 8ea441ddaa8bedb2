"""Chat templates (Jinja, as in tokenizer_config.json): those of strangers are rendered in a child process with limits."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from typing import Any

from models.chat.sandbox import NAMED_TOKENS, ChatTemplateError, render_here
from models.child_process import ChildProcess, LimitError, Limits

__all__ = ["LIMITS", "NAMED_TOKENS", "ChatTemplateError", "render_template", "renderer"]

LIMITS = Limits(seconds=5.0, memory_bytes=1 << 29, answer_bytes=1 << 26)
"""Known templates take milliseconds, and a few megabytes more than their messages."""


def render_template(
    template: str,
    messages: Sequence[Mapping[str, str]],
    *,
    add_generation_prompt: bool,
    named_tokens: Mapping[str, str] | None = None,
) -> str:
    """The conversation as one text, special tokens written out. May take all the time of LIMITS.

    Args:
        add_generation_prompt: end the text with the start of the assistant's turn.
        named_tokens: the tokens of NAMED_TOKENS, as far as they are known.

    Raises:
        ChatTemplateError: if the template fails, rejects the conversation, needs a named token that is not known, or
            exceeds LIMITS.
    """
    given = [template, list(map(dict, messages)), add_generation_prompt, dict(named_tokens or {})]
    try:
        text, problem, line = renderer().call(render_or_explain, *given, limits=LIMITS)
    except LimitError as error:
        raise ChatTemplateError(f"The chat template fails: {error}.") from error
    if problem:
        raise ChatTemplateError(problem, line)
    return str(text)


def render_or_explain(*given: Any) -> tuple[str, str, int]:
    """In the child: the text, or the message of the error and the template's line."""
    try:
        return render_here(*given), "", 0
    except ChatTemplateError as error:
        return "", str(error), error.line


@functools.cache
def renderer() -> ChildProcess:
    """The process that renders, shared by all."""
    return ChildProcess()
