"""A reward model: a decoder that reads a prompt and its reply up to the end token, and outputs one score.

Letters in shape comments: B rows, T tokens.
"""

from __future__ import annotations

import dataclasses
import math
import statistics
from collections.abc import Generator, Sequence
from dataclasses import dataclass

import torch
from tokenizers import Tokenizer
from torch import Tensor

from terrarium.models.architecture.transformer import AnyModel
from terrarium.models.data.batch import Batch
from terrarium.models.inference.continuation import evaluating
from terrarium.models.settings.model_config import ModelConfig
from terrarium.models.tasks.forward import task_logits

_ROWS = 32
"""Texts in a batch."""


def score_batch(texts: Sequence[Sequence[int]]) -> Batch:
    """Make a batch of whole texts, each a prompt and a reply with its end token, padded at the end."""
    lengths = torch.tensor([len(text) for text in texts])
    mask = torch.arange(int(lengths.max())) < lengths[:, None]  # (B, T)
    ids = torch.zeros(mask.shape, dtype=torch.long)
    ids[mask] = torch.tensor([id for text in texts for id in text])
    n = len(texts)
    return Batch(ids, torch.zeros(n), torch.ones(n), mask=mask, n_tokens=int(lengths.sum()), task="regression")


def scores_of(model: AnyModel, batch: Batch) -> Tensor:
    """Return the scores (B) of a reward model for the texts of a `score_batch`: float32, with gradients."""
    return task_logits(model, batch).float()[:, 0]


def check_reward_model(
    config: ModelConfig, tokenizer: Tokenizer, policy: ModelConfig, own_tokenizer: Tokenizer, name: str
) -> None:
    """Raise ValueError if a reward model cannot score the replies of a policy.

    Args:
        config, tokenizer: of the reward model, which is called `name`.
        policy, own_tokenizer: of the policy.
    """
    if not config.is_reward_model:
        raise ValueError(
            f"{name!r} is no reward model, since it does not give a text one score: choose a run of the stage reward."
        )
    if tokenizer.get_vocab() != own_tokenizer.get_vocab():
        raise ValueError(
            f"The reward model {name!r} has another tokenizer than the model that it is to score: train one from the "
            "same parent."
        )
    if config.context_length < policy.context_length:
        raise ValueError(
            f"The reward model {name!r} reads {config.context_length} tokens, but the model that it is to score has a "
            f"context of {policy.context_length}: train one from the same parent."
        )


@dataclass(frozen=True, kw_only=True)
class RewardModel:
    """Scores texts in standard deviations from a mean.

    Mean and deviation are those of its raw scores of the policy's replies before training (`standardised`), so that
    the same KL weight means the same in every run.
    """

    model: AnyModel
    mean: float = 0.0
    std: float = 1.0

    def scores(self, texts: Sequence[Sequence[int]]) -> Generator[None, None, list[float]]:
        """Return the score of each text, as in `score_batch`. Yields between batches.

        Raises:
            ValueError: if a score is not finite.
        """
        found: list[float] = []
        for i in range(0, len(texts), _ROWS):
            if i:
                yield
            batch = score_batch(texts[i : i + _ROWS])
            with evaluating(self.model):
                found += scores_of(self.model, batch).tolist()
        if not all(map(math.isfinite, found)):
            raise ValueError(
                "The reward model gives a reply a score that is not a finite number, so nothing can be learned from "
                "it: train the reward model again, at a lower rate."
            )
        return [(score - self.mean) / self.std for score in found]

    def standardised(self, scores: Sequence[float]) -> RewardModel:
        """Return a copy with the mean and the standard deviation of these raw scores.

        Raises:
            ValueError: if all of them are equal.
        """
        std = statistics.pstdev(scores)
        if std < 1e-6:
            raise ValueError(
                "The reward model gives all replies the same score, so nothing can be learned from it: train it "
                "longer, or on more pairs."
            )
        return dataclasses.replace(self, mean=statistics.fmean(scores), std=std)
