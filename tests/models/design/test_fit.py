"""Making it fit: every proposal is legal, fits, and changes as little as suffices."""

import dataclasses
from typing import Any

import pytest

from terrarium.models.design import total_parameters, training_memory
from terrarium.models.design.fit import describe_update, proposals, split_update
from terrarium.models.settings.model_config import ModelConfig
from terrarium.models.settings.presets import PRESETS
from terrarium.models.settings.run_spec import TrainConfig
from tests.models.designs import TOPOLOGIES, random_design


def needed(config: ModelConfig, batch_size: int, optimizer: str, **settings: Any) -> int:
    return sum(training_memory(config, batch_size, config.context_length, optimizer, **settings).values())


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("topology", TOPOLOGIES)
def test_proposals_are_legal_and_fit(topology: str, seed: int) -> None:
    config, optimizer = random_design(topology, seed)[0], ("muon", "adamw")[seed % 2]
    whole = needed(config, 24, optimizer)
    for share in (0.9, 0.5, 0.1):
        budget = int(share * whole)
        found = proposals(config, 24, optimizer, budget)
        assert found
        for proposal in found:
            changed = dataclasses.replace(config, **proposal.model)
            assert not ModelConfig.problems(changed.to_dict())
            train = TrainConfig(**{"batch_size": 24, "optimizer": optimizer, **proposal.train})
            assert train.batch_size * train.grad_accum_steps >= 24
            settings: dict[str, Any] = {"accumulates": train.grad_accum_steps > 1}
            settings |= {"recomputes": train.activation_checkpointing, "state_dtype": train.state_dtype}
            assert proposal.bytes == needed(changed, train.batch_size, train.optimizer, **settings) <= budget
            assert proposal.sentence.endswith(".")


def test_recomputing_blocks_and_shorter_states_are_offered_until_they_are_in_use() -> None:
    config, settings = PRESETS["gpt2-124m"], {"recomputes": True, "state_dtype": "bfloat16"}
    budget = needed(config, 1, "adamw") - 2 * total_parameters(config)
    first, second, *_ = (proposal.train for proposal in proposals(config, 1, "adamw", budget))
    assert (first, second) == ({"activation_checkpointing": True}, {"state_dtype": "bfloat16"})
    small = needed(config, 1, "adamw", **settings) - 1
    assert not {"activation_checkpointing", "state_dtype"} & {
        name for proposal in proposals(config, 1, "adamw", small, **settings) for name in proposal.train
    }


def test_nothing_is_proposed_where_it_fits() -> None:
    assert proposals(PRESETS["gpt2-tiny"], 4, "muon", 8 * 2**30) == []
    assert proposals(PRESETS["gpt2-tiny"], 4, "muon", 1000) == []  # nor where nothing helps


def test_a_smaller_batch_comes_first_and_is_as_large_as_can_be() -> None:
    config = PRESETS["gpt2-tiny"]
    budget = needed(config, 11, "muon")
    first = proposals(config, 24, "muon", budget)[0]
    assert (first.model, first.train) == ({}, {"batch_size": 8, "grad_accum_steps": 3})  # 3 × 8 are 24 as well
    assert "batch_size of 8 instead of 24" in first.sentence
    twice = proposals(config, 24, "muon", budget, grad_accum_steps=2)[0]
    assert twice.train == {"batch_size": 8, "grad_accum_steps": 6}
    assert "it learns the same" in twice.sentence


@pytest.mark.parametrize("texts", [7, 10, 20, 24, 48, 97])
def test_a_split_update_reads_as_many_texts_or_says_how_many(texts: int) -> None:
    for at_most in range(1, texts + 1):
        size, accum = split_update(texts, at_most)
        assert size <= at_most
        assert texts <= size * accum < texts + accum
        same = size * accum == texts
        words = describe_update(texts, size, accum)
        assert words == "it learns the same" if same else f"reads {size * accum} texts instead of {texts}" in words
    assert split_update(10, 6) == (5, 2)
    assert split_update(7, 4) == (4, 2)


def test_each_change_is_the_smallest_of_its_kind() -> None:
    config = PRESETS["llama-tiny"]
    budget = int(0.8 * needed(config, 8, "muon"))
    for proposal in proposals(config, 8, "muon", budget)[1:]:
        if "n_layer" in proposal.model:
            one_more = dataclasses.replace(config, n_layer=proposal.model["n_layer"] + 1)
        elif "context_length" in proposal.model:
            one_more = dataclasses.replace(config, context_length=proposal.model["context_length"] + 8)
        else:
            continue
        assert needed(one_more, 8, "muon") > budget


def test_what_no_single_change_mends_shrinks_all_round() -> None:
    (proposal,) = proposals(PRESETS["mixtral-8x7b"], 24, "adamw", 8 * 2**30)
    assert {"n_layer", "d_model", "context_length"} <= proposal.model.keys()
    assert "all round" in proposal.sentence
