"""Costs: parameters are exact; operations and memory agree with what torch counts, keeps and allocates."""

import dataclasses
import statistics
import subprocess
import sys

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch.utils.flop_counter import FlopCounterMode

from terrarium.models.architecture.cache import KVCache
from terrarium.models.architecture.transformer import AnyModel, EncoderDecoder, build_model
from terrarium.models.design import (
    activation_bytes,
    active_parameters,
    flops_per_token,
    kv_cache_bytes,
    operations,
    parameters_by_component,
    total_parameters,
    trained_parameters,
    training_factor,
    training_flops_per_token,
    training_memory,
)
from terrarium.models.design.parts import stacks
from terrarium.models.interop.building import model_without_data
from terrarium.models.interop.graphs.graphs import with_previous_token_heads
from terrarium.models.settings.model_config import ModelConfig
from terrarium.models.settings.optimizers import OPTIMIZERS
from terrarium.models.settings.presets import PRESETS
from terrarium.models.settings.run_spec import DataSpec, RunSpec, TokenizerSpec, TrainConfig
from terrarium.models.settings.tune_spec import TuneSpec
from terrarium.models.training.estimates.measure import RandomTexts, measured_activations, peak_allocated
from terrarium.models.training.optim import make_optimizers
from terrarium.models.training.tuning import build_run_model
from tests.models.designs import TOPOLOGIES, random_design, small, tiny_design

BATCH, LENGTH = 3, 48
SMALL = {name: small(config, LENGTH) for name, config in PRESETS.items() if "tiny" in name}
PUBLISHED = {
    "gpt2-124m": 124_439_808,
    "gpt2-355m": 354_823_168,
    "gpt2-774m": 774_030_080,
    "gpt2-1.5b": 1_557_611_200,
    "llama2-7b": 6_738_415_616,
    "llama3-8b": 8_030_261_248,
    "mixtral-8x7b": 46_702_792_704,
    "bert-base": 109_514_298,
    "t5-small": 60_506_624,
    "t5-base": 222_903_552,
    "t5-large": 737_668_096,
    "bart-base": 139_420_416 - 2 * 2 * 768,  # its tables have two rows of positions that are never read
}


@st.composite
def configs(draw: st.DrawFn) -> ModelConfig:
    """Any legal filling of all slots, with numbers small enough to build in milliseconds."""
    config = tiny_design(draw(st.randoms(use_true_random=False)))
    assume(config is not None)
    assert config is not None
    return config


def by_component(model: AnyModel) -> dict[str, int]:
    """The built model's numbers, sorted into components by the names of its tensors."""
    words = {
        ".cross_attention.": "Cross-attention",
        ".attention.": "attention",
        ".router.": "router",
        ".experts.": "experts",
        ".feed_forward.": "feed-forward",
    }
    found: dict[str, int] = {}
    for name, parameter in model.named_parameters():
        stack = name.split(".")[0].capitalize() if isinstance(model, EncoderDecoder) else ""
        name = f".{name}"
        if "_conv." in name:
            part = "Short convolution"
        elif "norm." in name and ".head." not in name:
            part = "Norms"
        elif ".position." in name or ".score_bias." in name:
            part = "Positions"
        elif inner := next((word for key, word in words.items() if key in name), None):
            part = inner if inner[0].isupper() else f"{stack} {inner}" if stack else inner.capitalize()
        else:
            first = name.split(".")[1]
            names = {"embedding": "Token embedding", "ngrams": "N-gram embeddings", "segment": "Segments"}
            part = names.get(first) or {"pooler": "Pooler", "head": "Head"}[first]
        found[part] = found.get(part, 0) + parameter.numel()
    return found


@pytest.mark.slow
@given(config=configs())
@settings(max_examples=25, deadline=None)
def test_parameters_are_exact(config: ModelConfig) -> None:
    model = model_without_data(config)
    assert {part: n for part, n in parameters_by_component(config).items() if n} == by_component(model)
    assert total_parameters(config) == model.n_parameters


@pytest.mark.parametrize("name", PRESETS)
def test_parameters_of_presets(name: str) -> None:
    model = model_without_data(PRESETS[name])
    assert {part: n for part, n in parameters_by_component(PRESETS[name]).items() if n} == by_component(model)
    assert total_parameters(PRESETS[name]) == PUBLISHED.get(name, model.n_parameters) == model.n_parameters


