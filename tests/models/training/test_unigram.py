"""The unigram entropy, against counting by hand."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

import pytest
import torch
from torch import Tensor

from terrarium.models.data.batch import Batch
from terrarium.models.library.library import Library
from terrarium.models.runs.run_folder import RunFolder
from terrarium.models.settings.model_config import ModelConfig
from terrarium.models.training.setup import N_TARGETS, unigram_entropy
from tests.models.training.support import TEXT, make_run, train


class Given:
    """Batches of these targets and weights."""

    bytes_per_token = None

    def __init__(self, *pairs: tuple[Sequence[int], Sequence[float]]) -> None:
        self._pairs = pairs

    @property
    def n_batches(self) -> int:
        return len(self._pairs)

    def batch(self, step: int, micro_step: int = 0) -> Batch:
        targets, weights = self._pairs[step]
        ids: Tensor = torch.tensor([targets])
        return Batch(inputs=ids, targets=ids, weights=torch.tensor([weights]))


def test_it_is_the_entropy_of_the_token_frequencies() -> None:
    text = "the cat sat on the mat"
    ids = [ord(letter) for letter in text]
    measured = unigram_entropy(Given((ids, [1.0] * len(ids))), 261)
    shares = [n / len(text) for n in Counter(text).values()]
    assert measured is not None
    assert measured.entropy == pytest.approx(-sum(share * math.log(share) for share in shares))
    assert measured.n_targets == len(text)


def test_targets_are_weighted_as_in_the_loss() -> None:
    measured = unigram_entropy(Given(([0, 0, 5], [1.0, 0.0, 0.0]), ([1, 1, 1], [0.5, 0.25, 0.25])), 6)
    assert measured is not None
    assert measured.entropy == pytest.approx(math.log(2)), "one of weight 1, and three that together have as much"
    assert measured.n_targets == 4


def test_it_reads_only_as_many_batches_as_needed() -> None:
    n = N_TARGETS // 2
    half = ([0, 1] * (n // 2), [1.0] * n)
    measured = unigram_entropy(Given(half, half, ([2] * n, [1.0] * n)), 3)
    assert measured is not None
    assert measured.entropy == pytest.approx(math.log(2))
    assert measured.n_targets == N_TARGETS


def test_without_targets_there_is_no_entropy() -> None:
    assert unigram_entropy(Given(([1, 2], [0.0, 0.0])), 3) is None


def test_a_run_measures_it_once(library: Library, tiny_config: ModelConfig) -> None:
    run = make_run(library, tiny_config, steps=2, prompts=(), eval_interval=0)
    train(run, library)
    measured = RunFolder.open(run.folder).measured
    shares = [n / len(TEXT) for n in Counter(TEXT).values()]
    assert measured["unigram_entropy"] == pytest.approx(-sum(share * math.log(share) for share in shares), rel=0.02)
    assert 0 < measured["unigram_tokens"] <= len(TEXT)
    run = RunFolder.open(run.folder)
    run.update(measured=measured | {"unigram_entropy": 1.5}, status="paused")
    train(run, library)
    assert RunFolder.open(run.folder).measured["unigram_entropy"] == 1.5
