"""The logit lens: what the model would answer if it ended after each of its layers.

Source: interpreting GPT, the logit lens (nostalgebraist, 2020). The final norm is applied to every layer where there is
one; a design whose norms stand behind the sums ("post") has none, since each block's result is normed already.

Letters in shape comments: L layers, N places, K best tokens, I ids, C d_model, V vocab_size.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from models.inference.continuation import evaluating
from models.inspect.reading import Text, answer_logits, answering_stack, block_sites, read
from models.trace import Trace
from models.transformer import AnyModel


@dataclass(frozen=True, kw_only=True, eq=False)
class Lens:
    """What each layer answers at some places: the embeddings first, the last layer, which is the answer, last.

    best, probabilities: (L + 1, N, K), the likeliest tokens and how likely they are, best first.
    own: (L + 1, N), the probability of the token that is asked for at each place. ranks: (L + 1, N) long, from 1.
    """

    best: Tensor
    probabilities: Tensor
    own: Tensor
    ranks: Tensor


@torch.no_grad()
def layer_logits(model: AnyModel, text: Text, places: Sequence[int]) -> Iterator[Tensor]:
    """The logits (N, V) that each layer's result gives at `places`: of the embeddings, then of every block.

    The last are the model's own.

    Raises:
        ValueError: as `reading.check_readable`, or where a logit is not a number.
    """
    stack, trace = answering_stack(model), Trace(wanted=frozenset({"residual"}))
    with evaluating(model):
        read(model, text, trace)
    at = list(places)
    for site in (f"{stack.site}embedding", *block_sites(stack)):
        with evaluating(model):
            stream = trace.residual[site][0, at]  # (N, C)
            logits = answer_logits(model, stream if stack.final_norm is None else stack.final_norm(stream))
        yield logits


def look(model: AnyModel, text: Text, places: Sequence[int], own: Sequence[int], n_best: int = 6) -> Lens:
    """The lens at `places`, where `own` are the tokens that are asked for.

    Raises:
        ValueError: as `layer_logits`.
    """
    best, probabilities, of_own, ranks = [], [], [], []
    targets = torch.tensor(list(own))[:, None]  # (N, 1)
    for logits in layer_logits(model, text, places):
        top = torch.softmax(logits, dim=-1).topk(min(n_best, logits.size(-1)))
        best.append(top.indices)
        probabilities.append(top.values)
        p, rank = _of_tokens(logits, targets)
        of_own.append(p[:, 0])
        ranks.append(rank[:, 0])
    return Lens(
        best=torch.stack(best),
        probabilities=torch.stack(probabilities),
        own=torch.stack(of_own),
        ranks=torch.stack(ranks),
    )


def follow(model: AnyModel, text: Text, place: int, ids: Sequence[int]) -> tuple[Tensor, Tensor]:
    """The probabilities (L + 1, I) and the ranks (L + 1, I), from 1, of some tokens at one place, layer by layer.

    Raises:
        ValueError: as `layer_logits`.
    """
    wanted = torch.tensor([list(ids)])
    found = [_of_tokens(logits, wanted) for logits in layer_logits(model, text, [place])]
    return torch.cat([p for p, _ in found]), torch.cat([rank for _, rank in found])


def _of_tokens(logits: Tensor, ids: Tensor) -> tuple[Tensor, Tensor]:
    """Probabilities and ranks, from 1, of ids (N, I) in logits (N, V): each (N, I)."""
    values = logits.gather(1, ids)
    p = (values - torch.logsumexp(logits, dim=-1, keepdim=True)).exp()
    ranks = torch.stack([(logits > values[:, i : i + 1]).sum(dim=-1) + 1 for i in range(ids.size(1))], dim=1)
    return p, ranks
