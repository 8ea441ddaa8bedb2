"""The tokens of a conversation: whose turn each belongs to, and which the model is trained on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from terrarium.models.chat.own_template import Message, encode_segments, max_prompt_tokens, n_messages_to_drop
from terrarium.models.tokenizers.text.encoded import TokenArrays


@dataclass(frozen=True, eq=False)
class ChatTokens:
    """The n tokens of a conversation.

    Attributes:
        tokens: the ids are those that the model gets in chat and training.
        messages: (n,) the message index of each token; the number of messages for the generation prompt.
        is_reply: (n,) whether it belongs to a reply, including its end token.
        counts: tokens of each message, then of the generation prompt.
        left_out: indices of the messages that a chat leaves out so that a reply fits the context.
        n_before: number of tokens of the template's own text before the first message; they count as part of it.
    """

    tokens: TokenArrays
    messages: NDArray[np.int64]
    is_reply: NDArray[np.bool]
    counts: tuple[int, ...]
    left_out: range
    n_before: int = 0

    @property
    def is_given(self) -> NDArray[np.bool]:
        """(n,) Whether the token is part of the prompt, and not left out."""
        given: NDArray[np.bool] = (self.messages < self.left_out.start) | (self.messages >= self.left_out.stop)
        return given


def chat_tokens(
    tokenizer: Tokenizer, messages: Sequence[Message], context_length: int, *, add_generation_prompt: bool = True
) -> ChatTokens:
    """The tokens of a conversation to reply to (`add_generation_prompt`), or to train on.

    Raises:
        ValueError: if the tokenizer has no role tokens, as `encode_messages`.
    """
    parts = encode_segments(tokenizer, messages, add_generation_prompt=add_generation_prompt)
    lengths = [len(ids) for _, ids in parts]
    numbers = np.repeat(np.array([segment.message for segment, _ in parts], np.int64), lengths)
    ids = np.array([id for _, of_part in parts for id in of_part], np.int64)
    counts = np.bincount(numbers, minlength=len(messages) + 1).tolist()
    first = 1 if messages and messages[0]["role"] == "system" else 0
    too_many = len(ids) - max_prompt_tokens(context_length)
    n_left_out = n_messages_to_drop(counts[first:-1], too_many) if add_generation_prompt else 0
    return ChatTokens(
        TokenArrays(tokenizer, ids),
        numbers,
        np.repeat(np.array([segment.reply for segment, _ in parts], bool), lengths),
        tuple(counts),
        range(first, first + n_left_out),
    )
