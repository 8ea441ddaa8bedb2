"""What decides a label, a tag or an answer: the same probabilities as predictions have, and the same measurements."""

from __future__ import annotations

import dataclasses
import math

import pytest
import torch
from tokenizers import Tokenizer

from terrarium.models.architecture.transformer import AnyModel, build_model
from terrarium.models.events import result_of
from terrarium.models.inspect.ablation import Survey, ablated_logits, parts_of
from terrarium.models.inspect.input_attribution import attribute
from terrarium.models.inspect.leave_one_out import InputToken, LeaveOneOut, answer_to
from terrarium.models.inspect.read_text import Text
from terrarium.models.inspect.readout import Readout
from terrarium.models.settings.presets import PRESETS
from terrarium.models.tasks.encoding import TaskEncoder
from terrarium.models.tasks.predicting import predict_items
from terrarium.models.tokenizers import train_tokenizer

DESIGNS = {"encoder-only": "bert-tiny", "decoder-only": "llama-tiny", "encoder-decoder": "bart-tiny"}
LABELS = ("angry", "glad", "sad")
ROW = {"text": "Anna smiles at the sea"}


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return train_tokenizer(["Anna smiles at the sea and Ben sits by a lamp."] * 3, "bpe", 300)


def make(tokenizer: Tokenizer, topology: str, head: str) -> AnyModel:
    torch.manual_seed(3)
    task = {"sequence": "classification", "token": "tagging", "span": "span"}[head]
    design = PRESETS[DESIGNS[topology]].for_task(task, () if head == "span" else LABELS)
    config = dataclasses.replace(design, vocab_size=tokenizer.get_vocab_size(), context_length=64, init_std=0.3)
    return build_model(config).eval()


def read_as_batch(encoder: TaskEncoder, row: dict[str, object]) -> tuple[Text, list[int]]:
    """The text as the task reads it, and the positions where an answer can be."""
    batch = encoder.batch(encoder.items([row], has_targets=False))
    text = Text(
        ids=tuple(batch.inputs[0].tolist()),
        source_ids=() if batch.source is None else tuple(batch.source[0].tolist()),
        segments=() if batch.segments is None else tuple(batch.segments[0].tolist()),
    )
    return text, [] if batch.candidates is None else batch.candidates[0].nonzero()[:, 0].tolist()


@pytest.mark.parametrize("topology", DESIGNS)
@pytest.mark.parametrize("task", ["classification", "multi-label"])
def test_a_label_has_the_probability_of_the_prediction(tokenizer: Tokenizer, topology: str, task: str) -> None:
    model = make(tokenizer, topology, "sequence")
    encoder = TaskEncoder(model.config, tokenizer, task, LABELS)
    [prediction] = result_of(predict_items(model, encoder, [ROW]))
    text, _ = read_as_batch(encoder, ROW)
    at = 0 if topology == "encoder-only" else len(text.ids) - 1
    for i, label in enumerate(LABELS):
        several = task == "multi-label"
        readout = Readout(at=at, head="sequence", label=i if several else None)
        outcome, own = answer_to(model, text, readout, 1 if several else i)
        assert outcome == (1 if several else i)
        assert math.exp(own) == pytest.approx(prediction.probabilities[label], rel=1e-4)


@pytest.mark.parametrize("topology", ["encoder-only", "decoder-only"])
def test_a_tag_has_the_probability_of_the_prediction(tokenizer: Tokenizer, topology: str) -> None:
    model, row = make(tokenizer, topology, "token"), {"words": ["Anna", "smiles", "."]}
    encoder = TaskEncoder(model.config, tokenizer, "tagging", LABELS)
    [prediction] = result_of(predict_items(model, encoder, [row]))
    text, _ = read_as_batch(encoder, row)
    [item] = encoder.items([row], has_targets=False)
    for word, at in enumerate(item.first_tokens):
        outcome, own = answer_to(model, text, Readout(at=at, head="token"), -1)
        assert LABELS[outcome] == prediction.value[word]
        assert math.exp(own) == pytest.approx(prediction.details["tag_scores"][word], rel=1e-4)


def test_a_span_has_the_probability_of_its_start_and_end(tokenizer: Tokenizer) -> None:
    model = make(tokenizer, "encoder-only", "span")
    encoder = TaskEncoder(model.config, tokenizer, "span")
    text, candidates = read_as_batch(encoder, {"question": "Who smiles?", "context": ROW["text"]})
    assert set(text.segments) == {0, 1}, "a pair is read in two segments"
    shares = [
        math.exp(answer_to(model, text, Readout(at=0, head="span", span=(i, j), candidates=tuple(candidates)), 1)[1])
        for i in candidates
        for j in candidates
    ]
    assert sum(shares) == pytest.approx(1.0, abs=1e-4), "start and end are drawn independently"


@pytest.mark.parametrize("topology", DESIGNS)
def test_hiding_a_word_changes_the_label_as_reading_without_it_does(tokenizer: Tokenizer, topology: str) -> None:
    model = make(tokenizer, topology, "sequence")
    encoder = TaskEncoder(model.config, tokenizer, "classification", LABELS)
    text, _ = read_as_batch(encoder, ROW)
    readout = Readout(at=0 if topology == "encoder-only" else len(text.ids) - 1, head="sequence")
    asked, found = LeaveOneOut(text, readout, 1), dict[InputToken, float]()
    while some := asked.measure_next(model):
        found |= dict(some)
    own = answer_to(model, text, readout, 1)[1]
    token = InputToken(2, in_source=topology == "encoder-decoder")
    hidden = dataclasses.replace(
        text,
        hidden=frozenset({3 if token.in_source else 2}),
        hidden_source=frozenset({2}) if token.in_source else frozenset(),
    )
    assert found[token] == pytest.approx(answer_to(model, hidden, readout, 1)[1] - own, abs=1e-4)
    assert {each.in_source for each in found} == {topology == "encoder-decoder"}


@pytest.mark.parametrize("topology", DESIGNS)
def test_parts_and_gradients_of_a_label(tokenizer: Tokenizer, topology: str) -> None:
    model = make(tokenizer, topology, "sequence")
    encoder = TaskEncoder(model.config, tokenizer, "classification", LABELS)
    text, _ = read_as_batch(encoder, ROW)
    readout = Readout(at=0 if topology == "encoder-only" else len(text.ids) - 1, head="sequence")
    survey = Survey(text, readout, 1)
    [(part, change), *_] = survey.measure_next(model)
    before, after = ablated_logits(model, text, readout, [[], [part]]).log_softmax(dim=-1)[:, 1]
    assert change == pytest.approx(float(after - before), abs=1e-4)
    assert survey.total == sum(len(parts) for _, parts in parts_of(model))
    found = attribute(model, text, readout, 1, "log-probability")
    assert found.value == pytest.approx(answer_to(model, text, readout, 1)[1], abs=1e-4)
    assert any(found.source if topology == "encoder-decoder" else found.tokens)


def test_a_question_for_another_head_is_refused(tokenizer: Tokenizer) -> None:
    model = make(tokenizer, "encoder-only", "sequence")
    with pytest.raises(ValueError, match="another head"):
        answer_to(model, Text(ids=(1, 2)), Readout(at=0, head="token"), 0)
    with pytest.raises(ValueError, match="predicts no tokens"):
        answer_to(model, Text(ids=(1, 2)), Readout(at=1), 0)
