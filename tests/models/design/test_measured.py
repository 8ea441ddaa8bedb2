"""The formulas of costs are what torch counts, module by module, and what it would allocate, measured without data.

Two things differ by intent. Torch's counter leaves out the short convolution, which is elementwise here. And the
formulas count the keys in a sliding window only, but torch computes the scores of all: they are compared without it.
"""

from __future__ import annotations

import dataclasses
import random
import re
import statistics
from collections import Counter, defaultdict
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from terrarium.models.architecture.transformer import AnyModel, EncoderDecoder
from terrarium.models.custom_blocks.measure import Measured, MeasuredTensor, measure
from terrarium.models.data.batch import Batch
from terrarium.models.design import activation_bytes
from terrarium.models.design.tree import design_tree
from terrarium.models.interop.building import model_without_data
from terrarium.models.settings.model_config import ModelConfig
from terrarium.models.settings.presets import PRESETS
from terrarium.models.training import objective
from terrarium.models.training.estimates.measure import RandomTexts
from tests.models.designs import TOPOLOGIES, random_design, tiny_design

N_DESIGNS = 40
BATCH = 12
"""So that each of up to 4 experts receives the same number of tokens."""
LENGTH = 48


def reduced(config: ModelConfig) -> ModelConfig:
    """The design at a size at which it is measured quickly: the same slots, heads shared if they are, no dropout."""
    heads = 2 if config.kv_heads == config.n_head else 4
    return dataclasses.replace(
        config,
        vocab_size=300,
        context_length=LENGTH,
        n_layer=2,
        n_head=heads,
        n_kv_head=config.n_kv_head and heads // 2,
        d_model=64,
        d_head=0,
        d_ff=80,
        n_expert=min(config.n_expert, 4),
        rope_theta=10_000.0,
        init_std=0.02,
        dropout=0.0,
    )


FAMILIES: dict[ModelConfig, str] = {}
for _name, _preset in PRESETS.items():
    FAMILIES.setdefault(reduced(_preset), _name)
"""Each reduced preset with its name, or the first name of those that differ in size alone."""


def random_designs() -> Iterator[ModelConfig]:
    """Legal designs of any slots, one layer each, without a rotation that looks at positions to choose its angles."""
    draw, n = random.Random(0), 0
    while n < N_DESIGNS:
        config = tiny_design(draw)
        if config is not None:
            n += 1
            yield dataclasses.replace(config, rope_scaling="none", n_layer=1, n_encoder_layer=0)


class EqualShares(TorchDispatchMode):
    """Gives each expert of a mixture an equal share of the tokens: which ones it receives, only data could tell."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.n_expert = config.n_expert

    def __torch_dispatch__(self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None) -> Any:
        if func is torch.ops.aten.nonzero.default:
            (chosen,) = args  # (N, k) bool
            return chosen.new_empty(-(-chosen.numel() // self.n_expert), 2, dtype=torch.long)
        return func(*args, **(kwargs or {}))


class Forward(nn.Module):
    """The forward pass of a model, as in inference."""

    def __init__(self, model: AnyModel) -> None:
        super().__init__()
        self.model = model

    def forward(self, *ids: Tensor) -> Tensor:
        with torch.no_grad(), EqualShares(self.model.config):
            return self.model.hidden(*ids) if self.model.head is None else self.model(*ids)


class Step(nn.Module):
    """The forward pass of a training step, up to the loss."""

    def __init__(self, model: AnyModel, batch: Batch, dtype: torch.dtype) -> None:
        super().__init__()
        self.model, self.batch, self.dtype = model, batch, dtype

    def forward(self, **tensors: Tensor) -> Tensor:
        with EqualShares(self.model.config):
            batch = dataclasses.replace(self.batch, **tensors)
            return objective.weighted_nll(self.model, batch, self.dtype) / batch.weights.numel()


def measured_forward(config: ModelConfig, length: int, source_length: int) -> Measured:
    model = model_without_data(config).eval()
    lengths = (source_length, length) if isinstance(model, EncoderDecoder) else (length,)
    return measure(Forward(model), *(torch.zeros(BATCH, n, dtype=torch.long, device="meta") for n in lengths))


def measured_peak(
    config: ModelConfig, batch_size: int, length: int, source_length: int, precision: str = "float32"
) -> int:
    batch = RandomTexts(config, batch_size, length, source_length, torch.device("cpu")).batch
    tensors = {"inputs": batch.inputs, "targets": batch.targets, "weights": batch.weights}
    tensors |= {} if batch.source is None else {"source": batch.source}
    found = measure(Step(model_without_data(config).train(), batch, getattr(torch, precision)), **tensors)
    return max(found.forward_peak_bytes, found.backward_peak_bytes)


def error_of_estimate(
    config: ModelConfig, batch_size: int, length: int, source_length: int, precision: str = "float32"
) -> float:
    """The estimate's relative deviation from the peak that is measured."""
    parts = activation_bytes(
        config, batch_size, length, source_length=source_length, precision=precision, accumulates=True
    )
    return sum(parts.values()) / measured_peak(config, batch_size, length, source_length, precision) - 1


