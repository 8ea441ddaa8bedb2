"""Sampling: each setting cuts what it says, in the right order, and one seed means one choice."""

import dataclasses
import json
import math
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
import pytest
import torch

from terrarium.models.inference.sampling import SamplingConfig, as_floats, sample
from terrarium.models.inference.sampling_steps import SamplingState, drawn_token, sampling_steps, state_at, top_ids
from terrarium.models.settings.sampling_config import TRUNCATIONS, format_step, sampling_from_dict, with_advice
from tests.models.every_cut import EVERY_CUT

LOGITS = torch.tensor([0.4, 0.3, 0.2, 0.1]).log()


def final(logits: torch.Tensor, config: SamplingConfig, before: Sequence[int] = (), n_prompt: int = 0) -> torch.Tensor:
    """What is drawn from in the end."""
    return torch.from_numpy(sampling_steps(as_floats(logits), config, before, n_prompt).final)


def probabilities(seen: list[int] | None = None, **settings: float) -> list[float]:
    config = SamplingConfig(**{"temperature": 1.0, **settings})
    found = final(LOGITS, config, seen or [])
    assert float(found.sum()) == pytest.approx(1.0)
    return found.tolist()


def test_neutral_settings_keep_the_models_own_distribution() -> None:
    assert probabilities() == pytest.approx([0.4, 0.3, 0.2, 0.1])


def test_temperature_sharpens_and_flattens() -> None:
    expected = torch.tensor([0.4, 0.3, 0.2, 0.1]) ** 2
    assert probabilities(temperature=0.5) == pytest.approx((expected / expected.sum()).tolist())
    assert probabilities(temperature=0.0) == [1.0, 0.0, 0.0, 0.0]
    for cold in (1e-6, 1e-29, 1e-38, 1e-300):  # float32 holds neither the last two nor what is divided by them
        assert probabilities(temperature=cold) == pytest.approx([1.0, 0.0, 0.0, 0.0])


def test_truncations() -> None:
    assert probabilities(top_k=2) == pytest.approx([4 / 7, 3 / 7, 0, 0])
    assert probabilities(top_k=9) == pytest.approx([0.4, 0.3, 0.2, 0.1])
    assert probabilities(top_p=0.65) == pytest.approx([4 / 7, 3 / 7, 0, 0])
    assert probabilities(top_p=0.75) == pytest.approx([4 / 9, 3 / 9, 2 / 9, 0])
    assert probabilities(top_p=0.0001) == pytest.approx([1, 0, 0, 0])
    assert probabilities(min_p=0.45) == pytest.approx([4 / 9, 3 / 9, 2 / 9, 0])
    assert probabilities(min_p=1.0) == pytest.approx([1, 0, 0, 0])
    # top-p is a share of what top-k has left
    assert probabilities(top_k=2, top_p=0.5) == pytest.approx([1, 0, 0, 0])


def test_repetition_penalty_makes_earlier_tokens_less_likely() -> None:
    assert probabilities(seen=[0, 0], repetition_penalty=2.0)[0] == pytest.approx(0.16 / 0.76)
    before, after = torch.tensor([2.0, -2.0, 0.0]), torch.tensor([1.0, -4.0, 0.0])
    config = SamplingConfig(temperature=1.0, repetition_penalty=2.0)
    found = final(before, config, [0, 1, 0])
    assert found.tolist() == pytest.approx(after.softmax(0).tolist())


def test_sample_draws_by_the_probabilities_and_reports_the_models_own() -> None:
    generator = torch.Generator().manual_seed(0)
    config = SamplingConfig(temperature=1.0, top_k=3)
    choices = [sample(LOGITS, config, generator) for _ in range(3000)]
    shares = [sum(choice.id == id for choice in choices) / 3000 for id in range(4)]
    assert shares == pytest.approx([4 / 9, 3 / 9, 2 / 9, 0], abs=0.03)
    assert all(choice.probability == pytest.approx(math.exp(LOGITS[choice.id])) for choice in choices)
    assert {(choice.id, choice.rank) for choice in choices} == {(0, 1), (1, 2), (2, 3)}
    assert choices[0].entropy == pytest.approx(sampling_steps(as_floats(LOGITS), config).stages[0].entropy)
    steps = sampling_steps(as_floats(LOGITS), config)
    assert all(drawn_token(steps.final, choice.draw) == choice.id for choice in choices if choice.draw is not None)


