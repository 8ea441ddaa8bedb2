"""N-gram embeddings: vectors for the pair, the triple … of tokens that end with a token, added to its embedding.

Letters in shape comments: B batch, T tokens, C d_model, N max_ngram, W d_ngram.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from terrarium.models.architecture.cache import LayerCache
from terrarium.models.settings.model_config import ModelConfig
from terrarium.models.settings.model_slots import NGRAM_BASE, NGRAM_PRIME

SITE = "ngrams"
"""The site of the preceding ids in the first layer's cache."""


class NGramEmbedding(nn.Module):
    """Looks up rows for the 2-gram, …, N-gram that end with each token, in a table for each length, and projects them.

    Sources: Huang et al., "Over-Tokenized Transformer" (2025, arXiv:2501.16975); Cheng et al., "Conditional Memory via
    Scalable Lookup" (Engram, 2026, arXiv:2601.07372). A text has far more n-grams than a table has rows, so the row is
    chosen by a hash (Karp & Rabin, 1987), and n-grams may share one. A look-up costs hardly any arithmetic, however
    large the tables are.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.n_rows, orders = config.ngram_rows, config.max_ngram - 1
        self.powers = [pow(NGRAM_BASE, back, NGRAM_PRIME) for back in range(1, config.max_ngram)]
        self.table = nn.Embedding(orders * self.n_rows, config.d_ngram)  # (…, W), that of 2-grams first
        self.projection = nn.Linear(orders * config.d_ngram, config.d_model, bias=False)

    def forward(
        self, ids: Tensor, cache: LayerCache | None = None, mask: Tensor | None = None, apart: Tensor | None = None
    ) -> Tensor:
        """Token ids (B, T) long -> (B, T, C).

        Args:
            cache: of the first layer; the ids continue the cached ones.
            mask: (B, T) bool, True = not padding, which belongs to no n-gram.
            apart: (B, T) long, segments that n-grams do not cross.
        """
        rows = self.rows(ids, cache, mask, apart)
        return self.projection(self.table(rows).flatten(2))  # type: ignore[no-any-return]

    def rows(
        self, ids: Tensor, cache: LayerCache | None = None, mask: Tensor | None = None, apart: Tensor | None = None
    ) -> Tensor:
        """Return the table rows (B, T, N - 1) long of the n-grams that end with each token; see `forward`."""
        numbers, reach = ids.long() + 1, len(self.powers)  # 0 stands for positions before the text
        if mask is not None:
            numbers = numbers * mask
        before = None if cache is None else cache.shift(SITE, numbers[..., None], reach)
        padded = F.pad(numbers, (reach, 0)) if before is None else torch.cat((before[..., 0], numbers), dim=1)
        length, found = ids.size(1), []
        for order, power in enumerate(self.powers):
            start = reach - 1 - order
            earlier = padded[:, start : start + length] * power
            if apart is not None:
                back = min(order + 1, length)
                earlier = earlier * F.pad(apart[:, back:] == apart[:, : length - back], (back, 0))
            numbers = (numbers + earlier) % NGRAM_PRIME
            found.append(numbers % self.n_rows + order * self.n_rows)
        return torch.stack(found, dim=-1)
