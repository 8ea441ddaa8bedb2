"""The lines in the picture of a pass; most layers of a deep model are folded. No widgets."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from terrarium.app.whole_pass.answer import PassAnswer
from terrarium.app.whole_pass.wording import (
    describe_head,
    describe_layer,
    describe_part,
    lead_layer,
    shown_heads,
    strongest_head,
)
from terrarium.models.number_words import format_count

if TYPE_CHECKING:
    from terrarium.models.inspect.whole_pass import LayerPass, PartPass

_MAX_SHOWN = 4
"""The maximum number of layers that are all shown."""

_DOORS = {"attention": "attention", "cross_attention": "attention", "feed_forward": "ablation"}
"""The panel that a part of a layer opens."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Line:
    """One line of the picture: a layer, one of its parts, or the link that unfolds the layers in between or folds them.

    number: of the layer, from 1. layer: None for a link. part: None for a layer itself. head: one head of an attention,
    by its index, below that. n_folded: how many layers a link stands for; 0 for the link that folds again.
    """

    number: int
    layer: LayerPass | None = None
    part: PartPass | None = None
    head: int | None = None
    n_folded: int = 0

    @property
    def key(self) -> tuple[int, str, bool]:
        """A key that identifies the line in another token's pass, whichever head it shows."""
        return self.number, "" if self.part is None else self.part.site, self.head is not None

    @property
    def door(self) -> str:
        """The name of the panel with more detail; "" for a link."""
        if self.layer is None:
            return ""
        return "layers" if self.part is None else _DOORS[self.part.site.rpartition(".")[2]]

    def describe(self, answer: PassAnswer) -> str:
        """Describe what the line shows."""
        if self.layer is None:
            return f"{format_count(self.n_folded, 'more layer')}: unfold" if self.n_folded else "Fold the layers again"
        if self.part is None:
            return describe_layer(answer, self.layer)
        return describe_part(self.part, answer) if self.head is None else describe_head(answer, self.part, self.head)


def lines_of(answer: PassAnswer, chosen: int, n_heads: int, *, is_unfolded: bool) -> list[Line]:
    """All lines.

    Args:
        chosen: the number of the layer (from 1) that is shown beside the first and the last one.
        n_heads: the number of heads shown per attention part, those that add most first.
    """
    layers = answer.given.layers[1:]
    n, lines = len(layers), list[Line]()
    folds = n > _MAX_SHOWN
    shown = set(range(1, n + 1)) if is_unfolded or not folds else _shown(n, chosen)
    number = 1
    while number <= n:
        if number in shown:
            layer = layers[number - 1]
            lines.append(Line(number=number, layer=layer))
            for part in layer.parts:
                lines.append(Line(number=number, layer=layer, part=part))
                heads = shown_heads(answer, part)[:n_heads]
                lines += [Line(number=number, layer=layer, part=part, head=head) for head in heads]
            number += 1
            continue
        end = next(i for i in range(number, n + 1) if i in shown)
        lines.append(Line(number=number, n_folded=end - number))
        number = end
    if is_unfolded and folds:
        lines.append(Line(number=n))
    return lines


def telling_layer(answer: PassAnswer) -> int:
    """Return the number of the initial layer (from 1): that of the strongest head, or where the token took the lead, or
    the last one."""
    strong, lead = strongest_head(answer), lead_layer(answer)
    if strong is not None:
        return strong.layer + 1
    return lead or len(answer.given.layers) - 1


def _shown(n: int, chosen: int) -> set[int]:
    """The first, the chosen and the last of `n` layers, and one that would be folded alone."""
    shown = {1, min(max(chosen, 1), n), n}
    return shown | {i for i in range(2, n) if {i - 1, i + 1} <= shown}
