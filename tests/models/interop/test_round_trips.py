"""Encoders and encoder-decoders written as Hugging Face folders: transformers loads them and computes the same."""

from __future__ import annotations

import dataclasses
from collections.abc import Generator, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

from terrarium.models import load_model
from terrarium.models.architecture.transformer import AnyModel, build_model
from terrarium.models.interop.export import export_hf
from terrarium.models.settings.model_config import ModelConfig
from terrarium.models.settings.presets import PRESETS
from tests.models.interop import one_text
from tests.models.interop.support import assert_close, padding_masks, save_theirs
from tests.models.interop.two_texts import compare, make_bart, make_t5

SMALL = {"vocab_size": 41, "context_length": 24, "d_model": 32, "init_std": 0.3}


def export(model: AnyModel, out: Path, labels: Sequence[str] = ()) -> Any:
    """Export, and load with the class that config.json names; nothing may be missing, left over or of another shape."""
    import transformers

    events: Generator[Any, None, Path] = export_hf(model, None, out, labels=labels)
    for _ in events:
        pass
    name = transformers.AutoConfig.from_pretrained(out).architectures[0]
    theirs, told = getattr(transformers, name).from_pretrained(out, output_loading_info=True)
    told.pop("error_msgs", None)
    assert not any(told.values()), told
    return theirs.eval()


def build(config: ModelConfig) -> AnyModel:
    torch.manual_seed(0)
    model = build_model(config).eval()
    for parameter in model.parameters():
        if parameter.dim() == 1:
            torch.nn.init.normal_(parameter, mean=1.0, std=0.3)
    return model


BERTS: dict[str, dict[str, Any]] = {
    "tied": {},
    "gelu_tanh, three segments": {"activation": "gelu_tanh", "n_segment": 3, "d_ff": 50},
    "hidden states": {"head": "none", "pooler": True},
    "labels of texts": {"head": "sequence", "n_label": 4, "pooler": True},
    "labels of tokens": {"head": "token", "n_label": 3},
}


@torch.no_grad()
@pytest.mark.parametrize("name", BERTS)
def test_bert(tmp_path: Path, name: str) -> None:
    model = build(dataclasses.replace(PRESETS["bert-tiny"], **SMALL, **BERTS[name]))
    theirs = export(model, tmp_path / "out")
    one_text.compare(tmp_path / "out", theirs)
    ids = torch.randint(0, 41, (3, 9))
    mask = padding_masks(3, 9)["right"]
    if name == "hidden states":
        assert_close(model.hidden(ids, mask=mask), theirs(ids, attention_mask=mask.long()).last_hidden_state, mask)
    else:
        ours, expected = model(ids, mask=mask), theirs(ids, attention_mask=mask.long()).logits
        assert_close(ours, expected, mask if ours.dim() == 3 else None)
    assert load_model(tmp_path / "out")[0].config == dataclasses.replace(
        model.config, d_ff=model.config.ff_width, **UNTOLD
    )


UNTOLD = {"init_std": 0.02, "zero_init_output": False}
"""What config.json does not say of a design, or what is not read from it."""

PAIRS: dict[str, ModelConfig] = {
    "t5": PRESETS["t5-tiny"],
    "t5 v1.1": dataclasses.replace(
        PRESETS["t5-tiny"], activation="geglu_tanh", tied_embeddings=False, scaled_logits=False
    ),
    "t5, tied but not scaled": dataclasses.replace(PRESETS["t5-tiny"], scaled_logits=False, n_encoder_layer=3),
    "t5, wide heads": dataclasses.replace(PRESETS["t5-tiny"], d_head=12, n_bucket=8, max_distance=20),
    "bart": PRESETS["bart-tiny"],
    "bart, with bias": dataclasses.replace(PRESETS["bart-tiny"], head_bias=True, scaled_embeddings=True),
    "bart, uneven": dataclasses.replace(
        PRESETS["bart-tiny"], n_encoder_layer=3, n_encoder_head=2, d_encoder_ff=30, activation="relu"
    ),
}


@torch.no_grad()
@pytest.mark.parametrize("name", PAIRS)
def test_encoder_decoders(tmp_path: Path, name: str) -> None:
    model = build(dataclasses.replace(PAIRS[name], **SMALL))
    theirs = export(model, tmp_path / "out")
    again = compare(tmp_path / "out", theirs, SMALL["context_length"])
    source, target = torch.randint(0, 41, (2, 9)), torch.randint(0, 41, (2, 5))
    assert_close(model(source, target), theirs(input_ids=source, decoder_input_ids=target).logits)
    torch.testing.assert_close(again(source, target), model(source, target))


@torch.no_grad()
@pytest.mark.parametrize("seed", range(3))
def test_imported_models_are_exported_unchanged(tmp_path: Path, seed: int) -> None:
    import transformers

    for make in (make_bart, make_t5):
        theirs = make(seed)
        folder = tmp_path / make.__name__
        model, _ = load_model(save_theirs(theirs, folder / "in"))
        again = export(model, folder / "out")
        state = again.state_dict()
        for name, tensor in theirs.state_dict().items():
            unread = slice(2, None) if "embed_positions" in name else slice(None)
            assert torch.equal(tensor[unread], state[name][unread]), name
    theirs = one_text.make_bert(transformers.BertForMaskedLM, seed)
    model, _ = load_model(save_theirs(theirs, tmp_path / "in"))
    state = export(model, tmp_path / "out").state_dict()
    assert all(torch.equal(tensor, state[name]) for name, tensor in theirs.state_dict().items())
