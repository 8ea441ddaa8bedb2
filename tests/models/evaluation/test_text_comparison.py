"""How good a model of a text is: the same held-out bytes for gzip, tables and the model, and words that follow them."""

from __future__ import annotations

import dataclasses
import gzip
import math
import random
import zlib
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

from terrarium.models.architecture.transformer import Decoder
from terrarium.models.corpora.corpus import Corpus
from terrarium.models.corpora.text_corpora import build_text_corpus
from terrarium.models.evaluation import text_comparison
from terrarium.models.evaluation.record import read_comparison, write_comparison
from terrarium.models.evaluation.text_comparison import bits_by_order, compare_model, compare_tables
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
DISCOUNT, BEGINNING = 0.1, "⊢"


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


def text(seed: int, n: int = 1200) -> bytes:
    """Words drawn at random."""
    words = random.Random(seed).choices(("ab", "abc", "cab", "bad", "ace", "dab", "é"), k=n // 4)
    return " ".join(words).encode()


@pytest.mark.parametrize("order", [2, 3, 5, 7])
def test_they_are_the_probabilities_of_nltk(order: int) -> None:
    from nltk.lm import KneserNeyInterpolated  # it imports pandas and scikit-learn
    from nltk.lm.vocabulary import Vocabulary
    from nltk.util import everygrams

    train, held_out = text(1), text(2, 200)
    letters, whole = train.decode("latin-1"), (train[-(order - 1) :] + held_out).decode("latin-1")
    model = KneserNeyInterpolated(order, discount=DISCOUNT, vocabulary=Vocabulary(letters + BEGINNING))
    model.fit([everygrams(BEGINNING + letters, max_len=order)])
    n_known = order - 1
    nll = [-math.log2(model.score(whole[i], tuple(whole[i - n_known : i]))) for i in range(n_known, len(whole))]
    discounts = [0.0, *[DISCOUNT] * n_known]  # NLTK takes nothing off the counts of single letters
    found = result_of(bits_by_order(train, held_out, [order], discounts))
    assert found[order] == pytest.approx(sum(nll) / len(held_out), rel=1e-9)


@pytest.mark.parametrize("context", [b"abc ab ", b"zzzzzzz", b"a"])
def test_the_probabilities_of_all_bytes_add_up_to_1(context: bytes) -> None:
    train = text(3) + context
    bits = [result_of(bits_by_order(train, bytes([byte]), range(1, 9))) for byte in range(256)]
    for order in range(1, 9):
        assert sum(2 ** -each[order] for each in bits) == pytest.approx(1.0, abs=1e-9), order


def test_more_context_helps_until_it_is_too_rare_and_no_text_is_impossible() -> None:
    bits = result_of(bits_by_order(text(4, 20_000), text(5, 2_000), range(1, 9)))
    assert bits[4] < bits[3] < bits[2] < bits[1] < 8
    assert bits[8] < bits[1]
    foreign = result_of(bits_by_order(text(4), "Ω never seen".encode(), [7]))
    assert 8 < foreign[7] < 64


@pytest.mark.parametrize("train", [b"", b"a", b"aaaaaaaaaaaaaaaaaaaaaaaa", b"abcdefg"])
def test_texts_with_next_to_nothing_in_them_have_numbers(train: bytes) -> None:
    bits = result_of(bits_by_order(train, b"abca", range(1, 9)))
    assert all(math.isfinite(each) and each > 0 for each in bits.values())


def test_it_reports_how_far_it_is_and_can_be_ended() -> None:
    counting = bits_by_order(text(6), text(7), [3, 5])
    done = [event.done / event.total for event in counting if isinstance(event, Progress)]
    assert done == sorted(done)
    assert done[-1] == 1.0
    counting = bits_by_order(text(6), text(7), [3, 5])
    next(counting)
    counting.close()


def test_a_table_is_better_than_gzip_on_text() -> None:
    train, held_out = text(8, 30_000), text(9, 3_000)
    gzip = 8 * (len(zlib.compress(train + held_out, 9)) - len(zlib.compress(train, 9))) / len(held_out)
    assert result_of(bits_by_order(train, held_out, [7]))[7] < gzip
