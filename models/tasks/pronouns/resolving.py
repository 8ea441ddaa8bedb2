"""Runs pronoun models: the scores of the nouns in sentences, and how often the right one is highest."""

from __future__ import annotations

import random
from collections.abc import Sequence

import torch
from tokenizers import Tokenizer
from torch import Tensor

from terrarium.models.architecture.trace import Trace
from terrarium.models.architecture.transformer import AnyModel, EncoderDecoder
from terrarium.models.inference.continuation import evaluating
from terrarium.models.tasks.pronouns.batches import pointing_batch
from terrarium.models.tasks.pronouns.evaluation import PronounEvaluation, evaluation_pairs, rule_accuracies, share
from terrarium.models.tasks.pronouns.pointing import pointer_scores
from terrarium.models.tasks.pronouns.pronoun_reading import NounScores, Reading, read_sentences
from terrarium.models.tiny_world.pronouns import MinimalPair, Reference

_BATCH_SIZE = 256


def resolve(
    model: AnyModel, readings: Sequence[Reading], *, without_adjective: bool = False, trace: Trace | None = None
) -> list[list[float]]:
    """Return the scores (logits) of each sentence's candidates, in order, read at its "it".

    Sentences at the same index of two lists of equal shapes are computed alike: if the model reads the same text
    before "it", the scores are bitwise equal. The model's mode is unchanged.
    """
    assert not isinstance(model, EncoderDecoder)
    found: list[list[float]] = []
    for start in range(0, len(readings), _BATCH_SIZE):
        part = readings[start : start + _BATCH_SIZE]
        batch = pointing_batch(part, without_adjective=without_adjective)
        assert batch.candidates is not None
        assert batch.mask is not None
        device = model.embedding.weight.device
        with evaluating(model):
            hidden = model.hidden(batch.inputs.to(device), mask=batch.mask.to(device), trace=trace)
            row = torch.arange(len(part), device=device)
            position = torch.tensor([reading.it for reading in part], device=device)
            scores = pointer_scores(hidden, batch.candidates.to(device), row, position)
        found += [_of_candidates(scores[i], reading) for i, reading in enumerate(part)]
    return found


def noun_scores(model: AnyModel, reading: Reading) -> NounScores:
    """Return the scores of the nouns of one sentence."""
    (scores,) = resolve(model, [reading])
    return NounScores(
        nouns=tuple(candidate.noun for candidate in reading.candidates),
        probabilities=tuple(torch.tensor(scores).softmax(0).tolist()),
        scores=tuple(scores),
    )


def evaluate_pronouns(
    model: AnyModel, tokenizer: Tokenizer, step: int, pairs: Sequence[MinimalPair] | None = None
) -> PronounEvaluation:
    """Evaluate a model on held-out pairs (default: always the same ones)."""
    pairs = evaluation_pairs() if pairs is None else pairs
    sides = [[pair.of_being for pair in pairs], [pair.of_thing for pair in pairs]]
    answers = [_ask(model, tokenizer, side) for side in sides]
    right = [
        [_is_right(sentence, *answer) for sentence, answer in zip(side, answered, strict=True)]
        for side, answered in zip(sides, answers, strict=True)
    ]
    rng = random.Random("one of each")
    drawn = [rng.choice(pair.sentences) for pair in pairs]
    blind = _ask(model, tokenizer, drawn, without_adjective=True)
    return PronounEvaluation(
        step=step,
        n_pairs=len(pairs),
        accuracy=share([*right[0], *right[1]]),
        both=share([one and other for one, other in zip(*right, strict=True)]),
        without_adjective=share([_is_right(sentence, *answer) for sentence, answer in zip(drawn, blind, strict=True)]),
        largest_difference=max(
            abs(a - b) for (_, one), (_, other) in zip(*answers, strict=True) for a, b in zip(one, other, strict=True)
        ),
        rules=rule_accuracies(pairs),
    )


def _ask(
    model: AnyModel, tokenizer: Tokenizer, sentences: Sequence[Reference], *, without_adjective: bool = False
) -> list[tuple[Reading, list[float]]]:
    readings = read_sentences(tokenizer, [sentence.text for sentence in sentences])
    return list(zip(readings, resolve(model, readings, without_adjective=without_adjective), strict=True))


def _is_right(sentence: Reference, reading: Reading, scores: Sequence[float]) -> bool:
    best = max(range(len(scores)), key=scores.__getitem__)
    return reading.candidates[best].noun == sentence.gold


def _of_candidates(scores: Tensor, reading: Reading) -> list[float]:
    found: list[float] = scores[[candidate.position for candidate in reading.candidates]].tolist()
    return found