def check_modules(config: ModelConfig) -> None:
    """Assert that the tree's FLOPs and tensors are those of the measured modules, each of them."""
    length, source_length = config.context_length, max(1, config.context_length // 2)
    flops: Counter[str] = Counter()
    tensors: dict[str, list[MeasuredTensor]] = defaultdict(list)
    for node in design_tree(dataclasses.replace(config, sliding_window=0), length, source_length).walk():
        path = node.path if node.part.times is None else f"{node.path}.*"
        if node.part.kind != "conv":
            n_texts = 1 if node.part.kind == "position" else BATCH  # all texts share a bias of positions
            flops[path] += n_texts * node.part.flops * node.n_used // node.n
        tensors[path] += [MeasuredTensor(each.name, each.shape, each.role) for each in node.part.tensors]
    seen = set()
    for module in measured_forward(config, length, source_length).modules[1:]:
        path = re.sub(r"\.\d+(?=\.|$)", ".*", module.path.removeprefix("model").removeprefix("."))
        seen.add(path)
        assert module.flops == flops[path], (module.path, config)
        role = {"weight": "table"} if module.kind in ("LanguageHead", "RelativeBias") else {}
        role = (
            {each.name: each.role for each in tensors[path]} if module.kind == "Fire" else role
        )  # not of a usual layer
        found = [each._replace(role=role.get(each.name, each.role)) for each in module.tensors]
        assert found == tensors[path], (module.path, config)
    assert seen >= flops.keys() | tensors.keys(), config


@pytest.fixture(autouse=True)
def all_targets_count(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether targets are left out is decided by their weights, which are all 1 here."""
    monkeypatch.setattr(objective, "is_sparse", lambda batch: False)


@pytest.mark.parametrize("config", FAMILIES, ids=FAMILIES.values())
def test_modules_of_presets(config: ModelConfig) -> None:
    check_modules(config)


def test_modules_of_any_design() -> None:
    for config in random_designs():
        check_modules(config)


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("config", FAMILIES, ids=FAMILIES.values())
def test_activations_of_presets(config: ModelConfig, precision: str) -> None:
    config = dataclasses.replace(config, dropout=0.1 if precision == "bfloat16" else 0.0)
    assert abs(error_of_estimate(config, BATCH, LENGTH, LENGTH // 2, precision)) < 0.035


@pytest.mark.parametrize("topology", TOPOLOGIES)
def test_activations_of_any_design(topology: str) -> None:
    errors = []
    for seed in range(7):
        config, batch_size, length, source_length = random_design(topology, seed)
        config = dataclasses.replace(config, n_layer=1, n_encoder_layer=0)
        errors.append(error_of_estimate(config, batch_size, length, source_length))
        assert abs(errors[-1]) < 0.045, (seed, config)
    assert statistics.mean(map(abs, errors)) < 0.015
