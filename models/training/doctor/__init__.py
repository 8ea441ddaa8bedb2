"""The doctor: diagnoses problems in a run's log, with evidence and a remedy. No torch import."""

from __future__ import annotations

import dataclasses

from models.settings.spec_changes import value_of
from models.training.doctor import breakdown, data, pace
from models.training.doctor.findings import TITLES, Check, Diagnosis, Examination, Finding, Remedy
from models.training.doctor.log import RunLog
from models.training.doctor.signs import Signs

__all__ = ["TITLES", "Check", "Diagnosis", "Examination", "Remedy", "RunLog", "examine"]

_CHECKS = {
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
_OF_DATA = {"overfitting", "little_data", "small_validation"}
_EXPLAINS = {
    "nan": {"divergence", "exploding", "dead", "lr_high", "lr_low", "plateau", *_OF_DATA},
    "divergence": {"lr_high", "lr_low", "plateau", *_OF_DATA},
    "exploding": {"lr_high", "lr_low", "plateau"},
    "dead": {"lr_high", "lr_low", "plateau"},
    "lr_high": {"lr_low", "plateau"},
    "lr_low": {"plateau"},
    "overfitting": {"plateau"},
    "little_data": {"plateau"},
}
"""The diagnoses that each one explains, and that are left out beside it."""


def examine(log: RunLog) -> Examination:
    """All diagnoses and checks of the run so far."""
    signs, finite = Signs(log), Signs(log.finite())
    findings: list[Finding] = [check(signs if kind == "nan" else finite) for kind, check in _CHECKS.items()]
    found = [finding for finding in findings if isinstance(finding, Diagnosis)]
    explained = set().union(*(_EXPLAINS.get(diagnosis.kind, set()) for diagnosis in found))
    return Examination(
        diagnoses=tuple(_with_real_remedy(log, one) for one in found if one.kind not in explained),
        checks=tuple(finding for finding in findings if isinstance(finding, Check)),
    )


def _with_real_remedy(log: RunLog, diagnosis: Diagnosis) -> Diagnosis:
    """The diagnosis without its remedy, where the run has those settings already."""
    remedy = diagnosis.remedy
    if remedy is None or any(value_of(log.spec, name) != value for name, value in remedy.changes.items()):
        return diagnosis
    return dataclasses.replace(diagnosis, remedy=None)
