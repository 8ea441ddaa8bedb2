"""Chunked prefill of long prompts, and a prefix cache that avoids reading a common prefix again.

The cache is reused only in whole chunks, so that all numbers come from the same matrix products: a reply does not
depend on whether its prompt was cached, except for the last bits if the number of threads was different (see
`models.inference.threads`).
"""

from __future__ import annotations

import weakref
from collections.abc import Sequence

from terrarium.models.architecture.cache import KVCache
from terrarium.models.architecture.transformer import Decoder
from terrarium.models.inference.threads import ThreadTuner

CHUNK_FLOPS = {"cpu": 24e9}
"""FLOPs of a chunk by device: short (a fifth of a second on two cores), yet at nearly full speed (measured at 135
million parameters: chunks of 112 tokens take a twentieth longer than the whole prompt, chunks of 48 an eighth)."""
_DEFAULT_CHUNK_FLOPS = 2e12


def chunk_size(model: Decoder) -> int:
    """Return the tokens per chunk: a multiple of 16; the context length for dynamic (length-dependent) RoPE scaling."""
    if model.config.rope_scaling == "dynamic":
        return model.config.context_length
    n = sum(parameter.numel() for block in model.blocks for parameter in block.parameters())
    flops = CHUNK_FLOPS.get(model.embedding.weight.device.type, _DEFAULT_CHUNK_FLOPS)
    return max(16, int(flops / (2 * n)) // 16 * 16)


class PrefixCache:
    """The KV cache of the last text: of a prompt with a common prefix, only the rest is read.

    It is valid as long as the model's weights do not change.
    """

    def __init__(self) -> None:
        self.tuner = ThreadTuner(is_small=False)
        """Chooses the number of threads for reading chunks."""
        self._model: weakref.ref[Decoder] | None = None
        self._version = -1
        self._ids: list[int] = []
        self._cache: KVCache | None = None

    def lookup(self, model: Decoder, ids: Sequence[int]) -> KVCache:
        """Return a KV cache with the common prefix of `ids` and the last text. The caller reads the remaining ids into
        it, in chunks of `chunk_size` (`Continuation.read_chunks`), and all tokens after them."""
        cache, version = self._cache, model.weights_version
        is_same = self._model is not None and self._model() is model and self._version == version
        n = self._n_common(ids, cache, chunk_size(model)) if cache is not None and is_same else 0
        if cache is not None and n:
            cache.truncate(n)
        else:
            cache = KVCache(model.config.n_layer)
        self._model, self._version, self._ids, self._cache = weakref.ref(model), version, list(ids), cache
        return cache

    def _n_common(self, ids: Sequence[int], cache: KVCache, size: int) -> int:
        """Return the length of the common prefix in whole chunks. The last token of a text does not count, since its
        logits may come from another code path; nor do tokens of an interrupted pass that not all layers have read."""
        if not cache.can_truncate:
            return 0
        most = min(len(self._ids) - 1, len(ids) - 1, *(layer.length for layer in cache.layers))
        differs = (i for i in range(most) if self._ids[i] != ids[i])
        return next(differs, most) // size * size
