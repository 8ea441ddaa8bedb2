"""A conversation as a model is given it, token by token: whose turn each is of, and which the model learns to write."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from models.chat.own_template import Message, encode_parts, n_to_leave_out, room_for_prompt
from models.tokenizers.text.encoded import TokenArrays


@dataclass(frozen=True, eq=False)
class ChatTokens:
    """The n tokens of a conversation.

    Attributes:
        tokens: their ids are those that chat and training give the model.
        messages: (n,) the number of the message that each is of; for what asks for a reply, how many there are.
        is_reply: (n,) whether it belongs to a reply, its end included.
        counts: how many tokens each message has, and what asks for a reply.
        left_out: the numbers of the messages that a chat leaves out, so that a reply fits the context as well.
    """

    tokens: TokenArrays
    messages: NDArray[np.int64]
    is_reply: NDArray[np.bool]
    counts: tuple[int, ...]
    left_out: range

    @property
    def is_given(self) -> NDArray[np.bool]:
        """(n,) Whether the model is given it."""
        given: NDArray[np.bool] = (self.messages < self.left_out.start) | (self.messages >= self.left_out.stop)
        return given


def chat_tokens(
    tokenizer: Tokenizer, messages: Sequence[Message], context_length: int, *, asks: bool = True
) -> ChatTokens:
    """The tokens of a conversation that the model is to answer (`asks`), or to be trained on.

    Raises:
        ValueError: where the tokenizer has no tokens for roles, as `encode_messages`.
    """
    parts = encode_parts(tokenizer, messages, add_generation_prompt=asks)
    lengths = [len(ids) for _, ids in parts]
    numbers = np.repeat(np.array([segment.message for segment, _ in parts], np.int64), lengths)
    ids = np.array([id for _, of_part in parts for id in of_part], np.int64)
    counts = np.bincount(numbers, minlength=len(messages) + 1).tolist()
    first = 1 if messages and messages[0]["role"] == "system" else 0
    too_many = len(ids) - room_for_prompt(context_length)
    n_left_out = n_to_leave_out(counts[first:-1], too_many) if asks else 0
    return ChatTokens(
        TokenArrays(tokenizer, ids),
        numbers,
        np.repeat(np.array([segment.reply for segment, _ in parts], bool), lengths),
        tuple(counts),
        range(first, first + n_left_out),
    )
