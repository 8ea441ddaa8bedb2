"""What an architecture costs, from its settings alone: parameters, floating-point operations, memory. No torch import.

Parameters are exact. The rest is *estimated*, and the docstrings say what is left out.
"""

from __future__ import annotations

from models.config import ModelConfig

FLOAT32_BYTES = 4
TRAINING_FACTOR = 3
"""Training costs three times the forward pass: the backward pass multiplies twice for each multiplication forward."""


def parameters(config: ModelConfig) -> dict[str, int]:
    """Trained numbers by component, exactly those of the built model; a tied head costs nothing."""
    c, layers = config.d_model, config.n_layer
    return {
        "Token embedding": config.vocab_size * c,
        "Positions": config.context_length * c if config.position == "learned" else 0,
        "Attention": layers * (_attention_weights(config) + (_attention_biases(config) if config.bias == "all" else 0)),
        "Feed-forward": layers * (_feed_forward_weights(config) + (_feed_forward_biases(config) if config.bias == "all" else 0)),
        "Short convolution": layers * 2 * config.conv_width * c,
        "Norms": _norm(config, c) * (2 * layers + 1) + layers * 2 * _norm(config, config.head_dim) * config.qk_norm,
        "Head": 0 if config.tied_embeddings else config.vocab_size * c,
    }


def total_parameters(config: ModelConfig) -> int:
    """All trained numbers."""
    return sum(parameters(config).values())


def flops_per_token(config: ModelConfig, length: int | None = None) -> int:
    """Estimated floating-point operations of the forward pass for a token that sees `length` tokens (default: all).

    A multiplication and an addition count as two, as in PaLM's appendix B (arXiv:2204.02311): two for each weight of a
    matrix, and 4 · length · d_model per layer for attention's scores and sums. Norms, activations, softmax and looking
    up embeddings are left out.
    """
    seen = config.context_length if length is None else length
    per_layer = _attention_weights(config) + _feed_forward_weights(config) + 2 * config.conv_width * config.d_model
    weights = config.n_layer * per_layer + config.vocab_size * config.d_model  # the head works, tied or not
    return 2 * weights + 4 * config.n_layer * seen * config.d_model


def training_flops_per_token(config: ModelConfig, length: int | None = None) -> int:
    """Estimated operations per trained token, forward and backward."""
    return TRAINING_FACTOR * flops_per_token(config, length)


def memory(config: ModelConfig, batch_size: int, length: int, optimizer: str = "muon") -> dict[str, int]:
    """Estimated bytes in training in float32, on texts (batch_size, length).

    The optimizer keeps two numbers per weight (AdamW), or one for the matrices of the blocks (Muon). Activations are
    what the backward pass needs of the forward pass, and the output's probabilities with their gradient. The working
    memory of the matrix library, and the runtime itself, come on top.
    """
    total = total_parameters(config)
    matrices = config.n_layer * (_attention_weights(config) + _feed_forward_weights(config))
    states = 2 * total - (matrices if optimizer == "muon" else 0)
    return {
        "Weights": FLOAT32_BYTES * total,
        "Gradients": FLOAT32_BYTES * total,
        "Optimizer": FLOAT32_BYTES * states,
        "Activations": FLOAT32_BYTES * batch_size * length * _activations_per_token(config, length),
    }


def kv_cache_bytes(config: ModelConfig, length: int, batch_size: int = 1, bytes_per_number: int = FLOAT32_BYTES) -> int:
    """Bytes of keys and values kept while generating, for `length` tokens of `batch_size` texts.

    Exact but for the room that the cache keeps to grow, and the few inputs of the short convolutions.
    """
    return 2 * bytes_per_number * config.n_layer * batch_size * length * config.kv_heads * config.head_dim


def _attention_weights(config: ModelConfig) -> int:
    """Weights of one layer's query, key, value and output matrices."""
    return 2 * config.d_model**2 + 2 * config.d_model * _kv_width(config)


def _attention_biases(config: ModelConfig) -> int:
    return 2 * config.d_model + 2 * _kv_width(config)


def _feed_forward_weights(config: ModelConfig) -> int:
    """Weights of one layer's two matrices, three where they are gated."""
    return (3 if config.activation == "swiglu" else 2) * config.d_model * config.ff_width


def _feed_forward_biases(config: ModelConfig) -> int:
    return (2 if config.activation == "swiglu" else 1) * config.ff_width + config.d_model


def _norm(config: ModelConfig, width: int) -> int:
    return width * (2 if config.norm_bias else 1)


def _kv_width(config: ModelConfig) -> int:
    return config.kv_heads * config.head_dim


def _activations_per_token(config: ModelConfig, length: int) -> int:
    """Numbers kept per token between the forward and the backward pass, in texts of `length` tokens."""
    c, kv = config.d_model, _kv_width(config)
    normed = 3 if config.norm == "rmsnorm" else 2  # a norm's input, result and, where torch does it in parts, between
    per_layer = 2 * normed * c
    per_layer += 2 * c * (config.conv_width > 0)
    per_layer += (normed - 1) * (c + kv) * config.qk_norm
    per_layer += 2 * c + 2 * kv  # queries, keys and values as attention takes them, and its result
    per_layer += (4 if config.activation == "swiglu" else 2) * config.ff_width
    if config.dropout:
        per_layer += 2 * c + kv + c // 2  # scaled queries and keys, a copy of the result, two masks of a byte each
        per_layer += 9 * config.n_head * length // 4  # attention is not fused then: its weights twice, and a mask
    return config.n_layer * per_layer + normed * c + 2 * config.vocab_size
