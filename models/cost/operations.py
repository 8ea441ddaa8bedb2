"""Floating-point operations of the matrix products, by component.

A multiplication and an addition count as two, as in PaLM's appendix B (arXiv:2204.02311). Norms, activations, softmax
and embedding look-ups are left out. As usual in papers, every token counts as attending to all `length` keys, or to
those in its sliding window, although earlier tokens of a causal model attend to fewer. In a mixture, only the experts
that a token uses count.
"""

from __future__ import annotations

from collections import Counter

from terrarium.models.cost.counting import attention_weights, feed_forward_weights
from terrarium.models.cost.parts import CONVOLUTION, CROSS, HEAD, NGRAMS, POOLER, stacks
from terrarium.models.settings.model_config import ModelConfig

TRAINING_FACTOR = 3
"""Training costs three times the forward pass: the backward pass multiplies twice for each multiplication forward."""


def operations(config: ModelConfig, length: int | None = None, source_length: int | None = None) -> dict[str, int]:
    """Compute the FLOPs of the forward pass over a text of `length` tokens (default: the context), by component.

    In an encoder-decoder: over a pair of texts, a source of `source_length` tokens (default: `length`) for the encoder,
    and a target of `length` tokens for the decoder.
    """
    length = config.context_length if length is None else length
    source_length = length if source_length is None else source_length
    width = config.d_model
    found: Counter[str] = Counter()
    if config.has_ngrams:
        found[NGRAMS] = 2 * length * (config.max_ngram - 1) * config.d_ngram * width
    for stack, parts in stacks(config):
        layers, tokens = stack.n_layer, source_length if parts.stack == "Encoder" else length
        inner, shared = stack.n_head * stack.head_dim, stack.kv_heads * stack.head_dim
        scores = 4 * tokens * _seen(stack, tokens) * inner
        found[parts.attention] = layers * (2 * tokens * attention_weights(stack) + scores)
        if parts.stack == "Decoder":
            of_target, of_source = 2 * 2 * width * inner * tokens, 2 * 2 * width * shared * source_length
            found[CROSS] = layers * (of_target + of_source + 4 * tokens * source_length * inner)
        if stack.n_expert:
            found[parts.router] = layers * 2 * tokens * width * stack.n_expert
            found[parts.experts] = layers * 2 * tokens * stack.n_expert_used * feed_forward_weights(stack)
        else:
            found[parts.feed_forward] = layers * 2 * tokens * feed_forward_weights(stack)
        found[CONVOLUTION] += layers * 2 * 2 * tokens * stack.conv_width * width
    if config.topology == "encoder-only" and config.pooler and config.head == "sequence":
        found[POOLER] = 2 * width * width
    if config.head != "language":
        rows = 1 if config.head == "sequence" else length
        found[HEAD] = 2 * rows * width * (config.n_output + width * config.has_dense_head)
    else:
        has_transform = config.topology == "encoder-only" and config.head_transform
        found[HEAD] = 2 * length * width * (config.vocab_size + width * has_transform)
    return dict(found)


SPARSE_BELOW = 0.6
"""Below this share of targets with a weight, selecting them costs less than computing all: training does so
(models.training.objective)."""


def operations_of_targets(config: ModelConfig) -> int:
    """Compute the FLOPs of the forward pass that training spends only on a token whose prediction counts in the loss:
    those of the last feed-forward (the decoder's) and of the head."""
    stack, _ = stacks(config)[-1]
    n_used = stack.n_expert_used if stack.n_expert else 1
    return 2 * n_used * feed_forward_weights(stack) + operations(config, 1, 1)[HEAD]


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
    found = operations(config, length, source_length)
    return 1 - sum(found.get(part, 0) for part in (NGRAMS, HEAD, POOLER)) / sum(found.values())


def _seen(config: ModelConfig, length: int) -> int:
    """Return the maximum number of tokens of `length` that a token attends to."""
    window = config.sliding_window
    if not window:
        return length
    return min(length, window if config.is_causal else 2 * window - 1)
