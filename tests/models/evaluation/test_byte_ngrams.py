"""Tables of n-grams against NLTK's interpolated Kneser–Ney, and against themselves: probabilities that add up to 1."""

from __future__ import annotations

import math
import random
import zlib

import pytest

from terrarium.models.evaluation.byte_ngrams import bits_by_order
from terrarium.models.events import Progress, result_of

DISCOUNT, BEGINNING = 0.1, "⊢"


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
