"""Tokens of a conversation by the chat template of an imported model.

The ids equal those of `transformers`, except where a message spells a special token. In transformers it becomes that
token, which allows prompt injection (a message can end its own turn); here it stays text, as in our native format.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from tokenizers import Tokenizer

from models.chat.own_template import Message
from models.chat.template import render_conversation
from models.chat.tokens import ChatTokens
from models.tokenizers.codec import literal_parts
from models.tokenizers.text.encoded import EncodedText, TokenArrays


def foreign_chat_tokens(
    tokenizer: Tokenizer,
    template: str,
    named_tokens: Mapping[str, str],
    messages: Sequence[Message],
    *,
    add_generation_prompt: bool = True,
) -> ChatTokens:
    """The tokens of a conversation, with or without the generation prompt.

    The tokens of a message are those that the template adds for it; in a reply, only those from its content on count as
    the reply. Text before the first message, such as a default system prompt, counts as part of the first message.

    Args:
        named_tokens: the tokens of template.NAMED_TOKENS, as far as they are known.

    Raises:
        ValueError: if the template fails, rejects the conversation, or needs a named token that is not known.
    """
    cut = _unused(template, messages)
    disguised = [{**m, "content": cut.join(literal_parts(tokenizer, m["content"]))} for m in messages]
    rendered = render_conversation(
        template,
        messages,
        mark=cut,
        marked=disguised,
        add_generation_prompt=add_generation_prompt,
        named_tokens=named_tokens,
    )
    parts = rendered.text.split(cut)
    text = "".join(parts)
    tokens = _tokens(tokenizer, parts)
    byte_ends = [len(text[:end].encode()) for end in rendered.ends]
    numbers = np.searchsorted(byte_ends, tokens.starts, side="right").astype(np.int64)
    is_reply = np.zeros(len(tokens), bool)
    for i, message in enumerate(messages):
        if message["role"] == "assistant":
            begin = text.find(message["content"].strip(), rendered.ends[i - 1] if i else 0, rendered.ends[i])
            first = byte_ends[i] if begin < 0 else len(text[:begin].encode())
            is_reply |= (tokens.starts >= first) & (tokens.starts < byte_ends[i])
    n_before = int((tokens.starts < len(text[: rendered.n_before].encode())).sum())
    counts = np.bincount(numbers, minlength=len(messages) + 1)
    return ChatTokens(tokens, numbers, is_reply, tuple(counts.tolist()), range(0), n_before)


def _unused(template: str, messages: Sequence[Message]) -> str:
    """A private-use character that occurs in none of the texts."""
    texts = [template, *(message["content"] for message in messages)]
    return next(c for c in map(chr, range(0xE000, 0xF900)) if not any(c in text for text in texts))


def _tokens(tokenizer: Tokenizer, parts: Sequence[str]) -> TokenArrays:
    """The tokens of parts that are encoded one by one, with their byte offsets in the whole text."""
    columns, n_bytes = [], 0
    for part in parts:
        tokens = EncodedText(tokenizer, part)
        columns.append((tokens.ids, tokens.starts + n_bytes, tokens.ends + n_bytes))
        n_bytes += tokens.n_bytes
    ids, starts, ends = (np.concatenate(column) for column in zip(*columns, strict=True))
    return TokenArrays(tokenizer, ids, starts, ends)
