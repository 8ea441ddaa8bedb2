"""Marian, the Transformer of 2017: the same logits as transformers, read and written."""

from __future__ import annotations

import dataclasses
import random
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from terrarium.models import load_model
from terrarium.models.architecture.transformer import EncoderDecoder
from terrarium.models.events import result_of
from terrarium.models.interop.export import export_hf
from terrarium.models.interop.families import family_of
from terrarium.models.settings.presets import PRESETS
from tests.models.interop.support import assert_close, change_config, save_theirs, shake
from tests.models.interop.test_export import random_model
from tests.models.interop.two_texts import compare

CONTEXT = 30
SIZES: dict[str, Any] = {"vocab_size": 60, "context_length": CONTEXT, "d_model": 24, "d_ff": 40, "n_layer": 2}
OURS = dataclasses.replace(PRESETS["transformer-tiny"], **SIZES, n_encoder_layer=3)


def make_marian(seed: int, **options: Any) -> Any:
    from transformers import MarianConfig, MarianMTModel

    rng = random.Random(seed)
    given = {
        "vocab_size": 50,
        "d_model": 24,
        "max_position_embeddings": CONTEXT,
        "encoder_layers": rng.randint(1, 3),
        "decoder_layers": rng.randint(1, 3),
        "encoder_attention_heads": rng.randint(1, 4),
        "decoder_attention_heads": rng.randint(1, 4),
        "encoder_ffn_dim": rng.randint(5, 40),
        "decoder_ffn_dim": rng.randint(5, 40),
        "activation_function": ("relu", "gelu", "gelu_new")[seed % 3],
        "scale_embedding": seed % 2 == 0,
        "pad_token_id": 0,
        "decoder_start_token_id": 0,
        "eos_token_id": 2,
    } | options
    theirs = shake(MarianMTModel(MarianConfig(**given)), seed)
    with torch.no_grad():
        for stack in (theirs.model.encoder, theirs.model.decoder):  # computed, and not stored
            stack.embed_positions.weight.copy_(stack.embed_positions.create_weight())
        if seed % 3:
            torch.nn.init.normal_(theirs.final_logits_bias)
    return theirs


@pytest.mark.parametrize("seed", range(6))
def test_random_designs(tmp_path: Path, seed: int) -> None:
    theirs = make_marian(seed)
    ours = compare(save_theirs(theirs, tmp_path, sharded=seed == 0), theirs, CONTEXT)
    assert (ours.config.start_id, ours.config.end_id) == (0, 2)
    assert ours.config.position == "sinusoidal"


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"start_id": -1},
        {"head_bias": True, "scaled_embeddings": False},
        {"n_encoder_head": 2, "d_encoder_ff": 16},
        {"dropout": 0.1},
    ],
)
@torch.no_grad()
def test_ours_computes_the_same_there_and_comes_back(changes: dict[str, Any], tmp_path: Path) -> None:
    from transformers import AutoModelForSeq2SeqLM, MarianMTModel

    ours = random_model(dataclasses.replace(OURS, **{"start_id": 0, **changes}))
    assert isinstance(ours, EncoderDecoder)
    folder = result_of(export_hf(ours, None, tmp_path / "theirs"))
    assert not (folder / "modeling_terrarium.py").exists()
    theirs = AutoModelForSeq2SeqLM.from_pretrained(folder).eval()
    assert isinstance(theirs, MarianMTModel)
    source, target = torch.randint(0, 60, (3, CONTEXT)), torch.randint(0, 60, (3, 11))
    assert_close(ours(source, target), theirs(input_ids=source, decoder_input_ids=target).logits)
    again = load_model(folder)[0].state_dict()
    assert all(torch.equal(value, again[name]) for name, value in ours.state_dict().items())
    assert not any("embed_positions" in name for name in load_file(folder / "model.safetensors"))


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"normalize_before": True}, "normalize_before True"),
        ({"normalize_embedding": True}, "normalize_embedding True"),
        ({"add_final_layer_norm": True}, "add_final_layer_norm True"),
        ({"static_position_embeddings": False}, "static_position_embeddings False"),
        ({"share_encoder_decoder_embeddings": False}, "share_encoder_decoder_embeddings False"),
        ({"decoder_vocab_size": 40}, "decoder_vocab_size 40"),
        ({"tie_word_embeddings": False}, "tie_word_embeddings False"),
        ({"activation_function": "swish"}, "activation_function 'swish'"),
        ({"num_hidden_layers": 7}, "num_hidden_layers 7"),
    ],
)
def test_unsupported_options_are_named(tmp_path: Path, options: dict[str, Any], named: str) -> None:
    save_theirs(make_marian(0), tmp_path)
    change_config(tmp_path, **options)
    with pytest.raises(ValueError, match=named):
        load_model(tmp_path)


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"position": "rope"}, "needs position 'sinusoidal'"),
        ({"norm_place": "pre"}, "needs norm_place 'post'"),
        ({"embedding_norm": True}, "needs embedding_norm False"),
        ({"activation": "swiglu"}, "has no activation 'swiglu'"),
        ({"head": "sequence"}, "needs head 'language'"),
    ],
)
def test_what_marian_cannot_compute_is_not_written(changes: dict[str, Any], named: str) -> None:
    with pytest.raises(ValueError, match=f"MarianMTModel {named}"):
        family_of(dataclasses.replace(OURS, **changes))
