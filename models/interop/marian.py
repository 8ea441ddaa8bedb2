"""Marian: MarianMTModel, the Transformer of 2017, as in the translation models Opus-MT. No torch import.

The sines and cosines of its positions are in two halves, while Terrarium's alternate as in the paper; so everything
with the model's width has another order in its files. Sizes and parts have BART's names.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from terrarium.models.design.tree import Tensor
from terrarium.models.interop.bart import BLOCKS, COPIES, HEAD_BIAS, read_sizes, write_sizes
from terrarium.models.interop.family import Weight, named_weights
from terrarium.models.interop.options import check_known, integer, must_be, require
from terrarium.models.settings.model_config import ModelConfig

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


def read_config(raw: dict[str, Any]) -> ModelConfig:
    """Return the design of a Marian config.json; ValueError names what cannot be expressed."""
    check_known(raw, _KNOWN)
    for key in ("is_decoder", "normalize_before", "normalize_embedding", "add_final_layer_norm"):
        must_be(raw, key, False)
    for key in ("tie_word_embeddings", "share_encoder_decoder_embeddings", "static_position_embeddings"):
        must_be(raw, key, True)
    vocab_size = integer(raw, "vocab_size", 58_101)
    must_be(raw, "decoder_vocab_size", vocab_size)
    return ModelConfig(**read_sizes(raw, vocab_size), position="sinusoidal", head_bias=True)


def refine_config(config: ModelConfig, names: Collection[str]) -> ModelConfig:
    """The config unchanged: config.json is complete."""
    return config


def write_config(config: ModelConfig) -> dict[str, Any]:
    """Return the config.json; ValueError says what MarianMTModel cannot compute."""
    require(config, _SLOTS)
    return {
        "architectures": ["MarianMTModel"],
        "model_type": "marian",
        **write_sizes(config),
        "decoder_vocab_size": config.vocab_size,
        "share_encoder_decoder_embeddings": True,
        "forced_eos_token_id": None,
        "decoder_start_token_id": 0,  # a default, because the class requires a number
    }


def weights(config: ModelConfig) -> list[Weight]:
    """Return local and remote names. Marian adds a bias to the logits, which is zero in most files."""
    table = Weight(local_name="embedding.weight", remote_name="model.shared.weight", aliases=COPIES, halves=(1,))
    return named_weights(config, BLOCKS, [table, HEAD_BIAS], _halves)


def _halves(part: str, remote: str, tensor: Tensor) -> dict[str, tuple[int, ...]]:
    """Reorder the model's width: of norms, and where a matrix writes to it or reads it."""
    name = part.rpartition(".")[2]
    if name.endswith("norm") or name in ("output", "down"):
        return {"halves": (0,)}
    return {"halves": (1,) if tensor.name == "weight" else ()}
