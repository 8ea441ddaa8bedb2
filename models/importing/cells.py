"""The cells of strangers' rows: texts, and messages of a conversation in the forms that they come in."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_SPEAKERS = {
    "system": "system",
    "human": "user",
    "user": "user",
    "prompter": "user",
    "gpt": "assistant",
    "assistant": "assistant",
    "bot": "assistant",
    "model": "assistant",
    "chatgpt": "assistant",
    "bing": "assistant",
    "bard": "assistant",
}
"""What a speaker is called in conversations → role."""


class RowError(ValueError):
    """A record is no row of the task: what is wrong with it, without file and line."""


class EmptyRowError(RowError):
    """A record lacks what the task needs."""


def text_cell(cells: Mapping[str, Any], role: str) -> str:
    """A text that must be there; numbers and truth values as texts.

    Raises:
        EmptyRowError: where there is none. RowError: where it is something else.
    """
    value = cells.get(role)
    if isinstance(value, bool | int | float):
        value = str(value)
    if value is None or (isinstance(value, str) and not value.strip()):
        raise EmptyRowError(f"its {role} is empty.")
    if not isinstance(value, str):
        raise RowError(f"its {role} is no text but {shortened(value)}.")
    return value


def asked_cell(cells: Mapping[str, Any]) -> str:
    """The text of the role `prompt`, with that of `input` after it, as alpaca has them; errors as `text_cell`."""
    prompt, extra = text_cell(cells, "prompt"), cells.get("input")
    return f"{prompt}\n\n{extra}" if isinstance(extra, str) and extra.strip() else prompt


def shortened(value: Any) -> str:
    """A value for a message."""
    text = repr(value)
    return text if len(text) <= 40 else text[:39] + "…"


def message_cell(value: Any) -> dict[str, str]:
    """A message as {"role", "content"}, from that or from ShareGPT's {"from", "value"}; RowError where it is none."""
    if not isinstance(value, dict):
        raise RowError(f"a message is no object with role and content but {shortened(value)}.")
    speaker, content = value.get("role", value.get("from")), value.get("content", value.get("value"))
    role = _SPEAKERS.get(speaker.lower()) if isinstance(speaker, str) else None
    if role is None:
        raise RowError(f"a message is by {shortened(speaker)}, which is none of system, user and assistant.")
    if isinstance(content, list):  # OpenAI's parts
        if any(not isinstance(part, dict) or not isinstance(part.get("text"), str) for part in content):
            raise RowError("a message has parts that are no text.")
        content = "".join(part["text"] for part in content)
    if not isinstance(content, str):
        raise RowError(f"a message's content is no text but {shortened(content)}.")
    return {"role": role, "content": content}
