"""Pointing: scores of candidate positions for the hidden state at a pronoun. It has no weights of its own."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from terrarium.models.data.batch import Batch
from terrarium.models.settings.model_config import ModelConfig


def check_pointing(config: ModelConfig) -> None:
    """Raise ValueError if a design cannot learn to point, or has weights that pointing would leave untrained."""
    if config.topology == "encoder-decoder":
        raise ValueError("Pronouns are resolved in one text: choose an encoder or a decoder.")
    if config.topology == "encoder-only" and (config.head != "none" or config.pooler):
        raise ValueError(
            "An encoder points with its states, so a head on them would learn nothing: choose the head none."
        )
    is_tied = config.topology != "decoder-only" or config.tied_embeddings
    if not is_tied or config.has_head_transform or config.head_bias:
        raise ValueError(
            "A decoder points with its states, so a head of its own would learn nothing: choose tied embeddings, and "
            "no head bias or transform."
        )


def pointer_scores(hidden: Tensor, candidates: Tensor, row: Tensor, position: Tensor) -> Tensor:
    """Compute the scores of all positions for N query states; −∞ for those that are not candidates.

    The score of a position is the dot product of its state and the query state, divided by √C, as in attention. With
    a learned head it would be unclear whether the model or the head resolves the pronoun.

    Args:
        hidden: (B, T, C) the final hidden states.
        candidates: (B, T) bool.
        row, position: (N) long, the query states.

    Returns:
        (N, T) float32.
    """
    query = hidden[row, position].float()  # (N, C)
    scores: Tensor = (hidden[row].float() @ query[:, :, None]).squeeze(2) / hidden.shape[-1] ** 0.5
    return scores.masked_fill(~candidates[row], float("-inf"))


def pointing_nll(hidden: Tensor, batch: Batch) -> tuple[Tensor, Tensor]:
    """Compute the negative log-likelihood and the weight of the target of each of N positions with a weight: (N)
    each.
    """
    assert batch.candidates is not None
    row, position = batch.weights.nonzero(as_tuple=True)
    targets, weights = batch.targets[row, position].to(hidden.device), batch.weights[row, position].to(hidden.device)
    row, position = row.to(hidden.device), position.to(hidden.device)
    scores = pointer_scores(hidden, batch.candidates.to(hidden.device), row, position)
    return F.cross_entropy(scores, targets, reduction="none"), weights
