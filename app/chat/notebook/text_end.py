"""The end of a long text that fits the model's context."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from tokenizers import Tokenizer

_CHARACTERS_PER_TOKEN = 8
"""An upper estimate: this much of a long text's end is tokenized."""


class ReadTail(NamedTuple):
    """The end of a text that the model reads: what comes before character `start` does not fit its context."""

    text: str
    start: int
    n_tokens: int


def read_tail(tokenizer: Tokenizer, text: str, context_length: int) -> ReadTail:
    """The end of a text that leaves a quarter of the context free for new tokens."""
    from models.chat.own_template import max_prompt_tokens
    from models.tokenizers.text.encoded import EncodedText

    max_tokens = max_prompt_tokens(context_length)
    part = text[-max_tokens * _CHARACTERS_PER_TOKEN :]
    tokens = EncodedText(tokenizer, part)
    n = min(len(tokens), max_tokens)
    start = len(part.encode()[: int(tokens.starts[-n])].decode(errors="ignore")) if n < len(tokens) else 0
    return ReadTail(text, len(text) - len(part) + start, n)
