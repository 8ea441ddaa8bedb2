"""Log-probabilities of replies, read in one pass with the text that they answer.

Letters in shape comments: B rows, T tokens, V vocab_size.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from models.architecture.transformer import AnyModel
from models.data.batch import Batch
from models.tasks.forward import batch_states

_CHUNK = 1 << 22
"""Logits that are held at once where the vocabulary is large: 16 MiB of float32."""


@dataclass(frozen=True, kw_only=True)
class ReplyLogProbs:
    """Of each counted target of a batch (N of them, in the order of rows and positions), float32 with gradients.

    log_probs: of the target. entropy: of the distribution it is from, in nats, without gradient. where: (N, 2), row and
    position.
    """

    log_probs: Tensor
    entropy: Tensor
    where: Tensor

    def by_row(self, n_rows: int) -> Tensor:
        """The sum of each row's log-probabilities: (n_rows)."""
        sums = torch.zeros(n_rows, dtype=self.log_probs.dtype, device=self.log_probs.device)
        return sums.index_add(0, self.where[:, 0], self.log_probs)


def counted_logits(model: AnyModel, batch: Batch) -> tuple[Tensor, Tensor]:
    """The final states of the targets that count (N, C), and where they are: row and position (N, 2)."""
    where = batch.weights.nonzero().to(model.embedding.weight.device)
    return batch_states(model, batch)[where[:, 0], where[:, 1]], where


def reply_log_probs(model: AnyModel, batch: Batch) -> ReplyLogProbs:
    """Of the targets of `batch` that have a weight, with float32 softmax. Uses the model's mode as it is."""
    states, where = counted_logits(model, batch)
    targets = batch.targets.to(states.device)[where[:, 0], where[:, 1]]
    found, entropies = list[Tensor](), list[Tensor]()
    step = max(1, _CHUNK // model.config.vocab_size)
    for some, wanted in zip(states.split(step), targets.split(step), strict=True):
        logs = torch.log_softmax(model.logits(some).float(), dim=-1)
        found.append(logs.gather(1, wanted[:, None])[:, 0])
        entropies.append(-(logs.detach().exp() * logs.detach()).sum(1))
    return ReplyLogProbs(log_probs=torch.cat(found), entropy=torch.cat(entropies), where=where)


def exact_kl(model: AnyModel, reference: AnyModel, batch: Batch) -> Tensor:
    """KL(model ‖ reference) over the whole vocabulary at each counted target (N), in nats; never negative.

    Summed over a reply that the model drew, its mean is the KL of whole replies (arXiv:2504.10637). No gradient.
    """
    with torch.no_grad():
        states, _ = counted_logits(model, batch)
        others, _ = counted_logits(reference, batch)
        step = max(1, _CHUNK // model.config.vocab_size)
        parts = []
        for some, other in zip(states.split(step), others.split(step), strict=True):
            own = torch.log_softmax(model.logits(some).float(), dim=-1)
            ref = torch.log_softmax(reference.logits(other).float(), dim=-1)
            parts.append((own.exp() * (own - ref)).sum(1).clamp(min=0))
        return torch.cat(parts) if parts else torch.zeros(0)
