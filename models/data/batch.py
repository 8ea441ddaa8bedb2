"""What a model is given at a time, and what a part of a corpus is before an objective makes that of it."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class Batch:
    """inputs and targets (B, T) long; weights (B, T) float32, how much each target counts in the loss."""

    inputs: Tensor
    targets: Tensor
    weights: Tensor
    mask: Tensor | None = None
    """(B, T) bool: which inputs are real. None where all are, or where no real one can see the others (a decoder)."""
    source: Tensor | None = None
    """(B, S) long: what an encoder-decoder reads whole; its `inputs` are the decoder's."""
    source_mask: Tensor | None = None
    """(B, S) bool: which of the source's tokens are real; None where all are."""
    candidates: Tensor | None = None
    """(B, T) bool: where the targets are positions in their own row (models.pronouns), those that can be one."""
    n_tokens: int | None = None
    """Real tokens of source and inputs; None where nobody counted them."""

    def count_tokens(self, *, padded: bool) -> int:
        """Tokens read. Where nobody counted them, the id 0 stands for none if the texts are `padded`."""
        if self.n_tokens is not None:
            return self.n_tokens
        return int(self.inputs.count_nonzero()) if padded else self.inputs.numel()


@dataclass(frozen=True)
class Rows:
    """Pieces of text side by side, padded at the end: ids (B, L) long, weights (B, L) float32, real (B, L) bool."""

    ids: Tensor
    weights: Tensor
    real: Tensor
