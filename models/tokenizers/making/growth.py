"""Compression of a BPE tokenizer by vocabulary size, measured by replaying its first merges."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any

from tokenizers import Tokenizer
from tokenizers import models as cores

from terrarium.models.tokenizers.codec import encode_text, has_merges

SAMPLE_BYTES = 1_000_000
"""Bytes of the text that are encoded for each size."""

_POINTS = 14


def take_sample(texts: Iterable[str], n_bytes: int = SAMPLE_BYTES) -> str:
    """Return the first `n_bytes` of the texts, in whole characters."""
    parts: list[bytes] = []
    remaining = n_bytes
    for text in texts:
        data = text.encode()[:remaining]
        parts.append(data)
        remaining -= len(data)
        if remaining <= 0:
            break
    return b"".join(parts).decode(errors="ignore")


def measure_growth(tokenizer: Tokenizer, sample: str) -> Iterator[tuple[int, float]]:
    """Yield (vocab_size, bytes per token on `sample`), from no merges to all of them.

    BPE learns its merges in order, so the first k are what a smaller vocabulary would have learned from the same text;
    nothing needs to be retrained. Yields nothing for other kinds, or without a sample.
    """
    if not sample or not isinstance(tokenizer.model, cores.BPE) or not has_merges(tokenizer):
        return
    config = json.loads(tokenizer.to_str())
    core = config["model"]
    merges: list[list[str]] = core["merges"]
    made = {left + right for left, right in merges}
    base = {token: id for token, id in core["vocab"].items() if token not in made}
    n_bytes = len(sample.encode())
    extra = tokenizer.get_vocab_size() - len(core["vocab"])  # added tokens, which are not part of the model
    for k in _spread(len(merges)):
        kept = dict.fromkeys(left + right for left, right in merges[:k])
        smaller = tokenizer if k == len(merges) else _with(config, base, kept, merges[:k])
        yield len(base) + len(kept) + extra, n_bytes / max(len(encode_text(smaller, sample)), 1)


def _with(config: dict[str, Any], base: dict[str, int], kept: Iterable[str], merges: list[list[str]]) -> Tokenizer:
    """Return the tokenizer with only these merges, and new ids."""
    tokens = [*sorted(base, key=base.__getitem__), *kept]
    vocabulary = {token: id for id, token in enumerate(tokens)}
    core = {**config["model"], "vocab": vocabulary, "merges": merges}
    added = [
        {**token, "id": vocabulary[token["content"]]}
        for token in config["added_tokens"]
        if token["content"] in vocabulary
    ]
    return Tokenizer.from_str(json.dumps({**config, "model": core, "added_tokens": added}))


def _spread(n: int) -> list[int]:
    """Return numbers of merges from 0 to n, denser at the start, where each merge gains most."""
    points = {round(n * (i / _POINTS) ** 2) for i in range(_POINTS + 1)}
    return sorted(points)