def test_greedy_draws_nothing() -> None:
    generator = torch.Generator().manual_seed(0)
    state = generator.get_state()
    choice = sample(LOGITS, SamplingConfig(temperature=0.0), generator)
    assert (choice.id, choice.rank, choice.draw) == (0, 1, None)
    assert torch.equal(generator.get_state(), state)


def test_a_diverged_model_raises_a_sentence() -> None:
    with pytest.raises(ValueError, match="choose an earlier checkpoint"):
        final(torch.tensor([1.0, math.nan]), SamplingConfig())


def test_bad_settings_are_refused() -> None:
    with pytest.raises(ValueError, match="temperature is -1"):
        SamplingConfig(temperature=-1.0)
    with pytest.raises(ValueError, match="stop text is empty"):
        SamplingConfig(stop=("",))


def warped(logits: torch.Tensor, seen: list[int], config: SamplingConfig) -> torch.Tensor:
    """The probabilities that transformers draws from, its steps in our order."""
    from transformers.generation.logits_process import (
        LogitsProcessor,
        MinPLogitsWarper,
        RepetitionPenaltyLogitsProcessor,
        SequenceBiasLogitsProcessor,
        TemperatureLogitsWarper,
        TopKLogitsWarper,
        TopPLogitsWarper,
        TypicalLogitsWarper,
    )

    steps: list[LogitsProcessor] = []
    if config.logit_bias:
        steps.append(SequenceBiasLogitsProcessor([[[id], float(bias)] for id, bias in config.logit_bias]))
    if config.repetition_penalty != 1.0:
        steps.append(RepetitionPenaltyLogitsProcessor(config.repetition_penalty))
    steps.append(TemperatureLogitsWarper(float(config.temperature)))
    if config.top_k:
        steps.append(TopKLogitsWarper(config.top_k))
    if config.typical_p < 1.0:
        steps.append(TypicalLogitsWarper(config.typical_p))
    if config.top_p < 1.0:
        steps.append(TopPLogitsWarper(config.top_p))
    if config.min_p:
        steps.append(MinPLogitsWarper(config.min_p))
    scores = logits[None]
    for step in steps:
        scores = step(torch.tensor([seen]), scores)
    return scores[0].softmax(0)


@pytest.mark.parametrize(
    "settings",
    [
        {"temperature": 0.7},
        {"temperature": 1.3, "repetition_penalty": 1.4},
        {"logit_bias": ((3, 4.0), (900, -100.0)), "repetition_penalty": 1.2},
        {"top_k": 40},
        {"typical_p": 0.6},
        {"temperature": 1.7, "typical_p": 0.9},
        {"top_p": 0.85},
        {"temperature": 2.0, "top_p": 0.999},  # more tokens than are sorted at first
        {"min_p": 0.05},
        {"temperature": 0.9, "repetition_penalty": 1.1, "top_k": 60, "typical_p": 0.8, "top_p": 0.9, "min_p": 0.02},
    ],
)
def test_equal_to_transformers(settings: dict[str, Any]) -> None:
    config = SamplingConfig(**{"temperature": 1.0, **settings})
    for seed in range(5):
        logits = 3 * torch.randn(1000, generator=torch.Generator().manual_seed(seed))
        seen = [3, 17, 17, int(logits.argmax())]
        found = final(logits, config, seen)
        expected = warped(logits, seen, config)
        torch.testing.assert_close(found, expected)
        assert ((found > 0) == (expected > 0)).all()


def test_frequency_and_presence_penalties_count_the_reply_alone() -> None:
    logits = torch.tensor([1.0, 2.0, 3.0, 4.0])
    config = SamplingConfig(temperature=1.0, frequency_penalty=0.5, presence_penalty=0.25)
    found = final(logits, config, [3, 3, 0, 1, 0], n_prompt=2)
    assert found.tolist() == pytest.approx(torch.tensor([1.0 - 1.25, 2.0 - 0.75, 3.0, 4.0]).softmax(0).tolist())


