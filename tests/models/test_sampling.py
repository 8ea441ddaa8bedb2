"""Sampling: each setting cuts what it says, in the right order, and one seed means one choice."""

import math

import pytest
import torch

from models.inference.sampling import SamplingConfig, next_token_probabilities, sample

LOGITS = torch.tensor([0.4, 0.3, 0.2, 0.1]).log()


def probabilities(seen: list[int] | None = None, **settings: float) -> list[float]:
    config = SamplingConfig(**{"temperature": 1.0, **settings})
    found = next_token_probabilities(LOGITS, config, seen or [])
    assert float(found.sum()) == pytest.approx(1.0)
    return found.tolist()


def test_nothing_set_is_the_models_own_distribution() -> None:
    assert probabilities() == pytest.approx([0.4, 0.3, 0.2, 0.1])


def test_temperature_sharpens_and_flattens() -> None:
    expected = torch.tensor([0.4, 0.3, 0.2, 0.1]) ** 2
    assert probabilities(temperature=0.5) == pytest.approx((expected / expected.sum()).tolist())
    assert probabilities(temperature=0.0) == [1.0, 0.0, 0.0, 0.0]
    assert probabilities(temperature=1e-6)[0] == pytest.approx(1.0)


def test_cuts() -> None:
    assert probabilities(top_k=2) == pytest.approx([4 / 7, 3 / 7, 0, 0])
    assert probabilities(top_k=9) == pytest.approx([0.4, 0.3, 0.2, 0.1])
    assert probabilities(top_p=0.65) == pytest.approx([4 / 7, 3 / 7, 0, 0])
    assert probabilities(top_p=0.75) == pytest.approx([4 / 9, 3 / 9, 2 / 9, 0])
    assert probabilities(top_p=0.0001) == pytest.approx([1, 0, 0, 0])
    assert probabilities(min_p=0.45) == pytest.approx([4 / 9, 3 / 9, 2 / 9, 0])
    assert probabilities(min_p=1.0) == pytest.approx([1, 0, 0, 0])
    # top-p is a share of what top-k has left
    assert probabilities(top_k=2, top_p=0.5) == pytest.approx([1, 0, 0, 0])


def test_repetition_penalty_makes_what_was_said_less_likely() -> None:
    assert probabilities(seen=[0, 0], repetition_penalty=2.0)[0] == pytest.approx(0.16 / 0.76)
    before, after = torch.tensor([2.0, -2.0, 0.0]), torch.tensor([1.0, -4.0, 0.0])
    config = SamplingConfig(temperature=1.0, repetition_penalty=2.0)
    found = next_token_probabilities(before, config, [0, 1, 0])
    assert found.tolist() == pytest.approx(after.softmax(0).tolist())


def test_sample_draws_by_the_probabilities_and_reports_the_models_own() -> None:
    generator = torch.Generator().manual_seed(0)
    config = SamplingConfig(temperature=1.0, top_k=3)
    choices = [sample(LOGITS, config, generator) for _ in range(3000)]
    shares = [sum(choice.id == id for choice in choices) / 3000 for id in range(4)]
    assert shares == pytest.approx([4 / 9, 3 / 9, 2 / 9, 0], abs=0.03)
    assert all(choice.probability == pytest.approx(math.exp(LOGITS[choice.id])) for choice in choices)


def test_greedy_draws_nothing() -> None:
    generator = torch.Generator().manual_seed(0)
    state = generator.get_state()
    assert sample(LOGITS, SamplingConfig(temperature=0.0), generator).id == 0
    assert torch.equal(generator.get_state(), state)


def test_a_diverged_model_is_a_sentence() -> None:
    with pytest.raises(ValueError, match="choose an earlier checkpoint"):
        next_token_probabilities(torch.tensor([1.0, math.nan]), SamplingConfig())


def test_bad_settings_are_refused() -> None:
    with pytest.raises(ValueError, match="temperature is -1"):
        SamplingConfig(temperature=-1.0)
    with pytest.raises(ValueError, match="stop text is empty"):
        SamplingConfig(stop=("",))
