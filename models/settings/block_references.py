"""How a design names its custom blocks: by the name and the SHA-256 of their text. No torch.

The texts themselves are in models.custom_blocks. A reference pins the exact text: after a change it is another block.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

BLOCK_SLOTS = {
    "attention": "attention_block",
    "feed_forward": "feed_forward_block",
    "position": "position_block",
    "norm": "norm_block",
}
"""The places that a custom block can fill, as blocks name them, with the slot of the design that names the block."""

APPLIED_TO = ("embeddings", "queries", "scores")
"""Where a position block is applied, as for models.settings.positions.PositionScheme."""

NAME = re.compile(r"[a-z][a-z0-9_]{0,39}")
_REFERENCE = re.compile(rf"(?:(?P<where>{'|'.join(APPLIED_TO)}):)?(?P<name>{NAME.pattern})@(?P<sha256>[0-9a-f]{{64}})")
_OPTION = re.compile(rf"(?P<place>{'|'.join(BLOCK_SLOTS)})\.(?P<name>{NAME.pattern})=(?P<value>.{{1,100}})")


class HasBlocks(Protocol):
    """A design with the slots of custom blocks, and that of the position scheme."""

    @property
    def position(self) -> str: ...
    @property
    def attention_block(self) -> str: ...
    @property
    def feed_forward_block(self) -> str: ...
    @property
    def position_block(self) -> str: ...
    @property
    def norm_block(self) -> str: ...
    @property
    def block_options(self) -> tuple[str, ...]: ...


@dataclass(frozen=True)
class BlockReference:
    """The name of a block and the SHA-256 of its text, in hexadecimal. applied_to: of a position block, else ""."""

    name: str
    sha256: str
    applied_to: str = ""

    def __str__(self) -> str:
        where = f"{self.applied_to}:" if self.applied_to else ""
        return f"{where}{self.name}@{self.sha256}"

    @classmethod
    def parse(cls, text: str) -> BlockReference:
        """Read a reference as `str` writes it; ValueError if it is malformed."""
        match = _REFERENCE.fullmatch(text)
        if match is None:
            raise ValueError(
                f"{text[:80]!r} does not name a block: write NAME@ and the SHA-256 of its text, 64 hexadecimal digits."
            )
        return cls(match["name"], match["sha256"], match["where"] or "")


def block_in(design: HasBlocks, place: str) -> BlockReference | None:
    """Return the reference of the custom block in a place of a design (a key of BLOCK_SLOTS), None if built in."""
    text: str = getattr(design, BLOCK_SLOTS[place])
    return BlockReference.parse(text) if text else None


def blocks_of(design: HasBlocks) -> dict[str, BlockReference]:
    """Return the references of all custom blocks of a design, by place."""
    return {place: found for place in BLOCK_SLOTS if (found := block_in(design, place)) is not None}


def options_in(design: HasBlocks, place: str) -> dict[str, str]:
    """Return the options that a design sets for the block in a place, as text by name."""
    matches = [_OPTION.fullmatch(option) for option in design.block_options]
    return {match["name"]: match["value"] for match in matches if match is not None and match["place"] == place}


def written_options(options: Mapping[str, Mapping[str, object]]) -> tuple[str, ...]:
    """Return the slot `block_options` for options by place and name, in a fixed order."""
    return tuple(
        f"{place}.{name}={value}" for place in sorted(options) for name, value in sorted(options[place].items())
    )


def reference_problems(design: HasBlocks) -> dict[str, str]:
    """Return what is malformed in the slots of custom blocks, as a sentence by slot."""
    found = {}
    for place, slot in BLOCK_SLOTS.items():
        try:
            reference = block_in(design, place)
        except ValueError as error:
            found[slot] = f"{slot}: {error}"
            continue
        if reference is not None and bool(reference.applied_to) != (place == "position"):
            found[slot] = (
                f"{slot} {reference.name}: a position block, and no other, says what it is applied to, as in "
                f"scores:NAME@SHA256."
            )
    if wrong := _wrong_options(
        design.block_options, [place for place in BLOCK_SLOTS if getattr(design, BLOCK_SLOTS[place])]
    ):
        found["block_options"] = wrong
    return found


def _wrong_options(options: Sequence[str], places: Sequence[str]) -> str:
    seen = set()
    for option in options:
        match = _OPTION.fullmatch(option)
        if match is None or not option.isprintable():
            return f"block_options has {option[:60]!r}: write PLACE.NAME=VALUE, such as attention.decay=0.97."
        if match["place"] not in places:
            return f"block_options sets {option[:60]!r}, but the design has no custom {match['place']}: leave it out."
        key = match["place"], match["name"]
        if key in seen:
            return f"block_options sets {match['place']}.{match['name']} twice: leave one out."
        seen.add(key)
    return ""
