"""Without a token the answer is what the model gives while nothing attends to it, or a mask is in its place."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from terrarium.models.architecture.transformer import AnyModel
from terrarium.models.inference.continuation import evaluating
from terrarium.models.inspect.leave_one_out import (
    InputToken,
    LeaveOneOut,
    answer_to,
    flops_of_one,
    inputs_of,
    words_to_hide,
)
from terrarium.models.inspect.read_text import Text, answer_logits, read
from terrarium.models.inspect.readout import Readout
from tests.models.inspect.designs import CONFIGS, make, text_of

AT, ID, MASK = 6, 5, 3


@pytest.fixture(params=CONFIGS, scope="module")
def model(request: pytest.FixtureRequest) -> AnyModel:
    return make(request.param)


def log_probability(model: AnyModel, text: Text) -> float:
    with torch.no_grad(), evaluating(model):
        logits = answer_logits(model, read(model, text))[0, AT]
    return float(torch.log_softmax(logits, dim=-1)[ID])


def measured(model: AnyModel, text: Text, mask: int | None) -> tuple[LeaveOneOut, dict[InputToken, float]]:
    asked, found = LeaveOneOut(text, Readout(at=AT), ID, mask), dict[InputToken, float]()
    while some := asked.measure_next(model):
        found.update(some)
    return asked, found


def test_each_change_is_that_of_the_text_with_the_token_hidden(model: AnyModel) -> None:
    text, is_encoder = text_of(model), model.config.topology == "encoder-only"
    asked, found = measured(model, text, MASK if is_encoder else None)
    assert asked.own == pytest.approx(log_probability(model, text), abs=1e-4)
    assert answer_to(model, text, Readout(at=AT), ID) == (ID, pytest.approx(asked.own, abs=1e-4))
    likeliest, share = answer_to(model, text, Readout(at=AT), -1)
    assert share >= answer_to(model, text, Readout(at=AT), ID)[1]
    assert share == answer_to(model, text, Readout(at=AT), likeliest)[1]
    own = sorted(token.position for token in found if not token.in_source)
    assert own == [i for i in range(AT + 1) if not is_encoder or i != AT], "an encoder keeps what it is asked about"
    assert sorted(token.position for token in found if token.in_source) == list(range(len(text.source_ids)))
    assert set(found) == set(inputs_of(model, text, Readout(at=AT)))
    for (index, in_source), change in found.items():
        if is_encoder:
            without = dataclasses.replace(text, ids=(*text.ids[:index], MASK, *text.ids[index + 1 :]))
        else:
            hidden = {"hidden_source" if in_source else "hidden": frozenset({index})}
            without = dataclasses.replace(text, **hidden)  # type: ignore[arg-type]
        assert change == pytest.approx(log_probability(model, without) - asked.own, abs=1e-4)
    assert flops_of_one(model, text) > 0


def test_the_tokens_of_a_word_are_hidden_together(model: AnyModel) -> None:
    text, is_encoder = text_of(model), model.config.topology == "encoder-only"
    inputs, readout = inputs_of(model, text, Readout(at=AT)), Readout(at=AT)
    side = [range(at, at + 1) for at in range(len(text.source_ids))]
    units = words_to_hide(inputs, [range(1), range(1, 4), range(4, AT), range(AT, AT + 1)], side)
    assert sorted(token for unit in units for token in unit) == sorted(inputs)
    asked, found = LeaveOneOut(text, readout, ID, MASK if is_encoder else None, units), dict[InputToken, float]()
    while some := asked.measure_next(model):
        found.update(some)
    assert set(found) == {unit[0] for unit in units}
    if is_encoder:
        without = dataclasses.replace(text, ids=(text.ids[0], MASK, MASK, MASK, *text.ids[4:]))
    else:
        without = dataclasses.replace(text, hidden=frozenset({1, 2, 3}))
    assert found[InputToken(1)] == pytest.approx(log_probability(model, without) - asked.own, abs=1e-4)


def test_the_only_token_of_a_text_stays() -> None:
    model = make("gpt2-tiny")
    asked = LeaveOneOut(Text(ids=(1, 2)), Readout(at=0), ID)
    assert asked.measure_next(model) == []
    assert asked.own < 0


def test_it_begins_again_when_the_weights_have_changed() -> None:
    model = make("gpt2-tiny")
    asked = LeaveOneOut(text_of(model), Readout(at=AT), ID)
    n = len(asked.measure_next(model))
    before = asked.own
    with torch.no_grad():
        model.embedding.weight.mul_(1.5)
    assert len(asked.measure_next(model)) == n
    assert asked.own != before
