"""The logit lens: the model's prediction if it ended after each of its layers.

Source: interpreting GPT: the logit lens (nostalgebraist, 2020). The final norm is applied to every layer; a post-norm
design has no final norm, since the output of each block is already normalised.

Letters in shape comments: L layers, N positions, K top tokens, I ids, C d_model, V vocab_size.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from terrarium.models.architecture.trace import Trace
from terrarium.models.architecture.transformer import AnyModel
from terrarium.models.inference.continuation import evaluating
from terrarium.models.inference.sampling_steps import Floats
from terrarium.models.inspect.read_text import answer_logits, answering_stack, block_sites

_MAX_BATCH_LOGITS = 2**23  # 32 MB


@dataclass(frozen=True, kw_only=True, eq=False)
class Lens:
    """The prediction of each layer at some positions, from the embeddings to the last layer: the model's answer.

    best, probabilities: (L + 1, N, K), the ids of the top tokens and their probabilities, highest first. own, ranks: (L
    + 1, N), the probability and the rank, from 1, of the target token of each position. logs: (L + 1, V), the
    log-probabilities of all tokens at the last of the positions.
    """

    best: Tensor
    probabilities: Tensor
    own: Tensor
    ranks: Tensor
    logs: Tensor

    def track(self, ids: Sequence[int]) -> tuple[Floats, Floats]:
        """Return the probabilities (L + 1, I) and the ranks (L + 1, I) of some tokens at the last of the positions.

        Computed without torch, so it may be called on the GUI thread.
        """
        logs = self.logs.numpy()
        values = logs[:, list(ids)]
        ranks = np.stack([(logs > value[:, None]).sum(axis=1) + 1 for value in values.T], axis=1)
        return np.exp(values), ranks.astype(np.float32)

    def top_tokens(self, n: int) -> list[int]:
        """Return the n tokens with the highest probability in any layer at the last of the positions, highest first."""
        peaks: dict[int, float] = {}
        for ids, values in zip(self.best[:, -1].tolist(), self.probabilities[:, -1].tolist(), strict=True):
            for id, p in zip(ids, values, strict=True):
                peaks[id] = max(p, peaks.get(id, 0.0))
        return sorted(peaks, key=lambda id: -peaks[id])[:n]


@torch.no_grad()
def layer_logits(model: AnyModel, streams: Trace, positions: Sequence[int]) -> Iterator[Tensor]:
    """Yield the logits (N, V) of each layer at `positions`: of the embeddings, then of every block.

    The last are the model's own. `streams`: from `read_text.streams_of`.

    Raises:
        ValueError: if a logit is not a number.
    """
    stack = answering_stack(model)
    sites = [f"{stack.site}embedding", *block_sites(stack)]
    stacked = torch.stack([streams.residual[site][0, list(positions)] for site in sites])  # (L + 1, N, C)
    # Several layers together, since the head's table is read from memory each time.
    batch_size = max(1, _MAX_BATCH_LOGITS // (len(positions) * model.config.vocab_size))
    for some in stacked.split(batch_size):
        with evaluating(model):
            logits = answer_logits(model, some if stack.final_norm is None else stack.final_norm(some))
        yield from logits


def read_lens(model: AnyModel, streams: Trace, positions: Sequence[int], own: Sequence[int], n_best: int = 6) -> Lens:
    """Compute the lens at `positions`, where `own` are the target tokens.

    Raises:
        ValueError: as `layer_logits`.
    """
    best, probabilities, of_own, ranks, logs = [], [], [], [], []
    targets = torch.tensor(list(own))[:, None]  # (N, 1)
    for logits in layer_logits(model, streams, positions):
        log_p = torch.log_softmax(logits, dim=-1)
        top = log_p.topk(min(n_best, logits.size(-1)))
        best.append(top.indices)
        probabilities.append(top.values.exp())
        p, rank = _of_tokens(log_p, targets)
        of_own.append(p[:, 0])
        ranks.append(rank[:, 0])
        logs.append(log_p[-1])
    return Lens(
        best=torch.stack(best),
        probabilities=torch.stack(probabilities),
        own=torch.stack(of_own),
        ranks=torch.stack(ranks),
        logs=torch.stack(logs),
    )


def _of_tokens(logs: Tensor, ids: Tensor) -> tuple[Tensor, Tensor]:
    """Return probabilities and ranks, from 1, of ids (N, I) under log-probabilities (N, V): (N, I) each."""
    values = logs.gather(1, ids)
    ranks = torch.stack([(logs > values[:, i : i + 1]).sum(dim=-1) + 1 for i in range(ids.size(1))], dim=1)
    return values.exp(), ranks
