"""Reading attention has no side effects, and returns exact weights and masks, whole or pooled."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from terrarium.models.architecture.trace import Trace
from terrarium.models.architecture.transformer import AnyModel, Decoder, EncoderDecoder, build_model
from terrarium.models.events import Progress, result_of
from terrarium.models.inference import prefill
from terrarium.models.inference.prefill import PrefixCache
from terrarium.models.inspect import attention, attention_pass
from terrarium.models.inspect.attention import read_attention, read_window
from terrarium.models.inspect.attention_maps import MAX, MEAN, StackMaps, pool, pooled_to, with_aggregates
from terrarium.models.settings.model_config import ModelConfig
from terrarium.models.settings.presets import PRESETS
from terrarium.models.training.optim import AdamW

V = 40
SMALL = {"vocab_size": V, "context_length": 64, "d_model": 32, "n_head": 4, "n_layer": 2, "d_ff": 48, "init_std": 0.3}
TOLERANCE = {"rtol": 1e-4, "atol": 1e-4}
"""Between fused and explicit attention in float32, of hidden states and logits some units large."""

IDS = tuple(torch.randint(0, V, (21,), generator=torch.Generator().manual_seed(1)).tolist())
SOURCE = tuple(torch.randint(0, V, (13,), generator=torch.Generator().manual_seed(2)).tolist())
FAMILIES = ("gpt2-tiny", "bert-tiny", "t5-tiny")


def make(config: ModelConfig) -> AnyModel:
    torch.manual_seed(0)
    small: dict[str, object] = {**SMALL, "zero_init_output": False, "n_encoder_layer": 0, "n_encoder_head": 0}
    small |= {"n_kv_head": 2 if config.n_kv_head else 0, "n_expert": 4 if config.n_expert else 0}
    return build_model(dataclasses.replace(config, **small)).eval()  # type: ignore[arg-type]


def read(model: AnyModel) -> dict[str, StackMaps]:
    source = SOURCE if isinstance(model, EncoderDecoder) else ()
    return {stack.kind: stack for stack in result_of(read_attention(model, IDS, source))}


def traced(model: AnyModel) -> dict[str, np.ndarray]:
    """All weights (H, T, S) by site."""
    trace = Trace(frozenset({"attention"}))
    with torch.no_grad():
        if isinstance(model, EncoderDecoder):
            model.hidden(torch.tensor([SOURCE]), torch.tensor([IDS]), trace=trace)
        else:
            model.hidden(torch.tensor([IDS]), trace=trace)
    return {site: weights[0].numpy() for site, weights in trace.attention.items()}


@torch.no_grad()
@pytest.mark.parametrize("name", PRESETS)
def test_reading_attention_has_no_side_effects(name: str) -> None:
    """Hidden states and logits of every family equal those of the fused kernel, which returns no weights."""
    model = make(PRESETS[name])
    ids, source = torch.tensor([IDS]), torch.tensor([SOURCE])
    trace = Trace(frozenset({"attention"}))
    inputs = (source, ids) if isinstance(model, EncoderDecoder) else (ids,)
    fast, explicit = model.hidden(*inputs), model.hidden(*inputs, trace=trace)
    assert trace.attention
    torch.testing.assert_close(explicit, fast, **TOLERANCE)
    torch.testing.assert_close(model.logits(explicit), model.logits(fast), **TOLERANCE)


@pytest.mark.parametrize("name", FAMILIES)
def test_maps_are_the_masked_weights(name: str) -> None:
    model = make(dataclasses.replace(PRESETS[name], sliding_window=0 if name == "bert-tiny" else 9))
    weights, stacks = traced(model), read(model)
    assert set(stacks) == ({"encoder", "decoder", "cross"} if name == "t5-tiny" else {"self"})
    for kind, stack in stacks.items():
        n_rows, n_columns = (
            len(SOURCE if kind == "encoder" else IDS),
            len(SOURCE if kind in ("encoder", "cross") else IDS),
        )
        distance = np.arange(n_columns)[None] - np.arange(n_rows)[:, None]
        seen = np.ones_like(distance, dtype=bool)
        if kind != "cross" and name != "bert-tiny":
            seen = (np.abs(distance) < 9) if kind == "encoder" else (distance <= 0) & (distance > -9)
        assert not stack.is_pooled
        assert stack.is_causal == (kind in ("self", "decoder") and name != "bert-tiny")
        for site in stack.sites:
            whole = weights[site.site]
            assert site.n_head == 4
            assert np.array_equal(np.isnan(site.weights), np.broadcast_to(~seen, site.weights.shape))
            assert np.array_equal(site.weights[:-2][:, seen], whole[:, seen])
            assert not whole[:, ~seen].any()
            np.testing.assert_allclose(site.weights[MEAN][seen], whole.mean(axis=0)[seen], rtol=1e-6)
            assert np.array_equal(site.weights[MAX][seen], whole.max(axis=0)[seen])
    model.train()
    state = torch.get_rng_state()
    again = read(model)
    assert model.training, "the mode is restored"
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.is_grad_enabled()
    assert not torch.is_inference_mode_enabled()
    for kind, stack in stacks.items():  # dropout is off
        assert np.array_equal(again[kind].sites[0].weights, stack.sites[0].weights, equal_nan=True)


@pytest.mark.parametrize("name", FAMILIES)
def test_long_texts_are_pooled_to_the_largest_of_each_block(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    model = make(PRESETS[name])
    whole = read(model)
    monkeypatch.setattr(attention, "MAX_BLOCKS", 6)
    for kind, stack in read(model).items():
        assert stack.is_pooled
        assert len(stack.rows) == len(stack.columns) == 7
        for site, exact in zip(stack.sites, whole[kind].sites, strict=True):
            assert site.weights.shape == (6, 6, 6)
            for r in range(6):
                for c in range(6):
                    block = exact.weights[:, stack.rows[r] : stack.rows[r + 1], stack.columns[c] : stack.columns[c + 1]]
                    is_hidden = np.isnan(block).all()
                    assert np.isnan(site.weights[:, r, c]).all() == is_hidden
                    if not is_hidden:
                        assert np.array_equal(site.weights[:, r, c], np.nanmax(block, axis=(1, 2)))
            for pattern, scores in exact.scores.items():
                assert np.array_equal(site.scores[pattern], scores, equal_nan=True), "measured before pooling"


@pytest.mark.parametrize("name", FAMILIES)
def test_any_window_is_read_again_exactly(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    model = make(PRESETS[name])
    whole = read(model)
    monkeypatch.setattr(attention, "MAX_BLOCKS", 4)
    source = SOURCE if isinstance(model, EncoderDecoder) else ()
    for stack in whole.values():
        for rows, columns in ((range(5, 9), range(2, 12)), (range(7, 8), range(int(stack.columns[-1])))):
            found = result_of(read_window(model, IDS, source, stack.kind, rows, columns))
            assert list(found) == [site.site for site in stack.sites]
            for site in stack.sites:
                part = site.weights[:, rows.start : rows.stop, columns.start : columns.stop]
                np.testing.assert_allclose(found[site.site], part, rtol=1e-4, atol=1e-6)


def test_a_window_of_attention_that_the_model_has_not_is_refused() -> None:
    """As a window is asked for while another model is chosen."""
    with pytest.raises(ValueError, match="This model has no cross attention"):
        result_of(read_window(make(PRESETS["gpt2-tiny"]), IDS, (), "cross", range(2), range(2)))


@pytest.mark.parametrize("name", ["gpt2-tiny", "llama-tiny", "bert-tiny", "t5-tiny"])
def test_a_row_is_read_exactly_from_the_prefix_cache(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(prefill.CHUNK_FLOPS, "cpu", 1.0)
    model, cache = make(PRESETS[name]), PrefixCache()
    ids = (IDS * 3)[:50]
    source = SOURCE if isinstance(model, EncoderDecoder) else ()
    stack = result_of(read_attention(model, ids, source, prefix_cache=cache))[-1]
    for query in (49, 20, 40, 0):
        rows, columns = range(query, query + 1), range(int(stack.columns[-1]))
        events = read_window(model, ids, source, stack.kind, rows, columns, cache)
        if isinstance(model, Decoder):
            n_pieces = sum(1 for _ in read_window(model, ids, source, stack.kind, rows, columns, cache))
            assert n_pieces == (2 if query == 49 else 1)  # the last chunk is not all cached
        found = result_of(events)
        for site in stack.sites:
            np.testing.assert_allclose(found[site.site][:, 0], site.weights[:, query], rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("name", FAMILIES)
def test_reading_in_chunks_changes_nothing(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A causal text is read with a cache; blocks may span chunks."""
    model = make(dataclasses.replace(PRESETS[name], sliding_window=0 if name == "bert-tiny" else 9))
    monkeypatch.setattr(attention, "MAX_BLOCKS", 6)
    whole = read(model)
    monkeypatch.setattr(attention_pass, "CHUNK_SIZE", 4)
    monkeypatch.setattr(attention, "CHUNK_SIZE", 64)  # for the texts that induction is measured with
    for kind, stack in read(model).items():
        for site, exact in zip(stack.sites, whole[kind].sites, strict=True):
            np.testing.assert_allclose(site.weights, exact.weights, rtol=1e-4, atol=1e-6)
            for pattern, scores in exact.scores.items():
                np.testing.assert_allclose(site.scores[pattern], scores, rtol=1e-4, atol=1e-5)


