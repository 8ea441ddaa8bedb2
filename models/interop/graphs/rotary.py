"""Graphs of decoders with RoPE and RMSNorm: llama (also with experts), arcee (ReLU²) and qwen3 (QK-norm)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from terrarium.models.interop.family import Weight, named_weights
from terrarium.models.interop.graphs.graph import Fields, Graph, Stored, check_read, rounded, vocab_size
from terrarium.models.interop.options import integer, number
from terrarium.models.settings.model_config import ModelConfig

LLAMA3_SCALING = (1.0, 4.0, 8192)
"""The RoPE scaling of all Llama 3 models; their GGUF files contain only the result, in rope_freqs.weight."""

_READ = {
    "block_count", "context_length", "embedding_length", "feed_forward_length", "attention.head_count",
    "attention.head_count_kv", "attention.layer_norm_rms_epsilon", "attention.key_length", "attention.value_length",
    "vocab_size", "rope.freq_base", "rope.dimension_count", "rope.scaling.type", "rope.scaling.factor",
    "rope.scaling.original_context_length", "rope.scaling.finetuned", "attention.sliding_window", "expert_count",
    "expert_used_count",
}  # fmt: skip

_SLOTS: dict[str, Any] = {
    "topology": "decoder-only",
    "head": "language",
    "position": "rope",
    "rope_fraction": 1.0,
    "nope_interval": 0,
    "norm": "rmsnorm",
    "norm_place": "pre",
    "embedding_norm": False,
    "sliding_window": 0,
    "scaled_scores": True,
    "conv_width": 0,
    "max_ngram": 0,
    "head_bias": False,
    "scaled_embeddings": False,
    "scaled_logits": False,
}


def _misfits(config: ModelConfig) -> list[str]:
    found = [f"experts without biases (here {config.bias})"] if config.n_expert and config.ff_bias else []
    if config.position != "rope":
        return found
    turns = (config.rope_low_rotations, config.rope_high_rotations)
    if config.rope_scaling == "dynamic":
        found.append("RoPE scaling none, linear, llama3 or yarn (here dynamic)")
    elif config.rope_scaling == "llama3" and (*turns, config.rope_original_context) != LLAMA3_SCALING:
        found.append("the RoPE scaling of Llama 3: an original context of 8,192, and 1 and 4 rotations")
    elif config.rope_scaling == "yarn" and (*turns, config.rope_attention_factor) != (1.0, 32.0, 0.0):
        found.append("the RoPE scaling of YaRN as published: 1 and 32 rotations, and attention factor 0")
    return found


def _reader(name: str, activation: str, *, qk_norm: bool) -> Callable[[dict[str, Any], Stored], ModelConfig]:
    """Return a reader of the metadata of the graph `name`."""

    def read(raw: dict[str, Any], stored: Stored) -> ModelConfig:
        check_read(raw, _READ, name)
        n_head, d_model = integer(raw, "attention.head_count"), integer(raw, "embedding_length")
        width = integer(raw, "attention.key_length", d_model // max(n_head, 1))
        for key in ("attention.value_length", "rope.dimension_count"):
            if integer(raw, key, width) != width:
                raise ValueError(f"{name}.{key} {raw[key]} is not supported: it must be the head dimension, {width}.")
        context = integer(raw, "context_length")
        return ModelConfig(
            topology="decoder-only",
            vocab_size=vocab_size(raw, stored),
            context_length=context,
            n_layer=integer(raw, "block_count"),
            n_head=n_head,
            n_kv_head=integer(raw, "attention.head_count_kv", n_head),
            d_model=d_model,
            d_head=width if width * n_head != d_model else 0,
            d_ff=integer(raw, "feed_forward_length"),
            n_expert=integer(raw, "expert_count", 0),
            n_expert_used=integer(raw, "expert_used_count", 0) or 2,
            position="rope",
            norm="rmsnorm",
            norm_place="pre",
            norm_eps=rounded(number(raw, "attention.layer_norm_rms_epsilon", 1e-5)),
            activation=activation,
            qk_norm=qk_norm,
            sliding_window=integer(raw, "attention.sliding_window", 0),
            bias=_bias(stored),
            tied_embeddings="output.weight" not in stored,
            rope_theta=rounded(number(raw, "rope.freq_base", 10_000.0)),
            **_read_scaling(raw, name, context),
        )

    return read


def _bias(stored: Stored) -> str:
    attention, feed_forward = "blk.0.attn_output.bias" in stored, "blk.0.ffn_down.bias" in stored
    if attention and feed_forward:
        return "all"
    return "attention" if attention else "feed-forward" if feed_forward else "none"


def _read_scaling(raw: dict[str, Any], name: str, context: int) -> dict[str, Any]:
    kind = raw.get("rope.scaling.type", "none")
    factor = number(raw, "rope.scaling.factor", 1.0)
    if kind == "none" or factor in (0.0, 1.0):
        return {}
    if kind == "linear":
        return {"rope_scaling": "linear", "rope_factor": factor}
    if kind == "yarn":
        return {
            "rope_scaling": "yarn",
            "rope_factor": factor,
            "rope_original_context": integer(raw, "rope.scaling.original_context_length", context),
            "rope_low_rotations": 1.0,
            "rope_high_rotations": 32.0,
        }
    raise ValueError(f"{name}.rope.scaling.type {kind!r} is not supported: it can be none, linear or yarn.")


def _write(config: ModelConfig) -> Fields:
    fields: Fields = {
        "block_count": config.n_layer,
        "context_length": config.context_length,
        "embedding_length": config.d_model,
        "feed_forward_length": config.ff_width,
        "attention.head_count": config.n_head,
        "attention.head_count_kv": config.kv_heads,
        "attention.key_length": config.head_dim,
        "attention.value_length": config.head_dim,
        "attention.layer_norm_rms_epsilon": config.norm_eps,
        "rope.freq_base": config.rope_theta,
        "rope.dimension_count": config.head_dim,
        "vocab_size": config.vocab_size,
    }
    if config.n_expert:
        fields |= {"expert_count": config.n_expert, "expert_used_count": config.n_expert_used}
    if config.rope_scaling in ("linear", "yarn"):
        fields |= {"rope.scaling.type": config.rope_scaling, "rope.scaling.factor": config.rope_factor}
    if config.rope_scaling == "yarn":
        fields["rope.scaling.original_context_length"] = config.rope_original_context
    return fields


def _weights(config: ModelConfig) -> list[Weight]:
    return named_weights(config, _NAMES)


_NAMES = {
    "embedding": "token_embd",
    "final_norm": "output_norm",
    "head": "output",
    "blocks.*.attention_norm": "blk.*.attn_norm",
    "blocks.*.attention.query": "blk.*.attn_q",
    "blocks.*.attention.key": "blk.*.attn_k",
    "blocks.*.attention.value": "blk.*.attn_v",
    "blocks.*.attention.output": "blk.*.attn_output",
    "blocks.*.attention.query_norm": "blk.*.attn_q_norm",
    "blocks.*.attention.key_norm": "blk.*.attn_k_norm",
    "blocks.*.feed_forward_norm": "blk.*.ffn_norm",
    **{f"blocks.*.feed_forward.{name}": f"blk.*.ffn_{name}" for name in ("gate", "up", "down")},
    "blocks.*.feed_forward.router": "blk.*.ffn_gate_inp",
    # The matrices of all experts are one tensor, concatenated along the rows.
    **{f"blocks.*.feed_forward.experts.*.{name}": f"blk.*.ffn_{name}_exps" for name in ("gate", "up", "down")},
}


LLAMA = Graph(
    name="llama",
    slots={**_SLOTS, "activation": "swiglu", "qk_norm": False},
    read=_reader("llama", "swiglu", qk_norm=False),
    write=_write,
    weights=_weights,
    misfits=_misfits,
    head_pairs=True,
)
ARCEE = Graph(
    name="arcee",
    slots={**_SLOTS, "activation": "relu2", "qk_norm": False, "n_expert": 0, "bias": "none"},
    read=_reader("arcee", "relu2", qk_norm=False),
    write=_write,
    weights=_weights,
    misfits=_misfits,
    head_pairs=True,
)
QWEN3 = Graph(
    name="qwen3",
    slots={**_SLOTS, "activation": "swiglu", "qk_norm": True, "n_expert": 0, "bias": "none"},
    read=_reader("qwen3", "swiglu", qk_norm=True),
    write=_write,
    weights=_weights,
    misfits=_misfits,
)
