"""Weights in fewer bytes: what they lose is bounded, the original stays as it was, and what is measured is real."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from tokenizers import Tokenizer
from torch import nn

from terrarium.models.architecture.cache import KVCache
from terrarium.models.architecture.heads import LanguageHead
from terrarium.models.architecture.transformer import Decoder, build_model
from terrarium.models.inference import weights
from terrarium.models.inference.continuation import Continuation, next_logits
from terrarium.models.inference.fast_decoder import FastDecoder
from terrarium.models.inference.held_out import HeldOut, held_out_texts
from terrarium.models.inference.measure_weights import N_PREDICTED, measure_weights
from terrarium.models.inference.weight_kinds import KINDS, WeightsMeasured
from terrarium.models.inference.weights import (
    Bfloat16Linear,
    HalvedInt8Linear,
    Int4Linear,
    Int8Linear,
    QuantizedHead,
    megabytes,
    prepare_weights,
    slower_reason,
)
from terrarium.models.library.library import Library
from terrarium.models.settings.presets import PRESETS

TINY = dataclasses.replace(PRESETS["llama-tiny"], vocab_size=261, context_length=64, n_layer=2, d_model=32)
NARROW = [kind for kind in KINDS if kind != "float32"]


@pytest.mark.parametrize("n_tokens", [1, 3, 40])
@pytest.mark.parametrize("shape", [(24, 32), (7, 40), (130, 17)])
def test_int8_is_within_its_rounding(shape: tuple[int, int], n_tokens: int) -> None:
    torch.manual_seed(0)
    layer = nn.Linear(shape[1], shape[0])
    narrow = Int8Linear(layer.weight, layer.bias)
    x = torch.randn(n_tokens, shape[1]).bfloat16().float()
    with torch.inference_mode():
        kept = narrow.dequantized()
        half_a_step = layer.weight.abs().amax(dim=1, keepdim=True) / 127 / 2
        assert bool(((kept - layer.weight).abs() <= half_a_step * 1.01).all())
        exact = F.linear(x, kept, layer.bias)
        assert torch.allclose(narrow(x), exact, atol=2**-7 * float(exact.abs().max()))  # bfloat16 has 8 bits
        assert narrow(x[None]).shape == (1, n_tokens, shape[0])


@pytest.mark.parametrize("n_tokens", [1, 3, 40])
@pytest.mark.parametrize("shape", [(24, 32), (7, 40), (130, 17), (64, 96)])
def test_int4_is_within_its_rounding(shape: tuple[int, int], n_tokens: int) -> None:
    torch.manual_seed(0)
    layer = nn.Linear(shape[1], shape[0])
    narrow = Int4Linear(layer.weight, layer.bias)
    x = torch.randn(n_tokens, shape[1]).bfloat16().float()
    with torch.inference_mode():
        kept = narrow.dequantized()
        groups = F.pad(layer.weight, (0, -shape[1] % 32)).unflatten(1, (-1, 32))
        step = (groups.amax(dim=-1) - groups.amin(dim=-1)) / 15
        error = F.pad(kept - layer.weight, (0, -shape[1] % 32)).unflatten(1, (-1, 32)).square().mean(dim=-1).sqrt()
        assert bool((error <= step / 12**0.5 * 1.3).all())  # that of rounding alone; beside it, scales are rounded
        exact = F.linear(x, kept, layer.bias)
        assert torch.allclose(narrow(x), exact, atol=2**-7 * float(exact.abs().max()))
        assert narrow(x[None]).shape == (1, n_tokens, shape[0])


@pytest.mark.parametrize("n_tokens", [1, 3, 40])
@pytest.mark.parametrize("shape", [(24, 32), (7, 40), (130, 17), (64, 96)])
def test_int8_in_halves_is_within_its_rounding(shape: tuple[int, int], n_tokens: int) -> None:
    torch.manual_seed(0)
    layer = nn.Linear(shape[1], shape[0])
    narrow = HalvedInt8Linear(layer.weight, layer.bias)
    x = torch.randn(n_tokens, shape[1]).bfloat16().float()
    with torch.inference_mode():
        kept = narrow.dequantized()
        groups = F.pad(layer.weight, (0, -shape[1] % 32)).unflatten(1, (-1, 32))
        half_a_step = groups.abs().amax(dim=-1, keepdim=True) / 127 / 2
        error = F.pad(kept - layer.weight, (0, -shape[1] % 32)).unflatten(1, (-1, 32)).abs()
        of_halves = (groups.abs() + 32 * half_a_step) / 2**8  # read back, they are in bfloat16: 16 steps and the rest
        assert bool((error <= half_a_step * 1.01 + of_halves).all())
        exact = F.linear(x, kept, layer.bias)
        assert torch.allclose(narrow(x), exact, atol=2**-6 * float(exact.abs().max()))
        assert narrow(x[None]).shape == (1, n_tokens, shape[0])


def test_a_head_is_kept_in_halves_where_there_is_a_kernel_for_them(monkeypatch: pytest.MonkeyPatch) -> None:
    model = build_model(TINY)
    matrices = {}
    for has_kernel in (True, False):
        monkeypatch.setattr(weights, "has_int4_kernel", lambda has_kernel=has_kernel: has_kernel)
        for kind in ("int8", "int4"):
            head = prepare_weights(model, kind).head
            assert isinstance(head, QuantizedHead)
            matrices[has_kernel, kind] = type(head.matrix)
    assert matrices[True, "int8"] is matrices[True, "int4"] is HalvedInt8Linear
    assert matrices[False, "int8"] is matrices[False, "int4"] is Int8Linear


def test_int4_keeps_weights_of_sixteen_steps_as_they_are() -> None:
    """As in a GGUF of Q4_1: each block of 32 has its least and its greatest weight, and 14 between."""
    torch.manual_seed(0)
    quanta = torch.stack([torch.randperm(32) % 16 for _ in range(6)]).view(2, 96)
    scale, least = torch.rand(2, 3, 1).repeat_interleave(32, dim=2).view(2, 96) + 0.1, torch.randn(2, 1)
    weight = quanta * scale + least
    error = (Int4Linear(weight, None).dequantized() - weight).abs()
    assert bool((error < 0.15 * scale).all())  # of a step: scales and offsets have 8 bits


def test_int4_without_its_kernel_and_moved_away_is_the_same_in_bfloat16(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    weight, x = torch.randn(24, 40), torch.randn(2, 40)
    packed = Int4Linear(weight, None)
    moved = Int4Linear(weight, None).to("meta")
    assert moved.weight.shape == weight.shape
    monkeypatch.setattr(weights, "has_int4_kernel", lambda: False)
    plain = Int4Linear(weight, None)
    assert plain.weight.dtype == torch.bfloat16
    assert torch.allclose(plain(x), packed(x), atol=0.1)
    assert "no int4 kernel" in slower_reason("int4", torch.device("cpu"))
    monkeypatch.undo()
    monkeypatch.setattr(weights, "_int4_kernel", torch.matmul)  # which takes other arguments, as another torch might
    assert not weights.has_int4_kernel.__wrapped__()


@pytest.mark.parametrize("narrow", [Int8Linear, HalvedInt8Linear, Int4Linear])
def test_a_row_of_zeros_stays_zero(narrow: type[Int8Linear] | type[HalvedInt8Linear] | type[Int4Linear]) -> None:
    assert torch.equal(narrow(torch.zeros(3, 32), None)(torch.ones(1, 32)), torch.zeros(1, 3))


def test_without_the_kernel_weights_are_dequantized(monkeypatch: pytest.MonkeyPatch) -> None:
    layer = Int8Linear(torch.randn(24, 40), torch.randn(24))
    x = torch.randn(1, 40)
    expected = layer(x)
    monkeypatch.setattr(weights, "_int8_kernel", F.linear)  # which refuses whole numbers, as another torch might
    assert not weights.has_int8_kernel.__wrapped__()
    monkeypatch.setattr(weights, "has_int8_kernel", lambda: False)
    assert torch.allclose(layer(x), expected, atol=0.05)
    assert "no int8 kernel" in slower_reason("int8", torch.device("cpu"))
    assert slower_reason("bfloat16", torch.device("cpu")) == ""


@pytest.mark.parametrize("kind", NARROW)
@pytest.mark.parametrize("preset", ["terrarium-tiny", "gpt2-tiny", "llama-tiny", "moe-tiny", "bert-tiny", "t5-tiny"])
def test_every_family_keeps_most_of_its_predictions(preset: str, kind: str) -> None:
    torch.manual_seed(0)
    config = dataclasses.replace(PRESETS[preset], vocab_size=101, n_layer=2, d_model=64, dropout=0.0)
    model = build_model(config).eval()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    narrow = prepare_weights(model, kind)
    ids = torch.randint(101, (1, 12))
    arguments = (ids, ids) if config.topology == "encoder-decoder" else (ids,)
    with torch.inference_mode():
        exact, rounded = model(*arguments), narrow(*arguments)
    assert not torch.equal(exact, rounded)
    assert float((exact - rounded).norm() / exact.norm()) < (0.2 if kind == "int4" else 0.05)
    assert all(torch.equal(tensor, model.state_dict()[name]) for name, tensor in before.items())
    assert megabytes(narrow) < megabytes(model)


@pytest.mark.parametrize("kind", NARROW)
@pytest.mark.parametrize("tied", [True, False])
def test_the_head_returns_its_dequantized_matrix(kind: str, tied: bool) -> None:
    head = prepare_weights(build_model(dataclasses.replace(TINY, tied_embeddings=tied)), kind).head
    hidden = torch.randn(2, 32).bfloat16().float()
    assert isinstance(head, LanguageHead)
    assert head.weight is not None
    with torch.inference_mode():
        assert torch.allclose(head(hidden, torch.zeros(0)), hidden @ head.weight.t(), atol=2e-3)


@pytest.mark.parametrize("kind", NARROW)
def test_the_fast_decoder_supports_them(kind: str) -> None:
    torch.manual_seed(0)
    narrow = prepare_weights(build_model(TINY), kind)
    assert isinstance(narrow, Decoder)
    assert FastDecoder.covers(narrow)
    cache, ids = KVCache(TINY.n_layer), torch.randint(261, (1, 20))
    text = Continuation(narrow, ids[0].tolist(), -1)
    for new in (ids, ids[:, :1], ids[:, 3:4]):
        expected = next_logits(narrow, new, cache)
        assert torch.allclose(text.next_logits(new), expected, atol=0.02 * float(expected.abs().max()))


@pytest.mark.parametrize("kind", ["int8", "int4"])
def test_the_fast_decoder_joins_matrices_with_one_input_and_keeps_them_once(kind: str) -> None:
    torch.manual_seed(0)
    narrow = prepare_weights(build_model(dataclasses.replace(TINY, d_model=64, n_head=2, n_kv_head=1, d_head=64)), kind)
    assert isinstance(narrow, Decoder)
    layer, ids = narrow.blocks[0], torch.randint(261, (1, 9))
    matrices = (layer.attention.query, layer.attention.key, layer.attention.value)
    with torch.inference_mode():
        before = narrow(ids)[:, -1]
    text = Continuation(narrow, ids[0, :-1].tolist(), -1)
    text.next_logits(ids[:, :-1])
    after = text.next_logits(ids[:, -1:])
    assert torch.allclose(after, before, atol=0.02 * float(before.abs().max()))
    places = {matrix.weight.untyped_storage().data_ptr() for matrix in matrices}
    assert len(places) == 1
    again = Continuation(narrow, ids[0, :-1].tolist(), -1)  # of the next reply: nothing is copied once more
    again.next_logits(ids[:, :-1])
    assert torch.equal(again.next_logits(ids[:, -1:]), after)
    assert {matrix.weight.untyped_storage().data_ptr() for matrix in matrices} == places
    with torch.inference_mode():
        assert torch.equal(narrow(ids)[:, -1], before)


def test_gradients_reach_the_input() -> None:
    x = torch.randn(1, 32, requires_grad=True)
    for narrow in (Int8Linear, HalvedInt8Linear, Int4Linear, Bfloat16Linear):
        layer = narrow(torch.randn(8, 32), None)
        (gradient,) = torch.autograd.grad(layer(x).sum(), x)
        assert float(gradient.abs().sum()) > 0


def test_kinds_are_checked_and_float32_is_the_model_itself() -> None:
    model = build_model(TINY)
    assert prepare_weights(model, "float32") is model
    with pytest.raises(ValueError, match="float32, bfloat16, int8, int4"):
        prepare_weights(model, "int3")


def test_what_is_measured_is_the_perplexity() -> None:
    torch.manual_seed(0)
    model = build_model(TINY).eval()
    ids = torch.randint(261, (30,)).tolist()
    *_, measured = measure_weights(model, HeldOut("a text", [ids]))
    assert isinstance(measured, WeightsMeasured)
    assert [row.kind for row in measured.rows] == list(KINDS)
    assert (measured.text, measured.n_predicted) == ("a text", 29)
    with torch.inference_mode():
        loss = F.cross_entropy(model(torch.tensor([ids[:-1]]))[0], torch.tensor(ids[1:]))
    exact = measured.rows[0]
    assert exact.perplexity == pytest.approx(math.exp(float(loss)), rel=1e-4)
    assert exact.change == 0
    for row in measured.rows:
        assert row.change == pytest.approx(row.perplexity / exact.perplexity - 1, abs=1e-6)
        assert abs(row.change) < (0.1 if row.kind == "int4" else 0.02)
        assert row.tokens_per_s > 0
        assert row.read_per_s > 0
    assert measured.rows[2].megabytes < measured.rows[1].megabytes < exact.megabytes


def test_long_texts_are_read_in_windows_up_to_a_limit() -> None:
    model = build_model(TINY).eval()
    *_, measured = measure_weights(model, HeldOut("x", [[1], [1, 2], [3] * 10_000]), ["float32"])
    assert isinstance(measured, WeightsMeasured)
    assert measured.n_predicted == N_PREDICTED


def test_only_what_counts_is_predicted() -> None:
    torch.manual_seed(0)
    model = build_model(TINY).eval()
    ids = torch.randint(261, (12,)).tolist()
    counted = [False] * 8 + [True] * 4
    prompt, reply = HeldOut("x", [ids[:8]], [[False] * 8]), HeldOut("x", [ids] * 3, [counted] * 3)
    *_, measured = measure_weights(model, reply, ["float32"])
    assert isinstance(measured, WeightsMeasured)
    assert measured.n_predicted == 12
    with torch.inference_mode():
        loss = F.cross_entropy(model(torch.tensor([ids[:-1]]))[0][-4:], torch.tensor(ids[-4:]))
    assert measured.rows[0].perplexity == pytest.approx(math.exp(float(loss)), rel=1e-4)
    with pytest.raises(ValueError, match="too little text"):
        next(measure_weights(model, prompt))


def test_unsupported_models_raise_a_sentence() -> None:
    with pytest.raises(ValueError, match="Only a decoder"):
        next(measure_weights(build_model(PRESETS["bert-tiny"]), HeldOut("x", [[1, 2]])))
    with pytest.raises(ValueError, match="too little text"):
        next(measure_weights(build_model(TINY), HeldOut("x", [[1]])))
    model = build_model(TINY).eval()
    with torch.no_grad():
        model.embedding.weight.fill_(torch.nan)
    with pytest.raises(ValueError, match="diverged"):
        list(measure_weights(model, HeldOut("x", [[1, 2]]), ["float32"]))


def test_imported_models_are_measured_on_stories(byte_tokenizer: Tokenizer, tmp_path: Path, library: Library) -> None:
    found = held_out_texts(tmp_path, byte_tokenizer, library)
    assert found.label == "stories of Tiny World"
    assert len(found.texts[0]) > N_PREDICTED
