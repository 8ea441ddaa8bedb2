"""Generation: the cache changes nothing, seeds are kept, text streams whole, and a model in training is left alone."""

import dataclasses
import math
import random
from collections.abc import Iterable

import pytest
import torch
from tokenizers import Tokenizer

from terrarium.models.architecture.cache import KVCache
from terrarium.models.architecture.transformer import Decoder
from terrarium.models.events import ReplyFinished, TokenMade
from terrarium.models.inference.generate import generate
from terrarium.models.inference.many_replies import generate_batch
from terrarium.models.inference.sampling import SamplingConfig
from terrarium.models.settings.model_config import ModelConfig
from terrarium.models.tokenizers import MIN_VOCAB_SIZE, encode_text, train_tokenizer
from tests.models.every_cut import EVERY_CUT

GREEDY = SamplingConfig(temperature=0.0, max_tokens=12)
SLOTS = [
    {"position": "learned", "norm": "layernorm", "activation": "gelu_tanh"},
    {"position": "rope", "norm": "rmsnorm", "activation": "swiglu", "n_kv_head": 2, "bias": "none"},
    {"position": "rope", "norm": "rmsnorm", "activation": "relu2", "qk_norm": True, "conv_width": 4, "bias": "none"},
    {"position": "rope", "norm": "rmsnorm", "max_ngram": 3, "ngram_rows": 100, "bias": "none"},
    {"position": "rope", "norm": "rmsnorm", "nope_interval": 2, "bias": "none"},
    {"position": "rope", "norm": "rmsnorm", "rope_fraction": 0.5, "bias": "none"},
]


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return train_tokenizer([], "byte", MIN_VOCAB_SIZE)


def tiny_model(slots: dict[str, object] = SLOTS[2], dropout: float = 0.0) -> Decoder:
    """Random weights in float64, so that two ways of computing one thing choose the same token."""
    torch.manual_seed(0)
    config = ModelConfig(
        vocab_size=MIN_VOCAB_SIZE,
        context_length=48,
        n_layer=2,
        n_head=4,
        d_model=32,
        init_std=0.3,
        dropout=dropout,
        **slots,
    )
    return Decoder(config).double().eval()


def ids_of(events: Iterable[TokenMade | ReplyFinished]) -> list[int]:
    return [event.id for event in events if isinstance(event, TokenMade)]


def text_of(events: Iterable[TokenMade | ReplyFinished]) -> str:
    return "".join(event.text for event in events if isinstance(event, TokenMade))


def greedy_without_cache(model: Decoder, ids: list[int], n: int) -> list[int]:
    whole = list(ids)
    with torch.no_grad():
        while len(whole) <= model.config.context_length and len(whole) < len(ids) + n:
            whole.append(int(model(torch.tensor([whole]))[0, -1].argmax()))
    return whole[len(ids) :]


@pytest.mark.parametrize("slots", SLOTS)
def test_cache_equals_full_forward(slots: dict[str, object], tokenizer: Tokenizer) -> None:
    model = tiny_model(slots)
    ids = encode_text(tokenizer, "Where is Ben?")
    reply = greedy_without_cache(model, ids, GREEDY.max_tokens)
    assert ids_of(generate(model, tokenizer, ids, GREEDY)) == reply
    whole = ids + reply
    with torch.no_grad():
        cache = KVCache(model.config.n_layer)
        parts = [model(torch.tensor([whole[start : start + 5]]), cache=cache) for start in range(0, 20, 5)]
        torch.testing.assert_close(torch.cat(parts, dim=1), model(torch.tensor([whole[:20]])))


@pytest.mark.parametrize("slots", SLOTS)
def test_batch_equals_one_at_a_time(slots: dict[str, object]) -> None:
    model = tiny_model(slots)
    draw = random.Random(0)
    prompts = [
        [draw.randrange(5, MIN_VOCAB_SIZE) for _ in range(length)] for length in (7, 40, 1, 20, 48, 3, 2, 30, 7, 12)
    ]
    # Any token may serve as the end, so a frequent one makes rows leave the batch at different times.
    replies = [greedy_without_cache(model, prompt, GREEDY.max_tokens) for prompt in prompts]
    counts = [id for reply in replies for id in reply[:6]]
    end = max(sorted(set(counts)), key=counts.count)
    expected = [reply[: reply.index(end)] if end in reply else reply for reply in replies]
    assert len({len(reply) for reply in expected}) > 3
    assert generate_batch(model, prompts, GREEDY.max_tokens, end, batch_size=4) == expected
    assert generate_batch(model, prompts, GREEDY.max_tokens, end, batch_size=1) == expected


