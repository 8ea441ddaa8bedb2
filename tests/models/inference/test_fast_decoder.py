"""The fast path writes what the model says: its logits are the ordinary path's, for every design and at every step."""

from __future__ import annotations

import copy
import dataclasses
import itertools

import pytest
import torch
from torch import Tensor, nn

from terrarium.models.architecture.cache import KVCache
from terrarium.models.architecture.transformer import Decoder, build_model
from terrarium.models.inference import fast_decoder
from terrarium.models.inference import fast_matmul as matrices
from terrarium.models.inference.continuation import Continuation, next_logits
from terrarium.models.inference.fast_decoder import FastDecoder
from terrarium.models.inference.threads import StepThreads
from terrarium.models.inference.weight_kinds import KINDS
from terrarium.models.inference.weights import prepare_weights
from terrarium.models.settings.activations import ACTIVATIONS
from terrarium.models.settings.model_config import ModelConfig
from terrarium.models.settings.norms import NORMS
from terrarium.models.settings.positions import POSITIONS
from terrarium.models.settings.presets import PRESETS
from tests.models.designs import random_design

TOLERANCE = 5e-6
"""Of the largest logit: what sums in another order differ by, in float32."""
DECODERS = [name for name, c in PRESETS.items() if c.topology == "decoder-only" and name.endswith("-tiny")]
TINY = dataclasses.replace(PRESETS["llama-tiny"], vocab_size=101, context_length=48, n_layer=2, d_model=32)


def decoder(config: ModelConfig) -> Decoder:
    """With weights that are all of some size, so that each of them shows in the logits."""
    torch.manual_seed(0)
    model = build_model(config).eval()
    assert isinstance(model, Decoder)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    return model


def pieces(config: ModelConfig, *lengths: int) -> list[Tensor]:
    """Random ids of such lengths."""
    return list(torch.randint(config.vocab_size, (1, sum(lengths))).split(lengths, dim=1))


def check_equal(model: Decoder, texts: list[Tensor]) -> None:
    """Read piece by piece, both ways give the same logits."""
    fast, ours, reference = FastDecoder(model), KVCache(model.config.n_layer), KVCache(model.config.n_layer)
    for ids in texts:
        assert fast.supports(ids, ours)
        with torch.inference_mode():
            logits = fast.next_logits(ids, ours)
        expected = next_logits(model, ids, reference)
        assert logits.shape == expected.shape
        assert float((logits - expected).abs().max()) <= TOLERANCE * float(expected.abs().max())
    assert ours.length == reference.length


@pytest.mark.parametrize("name", DECODERS)
def test_presets_say_the_same(name: str) -> None:
    config = dataclasses.replace(PRESETS[name], context_length=64)
    check_equal(decoder(config), pieces(config, 9, *[1] * 12))


@pytest.mark.parametrize("seed", range(14))
def test_all_designs_say_the_same(seed: int) -> None:
    design, *_ = random_design("decoder-only", seed)
    small = {"n_layer": min(design.n_layer, 2), "d_model": 16 * design.n_head}
    config = dataclasses.replace(design, context_length=40, head="language", **small)
    check_equal(decoder(config), pieces(config, 18, *[1] * 4))  # longer than any window


@pytest.mark.parametrize(
    "changes",
    [
        *({"position": name} for name in POSITIONS),
        *({"norm": name} for name in NORMS),
        *({"activation": name} for name in ACTIVATIONS),
        {"nope_interval": 2},
        {"rope_fraction": 0.5},
        {"rope_fraction": 0.25, "rope_scaling": "dynamic", "rope_factor": 2.0, "rope_original_context": 12},
        {"nope_interval": 1, "qk_norm": True},
        {"sliding_window": 6},
        {"sliding_window": 6, "position": "alibi"},
        {"n_kv_head": 1},
        {"conv_width": 3, "qk_norm": True},
        {"max_ngram": 3, "ngram_rows": 50, "conv_width": 3},
        {"n_expert": 4, "n_expert_used": 2},
        {"norm_place": "post", "bias": "all", "norm": "layernorm"},
        {"rope_scaling": "dynamic", "rope_factor": 2.0, "rope_original_context": 12},
        {"rope_scaling": "yarn", "rope_factor": 4.0, "rope_original_context": 12},
    ],
    ids=str,
)
@pytest.mark.parametrize(("first", "steps"), [(1, 8), (12, 4)])
def test_each_kind_of_part_says_the_same(changes: dict[str, object], first: int, steps: int) -> None:
    config = dataclasses.replace(TINY, **changes)
    check_equal(decoder(config), pieces(config, first, *[1] * steps))


