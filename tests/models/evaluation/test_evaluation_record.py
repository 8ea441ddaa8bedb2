"""A run's evaluation round-trips, and damage is named."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from terrarium.models.evaluation.record import read_evaluation, write_evaluation
from terrarium.models.events import Evaluated, HeldOutAnswer, KindAccuracy

EVALUATED = Evaluated(
    accuracy=0.9,
    kinds=(KindAccuracy(kind="state", n=120, accuracy=0.9, most_frequent=0.1, last_mentioned=0.4, without_story=0.0),),
    seconds=3.5,
    answers=(HeldOutAnswer(kind="state", question="Where is Ben?", gold="In the barn.", reply="In.", right=False),),
)


def test_it_round_trips(tmp_path: Path) -> None:
    assert read_evaluation(tmp_path) is None
    write_evaluation(tmp_path, EVALUATED)
    assert read_evaluation(tmp_path) == EVALUATED
    before = {"accuracy": 0.9, "kinds": [], "seconds": 1.0}  # answers were not kept
    (tmp_path / "evaluation.json").write_text(json.dumps(before), encoding="utf-8")
    assert read_evaluation(tmp_path) == Evaluated(accuracy=0.9, kinds=(), seconds=1.0)


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '{"accuracy": 1}', '{"kinds": [{"kind": 1}], "accuracy": 1, "seconds": 1}']
)
def test_damage_is_named(tmp_path: Path, text: str) -> None:
    path = tmp_path / "evaluation.json"
    path.write_text(text)
    with pytest.raises(ValueError, match=r"evaluation\.json"):
        read_evaluation(tmp_path)
