"""Terrarium's native chat template: a conversation as text and tokens, and which tokens belong to replies."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import lru_cache
from importlib.resources import files
from itertools import accumulate, pairwise
from typing import TYPE_CHECKING, NamedTuple

from tokenizers import Tokenizer

from terrarium.models.chat.sandbox import render_here
from terrarium.models.tokenizers import SPECIAL_TOKENS, encode_text

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from terrarium.models.tokenizers.many_texts import Ids, ManyTextsEncoder


Message = dict[str, str]
"""{"role": "system" | "user" | "assistant", "content": text}, as in the OpenAI chat format."""


class Segment(NamedTuple):
    """A part of a conversation's text that is encoded separately: a special token, or written text.

    `reply`: whether it belongs to a reply, which the model is trained on. `message`: the index of its message; the
    number of messages for the generation prompt.
    """

    text: str
    special: bool
    reply: bool
    message: int


ROLES = ("system", "user", "assistant")
CHAT_TEMPLATE = files("terrarium.resources").joinpath("chat_template.jinja").read_text(encoding="utf-8")


def render_chat(messages: Sequence[Message], add_generation_prompt: bool = False) -> str:
    """Render a conversation in the native format, with special tokens as text.

    Raises:
        ValueError: for an unknown role or a missing key.
    """
    check_messages(messages)
    return render_here(CHAT_TEMPLATE, messages, add_generation_prompt, {})


def check_messages(messages: Sequence[Message]) -> None:
    """Raise ValueError if a message has an unknown role or no text."""
    for message in messages:
        if message.get("role") not in ROLES or not isinstance(message.get("content"), str):
            raise ValueError(f"A message needs a role ({', '.join(ROLES)}) and a content text, not {message!r}.")


def encode_messages(
    tokenizer: Tokenizer, messages: Sequence[Message], add_generation_prompt: bool = False
) -> tuple[list[int], list[bool]]:
    """Encode a conversation as token ids and a reply mask (the closing <|end|> included).

    Message contents never become special tokens, even where they spell one.

    Raises:
        ValueError: for an unknown role, a missing key, or a tokenizer without the special tokens.
    """
    ids: list[int] = []
    is_reply: list[bool] = []
    for segment, new in encode_segments(tokenizer, messages, add_generation_prompt):
        ids += new
        is_reply += [segment.reply] * len(new)
    return ids, is_reply


def encode_reply(tokenizer: Tokenizer, messages: Sequence[Message], reply: str) -> tuple[list[int], list[int]]:
    """The ids of a conversation that ends with the user, with what begins a reply; and those of a reply with its end.

    Together they are those of `encode_messages`. Raises ValueError as that.
    """
    prompt, _ = encode_messages(tokenizer, messages, add_generation_prompt=True)
    whole, _ = encode_messages(tokenizer, [*messages, {"role": "assistant", "content": reply}])
    return prompt, whole[len(prompt) :]


def max_prompt_tokens(context_length: int) -> int:
    """How many tokens the prompt may have; a quarter of the context is reserved for the reply."""
    return context_length * 3 // 4


def n_messages_to_drop(counts: Sequence[int], too_many: int) -> int:
    """Return how many of the oldest messages to drop to shorten the prompt by `too_many` tokens.

    A question is dropped together with its answer; the newest message is retained, even if that is not enough.

    Args:
        counts: tokens of each message that may be dropped, oldest first.
    """
    n = 0
    while too_many > 0 and n < len(counts) - 1:
        end = n + 2 if len(counts) - n > 2 else n + 1
        too_many -= sum(counts[n:end])
        n = end
    return n


def encode_segments(
    tokenizer: Tokenizer, messages: Sequence[Message], add_generation_prompt: bool = False
) -> list[tuple[Segment, list[int]]]:
    """The segments of a conversation with their ids, which concatenate to those of `encode_messages`.

    Raises:
        ValueError: as `encode_messages`.
    """
    segments = _segments(messages, add_generation_prompt)
    return [(segment, _encode_segment(tokenizer, segment.text, segment.special)) for segment in segments]


def encode_conversations(
    encoder: ManyTextsEncoder, conversations: Sequence[Sequence[Message]]
) -> tuple[Ids, npt.NDArray[np.uint8], npt.NDArray[np.int64]]:
    """`encode_messages` of many conversations, ten times as fast: all ids (n,), whether each belongs to a reply (n,)
    uint8, and where each conversation begins (conversations + 1,).
    """
    import numpy as np  # which commands that train a tokenizer do without

    patterns, written = list[tuple[Segment, ...]](), list[str]()
    for messages in conversations:
        check_messages(messages)
        pattern = _pattern(tuple(message["role"] for message in messages))
        patterns.append(pattern)
        written += [
            segment.text.replace(_CONTENT, messages[segment.message]["content"].strip())
            for segment in pattern
            if not segment.special
        ]
    texts = list(dict.fromkeys(written))
    ids, starts = encoder.encode(texts)
    known = {text: ids[a:b].tobytes() for text, (a, b) in zip(texts, pairwise(starts.tolist()), strict=True)}
    special = {
        segment.text: _encode_segment(encoder.tokenizer, segment.text, True)[0].to_bytes(ids.itemsize, "little")
        for pattern in set(patterns)
        for segment in pattern
        if segment.special
    }
    rest = iter(written)
    pieces = [
        special[segment.text] if segment.special else known[next(rest)] for pattern in patterns for segment in pattern
    ]
    lengths = np.array([len(piece) for piece in pieces], np.int64) // ids.itemsize
    is_reply = np.array([segment.reply for pattern in patterns for segment in pattern], np.uint8)
    ends = np.concatenate(([0], lengths.cumsum()))
    firsts = np.array([0, *accumulate(len(pattern) for pattern in patterns)])
    return np.frombuffer(b"".join(pieces), ids.dtype), np.repeat(is_reply, lengths), ends[firsts]


def _encode_segment(tokenizer: Tokenizer, text: str, special: bool) -> list[int]:
    if not special:
        return encode_text(tokenizer, text)
    id = tokenizer.token_to_id(text)
    if id is None:
        raise ValueError(f"This tokenizer has no token {text}, so its model cannot chat: use text completion.")
    return [id]


_CONTENT = "\ue000"
"""Stands for a message's content in a pattern."""