def test_a_mixture_uses_some_of_its_experts() -> None:
    assert active_parameters(PRESETS["mixtral-8x7b"]) == 12_879_925_248  # published as 12.9 B
    assert active_parameters(PRESETS["llama2-7b"]) == total_parameters(PRESETS["llama2-7b"])


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("topology", TOPOLOGIES)
def test_operations_are_those_that_torch_counts(topology: str, seed: int) -> None:
    config = random_design(topology, seed)[0]
    config = dataclasses.replace(config, dropout=0.1, sliding_window=0, pooler=False)  # attention is not fused then
    length = min(64, config.context_length)
    source_length = length // 2 if topology == "encoder-decoder" else length
    model = build_model(config)
    texts = RandomTexts(config, BATCH, length, source_length, torch.device("cpu"))
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        texts.loss(model)
    parts = operations(config, length, source_length)
    convolutions = parts.pop("Short convolution", 0)  # ours is not one that torch counts
    shared = (BATCH - 1) * parts.get("Positions", 0)  # the biases of one text are those of all
    assert counter.get_total_flops() == BATCH * sum(parts.values()) - shared
    with FlopCounterMode(display=False) as counter:
        texts.loss(model).backward()
    total = counter.get_total_flops()
    expected = BATCH * length * training_flops_per_token(config, length, source_length)
    assert total == pytest.approx(expected - 3 * BATCH * convolutions - 3 * shared, rel=0.01)


def test_windows_and_experts_save_work() -> None:
    wide = dataclasses.replace(PRESETS["moe-tiny"], context_length=64)
    narrow = dataclasses.replace(wide, sliding_window=16)
    inner = wide.n_head * wide.head_dim
    saved = flops_per_token(wide) - flops_per_token(narrow)
    assert saved == wide.n_layer * 4 * (64 - 16) * inner
    more = dataclasses.replace(wide, n_expert_used=3)
    expert = 3 * wide.d_model * wide.ff_width
    assert flops_per_token(more) - flops_per_token(wide) == wide.n_layer * 2 * expert
    both_ways = dataclasses.replace(PRESETS["bert-tiny"], sliding_window=4)
    whole = dataclasses.replace(both_ways, sliding_window=0)
    seen = operations(whole)["Attention"] - operations(both_ways)["Attention"]
    assert seen == whole.n_layer * 4 * 256 * (256 - 7) * whole.d_model


@pytest.mark.slow
@pytest.mark.parametrize("topology", TOPOLOGIES)
def test_activations_are_what_a_step_allocates(topology: str) -> None:
    torch.manual_seed(0)
    errors = []
    for seed in range(100, 102):  # the estimate is derived from what autograd saves: no design was fitted to
        config, batch_size, length, source_length = random_design(topology, seed)
        measured = measured_activations(config, batch_size, length, source_length)
        parts = activation_bytes(config, batch_size, length, source_length=source_length, accumulates=True)
        errors.append(abs(sum(parts.values()) / measured - 1))
        assert errors[-1] < 0.08, (seed, config)
        assert all(size > 0 for size in parts.values())
    assert statistics.mean(errors) < 0.03


@pytest.mark.parametrize("name", SMALL)
def test_activations_of_presets(name: str) -> None:
    for dropout in (0.0, 0.1):
        config = dataclasses.replace(SMALL[name], dropout=dropout)
        measured = measured_activations(config, 8, LENGTH)
        assert sum(activation_bytes(config, 8, LENGTH, accumulates=True).values()) == pytest.approx(measured, rel=0.05)


@pytest.mark.parametrize("slots", [{"position": "fire"}, {"activation": "solu"}], ids=str)
@pytest.mark.parametrize("topology", TOPOLOGIES)
def test_activations_of_a_network_of_distances_and_of_a_softmax(topology: str, slots: dict[str, str]) -> None:
    sizes: dict[str, int] = {"vocab_size": 300, "context_length": 96, "n_layer": 3, "d_model": 64}
    config = ModelConfig(topology=topology, **sizes, **slots)  # type: ignore[arg-type]
    measured = measured_activations(config, 2, 96, 96)
    estimated = activation_bytes(config, 2, 96, source_length=96, accumulates=True)
    assert sum(estimated.values()) == pytest.approx(measured, rel=0.02)