def test_a_bias_for_an_unknown_token_raises_a_sentence() -> None:
    with pytest.raises(ValueError, match="name the token 4, but the model knows only 4"):
        final(LOGITS, SamplingConfig(logit_bias=((4, 1.0),)))
    for bias in ((-1, 1.0), (1, 101.0), ("a", 1.0), (1,)):
        with pytest.raises(ValueError, match="a token's id and a number between -100 and 100"):
            SamplingConfig(logit_bias=(bias,))


def test_settings_come_back_from_json() -> None:
    config = SamplingConfig(temperature=0.3, stop=("a", "b"), logit_bias=((1, 2.5), (7, -100.0)))
    assert sampling_from_dict(json.loads(json.dumps(asdict(config))), "a preset") == config
    with pytest.raises(ValueError, match="a preset has no setting called 'temprature': did you mean 'temperature'"):
        sampling_from_dict({"temprature": 1}, "a preset")


def test_only_valid_advice_is_applied() -> None:
    advice = {"temperature": 0.2, "top_p": 1.5, "top_k": "many", "nonsense": 1}
    assert with_advice(SamplingConfig(), advice) == SamplingConfig(temperature=0.2)


def test_every_step_reports_its_distribution() -> None:
    config = SamplingConfig(temperature=1.0, repetition_penalty=1.1, top_k=3, top_p=0.6)
    steps = sampling_steps(as_floats(LOGITS), config, [3])
    assert [stage.name for stage in steps.stages] == ["model", "penalties", "temperature", "top_k", "top_p", "drawn"]
    assert steps.own.tolist() == pytest.approx([0.4, 0.3, 0.2, 0.1])
    cut = {stage.name: stage for stage in steps.stages}
    tempered = steps.tempered.tolist()
    assert cut["top_k"].removed == pytest.approx(tempered[3])
    assert cut["top_p"].removed == pytest.approx(tempered[2])
    assert steps.removed == pytest.approx(1 - float(cut["top_p"].probabilities.sum()))
    assert steps.final.tolist() == pytest.approx([4 / 7, 3 / 7, 0, 0])
    assert steps.stages[0].entropy == pytest.approx(-sum(p * math.log(p) for p in (0.4, 0.3, 0.2, 0.1)))
    assert steps.stages[-1].entropy == cut["top_p"].entropy < cut["top_k"].entropy
    names = [stage.name for stage in sampling_steps(as_floats(LOGITS), SamplingConfig(temperature=0.0, top_k=2)).stages]
    assert names == ["model", "temperature", "drawn"]


@pytest.mark.parametrize("name", TRUNCATIONS)
def test_every_active_truncation_removes_tokens(name: str) -> None:
    logits = as_floats(torch.randn(200, generator=torch.Generator().manual_seed(0)))
    plain = SamplingConfig(temperature=1.0)
    steps = sampling_steps(logits, dataclasses.replace(plain, **EVERY_CUT[name]))
    assert [stage.name for stage in steps.truncations] == [name]
    assert 0 < steps.removed < 1
    assert float(steps.final.sum()) == pytest.approx(1.0)
    assert sampling_steps(logits, plain).truncations == ()
    assert format_step(dataclasses.replace(plain, **EVERY_CUT[name]), name).endswith((" 5", " 0.5"))


@pytest.mark.parametrize("n", [0.5, 1.0, 2.5])
def test_top_n_sigma_cuts_by_the_logits_at_any_temperature(n: float) -> None:
    logits = 3 * torch.randn(1000, generator=torch.Generator().manual_seed(1))
    expected = logits >= logits.max() - n * logits.std(correction=0)
    for temperature in (0.2, 1.0, 4.0):
        found = final(logits, SamplingConfig(temperature=temperature, top_n_sigma=n))
        assert torch.equal(found > 0, expected)
        kept = torch.where(expected, logits / temperature, -torch.inf)
        torch.testing.assert_close(found, kept.softmax(0))
    alike = final(torch.zeros(5), SamplingConfig(temperature=1.0, top_n_sigma=n))
    assert alike.tolist() == pytest.approx([0.2] * 5)


