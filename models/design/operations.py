"""Floating-point operations of the matrix products, by component.

A multiplication and an addition count as two, as in PaLM's appendix B (arXiv:2204.02311). Norms, activations, softmax
and embedding look-ups are left out. As usual in papers, every token counts as attending to all `length` keys, or to
those in its sliding window, although earlier tokens of a causal model attend to fewer. In a mixture, only the experts
that a token uses count.
"""

from __future__ import annotations

from collections import Counter

from terrarium.models.design.counting import in_order
from terrarium.models.design.parts import HEAD, stacks
from terrarium.models.design.tree import design_tree
from terrarium.models.settings.model_config import ModelConfig

TRAINING_FACTOR = 3
"""Training costs three times the forward pass: the backward pass multiplies twice for each multiplication forward."""


def operations(config: ModelConfig, length: int | None = None, source_length: int | None = None) -> dict[str, int]:
    """Compute the FLOPs of the forward pass over a text of `length` tokens (default: the context), by component.

    In an encoder-decoder: over a pair of texts, a source of `source_length` tokens (default: `length`) for the encoder,
    and a target of `length` tokens for the decoder.
    """
    found: Counter[str] = Counter()
    for node in design_tree(config, length, source_length).walk():
        found[node.part.component] += node.n_used * node.part.flops
    return in_order(found)


SPARSE_BELOW = 0.6
"""Below this share of targets with a weight, selecting them costs less than computing all: training does so
(models.training.objective)."""


def operations_of_targets(config: ModelConfig) -> int:
    """Compute the FLOPs of the forward pass that training spends only on a token whose prediction counts in the loss:
    those of the last feed-forward (the decoder's) and of the head."""
    (stack, names), found = stacks(config)[-1], operations(config, 1, 1)
    feed_forwards = found.get(names.feed_forward, 0) + found.get(names.experts, 0)
    return feed_forwards // stack.n_layer + found.get(HEAD, 0)


def flops_per_token(config: ModelConfig, length: int | None = None, source_length: int | None = None) -> int:
    """Compute the FLOPs of the forward pass for one token of a text of `length` tokens (default: the context).

    In an encoder-decoder: for one token of the target, with its share of the encoder's work; if both texts have the
    same length, that is one token of each.
    """
    length = config.context_length if length is None else length
    return sum(operations(config, length, source_length).values()) // length


def training_flops_per_token(
    config: ModelConfig, length: int | None = None, source_length: int | None = None, *, recomputes: bool = False
) -> int:
    """Compute the FLOPs per trained token, forward and backward; tokens as for `flops_per_token`.

    recomputes: whether the backward pass recomputes each block (activation checkpointing).
    """
    forward = flops_per_token(config, length, source_length)
    again = recomputed_share(config, length, source_length) * forward if recomputes else 0
    return TRAINING_FACTOR * forward + round(again)


def recomputed_share(config: ModelConfig, length: int | None = None, source_length: int | None = None) -> float:
    """Return the share of the forward pass's FLOPs in the blocks, which activation checkpointing recomputes."""
    nodes = list(design_tree(config, length, source_length).walk())
    in_blocks = sum(node.n_used * node.part.flops for node in nodes if node.is_in_blocks)
    return in_blocks / sum(node.n_used * node.part.flops for node in nodes)
