"""The lens ends in the model's own prediction, and the parts' contributions add up to a logit."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from terrarium.models.architecture.transformer import AnyModel
from terrarium.models.inference.continuation import evaluating
from terrarium.models.inspect.logit_attribution import contributions
from terrarium.models.inspect.logit_lens import read_lens
from terrarium.models.inspect.read_text import Reader, answer_logits, answer_position, answering_stack, read, streams_of
from tests.models.inspect.designs import CONFIGS, make, text_of

SPLIT = [name for name in CONFIGS if name != "bert-tiny"]


@pytest.fixture(params=CONFIGS, scope="module")
def model(request: pytest.FixtureRequest) -> AnyModel:
    return make(request.param)


def own_logits(model: AnyModel) -> torch.Tensor:
    with evaluating(model):
        return answer_logits(model, read(model, text_of(model)))[0]


def test_the_last_layer_is_the_prediction(model: AnyModel) -> None:
    text, logits = text_of(model), own_logits(model)
    lens = read_lens(model, streams_of(model, text), [2, 6], [5, 9], n_best=4)
    assert lens.best.shape == lens.probabilities.shape == (len(answering_stack(model).blocks) + 1, 2, 4)
    top = logits[[2, 6]].softmax(dim=-1).topk(4)
    assert torch.equal(lens.best[-1], top.indices)
    torch.testing.assert_close(lens.probabilities[-1], top.values)
    torch.testing.assert_close(lens.own[-1], logits.softmax(dim=-1)[[2, 6], [5, 9]])
    assert lens.ranks[-1].tolist() == [int((logits[p] > logits[p, i]).sum()) + 1 for p, i in ((2, 5), (6, 9))]
    assert not torch.equal(lens.own[0], lens.own[-1])


def test_tokens_are_tracked_through_all_layers(model: AnyModel) -> None:
    lens = read_lens(model, streams_of(model, text_of(model)), [2, 4], [5, 7], n_best=3)
    p, ranks = lens.track([7, 1, 2])
    np.testing.assert_allclose(p[:, 0], lens.own[:, 1].numpy(), rtol=1e-6)
    assert np.array_equal(ranks[:, 0], lens.ranks[:, 1].numpy())
    assert p.shape == ranks.shape == (len(lens.best), 3)
    torch.testing.assert_close(lens.logs.exp().sum(dim=-1), torch.ones(len(lens.best)))
    peaks = lens.logs.exp().amax(dim=0)
    assert lens.top_tokens(2) == peaks.topk(2).indices.tolist()


@pytest.mark.parametrize("name", SPLIT)
def test_contributions_add_up_to_the_logit(name: str) -> None:
    model = make(name)
    text, logits = text_of(model), own_logits(model)
    for at, id, against in ((3, 8, None), (6, 2, 11)):
        found = contributions(model, streams_of(model, text), at, [(id, against)])[0]
        wanted = logits[at, id] - (logits[at, against] if against is not None else 0)
        assert found.total == pytest.approx(float(wanted), abs=1e-5)
        assert sum(value for _, value in found.parts) + found.constant == pytest.approx(found.total, abs=1e-5)
        n_parts = 3 if model.config.topology == "encoder-decoder" else 2
        assert len(found.parts) == 1 + n_parts * len(answering_stack(model).blocks)
        assert all(value for _, value in found.parts)


def test_a_text_is_read_once_until_text_or_weights_change() -> None:
    model, reader = make("gpt2-tiny"), Reader()
    first = reader.streams(model, text_of(model))
    assert reader.streams(model, text_of(model)) is first
    assert reader.streams(model, text_of(model, 2)) is not first
    again = reader.streams(model, text_of(model))
    torch.testing.assert_close(again.residual, first.residual)
    with torch.no_grad():
        model.embedding.weight.add_(1.0)
    assert reader.streams(model, text_of(model)) is not again
    twins = [make("gpt2-tiny") for _ in range(2)]
    assert reader.streams(twins[0], text_of(model)) is not reader.streams(twins[1], text_of(model))


def test_a_head_with_an_activation_has_no_split() -> None:
    model = make("bert-tiny")
    with pytest.raises(ValueError, match="cannot be split"):
        contributions(model, streams_of(model, text_of(model)), 2, [(3, None)])


def test_an_encoder_without_a_head_for_tokens_has_no_lens() -> None:
    model = make("pre-norm encoder", head="sequence")
    with pytest.raises(ValueError, match="masked-token head"):
        read_lens(model, streams_of(model, text_of(model)), [1], [1])


def test_nan_outputs_are_refused() -> None:
    model = make("gpt2-tiny")
    with torch.no_grad():
        model.embedding.weight.fill_(torch.nan)
    with pytest.raises(ValueError, match="not a number"):
        read_lens(model, streams_of(model, text_of(model)), [1], [1])


def test_a_decoder_predicts_one_position_before() -> None:
    config = make("gpt2-tiny").config
    assert (answer_position(config, 5), answer_position(config, 0)) == (4, None)
    assert answer_position(dataclasses.replace(config, topology="encoder-only"), 5) == 5
