"""What a trace collects is what happened, and collecting it changes nothing."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from torch import Tensor

from terrarium.models.architecture.positions import rotate
from terrarium.models.architecture.trace import Patch, Trace
from terrarium.models.architecture.transformer import AnyModel, Decoder, EncoderDecoder, build_model
from terrarium.models.settings.model_config import ModelConfig
from terrarium.models.settings.presets import PRESETS

V = 30
SMALL = {"vocab_size": V, "context_length": 24, "d_model": 32, "n_head": 4, "n_layer": 2, "init_std": 0.3}
NAMES = [name for name in PRESETS if name.endswith("-tiny")]
CONFIGS = {
    **{name: PRESETS[name] for name in NAMES},
    "alibi, window": ModelConfig(position="alibi", sliding_window=3, n_kv_head=2),
    "t5 bias, multi-query": ModelConfig(position="t5", n_kv_head=1, norm_place="post"),
}


def make(config: ModelConfig) -> AnyModel:
    torch.manual_seed(0)
    small = dataclasses.replace(config, zero_init_output=False, **SMALL)  # type: ignore[arg-type]
    return build_model(small).double().eval()


@pytest.fixture(params=CONFIGS, scope="module")
def model(request: pytest.FixtureRequest) -> AnyModel:
    return make(CONFIGS[request.param])


def run(model: AnyModel, trace: Trace | None, seed: int = 1) -> Tensor:
    """Logits of two texts, one of them padded."""
    generator = torch.Generator().manual_seed(seed)
    ids, target = (torch.randint(0, V, (2, n), generator=generator) for n in (9, 6))
    mask = torch.arange(9) < torch.tensor([[9], [5]])
    if isinstance(model, EncoderDecoder):
        return model(ids, target, source_mask=mask, trace=trace)  # type: ignore[no-any-return]
    return model(ids, mask=mask, trace=trace)  # type: ignore[no-any-return]


def stacks(model: AnyModel) -> dict[str, int]:
    """Number of blocks by the site's beginning."""
    if isinstance(model, EncoderDecoder):
        return {"encoder.": len(model.encoder.blocks), "decoder.": len(model.decoder.blocks)}
    return {"": len(model.blocks)}


@torch.no_grad()
def test_tracing_changes_nothing(model: AnyModel) -> None:
    untraced = run(model, None)
    torch.testing.assert_close(run(model, Trace()), untraced, rtol=1e-4, atol=1e-5)  # weights are kept in float32
    torch.testing.assert_close(run(model, Trace(wanted=frozenset({"residual", "router"}))), untraced)
    assert torch.equal(run(model, None), untraced)


@torch.no_grad()
def test_every_site_is_collected_once(model: AnyModel) -> None:
    trace = Trace()
    run(model, trace)
    attention, residual, router = set(), set(), set()
    for site, n in stacks(model).items():
        residual |= {f"{site}embedding", *(f"{site}blocks.{i}" for i in range(n))}
        for i in range(n):
            attention.add(f"{site}blocks.{i}.attention")
            if site == "decoder.":
                attention.add(f"{site}blocks.{i}.cross_attention")
            if model.config.n_expert:
                router.add(f"{site}blocks.{i}.feed_forward")
    assert set(trace.attention) == attention
    assert set(trace.residual) == residual
    assert set(trace.router) == router
    only = Trace(wanted=frozenset({"residual"}))
    run(model, only)
    assert not only.attention
    assert set(only.residual) == residual


@torch.no_grad()
def test_attention_weights_are_shares_of_what_may_be_seen(model: AnyModel) -> None:
    trace = Trace()
    run(model, trace)
    for site, weights in trace.attention.items():
        length = 6 if site.startswith("decoder.") else 9
        seen = 6 if site.startswith("decoder.") and "cross" not in site else 9
        assert weights.shape == (2, 4, length, seen)
        torch.testing.assert_close(weights.sum(dim=-1), torch.ones(2, 4, length))
        if model.config.topology != "encoder-only" and not site.startswith("encoder.") and "cross" not in site:
            assert weights.triu(1).abs().max() == 0
        if site.startswith("encoder.") or "cross" in site or model.config.topology == "encoder-only":
            real = weights[1, :, : 5 if length == 9 else 6]
            assert real[..., 5:].max() == 0  # padding
            assert real[..., :5].min() > 0


