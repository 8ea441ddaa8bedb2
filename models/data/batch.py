"""Training batches, and the rows of text from which an objective makes them."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class Batch:
    """One batch: inputs and targets (B, T) long; weights (B, T) float32, the weight of each target in the loss.

    With a `task`, targets and weights belong to whole texts or to spans.
    """

    inputs: Tensor
    targets: Tensor
    weights: Tensor
    mask: Tensor | None = None
    """(B, T) bool: which inputs are not padding. None without padding, or if it cannot affect the rest (decoder)."""
    source: Tensor | None = None
    """(B, S) long: the encoder's input of an encoder-decoder; `inputs` are the decoder's."""
    source_mask: Tensor | None = None
    """(B, S) bool: which source tokens are not padding; None without padding."""
    candidates: Tensor | None = None
    """(B, T) bool: the allowed positions, if targets are positions in the same row (tasks.pronouns, spans)."""
    segments: Tensor | None = None
    """(B, T) long: the segment id of each input, for an encoder that distinguishes two texts."""
    task: str = ""
    """The task of the targets (models.tasks.forward): "classification", targets (B) long; "multi-label", (B, L)
    float32, 1 for each label; "regression", (B) float32; weights (B). "span": (B, 2) long, the positions of the first
    and last token of the answer, and as many weights. "" if each target is the token or tag at its position."""
    n_tokens: int | None = None
    """Number of source and input tokens without padding; None if not counted."""

    @property
    def counted(self) -> Tensor:
        """The indices of the targets with a nonzero weight among all B·T: (N) long, in row-major order."""
        return self.weights.flatten().nonzero()[:, 0]

    def count_tokens(self, *, padded: bool) -> int:
        """Return the number of tokens without padding. If not counted, id 0 counts as padding in `padded` batches."""
        if self.n_tokens is not None:
            return self.n_tokens
        return int(self.inputs.count_nonzero()) if padded else self.inputs.numel()


@dataclass(frozen=True)
class Rows:
    """Rows of text, padded at the end: ids (B, L) long, weights (B, L) float32, real (B, L) bool (not padding)."""

    ids: Tensor
    weights: Tensor
    real: Tensor
