"""BART: BartForConditionalGeneration, and its classes for labels and spans. No torch."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from terrarium.models.interop.family import Weight, named_weights
from terrarium.models.interop.options import (
    ACTIVATIONS,
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

ARCHITECTURES: tuple[str, ...] = (
    "BartForConditionalGeneration",
    "BartForSequenceClassification",
    "BartForQuestionAnswering",
)
PREFIX = "model."
IGNORED: tuple[str, ...] = (r"(model\.)?(encoder|decoder)\.version",)

_KNOWN = {
    "vocab_size", "max_position_embeddings", "d_model", "num_hidden_layers",
    "encoder_layers", "encoder_ffn_dim", "encoder_attention_heads",
    "decoder_layers", "decoder_ffn_dim", "decoder_attention_heads",
    "activation_function", "scale_embedding",
    "normalize_embedding", "extra_pos_embeddings",
}  # fmt: skip
_N_UNUSED_ROWS = 2
"""BART's position tables begin with two unused rows."""

_SLOTS: dict[str, Any] = {
    "topology": "encoder-decoder",
    "position": "learned",
    "norm": "layernorm",
    "norm_place": "post",
    "norm_eps": 1e-5,
    "embedding_norm": True,
    "sliding_window": 0,
    "qk_norm": False,
    "scaled_scores": True,
    "n_expert": 0,
    "conv_width": 0,
    "bias": "all",
    "tied_embeddings": True,
    "attention_kind": "multi-head",
}
COPIES = ("model.encoder.embed_tokens.weight", "model.decoder.embed_tokens.weight", "lm_head.weight")
"""Other names of the embedding table."""
HEAD_BIAS = Weight(local_name="head.bias", remote_name="final_logits_bias", unsqueeze=True, optional=True)
"""A bias of the logits, which is zero in most files."""


def read_config(raw: dict[str, Any]) -> ModelConfig:
    """Return the design of a BART config.json; ValueError names what cannot be expressed."""
    check_known(raw, _KNOWN)
    must_be(raw, "is_decoder", False)
    must_be(raw, "tie_word_embeddings", True)
    must_be(raw, "normalize_embedding", True)
    must_be(raw, "extra_pos_embeddings", _N_UNUSED_ROWS)
    slots = head_slots(raw)
    return ModelConfig(
        **read_sizes(raw, integer(raw, "vocab_size", 50_265)),
        position="learned",
        embedding_norm=True,
        **slots,
        head_bias=slots["head"] == "language",
    )


def read_sizes(raw: dict[str, Any], vocab_size: int) -> dict[str, Any]:
    """Return the slots that BART and Marian share: their sizes, and the properties of the Transformer of 2017."""
    layers = integer(raw, "encoder_layers", integer(raw, "num_hidden_layers", 12))
    must_be(raw, "num_hidden_layers", layers)
    return {
        "topology": "encoder-decoder",
        "vocab_size": vocab_size,
        "context_length": integer(raw, "max_position_embeddings", 1024),
        "n_layer": integer(raw, "decoder_layers", 12),
        "n_encoder_layer": layers,
        "n_head": integer(raw, "decoder_attention_heads", 16),
        "n_encoder_head": integer(raw, "encoder_attention_heads", 16),
        "d_model": integer(raw, "d_model", 1024),
        "d_ff": integer(raw, "decoder_ffn_dim", 4096),
        "d_encoder_ff": integer(raw, "encoder_ffn_dim", 4096),
        "norm": "layernorm",
        "norm_place": "post",
        "norm_eps": 1e-5,
        "activation": choice(raw, "activation_function", "gelu", ACTIVATIONS),
        "bias": "all",
        "scaled_embeddings": flag(raw, "scale_embedding", False),
        "tied_embeddings": True,
        "dropout": number(raw, "dropout", 0.1),
    }


def refine_config(config: ModelConfig, names: Collection[str]) -> ModelConfig:
    """The config unchanged: config.json is complete."""
    return config


def write_config(config: ModelConfig) -> dict[str, Any]:
    """Return the config.json; ValueError says what BartForConditionalGeneration cannot compute."""
    require(config, _SLOTS)
    if config.head == "language":
        require(config, {"scaled_logits": False})
    return {
        "architectures": [class_of(config, "Bart", "ForConditionalGeneration")],
        "model_type": "bart",
        **write_sizes(config),
        **id2label_of(config),
    }


def write_sizes(config: ModelConfig) -> dict[str, Any]:
    """Return what BART's and Marian's config.json share; ValueError says which heads they cannot have."""
    encoder = config.encoder()
    for stack in (encoder, config):
        require(stack, {"head_dim": config.d_model // stack.n_head, "attention_kind": "multi-head"})
    return {
        "is_encoder_decoder": True,
        "vocab_size": config.vocab_size,
        "max_position_embeddings": config.context_length,
        "d_model": config.d_model,
        "encoder_layers": encoder.n_layer,
        "encoder_attention_heads": encoder.n_head,
        "encoder_ffn_dim": encoder.ff_width,
        "decoder_layers": config.n_layer,
        "decoder_attention_heads": config.n_head,
        "decoder_ffn_dim": config.ff_width,
        "activation_function": remote_choice(ACTIVATIONS, config, "activation"),
        "scale_embedding": config.scaled_embeddings,
        "tie_word_embeddings": True,
        "dropout": config.dropout,
        "attention_dropout": config.dropout,
        "init_std": config.init_std,
    }


def weights(config: ModelConfig) -> list[Weight]:
    """Return local and remote names. BART adds a bias to the logits, which is zero in most files."""
    rows = (_N_UNUSED_ROWS, _N_UNUSED_ROWS + config.context_length)
    special = [Weight(local_name="embedding.weight", remote_name="model.shared.weight", aliases=COPIES)]
    for stack in ("encoder", "decoder"):
        remote = f"model.{stack}.embed_positions.weight"
        special.append(Weight(local_name=f"{stack}.position.weight", remote_name=remote, rows=rows))
    if config.head == "language":
        special.append(HEAD_BIAS)
    heads = {"head.dense": "classification_head.dense", "head": "classification_head.out_proj"}
    return named_weights(
        config, {**BLOCKS, **(heads if config.head == "sequence" else {"head": "qa_outputs"})}, special
    )


BLOCKS = {
    f"{stack}.{local}": f"model.{stack}.{remote}"
    for stack in ("encoder", "decoder")
    for local, remote in {
        "embedding_norm": "layernorm_embedding",
        **{
            f"blocks.*.{name}{part}": f"layers.*.{there}{there_part}"
            for name, there in (("attention", "self_attn"), ("cross_attention", "encoder_attn"))
            for part, there_part in (
                ("_norm", "_layer_norm"),
                (".query", ".q_proj"),
                (".key", ".k_proj"),
                (".value", ".v_proj"),
                (".output", ".out_proj"),
            )
        },
        "blocks.*.feed_forward_norm": "layers.*.final_layer_norm",
        "blocks.*.feed_forward.up": "layers.*.fc1",
        "blocks.*.feed_forward.down": "layers.*.fc2",
    }.items()
}
"""The names of the parts of both stacks in BART and Marian."""
