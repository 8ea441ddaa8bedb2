"""T5, of version 1.0 and 1.1: the same logits as transformers."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file, save_file

from terrarium.models import load_model
from terrarium.models.interop.families import family_of
from terrarium.models.settings.presets import PRESETS
from tests.models.interop.support import change_config, rename_tensors, save_theirs
from tests.models.interop.two_texts import T5_CONTEXT, compare, make_t5


@pytest.mark.parametrize("seed", range(8))
def test_random_designs(tmp_path: Path, seed: int) -> None:
    theirs = make_t5(seed)
    ours = compare(save_theirs(theirs, tmp_path, sharded=seed == 0), theirs, T5_CONTEXT)
    assert ours.config.scaled_logits is (seed % 2 == 0)
    assert ours.config.tied_embeddings
    assert (ours.config.start_id, ours.config.end_id) == (3, 1)
    assert ours.n_parameters == sum(parameter.numel() for parameter in theirs.parameters())


@pytest.mark.parametrize("is_scaled", [True, False])
def test_an_untied_output_embedding(tmp_path: Path, is_scaled: bool) -> None:
    """As in version 1.1: also where config.json was written by transformers 5, which says tied in any case."""
    theirs = make_t5(1, own_table=True, tie_word_embeddings=is_scaled)
    save_theirs(theirs, tmp_path)
    ours = compare(tmp_path, theirs, T5_CONTEXT)
    assert not ours.config.tied_embeddings
    assert ours.config.scaled_logits is is_scaled


def test_the_published_form_of_version_1_1(tmp_path: Path) -> None:
    """Without what transformers 5 adds to config.json, and with tie_word_embeddings as it was."""
    theirs = make_t5(1, own_table=True, feed_forward_proj="gated-gelu", tie_word_embeddings=False)
    save_theirs(theirs, tmp_path)
    change_config(tmp_path, tie_word_embeddings=False, scale_decoder_outputs=None, output_past=True)
    ours = compare(tmp_path, theirs, T5_CONTEXT)
    assert ours.config.activation == "geglu_tanh"
    assert not ours.config.scaled_logits


def test_older_files_with_tied_copies_and_an_unused_table(tmp_path: Path) -> None:
    theirs = make_t5(2)
    save_theirs(theirs, tmp_path)

    def spelled(name: str) -> list[str]:
        if name == "shared.weight":
            return ["encoder.embed_tokens.weight", "decoder.embed_tokens.weight"]
        if name == "decoder.block.0.layer.0.SelfAttention.relative_attention_bias.weight":
            return [name, "decoder.block.0.layer.1.EncDecAttention.relative_attention_bias.weight"]
        return [name]

    rename_tensors(tmp_path, spelled)
    compare(tmp_path, theirs, T5_CONTEXT)


def test_without_a_context_it_is_the_published_one(tmp_path: Path) -> None:
    save_theirs(make_t5(3), tmp_path)
    change_config(tmp_path, n_positions=None, num_decoder_layers=None)
    change_config(tmp_path, num_decoder_layers=make_t5(3).config.num_decoder_layers)
    assert load_model(tmp_path)[0].config.context_length == 512


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"feed_forward_proj": "gated-relu", "dense_act_fn": "relu"}, "feed_forward_proj 'gated-relu'"),
        ({"feed_forward_proj": "silu"}, "feed_forward_proj 'silu'"),
        ({"dense_act_fn": "silu"}, "dense_act_fn 'silu'"),
        ({"is_gated_act": True}, "is_gated_act True"),
        ({"tie_encoder_decoder": True}, "tie_encoder_decoder True"),
        ({"is_decoder": True}, "is_decoder True"),
        ({"relative_attention_num_buckets": 2}, "n_bucket is 2"),
        ({"num_sparse_encoder_layers": 1}, "num_sparse_encoder_layers"),
        ({"d_kv": 5}, "contradicts its config"),
        ({"num_layers": 5}, "lacks the tensor"),
        ({"architectures": ["T5EncoderModel"]}, "T5EncoderModel is not supported"),
    ],
)
def test_unsupported_options_are_named(tmp_path: Path, options: dict[str, Any], named: str) -> None:
    save_theirs(make_t5(0), tmp_path)
    change_config(tmp_path, **options)
    with pytest.raises(ValueError, match=named) as caught:
        load_model(tmp_path)
    assert str(tmp_path) in str(caught.value)


def test_a_stack_with_another_embedding_is_refused(tmp_path: Path) -> None:
    save_theirs(make_t5(4), tmp_path)
    rename_tensors(tmp_path, lambda name: [name, "encoder.embed_tokens.weight"] if name == "shared.weight" else [name])
    load_model(tmp_path)
    tensors = load_file(tmp_path / "model.safetensors")
    tensors["encoder.embed_tokens.weight"] += 1
    save_file(tensors, tmp_path / "model.safetensors")
    with pytest.raises(ValueError, match=r"encoder\.embed_tokens\.weight'"):
        load_model(tmp_path)


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"position": "learned"}, "needs position 't5'"),
        ({"scaled_scores": True}, "needs scaled_scores False"),
        ({"norm": "layernorm"}, "needs norm 'rmsnorm'"),
        ({"bias": "all"}, "needs bias 'none'"),
        ({"n_encoder_head": 2}, "needs n_head 4"),
        ({"d_encoder_ff": 99}, "needs ff_width 512"),
        ({"n_kv_head": 2}, "needs attention_kind 'multi-head'"),
        ({"head_bias": True}, "needs head_bias False"),
        ({"n_expert": 2}, "needs n_expert 0"),
    ],
)
def test_what_t5_cannot_compute_is_not_written(changes: dict[str, Any], named: str) -> None:
    with pytest.raises(ValueError, match=f"T5ForConditionalGeneration {named}"):
        family_of(dataclasses.replace(PRESETS["t5-tiny"], **changes))
