"""Designs: which are legal, what is derived from them, and how they are written down."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
from dataclasses import fields
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from terrarium.models.settings.activations import ACTIVATIONS
from terrarium.models.settings.model_config import ModelConfig, differences, upgraded
from terrarium.models.settings.presets import PRESETS
from terrarium.models.settings.slots import SettingError, is_used

ENCODER_DECODER = ModelConfig(topology="encoder-decoder")


@pytest.mark.parametrize(
    ("values", "slot", "remedy"),
    [
        ({"n_head": 5, "d_model": 384}, "n_head", "n_head 5 does not divide d_model 384: use 4 or 6."),
        ({"n_head": 7, "d_model": 14, "n_kv_head": 2}, "n_kv_head", "n_kv_head 2 does not divide n_head 7: use 1 or 7"),
        (
            {"topology": "encoder-decoder", "n_encoder_head": 3, "d_model": 16},
            "n_encoder_head",
            "n_encoder_head 3 does not divide d_model 16: use 2 or 4.",
        ),
        ({"position": "rope", "d_model": 12, "n_head": 4}, "n_head", "a head is 3 wide"),
        ({"position": "rope", "d_head": 5}, "d_head", "a head is 5 wide"),
        (
            {"position": "rope", "topology": "encoder-decoder", "d_model": 24, "n_head": 4, "n_encoder_head": 8},
            "n_head",
            "a head is 3 wide",
        ),
        (
            {"position": "rope", "rope_scaling": "yarn", "rope_low_rotations": 4.0, "rope_high_rotations": 4.0},
            "rope_high_rotations",
            "must be more than rope_low_rotations 4: use 16.",
        ),
        ({"position": "t5", "n_bucket": 64, "max_distance": 32}, "max_distance", "use 256."),
        ({"n_expert": 2, "n_expert_used": 3}, "n_expert_used", "between 1 and n_expert 2: use 2."),
        ({"n_expert": 2, "n_expert_used": 0}, "n_expert_used", "between 1 and n_expert 2"),
        ({"head": "none"}, "head", "A decoder-only model cannot have the head 'none': use language or sequence or"),
        ({"topology": "encoder-decoder", "head": "token"}, "head", "use language or sequence or span."),
        ({"end_id": 1024}, "end_id", "use a smaller id, or -1."),
        ({"start_id": 5000}, "start_id", "is outside the vocabulary of 1024"),
        ({"n_layer": 0}, "n_layer", "between 1 and"),
        ({"position": "fourier"}, "position", "choose one of learned"),
        ({"bias": True}, "bias", "must be a word"),
    ],
)
def test_each_problem_stands_on_its_slot_with_a_remedy(values: dict[str, Any], slot: str, remedy: str) -> None:
    (problem,) = ModelConfig.problems(values)
    assert problem.slot == slot
    assert remedy in problem.sentence
    with pytest.raises(SettingError) as caught:
        ModelConfig(**values)
    assert caught.value.problem == problem


def test_all_problems_are_told_at_once() -> None:
    assert {p.slot for p in ModelConfig.problems({"n_head": 3, "n_kv_head": 2, "end_id": 9999})} == {
        "n_head",
        "n_kv_head",
        "end_id",
    }
    assert {p.slot for p in ModelConfig.problems({"n_layer": -1, "dropout": 2.0, "head": "none"})} == {
        "n_layer",
        "dropout",
    }  # rules between slots are looked at when each is sound
    assert ModelConfig.problems({}) == []


@given(st.sampled_from(["n_head", "n_kv_head"]), st.integers(1, 64), st.integers(2, 512))
@settings(max_examples=60, deadline=None)
def test_a_remedy_helps(slot: str, n: int, width: int) -> None:
    values = {"d_model": width, "n_head": n} if slot == "n_head" else {"d_model": width, "n_head": width, slot: n}
    for problem in ModelConfig.problems(values):
        proposed = [int(word) for word in problem.sentence.split("use ")[1].rstrip(".").split(" or ")]
        assert proposed
        for number in proposed:
            assert not ModelConfig.problems({**values, problem.slot: number})


def test_what_a_slot_rules_out_in_one_setting_is_free_in_another() -> None:
    assert ModelConfig(d_model=384, n_head=5, d_head=64).head_dim == 64
    assert ModelConfig(d_model=12, n_head=4).head_dim == 3
    assert ModelConfig(n_expert=0, n_expert_used=0).n_expert == 0
    assert ModelConfig(position="learned", n_bucket=64, max_distance=8).max_distance == 8
    assert ModelConfig(topology="decoder-only", n_encoder_head=3).n_encoder_head == 3


def test_derived_values() -> None:
    config = ModelConfig(d_model=96, n_head=6)
    assert (config.head_dim, config.kv_heads, config.attention_kind) == (16, 6, "multi-head")
    assert dataclasses.replace(config, n_kv_head=2).attention_kind == "grouped-query"
    assert dataclasses.replace(config, n_kv_head=1).attention_kind == "multi-query"
    assert dataclasses.replace(config, d_head=5).head_dim == 5
    assert config.ff_width == 384
    assert dataclasses.replace(config, d_ff=7).ff_width == 7
    for activation in (name for name, activation in ACTIVATIONS.items() if activation.is_gated):
        gated = dataclasses.replace(config, activation=activation)
        assert gated.is_gated
        assert gated.ff_width == 256
        assert dataclasses.replace(gated, d_model=90).ff_width == 240
    assert config.is_causal
    assert ENCODER_DECODER.is_causal
    assert not ModelConfig(topology="encoder-only").is_causal


@pytest.mark.parametrize(
    ("bias", "attention", "feed_forward", "norm"),
    [
        ("all", True, True, True),
        ("attention", True, False, False),
        ("feed-forward", False, True, False),
        ("none", False, False, False),
    ],
)
def test_where_biases_are(bias: str, attention: bool, feed_forward: bool, norm: bool) -> None:
    config = ModelConfig(bias=bias)
    assert (config.attention_bias, config.ff_bias, config.norm_bias) == (attention, feed_forward, norm)
    assert not dataclasses.replace(config, norm="rmsnorm").norm_bias


def test_the_encoder_of_an_encoder_decoder() -> None:
    config = dataclasses.replace(
        ENCODER_DECODER,
        n_layer=3,
        n_head=4,
        n_kv_head=2,
        d_ff=100,
        position="t5",
        sliding_window=5,
        n_expert=2,
        n_expert_used=1,
    )
    same = config.encoder()
    assert same.topology == "encoder-only"
    assert same.head == "none"
    assert (same.n_layer, same.n_head, same.n_kv_head, same.d_ff) == (3, 4, 2, 100)
    changed = {"topology", "head"}
    assert set(differences(config, same)) == changed
    assert not same.is_causal

    own = dataclasses.replace(config, n_encoder_layer=6, n_encoder_head=8, d_encoder_ff=50).encoder()
    assert (own.n_layer, own.n_head, own.kv_heads, own.d_ff) == (6, 8, 8, 50)
    assert (own.n_encoder_layer, own.n_encoder_head, own.d_encoder_ff) == (0, 0, 0)


def test_what_differs_is_told_slot_by_slot() -> None:
    before, after = PRESETS["gpt2-tiny"], PRESETS["llama-tiny"]
    found = differences(before, after)
    assert found["position"] == ("learned", "rope")
    assert found["tied_embeddings"] == (True, False)
    assert "d_model" not in found
    assert list(found) == [f.name for f in fields(ModelConfig) if f.name in found]
    assert differences(before, before) == {}


@pytest.mark.parametrize("name", PRESETS)
def test_a_design_survives_json(name: str) -> None:
    config = PRESETS[name]
    assert ModelConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config


def test_biases_of_the_first_version_are_understood() -> None:
    assert ModelConfig.from_dict({"bias": True}).bias == "all"
    assert ModelConfig.from_dict({"bias": False}).bias == "none"
    assert ModelConfig.from_dict({"bias": "attention"}).bias == "attention"
    before = {"bias": True, "n_layer": 2}
    assert upgraded(before) == {"bias": "all", "n_layer": 2}
    assert before["bias"] is True
    assert upgraded([1]) == [1]


@pytest.mark.parametrize("data", [None, 3, "gpt2", [], [["n_layer", 2]]])
def test_what_is_no_object_is_refused(data: Any) -> None:
    with pytest.raises(ValueError, match=r"x\.json must be an object"):
        ModelConfig.from_dict(data, where="x.json")


def test_unknown_keys_are_refused() -> None:
    with pytest.raises(ValueError, match=r"x\.json has no setting called 'n_layers'"):
        ModelConfig.from_dict({"n_layers": 2}, where="x.json")


JUNK = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=5), st.lists(st.integers(), max_size=2)
)


@given(st.dictionaries(st.sampled_from([f.name for f in fields(ModelConfig)]), JUNK, max_size=4))
@settings(max_examples=80, deadline=None)
def test_any_values_give_a_design_or_a_sentence(values: dict[str, Any]) -> None:
    if ModelConfig.problems(upgraded(values)):
        with pytest.raises(ValueError, match=r"^the design: .*\.$"):
            ModelConfig.from_dict(values)
    else:
        found = ModelConfig.from_dict(values)
        assert found == ModelConfig(**upgraded(values))
        assert ModelConfig.from_dict(found.to_dict()) == found


def test_conditions_name_slots_and_their_values() -> None:
    by_name = {f.name: f for f in fields(ModelConfig)}
    for f in fields(ModelConfig):
        assert {"label", "help", "group"} <= set(f.metadata)
        if "only_if" in f.metadata:
            other, wanted = f.metadata["only_if"]
            choices = by_name[other].metadata.get("choices")
            if choices:
                assert set(wanted if isinstance(wanted, tuple) else (wanted,)) <= set(choices)
    assert is_used(ModelConfig(position="rope", rope_scaling="yarn"), by_name["rope_factor"])
    assert not is_used(ModelConfig(position="alibi", rope_scaling="yarn"), by_name["rope_factor"])


def test_neither_designs_nor_presets_cost_a_torch_import() -> None:
    modules = (
        "terrarium.models.settings.model_config, terrarium.models.settings.presets, terrarium.models.settings.slots"
    )
    code = f"import sys, {modules}; print('torch' in sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "False"


def test_a_design_gets_the_head_of_a_task() -> None:
    encoder = ModelConfig(topology="encoder-only")
    labelled = encoder.for_task("classification", ("a", "b", "c"))
    assert (labelled.head, labelled.n_label, labelled.n_output, labelled.pooler) == ("sequence", 3, 3, True)
    assert (labelled.for_task("span").head, labelled.for_task("span").pooler) == ("span", False)
    assert ModelConfig().for_task("regression").n_label == 1
    assert ModelConfig().for_task("text-to-text") == ModelConfig()
    without = dataclasses.replace(labelled, pooler=False)
    assert without.for_task("classification", ("a", "b")).pooler is False, "it is a design with this head already"
    with pytest.raises(
        ValueError, match="Tagging cannot be learned by a model that is encoder-decoder: use one that is"
    ):
        ModelConfig(topology="encoder-decoder").for_task("tagging", ("O",))