def test_context_full_ends_the_reply(tokenizer: Tokenizer) -> None:
    model = tiny_model()
    prompt = [70] * 40
    *tokens, end = generate(model, tokenizer, prompt, SamplingConfig(max_tokens=1000))
    assert isinstance(end, ReplyFinished)
    assert (len(tokens), end.reason, end.n_prompt, end.n_tokens) == (9, "length", 40, 9)
    assert len(generate_batch(model, [prompt, prompt[:30]], 1000, -1)[1]) == 19
    with pytest.raises(ValueError, match="has 49 tokens, but the model's context takes 48"):
        next(generate(model, tokenizer, [70] * 49, GREEDY))
    with pytest.raises(ValueError, match="prompt is empty"):
        next(generate(model, tokenizer, [], GREEDY))


def test_max_tokens_ends_the_reply(tokenizer: Tokenizer) -> None:
    *tokens, end = generate(tiny_model(), tokenizer, [70], GREEDY)
    assert (len(tokens), end.reason) == (12, "length")


def test_one_seed_one_text_and_greedy_is_top_1(tokenizer: Tokenizer) -> None:
    model = tiny_model()
    ids = encode_text(tokenizer, "Anna")

    def reply(**settings: float) -> list[int]:
        return ids_of(generate(model, tokenizer, ids, SamplingConfig(max_tokens=12, **settings)))

    assert reply(temperature=1.0, seed=1) == reply(temperature=1.0, seed=1) != reply(temperature=1.0, seed=2)
    assert reply(temperature=0.0) == reply(temperature=1.0, top_k=1) == ids_of(generate(model, tokenizer, ids, GREEDY))


def test_a_model_in_training_is_left_as_it_was(tokenizer: Tokenizer) -> None:
    model = tiny_model(dropout=0.5).train()
    torch.manual_seed(7)
    state = torch.get_rng_state()
    generating = generate(model, tokenizer, [70, 71], GREEDY)
    first = next(generating)
    assert model.training
    assert not torch.is_inference_mode_enabled()
    assert torch.is_grad_enabled()
    rest = list(generating)
    generate_batch(model, [[70], [71, 72]], 3, 1)
    assert all(module.training for module in model.modules())
    assert torch.equal(torch.get_rng_state(), state)
    assert ids_of([first, *rest]) == ids_of(generate(model.eval(), tokenizer, [70, 71], GREEDY))
    loss = model.train()(torch.tensor([[70, 71]])).sum()
    loss.backward()  # no weight was turned into an inference tensor


class Scripted(Decoder):
    """Says the given ids, whatever it reads."""

    def __init__(self, ids: list[int]) -> None:
        super().__init__(ModelConfig(vocab_size=MIN_VOCAB_SIZE, context_length=64, n_layer=1, n_head=1, d_model=2))
        self.script = iter(ids)

    def logits(self, hidden: torch.Tensor) -> torch.Tensor:
        out = torch.zeros(1, MIN_VOCAB_SIZE)
        out[0, next(self.script)] = 9.0
        return out


def say(tokenizer: Tokenizer, text: str, *, end: bool = True, **settings: object) -> list[TokenMade | ReplyFinished]:
    model = Scripted([*encode_text(tokenizer, text), *([1] if end else [70] * 99)])
    return list(generate(model, tokenizer, [70], SamplingConfig(temperature=0.0, **settings)))


def test_end_token_ends_the_reply(tokenizer: Tokenizer) -> None:
    *tokens, end = say(tokenizer, "Hi é!")
    assert text_of(tokens) == "Hi é!"
    assert [token.text for token in tokens if isinstance(token, TokenMade)] == ["H", "i", " ", "", "é", "!", ""]
    assert isinstance(end, ReplyFinished)
    assert (end.reason, end.n_tokens) == ("stop", 7)


