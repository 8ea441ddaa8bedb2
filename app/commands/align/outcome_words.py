"""What came of `terrarium align taught` and `goodhart`, in words."""

from __future__ import annotations

from typing import TYPE_CHECKING

from models.number_words import format_duration, format_percent

if TYPE_CHECKING:
    from models.recipes.alignment.demonstration import DemonstrationResult, StageResult

_KINDS = ("knowledge", "reading", "state", "requests")


def describe(found: DemonstrationResult) -> str:
    """A line for each stage and each bar."""
    heads = ("as wished", "right", "score", "KL", *_KINDS)
    lines = ["".join([f"{'':<10}", *(f"{head:>11}" for head in heads)])]
    lines += [_stage(name, stage) for name, stage in found.stages.items()]
    best = found.stages.get("best_of")
    if best is not None:
        lines += ["", "Best of n by the annotator's own score:"]
        lines += [f"{point['n']:>5}{format_percent(point['gold']):>10}{point['proxy']:>8.2f}" for point in best.curve]
    lines += ["", *(bar.sentence() for bar in found.bars)]
    if found.n_simulated:
        lines.append(f"Pairs judged by people: {found.n_own}; by the simulated annotator: {found.n_simulated}.")
    if "peak" in found.more:
        peak = found.more["peak"]
        lines.append(
            f"Stop at the peak: step {peak['step']}, as `terrarium train --fork {peak['fork']}`; "
            "afterwards only the score rises."
        )
    if found.note:
        lines.append(found.note)
    return "\n".join(lines)


def _stage(name: str, stage: StageResult) -> str:
    if stage.accuracy is not None:
        words = f"  {format_percent(stage.accuracy)} of {stage.n} held-out pairs in the right order"
    else:
        cells = [_share(stage.gold), _share(stage.right), _number(stage.proxy), _number(stage.kl)]
        cells += [_share(stage.kinds.get(kind)) for kind in _KINDS]
        words = "".join(f"{cell:>11}" for cell in cells)
    return f"{name:<10}{words}  {format_duration(stage.seconds)}"


def _share(value: float | None) -> str:
    return "–" if value is None else format_percent(value)


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f}"
