"""What each part of the model adds to a token's logit: an exact sum, since between the parts there are only norms.

With its scale taken as it was in this reading, a norm is linear: it turns each part's share of the residual stream by
itself, and the shares' dot products with the token's row of the head's table add up to the logit (direct logit
attribution: A Mathematical Framework for Transformer Circuits, Elhage et al., 2021).

Letters in shape comments: P parts, C d_model.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from models.architecture.heads import LanguageHead
from models.architecture.trace import Trace
from models.architecture.transformer import AnyModel
from models.inference.continuation import evaluating
from models.inspect.reading import answer_logits, answering_stack, block_sites


@dataclass(frozen=True, kw_only=True)
class Contributions:
    """How a logit, or the lead of one token over another, is made up.

    parts: by site, in the order in which they are added: the embedding, then attention, cross-attention and
        feed-forward of each block. constant: what comes from the biases of norms and head, whatever was read.
    total: the logit, or the difference of two, as the model itself gives it: the sum of all, but for rounding.
    """

    parts: tuple[tuple[str, float], ...]
    constant: float
    total: float


@torch.no_grad()
def contributions(
    model: AnyModel, streams: Trace, at: int, wanted: Sequence[tuple[int, int | None]]
) -> list[Contributions]:
    """What each part adds at place `at`: to the logit of a token (id, None), or to its lead over another (id, other).

    `streams`: of `reading.streams_of`.

    Raises:
        ValueError: where the head has a layer of its own, whose activation no sum comes through, or where a logit is
            not a number.
    """
    head = model.head
    if isinstance(head, LanguageHead) and head.transform is not None:
        raise ValueError(
            "This model's head has a layer with an activation of its own, as BERT's: behind it the logit is no sum "
            "of the parts any more, so there is no exact split."
        )
    stack = answering_stack(model)
    last = streams.residual[block_sites(stack)[-1]][0, at]
    with evaluating(model):
        logits = answer_logits(model, last if stack.final_norm is None else stack.final_norm(last)).double()
        sites, shares = _added_up(stack, streams, at)
        if stack.final_norm is not None:
            shares = _normed(stack.final_norm, shares)
        assert isinstance(head, LanguageHead)
        table = model.embedding.weight if head.weight is None else head.weight
        return [_of(head, table, logits, sites, shares, id, against) for id, against in wanted]


def _of(
    head: LanguageHead,
    table: Tensor,
    logits: Tensor,
    sites: Sequence[str],
    shares: Tensor,
    id: int,
    against: int | None,
) -> Contributions:
    row, constant = _row(head, table, id)
    total = logits[id]
    if against is not None:
        other, other_constant = _row(head, table, against)
        row, constant, total = row - other, constant - other_constant, total - logits[against]
    values = (shares @ row).tolist()
    return Contributions(
        parts=tuple(zip(sites, values[:-1], strict=True)), constant=values[-1] + float(constant), total=float(total)
    )


def _added_up(stack: nn.Module, trace: Trace, at: int) -> tuple[list[str], Tensor]:
    """The sites of the parts, and their shares of the last block's result (P + 1, C); the last is the norms' biases."""
    start = _exact(trace.residual[f"{stack.site}embedding"][0, at])
    sites, shares = [f"{stack.site}embedding"], torch.stack((start, torch.zeros_like(start)))
    for block_site, block in zip(block_sites(stack), stack.blocks, strict=True):  # type: ignore[arg-type]
        for name in ("attention", "cross_attention", "feed_forward"):
            added = trace.parts.get(f"{block_site}.{name}")
            if added is None:
                continue
            sites.append(f"{block_site}.{name}")
            shares = torch.cat((shares[:-1], _exact(added[0, at])[None], shares[-1:]))
            if not block.is_pre:
                shares = _normed(getattr(block, f"{name}_norm"), shares)
    return sites, shares


def _normed(norm: nn.Module, shares: Tensor) -> Tensor:
    """Shares (P + 1, C) behind a norm of their sum; its bias, where it has one, goes to the last of them."""
    assert isinstance(norm, nn.LayerNorm | nn.RMSNorm)
    total = shares.sum(dim=0)
    if isinstance(norm, nn.LayerNorm):
        shares = shares - shares.mean(dim=-1, keepdim=True)
        total = total - total.mean()
    scale = torch.rsqrt(total.square().mean() + (norm.eps or 0.0)) * _exact(norm.weight)
    shares = shares * scale
    if isinstance(norm, nn.LayerNorm) and norm.bias is not None:
        shares = torch.cat((shares[:-1], shares[-1:] + _exact(norm.bias)))
    return shares


def _row(head: LanguageHead, table: Tensor, id: int) -> tuple[Tensor, Tensor]:
    """What a hidden state is multiplied with to give the logit of `id` (C), and what is added to it."""
    bias = _exact(head.bias[id]) if head.bias is not None else torch.zeros((), dtype=torch.double)
    return _exact(table[id]) * head.scale, bias


def _exact(tensor: Tensor) -> Tensor:
    """The same in float64 on the CPU, so that the sum's error is the model's own."""
    return tensor.detach().cpu().double()
