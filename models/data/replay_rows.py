"""Replay of a model's earlier training data during a fine-tuning (rehearsal), so that the model forgets less."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import torch
from tokenizers import Tokenizer
from torch import Tensor

from terrarium.models.corpora.corpus import Corpus
from terrarium.models.data.epoch_permutations import EpochPermutations
from terrarium.models.data.examples import EncodedExample, ExampleForm, encode_examples
from terrarium.models.tiny_world.corpus import row_kinds
from terrarium.models.tokenizers import encode_text
from terrarium.models.tokenizers.many_texts import ManyTextsEncoder

MAX_OLD_ROWS = 4_000
"""Maximum number of replayed rows, from all over the corpus; more would delay the start of a short fine-tuning."""

_SLICES = 32
"""Number of positions in a long text from which rows are taken."""


class ReplayRows:
    """Replay examples in groups of equal weight: `share` of all shown. An epoch continues where the last one ended."""

    def __init__(self, groups: Sequence[Sequence[EncodedExample]], share: float, seed: int) -> None:
        assert 0 < share < 1
        self._sizes = [len(group) for group in groups if group]
        self.examples = [example for group in groups for example in group]
        self._share, self._permutations = share, EpochPermutations(seed)

    def count(self, n_new: int) -> int:
        """Return the number of replayed examples shown beside `n_new` new ones."""
        return max(1, round(self._share / (1 - self._share) * n_new))

    def rows_of(self, epoch: int, n_new: int, places: Sequence[int]) -> Tensor:
        """Return the indices (places,) long of the replayed examples at these of the `count` positions of an epoch."""
        n, n_groups, n_before = self.count(n_new), len(self._sizes), [0, *itertools.accumulate(self._sizes)]
        rows = []
        for place in places:
            turn, group = divmod(epoch * n + place, n_groups)
            again, index = divmod(turn, self._sizes[group])
            order = self._permutations.permutation(again * n_groups + group, self._sizes[group])
            rows.append(n_before[group] + int(order[index]))
        return torch.tensor(rows, dtype=torch.long)


def read_old_rows(
    corpus: Corpus, tokenizer: Tokenizer, form: ExampleForm, length: int, at_most: int = MAX_OLD_ROWS
) -> list[list[EncodedExample]]:
    """Read at most `at_most` rows of the training split, in groups of equal weight: Tiny World's kinds, else one group.

    A long text is split into rows of `length` tokens.

    Raises:
        ValueError: if a file is damaged.
    """
    if corpus.kind == "text":
        return [_windows(corpus, tokenizer, length, at_most)]
    rows = corpus.rows("train")
    kinds = row_kinds(corpus)
    if kinds is None or len(kinds) != len(rows):
        indices = [_spread(range(len(rows)), at_most)]
    else:
        by_kind = [[i for i, kind in enumerate(kinds) if kind == each] for each in dict.fromkeys(kinds)]
        indices = [_spread(of_kind, at_most // len(by_kind)) for of_kind in by_kind]
    encoder = ManyTextsEncoder(tokenizer)
    return [encode_examples([rows[i] for i in group], encoder, form)[0] for group in indices]


def _spread(indices: Sequence[int], n: int) -> list[int]:
    """Select at most `n` of the indices, evenly spread."""
    n = min(n, len(indices))
    return [indices[i * len(indices) // n] for i in range(n)]


def _windows(corpus: Corpus, tokenizer: Tokenizer, length: int, at_most: int) -> list[EncodedExample]:
    text = next(corpus.text_blocks("train")) if corpus.is_large else corpus.read_text("train")
    n_slices = max(1, min(_SLICES, len(text) // (8 * length)))
    per_slice, step = -(-at_most // n_slices), len(text) // n_slices
    rows: list[EncodedExample] = []
    for i in range(n_slices):
        ids = encode_text(tokenizer, text[i * step : (i + 1) * step][: per_slice * length * 4])
        found = [ids[at : at + length] for at in range(0, max(1, len(ids) - length // 2), length)][:per_slice]
        rows += [(window, [True] * len(window)) for window in found]
    return rows[:at_most]
