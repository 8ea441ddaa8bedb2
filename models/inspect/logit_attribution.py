"""Direct logit attribution: the contribution of each part of the model to a token's logit, as an exact sum.

With its scale fixed at the value of this pass, a norm is linear: it can be applied to each part's contribution to the
residual stream, and the dot products of the results with the token's row of the unembedding add up to the logit (A
Mathematical Framework for Transformer Circuits, Elhage et al., 2021).

Letters in shape comments: P parts, C d_model.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from terrarium.models.architecture.attention import Attention
from terrarium.models.architecture.heads import LanguageHead
from terrarium.models.architecture.stack import Stack
from terrarium.models.architecture.trace import Trace
from terrarium.models.architecture.transformer import AnyModel
from terrarium.models.design.tree import design_tree, sites
from terrarium.models.inference.continuation import evaluating
from terrarium.models.inspect.read_text import answer_logits, answering_stack, block_sites


@dataclass(frozen=True, kw_only=True)
class Contributions:
    """The contributions to a logit, or to the logit difference of two tokens.

    parts: by site, in the order in which they are added: the embedding, then attention, cross-attention and
        feed-forward of each block. constant: the biases of norms and head, which do not depend on the input.
    total: the logit, or the logit difference, that the model computes: the sum of all of these, up to rounding.
    """

    parts: tuple[tuple[str, float], ...]
    constant: float
    total: float


@torch.no_grad()
def contributions(
    model: AnyModel, streams: Trace, at: int, wanted: Sequence[tuple[int, int | None]], *, by_head: bool = False
) -> list[Contributions]:
    """Compute what each part adds at position `at`: to a token's logit (id, None), or a logit difference (id, other).

    Args:
        streams: from `read_text.streams_of`. by_head: split each attention into its heads, “….attention.heads.0” and so
            on, and its bias, “….attention.bias”; requires the heads' outputs in the streams.

    Raises:
        ValueError: if the head has a hidden layer, whose activation is not linear, or if a logit is not a number.
    """
    head = model.head
    if isinstance(head, LanguageHead) and head.transform is not None:
        raise ValueError(
            "This model's head has a hidden layer with an activation, like BERT's, so its logits cannot be split "
            "exactly into parts."
        )
    stack = answering_stack(model)
    last = streams.residual[block_sites(stack)[-1]][0, at]
    with evaluating(model):
        logits = answer_logits(model, last if stack.final_norm is None else stack.final_norm(last)).double()
        names, terms = _residual_terms(stack, streams, at, by_head=by_head)
        if stack.final_norm is not None:
            terms = _normed(stack.final_norm, terms)
        assert isinstance(head, LanguageHead)
        table = model.embedding.weight if head.weight is None else head.weight
        return [_contributions_of(head, table, logits, names, terms, id, other_id) for id, other_id in wanted]


def _contributions_of(
    head: LanguageHead,
    table: Tensor,
    logits: Tensor,
    names: Sequence[str],
    terms: Tensor,
    id: int,
    other_id: int | None,
) -> Contributions:
    row, constant = _row(head, table, id)
    total = logits[id]
    if other_id is not None:
        other, other_constant = _row(head, table, other_id)
        row, constant, total = row - other, constant - other_constant, total - logits[other_id]
    values = (terms @ row).tolist()
    return Contributions(
        parts=tuple(zip(names, values[:-1], strict=True)), constant=values[-1] + float(constant), total=float(total)
    )


def head_outputs(attention: nn.Module, heads: Tensor) -> Tensor:
    """Return the vector added by each head (H + 1, C), from its output (H, D); the last row is the matrix's bias."""
    assert isinstance(attention, Attention)
    n_head, width = heads.shape
    apart = heads.new_zeros(n_head + 1, n_head, width)  # one head in each row, none in the last
    apart[range(n_head), range(n_head)] = heads
    out: Tensor = attention.output(apart.flatten(1))
    bias = out[-1:]
    return torch.cat((out[:-1] - bias, bias))


def _residual_terms(stack: Stack, trace: Trace, at: int, *, by_head: bool) -> tuple[list[str], Tensor]:
    """Return the sites of the parts, and their contributions to the last block's output (P + 1, C); the last row is the
    norms' biases."""
    start = _exact(trace.residual[f"{stack.site}embedding"][0, at])
    names, terms = [f"{stack.site}embedding"], torch.stack((start, torch.zeros_like(start)))
    blocks = sites(design_tree(stack.config))
    for block_site, block in zip(block_sites(stack), stack.blocks, strict=True):
        for site, part in blocks[block_site].items():
            added, name = trace.parts[site], site.rpartition(".")[2]
            if by_head and part.n_head:
                rows = head_outputs(getattr(block, name), trace.heads[site][0, :, at].to(added.dtype))
                names += [*(f"{site}.heads.{i}" for i in range(len(rows) - 1)), f"{site}.bias"]
            else:
                rows = added[0, at][None]
                names.append(site)
            terms = torch.cat((terms[:-1], _exact(rows), terms[-1:]))
            if not block.is_pre:
                terms = _normed(getattr(block, f"{name}_norm"), terms)
    return names, terms


def _normed(norm: nn.Module, terms: Tensor) -> Tensor:
    """Apply a norm to the sum of contributions (P + 1, C); its bias, if any, is added to the last row."""
    assert isinstance(norm, nn.LayerNorm | nn.RMSNorm)
    total = terms.sum(dim=0)
    if isinstance(norm, nn.LayerNorm):
        terms = terms - terms.mean(dim=-1, keepdim=True)
        total = total - total.mean()
    scale = torch.rsqrt(total.square().mean() + (norm.eps or 0.0)) * _exact(norm.weight)
    terms = terms * scale
    if isinstance(norm, nn.LayerNorm) and norm.bias is not None:
        terms = torch.cat((terms[:-1], terms[-1:] + _exact(norm.bias)))
    return terms


def _row(head: LanguageHead, table: Tensor, id: int) -> tuple[Tensor, Tensor]:
    """Return the unembedding row (C) and the bias of token `id`."""
    bias = _exact(head.bias[id]) if head.bias is not None else torch.zeros((), dtype=torch.double)
    return _exact(table[id]) * head.scale, bias


def _exact(tensor: Tensor) -> Tensor:
    """Convert to float64 on the CPU, so that the sum has no rounding error of its own."""
    return tensor.detach().cpu().double()
