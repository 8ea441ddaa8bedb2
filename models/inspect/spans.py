"""One text scored by two models, over the spans between the token boundaries that both share. No torch import."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Judgement:
    """A reply scored by one model: the texts of its tokens, which join to the reply, and the log-probability of each in
    nats, given the prompt and the tokens before it."""

    pieces: tuple[str, ...]
    log_probabilities: tuple[float, ...]

    @property
    def total(self) -> float:
        """The log-probability of the whole reply, in nats."""
        return sum(self.log_probabilities)


@dataclass(frozen=True, kw_only=True)
class Span:
    """A piece of text between two shared token boundaries, and its log-probability under each model, in nats."""

    text: str
    ours: float
    theirs: float


def shared_spans(ours: Judgement, theirs: Judgement) -> list[Span]:
    """Split both judgements of one text into shared spans; single tokens if the tokenizers are the same.

    Raises:
        ValueError: if the two tokenizers do not decode to the same text.
    """
    if "".join(ours.pieces) != "".join(theirs.pieces):
        raise ValueError("The two tokenizers do not decode to the same text, so it cannot be compared token by token.")
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
    """Map each offset in the text where a token ends to the number of tokens up to there.

    A token with empty text is an incomplete character, so it belongs to the token after it; at the very end, to the one
    before.
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
