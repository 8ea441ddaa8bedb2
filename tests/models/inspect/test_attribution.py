"""Gradient × input against finite differences, and without side effects."""

from __future__ import annotations

import pytest
import torch

from terrarium.models.architecture.transformer import EncoderDecoder
from terrarium.models.inference.continuation import evaluating
from terrarium.models.inspect.ablation import ablated_logits
from terrarium.models.inspect.input_attribution import OF, attribute
from terrarium.models.inspect.read_text import answer_logits, read, read_up_to
from terrarium.models.inspect.readout import Readout
from tests.models.inspect.designs import CONFIGS, make, text_of


@pytest.mark.parametrize("name", CONFIGS)
@pytest.mark.parametrize("of", OF)
def test_attributions_match_finite_differences(name: str, of: str) -> None:
    model = make(name)
    text, at, id = text_of(model), 5, 8
    by = 1e-3 if model.config.n_expert else 1e-6  # a router rounds to float32
    found = attribute(model, text, Readout(at=at), id, of)
    n_read = 6 if model.config.is_causal else 7
    assert len(found.tokens) == n_read
    assert len(found.source) == (9 if isinstance(model, EncoderDecoder) else 0)
    logits = ablated_logits(model, text, Readout(at=at), [[]])[0]
    assert found.value == pytest.approx(float(logits[id] if of == "logit" else logits.log_softmax(0)[id]), abs=1e-5)
    assert found.total == pytest.approx(sum(found.tokens) + sum(found.source))
    embed, in_source = model.embed, isinstance(model, EncoderDecoder)

    def value_with(position: int, factor: float) -> float:
        def scaled(ids: torch.Tensor, **more: object) -> torch.Tensor:
            x = embed(ids, **more).clone()
            if x.size(1) == (9 if in_source else n_read):
                x[:, position] *= factor
            return x

        model.embed = scaled  # type: ignore[method-assign]
        try:
            with evaluating(model):
                values = model.logits(read(model, read_up_to(model.config, text, at)))[0, at]
        finally:
            model.embed = embed  # type: ignore[method-assign]
        return float(values[id] if of == "logit" else values.log_softmax(0)[id])

    for position in (0, 4):
        slope = (value_with(position, 1 + by) - value_with(position, 1 - by)) / (2 * by)
        assert (found.source if in_source else found.tokens)[position] == pytest.approx(slope, rel=5e-3, abs=5e-4)


@pytest.mark.parametrize("name", ["terrarium-tiny", "moe-tiny", "bert-tiny", "t5-tiny"])
def test_attribution_has_no_side_effects(name: str) -> None:
    model = make(name)
    state, weights = torch.get_rng_state(), [p.clone() for p in model.parameters()]
    attribute(model, text_of(model), Readout(at=4), 3)
    assert model.training
    assert torch.equal(torch.get_rng_state(), state)
    assert all(p.grad is None for p in model.parameters())
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), weights, strict=True))


def test_nan_outputs_are_refused() -> None:
    model = make("gpt2-tiny")
    with torch.no_grad():
        model.embedding.weight.fill_(torch.nan)
    with pytest.raises(ValueError, match="not a number"):
        attribute(model, text_of(model), Readout(at=4), 3)
    with pytest.raises(ValueError, match="not a number"):
        answer_logits(model, torch.full((1, 32), torch.nan, dtype=torch.double))
