"""The results of best-of-n: replies of a model scored by a reward model. No torch import; best_replies draws them."""

from __future__ import annotations

from dataclasses import dataclass

from terrarium.models.events import Event


@dataclass(frozen=True, kw_only=True)
class ScoredReply:
    """A reply that was drawn. ids: with its end token if it `ended`. score: the reward model's raw score."""

    text: str
    score: float
    ids: tuple[int, ...]
    ended: bool


@dataclass(frozen=True, kw_only=True)
class RepliesRanked(Event):
    """The drawn replies, best first, and the seconds that drawing and scoring all of them took."""

    replies: tuple[ScoredReply, ...]
    draw_s: float
    score_s: float
