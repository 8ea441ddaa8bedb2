"""BERT: BertForMaskedLM, BertModel, and its classes for labels and spans. No torch."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection
from typing import Any

from terrarium.models.design.tree import Tensor
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
    "BertForMaskedLM",
    "BertModel",
    "BertForSequenceClassification",
    "BertForTokenClassification",
    "BertForQuestionAnswering",
)
PREFIX = "bert."
IGNORED: tuple[str, ...] = (
    r"(bert\.)?embeddings\.position_ids",  # 0, 1, 2 …, which older versions saved
    r"(bert\.)?pooler\..*",  # left over from pretraining, in classes that have none
    r"cls\.seq_relationship\..*",
    r"cls\.predictions\.bias",  # of no effect beside an untied cls.predictions.decoder.bias
)

_KNOWN = {
    "vocab_size", "hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size", "hidden_act",
    "max_position_embeddings", "type_vocab_size", "layer_norm_eps", "position_embedding_type",
}  # fmt: skip

_SLOTS: dict[str, Any] = {
    "topology": "encoder-only",
    "position": "learned",
    "norm": "layernorm",
    "norm_place": "post",
    "embedding_norm": True,
    "sliding_window": 0,
    "qk_norm": False,
    "scaled_scores": True,
    "n_expert": 0,
    "conv_width": 0,
    "bias": "all",
    "scaled_embeddings": False,
    "attention_kind": "multi-head",
}
_LANGUAGE_SLOTS: dict[str, Any] = {"head_transform": True, "head_bias": True, "scaled_logits": False, "pooler": False}
_PARTS = ("weight", "bias")
_OLD_PARTS = {"weight": "gamma", "bias": "beta"}
"""Names of LayerNorm parameters in files converted from TensorFlow."""


def read_config(raw: dict[str, Any]) -> ModelConfig:
    """Return the design of a BERT config.json; ValueError names what cannot be expressed.

    Whether a BertModel has a pooler follows only from its weights: see `refine_config`.
    """
    check_known(raw, _KNOWN)
    must_be(raw, "is_decoder", False)
    must_be(raw, "position_embedding_type", "absolute")
    slots = head_slots(raw)
    if raw["architectures"][0] == "BertModel":
        slots = {"head": "none"}
    n_segment = integer(raw, "type_vocab_size", 2)
    if n_segment < 1:
        raise ValueError(f"type_vocab_size {n_segment} is not supported: it must be 1 or more.")
    return ModelConfig(
        topology="encoder-only",
        vocab_size=integer(raw, "vocab_size", 30_522),
        context_length=integer(raw, "max_position_embeddings", 512),
        n_layer=integer(raw, "num_hidden_layers", 12),
        n_head=integer(raw, "num_attention_heads", 12),
        d_model=integer(raw, "hidden_size", 768),
        d_ff=integer(raw, "intermediate_size", 3072),
        position="learned",
        n_segment=n_segment,
        norm="layernorm",
        norm_place="post",
        norm_eps=number(raw, "layer_norm_eps", 1e-12),
        embedding_norm=True,
        activation=choice(raw, "hidden_act", "gelu", ACTIVATIONS),
        bias="all",
        **slots,
        head_transform=True,
        head_bias=True,
        pooler=slots["head"] in ("none", "sequence"),
        tied_embeddings=flag(raw, "tie_word_embeddings", True),
        dropout=number(raw, "hidden_dropout_prob", 0.1),
    )


def refine_config(config: ModelConfig, names: Collection[str]) -> ModelConfig:
    """Set the pooler of a BertModel if its weights have one."""
    if config.head != "none":
        return config
    return dataclasses.replace(config, pooler=any(name.endswith("pooler.dense.weight") for name in names))


def write_config(config: ModelConfig) -> dict[str, Any]:
    """Return the config.json; ValueError says what BERT's classes cannot compute."""
    require(config, {**_SLOTS, "head_dim": config.d_model // config.n_head})
    if not config.n_segment:
        raise ValueError("needs n_segment to be 1 or more, which is 0 here.")
    if config.head == "language":
        require(config, _LANGUAGE_SLOTS)
    elif config.head != "none":
        require(config, {"pooler": config.head == "sequence"})
    return {
        "architectures": ["BertModel" if config.head == "none" else class_of(config, "Bert", "ForMaskedLM")],
        "model_type": "bert",
        "vocab_size": config.vocab_size,
        "max_position_embeddings": config.context_length,
        "num_hidden_layers": config.n_layer,
        "num_attention_heads": config.n_head,
        "hidden_size": config.d_model,
        "intermediate_size": config.ff_width,
        "type_vocab_size": config.n_segment,
        "layer_norm_eps": config.norm_eps,
        "hidden_act": remote_choice(ACTIVATIONS, config, "activation"),
        "tie_word_embeddings": config.tied_embeddings,
        "hidden_dropout_prob": config.dropout,
        "attention_probs_dropout_prob": config.dropout,
        "initializer_range": config.init_std,
        **id2label_of(config),
    }


def weights(config: ModelConfig) -> list[Weight]:
    """Return local and remote names; a BertModel's have no prefix, and older files have other names for norms."""
    is_tied = config.head == "language" and config.tied_embeddings
    stem = "" if config.head == "none" else PREFIX
    names = {part: f"{stem}{remote}" for part, remote in _BODY.items()} | _LANGUAGE_HEAD
    names["head"] = {"language": "cls.predictions.decoder", "span": "qa_outputs"}.get(config.head, "classifier")
    special = []
    if is_tied:
        table, bias = f"{stem}embeddings.word_embeddings.weight", ("cls.predictions.decoder.bias",)
        tied = ("cls.predictions.decoder.weight",)
        special.append(Weight(local_name="embedding.weight", remote_name=table, aliases=tied))
        special.append(Weight(local_name="head.bias", remote_name="cls.predictions.bias", aliases=bias))

    def older(part: str, remote: str, tensor: Tensor) -> dict[str, tuple[str, ...]]:
        return {"aliases": (f"{remote}.{_OLD_PARTS[tensor.name]}",)} if remote.endswith("LayerNorm") else {}

    return named_weights(config, names, special, older)


_BODY = {
    "embedding": "embeddings.word_embeddings",
    "position": "embeddings.position_embeddings",
    "segment": "embeddings.token_type_embeddings",
    "embedding_norm": "embeddings.LayerNorm",
    **{f"blocks.*.attention.{name}": f"encoder.layer.*.attention.self.{name}" for name in ("query", "key", "value")},
    "blocks.*.attention.output": "encoder.layer.*.attention.output.dense",
    "blocks.*.attention_norm": "encoder.layer.*.attention.output.LayerNorm",
    "blocks.*.feed_forward.up": "encoder.layer.*.intermediate.dense",
    "blocks.*.feed_forward.down": "encoder.layer.*.output.dense",
    "blocks.*.feed_forward_norm": "encoder.layer.*.output.LayerNorm",
    "pooler": "pooler.dense",
}
_LANGUAGE_HEAD = {
    "head.transform.dense": "cls.predictions.transform.dense",
    "head.transform.norm": "cls.predictions.transform.LayerNorm",
}
