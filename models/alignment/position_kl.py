"""The KL of a fine-tuned model to its parent by position in a reply. No torch import."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import zip_longest

from terrarium.models.events import Event

OWN, PARENTS = "own", "parent"
"""Whose replies are read: those that each checkpoint draws, or those that the parent draws, the same for all."""
SHALLOW = 5
"""The number of tokens that count as the beginning of a reply."""


@dataclass(frozen=True, kw_only=True)
class ReadReply:
    """A reply to a prompt, with its end token if it `ended`, and statistics of each of its tokens (n,).

    kl: the exact KL(model ‖ parent) before the token is drawn, over the whole vocabulary, in nats. log_ratio: how
    much likelier the model makes the token itself, log π/parent.
    """

    prompt: str
    ids: tuple[int, ...]
    ended: bool
    kl: tuple[float, ...]
    log_ratio: tuple[float, ...]


@dataclass(frozen=True, kw_only=True)
class PositionKl(Event):
    """The replies that were read at a checkpoint, all to the same prompts."""

    step: int
    replies: tuple[ReadReply, ...]

    @property
    def by_position(self) -> tuple[list[float], list[int]]:
        """The mean KL at each position, in nats, and the number of replies that reach it."""
        columns = [
            [value for value in column if value is not None]
            for column in zip_longest(*(reply.kl for reply in self.replies))
        ]
        return [sum(column) / len(column) for column in columns], [len(column) for column in columns]

    @property
    def per_reply(self) -> float:
        """The KL of a reply, summed over its tokens, averaged over replies, in nats."""
        return sum(sum(reply.kl) for reply in self.replies) / max(1, len(self.replies))

    def share_of_first(self, n_tokens: int = SHALLOW) -> float:
        """Return the share of all KL that lies in the first tokens of the replies; 0 if there is no KL."""
        whole = sum(sum(reply.kl) for reply in self.replies)
        return sum(sum(reply.kl[:n_tokens]) for reply in self.replies) / whole if whole > 0 else 0.0

    @property
    def mean_length(self) -> float:
        """The mean number of tokens of a reply."""
        return sum(len(reply.kl) for reply in self.replies) / max(1, len(self.replies))


def about_depth(measured: PositionKl) -> str:
    """Describe how much of the KL lies at the beginning of the replies, compared with an even distribution."""
    if measured.per_reply < 1e-6:
        return "It says what its parent says."
    share, even = measured.share_of_first(), min(1.0, SHALLOW / max(measured.mean_length, 1.0))
    words = (
        f"{100 * share:.0f} % of its KL to the parent lies in the first {SHALLOW} tokens of a reply, which are "
        f"{100 * even:.0f} % of the tokens."
    )
    if share > 0.5 and share > 1.5 * even:
        return (
            f"{words} What was learned is shallow: the beginning is another, and what follows is as the parent has it."
        )
    return words
