"""Conversations from and to other programs: the shown path as Markdown, and what an import takes."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from app.chat.archive.json_format import chat_from
from app.chat.archive.message_tree import Chat, Message
from models.chat.prompting import Prompting
from models.number_words import size_words
from models.tokenizers.codec import whole_characters

_SYSTEM = ("system", "developer")
_LARGEST = 64_000_000
"""Bytes of a file: hundreds of times what a long conversation has, and what JSON reads in a second."""


def as_markdown(chat: Chat) -> str:
    """What is shown of a conversation, as Markdown."""
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
    return "Model" if message.made is None else f"{message.made.model}, step {message.made.step:,}"


def import_chat(path: Path) -> Chat:
    """A conversation from a file: one that was exported here (it gets an id of its own), or a list of messages.

    A list is [{"role": …, "content": …}, …] or an object with such a list as "messages", as in the OpenAI chat format.

    Raises:
        ValueError: where the file holds neither, or cannot be read; names it.
    """
    text = _read_file(path)
    try:
        data = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} is not valid JSON, so it holds no chat.") from error
    if isinstance(data, dict) and ("shown" in data or "turns" in data):
        return dataclasses.replace(chat_from(data, str(path)), id=Chat().id)
    messages = data.get("messages") if isinstance(data, dict) else data
    if not isinstance(messages, list) or not messages:
        raise ValueError(
            f'{path} holds no chat: a list of messages is wanted, [{{"role": "user", "content": "…"}}, …], or a chat '
            "that was exported here."
        )
    return _from_list(messages, path)


def _read_file(path: Path) -> bytes:
    try:
        size = path.stat().st_size
        if size <= _LARGEST:
            return path.read_bytes()
    except OSError as error:
        raise ValueError(f"{path} cannot be read ({error.strerror}): check that you may read it.") from error
    raise ValueError(
        f"{path} has {size_words(size)}, and a chat may have {size_words(_LARGEST)}: divide it into several files."
    )


def _from_list(messages: list[Any], path: Path) -> Chat:
    system: list[str] = []
    said: list[Message] = []
    for number, data in enumerate(messages, start=1):
        role, content = _read(data, f"Message {number} of {path}")
        if role in _SYSTEM:
            system.append(content)
        else:
            said.append(Message(parent=said[-1].id if said else "", role=role, content=content))
    return Chat(name=path.stem, prompting=Prompting(system="\n\n".join(system)), messages=tuple(said))


def _read(data: Any, where: str) -> tuple[str, str]:
    """Role and text of a message; a content of several parts is read where all of them are text."""
    if not isinstance(data, Mapping) or data.get("role") not in (*_SYSTEM, "user", "assistant"):
        said = data.get("role") if isinstance(data, Mapping) else data
        raise ValueError(f"{where} is by nobody known: its role must be system, user or assistant, not {said!r:.40}.")
    content = data.get("content")
    if isinstance(content, list):
        texts = [part["text"] for part in content if isinstance(part, Mapping) and isinstance(part.get("text"), str)]
        content = "".join(texts) if len(texts) == len(content) else None
    if not isinstance(content, str):
        raise ValueError(f"{where} has no text: its content must be text alone.")
    return data["role"], whole_characters(content)
