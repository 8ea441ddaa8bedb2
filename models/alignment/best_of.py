"""Best-of-n: replies that a model drew and a reward model scored. No torch import; they are drawn in best_replies."""

from __future__ import annotations

from dataclasses import dataclass

from terrarium.models.events import Event


@dataclass(frozen=True, kw_only=True)
class ScoredReply:
    """A reply that was drawn. ids: with its end token, where it `ended` by itself. score: of the reward model, raw."""

    text: str
    score: float
    ids: tuple[int, ...]
    ended: bool


@dataclass(frozen=True, kw_only=True)
class RepliesRanked(Event):
    """The replies that were drawn, the best first, and the seconds that drawing and scoring all of them took."""

    replies: tuple[ScoredReply, ...]
    draw_s: float
    score_s: float