@pytest.mark.parametrize("in_pairs", [False, True])
@pytest.mark.parametrize("n_rows", [8, 9, 515])
def test_strips_of_a_large_matrix_are_the_matrix(n_rows: int, in_pairs: bool) -> None:
    module = nn.Linear(200_000 // n_rows, n_rows)
    products = matrices.Products(matrices.batch_linear(), in_pairs)
    product, x = matrices.make_matmul(module, products, StepThreads()), torch.randn(1, module.in_features)
    with torch.inference_mode():
        expected = module(x)
        out, total = torch.empty(1, n_rows), torch.ones(1, n_rows)
        product.into(x, out)
        product.add_to(total, x)
        for result in (product(x), out, total - 1):
            assert torch.allclose(result, expected, atol=1e-4)


def test_without_one_dnn_torch_multiplies(monkeypatch: pytest.MonkeyPatch) -> None:
    def other(*arguments: object) -> Tensor:
        raise RuntimeError("no such operation")

    monkeypatch.setattr(matrices, "_one_dnn_linear", other)
    assert matrices.batch_linear.__wrapped__() is torch.nn.functional.linear
    monkeypatch.setattr(matrices, "_one_dnn_linear", lambda x, weight, bias: x @ weight.t())  # says something else
    assert matrices.batch_linear.__wrapped__() is torch.nn.functional.linear


def test_a_model_in_training_is_read_as_it_is_now() -> None:
    model = decoder(TINY).train()
    ids = torch.randint(TINY.vocab_size, (1, 8))
    text, cache = Continuation(model, ids[0].tolist(), -1), KVCache(TINY.n_layer)
    for new in (ids, *torch.randint(TINY.vocab_size, (3, 1, 1))):
        logits, stale = text.next_logits(new), next_logits(model, new, copy.deepcopy(cache))
        assert torch.allclose(logits, next_logits(model, new, cache), atol=1e-4)
        with torch.no_grad():
            for parameter in model.parameters():  # as an optimizer does
                parameter.add_(0.1 * torch.randn_like(parameter))
        assert not torch.allclose(stale, next_logits(model, new, copy.deepcopy(cache)), atol=1e-2)
    assert model.training


SHAPES: tuple[dict[str, object], ...] = (
    {},
    {"vocab_size": 1003, "bias": "all"},
    {"d_ff": 1111},
    {"n_expert": 3, "n_expert_used": 2},
)


@pytest.mark.parametrize(
    ("changes", "kind", "in_pairs"),
    [
        *itertools.product(SHAPES, KINDS, [False]),
        *itertools.product(SHAPES, ["float32"], [True]),
        ({"n_kv_head": 1}, "float32", False),  # no matter of how weights are kept
        ({"position": "alibi"}, "bfloat16", False),
        ({"norm": "layernorm"}, "int8", False),
    ],
    ids=str,
)
def test_a_step_is_the_same_to_the_last_bit_with_any_number_of_threads(
    changes: dict[str, object], kind: str, in_pairs: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where a matrix's rows are no multiple of anything, and where there are more threads than strips."""
    if in_pairs:
        monkeypatch.setattr(fast_decoder, "_CACHED", 0)
        monkeypatch.setattr(fast_decoder, "pairs_are_faster", lambda: True)
    config = dataclasses.replace(TINY, d_model=320, n_head=5, n_kv_head=5, context_length=200)
    model = prepare_weights(decoder(dataclasses.replace(config, **changes)), kind)
    assert isinstance(model, Decoder)
    n_before, fast, read = torch.get_num_threads(), FastDecoder(model), torch.randint(101, (1, 150))
    numbers = (1, 2, 3, 8)
    try:
        first = KVCache(config.n_layer)
        with torch.inference_mode():
            fast.next_logits(read, first)
            caches = [copy.deepcopy(first) for _ in numbers]
            for new in torch.randint(101, (2, 1, 1)):
                logits = []
                for n_threads, cache in zip(numbers, caches, strict=True):
                    torch.set_num_threads(n_threads)
                    logits.append(fast.read(new, cache))
                    assert torch.get_num_threads() == n_threads
                assert all(torch.equal(logits[0], others) for others in logits[1:])
                torch.set_num_threads(n_before)
    finally:
        torch.set_num_threads(n_before)


def test_beams_take_the_ordinary_path_and_come_back() -> None:
    model = decoder(TINY)
    ids = torch.randint(TINY.vocab_size, (1, 5))
    text = Continuation(model, ids[0].tolist(), -1)
    text.next_logits(ids)
    text.select(torch.tensor([0, 0]))
    two = text.next_logits(torch.tensor([[3], [4]]))
    text.select(torch.tensor([1]))
    one = text.next_logits(torch.tensor([[6]]))
    for logits, after in ((two[:1], [3]), (two[1:], [4]), (one, [4, 6])):
        whole = model(torch.cat((ids, torch.tensor([after])), dim=1))[:, -1]
        assert torch.allclose(logits, whole, atol=1e-4)


def test_what_it_does_not_cover_takes_the_ordinary_path() -> None:
    model = decoder(TINY)
    assert FastDecoder.covers(model)
    assert not FastDecoder.covers(decoder(TINY).bfloat16())
    assert not FastDecoder.covers(build_model(PRESETS["bert-tiny"]))
    assert not FastDecoder.covers(build_model(PRESETS["t5-tiny"]))
    fast, cache = FastDecoder(model), KVCache(TINY.n_layer)
    assert fast.supports(torch.zeros(1, 48, dtype=torch.long), cache)
    assert not fast.supports(torch.zeros(1, 49, dtype=torch.long), cache)  # which is refused in a sentence
    assert not fast.supports(torch.zeros(2, 3, dtype=torch.long), cache)
    next_logits(model, torch.zeros(1, 3, dtype=torch.long), cache)
    assert not fast.supports(torch.zeros(1, 2, dtype=torch.long), cache)
    assert fast.supports(torch.zeros(1, 1, dtype=torch.long), cache)
