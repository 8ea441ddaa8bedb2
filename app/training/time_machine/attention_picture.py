"""Attention as a run's log has it: whose it is, and what its design's mask lets nothing through."""

from __future__ import annotations

import re

import numpy as np

from app.kit.figures.pictures import Floats
from app.session.run_history import KeptAttention
from models.architecture.mask_tables import MaskedText, seen_from
from models.settings.model_config import ModelConfig

_SITE = re.compile(r"(?P<stack>encoder\.|decoder\.)?blocks\.(?P<layer>\d+)\.")


def site_words(site: str) -> str:
    """“Layer 1”, “Encoder layer 2”; the site itself where it is another."""
    found = _SITE.match(site)
    if found is None:
        return site
    stack, layer = found["stack"], int(found["layer"]) + 1
    return f"{stack.rstrip('.').capitalize()} layer {layer}" if stack else f"Layer {layer}"


def head_weights(seen: KeptAttention, config: ModelConfig | None) -> Floats:
    """(H, T, S): the weights of all heads; NaN where the mask of a design `config` lets nothing through."""
    weights = seen.weights.copy()
    if config is not None:
        stack = config.encoder() if seen.site.startswith("encoder.") else config
        text = MaskedText(length=weights.shape[1])
        for query in range(weights.shape[1]):
            first, end = seen_from(stack, text, query)
            weights[:, query, :first] = np.nan
            weights[:, query, end:] = np.nan
    return weights
