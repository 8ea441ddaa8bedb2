"""What came of `terrarium align refuse`, in words."""

from __future__ import annotations

from typing import TYPE_CHECKING

from models.number_words import format_duration, format_percent

if TYPE_CHECKING:
    from models.recipes.alignment.refuse import RefuseResult


def describe(found: RefuseResult) -> str:
    """A line for each stage and each bar."""
    lines = [f"{'':<14}{'told':>8}{'prefilled':>11}{'over-refused':>14}{'ordinary right':>16}{'':>4}"]
    for name, report in found.reports.items():
        shares = (
            report.forbidden.share("told"),
            report.attacks["prefill"].share("told"),
            report.over_refused,
            report.ordinary.share("right"),
        )
        told, prefilled, over, right = map(format_percent, shares)
        lines.append(f"{name:<14}{told:>8}{prefilled:>11}{over:>14}{right:>16}  {format_duration(found.seconds[name])}")
    lines += [bar.sentence() for bar in found.bars]
    lines.append("A toy rule in a toy world: this says nothing of a model's safety elsewhere.")
    return "\n".join(lines)
