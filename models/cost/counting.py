"""The number of parameters, exactly as in the built model."""

from __future__ import annotations

import math
from collections import Counter

from terrarium.models.cost.parts import (
    CONVOLUTION,
    CROSS,
    EMBEDDING,
    HEAD,
    NGRAMS,
    NORMS,
    POOLER,
    POSITIONS,
    SEGMENTS,
    stacks,
)
from terrarium.models.settings.model_config import ModelConfig
from terrarium.models.settings.positions import scheme_of


def parameters(config: ModelConfig) -> dict[str, int]:
    """Count the parameters by component, in the order of the forward pass; a tied table counts once.

    An encoder-decoder has the components of two stacks (“Encoder attention”, “Decoder attention”) and
    “Cross-attention”; a mixture has “Router” and “Experts” instead of “Feed-forward”.
    """
    width = config.d_model
    convolutions = in_norms = 0
    found = Counter({EMBEDDING: config.vocab_size * width})
    if config.has_ngrams:
        found[NGRAMS] = (config.max_ngram - 1) * config.d_ngram * (config.ngram_rows + width)
    found[POSITIONS] = 0
    if config.topology == "encoder-only":
        found[SEGMENTS] = config.n_segment * width
    for stack, parts in stacks(config):
        layers = stack.n_layer
        is_crossed = parts.stack == "Decoder"
        found[POSITIONS] += _position(stack)
        found[parts.attention] = layers * attention_weights(stack, biases=True)
        if is_crossed:
            found[CROSS] = layers * attention_weights(stack, biases=True)
        if stack.n_expert:
            found[parts.router] = layers * width * stack.n_expert
            found[parts.experts] = layers * stack.n_expert * feed_forward_weights(stack, biases=True)
        else:
            found[parts.feed_forward] = layers * feed_forward_weights(stack, biases=True)
        convolutions += 2 * layers * stack.conv_width * width
        n_attention = 2 if is_crossed else 1
        norms = layers * (n_attention + 1) + (stack.norm_place == "pre") + stack.embedding_norm
        in_norms += norms * norm_weights(stack, width)
        in_norms += stack.qk_norm * layers * n_attention * 2 * norm_weights(stack, stack.head_dim)
    found[CONVOLUTION], found[NORMS] = convolutions, in_norms
    if config.topology == "encoder-only" and config.pooler:
        found[POOLER] = width * width + width
    found[HEAD] = _head(config)
    return dict(found)


def total_parameters(config: ModelConfig) -> int:
    """Return the total number of parameters."""
    return sum(parameters(config).values())


def active_parameters(config: ModelConfig) -> int:
    """Return the number of parameters used for one token: all, except the experts that the token is not routed to."""
    idle = 0
    for stack, _ in stacks(config):
        if stack.n_expert:
            n_idle = stack.n_expert - stack.n_expert_used
            idle += stack.n_layer * n_idle * feed_forward_weights(stack, biases=True)
    return total_parameters(config) - idle


def block_matrices(config: ModelConfig) -> int:
    """Count the parameters in the matrices of all blocks, which Muon updates: no biases, norms or convolutions."""
    total = 0
    for stack, parts in stacks(config):
        attention = attention_weights(stack) * (2 if parts.stack == "Decoder" else 1)
        feed_forward = feed_forward_weights(stack)
        if stack.n_expert:
            feed_forward = stack.n_expert * (feed_forward + stack.d_model)
        total += stack.n_layer * (attention + feed_forward)
    return total


def attention_weights(config: ModelConfig, *, biases: bool = False) -> int:
    """Count the parameters of a layer's query, key, value and output matrices; with `biases`, their biases, too."""
    inner, shared = config.n_head * config.head_dim, config.kv_heads * config.head_dim
    weights = 2 * config.d_model * (inner + shared)
    return weights + (config.d_model + inner + 2 * shared) * (biases and config.attention_bias)


def feed_forward_weights(config: ModelConfig, *, biases: bool = False) -> int:
    """Count the parameters of a feed-forward's (or expert's) matrices: 2, or 3 if gated; with `biases`, those, too."""
    n_inner = 2 if config.is_gated else 1
    weights = (n_inner + 1) * config.d_model * config.ff_width
    return weights + (n_inner * config.ff_width + config.d_model) * (biases and config.ff_bias)


def _position(config: ModelConfig) -> int:
    learned = scheme_of(config).learned
    return math.prod(learned.shape(config)) if learned is not None else 0


def norm_weights(config: ModelConfig, width: int) -> int:
    """Count the parameters of a norm."""
    return width * (2 if config.norm_bias else 1)


def _head(config: ModelConfig) -> int:
    width = config.d_model
    if config.head != "language":
        dense = width * (width + 1) if config.has_dense_head else 0
        return dense + config.n_output * (width + config.has_label_bias)
    total = 0 if config.tied_embeddings else config.vocab_size * width
    if config.head_bias:
        total += config.vocab_size
    if config.topology == "encoder-only" and config.head_transform:
        total += width * width + width * (config.bias == "all") + norm_weights(config, width)
    return total