def test_stop_texts_are_held_back_and_cut(tokenizer: Tokenizer) -> None:
    events = say(tokenizer, "One\n\nTwo", end=False, stop=("\n\n",))
    assert [event.text for event in events[:-1]] == ["O", "n", "e", "", ""]
    assert events[-1].reason == "stop"
    held = say(tokenizer, "a##b###c", end=False, stop=("###",))
    assert [event.text for event in held[:-1]] == ["a", "", "", "##b", "", "", ""]
    earliest = say(tokenizer, "xxaby", end=False, stop=("by", "ab"))
    assert text_of(earliest) == "xx"


def test_an_id_that_is_no_token_has_no_text(byte_tokenizer: Tokenizer) -> None:
    torch.manual_seed(0)
    config = ModelConfig(vocab_size=400, context_length=64, n_layer=1, n_head=1, d_model=8)
    drawn = SamplingConfig(temperature=5.0, max_tokens=60, logit_bias=((1, -100.0),))
    tokens = [e for e in generate(Decoder(config), byte_tokenizer, [70], drawn) if isinstance(e, TokenMade)]
    unknown = [token.text for token in tokens if token.id >= byte_tokenizer.get_vocab_size()]
    assert len(tokens) == 60
    assert unknown
    assert not any(unknown)


def test_what_was_held_back_appears_when_the_reply_ends(tokenizer: Tokenizer) -> None:
    assert text_of(say(tokenizer, "a##", stop=("###",))) == "a##"
    assert text_of(say(tokenizer, "a##", end=False, stop=("###",), max_tokens=3)) == "a##"
    assert text_of(say(tokenizer, "a日", end=False, max_tokens=3)) == "a"


def test_each_token_says_what_the_model_gave_it(tokenizer: Tokenizer) -> None:
    model = tiny_model()
    made = [e for e in generate(model, tokenizer, [70], GREEDY, n_top=3) if isinstance(e, TokenMade)]
    assert {(event.rank, event.draw) for event in made} == {(1, None)}
    for event in made:
        assert event.top[0] == (event.id, pytest.approx(math.log(event.probability), abs=1e-5))
        assert [log for _, log in event.top] == sorted((log for _, log in event.top), reverse=True)
        assert 0 < event.entropy < math.log(MIN_VOCAB_SIZE)
    drawn = [e for e in generate(model, tokenizer, [70], SamplingConfig(max_tokens=5)) if isinstance(e, TokenMade)]
    assert all(event.draw is not None and 0 <= event.draw < 1 and not event.top for event in drawn)


@pytest.mark.parametrize(
    "settings",
    [{"temperature": 0.0}, {"seed": 3, "frequency_penalty": 1.0, "top_p": 0.9}, *EVERY_CUT.values()],
    ids=str,
)
def test_a_reply_goes_on_as_if_it_had_never_stopped(settings: dict[str, float], tokenizer: Tokenizer) -> None:
    model = tiny_model()
    config = SamplingConfig(max_tokens=12, **settings)
    whole = ids_of(generate(model, tokenizer, [70, 71], config))
    rest = dataclasses.replace(config, max_tokens=7)
    *tokens, end = generate(model, tokenizer, [70, 71], rest, prefix_ids=whole[:5])
    assert ids_of(tokens) == whole[5:]
    assert isinstance(end, ReplyFinished)
    assert (end.n_prompt, end.n_tokens) == (2, 7)
    with pytest.raises(ValueError, match="has 49 tokens, but the model's context takes 48"):
        next(generate(model, tokenizer, [70] * 40, config, prefix_ids=[70] * 9))


def test_a_stop_text_may_begin_in_the_given_tokens(tokenizer: Tokenizer) -> None:
    def continued(prefix: str, text: str) -> list[str]:
        model = Scripted([*encode_text(tokenizer, text), *[70] * 99])
        config = SamplingConfig(temperature=0.0, stop=("###",), max_tokens=6)
        return [
            e.text
            for e in generate(model, tokenizer, [70], config, prefix_ids=encode_text(tokenizer, prefix))
            if isinstance(e, TokenMade)
        ]

    assert continued("a##", "#b") == [""]
    assert continued("a##", "b#c") == ["b", "", "#c", "A", "A", "A"]  # 70 is an A
    assert continued("a#", "##") == ["", ""]
    assert continued("a#", "###")[0] == ""
