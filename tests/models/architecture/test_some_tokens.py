"""States of some tokens only: equal to those among all, with equal gradients, in any design."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from terrarium.models.architecture.transformer import EncoderDecoder, build_model
from terrarium.models.data.batch import Batch
from terrarium.models.tasks.forward import batch_states
from terrarium.models.training.objective import weighted_nll
from terrarium.models.training.update import batch_flops
from tests.models.designs import TOPOLOGIES, random_design

B, T = 3, 17


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("topology", TOPOLOGIES)
def test_states_of_some_tokens_are_those_among_all(topology: str, seed: int) -> None:
    config = dataclasses.replace(random_design(topology, seed)[0], dropout=0.0, zero_init_output=False)
    torch.manual_seed(seed)
    model = build_model(config)
    ids = torch.randint(config.vocab_size, (B, T))
    mask = torch.arange(T) < torch.tensor([T, T - 4, T - 9])[:, None]
    weights = mask * (torch.rand(B, T) < 0.4).float()
    batch = Batch(ids, ids, weights, mask=mask)
    if isinstance(model, EncoderDecoder):
        batch = dataclasses.replace(batch, source=ids, source_mask=mask)
    found, direction = [], torch.randn(config.d_model)
    for counted in (None, batch.counted):
        model.zero_grad()
        states = batch_states(model, batch, counted=counted)
        if counted is None:
            states = states[weights.bool()]
        (states @ direction).square().sum().backward()
        found.append((states.detach(), [p.grad for p in model.parameters() if p.grad is not None]))
    (whole, of_whole), (some, of_some) = found
    torch.testing.assert_close(some, whole, rtol=1e-4, atol=1e-5)
    largest = max(float(gradient.abs().max()) for gradient in of_whole)
    for gradient, expected in zip(of_some, of_whole, strict=True):
        torch.testing.assert_close(gradient, expected, rtol=1e-3, atol=1e-5 * largest)


@pytest.mark.parametrize("topology", TOPOLOGIES)
def test_what_is_left_out_is_not_counted_as_work(topology: str) -> None:
    config = dataclasses.replace(random_design(topology, 0)[0], conv_width=0, n_expert=0, sliding_window=0)
    config = dataclasses.replace(config, head="language", pooler=False)
    model = build_model(config)
    ids, weights = torch.ones(B, T, dtype=torch.long), torch.zeros(B, T)
    weights[:, -3:] = 1
    batch = Batch(ids, ids, weights, source=ids if topology == "encoder-decoder" else None)
    everything = dataclasses.replace(batch, weights=torch.ones(B, T))
    found = []
    for each in (everything, batch):
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            weighted_nll(model, each)
        found.append(counter.get_total_flops())
    assert found[0] - found[1] == batch_flops(config, everything) - batch_flops(config, batch) > 0
