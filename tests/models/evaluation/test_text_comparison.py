"""How good a model of a text is: the same held-out bytes for gzip, tables and the model, and words that follow them."""

from __future__ import annotations

import dataclasses
import gzip
import math
import random
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

from terrarium.models.architecture.transformer import Decoder
from terrarium.models.corpora.corpus import Corpus
from terrarium.models.corpora.text_corpora import build_text_corpus
from terrarium.models.evaluation import text_comparison
from terrarium.models.evaluation.byte_ngrams import bits_by_order
from terrarium.models.evaluation.record import read_comparison, write_comparison
from terrarium.models.evaluation.text_comparison import compare_model, compare_tables
from terrarium.models.evaluation.text_verdict import (
    BEHIND,
    BEYOND,
    EQUAL,
    UNGROWN,
    sentence_of,
    short_words,
    table_words,
    title_of,
    verdict_of,
)
from terrarium.models.events import Phase, Progress, TextCompared, result_of
from terrarium.models.library.library import Library
from terrarium.models.settings.model_config import ModelConfig
from terrarium.models.tokenizers import encode_text, train_tokenizer

TABLES = TextCompared(n_held_out=100_000, n_train=900_000, gzip=2.6, trigram=2.9, table=2.0, table_order=7)


@pytest.fixture
def corpus(library: Library, tmp_path: Path) -> Corpus:
    words = random.Random(0).choices(("Anna", "Zoë", "sat", "ran", "home", "slowly", "again.\n"), k=8000)
    file = tmp_path / "words.txt"
    file.write_text(" ".join(words), encoding="utf-8")
    return build_text_corpus(library, [file], 0.1)


def test_gzip_and_tables_predict_the_held_out_part_from_the_rest(corpus: Corpus) -> None:
    events = list(compare_tables(corpus))
    assert isinstance(events[0], Phase)
    assert any(isinstance(event, Progress) for event in events)
    compared = result_of(compare_tables(corpus))
    train, held_out = (corpus.read_text(split).encode() for split in corpus.splits)
    assert (compared.n_train, compared.n_held_out) == (len(train), len(held_out))
    added = len(gzip.compress(train + held_out, 9)) - len(gzip.compress(train, 9))
    assert compared.gzip == pytest.approx(8 * added / len(held_out))
    bits = result_of(bits_by_order(train, held_out, range(3, 8)))
    assert compared.trigram == bits[3]
    assert compared.table == min(bits[order] for order in (4, 5, 6, 7)) == bits[compared.table_order]
    assert compared.model is None


def test_of_a_large_text_only_a_part_is_read(corpus: Corpus, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text_comparison, "MAX_TRAIN_BYTES", 5000)
    monkeypatch.setattr(text_comparison, "MAX_HELD_OUT_BYTES", 1000)
    compared = result_of(compare_tables(corpus))
    assert compared.n_train == 5000
    assert 997 < compared.n_held_out <= 1000, "no character is cut"


@pytest.mark.parametrize("n_context", [16, 64])
def test_a_model_predicts_the_same_bytes_with_half_a_context_before_each(corpus: Corpus, n_context: int) -> None:
    tokenizer = train_tokenizer([corpus.read_text("train")], "bpe", 300)
    torch.manual_seed(0)
    n_tokens = tokenizer.get_vocab_size()
    config = ModelConfig(vocab_size=n_tokens, n_layer=1, d_model=16, n_head=2, context_length=n_context)
    model = Decoder(config).train()
    torch.nn.init.normal_(model.embedding.weight, std=0.5)
    tables = result_of(compare_tables(corpus))
    compared = result_of(compare_model(tables, model, tokenizer, corpus, step=7))
    assert model.training, "it is as it was"
    model.eval()
    before = encode_text(tokenizer, corpus.read_text("train")[-16 * n_context :])[-n_context:]
    ids = torch.tensor(before + encode_text(tokenizer, corpus.read_text("val")))
    nats = 0.0
    with torch.no_grad():
        for i in range(n_context, len(ids)):
            done = (i - n_context) % (n_context // 2)
            end = min(i - done + n_context // 2, len(ids))
            start = end - 1 - n_context
            read = ids[max(0, start) : i]
            nats += float(F.cross_entropy(model.logits(model.hidden(read[None]))[0, -1], ids[i]))
    assert compared.model == pytest.approx(nats / math.log(2) / compared.n_held_out, rel=1e-4)
    assert dataclasses.replace(compared, model=None, step=0) == tables
    assert compared.step == 7


def test_it_is_kept_with_the_run(tmp_path: Path) -> None:
    assert read_comparison(tmp_path) is None
    for compared in (TABLES, dataclasses.replace(TABLES, model=1.9, step=500)):
        write_comparison(tmp_path, compared)
        assert read_comparison(tmp_path) == compared
    (tmp_path / "text_comparison.json").write_text('{"format": 1, "gzip": 2}')
    with pytest.raises(ValueError, match=r"text_comparison\.json is damaged"):
        read_comparison(tmp_path)


@pytest.mark.parametrize(
    ("bits", "verdict", "title", "words"),
    [
        (1.9, BEYOND, "has grown", "better than the best table of letters"),
        (2.005, EQUAL, "has grown", "as well as the best table"),
        (2.4, BEHIND, "half grown", "a table of the last six letters is still better. Train it longer."),
        (3.5, UNGROWN, "hardly begun", "hardly more than noise. Train it longer."),
    ],
)
def test_the_words_follow_the_comparison(bits: float, verdict: str, title: str, words: str) -> None:
    compared = dataclasses.replace(TABLES, model=bits)
    assert verdict_of(compared) == verdict
    assert title in title_of(compared)
    assert words in sentence_of(compared)


def test_little_text_is_told_to_need_more_of_it_not_more_training() -> None:
    little = dataclasses.replace(TABLES, n_train=45_000, model=2.3)
    assert "use more text, or fine-tune a published model" in sentence_of(little)
    assert "longer" not in sentence_of(little)


def test_the_table_is_named_by_the_letters_that_it_looks_at() -> None:
    assert table_words(7) == "a table of what followed the last six letters"
    compared = dataclasses.replace(TABLES, model=1.934)
    assert short_words(compared) == "1.93 bits per byte of unseen text; the best table of letters: 2.00"
