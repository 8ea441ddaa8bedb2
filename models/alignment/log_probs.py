"""Log-probabilities of replies, computed in one pass with their prompts.

Letters in shape comments: B rows, T tokens, V vocab_size.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from terrarium.models.architecture.transformer import AnyModel
from terrarium.models.data.batch import Batch
from terrarium.models.inference.continuation import evaluating
from terrarium.models.tasks.forward import batch_states

_CHUNK = 1 << 22
"""Logits that are in memory together for a large vocabulary: 16 MiB of float32."""


@dataclass(frozen=True, kw_only=True)
class ReadReplies:
    """Statistics of a model and its reference at each counted target of a batch (N of them, in the order of rows and
    positions), float32 without gradients.

    log_probs, reference: (N), of the target. entropy: (N), of the model's distribution, in nats. kl: (N), KL(model ‖
    reference) over the whole vocabulary, in nats; summed over a reply that the model drew, its mean is the KL of
    whole replies (arXiv:2504.10637).
    """

    log_probs: Tensor
    reference: Tensor
    entropy: Tensor
    kl: Tensor


@dataclass(frozen=True, kw_only=True)
class TokenFacts:
    """A counted target in the model's distribution: rank 1 is the most probable token; the entropy is in nats."""

    probability: float
    entropy: float
    rank: int


def counted(batch: Batch) -> Tensor:
    """Return the row and position (N, 2) of each target with a weight."""
    return batch.weights.nonzero()


def by_row(batch: Batch, values: Tensor) -> Tensor:
    """Sum values of counted targets (N) by row: (B)."""
    return torch.zeros(len(batch.inputs)).index_add(0, counted(batch)[:, 0], values.cpu())


def reply_log_probs(model: AnyModel, batch: Batch) -> Tensor:
    """Return the log-probability of each counted target (N), with gradients and a float32 softmax.

    The model's train or eval mode is unchanged.
    """
    parts = [logs.gather(1, wanted[:, None])[:, 0] for logs, wanted in _log_softmax(model, batch)]
    return torch.cat(parts)


def read_replies(model: AnyModel, reference: AnyModel, batch: Batch) -> ReadReplies:
    """Read the counted targets with both models, in eval mode; their modes are restored."""
    parts = []
    with evaluating(model), evaluating(reference):
        for (own, wanted), (ref, _) in zip(_log_softmax(model, batch), _log_softmax(reference, batch), strict=True):
            p, at = own.exp(), wanted[:, None]
            of_model, of_reference = own.gather(1, at)[:, 0], ref.gather(1, at)[:, 0]
            parts.append((of_model, of_reference, -(p * own).sum(1), (p * (own - ref)).sum(1).clamp(min=0)))
    log_probs, of_reference, entropy, kl = (torch.cat(values) for values in zip(*parts, strict=True))
    return ReadReplies(log_probs=log_probs, reference=of_reference, entropy=entropy, kl=kl)


def token_facts(model: AnyModel, batch: Batch) -> list[TokenFacts]:
    """Return the facts of each counted target, in eval mode; the model's mode is restored."""
    found = []
    with evaluating(model):
        for logs, wanted in _log_softmax(model, batch):
            own = logs.gather(1, wanted[:, None])
            entropies = -(logs.exp() * logs).sum(1)
            ranks = (logs > own).sum(1) + 1
            values = zip(own[:, 0].exp().tolist(), entropies.tolist(), ranks.tolist(), strict=True)
            found += [TokenFacts(probability=p, entropy=entropy, rank=rank) for p, entropy, rank in values]
    return found


def _log_softmax(model: AnyModel, batch: Batch) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield the log-probabilities of all tokens (n, V) at counted targets, chunk by chunk, and the targets (n)."""
    where = batch.counted  # (N)
    states = batch_states(model, batch, counted=where)  # (N, C)
    targets = batch.targets.flatten()[where].to(states.device)
    n = max(1, _CHUNK // model.config.vocab_size)
    for some, wanted in zip(states.split(n), targets.split(n), strict=True):
        yield torch.log_softmax(model.logits(some).float(), dim=-1), wanted
