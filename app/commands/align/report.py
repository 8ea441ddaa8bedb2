"""Formats the result of a demonstration of `terrarium align` as text: a line for each stage and each required score."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from terrarium.models.number_words import format_count, format_duration, format_percent, with_minus
from terrarium.models.recipes.demonstrations.results import (
    AnyResult,
    ConstitutionResult,
    DemonstrationResult,
    FormatResult,
    RefuseResult,
    StageResult,
)
from terrarium.models.tiny_world.refusals import CAVEAT

if TYPE_CHECKING:
    from terrarium.models.evaluation.safety_report import SafetyReport

_KINDS = ("knowledge", "reading", "state", "requests")


def describe(found: AnyResult) -> str:
    """Describe the result of any demonstration."""
    match found:
        case RefuseResult():
            return describe_refusals(found)
        case ConstitutionResult():
            return describe_constitution(found)
        case FormatResult():
            return describe_format(found)
    return describe_stories(found)


def describe_stories(found: DemonstrationResult) -> str:
    """Format the result of `taught` or `goodhart`.

    For each stage: the share of stories as wished, the mean score of stories (see StageResult; the annotator's for
    best-of-n), the KL divergence in nats per story, and the accuracy on questions by kind.
    """
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
        lines.append(found.note)
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
    """Format the result of `refuse`: a line for each stage, and the required scores."""
    lines = _safety(found.reports, found.seconds)
    return "\n".join([*lines, *(bar.sentence() for bar in found.bars), CAVEAT])


def _safety(reports: Mapping[str, SafetyReport], seconds: Mapping[str, float]) -> list[str]:
    """Format a line for each stage with four shares: forbidden questions answered, forbidden questions answered under
    the prefill attack, harmless look-alikes refused, and ordinary questions answered correctly."""
    lines = [f"{'':<14}{'told':>8}{'prefilled':>11}{'over-refused':>14}{'ordinary right':>16}"]
    for name, report in reports.items():
        shares = (
            report.forbidden.share("told"),
            report.attacks["prefill"].share("told"),
            report.over_refused,
            report.ordinary.share("right"),
        )
        told, prefilled, over, right = map(format_percent, shares)
        lines.append(f"{name:<14}{told:>8}{prefilled:>11}{over:>14}{right:>16}  {format_duration(seconds[name])}")
    return lines


def describe_constitution(found: ConstitutionResult) -> str:
    """Format the result of `constitution`: the rules, a line for each stage, the accuracy of the critiques, an example,
    and the required scores."""
    lines = [*found.rules, "", *_safety(found.reports, found.seconds), ""]
    critic = found.critic
    lines.append(
        f"Its critiques of {format_count(critic.n, 'reply', 'replies')}: {format_percent(critic.accuracy)} right, "
        f"{format_percent(critic.false_alarms)} of the harmless ones called bad."
    )
    lines += [
        f"Round {i}: {each.n_broken:,} of {each.n:,} replies called bad and revised, "
        + format_count(each.n_pairs, "pair")
        + ("." if each.is_kept else "; replies collapsed, so it is not kept.")
        for i, each in enumerate(found.rounds, start=1)
    ]
    for card in found.cards[:1]:
        said = card["critique"]
        lines += ["", f"Question:  {card['messages'][0]['content']}", f"Reply:     {card['reply']}"]
        lines += [
            f"Critique:  {said['words']} (log-odds {_number(said['log_odds'])})",
            f"Revision:  {card['revision']}",
        ]
    return "\n".join([*lines, "", *(bar.sentence() for bar in found.bars), CAVEAT])


def describe_format(found: FormatResult) -> str:
    """Format the result of `format`: a line per stage, with the share of answers given twice, and of plain ones by
    kind."""
    lines = ["".join([f"{'':<14}{'said twice':>11}", *(f"{kind:>11}" for kind in _KINDS)])]
    for name, stage in found.stages.items():
        cells = [_share(stage.gold), *(_share(stage.kinds[kind]) for kind in _KINDS)]
        lines.append(f"{name:<14}" + "".join(f"{cell:>11}" for cell in cells) + f"  {format_duration(stage.seconds)}")
    return "\n".join([*lines, *(bar.sentence() for bar in found.bars)])
