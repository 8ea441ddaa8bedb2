"""A model with custom blocks is aligned like all others, and the aligned run keeps their texts."""

from __future__ import annotations

import math

import pytest

from terrarium.models.events import TrainMetrics
from terrarium.models.library.library import Library
from terrarium.models.runs.run_folder import RunFolder
from tests.models.own_blocks import put_block, start_source, with_block
from tests.models.training.stages.support import CONFIG, figures, make_pairs, run_of
from tests.models.training.support import make_run, train


def test_preferences_are_learned_through_custom_blocks(library: Library) -> None:
    design = with_block(with_block(CONFIG, put_block(start_source("retention"))), put_block(start_source("experts")))
    train(parent := make_run(library, design, steps=6), library)
    make_pairs(library)
    run = run_of(library, parent, {"stage": "dpo"}, "pairs", steps=20, eval_interval=20, batch_size=8)
    events = train(run, library)
    losses = [event.loss for event in events if isinstance(event, TrainMetrics)]
    assert losses[0] == pytest.approx(math.log(2), abs=1e-6)
    before, after = figures(events, validation=True)
    assert after["rewards/accuracies"] == 1.0
    assert after["loss"] < before["loss"]
    assert RunFolder.open(run.folder).status == "finished"
    texts = sorted((run.folder / "blocks").iterdir())
    assert [path.name.partition("-")[0] for path in texts] == ["sliding_retention", "two_experts"]
