"""The replies among which one was chosen, as they are kept with it."""

from __future__ import annotations

from dataclasses import dataclass

from terrarium.models.alignment.best_of import ScoredReply


@dataclass(frozen=True, kw_only=True)
class CandidateReplies:
    """Replies to one prompt, the best first.

    judge, judge_id: the reward model that scored them: the name of its run at that time, and its id. taken: which of
    them the message is. draw_s, score_s: the seconds that drawing and scoring all of them took.
    """

    judge: str
    judge_id: str
    replies: tuple[ScoredReply, ...]
    taken: int = 0
    draw_s: float = 0.0
    score_s: float = 0.0

    @property
    def n_tokens(self) -> int:
        """Of all of them together."""
        return sum(len(reply.ids) for reply in self.replies)

    @property
    def scores(self) -> list[float]:
        """From the highest to the lowest."""
        return [reply.score for reply in self.replies]
