"""Heads of labels and spans: the same logits as the classes of transformers, both ways, with the labels' names."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from terrarium.models import load_model
from terrarium.models.architecture.transformer import AnyModel, Encoder, EncoderDecoder
from terrarium.models.data.batch import Batch
from terrarium.models.settings.model_config import ModelConfig
from terrarium.models.settings.presets import PRESETS
from terrarium.models.training.objective import weighted_nll
from tests.models.interop.support import padding_masks, save_theirs, shake
from tests.models.interop.test_round_trips import build, export

VOCAB, CONTEXT, PAD, END = 41, 24, 0, 1
_SIZES = {"vocab_size": VOCAB, "pad_token_id": PAD, "eos_token_id": END}
_GPT2 = {"n_positions": CONTEXT, "n_embd": 32, "n_layer": 2, "n_head": 4, **_SIZES}
_LLAMA = {
    "max_position_embeddings": CONTEXT,
    "hidden_size": 32,
    "intermediate_size": 56,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    **_SIZES,
}
_BART = {
    "d_model": 24,
    "max_position_embeddings": CONTEXT,
    "encoder_layers": 1,
    "decoder_layers": 2,
    "encoder_attention_heads": 2,
    "decoder_attention_heads": 4,
    "encoder_ffn_dim": 40,
    "decoder_ffn_dim": 20,
    "decoder_start_token_id": END,
    **_SIZES,
}
_BERT = {
    "hidden_size": 24,
    "num_hidden_layers": 2,
    "num_attention_heads": 3,
    "intermediate_size": 40,
    "max_position_embeddings": CONTEXT,
    **_SIZES,
}
FAMILIES: dict[str, dict[str, Any]] = {"Bert": _BERT, "GPT2": _GPT2, "Llama": _LLAMA, "Mistral": _LLAMA, "Bart": _BART}
HEADS = {"ForSequenceClassification": "sequence", "ForTokenClassification": "token", "ForQuestionAnswering": "span"}
CLASSES = [
    (family, ending)
    for family in FAMILIES
    for ending in HEADS
    if (family, ending) != ("Bart", "ForTokenClassification")
]


def make_theirs(family: str, ending: str) -> Any:
    import transformers

    n_label = 2 if ending == "ForQuestionAnswering" else 3
    config = getattr(transformers, f"{family}Config")(**FAMILIES[family], num_labels=n_label)
    return shake(getattr(transformers, family + ending)(config), 3)


def texts(mask: Tensor) -> Tensor:
    """Ids (B, T): padding where the mask says so, and an end token last in each row."""
    ids = torch.randint(2, VOCAB, mask.shape, generator=torch.Generator().manual_seed(4))
    last = (mask * torch.arange(mask.size(1))).argmax(dim=1)
    ids[torch.arange(len(ids)), last] = END
    return torch.where(mask, ids, PAD)


def our_logits(model: AnyModel, ids: Tensor, mask: Tensor, segments: Tensor) -> Tensor:
    if isinstance(model, EncoderDecoder):
        start = torch.full((len(ids), 1), model.config.start_id)
        return model(ids, torch.cat((start, ids[:, :-1]), dim=1), source_mask=mask, target_mask=mask)  # type: ignore[no-any-return]
    if isinstance(model, Encoder):
        return model(ids, mask=mask, segments=segments)  # type: ignore[no-any-return]
    return model(ids, mask=mask)  # type: ignore[no-any-return]


def their_logits(model: Any, ids: Tensor, mask: Tensor, segments: Tensor) -> Tensor:
    more = {"token_type_ids": segments} if model.config.model_type == "bert" else {}
    found = model(ids, attention_mask=mask.long(), **more)
    return found.logits if "logits" in found else torch.stack((found.start_logits, found.end_logits), dim=-1)


@torch.no_grad()
def compare(ours: AnyModel, theirs: Any) -> None:
    """Logits equal to 1e-5 of the largest, whole and padded on the right."""
    for length in (CONTEXT, 7):
        for name, mask in padding_masks(3, length).items():
            if name == "left":
                continue  # there the positions of the classes differ, too
            segments = (torch.arange(length) > 2).long().expand(3, -1)
            ids = texts(mask)
            found, expected = our_logits(ours, ids, mask, segments), their_logits(theirs, ids, mask, segments)
            assert found.shape == expected.shape
            if found.dim() == 3:
                found, expected = found[mask], expected[mask]
            assert float((found - expected).abs().max() / expected.abs().max()) < 1e-5


@pytest.mark.parametrize(("family", "ending"), CLASSES)
def test_imported(tmp_path: Path, family: str, ending: str) -> None:
    theirs = make_theirs(family, ending)
    ours, _ = load_model(save_theirs(theirs, tmp_path))
    assert ours.config.head == HEADS[ending]
    assert ours.config.n_output == (2 if ending == "ForQuestionAnswering" else 3)
    compare(ours, theirs)


EXPORTED = {
    "bert": dataclasses.replace(PRESETS["bert-tiny"], d_model=32, pooler=True),
    "gpt2": dataclasses.replace(PRESETS["gpt2-tiny"], d_model=32),
    "llama": dataclasses.replace(PRESETS["llama-tiny"], d_model=32),
    "mistral": dataclasses.replace(PRESETS["llama-tiny"], d_model=32, sliding_window=8),
    "bart": dataclasses.replace(PRESETS["bart-tiny"], d_model=32),
}


@pytest.mark.parametrize("family", EXPORTED)
@pytest.mark.parametrize("head", ["sequence", "token", "span"])
def test_exported(tmp_path: Path, family: str, head: str) -> None:
    config = EXPORTED[family]
    values: dict[str, Any] = {**config.to_dict(), "head": head, "n_label": 3, "vocab_size": VOCAB, "init_std": 0.3}
    values |= {"context_length": CONTEXT, "head_bias": False, "end_id": END}
    if family == "bert":
        values["pooler"] = head == "sequence"
    if family == "bart":
        values["start_id"] = END
    if ModelConfig.problems(values):
        assert (family, head) == ("bart", "token")
        return
    model = build(ModelConfig(**values))
    theirs = export(model, tmp_path / "out")
    theirs.config.pad_token_id = PAD
    compare(model, theirs)
    again, _ = load_model(tmp_path / "out")
    assert (again.config.head, again.config.n_output) == (model.config.head, model.config.n_output)
    torch.testing.assert_close(again.state_dict(), model.state_dict())


def test_the_names_of_labels_are_written(tmp_path: Path) -> None:
    config = dataclasses.replace(EXPORTED["gpt2"], head="sequence", n_label=2)
    export(build(config), tmp_path / "out", labels=("glad", "sad"))
    about = json.loads((tmp_path / "out" / "config.json").read_text("utf-8"))
    assert about["id2label"] == {"0": "glad", "1": "sad"}
    assert about["label2id"] == {"glad": 0, "sad": 1}
    assert about["architectures"] == ["GPT2ForSequenceClassification"]


@pytest.mark.parametrize("ending", HEADS)
def test_losses(tmp_path: Path, ending: str) -> None:
    theirs = make_theirs("Bert", ending)
    ours, _ = load_model(save_theirs(theirs, tmp_path))
    mask = torch.ones(3, 7, dtype=torch.bool)
    ids = texts(mask)
    weights, task, labels = torch.ones(3), "classification", torch.tensor([0, 2, 1])
    given: dict[str, Tensor] = {"labels": labels}
    if ending == "ForTokenClassification":
        task, labels = "", torch.randint(0, 3, (3, 7))
        weights = (torch.rand(3, 7) > 0.3).float()
        given = {"labels": labels.masked_fill(weights == 0, -100)}
    if ending == "ForQuestionAnswering":
        task, labels, weights = "span", torch.tensor([[0, 0], [2, 4], [6, 6]]), torch.ones(3, 2)
        given = {"start_positions": labels[:, 0], "end_positions": labels[:, 1]}
    batch = Batch(ids, labels, weights, mask=mask, candidates=mask if task == "span" else None, task=task)
    expected = theirs(ids, attention_mask=mask.long(), **given).loss
    found = weighted_nll(ours, batch) / weights.sum()
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)
    expected.backward()
    found.backward()
    assert ours.head is not None
    mine = next(ours.head.parameters()).grad
    other = (theirs.qa_outputs if task == "span" else theirs.classifier).weight.grad
    torch.testing.assert_close(mine, other, rtol=1e-4, atol=1e-5)
