"""The doctor: diagnoses problems in a run's log, with evidence and a remedy. No torch import."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

from terrarium.models.diagnosis import breakdown, data, distance, kept, pace, pairs, replies
from terrarium.models.diagnosis.findings import SHOWN_BY, TITLES, Check, Diagnosis, Examination, Finding, Remedy
from terrarium.models.diagnosis.log import RunLog
from terrarium.models.diagnosis.signs import Signs
from terrarium.models.settings.align_spec import AlignSpec
from terrarium.models.settings.slots import check_complete
from terrarium.models.settings.spec_changes import value_of
from terrarium.models.settings.stage_kinds import STAGE_KINDS
from terrarium.models.tiny_world.refusals import parse_rule_name

__all__ = ["SHOWN_BY", "TITLES", "Check", "Diagnosis", "Examination", "Remedy", "RunLog", "examine", "kinds_of"]

_Checks = dict[str, Callable[[Signs], Finding]]

_OF_TEXTS: _Checks = {
    "nan": breakdown.nan,
    "divergence": breakdown.divergence,
    "exploding": breakdown.exploding,
    "dead": breakdown.dead,
    "lr_high": pace.lr_high,
    "lr_low": pace.lr_low,
    "plateau": pace.plateau,
    "overfitting": data.overfitting,
    "little_data": data.little_data,
    "small_validation": data.small_validation,
}
_OF_ALIGNED: _Checks = {
    "nan": breakdown.nan,
    "divergence": pairs.divergence,
    "exploding": breakdown.exploding,
    "wrong_reference": distance.wrong_reference,
    "reward_hacking": replies.reward_hacking,
    "kl_high": distance.kl_high,
    "collapse": replies.collapse,
    "cut": replies.cut,
    "no_signal": replies.no_signal,
    "length": replies.length,
    "chosen_falls": pairs.chosen_falls,
    "kl_low": distance.kl_low,
    "pairs_unlearned": pairs.pairs_unlearned,
    "weak_judge": pairs.weak_judge,
    "large_updates": distance.large_updates,
    "critic": replies.critic,
}
"""Those of alignments; a stage names the ones that apply to it."""
check_complete({check for kind in STAGE_KINDS.values() for check in kind.checks}, _OF_ALIGNED, "checks of the stages")
_CHECKS: dict[str, _Checks] = {
    "": _OF_TEXTS,
    **{name: {check: _OF_ALIGNED[check] for check in kind.checks} for name, kind in STAGE_KINDS.items()},
}
"""The checks by alignment stage ("" for none). The loss of a stage that draws replies is not meaningful, and its runs
are too short for the other checks.
"""
_OF_TUNED: _Checks = {"over_refusal": kept.over_refusal, "forgetting": kept.forgetting}
"""Additional checks of runs that start from other weights and generate text."""
_OF_DATA = {"overfitting", "little_data", "small_validation"}
_OF_ALIGNMENT = {kind for stage, checks in _CHECKS.items() if stage for kind in checks} - set(_OF_TEXTS)
_EXPLAINS = {
    "nan": {"divergence", "exploding", "dead", "lr_high", "lr_low", "plateau", *_OF_DATA, *_OF_ALIGNMENT},
    "divergence": {"lr_high", "lr_low", "plateau", *_OF_DATA, *_OF_ALIGNMENT},
    "exploding": {"lr_high", "lr_low", "plateau"},
    "dead": {"lr_high", "lr_low", "plateau"},
    "lr_high": {"lr_low", "plateau"},
    "lr_low": {"plateau"},
    "overfitting": {"plateau"},
    "little_data": {"plateau"},
    "wrong_reference": _OF_ALIGNMENT - {"wrong_reference", "cut"},
    "reward_hacking": {"kl_high", "collapse", "critic"},
    "large_updates": {"kl_high", "collapse", "critic", "no_signal", "length"},
    "kl_high": {"collapse", "critic"},
    "collapse": {"no_signal", "critic"},
    "cut": {"no_signal", "length", "kl_low"},
    "no_signal": {"kl_low"},
    "chosen_falls": {"kl_high"},
    "kl_low": {"pairs_unlearned"},
}
"""The diagnoses that each kind explains, and that are left out if it is found."""


def kinds_of(stage: str = "", *, is_tuned: bool = False) -> tuple[str, ...]:
    """Return the diagnoses that a run can get, by the stage of its alignment, "" for one that learns from texts.

    is_tuned: whether it started from other weights and generates text.
    """
    return tuple(_CHECKS.get(stage, {}) | (_OF_TUNED if is_tuned else {}))


def examine(log: RunLog) -> Examination:
    """Run all checks on the log so far."""
    signs, finite = Signs(log), Signs(log.finite())
    align = log.spec.align
    # A missing extension's stage has no checks of its own.
    checks = _CHECKS.get(align.stage if align is not None else "", {}) | _of_tuned(log)
    findings = [check(signs if kind == "nan" else finite) for kind, check in checks.items()]
    ranks = list(TITLES)
    found = sorted((each for each in findings if isinstance(each, Diagnosis)), key=lambda each: ranks.index(each.kind))
    explained = set().union(*(_EXPLAINS.get(diagnosis.kind, set()) for diagnosis in found))
    return Examination(
        diagnoses=tuple(_with_real_remedy(log, one) for one in found if one.kind not in explained),
        checks=tuple(finding for finding in findings if isinstance(finding, Check)),
    )


def _of_tuned(log: RunLog) -> _Checks:
    """Return the checks of _OF_TUNED that apply to a run; over-refusal needs a rule or a measurement."""
    heads = {log.spec.model.head, (log.spec.align or AlignSpec()).kind.head}
    if log.spec.tune is None or heads != {"language"}:
        return {}
    has_rule = log.over_refusal is not None or parse_rule_name(log.spec.data.dataset) is not None
    return {kind: check for kind, check in _OF_TUNED.items() if kind != "over_refusal" or has_rule}


def _with_real_remedy(log: RunLog, diagnosis: Diagnosis) -> Diagnosis:
    """Remove the remedy from a diagnosis if the run already has those settings."""
    remedy = diagnosis.remedy
    if remedy is None or any(value_of(log.spec, name) != value for name, value in remedy.changes.items()):
        return diagnosis
    return dataclasses.replace(diagnosis, remedy=None)