@pytest.mark.parametrize("name", SMALL)
def test_activations_of_blocks_that_are_computed_again(name: str) -> None:
    for dropout in (0.0, 0.1):
        config = dataclasses.replace(SMALL[name], dropout=dropout, n_layer=5)
        measured = measured_activations(config, 8, LENGTH, recomputes=True)
        estimated = sum(activation_bytes(config, 8, LENGTH, recomputes=True, accumulates=True).values())
        assert estimated == pytest.approx(measured, rel=0.05)
        assert estimated < sum(activation_bytes(config, 8, LENGTH, accumulates=True).values())


def test_blocks_that_are_computed_again_take_work() -> None:
    config = PRESETS["gpt2-124m"]
    forward = flops_per_token(config)
    head = 2 * config.d_model * config.vocab_size
    again = training_flops_per_token(config, recomputes=True) - training_flops_per_token(config)
    assert again == forward - head
    assert training_factor(config, None, recomputes=True) == pytest.approx(3 + again / forward)
    assert training_factor(config, TuneSpec(parent="a", mode="head"), recomputes=True) == 1
    with_ngrams = dataclasses.replace(config, max_ngram=3)
    assert flops_per_token(with_ngrams) > forward
    twice = training_flops_per_token(with_ngrams, recomputes=True) - training_flops_per_token(with_ngrams)
    assert twice == again, "n-gram embeddings lie outside the blocks"


def test_logits_only_where_the_loss_looks() -> None:
    config = dataclasses.replace(PRESETS["bert-tiny"], vocab_size=8192)
    everywhere = sum(activation_bytes(config, 4, 64).values())
    few = sum(activation_bytes(config, 4, 64, loss_fraction=0.15).values())
    assert few < everywhere - 0.85 * 4 * 4 * 64 * 8192


