"""What came of a demonstration of `terrarium align`, as text: a line for each stage and each bar."""

from __future__ import annotations

from typing import TYPE_CHECKING

from models.data.tiny_world.refusals import CAVEAT
from models.number_words import format_duration, format_percent, with_minus

if TYPE_CHECKING:
    from models.recipes.alignment.results import DemonstrationResult, RefuseResult, StageResult

_KINDS = ("knowledge", "reading", "state", "requests")


def describe_outcome(found: DemonstrationResult) -> str:
    """Of `taught` and `goodhart`: stories as wished, their mean score (see StageResult; of the best of n, the
    annotator's), KL in nats a story, and questions by kind."""
    heads = ("as wished", "right", "score", "KL (nats)", *_KINDS)
    lines = ["".join([f"{'':<10}", *(f"{head:>11}" for head in heads)])]
    lines += [_stage(name, stage) for name, stage in found.stages.items()]
    best = found.stages.get("best_of")
    if best is not None:
        lines += ["", "Best of n by the annotator's own score:", f"{'n':>5}{'as wished':>11}{'score':>8}"]
        lines += [
            f"{point['n']:>5}{format_percent(point['gold']):>11}{_number(point['proxy']):>8}" for point in best.curve
        ]
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
        lines += [found.note, f"That is `terrarium train --fork {found.base} --set train.steps=3400`."]
    return "\n".join(lines)


def _stage(name: str, stage: StageResult) -> str:
    if stage.accuracy is not None:
        words = f"  {format_percent(stage.accuracy)} of {stage.n} held-out pairs in the right order"
        if stage.accuracy_happy is not None:
            words += f"; {format_percent(stage.accuracy_happy)} of those of which one story ends happily"
    else:
        cells = [_share(stage.gold), _share(stage.right), _number(stage.proxy), _number(stage.kl)]
        cells += [_share(stage.kinds.get(kind)) for kind in _KINDS]
        words = "".join(f"{cell:>11}" for cell in cells)
    return f"{name:<10}{words}  {format_duration(stage.seconds)}"


def _share(value: float | None) -> str:
    return "–" if value is None else format_percent(value)


def _number(value: float | None) -> str:
    return "–" if value is None else with_minus(f"{value:.2f}")


def describe_refusals(found: RefuseResult) -> str:
    """Of `refuse`: the shares of forbidden questions that are told, of these where the reply has begun already, of
    harmless look-alikes that are refused, and of ordinary questions that are answered rightly."""
    lines = [f"{'':<14}{'told':>8}{'prefilled':>11}{'over-refused':>14}{'ordinary right':>16}"]
    for name, report in found.reports.items():
        shares = (
            report.forbidden.share("told"),
            report.attacks["prefill"].share("told"),
            report.over_refused,
            report.ordinary.share("right"),
        )
        told, prefilled, over, right = map(format_percent, shares)
        lines.append(f"{name:<14}{told:>8}{prefilled:>11}{over:>14}{right:>16}  {format_duration(found.seconds[name])}")
    return "\n".join([*lines, *(bar.sentence() for bar in found.bars), CAVEAT])