def test_mirostat_is_the_algorithm_of_its_paper() -> None:
    """Against the algorithm as its authors published it, on one sequence of distributions."""
    config, generator = SamplingConfig(temperature=0.9, mirostat_tau=2.5, mirostat_eta=0.3), torch.Generator()
    state, mu, surprises = SamplingState(config), 5.0, []
    for i in range(400):
        logits = 2.5 * torch.randn(300, generator=generator.manual_seed(i))
        steps = sampling_steps(as_floats(logits), config, state=state)
        probabilities, ids = (logits / 0.9).softmax(0).sort(descending=True)
        n = max(1, int((-probabilities.log2() <= mu).sum()))
        kept = probabilities[:n] / probabilities[:n].sum()
        assert set(np.flatnonzero(steps.final).tolist()) == set(ids[:n].tolist())
        np.testing.assert_allclose(steps.final[ids[:n].numpy()], kept.numpy(), rtol=1e-5)
        id = sample(logits, config, generator.manual_seed(i), state=state).id
        surprises.append(-math.log2(float(kept[ids[:n].tolist().index(id)])))
        mu -= 0.3 * (surprises[-1] - 2.5)
        assert state.numbers["mirostat_tau"] == pytest.approx(mu, rel=1e-4, abs=1e-4)
    assert np.mean(surprises[50:]) == pytest.approx(2.5, abs=0.1)


def test_mirostat_continues_a_text_of_tokens_that_it_would_never_draw() -> None:
    config = SamplingConfig(temperature=0.1, mirostat_tau=3.0)
    logits = as_floats(torch.tensor([50.0, 49.9, *[0.0] * 8]))
    ids = [5] * 300
    state = state_at(len(ids), config, ids, 1, lambda position: logits)
    steps = sampling_steps(logits, config, ids, 1, state)
    assert steps.final.tolist() == [1.0, *[0.0] * 9]
    assert sampling_steps(logits, config, ids, 1, SamplingState(config)).final[1] > 0


def test_the_sampling_state_does_not_leak_into_the_next_reply() -> None:
    config = SamplingConfig(temperature=1.0, mirostat_tau=1.0)
    state = SamplingState(config)
    steps = sampling_steps(as_floats(LOGITS), config, state=state)
    state.update(steps, 3)  # cut off or not: a token that was chosen by hand counts by what it had
    assert state.numbers["mirostat_tau"] < SamplingState(config).numbers["mirostat_tau"] == 2.0
    other = state.copy()
    other.update(sampling_steps(as_floats(LOGITS), config, state=other), 0)
    assert other.numbers != state.numbers
    rows = [LOGITS, LOGITS.flip(0), LOGITS]
    ids = [9, 3, 0, 1]
    again = SamplingState(config)
    for position, logits in enumerate(rows, start=1):
        again.update(sampling_steps(as_floats(logits), config, ids[:position], 1, again), ids[position])
    found = state_at(4, config, ids, 1, lambda position: as_floats(rows[position - 1]))
    assert found.numbers == again.numbers
    assert not SamplingState(SamplingConfig()).remembers


def test_a_number_lands_on_the_bar_of_probabilities() -> None:
    probabilities = np.array([0.1, 0.4, 0.1, 0.0, 0.4], np.float32)  # on the bar: 1, 4, 0, 2
    draws = (0.0, 0.39, 0.41, 0.79, 0.81, 0.89, 0.91, 1 - 1e-16)
    assert [drawn_token(probabilities, draw) for draw in draws] == [1, 1, 4, 4, 0, 0, 2, 2]


def test_top_ids_match_a_full_sort() -> None:
    generator = np.random.default_rng(0)
    for rounding in (1000.0, 20.0, 1.0):  # with ever more that are alike
        shares = (generator.random(2000, np.float32) * np.float32(rounding)).round() / np.float32(rounding)
        order = np.argsort(-shares, kind="stable")
        for n in (1, 7, 256, 1999, 2000, 3000):
            assert top_ids(shares, n).tolist() == order[:n].tolist()
        cumulative = shares[order].astype(np.float64).cumsum()
        for draw in generator.random(50):
            assert drawn_token(shares, draw) == order[np.searchsorted(cumulative, draw * cumulative[-1], side="right")]
