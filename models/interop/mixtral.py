"""Mixtral: MixtralForCausalLM, LLaMA with a mixture of experts and, if wanted, Mistral's sliding window. No torch."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from terrarium.models.interop import rope_options
from terrarium.models.interop.family import Weight, named_weights
from terrarium.models.interop.llama import NAMES
from terrarium.models.interop.options import check_known, choice, flag, integer, must_be, number, remote_choice, require
from terrarium.models.settings.model_config import ModelConfig

ARCHITECTURES: tuple[str, ...] = ("MixtralForCausalLM",)
PREFIX = "model."
IGNORED: tuple[str, ...] = (r"(model\.)?(layers\.\d+\.self_attn\.)?rotary_emb\.inv_freq",)

_ACTIVATIONS = {"silu": "swiglu", "swish": "swiglu", "gelu": "geglu", "gelu_pytorch_tanh": "geglu_tanh"}
_KNOWN = {
    "vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads",
    "num_key_value_heads", "head_dim", "hidden_act", "max_position_embeddings", "rms_norm_eps", "sliding_window",
    "num_local_experts", "num_experts_per_tok", "router_aux_loss_coef", "router_jitter_noise", "output_router_logits",
    *rope_options.KEYS,
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
    "scaled_scores": True,
    "qk_norm": False,
    "conv_width": 0,
    "max_ngram": 0,
    "bias": "none",
    "head_bias": False,
    "scaled_embeddings": False,
    "scaled_logits": False,
}
_PARTS = {"gate": "w1", "down": "w2", "up": "w3"}


def read_config(raw: dict[str, Any]) -> ModelConfig:
    """Return the design of a Mixtral config.json; ValueError names what cannot be expressed."""
    check_known(raw, _KNOWN)
    must_be(raw, "router_jitter_noise", 0.0, 0)
    context = integer(raw, "max_position_embeddings", 131_072)
    rope = {"context_length": context, **rope_options.read_rope(raw, context)}
    return ModelConfig(
        topology="decoder-only",
        vocab_size=integer(raw, "vocab_size", 32_000),
        n_layer=integer(raw, "num_hidden_layers", 32),
        n_head=integer(raw, "num_attention_heads", 32),
        n_kv_head=integer(raw, "num_key_value_heads", 8),
        d_model=integer(raw, "hidden_size", 4096),
        d_head=integer(raw, "head_dim", 0),
        d_ff=integer(raw, "intermediate_size", 14_336),
        n_expert=integer(raw, "num_local_experts", 8),
        n_expert_used=integer(raw, "num_experts_per_tok", 2),
        router_balance=number(raw, "router_aux_loss_coef", 0.001),
        norm="rmsnorm",
        norm_place="pre",
        norm_eps=number(raw, "rms_norm_eps", 1e-5),
        activation=choice(raw, "hidden_act", "silu", _ACTIVATIONS),
        sliding_window=integer(raw, "sliding_window", 0),
        bias="none",
        tied_embeddings=flag(raw, "tie_word_embeddings", False),
        dropout=number(raw, "attention_dropout", 0.0),
        **rope,
    )


def refine_config(config: ModelConfig, names: Collection[str]) -> ModelConfig:
    """The config unchanged: config.json is complete."""
    return config


def write_config(config: ModelConfig) -> dict[str, Any]:
    """Return the config.json; ValueError says what MixtralForCausalLM cannot compute."""
    require(config, _SLOTS)
    if not config.n_expert:
        raise ValueError("needs n_expert to be 1 or more, which is 0 here.")
    return {
        "architectures": ["MixtralForCausalLM"],
        "model_type": "mixtral",
        "vocab_size": config.vocab_size,
        "hidden_size": config.d_model,
        "intermediate_size": config.ff_width,
        "num_hidden_layers": config.n_layer,
        "num_attention_heads": config.n_head,
        "num_key_value_heads": config.kv_heads,
        "head_dim": config.head_dim,
        "hidden_act": remote_choice(_ACTIVATIONS, config, "activation"),
        "num_local_experts": config.n_expert,
        "num_experts_per_tok": config.n_expert_used,
        "router_aux_loss_coef": config.router_balance,
        "sliding_window": config.sliding_window or None,
        "rms_norm_eps": config.norm_eps,
        "attention_dropout": config.dropout,
        "initializer_range": config.init_std,
        "tie_word_embeddings": config.tied_embeddings,
        **rope_options.write_rope(config),
    }


def weights(config: ModelConfig) -> list[Weight]:
    """Return local and remote names."""
    aliases = ("lm_head.weight",) if config.tied_embeddings else ()
    table = Weight(local_name="embedding.weight", remote_name="model.embed_tokens.weight", aliases=aliases)
    names = {part: f"model.{there}" for part, there in NAMES.items()}
    names["blocks.*.feed_forward.router"] = "model.layers.*.block_sparse_moe.gate"
    experts = "model.layers.*.block_sparse_moe.experts.*"
    names |= {f"blocks.*.feed_forward.experts.*.{part}": f"{experts}.{there}" for part, there in _PARTS.items()}
    return named_weights(config, {"head": "lm_head", **names}, [table])
