"""Steps and new values from the diagram stay legal where they can."""

from __future__ import annotations

import dataclasses
from typing import Any

from terrarium.app.builder.diagram.edits import STEPPED, effective_value, repaired, step
from terrarium.models.settings.model_config import ModelConfig
from terrarium.models.settings.presets import PRESETS
from tests.app.builder.diagram.designs import DESIGNS


def changed(config: ModelConfig, changes: dict[str, Any]) -> ModelConfig:
    return dataclasses.replace(config, **changes)


def test_every_step_gives_a_legal_design_and_goes_the_way_it_says() -> None:
    for name in DESIGNS:
        config = DESIGNS[name]
        for slot in STEPPED:
            for direction in (1, -1):
                changes = step(config, slot, direction)
                if changes:
                    after = changed(config, changes)
                    assert (effective_value(after, slot) - effective_value(config, slot)) * direction > 0


def test_heads_step_through_divisors_of_the_width() -> None:
    config = dataclasses.replace(PRESETS["gpt2-tiny"], d_model=96, n_head=4)
    assert step(config, "n_head", 1) == {"n_head": 6}
    assert step(config, "n_head", -1) == {"n_head": 3}
    assert step(dataclasses.replace(config, n_head=1), "n_head", -1) == {}


def test_heads_keep_to_groups_that_share_keys() -> None:
    config = dataclasses.replace(PRESETS["llama-tiny"], n_head=8, n_kv_head=2)
    assert step(config, "n_head", 1) == {"n_head": 16}
    after = changed(config, repaired(config, "n_head", 1))
    assert (after.n_head, after.kv_heads) == (1, 1)


def test_the_width_stays_a_multiple_of_the_heads() -> None:
    config = dataclasses.replace(PRESETS["llama-tiny"], d_model=384, n_head=6, n_kv_head=2)
    wider = step(config, "d_model", 1)["d_model"]
    assert wider > 384
    assert wider % 12 == 0, "heads, and pairs of numbers for RoPE"
    assert step(config, "d_model", -1)["d_model"] < 384


def test_what_is_typed_is_brought_to_the_nearest_legal_value() -> None:
    config = dataclasses.replace(PRESETS["gpt2-tiny"], d_model=384, n_head=6)
    assert repaired(config, "n_head", 5) in ({"n_head": 4}, {"n_head": 6})
    assert repaired(config, "d_model", 385) == {"d_model": 384}
    moe = PRESETS["moe-tiny"]
    assert repaired(moe, "n_expert", 1) == {"n_expert": 1, "n_expert_used": 1}
    assert repaired(moe, "n_expert_used", 9) == {"n_expert_used": 4}
    labelled = dataclasses.replace(PRESETS["bert-tiny"], head="token")
    assert repaired(labelled, "topology", "decoder-only") == {"topology": "decoder-only"}
    assert repaired(labelled, "topology", "encoder-decoder") == {"topology": "encoder-decoder", "head": "language"}


def test_what_has_no_simple_remedy_is_left_for_the_form_to_explain() -> None:
    config = PRESETS["gpt2-tiny"]
    assert repaired(config, "dropout", 5.0) == {"dropout": 5.0}


def test_encoder_layers_step_from_what_the_decoder_has() -> None:
    assert step(PRESETS["t5-tiny"], "n_encoder_layer", 1) == {"n_encoder_layer": 3}
