"""BERT's graph, for embeddings or text labels: it has no other head, and approximates GELU by tanh."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from terrarium.models.interop.family import Weight, named_weights
from terrarium.models.interop.graphs.gpt2 import head_misfit, write_sizes
from terrarium.models.interop.graphs.graph import Fields, Graph, Stored, check_read, rounded, vocab_size
from terrarium.models.interop.options import integer, number
from terrarium.models.settings.model_config import ModelConfig

if TYPE_CHECKING:
    from torch import Tensor

_READ = {
    "block_count", "context_length", "embedding_length", "feed_forward_length", "attention.head_count",
    "attention.layer_norm_epsilon", "vocab_size", "pooling_type", "classifier.output_labels",
}  # fmt: skip
_SLOTS: dict[str, Any] = {
    "topology": "encoder-only",
    "head": ("language", "none", "sequence"),
    "position": "learned",
    "norm": "layernorm",
    "norm_place": "post",
    "embedding_norm": True,
    "activation": "gelu",
    "attention_kind": "multi-head",
    "sliding_window": 0,
    "qk_norm": False,
    "scaled_scores": True,
    "n_expert": 0,
    "conv_width": 0,
    "bias": "all",
    "scaled_embeddings": False,
}
_MEAN, _RANK = 1, 4
"""pooling_type: the mean of a text's token states; or the head on its first token."""


def _read(raw: dict[str, Any], stored: Stored) -> ModelConfig:
    check_read(raw, _READ, "bert")  # attention.causal is false, as in all encoders
    segments = stored.get("token_types.weight")
    head = stored.get("cls.output.weight")
    return ModelConfig(
        topology="encoder-only",
        head="none" if head is None else "sequence",
        n_label=2 if head is None else head.shape[0],
        pooler="cls.weight" in stored,
        vocab_size=vocab_size(raw, stored),
        context_length=integer(raw, "context_length"),
        n_layer=integer(raw, "block_count"),
        n_head=integer(raw, "attention.head_count"),
        d_model=integer(raw, "embedding_length"),
        d_ff=integer(raw, "feed_forward_length"),
        position="learned",
        n_segment=segments.shape[0] if segments is not None else 0,
        norm="layernorm",
        norm_place="post",
        norm_eps=rounded(number(raw, "attention.layer_norm_epsilon", 1e-12)),
        embedding_norm=True,
        activation="gelu",
        bias="all",
    )


def _write(config: ModelConfig) -> Fields:
    pooling = _RANK if config.head == "sequence" else _MEAN
    return {**write_sizes(config), "attention.causal": False, "pooling_type": pooling}


def _fold(config: ModelConfig, state: Mapping[str, Tensor]) -> tuple[ModelConfig, dict[str, Tensor]]:
    """Return the encoder with its head for texts, or without any other head."""
    if config.head == "sequence":
        return config, dict(state)
    plain = {"head": "none", "pooler": False, "head_transform": False, "head_bias": False, "tied_embeddings": True}
    body = {name: tensor for name, tensor in state.items() if not name.startswith(("head.", "pooler."))}
    return dataclasses.replace(config, **plain), body  # type: ignore[arg-type]


def _weights(config: ModelConfig) -> list[Weight]:
    return named_weights(config, _NAMES)


_NAMES = {
    "embedding": "token_embd",
    "position": "position_embd",
    "embedding_norm": "token_embd_norm",
    "segment": "token_types",
    "blocks.*.attention.query": "blk.*.attn_q",
    "blocks.*.attention.key": "blk.*.attn_k",
    "blocks.*.attention.value": "blk.*.attn_v",
    "blocks.*.attention.output": "blk.*.attn_output",
    "blocks.*.attention_norm": "blk.*.attn_output_norm",
    "blocks.*.feed_forward.up": "blk.*.ffn_up",
    "blocks.*.feed_forward.down": "blk.*.ffn_down",
    "blocks.*.feed_forward_norm": "blk.*.layer_output_norm",
    "pooler": "cls",
    "head": "cls.output",
}


BERT = Graph(name="bert", slots=_SLOTS, read=_read, write=_write, weights=_weights, fold=_fold, misfits=head_misfit)
