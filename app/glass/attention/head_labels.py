"""Names and descriptions of attention heads. No widgets."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from terrarium.app.kit.setting_names.value_words import format_site
from terrarium.app.plots.attention_pictures import format_share
from terrarium.models.inspect.attention_maps import SiteMap, StackMaps
from terrarium.models.inspect.head_patterns import PATTERNS, leading_pattern

STACKS = {"self": "Self-attention", "encoder": "Encoder", "decoder": "Decoder", "cross": "Cross-attention"}
"""Names of the kinds of attention."""

SORTS = {"": "Layer", **PATTERNS}
"""Sort orders of heads."""

_MIXED = "mixed"


def describe_head(site: SiteMap, head: int) -> str:
    """Return the title of a head: “Layer 2, head 3: induction”, “Layer 2: mean of its 4 heads”."""
    if head >= site.n_head:
        what = ("mean", "largest")[head - site.n_head]
        return f"{format_site(site.site).removesuffix(', attention')}: {what} of its {site.n_head} heads"
    name = PATTERNS.get(leading_pattern(scores_of(site, head)), _MIXED)
    return f"{format_site(site.site, head)}: {name[0].lower()}{name[1:]}"


def format_scores(site: SiteMap, head: int) -> str:
    """Format the scores of a head: “previous token 12 % · first token 40 % · …”; '' for the mean and maximum."""
    if head >= site.n_head:
        return ""
    measured = ((PATTERNS[name].lower(), score) for name, score in scores_of(site, head).items())
    return " · ".join(f"{name} {format_share(score)}" for name, score in measured if not math.isnan(score))


def scores_of(site: SiteMap, head: int) -> dict[str, float]:
    """Return the scores of a head by pattern."""
    return {name: float(of[head]) for name, of in site.scores.items()}


def head_columns(
    stack: StackMaps, site: int, head: int, words: Sequence[str], others: Sequence[str] | None
) -> Mapping[str, Sequence[Any]]:
    """Return the columns for export: the head, query and key (position from 1, and token), and the weight.

    In a pooled map, positions and tokens are those of the first token of each block.

    Args:
        words, others: the query tokens, and the key tokens if they belong to another text.
    """
    of, seen = stack.sites[site], words if others is None else others
    weights = of.weights[head]
    grid = np.meshgrid(stack.rows[:-1], stack.columns[:-1], indexing="ij")
    queries, keys = (indices.ravel().tolist() for indices in grid)
    return {
        "head": [describe_head(of, head)] * weights.size,
        "query": [i + 1 for i in queries],
        "query_token": [words[i] for i in queries],
        "key": [i + 1 for i in keys],
        "key_token": [seen[i] for i in keys],
        "weight": weights.ravel().astype(float).tolist(),
    }
