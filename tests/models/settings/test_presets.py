"""Presets: every one can be built, the small ones work, and the published ones have their published sizes."""

from __future__ import annotations

from functools import cache

import pytest
import torch
import torch.nn.functional as F

from terrarium.models.architecture.transformer import EncoderDecoder, build_model
from terrarium.models.interop.building import model_without_data
from terrarium.models.settings.model_config import ModelConfig
from terrarium.models.settings.presets import PRESETS

FAMILIES = {"terrarium", "transformer", "gpt2", "llama", "moe", "bert", "t5", "bart"}

PUBLISHED = {  # trained numbers, as counted from the weights that were published
    "gpt2-124m": 124_439_808,
    "gpt2-355m": 354_823_168,
    "gpt2-774m": 774_030_080,
    "gpt2-1.5b": 1_557_611_200,
    "llama2-7b": 6_738_415_616,
    "llama3-8b": 8_030_261_248,
    "mixtral-8x7b": 46_702_792_704,
    "t5-small": 60_506_624,
    "t5-base": 222_903_552,
    "t5-large": 737_668_096,
    "t5-v1.1-base": 247_577_856,
    "bert-base": 109_514_298,
    "bert-large": 335_174_458,
    "bart-base": 139_420_416 - 4 * 768,  # its two tables of positions begin with two rows that are never read
    "bart-large": 406_291_456 - 4 * 1024,
}


@cache
def n_parameters(config: ModelConfig) -> int:
    return model_without_data(config).n_parameters


def test_every_family_has_a_small_member() -> None:
    assert {name.removesuffix("-tiny") for name in PRESETS if name.endswith("-tiny")} == FAMILIES


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_is_legal_and_can_be_built(name: str) -> None:
    config = PRESETS[name]
    assert ModelConfig.problems(config.to_dict()) == []
    assert n_parameters(config) > 0


@pytest.mark.parametrize(("name", "expected"), PUBLISHED.items())
def test_published_sizes(name: str, expected: int) -> None:
    assert n_parameters(PRESETS[name]) == expected


@pytest.mark.parametrize(("name", "millions"), [("transformer-base", 65), ("transformer-big", 213)])
def test_the_sizes_that_the_paper_rounds(name: str, millions: int) -> None:
    """Attention Is All You Need, table 3."""
    assert n_parameters(PRESETS[name]) / 1e6 == pytest.approx(millions, rel=0.04)


@pytest.mark.parametrize("name", [name for name in PRESETS if name.endswith("-tiny")])
def test_small_ones_compute_and_learn(name: str) -> None:
    torch.manual_seed(0)
    model = build_model(PRESETS[name])
    assert model.n_parameters < 3_000_000
    ids = torch.randint(0, model.config.vocab_size, (2, 8))
    logits = model(ids, ids) if isinstance(model, EncoderDecoder) else model(ids)
    assert logits.shape == (2, 8, model.config.vocab_size)
    F.cross_entropy(logits.flatten(0, 1), ids.flatten()).backward()
    assert all(parameter.grad is not None for parameter in model.parameters())
