"""Marian: MarianMTModel, the Transformer of 2017, as of the translation models Opus-MT. No torch.

The sines and cosines of its positions are in two halves, where ours alternate as in the paper; so all that is as wide
as the model is in another order there.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from models.interop.family import Weight
from models.interop.options import (
    ACTIVATIONS,
    check_known,
    choice,
    flag,
    integer,
    must_be,
    number,
    remote_choice,
    require,
)
from models.settings.model_config import ModelConfig

ARCHITECTURES: tuple[str, ...] = ("MarianMTModel",)
PREFIX = "model."
IGNORED: tuple[str, ...] = (r"(model\.)?(encoder|decoder)\.(embed_positions\.weight|version)",)

_KNOWN = {
    "vocab_size", "decoder_vocab_size", "max_position_embeddings", "d_model", "num_hidden_layers",
    "encoder_layers", "encoder_ffn_dim", "encoder_attention_heads",
    "decoder_layers", "decoder_ffn_dim", "decoder_attention_heads",
    "activation_function", "scale_embedding", "share_encoder_decoder_embeddings", "static_position_embeddings",
    "normalize_before", "normalize_embedding", "add_final_layer_norm", "add_bias_logits", "extra_pos_embeddings",
}  # fmt: skip
_SLOTS: dict[str, Any] = {
    "topology": "encoder-decoder",
    "head": "language",
    "position": "sinusoidal",
    "norm": "layernorm",
    "norm_place": "post",
    "norm_eps": 1e-5,
    "embedding_norm": False,
    "sliding_window": 0,
    "qk_norm": False,
    "scaled_scores": True,
    "n_expert": 0,
    "conv_width": 0,
    "bias": "all",
    "tied_embeddings": True,
    "scaled_logits": False,
}
_ATTENTION = {"query": "q_proj", "key": "k_proj", "value": "v_proj", "output": "out_proj"}


def read_config(raw: dict[str, Any]) -> ModelConfig:
    """The design of a Marian config.json; ValueError names what cannot be expressed."""
    check_known(raw, _KNOWN)
    for key in ("is_decoder", "normalize_before", "normalize_embedding", "add_final_layer_norm"):
        must_be(raw, key, False)
    for key in ("tie_word_embeddings", "share_encoder_decoder_embeddings", "static_position_embeddings"):
        must_be(raw, key, True)
    vocab_size = integer(raw, "vocab_size", 58_101)
    must_be(raw, "decoder_vocab_size", vocab_size)
    layers = integer(raw, "encoder_layers", integer(raw, "num_hidden_layers", 12))
    must_be(raw, "num_hidden_layers", layers)
    return ModelConfig(
        topology="encoder-decoder",
        vocab_size=vocab_size,
        context_length=integer(raw, "max_position_embeddings", 1024),
        n_layer=integer(raw, "decoder_layers", 12),
        n_encoder_layer=layers,
        n_head=integer(raw, "decoder_attention_heads", 16),
        n_encoder_head=integer(raw, "encoder_attention_heads", 16),
        d_model=integer(raw, "d_model", 1024),
        d_ff=integer(raw, "decoder_ffn_dim", 4096),
        d_encoder_ff=integer(raw, "encoder_ffn_dim", 4096),
        position="sinusoidal",
        norm="layernorm",
        norm_place="post",
        norm_eps=1e-5,
        activation=choice(raw, "activation_function", "gelu", ACTIVATIONS),
        bias="all",
        head_bias=True,
        scaled_embeddings=flag(raw, "scale_embedding", False),
        tied_embeddings=True,
        dropout=number(raw, "dropout", 0.1),
    )


def refine_config(config: ModelConfig, names: Collection[str]) -> ModelConfig:
    """The config unchanged: config.json is complete."""
    return config


def write_config(config: ModelConfig) -> dict[str, Any]:
    """The config.json; ValueError says what MarianMTModel cannot compute."""
    require(config, _SLOTS)
    encoder = config.encoder()
    for stack in (encoder, config):
        require(stack, {"head_dim": config.d_model // stack.n_head, "attention_kind": "multi-head"})
    return {
        "architectures": ["MarianMTModel"],
        "model_type": "marian",
        "is_encoder_decoder": True,
        "vocab_size": config.vocab_size,
        "decoder_vocab_size": config.vocab_size,
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
        "share_encoder_decoder_embeddings": True,
        "tie_word_embeddings": True,
        "forced_eos_token_id": None,
        "decoder_start_token_id": 0,  # where none is known, since it has to be a number
        "dropout": config.dropout,
        "attention_dropout": config.dropout,
        "init_std": config.init_std,
    }


def weights(config: ModelConfig) -> list[Weight]:
    """Local and remote names. Marian adds a bias to the logits, which is zero in most files."""
    copies = ("model.encoder.embed_tokens.weight", "model.decoder.embed_tokens.weight", "lm_head.weight")
    found = [
        Weight(local_name="embedding.weight", remote_name="model.shared.weight", aliases=copies, halves=(1,)),
    ]
    if config.head_bias:
        found.append(Weight(local_name="head.bias", remote_name="final_logits_bias", unsqueeze=True, optional=True))
    for stack, n_layer in (("encoder", config.encoder().n_layer), ("decoder", config.n_layer)):
        for i in range(n_layer):
            found += _block(f"{stack}.blocks.{i}", f"model.{stack}.layers.{i}", has_cross=stack == "decoder")
    return found


def _block(local: str, remote: str, *, has_cross: bool) -> list[Weight]:
    parts = {"attention": "self_attn", "cross_attention": "encoder_attn"} if has_cross else {"attention": "self_attn"}
    found = []
    for name, there in parts.items():
        found += _norm(f"{local}.{name}_norm", f"{remote}.{there}_layer_norm")
        for matrix, remote_matrix in _ATTENTION.items():
            found += _matrix(f"{local}.{name}.{matrix}", f"{remote}.{there}.{remote_matrix}", writes=matrix == "output")
    found += _matrix(f"{local}.feed_forward.up", f"{remote}.fc1", writes=False)
    found += _matrix(f"{local}.feed_forward.down", f"{remote}.fc2", writes=True)
    return [*found, *_norm(f"{local}.feed_forward_norm", f"{remote}.final_layer_norm")]


def _norm(local: str, remote: str) -> list[Weight]:
    return [
        Weight(local_name=f"{local}.{part}", remote_name=f"{remote}.{part}", halves=(0,)) for part in ("weight", "bias")
    ]


def _matrix(local: str, remote: str, *, writes: bool) -> list[Weight]:
    """A matrix and its bias, which writes to what is as wide as the model, or reads it."""
    return [
        Weight(local_name=f"{local}.weight", remote_name=f"{remote}.weight", halves=(0,) if writes else (1,)),
        Weight(local_name=f"{local}.bias", remote_name=f"{remote}.bias", halves=(0,) if writes else ()),
    ]
