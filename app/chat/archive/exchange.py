"""Exchange of conversations with other programs: export of the shown path as Markdown, import from JSON."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from terrarium.app.chat.archive.json_format import chat_from
from terrarium.app.chat.archive.message_tree import Chat, Message
from terrarium.models.chat.prompting import PromptSettings
from terrarium.models.number_words import format_size
from terrarium.models.tokenizers.codec import replace_surrogates

_SYSTEM = ("system", "developer")
_MAX_BYTES = 64_000_000
"""Hundreds of times the size of a long conversation, and still parsed within a second."""


def as_markdown(chat: Chat) -> str:
    """Return the shown path of a conversation as Markdown."""
    parts = [f"# {chat.title}"]
    if chat.prompting.system:
        parts.append(f"### System\n\n{chat.prompting.system}")
    for message in chat.path:
        parts.append(f"### {_speaker(message)}\n\n{message.content}")
    return "\n\n".join(parts) + "\n"


def _speaker(message: Message) -> str:
    if not message.is_reply:
        return "User"
    if message.edited:
        return "Model (edited)"
    return "Model" if message.generation is None else f"{message.generation.model}, step {message.generation.step:,}"


def import_chat(path: Path) -> Chat:
    """Read a conversation from a file: a Terrarium export (it gets a new id) or a list of messages.

    A list is [{"role": …, "content": …}, …] or an object with such a list as "messages", as in the OpenAI chat format.

    Raises:
        ValueError: if the file is neither, or cannot be read; the message names the file.
    """
    text = _read_file(path)
    try:
        data = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} is not valid JSON, so it is not a chat.") from error
    if isinstance(data, dict) and ("shown" in data or "turns" in data):
        return dataclasses.replace(chat_from(data, str(path)), id=Chat().id)
    messages = data.get("messages") if isinstance(data, dict) else data
    if not isinstance(messages, list) or not messages:
        raise ValueError(
            f'{path} is not a chat: it must be a list of messages, [{{"role": "user", "content": "…"}}, …], or a chat '
            "exported from here."
        )
    return _from_list(messages, path)


def _read_file(path: Path) -> bytes:
    try:
        size = path.stat().st_size
        if size <= _MAX_BYTES:
            return path.read_bytes()
    except OSError as error:
        raise ValueError(f"{path} cannot be read ({error.strerror}): check its permissions.") from error
    raise ValueError(
        f"{path} has {format_size(size)}, but a chat may have at most {format_size(_MAX_BYTES)}: split it."
    )


def _from_list(messages: list[Any], path: Path) -> Chat:
    system: list[str] = []
    conversation: list[Message] = []
    for number, data in enumerate(messages, start=1):
        role, content = _read(data, f"Message {number} of {path}")
        if role in _SYSTEM:
            system.append(content)
        else:
            parent = conversation[-1].id if conversation else ""
            conversation.append(Message(parent=parent, role=role, content=content))
    return Chat(name=path.stem, prompting=PromptSettings(system="\n\n".join(system)), messages=tuple(conversation))


def _read(data: Any, where: str) -> tuple[str, str]:
    """Return role and text of a message; content parts are joined if all of them are text."""
    if not isinstance(data, Mapping) or data.get("role") not in (*_SYSTEM, "user", "assistant"):
        role = data.get("role") if isinstance(data, Mapping) else data
        raise ValueError(f"{where} has an unknown role: it must be system, user or assistant, not {role!r:.40}.")
    content = data.get("content")
    if isinstance(content, list):
        texts = [part["text"] for part in content if isinstance(part, Mapping) and isinstance(part.get("text"), str)]
        content = "".join(texts) if len(texts) == len(content) else None
    if not isinstance(content, str):
        raise ValueError(f"{where} has no text: its content must be text only.")
    return data["role"], replace_surrogates(content)
