"""The parts of custom blocks in the diagram, and what is known of their sizes. No Qt."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import Any

from terrarium.app.builder.diagram.part import Part, StackSpec
from terrarium.models.custom_blocks.store import find_in
from terrarium.models.design.custom import only_known
from terrarium.models.design.tree import Node, design_tree
from terrarium.models.design.tree import Part as TreePart
from terrarium.models.settings.block_references import BLOCK_SLOTS, blocks_of, options_in
from terrarium.models.settings.model_config import ModelConfig

_CALLS = {
    "attention": "y = block(x, allowed)",
    "feed_forward": "y = block(x)",
    "position": "p = block(positions)",
    "norm": "y = block(x)",
}
_SHOWN_CHARACTERS = 34


def custom_part(stack: StackSpec, place: str, key: str, meaning: str = "") -> Part:
    """Describe the custom block in a place of a stack as one part, with this key.

    meaning: what it does there, before its own help.
    """
    title, about_it, settings = _words(stack.config, place)
    shapes = f"{stack.stream} → {stack.stream}" if place in ("attention", "feed_forward") else stack.stream
    return Part(
        key=key,
        title=title,
        detail=settings if len(settings) <= _SHOWN_CHARACTERS else f"{settings[:_SHOWN_CHARACTERS]}…",
        formula=f"{_CALLS[place]}{f',   {settings}' if settings else ''}\n{shapes}",
        meaning=" ".join(filter(None, (meaning, about_it))),
        kind=place.replace("_", "-"),
        slots=(BLOCK_SLOTS[place],),
        shape=stack.stream,
    )


def _words(config: ModelConfig, place: str) -> tuple[str, str, str]:
    """Return a custom block's title, its help or what is wrong, and its options as "decay 0.97, window 64"."""
    try:
        about = find_in(config, place)
        assert about is not None
        values = about.values(options_in(config, place))
    except ValueError as error:
        return blocks_of(config)[place].name, str(error), ""
    options = (f"{about.options[name].label.lower()} {value}" for name, value in values.items())
    return about.title, about.help or "A custom block.", ", ".join(options)


@dataclass(frozen=True)
class KnownTree:
    """The tree of a design, in which the custom blocks of `unknown` places are replaced by built-in parts."""

    tree: TreePart
    unknown: Collection[str] = ()

    def counts(self, node: Node) -> bool:
        """Return whether the parameters of a node are those of the design."""
        place = "norm" if node.part.kind == "norm" else ""
        if found := re.search(r"blocks\.\*\.(attention|feed_forward)(\.|$)", node.path):
            place = found[1] if found[1] in self.unknown else place
        return place not in self.unknown


def known_tree(config: ModelConfig) -> KnownTree:
    """Return the tree of a design as far as it is known without running its custom blocks."""
    places = blocks_of(config)
    unknown = [place for place in places if not _is_known(_without(config, [p for p in places if p != place]))]
    with only_known():
        return KnownTree(design_tree(_without(config, unknown)), unknown)


def _without(config: ModelConfig, places: Collection[str]) -> ModelConfig:
    if not places:
        return config
    prefixes = tuple(f"{place}." for place in places)
    options = tuple(option for option in config.block_options if not option.startswith(prefixes))
    emptied: dict[str, Any] = {BLOCK_SLOTS[place]: "" for place in places}
    return replace(config, block_options=options, **emptied)


def _is_known(config: ModelConfig) -> bool:
    try:
        with only_known():
            design_tree(config)
    except ValueError:
        return False
    return True
