"""How a state points: at each place, the scores of the positions that it may mean. No weights of its own."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from models.data.batch import Batch
from models.settings.model_config import ModelConfig


def check_pointing(config: ModelConfig) -> None:
    """Raise ValueError where a design cannot learn to point, or has weights that pointing would leave untrained."""
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


def pointer_scores(hidden: Tensor, candidates: Tensor, row: Tensor, place: Tensor) -> Tensor:
    """Scores of all positions, by N states that ask; −∞ for those that are no candidates.

    The score of a position is the product of its state with the state that asks, over √C, as in attention: a head of
    its own would leave open whether the model or the head has resolved the pronoun.

    Args:
        hidden: (B, T, C) the last states. candidates: (B, T) bool. row, place: (N) long, the states that ask.

    Returns:
        (N, T) float32.
    """
    asking = hidden[row, place].float()  # (N, C)
    scores: Tensor = (hidden[row].float() @ asking[:, :, None]).squeeze(2) / hidden.shape[-1] ** 0.5
    return scores.masked_fill(~candidates[row], float("-inf"))


def pointing_nll(hidden: Tensor, batch: Batch) -> tuple[Tensor, Tensor]:
    """Negative log-likelihood of each target position, and its weight: both (N), for the N places that count."""
    assert batch.candidates is not None
    row, place = batch.weights.nonzero(as_tuple=True)
    targets, weights = batch.targets[row, place].to(hidden.device), batch.weights[row, place].to(hidden.device)
    row, place = row.to(hidden.device), place.to(hidden.device)
    scores = pointer_scores(hidden, batch.candidates.to(hidden.device), row, place)
    return F.cross_entropy(scores, targets, reduction="none"), weights
