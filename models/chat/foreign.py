"""Tokens of a conversation by the chat template of an imported model.

The ids equal those of `transformers`, except where a message spells a special token. In transformers it becomes that
token, which allows prompt injection (a message can end its own turn); here it stays text, as in our native format.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from terrarium.models.chat.own_template import Message
from terrarium.models.chat.template import RenderedConversation, render_conversation, render_conversations
from terrarium.models.chat.tokens import ChatTokens
from terrarium.models.tokenizers import special_ids
from terrarium.models.tokenizers.codec import encode_all_with_offsets, literal_parts
from terrarium.models.tokenizers.text.encoded import EncodedText, TokenArrays


def foreign_chat_tokens(
    tokenizer: Tokenizer,
    template: str,
    named_tokens: Mapping[str, str],
    messages: Sequence[Message],
    *,
    add_generation_prompt: bool = True,
) -> ChatTokens:
    """Tokenize a conversation, with or without the generation prompt.

    The tokens of a message are those that the template adds for it; `_is_reply` marks the tokens that a model
    generates. Text before the first message, such as a default system prompt, counts as part of the first message.

    Args:
        named_tokens: the tokens of template.NAMED_TOKENS that are available.

    Raises:
        ValueError: if the template fails, rejects the conversation, or needs a missing named token.
    """
    cut, specials = _unused(template, messages), special_ids(tokenizer)
    rendered = render_conversation(
        template,
        messages,
        mark=cut,
        marked=_disguised(tokenizer, messages, cut, specials.values()),
        add_generation_prompt=add_generation_prompt,
        named_tokens=named_tokens,
    )
    parts = rendered.text.split(cut)
    text = "".join(parts)
    tokens = _tokens(tokenizer, parts)
    byte_ends = [len(text[:end].encode()) for end in rendered.ends]
    numbers = np.searchsorted(byte_ends, tokens.starts, side="right").astype(np.int64)
    is_special = np.isin(tokens.ids, list(specials))
    is_reply = _is_reply(messages, rendered, text, is_special, tokens.starts, tokens.ends)
    n_before = int((tokens.starts < len(text[: rendered.n_before].encode())).sum())
    counts = np.bincount(numbers, minlength=len(messages) + 1)
    return ChatTokens(tokens, numbers, is_reply, tuple(counts.tolist()), range(0), n_before)


def encode_foreign_conversations(
    tokenizer: Tokenizer,
    template: str,
    named_tokens: Mapping[str, str],
    conversations: Sequence[Sequence[Message]],
    numbers: Sequence[int] = (),
) -> list[tuple[list[int], list[bool]]]:
    """Of each conversation, to train on: its ids, and whether each belongs to a reply, as `foreign_chat_tokens`.

    Takes some tenths of a millisecond for each message.

    Raises:
        ValueError: as `foreign_chat_tokens`, naming the conversation: by its number, else counted from 1.
    """
    cut = _unused(template, [message for messages in conversations for message in messages])
    specials = special_ids(tokenizer)
    rendered = render_conversations(
        template,
        conversations,
        mark=cut,
        marked=[_disguised(tokenizer, messages, cut, specials.values()) for messages in conversations],
        named_tokens=named_tokens,
        numbers=numbers,
    )
    parts = [part for each in rendered for part in each.text.split(cut)]
    located = encode_all_with_offsets(tokenizer, parts)
    encoded: list[tuple[list[int], list[bool]]] = []
    for messages, each in zip(conversations, rendered, strict=True):
        columns, n_bytes = [np.zeros((3, 0), np.int64)], 0
        for part in each.text.split(cut):
            columns.append(np.array(next(located), np.int64) + np.array([[0], [n_bytes], [n_bytes]]))
            n_bytes += len(part.encode())
        ids, starts, ends = np.concatenate(columns, axis=1)
        is_special = np.isin(ids, list(specials))
        is_reply = _is_reply(messages, each, each.text.replace(cut, ""), is_special, starts, ends)
        encoded.append((ids.tolist(), is_reply.tolist()))
    return encoded


def _is_reply(
    messages: Sequence[Message],
    rendered: RenderedConversation,
    text: str,
    is_special: NDArray[np.bool],
    starts: NDArray[np.int64],
    ends: NDArray[np.int64],
) -> NDArray[np.bool]:
    """Mask (n,) of the tokens that a model generates, from the end of the generation prompt to the reply's end token.

    The end token is the first special token after the content; without one, the whole message counts. If the
    generation prompt does not precede the reply's content, the reply begins with its content.

    Args:
        text: the rendered text, without marks. is_special, starts, ends: (n,) of its tokens, in bytes.
    """
    is_reply = np.zeros(len(starts), bool)
    for i, message in enumerate(messages):
        if message["role"] != "assistant":
            continue
        before, end = rendered.ends[i - 1] if i else 0, rendered.ends[i]
        content = message["content"].strip()
        found = text.find(content, before, end)
        begin = found
        if rendered.prompt and text.startswith(rendered.prompt, before):
            begin = before + len(rendered.prompt)
        if begin < 0:
            continue  # the template leaves the reply out
        first, last = (len(text[:at].encode()) for at in (begin, end))
        touches = (starts < last) & ((ends > first) | (starts >= first))
        after = begin if found < 0 else found + len(content)
        closing = np.flatnonzero(is_special & (starts >= len(text[:after].encode())))[:1]
        if len(closing) and (
            touches[closing] or end == after
        ):  # a message whose end is not known ends with its content
            touches = (starts <= starts[closing]) & ((ends > first) | (starts >= first))
        is_reply |= touches
    return is_reply


def _disguised(
    tokenizer: Tokenizer, messages: Sequence[Message], cut: str, specials: Collection[str]
) -> Sequence[Message]:
    """The messages with `cut` within each of the special tokens that they spell."""
    if not any(special in message["content"] for message in messages for special in specials):
        return messages
    return [{**message, "content": cut.join(literal_parts(tokenizer, message["content"]))} for message in messages]


def _unused(template: str, messages: Sequence[Message]) -> str:
    """Return a private-use character that does not occur in the texts."""
    texts = [template, *(message["content"] for message in messages)]
    return next(c for c in map(chr, range(0xE000, 0xF900)) if not any(c in text for text in texts))


def _tokens(tokenizer: Tokenizer, parts: Sequence[str]) -> TokenArrays:
    """Encode parts separately and return their tokens, with byte offsets in the whole text."""
    columns, n_bytes = [], 0
    for part in parts:
        tokens = EncodedText(tokenizer, part)
        columns.append((tokens.ids, tokens.starts + n_bytes, tokens.ends + n_bytes))
        n_bytes += tokens.n_bytes
    ids, starts, ends = (np.concatenate(column) for column in zip(*columns, strict=True))
    return TokenArrays(tokenizer, ids, starts, ends)
