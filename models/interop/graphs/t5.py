"""T5's graph: relative position biases, RMSNorm, and ReLU, or gated GELU (tanh). It does not scale logits."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from terrarium.models.interop.family import Weight, named_weights
from terrarium.models.interop.graphs.graph import Fields, Graph, Stored, check_read, rounded, vocab_size
from terrarium.models.interop.options import integer, number
from terrarium.models.settings.model_config import ModelConfig

if TYPE_CHECKING:
    from torch import Tensor

_READ = {
    "block_count", "decoder_block_count", "context_length", "embedding_length", "feed_forward_length",
    "attention.head_count", "attention.head_count_kv", "attention.key_length", "attention.value_length",
    "attention.layer_norm_epsilon", "attention.layer_norm_rms_epsilon", "attention.relative_buckets_count",
    "decoder_start_token_id", "vocab_size",
}  # fmt: skip
_MAX_DISTANCE = 128
"""A constant of the graph."""
_SLOTS: dict[str, Any] = {
    "topology": "encoder-decoder",
    "head": "language",
    "position": "t5",
    "max_distance": _MAX_DISTANCE,
    "norm": "rmsnorm",
    "norm_place": "pre",
    "embedding_norm": False,
    "activation": ("relu", "geglu_tanh"),
    "attention_kind": "multi-head",
    "sliding_window": 0,
    "qk_norm": False,
    "scaled_scores": False,
    "n_expert": 0,
    "conv_width": 0,
    "bias": "none",
    "head_bias": False,
    "scaled_embeddings": False,
}


def _misfits(config: ModelConfig) -> list[str]:
    if config.topology != "encoder-decoder":
        return []
    encoder = config.encoder()
    return [
        f"{words} of the encoder as in the decoder (here {there} and {here})"
        for words, there, here in (
            ("heads", encoder.n_head, config.n_head),
            ("the feed-forward width", encoder.ff_width, config.ff_width),
            ("the head width", encoder.head_dim, config.head_dim),
        )
        if there != here
    ]


def _read(raw: dict[str, Any], stored: Stored) -> ModelConfig:
    check_read(raw, _READ, "t5")
    layers = integer(raw, "block_count")
    n_head, d_model = integer(raw, "attention.head_count"), integer(raw, "embedding_length")
    width = integer(raw, "attention.key_length", d_model // max(n_head, 1))
    has_gate = "dec.blk.0.ffn_gate.weight" in stored
    return ModelConfig(
        topology="encoder-decoder",
        vocab_size=vocab_size(raw, stored),
        context_length=integer(raw, "context_length"),
        n_layer=integer(raw, "decoder_block_count", layers),
        n_encoder_layer=layers,
        n_head=n_head,
        d_head=width if width * n_head != d_model else 0,
        d_model=d_model,
        d_ff=integer(raw, "feed_forward_length"),
        position="t5",
        n_bucket=integer(raw, "attention.relative_buckets_count"),
        max_distance=_MAX_DISTANCE,
        norm="rmsnorm",
        norm_place="pre",
        norm_eps=rounded(number(raw, "attention.layer_norm_rms_epsilon", 1e-6)),
        scaled_scores=False,
        activation="geglu_tanh" if has_gate else "relu",
        bias="none",
        tied_embeddings="output.weight" not in stored,
        start_id=integer(raw, "decoder_start_token_id", -1),
    )


def _write(config: ModelConfig) -> Fields:
    return {
        "block_count": config.encoder().n_layer,
        "decoder_block_count": config.n_layer,
        "context_length": config.context_length,
        "embedding_length": config.d_model,
        "feed_forward_length": config.ff_width,
        "attention.head_count": config.n_head,
        "attention.key_length": config.head_dim,
        "attention.value_length": config.head_dim,
        "attention.layer_norm_epsilon": config.norm_eps,
        "attention.layer_norm_rms_epsilon": config.norm_eps,
        "attention.relative_buckets_count": config.n_bucket,
        "vocab_size": config.vocab_size,
    }


def _fold(config: ModelConfig, state: Mapping[str, Tensor]) -> tuple[ModelConfig, dict[str, Tensor]]:
    """Fold scaled logits into a separate head table."""
    if not config.scaled_logits:
        return config, dict(state)
    table = state["embedding.weight" if config.tied_embeddings else "head.weight"]
    folded = dataclasses.replace(config, scaled_logits=False, tied_embeddings=False)
    return folded, {**state, "head.weight": table * config.d_model**-0.5}


def _weights(config: ModelConfig) -> list[Weight]:
    return named_weights(config, _NAMES)


_NAMES = {
    "embedding": "token_embd",
    "head": "output",
    **{
        f"{stack}.{local}": f"{short}.{remote}"
        for stack, short in (("encoder", "enc"), ("decoder", "dec"))
        for local, remote in {
            "score_bias": "blk.0.attn_rel_b",
            "final_norm": "output_norm",
            **{
                f"blocks.*.{which}attention{part}": f"blk.*.{which}attn_{there}"
                for which in ("", "cross_")
                for part, there in (
                    ("_norm", "norm"),
                    (".query", "q"),
                    (".key", "k"),
                    (".value", "v"),
                    (".output", "o"),
                )
            },
            "blocks.*.feed_forward_norm": "blk.*.ffn_norm",
            **{f"blocks.*.feed_forward.{name}": f"blk.*.ffn_{name}" for name in ("gate", "up", "down")},
        }.items()
    },
}


T5 = Graph(name="t5", slots=_SLOTS, read=_read, write=_write, weights=_weights, fold=_fold, misfits=_misfits)