@pytest.mark.parametrize("state_dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("name", ["terrarium-tiny", "moe-tiny", "t5-tiny", "bert-tiny", "bart-tiny"])
def test_optimizer_states_are_those_that_torch_keeps(name: str, optimizer: str, state_dtype: str) -> None:
    config = SMALL[name]
    model = build_model(config)
    optimizers = make_optimizers(model, TrainConfig(optimizer=optimizer, state_dtype=state_dtype))
    for parameter in model.parameters():
        parameter.grad = torch.ones_like(parameter)

    def step() -> None:
        for each in optimizers:
            each.step()

    step()
    states = [value for each in optimizers for state in each.state.values() for value in state.values()]
    states = [value for value in states if isinstance(value, torch.Tensor)]
    estimated = training_memory(config, BATCH, LENGTH, optimizer, accumulates=True, state_dtype=state_dtype)
    assert estimated["Optimizer"] == sum(value.nbytes for value in states if value.dim() > 0)
    assert estimated["Weights"] == estimated["Gradients"] == sum(p.nbytes for p in model.parameters())
    needed = estimated["Update"] + estimated["Activations"]  # either may be the larger one
    assert needed >= 0.9 * peak_allocated(step, torch.device("cpu"))


@pytest.mark.parametrize("name", [name for name, config in SMALL.items() if config.topology != "encoder-only"])
def test_kv_cache_is_what_is_kept(name: str) -> None:
    config = SMALL[name]
    cache = KVCache(config.n_layer)
    ids = torch.zeros(BATCH, 10, dtype=torch.long)
    model = build_model(config)
    with torch.no_grad():
        model(ids[:, :7], ids, cache=cache) if isinstance(model, EncoderDecoder) else model(ids, cache=cache)
        none = torch.zeros(BATCH, config.kv_heads, 0, config.head_dim)
        kept = [tensor for layer in cache.layers for tensor in (*layer.extend(none, none), *(layer.cross or ()))]
    assert kv_cache_bytes(config, 10, BATCH, source_length=7) == sum(tensor.nbytes for tensor in kept)


def test_what_a_cache_needs() -> None:
    config = dataclasses.replace(PRESETS["llama-tiny"], sliding_window=8)
    whole = kv_cache_bytes(dataclasses.replace(config, sliding_window=0), 32)
    assert kv_cache_bytes(config, 32) == whole // 4
    assert kv_cache_bytes(config, 32, windowed=False) == whole
    assert kv_cache_bytes(PRESETS["bert-tiny"], 32) == 0


def test_costs_need_no_torch() -> None:
    code = "import sys, terrarium.models.design, terrarium.models.design.fit; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_large_design_takes_no_more_work_than_a_small_one() -> None:
    def calls(config: ModelConfig) -> int:
        """How many functions are called to count all that the panel of costs shows."""
        found = 0

        def count(frame: object, event: str, argument: object) -> None:
            nonlocal found
            found += event in ("call", "c_call")

        sys.setprofile(count)
        try:
            training_memory(config, 8, config.context_length)
            total_parameters(config)
        finally:
            sys.setprofile(None)
        return found

    huge = dataclasses.replace(
        PRESETS["mixtral-8x7b"], n_layer=1024, n_expert=4096, d_model=16_384, n_head=128, vocab_size=1_000_000
    )
    assert total_parameters(huge) > 10**15
    assert training_memory(huge, 8, huge.context_length)["Weights"] == 4 * total_parameters(huge)
    assert calls(huge) <= 1.1 * calls(PRESETS["moe-tiny"])


def test_an_encoder_decoder_has_two_stacks() -> None:
    found = parameters_by_component(PRESETS["t5-tiny"])
    assert [parts.stack for _, parts in stacks(PRESETS["t5-tiny"])] == ["Encoder", "Decoder"]
    assert {"Encoder attention", "Decoder attention", "Cross-attention", "Encoder feed-forward"} <= found.keys()


TUNED = {
    "all": {"mode": "all"},
    "head": {"mode": "head"},
    "head and rows": {"mode": "head", "train_embeddings": True},
    "last": {"mode": "last", "n_last": 1},
    "last, across stacks": {"mode": "last", "n_last": 4},
    "lora": {"mode": "lora", "lora_r": 3},
    "lora and rows": {"mode": "lora", "lora_r": 1, "train_embeddings": True},
}


@pytest.mark.parametrize("topology", TOPOLOGIES)
@pytest.mark.parametrize("mode", TUNED)
@pytest.mark.parametrize("seed", range(2))
def test_trained_parameters_of_a_fine_tuning(topology: str, mode: str, seed: int) -> None:
    config, *_ = random_design(topology, seed)
    config = dataclasses.replace(config, d_model=8 * config.n_head, d_head=0)
    tune = TuneSpec(parent="a", **TUNED[mode])
    spec = RunSpec(name="a", model=config, tokenizer=TokenizerSpec(), data=DataSpec(), train=TrainConfig(), tune=tune)
    model = build_run_model(spec)
    found = trained_parameters(config, tune)
    assert found.total == sum(p.numel() for p in model.parameters() if p.requires_grad)
    assert found.added == model.n_parameters - total_parameters(config)
    if tune.mode == "lora":
        assert found.matrices == found.added
    elif found.total:
        groups = [] if not found.matrices else make_optimizers(model, TrainConfig(optimizer="muon"))[0].param_groups
        assert found.matrices == sum(p.numel() for group in groups for p in group["params"])


@pytest.mark.parametrize("mode", [None, *TUNED])
def test_a_layer_that_looks_back_is_not_trained(mode: str | None) -> None:
    config = with_previous_token_heads(SMALL["terrarium-tiny"])
    tune = None if mode is None else TuneSpec(parent="a", **TUNED[mode])
    spec = RunSpec(name="a", model=config, tokenizer=TokenizerSpec(), data=DataSpec(), train=TrainConfig(), tune=tune)
    model = build_run_model(spec)
    found = trained_parameters(config, tune)
    assert found.total == sum(p.numel() for p in model.parameters() if p.requires_grad)
    if found.matrices and not found.added:
        groups = make_optimizers(model, TrainConfig(optimizer="muon"))[0].param_groups
        assert found.matrices == sum(p.numel() for group in groups for p in group["params"])


def test_memory_of_the_modes() -> None:
    config = SMALL["llama-tiny"]
    needed = {
        mode: training_memory(config, BATCH, LENGTH, "adamw", accumulates=True, tune=TuneSpec(parent="a", **settings))
        for mode, settings in TUNED.items()
    }
    assert needed["all"] == training_memory(config, BATCH, LENGTH, "adamw", accumulates=True)
    for mode, parts in needed.items():
        trained = trained_parameters(config, TuneSpec(parent="a", **TUNED[mode])).total
        assert (parts["Gradients"], parts["Optimizer"]) == (4 * trained, 8 * trained)
        assert 1 <= training_factor(config, TuneSpec(parent="a", **TUNED[mode])) <= 3
    table = 4 * config.vocab_size * config.d_model  # its gradient is made with the loss, where it is trained
    assert needed["last"]["Activations"] < needed["lora"]["Activations"] == needed["all"]["Activations"] - table
