"""Folders that bring their own code: transformers runs it with trust_remote_code, and computes the same."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from tokenizers import Tokenizer
from torch import Tensor

from terrarium.models import load_model
from terrarium.models.architecture.transformer import AnyModel, EncoderDecoder
from terrarium.models.events import result_of
from terrarium.models.inference.generate import generate
from terrarium.models.interop.export import export_hf
from terrarium.models.settings.model_config import ModelConfig
from terrarium.models.settings.presets import PRESETS
from terrarium.models.settings.sampling_config import SamplingConfig
from terrarium.models.tokenizers import encode_prompt, train_tokenizer
from tests.models.interop.support import assert_close
from tests.models.interop.test_export import random_model

SMALL: dict[str, Any] = {"vocab_size": 300, "context_length": 64, "d_model": 32, "n_layer": 2}
OURS = dataclasses.replace(PRESETS["terrarium-tiny"], **SMALL)
PAIR = dataclasses.replace(PRESETS["transformer-tiny"], **SMALL, norm_place="pre", start_id=0)
ENCODER = dataclasses.replace(PRESETS["bert-tiny"], **SMALL, position="rope")
CASES: dict[str, tuple[ModelConfig, str]] = {
    "terrarium-tiny": (OURS, "AutoModelForCausalLM"),
    "alibi, a window, experts": (
        dataclasses.replace(OURS, position="alibi", sliding_window=5, n_expert=4),
        "AutoModelForCausalLM",
    ),
    "labels of texts": (dataclasses.replace(OURS, head="sequence", n_label=3), "AutoModelForSequenceClassification"),
    "labels of tokens": (dataclasses.replace(OURS, head="token", n_label=3), "AutoModelForTokenClassification"),
    "spans": (dataclasses.replace(OURS, head="span"), "AutoModelForQuestionAnswering"),
    "masks": (ENCODER, "AutoModelForMaskedLM"),
    "states": (dataclasses.replace(ENCODER, head="none"), "AutoModel"),
    "the 2017 Transformer, pre-norm": (PAIR, "AutoModelForSeq2SeqLM"),
    "labels of a pair": (dataclasses.replace(PAIR, head="sequence"), "AutoModelForSequenceClassification"),
}
IDS = torch.randint(0, 300, (2, 20), generator=torch.Generator().manual_seed(1))
TARGET = IDS[:, :9].flip(1)


@pytest.fixture(scope="module")
def bpe() -> Tokenizer:
    return train_tokenizer(["Anna has a red ball, isn't it? Ben's 12 bells 345."] * 9, "bpe", 300)


def ours_and_theirs(model: AnyModel, theirs: Any) -> tuple[Tensor, Tensor]:
    """The same numbers of both."""
    config = model.config
    if isinstance(model, EncoderDecoder):
        if config.head == "language":
            return model(IDS, TARGET), theirs(IDS, decoder_input_ids=TARGET).logits
        return model(IDS, torch.cat((torch.zeros(2, 1).long(), IDS[:, :-1]), dim=1)), theirs(IDS).logits
    found = theirs(IDS, attention_mask=torch.ones_like(IDS))
    if config.head == "none":
        return model.hidden(IDS), found.last_hidden_state
    if config.head == "span":
        return model(IDS), torch.stack((found.start_logits, found.end_logits), dim=-1)
    return model(IDS), found.logits


@pytest.mark.parametrize("name", CASES)
def test_transformers_computes_the_same_with_it(name: str, bpe: Tokenizer, tmp_path: Path) -> None:
    config, auto_class = CASES[name]
    model = random_model(config)
    out = result_of(export_hf(model, bpe, tmp_path / "out", name='Anna\'s "model"'))
    theirs, said = getattr(transformers, auto_class).from_pretrained(
        out, trust_remote_code=True, output_loading_info=True
    )
    assert not any(said[key] for key in ("missing_keys", "unexpected_keys", "mismatched_keys")), said
    with torch.no_grad():
        assert_close(*ours_and_theirs(model, theirs.eval()), tolerance=1e-5)
    again, tokenizer = load_model(out)
    assert again.config == dataclasses.replace(config, end_id=1)
    assert all(torch.equal(again.state_dict()[key], value) for key, value in model.state_dict().items())
    assert tokenizer is not None
    assert "Anna's 'model'" in (out / "modeling_terrarium.py").read_text("utf-8")


def test_it_writes_the_same_text_and_learns(bpe: Tokenizer, tmp_path: Path) -> None:
    model = random_model(OURS)
    out = result_of(export_hf(model, bpe, tmp_path / "out"))
    theirs = transformers.AutoModelForCausalLM.from_pretrained(out, trust_remote_code=True).eval()
    prompt = encode_prompt(bpe, "Anna has")
    written = theirs.generate(torch.tensor([prompt]), max_new_tokens=12, do_sample=False)[0, len(prompt) :].tolist()
    events = generate(model, bpe, prompt, SamplingConfig(temperature=0.0, max_tokens=12))
    ours = [event.id for event in events if hasattr(event, "id")]
    assert written[: len(ours)] == ours[: len(written)]
    assert min(len(written), len(ours)) > 3
    loss = theirs(IDS, labels=IDS).loss
    loss.backward()
    assert all(parameter.grad is not None for parameter in theirs.parameters())


def test_padding_is_refused_rather_than_read(bpe: Tokenizer, tmp_path: Path) -> None:
    out = result_of(export_hf(random_model(OURS), bpe, tmp_path / "out"))
    theirs = transformers.AutoModelForCausalLM.from_pretrained(out, trust_remote_code=True)
    mask = torch.ones_like(IDS)
    mask[0, :3] = 0
    with pytest.raises(ValueError, match="no mask for padding"):
        theirs(IDS, attention_mask=mask)


def test_a_folder_without_its_design_is_refused(bpe: Tokenizer, tmp_path: Path) -> None:
    out = result_of(export_hf(random_model(OURS), bpe, tmp_path / "out"))
    file = out / "config.json"
    file.write_text(file.read_text().replace('"design"', '"sketch"'))
    with pytest.raises(ValueError, match=r"config\.json .*'design', which holds the design, is missing"):
        load_model(out)
