"""A model's scores of preference pairs: the rewards of a reward model, or the log-probabilities of another model."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass

from tokenizers import Tokenizer

from terrarium.models.alignment.log_probs import by_row, reply_log_probs
from terrarium.models.alignment.reward_model import RewardModel
from terrarium.models.alignment.rollouts import reply_batch
from terrarium.models.architecture.transformer import AnyModel
from terrarium.models.chat.own_template import encode_reply
from terrarium.models.corpora.corpus import Example
from terrarium.models.events import Event, Progress, result_of
from terrarium.models.inference.continuation import evaluating

REWARD, LOG_PROB = "reward", "log-probability"
_ROWS = 16
"""Pairs in a batch."""
_SIDES = ("chosen", "rejected")


@dataclass(frozen=True, kw_only=True)
class PairScore:
    """A model's scores of both replies of a pair; higher is better."""

    chosen: float
    rejected: float

    @property
    def margin(self) -> float:
        """The score margin; if negative, the model disagrees with the choice."""
        return self.chosen - self.rejected


@dataclass(frozen=True, kw_only=True)
class PairScores:
    """The scores of some pairs, None for those longer than the model's context. kind: REWARD (raw), or LOG_PROB: nats
    of the whole reply with its end token.
    """

    kind: str
    scores: tuple[PairScore | None, ...]


def pair_scores(model: AnyModel, tokenizer: Tokenizer, rows: Sequence[Example]) -> Generator[Event, None, PairScores]:
    """Score both replies of each row of the task "preference". Yields Progress (rows).

    Raises:
        ValueError: if the model is neither a reward model nor a generating decoder, or its tokenizer has no role
            tokens.
    """
    config = model.config
    is_reward = config.is_reward_model
    if not is_reward and (config.topology, config.head) != ("decoder-only", "language"):
        raise ValueError("This model neither scores replies nor writes them: choose a reward model, or a chat model.")
    found: list[PairScore | None] = []
    for start in range(0, len(rows), _ROWS):
        yield Progress(done=start, total=len(rows))
        texts = [
            [encode_reply(tokenizer, row["messages"], row[side]) for side in _SIDES]
            for row in rows[start : start + _ROWS]
        ]
        fits = [all(len(prompt) + len(reply) <= config.context_length for prompt, reply in sides) for sides in texts]
        read = [side for sides, fit in zip(texts, fits, strict=True) if fit for side in sides]
        values = iter(_values(model, read, is_reward=is_reward) if read else ())
        found += [PairScore(chosen=next(values), rejected=next(values)) if fit else None for fit in fits]
    return PairScores(kind=REWARD if is_reward else LOG_PROB, scores=tuple(found))


def _values(model: AnyModel, texts: Sequence[tuple[list[int], list[int]]], *, is_reward: bool) -> list[float]:
    """Return the reward of each text (a prompt and its reply), or the log-probability of its reply."""
    if is_reward:
        return result_of(RewardModel(model=model).scores([[*prompt, *reply] for prompt, reply in texts]))
    batch = reply_batch(*zip(*texts, strict=True))
    with evaluating(model):
        return [float(value) for value in by_row(batch, reply_log_probs(model, batch))]
