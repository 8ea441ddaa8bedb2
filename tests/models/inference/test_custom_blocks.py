"""Models with custom blocks write what they would by reading the whole text again for each token."""

from __future__ import annotations

import random
from collections.abc import Sequence

import pytest
import torch
from tokenizers import Tokenizer
from torch import nn

from terrarium.models.architecture.transformer import Decoder, build_model
from terrarium.models.events import ReplyFinished, TokenMade, result_of
from terrarium.models.inference import prefill
from terrarium.models.inference.beam import beam_search
from terrarium.models.inference.continuation import Continuation
from terrarium.models.inference.fast_decoder import FastDecoder
from terrarium.models.inference.generate import generate
from terrarium.models.inference.many_replies import draw_batch
from terrarium.models.inference.prefill import PrefixCache
from terrarium.models.inference.sampling import SamplingConfig
from terrarium.models.inference.speculative import Draft
from terrarium.models.inference.weight_kinds import KINDS
from terrarium.models.inference.weights import prepare_weights
from terrarium.models.library.library import Library
from terrarium.models.settings.model_config import ModelConfig
from tests.models.own_blocks import STARTS, put_block, start_source, with_block

PROMPT = [random.Random(0).randrange(5, 261) for _ in range(30)]
GREEDY = SamplingConfig(temperature=0.0, max_tokens=12)


@pytest.fixture
def base() -> ModelConfig:
    return ModelConfig(vocab_size=261, context_length=64, n_layer=2, n_head=2, d_model=32, d_ff=48, init_std=0.3)


@pytest.fixture(params=STARTS)
def model(library: Library, base: ModelConfig, request: pytest.FixtureRequest) -> Decoder:
    """A model with each starting point."""
    return model_of(with_block(base, put_block(start_source(request.param))))


def model_of(config: ModelConfig) -> Decoder:
    torch.manual_seed(0)
    model = build_model(config)
    assert isinstance(model, Decoder)
    return model.eval()


def greedy(model: Decoder, prompt: Sequence[int], n: int) -> list[int]:
    """The most likely tokens, each time with the whole text read again."""
    ids = list(prompt)
    with torch.no_grad():
        for _ in range(n):
            ids.append(int(model(torch.tensor([ids]))[0, -1].argmax()))
    return ids[len(prompt) :]


def reply_of(model: Decoder, tokenizer: Tokenizer, draft: Draft | None = None) -> tuple[list[int], ReplyFinished]:
    events = list(generate(model, tokenizer, PROMPT, GREEDY, end_ids=(10**6,), draft=draft))
    end = events[-1]
    assert isinstance(end, ReplyFinished)
    return [event.id for event in events if isinstance(event, TokenMade)], end


def test_replies_are_right_with_and_without_a_draft(model: Decoder, byte_tokenizer: Tokenizer) -> None:
    expected = greedy(model, PROMPT, 12)
    assert not FastDecoder.covers(model)
    assert reply_of(model, byte_tokenizer)[0] == expected
    drafted, end = reply_of(model, byte_tokenizer, Draft(model=model, n_tokens=4))
    assert drafted == expected
    assert end.n_accepted > 0
    stranger = model_of(ModelConfig(vocab_size=261, context_length=64, n_layer=1, n_head=2, d_model=16, init_std=0.3))
    drafted, end = reply_of(model, byte_tokenizer, Draft(model=stranger, n_tokens=4))
    assert drafted == expected
    assert end.n_drafted > end.n_accepted, "and some were taken back"


def test_a_beam_is_greedy_and_more_find_a_text_at_least_as_likely(model: Decoder) -> None:
    one, four = (
        beam_search(model, PROMPT, n_beam=n, max_tokens=6, start_id=0, end_id=None, length_penalty=0.0)[0]
        for n in (1, 4)
    )
    assert list(one.ids) == greedy(model, PROMPT, 6)
    with torch.no_grad():
        logs = model(torch.tensor([[*PROMPT, *four.ids]])).log_softmax(dim=-1)[0, len(PROMPT) - 1 : -1]
    assert four.score == pytest.approx(float(logs[range(6), list(four.ids)].sum()), abs=1e-3)
    assert four.score >= one.score - 1e-4


def test_a_known_prefix_is_not_read_again(model: Decoder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(prefill.CHUNK_FLOPS, "cpu", 1.0)
    cache = PrefixCache()
    for ids, known in ((PROMPT, 0), ([*PROMPT, 7, 8, 9], 16), ([*PROMPT[:20], 9, 9, 9, 9, 9], 16)):
        text = Continuation(model, ids, -1, prefix_cache=cache)
        assert text.n_read == known
        list(text.read_chunks())
        logits = text.next_logits(torch.tensor([ids[text.n_read :]]))
        with torch.no_grad():
            torch.testing.assert_close(logits[0], model(torch.tensor([ids]))[0, -1], rtol=1e-3, atol=1e-4)


def test_replies_in_a_batch_are_those_of_one_by_one(model: Decoder) -> None:
    prompts = [PROMPT[:n] for n in (1, 12, 5, 12)]
    seeds = [[10 * i, 10 * i + 1] for i in range(len(prompts))]
    together = result_of(draw_batch(model, prompts, seeds, 8, 3))
    for prompt, own, replies in zip(prompts, seeds, together, strict=True):
        (alone,) = result_of(draw_batch(model, [prompt], [own], 8, 3))
        assert [reply.ids for reply in replies] == [reply.ids for reply in alone]
        for one, other in zip(replies, alone, strict=True):
            assert one.log_probs == pytest.approx(other.log_probs, abs=1e-3)


@pytest.mark.parametrize("kind", KINDS[1:])
def test_smaller_weights_leave_the_layers_of_blocks_alone(model: Decoder, kind: str) -> None:
    narrow = prepare_weights(model, kind)
    assert isinstance(narrow, Decoder)
    own = {name: module for name, module in narrow.named_modules() if ".block." in name and type(module) is nn.Linear}
    assert own
    before = model.state_dict()
    for name, layer in own.items():
        assert torch.equal(layer.weight, before[f"{name}.weight"])
    kept = sum(type(module) is nn.Linear for module in narrow.modules())
    assert len(own) == kept, "and all others are smaller"
    with torch.no_grad():
        wide, small = (each(torch.tensor([PROMPT])).log_softmax(dim=-1) for each in (model, narrow))
    assert float((wide.exp() * (wide - small)).sum(dim=-1).mean()) < 0.05
