"""The candidate replies of best-of-n sampling, as saved with the chosen reply."""

from __future__ import annotations

from dataclasses import dataclass

from terrarium.models.alignment.best_of import ScoredReply


@dataclass(frozen=True, kw_only=True)
class CandidateReplies:
    """Replies to one prompt, best first.

    judge, judge_id: the reward model that scored them: its run's name at that time, and the run's id. taken: the index
    of the reply used as the message. draw_s, score_s: the total time of sampling and of scoring, in seconds.
    """

    judge: str
    judge_id: str
    replies: tuple[ScoredReply, ...]
    taken: int = 0
    draw_s: float = 0.0
    score_s: float = 0.0

    @property
    def n_tokens(self) -> int:
        """The total number of tokens of all replies."""
        return sum(len(reply.ids) for reply in self.replies)

    @property
    def scores(self) -> list[float]:
        """The scores, from highest to lowest."""
        return [reply.score for reply in self.replies]
