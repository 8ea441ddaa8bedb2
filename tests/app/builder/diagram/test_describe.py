"""What the parts say is what the model has: parameters to the unit, shapes and formulas with the numbers filled in."""

from __future__ import annotations

import dataclasses

import pytest

from terrarium.app.builder.diagram.activations import CURVES
from terrarium.app.builder.diagram.describe import describe
from terrarium.models.design import total_parameters
from terrarium.models.settings.activations import ACTIVATIONS
from terrarium.models.settings.block_references import BLOCK_SLOTS
from terrarium.models.settings.model_config import ModelConfig
from terrarium.models.settings.norms import NORMS
from terrarium.models.settings.positions import POSITIONS
from terrarium.models.settings.presets import PRESETS
from tests.app.builder.diagram.designs import DESIGNS, random_designs


def test_the_parts_have_all_parameters_of_the_model() -> None:
    for name in DESIGNS:
        parts = describe(DESIGNS[name], 8, 128).values()
        assert sum(part.total_parameters for part in parts) == total_parameters(DESIGNS[name])


def test_so_they_have_for_many_random_designs() -> None:
    for config in random_designs(150, seed=1):
        parts = describe(config, 2, 16).values()
        assert sum(part.total_parameters for part in parts) == total_parameters(config), config


def test_every_slot_that_changes_the_model_is_edited_somewhere() -> None:
    wide = dataclasses.replace(PRESETS["bert-tiny"], pooler=True, qk_norm=True, conv_width=4, n_expert=4)
    pair = dataclasses.replace(PRESETS["t5-tiny"], qk_norm=True)
    turned = dataclasses.replace(PRESETS["llama-tiny"], rope_scaling="linear", max_ngram=3)
    labelled = dataclasses.replace(PRESETS["bert-tiny"], head="token")
    reached = {s for c in (wide, pair, turned, labelled) for p in describe(c, 1, 8).values() for s in p.slots}
    left_to_the_form = {f.name for f in dataclasses.fields(ModelConfig) if f.name not in reached}
    assert left_to_the_form - {"block_options", *BLOCK_SLOTS.values()} <= {
        "rope_original_context",
        "rope_low_rotations",
        "rope_high_rotations",
        "rope_attention_factor",
        "init_std",
        "start_id",
        "end_id",
    }


def test_every_slot_named_is_one() -> None:
    for name in DESIGNS:
        known = {f.name for f in dataclasses.fields(ModelConfig)}
        for part in describe(DESIGNS[name], 8, 128).values():
            assert part.slots
            assert set(part.slots) <= known
            assert part.formula
            assert part.meaning.strip().endswith(".")


def test_formulas_have_the_numbers_filled_in() -> None:
    parts = describe(PRESETS["llama-tiny"], 8, 100)
    assert parts["attention.key"].formula == "k = x W_k,   W_k: 128 × 64\n[8, 100, 128] → [8, 2, 100, 32]"
    core = parts["attention.core"]
    assert core.formula == "a = softmax(q kᵀ / √32) v,   j ≤ i\nscores [8, 4, 100, 100] → [8, 4, 100, 32]"
    assert "Grouped-query" in core.meaning
    assert core.heads == (4, 2)
    assert parts["feed_forward.times"].formula.startswith("h = SiLU(g) · a")
    assert parts["result"].shape == "[8, 100, 1,024]"


@pytest.mark.parametrize("topology", ["decoder-only", "encoder-only", "encoder-decoder"])
@pytest.mark.parametrize(
    "slots",
    [
        *({"position": name} for name in POSITIONS),
        *({"norm": name} for name in NORMS),
        *({"activation": name} for name in ACTIVATIONS),
    ],
    ids=str,
)
def test_every_position_norm_and_activation_has_its_parts(slots: dict[str, str], topology: str) -> None:
    config = dataclasses.replace(PRESETS["gpt2-tiny"], topology=topology, qk_norm=True, **slots)  # type: ignore[arg-type]
    parts = describe(config, 8, 64)
    assert sum(part.total_parameters for part in parts.values()) == total_parameters(config)
    stack = "decoder." if topology == "encoder-decoder" else ""
    scheme = POSITIONS[config.position]
    keys = {"embeddings": "position", "queries": "attention.rope", "scores": "score_bias", "": ""}
    assert (f"{stack}{keys[scheme.applied_to]}" in parts) == bool(scheme.applied_to)
    assert parts[f"{stack}attention_norm"].title == NORMS[config.norm].title
    assert parts[f"{stack}feed_forward.activation"].title == ACTIVATIONS[config.activation].curve


def test_texts_are_no_longer_than_the_context() -> None:
    assert describe(PRESETS["gpt2-tiny"], 8, 100_000)["stream"].shape == "[8, 256, 128]"


def test_positions_act_where_they_act() -> None:
    base = PRESETS["gpt2-tiny"]
    found = {}
    for position in ("learned", "sinusoidal", "rope", "alibi", "t5", "none"):
        keys = describe(dataclasses.replace(base, position=position), 1, 8).keys()
        found[position] = keys & {"position", "attention.rope", "score_bias"}
    assert found == {
        "learned": {"position"},
        "sinusoidal": {"position"},
        "rope": {"attention.rope"},
        "alibi": {"score_bias"},
        "t5": {"score_bias"},
        "none": set(),
    }
    pair = describe(PRESETS["t5-tiny"], 1, 8)
    assert {key for key in pair if "score_bias" in key} == {"encoder.score_bias", "decoder.score_bias"}
    assert pair["decoder.score_bias"].n_parameters == 32 * 4


def test_who_sees_whom() -> None:
    def masks(**changes: object) -> list[str]:
        config = dataclasses.replace(PRESETS[str(changes.pop("preset"))], **changes)  # type: ignore[arg-type]
        return [part.mask for part in describe(config, 1, 8).values() if part.mask]

    assert masks(preset="gpt2-tiny") == ["causal"]
    assert masks(preset="gpt2-tiny", sliding_window=16) == ["causal window"]
    assert masks(preset="bert-tiny") == ["full"]
    assert masks(preset="bart-tiny", sliding_window=16) == ["window", "causal window", "cross"]


def test_a_window_of_an_encoder_and_of_a_decoder_are_told_apart() -> None:
    parts = describe(dataclasses.replace(PRESETS["bart-tiny"], sliding_window=16), 1, 8)
    assert "on both sides" in parts["encoder.attention.core"].meaning
    assert "the last 16 tokens" in parts["decoder.attention.core"].meaning
    assert "window" not in parts["decoder.cross_attention.core"].detail


def test_heads_are_described_as_built() -> None:
    bert = PRESETS["bert-tiny"]
    assert {"head.transform", "head", "tied"} <= describe(bert, 2, 8).keys()
    pooled = describe(dataclasses.replace(bert, head="sequence", pooler=True, n_label=3), 2, 8)
    assert pooled["head"].formula.endswith("[2, 128] → [2, 3]")
    assert "classified" in pooled["pooler"].meaning
    assert describe(dataclasses.replace(bert, head="token", n_label=3), 2, 8)["result"].shape == "[2, 8, 3]"
    bare = describe(dataclasses.replace(bert, head="none"), 2, 8)
    assert "head" not in bare
    assert "tied" not in bare
    assert bare["result"].title == "hidden states"


def test_every_activation_has_a_curve_a_name_and_a_formula() -> None:
    choices = next(f for f in dataclasses.fields(ModelConfig) if f.name == "activation").metadata["choices"]
    assert set(choices) == set(CURVES)
