"""A text as character ids: the training and validation data of the training benchmark."""

from __future__ import annotations

from collections import Counter

import torch
from torch import Tensor

CONTEXT = 64
N_CHARACTERS = 100
"""Vocabulary size: the most frequent characters, and one id for all others."""
VALIDATION_CHARACTERS = 32_768


class CharText:
    """A text as ids of a character vocabulary built from its training part.

    `inputs` and `targets` (N, CONTEXT) hold the validation slice: the first characters of the validation part.
    """

    def __init__(self, train: str, val: str) -> None:
        counts = Counter(train)
        frequent = sorted(counts, key=lambda character: (-counts[character], character))[: N_CHARACTERS - 1]
        self._ids = {character: id for id, character in enumerate(frequent)}
        self.vocab_size = len(frequent) + 1
        self._train = self._encode(train)
        n_rows = min(len(val) - 1, VALIDATION_CHARACTERS) // CONTEXT
        if n_rows < 1 or len(self._train) < 2 * CONTEXT:
            raise ValueError(
                f"The text is too short for this benchmark: {len(train):,} characters to train on and {len(val):,} to "
                "validate on. Use one of at least a million characters."
            )
        held_out = self._encode(val[: n_rows * CONTEXT + 1])
        self.inputs = held_out[:-1].view(n_rows, CONTEXT)
        self.targets = held_out[1:].view(n_rows, CONTEXT)

    def _encode(self, text: str) -> Tensor:
        other = len(self._ids)
        return torch.tensor([self._ids.get(character, other) for character in text])

    def batch(self, size: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Inputs and targets, each (size, CONTEXT), from random positions of the training part."""
        starts = torch.randint(len(self._train) - CONTEXT, (size, 1), generator=generator)
        rows = self._train[starts + torch.arange(CONTEXT + 1)]  # (size, CONTEXT + 1)
        return rows[:, :-1], rows[:, 1:]
