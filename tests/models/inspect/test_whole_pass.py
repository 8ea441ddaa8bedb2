"""The stages of one token's pass add up to what the model computes at once."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
import torch

from terrarium.models.architecture.trace import Trace
from terrarium.models.architecture.transformer import AnyModel, Decoder, Encoder
from terrarium.models.inference.continuation import evaluating
from terrarium.models.inference.sampling import as_floats
from terrarium.models.inference.sampling_steps import sampling_steps
from terrarium.models.inspect.logit_attribution import contributions
from terrarium.models.inspect.read_text import Text, answer_logits, answering_stack, read, streams_of
from terrarium.models.inspect.whole_pass import PassCache, WholePass, read_pass
from terrarium.models.settings.sampling_config import SamplingConfig
from tests.models.inspect.designs import CONFIGS, make, text_of

AT, TOKEN = 5, 8
SLOTS: dict[str, dict[str, object]] = {
    "ngrams and convolutions": {"max_ngram": 3, "ngram_rows": 64, "conv_width": 4},
    "grouped queries": {"n_kv_head": 2, "qk_norm": True, "norm": "rmsnorm"},
    "wide heads": {"d_head": 12, "position": "alibi"},
    "embedding norm": {"embedding_norm": True, "position": "sinusoidal", "scaled_embeddings": True},
    "window": {"sliding_window": 3, "position": "rope"},
}


@pytest.fixture(params=[*CONFIGS, *SLOTS], scope="module")
def model(request: pytest.FixtureRequest) -> AnyModel:
    changes = SLOTS.get(request.param)
    return make(request.param) if changes is None else make("gpt2-tiny", **changes)


@pytest.fixture(scope="module")
def found(model: AnyModel) -> WholePass:
    return read_pass(model, text_of(model), AT, TOKEN)


def close(a: object, b: object, tolerance: float = 1e-4) -> None:
    np.testing.assert_allclose(np.asarray(a), np.asarray(b), rtol=tolerance, atol=tolerance)


def test_all_that_is_added_is_the_last_stream(model: AnyModel, found: WholePass) -> None:
    stack = answering_stack(model)
    streams = streams_of(model, text_of(model))
    for layer in found.layers:
        close(layer.stream, streams.residual[layer.site][0, AT].float())
        for part in layer.parts:
            close(part.added, streams.parts[part.site][0, AT].float())
    n_parts = 3 if model.config.topology == "encoder-decoder" else 2
    assert [len(layer.parts) for layer in found.layers] == [0, *[n_parts] * len(stack.blocks)]
    total = found.layers[0].stream + sum(part.added for layer in found.layers for part in layer.parts)
    if model.config.norm_place == "pre":
        close(total, found.layers[-1].stream)
    else:
        assert np.abs(total - found.layers[-1].stream).max() > 0.1, "each sum is normalised: no plain sum"
    start = torch.from_numpy(sum(found.start.values(), np.zeros(model.config.d_model, np.float32)))
    if stack.embedding_norm is not None:
        start = stack.embedding_norm(start.double()).detach().float()
    close(start, found.layers[0].stream)
    assert ("position" in found.start) == (model.config.position in ("learned", "sinusoidal"))
    assert ("ngrams" in found.start) == bool(model.config.has_ngrams)


def test_shares_are_of_the_stream_that_is_added_to(model: AnyModel, found: WholePass) -> None:
    stack, before = answering_stack(model), found.layers[0].stream
    for layer, block in zip(found.layers[1:], stack.blocks, strict=True):
        for part in layer.parts:
            assert part.share == pytest.approx(np.linalg.norm(part.added) / np.linalg.norm(before), rel=1e-3)
            before = before + part.added
            if model.config.norm_place != "pre":
                norm = block.get_submodule(f"{part.site.rpartition('.')[2]}_norm")
                before = norm(torch.from_numpy(before).double()).detach().float().numpy()
        close(before, layer.stream)


def test_the_last_lens_is_the_models_answer(model: AnyModel, found: WholePass) -> None:
    text = text_of(model)
    with evaluating(model):
        logits = answer_logits(model, read(model, text))[0, AT]
        hidden = read(model, text)[0, AT]
    close(found.logits, logits)
    close(found.final, hidden.float())
    close(found.probabilities, logits.softmax(dim=-1))
    top = logits.softmax(dim=-1).topk(5)
    assert [id for id, _ in found.layers[-1].best] == top.indices.tolist()
    close([p for _, p in found.layers[-1].best], top.values)
    assert found.layers[-1].own == pytest.approx(float(logits.softmax(dim=-1)[TOKEN]), abs=1e-5)
    assert found.rival == next(id for id in logits.topk(2).indices.tolist() if id != TOKEN)
    own = sampling_steps(as_floats(logits[None])[0], SamplingConfig(temperature=0.7, top_k=3)).own
    close(found.probabilities, own)


def test_attention_and_heads_are_those_of_the_pass(model: AnyModel, found: WholePass) -> None:
    trace = Trace()
    with evaluating(model):
        read(model, text_of(model), trace)
    for layer in found.layers[1:]:
        for part in layer.parts[:-1]:
            n = trace.attention[part.site].size(-1) if part.site.endswith("cross_attention") else None
            seen = n or (7 if isinstance(model, Encoder) else AT + 1)
            weights = np.stack([head.weights for head in part.heads])
            close(weights, trace.attention[part.site][0, :, AT, :seen].float())
            close(weights.sum(axis=1), np.ones(len(weights)))
            assert all(head.length > 0 for head in part.heads)
        assert not layer.parts[-1].heads
        assert bool(layer.parts[-1].experts) == bool(model.config.n_expert)
        if layer.parts[-1].experts:
            assert sum(share for _, share in layer.parts[-1].experts) == pytest.approx(1.0)
            assert [i for i, _ in layer.parts[-1].experts] == trace.router[layer.parts[-1].site][1][AT].tolist()


@pytest.mark.parametrize("name", [name for name in CONFIGS if name != "bert-tiny"])
def test_heads_add_up_to_their_attention(name: str) -> None:
    model, text = make(name), None
    text = text_of(model)
    trace = Trace(frozenset({"residual", "parts", "heads"}))
    with evaluating(model):
        read(model, text, trace)
    [whole] = contributions(model, trace, AT, [(TOKEN, 3)])
    [split] = contributions(model, trace, AT, [(TOKEN, 3)], by_head=True)
    sums: dict[str, float] = {}
    for site, value in split.parts:
        part = site.split(".heads.")[0].removesuffix(".bias")
        sums[part] = sums.get(part, 0.0) + value
    assert sums == pytest.approx(dict(whole.parts), abs=1e-4)
    assert split.constant == pytest.approx(whole.constant, abs=1e-4)
    found = read_pass(model, text, AT, TOKEN)
    effects = [head.effect for layer in found.layers for part in layer.parts for head in part.heads]
    assert None not in effects


def test_a_head_with_an_activation_has_no_effects() -> None:
    model = make("bert-tiny")
    found = read_pass(model, text_of(model), AT, TOKEN)
    assert all(head.effect is None for layer in found.layers for part in layer.parts for head in part.heads)


def test_the_likeliest_token_stands_for_none(model: AnyModel) -> None:
    found = read_pass(model, text_of(model), AT)
    assert (found.token, found.rival) == tuple(np.argsort(-found.logits)[:2])
    assert found.layers[-1].own == pytest.approx(found.layers[-1].best[0][1])


def test_what_comes_later_does_not_matter_and_nothing_is_left_behind(model: AnyModel) -> None:
    text, state = text_of(model), torch.get_rng_state()
    shorter = Text(ids=text.ids[: AT + 1], source_ids=text.source_ids)
    found = read_pass(model, text, AT, TOKEN)
    if model.config.is_causal:
        close(read_pass(model, shorter, AT, TOKEN).logits, found.logits)
    assert model.training
    assert torch.equal(torch.get_rng_state(), state)
    first = read_pass(model, text, 0, TOKEN)
    assert len(first.layers[1].parts[0].heads[0].weights) == (1 if model.config.is_causal else 7)


@pytest.mark.parametrize("name", ["llama-tiny", "terrarium-tiny", "moe-tiny"])
def test_a_cache_changes_nothing(name: str) -> None:
    model, cache = make(name, context_length=64), PassCache()
    text = dataclasses.replace(text_of(model), ids=text_of(model, length=50).ids)
    other = dataclasses.replace(text, ids=text_of(model, seed=5, length=50).ids)
    for each, at in ((text, 40), (text, 20), (text, 48), (text, 49), (text, 49), (other, 30), (text, 0), (text, 10)):
        found, known = read_pass(model, each, at), read_pass(model, each, at, cache=cache)
        close(known.logits, found.logits)
        close(known.layers[-1].stream, found.layers[-1].stream)
    with torch.no_grad():
        model.embedding.weight.mul_(-1)
    close(read_pass(model, text, 20, cache=cache).logits, read_pass(model, text, 20).logits)


def test_a_pair_has_the_vector_of_each_segment() -> None:
    model = make("pre-norm encoder", n_segment=2)
    text = dataclasses.replace(text_of(model), segments=(0, 0, 0, 1, 1, 1, 1))
    found = read_pass(model, text, AT, TOKEN)
    assert "segment" in found.start
    close(sum(found.start.values(), np.zeros(model.config.d_model)), found.layers[0].stream)


def test_texts_that_differ_in_the_token_itself_do_not_share_a_cache() -> None:
    model, cache = make("llama-tiny", context_length=64), PassCache()
    text = dataclasses.replace(text_of(model), ids=text_of(model, length=50).ids)
    other = dataclasses.replace(text, ids=(*text.ids[:20], text.ids[20] ^ 1, *text.ids[21:]))
    for each, at in ((text, 40), (other, 20), (text, 40)):
        close(read_pass(model, each, at, cache=cache).logits, read_pass(model, each, at).logits)


def test_a_known_text_is_not_read_again() -> None:
    model, cache = make("llama-tiny", context_length=64), PassCache()
    assert isinstance(model, Decoder)
    text = dataclasses.replace(text_of(model), ids=text_of(model, length=50).ids)
    lengths: list[int] = []
    hidden = model.hidden

    def counted(ids: torch.Tensor, **more: Any) -> torch.Tensor:
        lengths.append(ids.size(1))
        return hidden(ids, **more)

    model.hidden = counted  # type: ignore[method-assign]
    for at in (40, 12, 41, 44):
        read_pass(model, text, at, cache=cache)
    assert lengths == [40, 1, 1, 1, 2, 1]


def test_a_model_without_tokens_is_refused() -> None:
    model = make("pre-norm encoder", head="sequence")
    with pytest.raises(ValueError, match="masked-token head"):
        read_pass(model, text_of(model), AT)
