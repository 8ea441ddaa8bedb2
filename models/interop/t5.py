"""T5: T5ForConditionalGeneration, of versions 1.0 and 1.1 (gated, with an untied output table). No torch import."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection
from typing import Any

from terrarium.models.interop.family import Weight, named_weights
from terrarium.models.interop.options import check_known, choice, flag, integer, must_be, number, remote_choice, require
from terrarium.models.settings.model_config import ModelConfig

ARCHITECTURES: tuple[str, ...] = ("T5ForConditionalGeneration",)
PREFIX = ""
IGNORED: tuple[str, ...] = (
    r"decoder\.block\.0\.layer\.1\.EncDecAttention\.relative_attention_bias\.weight",  # never read
)

_ACTIVATIONS = {
    "relu": "relu",
    "gelu": "gelu",
    "gelu_new": "gelu_tanh",
    "gelu_pytorch_tanh": "gelu_tanh",
    "relu2": "relu2",
    "gated-gelu": "geglu_tanh",  # means gelu_new
    "gated-gelu_new": "geglu_tanh",
    "gated-gelu_pytorch_tanh": "geglu_tanh",
    "gated-gelu_python": "geglu",
    "gated-silu": "swiglu",
}
_KNOWN = {
    "vocab_size", "d_model", "d_kv", "d_ff", "num_layers", "num_decoder_layers", "num_heads", "n_positions",
    "relative_attention_num_buckets", "relative_attention_max_distance", "layer_norm_epsilon", "feed_forward_proj",
    "dense_act_fn", "is_gated_act", "scale_decoder_outputs",
}  # fmt: skip

_SLOTS: dict[str, Any] = {
    "topology": "encoder-decoder",
    "position": "t5",
    "norm": "rmsnorm",
    "norm_place": "pre",
    "embedding_norm": False,
    "sliding_window": 0,
    "qk_norm": False,
    "scaled_scores": False,
    "n_expert": 0,
    "conv_width": 0,
    "head": "language",
    "head_bias": False,
    "bias": "none",
    "scaled_embeddings": False,
    "attention_kind": "multi-head",
}


def read_config(raw: dict[str, Any]) -> ModelConfig:
    """Return the design of a T5 config.json; ValueError names what cannot be expressed.

    Its tie_word_embeddings says whether logits are scaled; whether the embedding is tied follows only from the
    weights: see `refine_config`. T5 has no maximum length: the context is the training length, if known.
    """
    check_known(raw, _KNOWN)
    must_be(raw, "is_decoder", False)
    activation = choice(raw, "feed_forward_proj", "relu", _ACTIVATIONS)
    kind = raw.get("feed_forward_proj") or "relu"
    must_be(raw, "is_gated_act", kind.startswith("gated-"))
    must_be(raw, "dense_act_fn", "gelu_new" if kind == "gated-gelu" else kind.removeprefix("gated-"))
    layers = integer(raw, "num_layers", 6)
    scaled = flag(raw, "scale_decoder_outputs", flag(raw, "tie_word_embeddings", True))
    return ModelConfig(
        topology="encoder-decoder",
        vocab_size=integer(raw, "vocab_size", 32_128),
        context_length=integer(raw, "n_positions", 512),
        n_layer=integer(raw, "num_decoder_layers", layers),
        n_encoder_layer=layers,
        n_head=integer(raw, "num_heads", 8),
        d_head=integer(raw, "d_kv", 64),
        d_model=integer(raw, "d_model", 512),
        d_ff=integer(raw, "d_ff", 2048),
        position="t5",
        n_bucket=integer(raw, "relative_attention_num_buckets", 32),
        max_distance=integer(raw, "relative_attention_max_distance", 128),
        norm="rmsnorm",
        norm_place="pre",
        norm_eps=number(raw, "layer_norm_epsilon", 1e-6),
        scaled_scores=False,
        activation=activation,
        bias="none",
        scaled_logits=scaled,
        tied_embeddings=scaled,
        dropout=number(raw, "dropout_rate", 0.1),
    )


def refine_config(config: ModelConfig, names: Collection[str]) -> ModelConfig:
    """Untie the output embedding if one is stored, regardless of config.json, as in Hugging Face's class."""
    return dataclasses.replace(config, tied_embeddings="lm_head.weight" not in names)


def write_config(config: ModelConfig) -> dict[str, Any]:
    """Return the config.json; ValueError says what T5ForConditionalGeneration cannot compute."""
    require(config, _SLOTS)
    encoder = config.encoder()
    require(encoder, {"n_head": config.n_head, "ff_width": config.ff_width, "head_dim": config.head_dim})
    return {
        "architectures": ["T5ForConditionalGeneration"],
        "model_type": "t5",
        "is_encoder_decoder": True,
        "vocab_size": config.vocab_size,
        "n_positions": config.context_length,
        "num_layers": encoder.n_layer,
        "num_decoder_layers": config.n_layer,
        "num_heads": config.n_head,
        "d_kv": config.head_dim,
        "d_model": config.d_model,
        "d_ff": config.ff_width,
        "relative_attention_num_buckets": config.n_bucket,
        "relative_attention_max_distance": config.max_distance,
        "layer_norm_epsilon": config.norm_eps,
        "feed_forward_proj": remote_choice(_ACTIVATIONS, config, "activation"),
        "tie_word_embeddings": config.scaled_logits,
        "dropout_rate": config.dropout,
    }


def weights(config: ModelConfig) -> list[Weight]:
    """Return local and remote names. Each stack's relative position bias is in its first block."""
    copies: tuple[str, ...] = ("encoder.embed_tokens.weight", "decoder.embed_tokens.weight")
    if config.tied_embeddings:
        copies = (*copies, "lm_head.weight")
    table = Weight(local_name="embedding.weight", remote_name="shared.weight", aliases=copies)
    feed_forward = {"gate": "wi_0", "up": "wi_1", "down": "wo"} if config.is_gated else {"up": "wi", "down": "wo"}
    names = {"head": "lm_head"}
    for stack, attentions in _ATTENTIONS.items():
        local, remote = f"{stack}.blocks.*", f"{stack}.block.*.layer"
        names[f"{stack}.score_bias"] = f"{stack}.block.0.layer.0.SelfAttention.relative_attention_bias"
        names[f"{stack}.final_norm"] = f"{stack}.final_layer_norm"
        for i, (name, there) in enumerate(attentions.items()):
            names[f"{local}.{name}_norm"] = f"{remote}.{i}.layer_norm"
            names |= {f"{local}.{name}.{each}": f"{remote}.{i}.{there}.{each[0]}" for each in _MATRICES}
        last = f"{remote}.{len(attentions)}"
        names[f"{local}.feed_forward_norm"] = f"{last}.layer_norm"
        names |= {f"{local}.feed_forward.{name}": f"{last}.DenseReluDense.{w}" for name, w in feed_forward.items()}
    return named_weights(config, names, [table])


_MATRICES = ("query", "key", "value", "output")
_ATTENTIONS = {
    "encoder": {"attention": "SelfAttention"},
    "decoder": {"attention": "SelfAttention", "cross_attention": "EncDecAttention"},
}
