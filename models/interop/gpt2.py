"""GPT-2: GPT2LMHeadModel, and its classes for labels and spans. No torch."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from terrarium.models.design.tree import MATRIX
from terrarium.models.interop.family import Weight, named_weights
from terrarium.models.interop.options import (
    HEAD_CLASSES,
    check_known,
    choice,
    class_of,
    flag,
    head_slots,
    id2label_of,
    integer,
    must_be,
    number,
    remote_choice,
    require,
)
from terrarium.models.settings.model_config import ModelConfig

ARCHITECTURES: tuple[str, ...] = ("GPT2LMHeadModel", *(f"GPT2{suffix}" for suffix in HEAD_CLASSES))
PREFIX = "transformer."
IGNORED: tuple[str, ...] = (
    r"(transformer\.)?h\.\d+\.attn\.(bias|masked_bias)",
)  # causal masks that older versions saved

_ACTIVATIONS = {
    "gelu_new": "gelu_tanh",
    "gelu_pytorch_tanh": "gelu_tanh",
    "gelu": "gelu",
    "relu": "relu",
    "relu2": "relu2",
}
_KNOWN = {
    "vocab_size", "n_positions", "n_ctx", "n_embd", "n_layer", "n_head", "n_inner", "activation_function",
    "layer_norm_epsilon", "scale_attn_weights", "scale_attn_by_inverse_layer_idx", "reorder_and_upcast_attn",
}  # fmt: skip

_SLOTS: dict[str, Any] = {
    "topology": "decoder-only",
    "position": "learned",
    "norm": "layernorm",
    "norm_place": "pre",
    "embedding_norm": False,
    "sliding_window": 0,
    "qk_norm": False,
    "n_expert": 0,
    "conv_width": 0,
    "max_ngram": 0,
    "bias": "all",
    "scaled_embeddings": False,
    "attention_kind": "multi-head",
}
_LANGUAGE_SLOTS: dict[str, Any] = {"head_bias": False, "scaled_logits": False}
_HEADS = {"none": "", "sequence": "score", "token": "classifier", "span": "qa_outputs"}
"""The names of the label heads."""


def read_config(raw: dict[str, Any]) -> ModelConfig:
    """Return the design of a GPT-2 config.json; ValueError names what cannot be expressed."""
    check_known(raw, _KNOWN)
    must_be(raw, "scale_attn_by_inverse_layer_idx", False)
    # reorder_and_upcast_attn changes rounding only
    return ModelConfig(
        topology="decoder-only",
        vocab_size=integer(raw, "vocab_size", 50_257),
        context_length=integer(raw, "n_positions", 1024),
        n_layer=integer(raw, "n_layer", 12),
        n_head=integer(raw, "n_head", 12),
        d_model=integer(raw, "n_embd", 768),
        d_ff=integer(raw, "n_inner", 0),
        position="learned",
        norm="layernorm",
        norm_place="pre",
        norm_eps=number(raw, "layer_norm_epsilon", 1e-5),
        activation=choice(raw, "activation_function", "gelu_new", _ACTIVATIONS),
        scaled_scores=flag(raw, "scale_attn_weights", True),
        bias="all",
        tied_embeddings=flag(raw, "tie_word_embeddings", True),
        dropout=number(raw, "resid_pdrop", 0.1),
        **head_slots(raw),
    )


def refine_config(config: ModelConfig, names: Collection[str]) -> ModelConfig:
    """The config unchanged: config.json is complete."""
    return config


def write_config(config: ModelConfig) -> dict[str, Any]:
    """Return the config.json; ValueError says what GPT2LMHeadModel cannot compute."""
    require(config, {**_SLOTS, "head_dim": config.d_model // config.n_head})
    if config.head == "language":
        require(config, _LANGUAGE_SLOTS)
    activation = remote_choice(_ACTIVATIONS, config, "activation")
    return {
        "architectures": [class_of(config, "GPT2", "LMHeadModel")],
        "model_type": "gpt2",
        "vocab_size": config.vocab_size,
        "n_positions": config.context_length,
        "n_embd": config.d_model,
        "n_layer": config.n_layer,
        "n_head": config.n_head,
        "n_inner": config.ff_width,
        "activation_function": activation,
        "layer_norm_epsilon": config.norm_eps,
        "scale_attn_weights": config.scaled_scores,
        "tie_word_embeddings": config.tied_embeddings,
        **{f"{place}_pdrop": config.dropout for place in ("resid", "embd", "attn")},
        "initializer_range": config.init_std,
        **id2label_of(config),
    }


def weights(config: ModelConfig) -> list[Weight]:
    """Return local and remote names. GPT-2 stores matrices transposed, with query, key and value in one."""
    head = "lm_head" if config.head == "language" else _HEADS[config.head]
    tied = ("lm_head.weight",) if config.head == "language" and config.tied_embeddings else ()
    table = Weight(local_name="embedding.weight", remote_name="transformer.wte.weight", aliases=tied)
    return named_weights(
        config,
        {"head": head, **_NAMES},
        [table],
        lambda part, remote, tensor: {"transposed": part.startswith("blocks.") and tensor.role == MATRIX},
    )


_NAMES = {
    "position": "transformer.wpe",
    "final_norm": "transformer.ln_f",
    "blocks.*.attention_norm": "transformer.h.*.ln_1",
    **{f"blocks.*.attention.{name}": "transformer.h.*.attn.c_attn" for name in ("query", "key", "value")},
    "blocks.*.attention.output": "transformer.h.*.attn.c_proj",
    "blocks.*.feed_forward_norm": "transformer.h.*.ln_2",
    "blocks.*.feed_forward.up": "transformer.h.*.mlp.c_fc",
    "blocks.*.feed_forward.down": "transformer.h.*.mlp.c_proj",
}
