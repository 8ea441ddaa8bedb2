"""Attention heads in words: which one, and what it was measured to do. No widgets."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from app.kit.figures.attention_pictures import share_words
from app.kit.words.site_words import site_words
from models.inspect.attention_maps import SiteMap, StackMaps
from models.inspect.head_patterns import PATTERNS, leading_pattern

STACKS = {"self": "Self-attention", "encoder": "Encoder", "decoder": "Decoder", "cross": "Cross-attention"}
"""What kinds of attention are called."""

SORTS = {"": "Layer", **PATTERNS}
"""What heads can be sorted by."""

_MIXED = "mixed"


def head_words(site: SiteMap, head: int) -> str:
    """“Layer 2, head 3: induction”, “Layer 2: mean of its 4 heads”."""
    if head >= site.n_head:
        what = ("mean", "largest")[head - site.n_head]
        return f"{site_words(site.site).removesuffix(', attention')}: {what} of its {site.n_head} heads"
    name = PATTERNS.get(leading_pattern(scores_of(site, head)), _MIXED)
    return f"{site_words(site.site, head)}: {name[0].lower()}{name[1:]}"


def score_words(site: SiteMap, head: int) -> str:
    """What was measured of a head: “previous token 12 % · first token 40 % · …”; '' of what is made of all heads."""
    if head >= site.n_head:
        return ""
    measured = ((PATTERNS[name].lower(), score) for name, score in scores_of(site, head).items())
    return " · ".join(f"{name} {share_words(score)}" for name, score in measured if not math.isnan(score))


def scores_of(site: SiteMap, head: int) -> dict[str, float]:
    """A head's score by pattern."""
    return {name: float(of[head]) for name, of in site.scores.items()}


def head_numbers(
    stack: StackMaps, site: int, head: int, words: Sequence[str], others: Sequence[str] | None
) -> Mapping[str, Sequence[Any]]:
    """Columns: which head; who looks and at what, by their places from 1 and words; and the weight.

    Of a pooled map the places are those of blocks' first tokens.

    Args:
        words, others: of who looks, and of what is looked at where that is another text.
    """
    of, seen = stack.sites[site], words if others is None else others
    weights = of.weights[head]
    grid = np.meshgrid(stack.rows[:-1], stack.columns[:-1], indexing="ij")
    queries, keys = (places.ravel().tolist() for places in grid)
    return {
        "head": [head_words(of, head)] * weights.size,
        "query": [i + 1 for i in queries],
        "query_token": [words[i] for i in queries],
        "key": [i + 1 for i in keys],
        "key_token": [seen[i] for i in keys],
        "weight": weights.ravel().astype(float).tolist(),
    }
