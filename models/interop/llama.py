"""LLaMA and Mistral: their classes for text, labels and spans. No torch."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from terrarium.models.interop import rope_options
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
    number,
    remote_choice,
    require,
)
from terrarium.models.settings.model_config import ModelConfig

ARCHITECTURES: tuple[str, ...] = (
    "LlamaForCausalLM",
    "MistralForCausalLM",
    *(f"{name}{suffix}" for name in ("Llama", "Mistral") for suffix in HEAD_CLASSES),
)
PREFIX = "model."
IGNORED: tuple[str, ...] = (r"(model\.)?(layers\.\d+\.self_attn\.)?rotary_emb\.inv_freq",)

_ACTIVATIONS = {
    "silu": "swiglu",
    "swish": "swiglu",
    "gelu": "geglu",
    "gelu_pytorch_tanh": "geglu_tanh",
    "gelu_new": "geglu_tanh",
}
_KNOWN = {
    "vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads",
    "num_key_value_heads", "head_dim", "hidden_act", "max_position_embeddings", "rms_norm_eps", "pretraining_tp",
    *rope_options.KEYS,
}  # fmt: skip
_SLOTS: dict[str, Any] = {
    "topology": "decoder-only",
    "position": "rope",
    "rope_fraction": 1.0,
    "nope_interval": 0,
    "norm": "rmsnorm",
    "norm_place": "pre",
    "embedding_norm": False,
    "scaled_scores": True,
    "qk_norm": False,
    "n_expert": 0,
    "conv_width": 0,
    "max_ngram": 0,
    "scaled_embeddings": False,
}
_LANGUAGE_SLOTS: dict[str, Any] = {"head_bias": False, "scaled_logits": False}


def read_config(raw: dict[str, Any]) -> ModelConfig:
    """Return the design of a LLaMA or Mistral config.json; ValueError names what cannot be expressed."""
    is_mistral = raw["architectures"][0].startswith("Mistral")
    check_known(raw, _KNOWN | ({"sliding_window"} if is_mistral else {"attention_bias", "mlp_bias"}))
    n_head = integer(raw, "num_attention_heads", 32)
    # Mistral's class defaults to 8 and 4096 if these are missing, but not if they are null.
    n_kv_head = integer(raw, "num_key_value_heads", 8 if is_mistral and "num_key_value_heads" not in raw else n_head)
    window = integer(raw, "sliding_window", 4096 if "sliding_window" not in raw else 0) if is_mistral else 0
    in_attention = not is_mistral and flag(raw, "attention_bias", False)
    in_feed_forward = not is_mistral and flag(raw, "mlp_bias", False)
    context = integer(raw, "max_position_embeddings", 131_072 if is_mistral else 2048)
    rope = {"context_length": context, **rope_options.read_rope(raw, context)}
    return ModelConfig(
        topology="decoder-only",
        vocab_size=integer(raw, "vocab_size", 32_000),
        n_layer=integer(raw, "num_hidden_layers", 32),
        n_head=n_head,
        n_kv_head=n_kv_head,
        d_model=integer(raw, "hidden_size", 4096),
        d_head=integer(raw, "head_dim", 0),
        d_ff=integer(raw, "intermediate_size", 14_336 if is_mistral else 11_008),
        norm="rmsnorm",
        norm_place="pre",
        norm_eps=number(raw, "rms_norm_eps", 1e-6),
        activation=choice(raw, "hidden_act", "silu", _ACTIVATIONS),
        sliding_window=window,
        bias=_BIASES[in_attention, in_feed_forward],
        tied_embeddings=flag(raw, "tie_word_embeddings", False),
        dropout=number(raw, "attention_dropout", 0.0),
        **head_slots(raw),
        **rope,
    )


_BIASES = {
    (False, False): "none",
    (True, False): "attention",
    (False, True): "feed-forward",
    (True, True): "all",
}


def refine_config(config: ModelConfig, names: Collection[str]) -> ModelConfig:
    """The config unchanged: config.json is complete."""
    return config


def write_config(config: ModelConfig) -> dict[str, Any]:
    """Return the config.json of LLaMA's class, or Mistral's with a sliding window; ValueError names what they lack."""
    require(config, _SLOTS)
    if config.head == "language":
        require(config, _LANGUAGE_SLOTS)
    is_mistral = _is_mistral(config)
    if is_mistral and config.bias != "none":
        raise ValueError("has no biases where there is a sliding window (MistralForCausalLM).")
    own = {"sliding_window": config.sliding_window or None}
    if not is_mistral:
        own = {"attention_bias": config.attention_bias, "mlp_bias": config.ff_bias}
    return {
        "architectures": [class_of(config, "Mistral" if is_mistral else "Llama", "ForCausalLM")],
        "model_type": "mistral" if is_mistral else "llama",
        "vocab_size": config.vocab_size,
        "hidden_size": config.d_model,
        "intermediate_size": config.ff_width,
        "num_hidden_layers": config.n_layer,
        "num_attention_heads": config.n_head,
        "num_key_value_heads": config.kv_heads,
        "head_dim": config.head_dim,
        "hidden_act": remote_choice(_ACTIVATIONS, config, "activation"),
        "rms_norm_eps": config.norm_eps,
        "attention_dropout": config.dropout,
        "initializer_range": config.init_std,
        "tie_word_embeddings": config.tied_embeddings,
        **rope_options.write_rope(config),
        **id2label_of(config),
        **own,
    }


def _is_mistral(config: ModelConfig) -> bool:
    # LLaMA's class rejects a hidden size that n_head does not divide, even with a head_dim.
    return bool(config.sliding_window) or config.d_model % config.n_head != 0


def weights(config: ModelConfig) -> list[Weight]:
    """Return local and remote names."""
    # The body has this name in LlamaForQuestionAnswering, but not in MistralForQuestionAnswering.
    body = "transformer" if config.head == "span" and not _is_mistral(config) else "model"
    head = {"language": "lm_head", "span": "qa_outputs"}.get(config.head, "score")
    aliases = ("lm_head.weight",) if config.head == "language" and config.tied_embeddings else ()
    table = Weight(local_name="embedding.weight", remote_name=f"{body}.embed_tokens.weight", aliases=aliases)
    return named_weights(config, {"head": head, **{part: f"{body}.{there}" for part, there in NAMES.items()}}, [table])


NAMES = {
    "final_norm": "norm",
    "blocks.*.attention_norm": "layers.*.input_layernorm",
    **{
        f"blocks.*.attention.{name}": f"layers.*.self_attn.{name[0]}_proj"
        for name in ("query", "key", "value", "output")
    },
    "blocks.*.feed_forward_norm": "layers.*.post_attention_layernorm",
    **{f"blocks.*.feed_forward.{name}": f"layers.*.mlp.{name}_proj" for name in ("gate", "up", "down")},
}
"""The names of the parts of the body."""
