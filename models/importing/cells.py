"""Parsing of cells in external rows: texts, and messages of a conversation in their published forms."""

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
"""Speaker names in published conversations → role."""


class RowError(ValueError):
    """A record is not a valid row of the task; the message says why, without file and line."""


class EmptyRowError(RowError):
    """A record lacks something that the task requires."""


def text_cell(cells: Mapping[str, Any], role: str) -> str:
    """Return a required text; numbers and booleans are converted to text.

    Raises:
        EmptyRowError: if it is missing or blank. RowError: if it is of another type.
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
    """Return the text of the role `prompt` followed by that of `input`, as in Alpaca; raises as `text_cell`."""
    prompt, extra = text_cell(cells, "prompt"), cells.get("input")
    return f"{prompt}\n\n{extra}" if isinstance(extra, str) and extra.strip() else prompt


def shortened(value: Any) -> str:
    """Format a value for a message."""
    text = repr(value)
    return text if len(text) <= 40 else text[:39] + "…"


def message_cell(value: Any) -> dict[str, str]:
    """Parse a message from {"role", "content"} or ShareGPT's {"from", "value"} into the former; RowError if invalid."""
    if not isinstance(value, dict):
        raise RowError(f"a message is no object with role and content but {shortened(value)}.")
    speaker, content = value.get("role", value.get("from")), value.get("content", value.get("value"))
    role = _SPEAKERS.get(speaker.lower()) if isinstance(speaker, str) else None
    if role is None:
        raise RowError(f"a message is by {shortened(speaker)}, which is none of system, user and assistant.")
    if isinstance(content, list):  # OpenAI's content parts
        if any(not isinstance(part, dict) or not isinstance(part.get("text"), str) for part in content):
            raise RowError("a message has parts that are no text.")
        content = "".join(part["text"] for part in content)
    if not isinstance(content, str):
        raise RowError(f"a message's content is no text but {shortened(content)}.")
    return {"role": role, "content": content}
