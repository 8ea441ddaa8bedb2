"""GPT-2's graph: learned positions, LayerNorm, GELU in its approximation by tanh, and biases everywhere."""

from __future__ import annotations

from typing import Any

from terrarium.models.interop.family import Weight, named_weights
from terrarium.models.interop.graphs.graph import Fields, Graph, Stored, check_read, rounded, vocab_size
from terrarium.models.interop.options import integer, number
from terrarium.models.settings.model_config import ModelConfig

_READ = {
    "block_count", "context_length", "embedding_length", "feed_forward_length", "attention.head_count",
    "attention.head_count_kv", "attention.layer_norm_epsilon", "vocab_size",
}  # fmt: skip
_SLOTS: dict[str, Any] = {
    "topology": "decoder-only",
    "head": "language",
    "position": "learned",
    "norm": "layernorm",
    "norm_place": "pre",
    "embedding_norm": False,
    "activation": "gelu_tanh",
    "attention_kind": "multi-head",
    "sliding_window": 0,
    "qk_norm": False,
    "scaled_scores": True,
    "n_expert": 0,
    "conv_width": 0,
    "max_ngram": 0,
    "bias": "all",
    "head_bias": False,
    "scaled_embeddings": False,
    "scaled_logits": False,
}
PARTS = ("weight", "bias")


def head_misfit(config: ModelConfig) -> list[str]:
    """Return a misfit if all heads together are not as wide as the model, which this graph assumes."""
    width = config.d_model // config.n_head
    return [] if config.head_dim == width else [f"heads that are {width} wide (here {config.head_dim})"]


def _read(raw: dict[str, Any], stored: Stored) -> ModelConfig:
    check_read(raw, _READ, "gpt2")
    n_head = integer(raw, "attention.head_count")
    if integer(raw, "attention.head_count_kv", n_head) != n_head:
        raise ValueError("gpt2.attention.head_count_kv is not supported: it must be the number of heads.")
    return ModelConfig(
        topology="decoder-only",
        vocab_size=vocab_size(raw, stored),
        context_length=integer(raw, "context_length"),
        n_layer=integer(raw, "block_count"),
        n_head=n_head,
        d_model=integer(raw, "embedding_length"),
        d_ff=integer(raw, "feed_forward_length"),
        position="learned",
        norm="layernorm",
        norm_place="pre",
        norm_eps=rounded(number(raw, "attention.layer_norm_epsilon", 1e-5)),
        activation="gelu_tanh",
        bias="all",
        tied_embeddings="output.weight" not in stored,
    )


def write_sizes(config: ModelConfig) -> Fields:
    """Return the metadata that GPT-2 and BERT share."""
    return {
        "block_count": config.n_layer,
        "context_length": config.context_length,
        "embedding_length": config.d_model,
        "feed_forward_length": config.ff_width,
        "attention.head_count": config.n_head,
        "attention.layer_norm_epsilon": config.norm_eps,
        "vocab_size": config.vocab_size,
    }


def _weights(config: ModelConfig) -> list[Weight]:
    return named_weights(config, _NAMES)


_NAMES = {
    "embedding": "token_embd",
    "position": "position_embd",
    "final_norm": "output_norm",
    "head": "output",
    "blocks.*.attention_norm": "blk.*.attn_norm",
    **{f"blocks.*.attention.{name}": "blk.*.attn_qkv" for name in ("query", "key", "value")},
    "blocks.*.attention.output": "blk.*.attn_output",
    "blocks.*.feed_forward_norm": "blk.*.ffn_norm",
    "blocks.*.feed_forward.up": "blk.*.ffn_up",
    "blocks.*.feed_forward.down": "blk.*.ffn_down",
}


GPT2 = Graph(name="gpt2", slots=_SLOTS, read=_read, write=write_sizes, weights=_weights, misfits=head_misfit)
