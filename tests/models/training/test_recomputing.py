"""Activation checkpointing: the same numbers bit for bit, from less memory."""

import dataclasses
from collections.abc import Callable

import pytest
import torch

from terrarium.models.architecture.block import recompute_blocks
from terrarium.models.architecture.experts import balance_loss
from terrarium.models.architecture.trace import Trace
from terrarium.models.architecture.transformer import EncoderDecoder, build_model
from terrarium.models.library.library import Library
from terrarium.models.runs.run_folder import RunFolder
from terrarium.models.settings.presets import PRESETS
from terrarium.models.training.estimates.measure import RandomTexts, peak_allocated
from tests.models.designs import small
from tests.models.training.support import assert_same_end, make_run, train

NAMES = ("terrarium-tiny", "llama-tiny", "bert-tiny", "t5-tiny", "bart-tiny", "moe-tiny")


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("name", NAMES)
def test_losses_and_gradients_are_the_same(name: str, dtype: torch.dtype) -> None:
    config = dataclasses.replace(small(PRESETS[name], 32), dropout=0.1, n_layer=3)
    torch.manual_seed(0)
    model = build_model(config).train()
    texts = RandomTexts(config, 4, 32, 24, torch.device("cpu"))
    found, peaks = [], []
    for recomputes in (False, True):
        recompute_blocks(model, recomputes)

        def step() -> None:
            model.zero_grad()
            torch.manual_seed(5)
            loss = texts.loss(model, dtype)
            loss.backward()
            found.append([loss.detach(), torch.rand(1), *(p.grad for p in model.parameters() if p.grad is not None)])

        peaks.append(peak_allocated(step, torch.device("cpu")))
    assert len(found[0]) > 10
    assert all(torch.equal(one, other) for one, other in zip(*found, strict=True))
    assert peaks[1] < 0.8 * peaks[0]


def test_the_routers_balance_has_the_same_gradient() -> None:
    config = dataclasses.replace(small(PRESETS["moe-tiny"], 32), n_layer=2)
    model = build_model(config).train()
    assert not isinstance(model, EncoderDecoder)
    ids, gradients = torch.randint(config.vocab_size, (3, 32)), []
    for recomputes in (False, True):
        recompute_blocks(model, recomputes)
        model.zero_grad()
        trace = Trace(wanted=frozenset({"router"}))
        (model(ids, trace=trace).square().mean() + balance_loss(trace)).backward()
        gradients.append([p.grad for p in model.parameters() if p.grad is not None])
    assert all(torch.equal(one, other) for one, other in zip(*gradients, strict=True))


@pytest.mark.parametrize("name", ["terrarium-tiny", "bert-tiny", "t5-tiny"])
def test_a_run_ends_the_same(library: Library, trained_at_once: Callable[..., RunFolder], name: str) -> None:
    config = dataclasses.replace(small(PRESETS[name], 32), dropout=0.1, vocab_size=300)
    run = make_run(library, config, activation_checkpointing=True)
    train(run, library)
    assert_same_end(run, trained_at_once(config))
