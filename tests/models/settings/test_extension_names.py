"""A spec names the packages of the entries that it uses, and is read where they are missing."""

from __future__ import annotations

from typing import Any

import pytest

from terrarium.app.lineage.stage_words import meaning_of
from terrarium.models.diagnosis import kinds_of
from terrarium.models.extensions.registry import Missing
from terrarium.models.settings.extension_names import check_installed
from terrarium.models.settings.run_spec import RunSpec
from terrarium.models.settings.stage_kinds import load_objective

ALIGNED: dict[str, Any] = {
    "name": "aligned",
    "train": {"optimizer": "adamw"},
    "data": {"source": "dataset", "dataset": "pairs", "task": "preference"},
    "tune": {"parent": "base"},
    "align": {"stage": "half"},
}


def test_a_spec_without_extensions_does_not_mention_them() -> None:
    assert "extensions" not in RunSpec.from_dict({"name": "plain"}).to_dict()


def test_a_missing_stage_is_read_and_shown_but_not_trained() -> None:
    stored = {**ALIGNED, "extensions": {"align.stage": "terrarium-half"}}
    spec = RunSpec.from_dict(stored)
    assert spec.align is not None
    assert spec.align.stage == "half"
    assert RunSpec.from_dict(spec.to_dict()) == spec
    assert spec.to_dict()["extensions"] == stored["extensions"]
    assert spec.align.kind.words.title == "half"
    assert meaning_of(spec.align.stage)[0] == "half"
    assert kinds_of(spec.align.stage) == ()
    for act in (
        lambda: check_installed(spec),
        lambda: load_objective(spec.align.kind, "preference"),  # type: ignore[union-attr]
    ):
        with pytest.raises(ValueError, match="“half” comes with the package terrarium-half, which is not installed"):
            act()


def test_a_missing_metric_is_read() -> None:
    data = {"source": "dataset", "dataset": "rows", "task": "text-to-text", "metric": "gap"}
    spec = RunSpec.from_dict({"name": "scored", "data": data, "extensions": {"data.metric": "terrarium-gap"}})
    assert isinstance(spec.data.metric, Missing)
    with pytest.raises(ValueError, match="“gap” comes with the package terrarium-gap"):
        check_installed(spec)


@pytest.mark.parametrize("listed", [{}, {"train.optimizer": "terrarium-half"}, {"align.stage": 5}, "all"])
def test_a_name_that_no_package_is_listed_for_is_a_mistake(listed: Any) -> None:
    with pytest.raises(ValueError, match="stage cannot be 'half': choose one of"):
        RunSpec.from_dict({**ALIGNED, "extensions": listed})


def test_what_is_listed_does_not_matter_where_the_entry_is_there() -> None:
    spec = RunSpec.from_dict({"name": "plain", "extensions": {"train.optimizer": "terrarium-muon"}})
    assert not isinstance(spec.train.optimizer, Missing)
    assert "extensions" not in spec.to_dict()
