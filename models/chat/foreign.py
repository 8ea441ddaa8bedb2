"""A conversation by the chat template of a model from elsewhere, token by token.

The ids are those of `transformers`, but for what somebody wrote that spells a special token. There it becomes that
token, so that a message could end itself and speak for others; here it stays text, as in chats by our own format.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from tokenizers import Tokenizer

from models.chat.own_template import Message
from models.chat.template import render_template
from models.chat.tokens import ChatTokens
from models.tokenizers.codec import literal_parts
from models.tokenizers.text.encoded import EncodedText, TokenArrays


def foreign_chat_tokens(
    tokenizer: Tokenizer, template: str, marks: Mapping[str, str], messages: Sequence[Message], *, asks: bool = True
) -> ChatTokens:
    """The tokens of a conversation that the model is to answer (`asks`), or as it stands.

    A message's tokens are those that the template adds for it; of a reply, those from its content on are its own. What
    the template says before the first message, as a system prompt of its own, counts as the first message's.

    Args:
        marks: the tokens of chat_template.MARKS, as far as they are known.

    Raises:
        ValueError: where the template fails, refuses the conversation, or needs a mark that is not known.
    """
    cut = _unused(template, messages)
    disguised = [{**m, "content": cut.join(literal_parts(tokenizer, m["content"]))} for m in messages]
    parts = render_template(template, disguised, asks=asks, marks=marks).split(cut)
    text = "".join(parts)
    edges = _edges(template, marks, messages, text)  # where each message ends, in characters
    tokens = _tokens(tokenizer, parts)
    byte_edges = [len(text[:edge].encode()) for edge in edges]
    numbers = np.searchsorted(byte_edges, tokens.starts, side="right").astype(np.int64)
    is_reply = np.zeros(len(tokens), bool)
    for i, message in enumerate(messages):
        if message["role"] == "assistant":
            begin = text.find(message["content"].strip(), edges[i - 1] if i else 0, edges[i])
            first = byte_edges[i] if begin < 0 else len(text[:begin].encode())
            is_reply |= (tokens.starts >= first) & (tokens.starts < byte_edges[i])
    counts = np.bincount(numbers, minlength=len(messages) + 1)
    return ChatTokens(tokens, numbers, is_reply, tuple(counts.tolist()), range(0))


def _unused(template: str, messages: Sequence[Message]) -> str:
    """A character that nobody has written: one of Unicode's for private use."""
    texts = [template, *(message["content"] for message in messages)]
    return next(c for c in map(chr, range(0xE000, 0xF900)) if not any(c in text for text in texts))


def _tokens(tokenizer: Tokenizer, parts: Sequence[str]) -> TokenArrays:
    """The tokens of parts that are encoded one by one, with their places in the whole."""
    columns, n_bytes = [], 0
    for part in parts:
        tokens = EncodedText(tokenizer, part)
        columns.append((tokens.ids, tokens.starts + n_bytes, tokens.ends + n_bytes))
        n_bytes += tokens.n_bytes
    ids, starts, ends = (np.concatenate(column) for column in zip(*columns, strict=True))
    return TokenArrays(tokenizer, ids, starts, ends)


def n_before(template: str, marks: Mapping[str, str], messages: Sequence[Message], text: str) -> int:
    """How many characters of the text a template says before the first message: its own system prompt, for instance.

    Found out by having the first message said once more at the end: what that adds is the message's own.
    """
    answered = [*messages[:1], {"role": "assistant", "content": "."}]
    try:
        once = render_template(template, answered, asks=False, marks=marks)
        twice = render_template(template, [*answered, messages[0]], asks=False, marks=marks)
        alone = render_template(template, messages[:1], asks=False, marks=marks)
    except ValueError:
        return 0
    own = twice[len(once) :]
    known = twice.startswith(once) and bool(own) and alone.endswith(own) and text.startswith(alone)
    return len(alone) - len(own) if known else 0


def _edges(template: str, marks: Mapping[str, str], messages: Sequence[Message], text: str) -> list[int]:
    """Where each message ends in the text: as far as the template gets with the messages up to it.

    What it says around a message's words is known from others of the same role: so a long conversation is not rendered
    once for each message.
    """
    edges: list[int] = []
    around: dict[str, tuple[str, str]] = {}
    for i, message in enumerate(messages):
        done, words = edges[-1] if edges else 0, message["content"].strip()
        if message["role"] in around and words and i < len(messages) - 1:
            known = words.join(around[message["role"]])
            if text.startswith(known, done):
                edges.append(done + len(known))
                continue
        try:
            so_far = render_template(template, messages[: i + 1], asks=False, marks=marks)
        except ValueError:
            so_far = ""
        if so_far and text.startswith(so_far) and len(so_far) >= done:
            edges.append(len(so_far))
            before, found, behind = so_far[done:].rpartition(words) if words else ("", "", "")
            if found and words not in before:
                around[message["role"]] = before, behind
        else:  # a template that looks ahead: up to the end of what was written
            found_at = text.find(words, done)
            edges.append(done if found_at < 0 else found_at + len(words))
    return edges
