"""The code of a design: the reference module, cut down to it."""

from __future__ import annotations

import dataclasses
import re
from importlib.resources import files
from typing import Any

from terrarium.models.architecture.rope import attention_factor, yarn_ramp
from terrarium.models.codegen.pruning import pruned
from terrarium.models.cost import total_parameters
from terrarium.models.settings.model_config import ModelConfig
from terrarium.models.settings.positions import scheme_of


def reference_source() -> str:
    """Return the text of models/codegen/reference.py."""
    return (files("terrarium.models.codegen") / "reference.py").read_text(encoding="utf-8")


def module_source(config: ModelConfig, name: str = "This design") -> str:
    """Generate a Python module that defines `Model` and needs only torch; its last lines are a trial run.

    `Model()(ids)`, or for an encoder-decoder `Model()(source_ids, target_ids)`, returns logits (B, T, V), or the hidden
    states if an encoder has no head.
    """
    title = " ".join(name.split()) or "This design"
    words = f"{title}: {_describe(config)}.".replace('"', "'").replace("\\", "/")
    values, text = constants(config), reference_source()
    for derived, others in _MAY_EQUAL.items():
        other = next((each for each in others if values.get(each) == values[derived]), None)
        if other is not None:
            text = re.sub(rf"^{derived} = .*\n", "", text, flags=re.MULTILINE)
            text = re.sub(rf"\b{derived}\b", other, text)
            del values[derived]
    _, _, code = pruned(text, values).partition('"""\n')
    return f'"""{words}"""\n{code}'


_MAY_EQUAL = {
    "N_ENCODER_KV": ("N_KV_HEAD", "N_ENCODER_HEAD"),
    "N_ENCODER_HEAD": ("N_HEAD",),
    "N_KV_HEAD": ("N_HEAD",),
    "D_ENCODER_HEAD": ("HEAD_DIM",),
    "D_ENCODER_FF": ("D_FF",),
}
"""Constants that are written as another one where they are equal."""


def constants(config: ModelConfig) -> dict[str, Any]:
    """Return the values of the reference module's constants for a design."""
    is_pair = config.topology == "encoder-decoder"
    encoder = config.encoder() if is_pair else config
    widths = sorted({config.head_dim, encoder.head_dim})
    ramps = {width: yarn_ramp(dataclasses.replace(config, d_head=width, n_encoder_head=0)) for width in widths}
    tied_table = config.tied_embeddings or config.head != "language"
    return {
        "IS_PAIR": is_pair,
        "IS_CAUSAL": config.is_causal,
        "VOCAB_SIZE": config.vocab_size,
        "CONTEXT_LENGTH": config.context_length,
        "N_LAYER": config.n_layer,
        "N_ENCODER_LAYER": encoder.n_layer,
        "D_MODEL": config.d_model,
        "N_HEAD": config.n_head,
        "N_ENCODER_HEAD": encoder.n_head,
        "N_KV_HEAD": config.kv_heads,
        "N_ENCODER_KV": encoder.kv_heads,
        "HEAD_DIM": config.head_dim,
        "D_ENCODER_HEAD": encoder.head_dim,
        "D_FF": config.ff_width,
        "D_ENCODER_FF": encoder.ff_width,
        "N_EXPERT": config.n_expert,
        "N_EXPERT_USED": config.n_expert_used,
        "CONV_WIDTH": config.conv_width,
        "MAX_NGRAM": config.max_ngram if config.has_ngrams else 0,
        "NGRAM_ROWS": config.ngram_rows,
        "D_NGRAM": config.d_ngram,
        "WINDOW": config.sliding_window,
        "POSITION": config.position,
        "ROPE_THETA": config.rope_theta,
        "ROPE_SCALING": config.rope_scaling,
        "ROPE_FACTOR": config.rope_factor,
        "ROPE_ORIGINAL_CONTEXT": config.rope_original_context,
        "ROPE_LOW_ROTATIONS": config.rope_low_rotations,
        "ROPE_HIGH_ROTATIONS": config.rope_high_rotations,
        "ROPE_FRACTION": config.rope_fraction,
        "YARN_RAMPS": ramps,
        "YARN_FACTOR": attention_factor(config),
        "NOPE_INTERVAL": config.nope_interval,
        "N_BUCKET": config.n_bucket,
        "MAX_DISTANCE": config.max_distance,
        "N_SEGMENT": config.n_segment if config.topology == "encoder-only" else 0,
        "HEAD": config.head,
        "N_LABEL": config.n_output,
        "IS_TIED": config.tied_embeddings,
        "HEAD_TRANSFORM": config.has_head_transform,
        "HEAD_ACTIVATION": config.head_activation,
        "HEAD_BIAS": config.head_bias,
        "HAS_POOLER": config.pooler and config.topology == "encoder-only",
        "HAS_MASK": config.sliding_window > 0 or scheme_of(config).applied_to == "scores",
        "IS_GROUPED": config.kv_heads != config.n_head,
        "QK_NORM": config.qk_norm,
        "SCALED_SCORES": config.scaled_scores,
        "ACTIVATION": config.activation,
        "IS_GATED": config.is_gated,
        "NORM": config.norm,
        "NORM_EPS": config.norm_eps,
        "IS_PRE_NORM": config.norm_place == "pre",
        "EMBEDDING_NORM": config.embedding_norm,
        "ATTENTION_BIAS": config.attention_bias,
        "FF_BIAS": config.ff_bias,
        "LABEL_BIAS": config.has_label_bias,
        "SCALED_EMBEDDINGS": config.scaled_embeddings,
        "SCALED_LOGITS": config.scaled_logits,
        "DROPOUT": config.dropout,
        "INIT_STD": config.init_std,
        "ZERO_INIT_OUTPUT": config.zero_init_output,
        "OUTPUT_TABLE": "embedding.weight" if tied_table else "head.weight",
        "LOOKBACK": config.lookback if config.looks_back else 0,
    }


def _describe(config: ModelConfig) -> str:
    article = "an" if config.topology.startswith("e") else "a"
    return f"{article} {config.topology} transformer with {total_parameters(config):,} parameters, made in Terrarium"