@lru_cache(maxsize=256)
def _pattern(roles: tuple[str, ...]) -> tuple[Segment, ...]:
    """The segments of every conversation with these roles."""
    return tuple(_segments([{"role": role, "content": _CONTENT} for role in roles], False))


_MARK = re.compile("(\ue000\\d+\ue001)")
_SPECIAL = re.compile("(" + "|".join(re.escape(token) for token in SPECIAL_TOKENS) + ")")


@lru_cache(maxsize=256)
def _frame(roles: tuple[str, ...], add_generation_prompt: bool) -> tuple[tuple[str, bool, int], ...]:
    """The template's text around the contents: (text, whether this is a content placeholder, message index).

    A message begins with its role token; the generation prompt counts as one more message.
    """
    marked = [{"role": role, "content": f"\ue000{i}\ue001"} for i, role in enumerate(roles)]
    rendered = render_chat(marked, add_generation_prompt)
    parts: list[tuple[str, bool, int]] = []
    message, begins = -1, [f"<|{role}|>" for role in (*roles, "assistant")]
    for part in _MARK.split(rendered):
        if _MARK.fullmatch(part):
            parts.append(("", True, int(part[1:-1])))
            continue
        for piece in filter(None, _SPECIAL.split(part)):
            if message + 1 < len(begins) and piece == begins[message + 1]:
                message += 1
            parts.append((piece, False, message))
    return tuple(parts)


def _segments(messages: Sequence[Message], add_generation_prompt: bool) -> Iterator[Segment]:
    """The segments in order; a content is joined with the plain text before it (a space)."""
    check_messages(messages)
    before, after_reply = "", False
    for text, is_content, message in _frame(tuple(message["role"] for message in messages), add_generation_prompt):
        if is_content:
            reply = messages[message]["role"] == "assistant"
            yield Segment(before + messages[message]["content"].strip(), False, reply, message)
            before, after_reply = "", reply
        elif text in SPECIAL_TOKENS:
            if before:
                yield Segment(before, False, False, message)
            yield Segment(text, True, after_reply, message)
            before, after_reply = "", False
        else:
            before += text
    if before:
        yield Segment(before, False, False, message)


class ReplyStripper:
    """Strips the white space around a reply while it is written."""

    def __init__(self) -> None:
        self._has_begun = False
        self._held = ""

    def add(self, text: str) -> str:
        """What can be shown after more text: white space is held back until something follows it."""
        text = self._held + text
        self._held = ""
        if not self._has_begun:
            text = text.lstrip()
        shown = text.rstrip()
        if shown:
            self._has_begun = True
        if self._has_begun:
            self._held = text[len(shown) :]
        return shown