def test_all_weights_are_never_held_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attention, "MAX_BYTES", 40_000)
    made: list[int] = []
    score = attention.score_rows

    def noted(weights: np.ndarray, *rest: object, **named: object) -> object:
        made.append(weights.nbytes)
        return score(weights, *rest, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(attention, "score_rows", noted)
    config = dataclasses.replace(PRESETS["gpt2-tiny"], **{**SMALL, "n_layer": 6, "context_length": 300})
    reading = read_attention(build_model(config), [i % V for i in range(300)])
    assert [(event.done, event.total) for event in [next(reading)] if isinstance(event, Progress)] == [(128, 300)]
    (stack,) = result_of(reading)
    assert sum(site.weights.nbytes for site in stack.sites) <= 40_000
    assert max(made) <= 4 * 128 * 300 * 4
    monkeypatch.setattr(attention_pass, "MAX_WEIGHTS", 1000)
    with pytest.raises(ValueError, match="shorten the text to 15"):
        read(make(PRESETS["bert-tiny"]))


def test_nan_weights_are_refused() -> None:
    model = make(PRESETS["gpt2-tiny"])
    with torch.no_grad():
        model.embedding.weight.fill_(torch.nan)
    with pytest.raises(ValueError, match="not a number"):
        read(model)


def test_there_must_be_a_text() -> None:
    for name in FAMILIES:
        with pytest.raises(ValueError, match="no text"):
            result_of(read_attention(make(PRESETS[name]), ()))
    with pytest.raises(ValueError, match="no text"):
        result_of(read_attention(make(PRESETS["t5-tiny"]), IDS, ()))
    with pytest.raises(ValueError, match="do not fit the context"):
        result_of(read_attention(make(PRESETS["gpt2-tiny"]), IDS * 4))


def test_pooling_by_hand() -> None:
    weights = np.array([[[1.0, 0, 0, 0], [0.5, 0.5, 0, 0], [0.1, 0.2, 0.7, 0], [0.4, 0.3, 0.2, 0.1]]], np.float32)
    edges = np.array([0, 1, 4])
    pooled = pool(weights, np.tri(4, dtype=bool), edges, edges)
    assert np.array_equal(pooled, np.array([[[1.0, np.nan], [0.5, 0.7]]], np.float32), equal_nan=True)
    assert np.array_equal(pooled_to(pooled, 1), [[[1.0]]])
    assert pooled_to(pooled, 2) is pooled
    both = with_aggregates(np.stack([weights[0], 1 - weights[0]]))
    assert np.array_equal(both[MEAN], np.full((4, 4), 0.5, np.float32))
    assert both[MAX][0, 0] == 1


def test_a_model_that_was_trained_to_copy_has_induction_heads() -> None:
    """One layer suffices where a short convolution gives each token its predecessor."""
    torch.manual_seed(0)
    config = ModelConfig(
        vocab_size=24,
        context_length=64,
        n_layer=1,
        n_head=2,
        d_model=32,
        position="none",
        norm="rmsnorm",
        bias="none",
        conv_width=3,
        init_std=0.1,
    )
    model, others, text, length = build_model(config), range(1, 24), (0, 1, 2, 3), 10
    (before,) = result_of(read_attention(model, text, random_ids=others))
    optimizer = AdamW(model.parameters(), lr=1e-2, weight_decay=0.0)
    generator = torch.Generator().manual_seed(0)
    for _ in range(150):
        random = torch.rand(16, 23, generator=generator).argsort(dim=1)[:, :length] + 1
        ids = torch.cat((torch.zeros(16, 1, dtype=torch.long), random, random), dim=1)
        logits = model(ids[:, :-1])[:, length:]
        loss = torch.nn.functional.cross_entropy(logits.reshape(-1, 24), ids[:, length + 1 :].reshape(-1))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    (after,) = result_of(read_attention(model, text, random_ids=others))
    assert before.sites[0].scores["induction"].max() < 0.1
    assert after.sites[0].scores["induction"].max() > 0.7
    (untold,) = result_of(read_attention(model, text))
    assert np.isnan(untold.sites[0].scores["induction"]).all()
