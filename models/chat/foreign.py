"""Tokens of a conversation by the chat template of an imported model.

The ids equal those of `transformers`, except where a message spells a special token. In transformers it becomes that
token, which allows prompt injection (a message can end its own turn); here it stays text, as in our native format.
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
    parts = render_template(
        template, disguised, add_generation_prompt=add_generation_prompt, named_tokens=named_tokens
    ).split(cut)
    text = "".join(parts)
    edges = _edges(template, named_tokens, messages, text)  # the end of each message, in characters
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


def preamble_length(template: str, named_tokens: Mapping[str, str], messages: Sequence[Message], text: str) -> int:
    """How many characters a template writes before the first message, for instance a default system prompt.

    Measured by appending the first message once more: what that adds to the text is the message itself.
    """
    answered = [*messages[:1], {"role": "assistant", "content": "."}]
    try:
        once = render_template(template, answered, add_generation_prompt=False, named_tokens=named_tokens)
        twice = render_template(
            template, [*answered, messages[0]], add_generation_prompt=False, named_tokens=named_tokens
        )
        alone = render_template(template, messages[:1], add_generation_prompt=False, named_tokens=named_tokens)
    except ValueError:
        return 0
    own = twice[len(once) :]
    known = twice.startswith(once) and bool(own) and alone.endswith(own) and text.startswith(alone)
    return len(alone) - len(own) if known else 0


def _edges(template: str, named_tokens: Mapping[str, str], messages: Sequence[Message], text: str) -> list[int]:
    """Where each message ends in the text, in characters: the length of the rendered messages up to it.

    The text around a message's content is taken from earlier ones of the same role, which avoids rendering a long
    conversation once per message.
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
            so_far = render_template(
                template, messages[: i + 1], add_generation_prompt=False, named_tokens=named_tokens
            )
        except ValueError:
            so_far = ""
        if so_far and text.startswith(so_far) and len(so_far) >= done:
            edges.append(len(so_far))
            before, found, behind = so_far[done:].rpartition(words) if words else ("", "", "")
            if found and words not in before:
                around[message["role"]] = before, behind
        else:  # the template depends on later messages: the end of the content has to do
            found_at = text.find(words, done)
            edges.append(done if found_at < 0 else found_at + len(words))
    return edges