@torch.no_grad()
@pytest.mark.parametrize("name", [name for name, config in CONFIGS.items() if config.topology == "decoder-only"])
def test_attention_weights_equal_an_explicit_computation(name: str) -> None:
    """In the first block of a decoder: softmax of scaled, rotated, biased products."""
    model = make(CONFIGS[name])
    assert isinstance(model, Decoder)
    trace, config = Trace(), model.config
    ids = torch.randint(0, V, (1, 7), generator=torch.Generator().manual_seed(3))
    model(ids, trace=trace)
    block = model.blocks[0]
    x = trace.residual["embedding"]
    h = block.attention_norm(x) if config.norm_place == "pre" else x
    if block.attention_conv is not None:
        h = block.attention_conv(h, None, None)
    q = block.attention.query(h).unflatten(-1, (config.n_head, -1)).transpose(1, 2)
    k = block.attention.key(h).unflatten(-1, (config.kv_heads, -1)).transpose(1, 2)
    if config.qk_norm:
        q, k = block.attention.query_norm(q), block.attention.key_norm(k)
    if model.rotary is not None:
        cos, sin = model.rotary(torch.arange(7)[None])
        q, k = rotate(q, cos, sin), rotate(k, cos, sin)
    k = k.repeat_interleave(config.n_head // config.kv_heads, dim=1)
    scores = q @ k.mT / config.head_dim**0.5
    distance = torch.arange(7)[None, :] - torch.arange(7)[:, None]
    if model.score_bias is not None:
        scores = scores + model.score_bias(distance)
    hidden = (distance > 0) | (distance <= -(config.sliding_window or 99))
    expected = scores.masked_fill(hidden, -torch.inf).softmax(dim=-1)
    torch.testing.assert_close(trace.attention["blocks.0.attention"].double(), expected, rtol=1e-4, atol=1e-6)


@torch.no_grad()
def test_residuals_are_the_stream_between_blocks(model: AnyModel) -> None:
    trace = Trace()
    logits = run(model, trace)
    if isinstance(model, EncoderDecoder):
        stack, last = model.decoder, trace.residual[f"decoder.blocks.{len(model.decoder.blocks) - 1}"]
    else:
        stack, last = model, trace.residual[f"blocks.{len(model.blocks) - 1}"]
    hidden = last if stack.final_norm is None else stack.final_norm(last)
    torch.testing.assert_close(model.logits(hidden), logits, rtol=1e-4, atol=1e-5)


@torch.no_grad()
def test_parts_are_what_is_added_to_the_stream(model: AnyModel) -> None:
    trace = Trace()
    run(model, trace)
    for site, n in stacks(model).items():
        for i in range(n):
            block = model.get_submodule(f"{site}blocks.{i}")
            x = trace.residual[f"{site}blocks.{i - 1}" if i else f"{site}embedding"]
            for name in ("attention", "cross_attention", "feed_forward"):
                if getattr(block, name) is not None:
                    x = x + trace.parts[f"{site}blocks.{i}.{name}"]
                    x = x if block.is_pre else getattr(block, f"{name}_norm")(x)
            torch.testing.assert_close(x, trace.residual[f"{site}blocks.{i}"])
            attention = model.get_submodule(f"{site}blocks.{i}.attention")
            heads = trace.heads[f"{site}blocks.{i}.attention"].transpose(1, 2).flatten(2)
            torch.testing.assert_close(attention.output(heads), trace.parts[f"{site}blocks.{i}.attention"])


@torch.no_grad()
def test_patches_take_the_place_of_results(model: AnyModel) -> None:
    """With all that another text was told, in every place, the answer is the other's; one row alone can be patched."""
    other, everywhere = Trace(), torch.ones(1, 1, 1, dtype=torch.bool)
    logits, theirs = run(model, None), run(model, other, seed=2)
    stream = {site: Patch(everywhere, x) for site, x in other.residual.items() if site.endswith("embedding")}
    parts = {site: Patch(everywhere, x) for site, x in other.parts.items()}
    torch.testing.assert_close(run(model, Trace(patches=stream | parts)), theirs, rtol=1e-4, atol=1e-5)
    heads = {f"{site}.heads": Patch(everywhere[None], x) for site, x in other.heads.items()}
    rest = {site: patch for site, patch in parts.items() if not site.endswith("attention")}
    torch.testing.assert_close(run(model, Trace(patches=stream | rest | heads)), theirs, rtol=1e-4, atol=1e-5)
    first = {site: Patch(torch.tensor([[[True]], [[False]]]), x) for site, x in other.parts.items()}
    if not model.config.n_expert:  # whose experts add up in another order with other neighbours
        torch.testing.assert_close(run(model, Trace(patches=first))[1], logits[1], rtol=1e-4, atol=1e-5)


@torch.no_grad()
def test_known_blocks_are_not_computed(model: AnyModel) -> None:
    other = Trace(wanted=frozenset({"residual"}))
    theirs = run(model, other, seed=2)
    known = {site: x for site, x in other.residual.items() if not site.endswith("embedding")}
    trace = Trace(known=known)
    torch.testing.assert_close(run(model, trace), theirs, rtol=1e-4, atol=1e-5)
    assert not trace.parts


@torch.no_grad()
def test_an_ablated_head_says_nothing(model: AnyModel) -> None:
    """As if its columns of the output matrix were zero, at that site alone."""
    sites = ["encoder.blocks.1.attention", "decoder.blocks.0.cross_attention", "decoder.blocks.1.attention"]
    if not isinstance(model, EncoderDecoder):
        sites = ["blocks.0.attention", "blocks.1.attention"]
    untouched = run(model, None)
    for site in sites:
        ablated = {site: [1, 3]}
        traced = run(model, Trace(wanted=frozenset(), ablated_heads=ablated))
        assert not torch.allclose(traced, untouched)
        torch.testing.assert_close(run(model, Trace(ablated_heads=ablated)), traced, rtol=1e-4, atol=1e-5)
        weight = model.get_submodule(site).output.weight
        kept = weight.clone()
        weight.unflatten(1, (4, -1))[:, [1, 3]] = 0
        torch.testing.assert_close(run(model, None), traced)
        weight.copy_(kept)
        torch.testing.assert_close(run(model, None), untouched)


def test_what_a_trace_cannot_collect_is_a_mistake() -> None:
    with pytest.raises(AssertionError):
        Trace(wanted=frozenset({"gradients"}))
