"""How a decoder reads a long prompt: in pieces, between which one can stop; and what of it need not be read again.

What was read before is taken up in whole pieces only, so that each number comes from the very same products: it makes
no difference to a reply whether its prompt was read anew or not, beyond the last bits, where the number of threads was
another (see `models.inference.threads`).
"""

from __future__ import annotations

import weakref
from collections.abc import Sequence

from models.architecture.cache import KVCache
from models.architecture.transformer import Decoder
from models.inference.threads import ThreadTuner

FLOPS_AT_ONCE = {"cpu": 24e9}
"""So many operations are short (a fifth of a second on two cores), and yet done at nearly full speed (measured at 135
million parameters: pieces of 112 tokens take a twentieth longer than the whole at once, pieces of 48 an eighth)."""
_FLOPS_ELSEWHERE = 2e12


def piece_size(model: Decoder) -> int:
    """How many tokens are read at once: a multiple of 16; all, where a rotation depends on how many there are."""
    if model.config.rope_scaling == "dynamic":
        return model.config.context_length
    n = sum(parameter.numel() for block in model.blocks for parameter in block.parameters())
    flops = FLOPS_AT_ONCE.get(model.embedding.weight.device.type, _FLOPS_ELSEWHERE)
    return max(16, int(flops / (2 * n)) // 16 * 16)


class PrefixCache:
    """What a decoder read last: of a prompt that begins alike, only the rest has to be read.

    It holds the keys and values of one text, and is of use as long as the model's weights stay as they are.
    """

    def __init__(self) -> None:
        self.tuner = ThreadTuner(is_small=False)
        """How fast pieces were read."""
        self._model: weakref.ref[Decoder] | None = None
        self._version = -1
        self._ids: list[int] = []
        self._cache: KVCache | None = None

    def lookup(self, model: Decoder, ids: Sequence[int]) -> KVCache:
        """A cache that holds as many of the first `ids` as were read before. Whoever takes it reads the others into it,
        in pieces of `piece_size` (`Continuation.read_pieces`), and whatever comes after them."""
        cache, version = self._cache, model.weights_version
        is_same = self._model is not None and self._model() is model and self._version == version
        n = self._n_alike(ids, cache, piece_size(model)) if cache is not None and is_same else 0
        if cache is not None and n:
            cache.cut(n)
        else:
            cache = KVCache(model.config.n_layer)
        self._model, self._version, self._ids, self._cache = weakref.ref(model), version, list(ids), cache
        return cache

    def _n_alike(self, ids: Sequence[int], cache: KVCache, size: int) -> int:
        """How many of the first tokens are the same, in whole pieces. The last of a text is read for its logits, which
        may be done in another way, and does not count; nor does what was broken off between two layers."""
        if not cache.can_be_cut:
            return 0
        most = min(len(self._ids) - 1, len(ids) - 1, *(layer.length for layer in cache.layers))
        differs = (i for i in range(most) if self._ids[i] != ids[i])
        return next(differs, most) // size * size
