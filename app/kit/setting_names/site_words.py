"""Titles of a model's parts, by site (see models.architecture.trace). No Qt."""

from __future__ import annotations

import re

_SITE = re.compile(r"(?P<stack>encoder\.|decoder\.)?(?:blocks\.(?P<layer>\d+)|embedding)(?:\.(?P<part>\w+))?$")
PARTS = {"attention": "attention", "cross_attention": "cross-attention", "feed_forward": "feed-forward"}


def format_site(site: str, head: int | None = None) -> str:
    """Format a site as “Embedding”, “Layer 3, feed-forward”, “Encoder layer 1, head 2”; unknown sites are unchanged."""
    found = _SITE.match(site)
    if found is None:
        return site
    stack, layer, part = found["stack"], found["layer"], found["part"]
    side = f"{stack.rstrip('.')} " if stack else ""
    name = f"{side}embedding" if layer is None else f"{side}layer {int(layer) + 1}"
    words = [name.capitalize()]
    if part is not None and not (part == "attention" and head is not None):
        words.append(PARTS[part])
    if head is not None:
        words.append(f"head {head + 1}")
    return ", ".join(words)


def part_of_layer(site: str, head: int | None = None) -> str:
    """Format a site inside a sentence: “layer 3's feed-forward”, “head 2 of encoder layer 1”, “layer 3”."""
    layer, *parts = (word[:1].lower() + word[1:] for word in format_site(site, head).split(", "))
    if head is not None:
        return f"{parts[-1]} of {layer}'s cross-attention" if len(parts) > 1 else f"{parts[-1]} of {layer}"
    return f"{layer}'s {parts[0]}" if parts else layer
