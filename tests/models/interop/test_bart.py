"""BART: the same logits as transformers."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from terrarium.models import load_model
from terrarium.models.interop.families import family_of
from terrarium.models.settings.presets import PRESETS
from tests.models.interop.support import change_config, rename_tensors, save_theirs
from tests.models.interop.two_texts import BART_CONTEXT, compare, make_bart


@pytest.mark.parametrize("seed", range(8))
def test_random_designs(tmp_path: Path, seed: int) -> None:
    theirs = make_bart(seed)
    ours = compare(save_theirs(theirs, tmp_path, sharded=seed == 0), theirs, BART_CONTEXT)
    assert (ours.config.start_id, ours.config.end_id) == (2, 2)
    encoder = ours.config.encoder()
    options = theirs.config
    assert (encoder.n_layer, encoder.n_head, encoder.d_ff) == (
        options.encoder_layers,
        options.encoder_attention_heads,
        options.encoder_ffn_dim,
    )
    unread = 2 * 2 * options.d_model  # the first two rows of each table of positions
    bias = ours.config.vocab_size  # which is no parameter of theirs
    assert ours.n_parameters == sum(parameter.numel() for parameter in theirs.parameters()) - unread + bias


def test_older_files(tmp_path: Path) -> None:
    """With copies of the table, without the numbers that are added to logits, and with options of their time."""
    theirs = make_bart(3)
    save_theirs(theirs, tmp_path)

    def spelled(name: str) -> list[str]:
        if name == "model.shared.weight":
            return [name, "model.encoder.embed_tokens.weight", "model.decoder.embed_tokens.weight", "lm_head.weight"]
        return [] if name == "final_logits_bias" else [name, "model.encoder.version"][: 1 + (name[-6:] == "1.bias")]

    rename_tensors(tmp_path, spelled)
    change_config(
        tmp_path,
        num_hidden_layers=theirs.config.encoder_layers,
        normalize_before=False,
        normalize_embedding=True,
        add_final_layer_norm=False,
        add_bias_logits=False,
        static_position_embeddings=False,
        extra_pos_embeddings=2,
        classif_dropout=0.0,
    )
    compare(tmp_path, theirs, BART_CONTEXT)


def test_without_a_prefix(tmp_path: Path) -> None:
    theirs = make_bart(4)
    save_theirs(theirs, tmp_path)
    rename_tensors(tmp_path, lambda name: [name.removeprefix("model.")])
    compare(tmp_path, theirs, BART_CONTEXT)


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"tie_word_embeddings": False}, "tie_word_embeddings False"),
        ({"normalize_before": True}, "normalize_before"),
        ({"normalize_embedding": False}, "normalize_embedding False"),
        ({"add_final_layer_norm": True}, "add_final_layer_norm"),
        ({"static_position_embeddings": True}, "static_position_embeddings"),
        ({"extra_pos_embeddings": 0}, "extra_pos_embeddings 0"),
        ({"activation_function": "silu"}, "activation_function 'silu'"),
        ({"tie_encoder_decoder": True}, "tie_encoder_decoder True"),
        ({"is_decoder": True}, "is_decoder True"),
        ({"num_hidden_layers": 7}, "num_hidden_layers 7"),
        ({"encoder_attention_heads": 5}, "n_encoder_head 5 does not divide"),
        ({"max_position_embeddings": 28}, "contradicts its config"),
        ({"decoder_layers": 9}, "lacks the tensor"),
        ({"architectures": ["MBartForConditionalGeneration"]}, "MBartForConditionalGeneration is not supported"),
    ],
)
def test_unsupported_options_are_named(tmp_path: Path, options: dict[str, Any], named: str) -> None:
    save_theirs(make_bart(0), tmp_path)
    change_config(tmp_path, **options)
    with pytest.raises(ValueError, match=named) as caught:
        load_model(tmp_path)
    assert str(tmp_path) in str(caught.value)


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"position": "sinusoidal"}, "needs position 'learned'"),
        ({"embedding_norm": False}, "needs embedding_norm True"),
        ({"norm_place": "pre"}, "needs norm_place 'post'"),
        ({"norm_eps": 1e-6}, "needs norm_eps 1e-05"),
        ({"tied_embeddings": False}, "needs tied_embeddings True"),
        ({"n_kv_head": 2}, "needs attention_kind 'multi-head'"),
        ({"n_kv_head": 2, "n_encoder_head": 4}, "needs attention_kind 'multi-head'"),
        ({"d_head": 8}, "needs head_dim 32"),
        ({"d_head": 32, "n_encoder_head": 8}, "needs head_dim 16"),
        ({"conv_width": 4}, "needs conv_width 0"),
    ],
)
def test_what_bart_cannot_compute_is_not_written(changes: dict[str, Any], named: str) -> None:
    with pytest.raises(ValueError, match=f"BartForConditionalGeneration {named}"):
        family_of(dataclasses.replace(PRESETS["bart-tiny"], **changes))
