"""The rows of n-grams, against the hash computed number by number, and what belongs to no n-gram."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from torch import Tensor

from terrarium.models.architecture.cache import KVCache
from terrarium.models.architecture.ngrams import NGramEmbedding
from terrarium.models.architecture.transformer import Decoder
from terrarium.models.settings.model_config import ModelConfig
from terrarium.models.settings.model_slots import NGRAM_BASE, NGRAM_PRIME
from terrarium.models.training.optim import AdamW

CONFIG = ModelConfig(
    vocab_size=50, context_length=16, n_layer=1, n_head=2, d_model=16, position="rope", max_ngram=4, ngram_rows=1000
)
IDS = torch.randint(0, 50, (3, 9), generator=torch.Generator().manual_seed(0))


def rows_of(ids: list[int]) -> list[list[int]]:
    """For each token, the row of the 2-, 3- and 4-gram that it ends."""
    found = []
    for end in range(len(ids)):
        row = []
        for n in range(2, CONFIG.max_ngram + 1):
            gram = [id + 1 for id in ids[max(0, end - n + 1) : end + 1]]
            value = sum(number * NGRAM_BASE**back for back, number in enumerate(reversed(gram))) % NGRAM_PRIME
            row.append(value % CONFIG.ngram_rows + (n - 2) * CONFIG.ngram_rows)
        found.append(row)
    return found


@pytest.fixture
def ngrams() -> NGramEmbedding:
    return NGramEmbedding(CONFIG)


def test_rows_are_those_of_the_hash(ngrams: NGramEmbedding) -> None:
    assert ngrams.rows(IDS).tolist() == [rows_of(ids) for ids in IDS.tolist()]


def test_rows_are_the_same_token_by_token_and_after_some_were_forgotten(ngrams: NGramEmbedding) -> None:
    cache = KVCache(1)
    cache.reserve_rollback(3)
    layer, whole = cache.layers[0], ngrams.rows(IDS)
    found = [ngrams.rows(IDS[:, :2], layer)]
    wrong = torch.zeros_like(IDS[:, :3])
    layer.extend(torch.zeros(3, 1, 5, 4), torch.zeros(3, 1, 5, 4))  # as many keys as tokens
    ngrams.rows(wrong, layer)
    cache.rollback(3)
    found += [ngrams.rows(IDS[:, t : t + 1], layer) for t in range(2, IDS.size(1))]
    assert torch.equal(torch.cat(found, dim=1), whole)


def test_padding_and_other_segments_belong_to_no_ngram(ngrams: NGramEmbedding) -> None:
    mask = torch.ones(3, 9, dtype=torch.bool)
    mask[:, :4] = False
    assert torch.equal(ngrams.rows(IDS, mask=mask)[:, 4:], ngrams.rows(IDS[:, 4:]))
    apart = torch.tensor([[0] * 4 + [1] * 5] * 3)
    assert torch.equal(
        ngrams.rows(IDS, apart=apart), torch.cat((ngrams.rows(IDS[:, :4]), ngrams.rows(IDS[:, 4:])), dim=1)
    )


def test_pairs_have_rows_of_their_own_as_far_as_there_are_rows() -> None:
    """2,500 pairs in a million rows: with a fair hash, about three of them meet another."""
    wide = NGramEmbedding(dataclasses.replace(CONFIG, max_ngram=2, ngram_rows=1_000_000, d_ngram=1))
    pairs = torch.cartesian_prod(torch.arange(50), torch.arange(50))
    assert len(wide.rows(pairs)[:, 1].unique()) > 2480


def test_in_few_rows_pairs_spread_evenly() -> None:
    few = NGramEmbedding(dataclasses.replace(CONFIG, max_ngram=2, ngram_rows=64, d_ngram=1))
    pairs = torch.cartesian_prod(torch.arange(50), torch.arange(50))
    counts = few.rows(pairs)[:, 1].flatten().bincount(minlength=64)
    assert float(((counts - counts.float().mean()) ** 2 / counts.float().mean()).sum()) < 100  # χ², 63 degrees


def trained_loss(config: ModelConfig, ids: Tensor) -> float:
    torch.manual_seed(0)
    model = Decoder(config)
    optimizer = AdamW(model.parameters(), lr=1e-2, fused=True)
    for _ in range(60):
        loss = torch.nn.functional.cross_entropy(model(ids[:, :-1]).flatten(0, 1), ids[:, 1:].flatten())
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    return float(loss.detach())


def test_what_follows_a_pair_is_learned_from_its_row() -> None:
    """The next token is a function of the last two, and there is no attention to find that out: a window of one."""
    rule = torch.randint(0, 50, (50, 50), generator=torch.Generator().manual_seed(1))
    rows = torch.randint(0, 50, (64, 2), generator=torch.Generator().manual_seed(2)).tolist()
    for row in rows:
        while len(row) < 16:
            row.append(int(rule[row[-2], row[-1]]))
    ids, blind = torch.tensor(rows), dataclasses.replace(CONFIG, sliding_window=1, max_ngram=0)
    assert trained_loss(dataclasses.replace(blind, max_ngram=2), ids) < 0.5 < 1.0 < trained_loss(blind, ids)
