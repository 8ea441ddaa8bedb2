"""One text as two models judge it, over the spans between the places where both cut it. No torch import."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Judgement:
    """A reply as one model takes it: the texts of its tokens, which together are the reply, and the natural
    log-probability of each, given the prompt and what stands before it."""

    pieces: tuple[str, ...]
    log_probabilities: tuple[float, ...]

    @property
    def total(self) -> float:
        """The log-probability of the whole reply, in nats."""
        return sum(self.log_probabilities)


@dataclass(frozen=True, kw_only=True)
class Span:
    """A piece of text between two places where both models cut it, and its log-probability under each, in nats."""

    text: str
    ours: float
    theirs: float


def shared_spans(ours: Judgement, theirs: Judgement) -> list[Span]:
    """Both judgements of one text over the same spans; single tokens where the tokenizers are the same.

    Raises:
        ValueError: where the tokenizers do not give the same text back, so that nothing can be laid side by side.
    """
    if "".join(ours.pieces) != "".join(theirs.pieces):
        raise ValueError("The two tokenizers do not give the same text back, so token by token it cannot be compared.")
    our_ends, their_ends = _ends(ours.pieces), _ends(theirs.pieces)
    text = "".join(ours.pieces)
    spans = []
    for start, end in itertools.pairwise([0, *sorted(our_ends.keys() & their_ends.keys())]):
        a, b = (0, 0) if start == 0 else (our_ends[start], their_ends[start])
        spans.append(
            Span(
                text=text[start:end],
                ours=sum(ours.log_probabilities[a : our_ends[end]]),
                theirs=sum(theirs.log_probabilities[b : their_ends[end]]),
            )
        )
    return spans


def _ends(pieces: Sequence[str]) -> dict[int, int]:
    """At each place in the text where a token ends: how many tokens there are up to there.

    Tokens without a text of their own are the beginning of a character, so they belong to the one after them; at the
    very end to the last.
    """
    ends: dict[int, int] = {}
    length = 0
    for n, piece in enumerate(pieces, start=1):
        length += len(piece)
        if piece:
            ends[length] = n
    if length:
        ends[length] = len(pieces)
    return ends
