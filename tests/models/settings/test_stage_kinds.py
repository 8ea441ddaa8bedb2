"""A stage of alignment is one entry, by which the settings, the form, the diagnosis and lineage know it."""

from __future__ import annotations

import pytest

from terrarium.app.lineage.stage_words import KINDS
from terrarium.models.diagnosis import kinds_of
from terrarium.models.settings.align_spec import STAGES, AlignSpec, usual_align, usual_align_train
from terrarium.models.settings.run_spec import TrainConfig
from terrarium.models.settings.slots import is_used
from terrarium.models.settings.stage_kinds import STAGE_KINDS, first_stage_for, load_objective, stages_with
from terrarium.models.settings.tasks import ALIGNED_TASKS, TASKS


@pytest.mark.parametrize("stage", STAGES)
def test_an_entry_is_all_that_a_stage_needs(stage: str) -> None:
    kind = STAGE_KINDS[stage]
    align = AlignSpec(**usual_align(stage))
    used = {name for name, field in AlignSpec.__dataclass_fields__.items() if is_used(align, field)}
    assert used - {"stage"} == set(kind.options) - ({"second_reward_model", "reward_by"} - used)
    assert set(usual_align_train(stage)) <= set(TrainConfig.__dataclass_fields__)
    assert set(align.tasks) <= set(ALIGNED_TASKS)
    for task in align.tasks:
        assert callable(load_objective(kind, task))
        assert kind.head in {*TASKS[task].heads.values(), "regression"}
    assert KINDS[stage] == (kind.words.title, kind.words.icon, kind.words.learned)
    assert kinds_of(stage) == kind.checks
    assert bool(kind.words.writes_none) is not kind.draws
    assert kind.words.explained in AlignSpec.__dataclass_fields__["stage"].metadata["help"]


def test_what_is_proposed_for_a_dataset() -> None:
    assert {task: first_stage_for(task) for task in ("preference", "unpaired", "prompts", "chat")} == {
        "preference": "dpo",
        "unpaired": "kto",
        "prompts": "grpo",
        "chat": "",
    }
    assert stages_with("margin") == ("simpo",)


@pytest.mark.parametrize("stage", [name for name, kind in STAGE_KINDS.items() if kind.needs_beta])
def test_a_loss_that_ignores_the_weights_is_refused(stage: str) -> None:
    with pytest.raises(ValueError, match=f"With a β of 0 {STAGE_KINDS[stage].words.title} learns nothing"):
        AlignSpec(stage=stage, beta=0.0)
