"""Beam search: with enough beams it finds the best of all texts, with one it is greedy, and an encoder has none."""

from __future__ import annotations

import itertools

import pytest
import torch

from terrarium.models.architecture.transformer import AnyModel, Encoder, EncoderDecoder, build_model
from terrarium.models.events import TokenMade
from terrarium.models.inference.beam import Hypothesis, beam_search
from terrarium.models.inference.generate import generate
from terrarium.models.inference.sampling import SamplingConfig
from terrarium.models.settings.model_config import ModelConfig
from terrarium.models.tokenizers import MIN_VOCAB_SIZE, train_tokenizer

V, END, START = 6, 1, 0


def model_of(topology: str, vocab_size: int = V) -> AnyModel:
    torch.manual_seed(3)
    config = ModelConfig(
        topology=topology, vocab_size=vocab_size, context_length=16, n_layer=1, d_model=16, n_head=2, init_std=0.5
    )
    return build_model(config).double().eval()


@torch.no_grad()
def log_probability(model: AnyModel, prompt: list[int], text: tuple[int, ...]) -> float:
    """By one plain forward pass over the whole text."""
    before = [START] if isinstance(model, EncoderDecoder) else prompt
    whole = torch.tensor([[*before, *text]])
    logits = model(torch.tensor([prompt]), whole) if isinstance(model, EncoderDecoder) else model(whole)
    steps = torch.log_softmax(logits[0], dim=-1)[len(before) - 1 : -1]
    return float(steps[torch.arange(len(text)), torch.tensor(text)].sum())


def all_texts(length: int) -> list[tuple[int, ...]]:
    """Every text of that many tokens, and every shorter one that ends."""
    inner = [id for id in range(V) if id != END]
    ended = [(*body, END) for n in range(length) for body in itertools.product(inner, repeat=n)]
    return ended + list(itertools.product(inner, repeat=length))


@pytest.mark.parametrize("topology", ["decoder-only", "encoder-decoder"])
@pytest.mark.parametrize("length_penalty", [0.0, 1.0, 2.0])
def test_enough_beams_find_the_best_of_all_texts(topology: str, length_penalty: float) -> None:
    model, prompt, length = model_of(topology), [2, 3, 4], 3
    found = beam_search(
        model, prompt, n_beam=V**length, max_tokens=length, start_id=START, end_id=END, length_penalty=length_penalty
    )
    scores = {text: log_probability(model, prompt, text) / len(text) ** length_penalty for text in all_texts(length)}
    expected = sorted(scores, key=lambda text: -scores[text])
    assert [hypothesis.ids for hypothesis in found[:20]] == expected[:20]
    for hypothesis in found[:20]:
        assert hypothesis.score == pytest.approx(scores[hypothesis.ids], rel=1e-5)


@pytest.mark.parametrize("topology", ["decoder-only", "encoder-decoder"])
def test_one_beam_is_greedy(topology: str) -> None:
    tokenizer = train_tokenizer([], "byte", MIN_VOCAB_SIZE)
    model = model_of(topology, MIN_VOCAB_SIZE)
    config = SamplingConfig(temperature=0.0, max_tokens=10)
    greedy = tuple(event.id for event in generate(model, tokenizer, [9, 8, 7], config) if isinstance(event, TokenMade))
    (best,) = beam_search(model, [9, 8, 7], n_beam=1, max_tokens=10, start_id=START, end_id=END)
    assert best.ids == greedy


def test_the_context_is_the_limit() -> None:
    model = model_of("decoder-only")
    (best, *_) = beam_search(model, [2] * 14, n_beam=3, max_tokens=99, start_id=START, end_id=None)
    assert len(best.ids) == 3  # the last of them needs no place of its own


def test_refusals() -> None:
    encoder = model_of("encoder-only")
    assert isinstance(encoder, Encoder)
    with pytest.raises(ValueError, match="does not write texts"):
        beam_search(encoder, [2], n_beam=2, max_tokens=3, start_id=START, end_id=END)
    with pytest.raises(ValueError, match="at least one beam"):
        beam_search(model_of("decoder-only"), [2], n_beam=0, max_tokens=3, start_id=START, end_id=END)
    diverged = model_of("decoder-only")
    torch.nn.init.constant_(diverged.embedding.weight, torch.nan)
    with pytest.raises(ValueError, match="not a number, so its training diverged"):
        beam_search(diverged, [2], n_beam=2, max_tokens=3, start_id=START, end_id=END)
    with pytest.raises(ValueError, match="context takes 16"):
        beam_search(model_of("decoder-only"), [2] * 17, n_beam=2, max_tokens=3, start_id=START, end_id=END)


def test_a_hypothesis_holds_no_prompt() -> None:
    found = beam_search(model_of("decoder-only"), [2, 3], n_beam=4, max_tokens=2, start_id=START, end_id=END)
    assert all(isinstance(hypothesis, Hypothesis) and 1 <= len(hypothesis.ids) <= 2 for hypothesis in found)
    assert [h.score for h in found] == sorted((h.score for h in found), reverse=True)
