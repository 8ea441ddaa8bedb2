"""Judges that reward replies: the exact judge of a wish, or a reward model."""

from __future__ import annotations

import statistics
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import Protocol

from terrarium.models.alignment.reward_model import RewardModel
from terrarium.models.alignment.rollouts import Prompt
from terrarium.models.corpora.corpus import Example
from terrarium.models.inference.many_replies import DrawnReply
from terrarium.models.tiny_world.wishes import WISHES


@dataclass(frozen=True, kw_only=True)
class Judged:
    """The rewards of replies. disagreement: the average distance between the scores of two reward models; None
    without a second one.
    """

    rewards: Sequence[float]
    disagreement: float | None = None


class Judge(Protocol):
    """Rewards replies; higher is better."""

    @property
    def is_bounded(self) -> bool:
        """Whether a reward is at most 1, and 1 means right."""

    def rewards(
        self, prompts: Sequence[Prompt], replies: Sequence[DrawnReply], texts: Sequence[str]
    ) -> Generator[None, None, Judged]:
        """Return the reward of each reply to its prompt. Yields from time to time; ValueError if one is not finite.

        Args:
            texts: the decoded replies.
        """


class WishJudge:
    """Rewards replies by the wish of their prompt."""

    def __init__(self, prompts: Sequence[Prompt], label: str) -> None:
        """Raise ValueError, naming `label`, if a prompt has no wish."""
        unjudged = next((prompt for prompt in prompts if prompt.row.get("wish") not in WISHES), None)
        if unjudged is not None:
            raise ValueError(
                f"Nothing judges replies to the prompts of {label!r}: choose a reward model (align.reward_model), or "
                "use a wish of Tiny World, such as “Tiny World 0, wish happy”."
            )
        self.is_bounded = all(WISHES[prompt.row["wish"]].is_bounded for prompt in prompts)

    def rewards(
        self, prompts: Sequence[Prompt], replies: Sequence[DrawnReply], texts: Sequence[str]
    ) -> Generator[None, None, Judged]:
        """As in Judge."""
        yield from ()
        asked = zip(prompts, texts, strict=True)
        return Judged(rewards=[WISHES[prompt.row["wish"]].reward(prompt.row, text) for prompt, text in asked])


class ModelJudge:
    """Rewards replies by the scores of a reward model, optionally checked by a second one (an idea of ensembles,
    arXiv:2310.02743).

    If the two disagree more and more, neither has learned how to score such replies.
    """

    is_bounded = False

    def __init__(self, model: RewardModel, second: RewardModel | None = None, *, lower: bool = False) -> None:
        """lower: whether the lower of both scores counts, instead of the first model's."""
        self._model, self._second, self._lower = model, second, lower

    def rewards(
        self, prompts: Sequence[Prompt], replies: Sequence[DrawnReply], texts: Sequence[str]
    ) -> Generator[None, None, Judged]:
        """As in Judge."""
        read = [(*prompt.ids, *reply.ids) for prompt, reply in zip(prompts, replies, strict=True)]
        scores = yield from self._model.scores(read)
        if self._second is None:
            return Judged(rewards=scores)
        others = yield from self._second.scores(read)
        apart = [abs(score - other) for score, other in zip(scores, others, strict=True)]
        rewards = [*map(min, scores, others)] if self._lower else scores
        return Judged(rewards=rewards, disagreement=statistics.fmean(apart))


def gold_success(row: Example, reply: str) -> bool | None:
    """Whether a reply fulfils the intended goal of its row's wish; None if the wish has no test beyond its reward."""
    wish = WISHES.get(row.get("wish", ""))
    return None if wish is None or wish.gold_success is None else wish.gold_success(row, reply)
