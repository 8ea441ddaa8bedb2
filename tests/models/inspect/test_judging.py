"""A reply scored by other models: the log-probabilities of its tokens, and spans that two tokenizers share."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer

from terrarium.models.architecture.transformer import Decoder, Encoder
from terrarium.models.events import TokenMade
from terrarium.models.inference.generate import generate
from terrarium.models.inspect.judging import judge, reply_text
from terrarium.models.inspect.spans import Judgement, Span, shared_spans
from terrarium.models.settings.model_config import ModelConfig
from terrarium.models.settings.sampling_config import SamplingConfig


@pytest.fixture
def model() -> Decoder:
    torch.manual_seed(0)
    return Decoder(ModelConfig(vocab_size=261, n_layer=2, n_head=2, d_model=32, context_length=64)).eval()


def judged(*pieces: tuple[str, float]) -> Judgement:
    return Judgement(pieces=tuple(p for p, _ in pieces), log_probabilities=tuple(x for _, x in pieces))


def test_a_model_scores_its_own_reply_with_its_probabilities(model: Decoder, byte_tokenizer: Tokenizer) -> None:
    prompt = [65, 66, 67]
    made = [
        event
        for event in generate(model, byte_tokenizer, prompt, SamplingConfig(max_tokens=40, temperature=1.0, seed=3))
        if isinstance(event, TokenMade)
    ]
    judgement = judge(model, byte_tokenizer, prompt, [event.id for event in made])
    drawn_with = torch.tensor([event.probability for event in made]).log()
    torch.testing.assert_close(torch.tensor(judgement.log_probabilities), drawn_with, atol=1e-4, rtol=0)
    assert judgement.pieces == tuple(event.text for event in made)
    assert "".join(judgement.pieces) == reply_text(byte_tokenizer, [event.id for event in made])
    assert judgement.total == pytest.approx(float(drawn_with.sum()), abs=1e-3)


def test_an_empty_reply_and_an_encoder_are_handled(model: Decoder, byte_tokenizer: Tokenizer) -> None:
    assert judge(model, byte_tokenizer, [65], []).pieces == ()
    with pytest.raises(ValueError, match="prompt is empty"):
        judge(model, byte_tokenizer, [], [66, 67])
    encoder = Encoder(ModelConfig(topology="encoder-only", vocab_size=261, n_layer=1, n_head=2, d_model=32))
    with pytest.raises(ValueError, match="encoder does not write"):
        judge(encoder, byte_tokenizer, [65], [66])


def test_spans_end_at_shared_token_boundaries() -> None:
    ours = judged(("un", -1.0), ("believ", -2.0), ("able", -0.5), (" yes", -0.1))
    theirs = judged(("unb", -3.0), ("elievable", -1.0), (" ", -0.2), ("yes", -0.3))
    assert shared_spans(ours, theirs) == [
        Span(text="unbelievable", ours=-3.5, theirs=-4.0),
        Span(text=" yes", ours=-0.1, theirs=-0.5),
    ]


def test_a_token_that_begins_a_character_belongs_to_the_one_that_ends_it() -> None:
    ours = judged(("a", -1.0), ("", -2.0), ("é", -3.0), ("", -4.0))
    theirs = judged(("a", -5.0), ("é", -6.0))
    assert shared_spans(ours, theirs) == [
        Span(text="a", ours=-1.0, theirs=-5.0),
        Span(text="é", ours=-9.0, theirs=-6.0),
    ]


def test_different_texts_have_no_shared_spans() -> None:
    with pytest.raises(ValueError, match="decode to the same text"):
        shared_spans(judged(("A", -1.0)), judged(("a", -1.0)))


@given(st.text("abc ", min_size=1, max_size=30), st.data())
def test_spans_cover_the_text_and_all_log_probability(text: str, data: st.DataObject) -> None:
    def cut() -> Judgement:
        ends = sorted({*data.draw(st.sets(st.integers(1, len(text)))), len(text)})
        starts = [0, *ends[:-1]]
        return judged(*((text[a:b], -float(b)) for a, b in zip(starts, ends, strict=True)))

    ours, theirs = cut(), cut()
    spans = shared_spans(ours, theirs)
    assert "".join(span.text for span in spans) == text
    assert sum(span.ours for span in spans) == pytest.approx(ours.total)
    assert sum(span.theirs for span in spans) == pytest.approx(theirs.total)
