"""Speculative decoding: the distribution of plain decoding, exactly, and a cache as if nothing had been rejected."""

import dataclasses
import itertools
from collections import Counter
from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer

from terrarium.models.architecture.cache import KVCache
from terrarium.models.architecture.transformer import Decoder, Encoder, EncoderDecoder
from terrarium.models.events import ReplyFinished, TokenMade
from terrarium.models.inference.continuation import Continuation
from terrarium.models.inference.fast_decoder import FastDecoder
from terrarium.models.inference.generate import generate
from terrarium.models.inference.prefill import PrefixCache
from terrarium.models.inference.sampling import SamplingConfig
from terrarium.models.inference.sampling_steps import sampling_steps
from terrarium.models.inference.speculative import Draft, check_draft, decide
from terrarium.models.inference.threads import run_single_threaded
from terrarium.models.settings.model_config import ModelConfig
from terrarium.models.settings.presets import PRESETS
from terrarium.models.settings.sampling_config import MAX_DRAFTED
from terrarium.models.tokenizers import MIN_VOCAB_SIZE, encode_text, train_tokenizer
from tests.models.every_cut import EVERY_CUT

NEVER = (10**6,)
"""An end token that no model writes."""
GREEDY = SamplingConfig(temperature=0.0, max_tokens=60)
DESIGNS: dict[str, dict[str, Any]] = {
    "gpt2": {"position": "learned", "norm": "layernorm", "activation": "gelu_tanh"},
    "llama, with shared keys and values": {"position": "rope", "activation": "swiglu", "n_kv_head": 2, "bias": "none"},
    "terrarium, with convolutions": {"position": "rope", "activation": "relu2", "qk_norm": True, "conv_width": 4},
    "n-grams": {"position": "rope", "max_ngram": 4, "ngram_rows": 100},
    "sliding window": {"position": "rope", "sliding_window": 8, "nope_interval": 2},
    "mixture of experts": {"position": "rope", "n_expert": 4, "n_expert_used": 2, "sliding_window": 12},
    "biases of distances": {"position": "alibi", "norm_place": "post"},
}


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return train_tokenizer([], "byte", MIN_VOCAB_SIZE)


def model_of(seed: int = 0, **slots: Any) -> Decoder:
    """Random weights in float32, large enough for texts that do not repeat one token."""
    torch.manual_seed(seed)
    sizes = {"vocab_size": MIN_VOCAB_SIZE, "context_length": 96, "n_layer": 2, "n_head": 4, "d_model": 32}
    return Decoder(ModelConfig(**{**sizes, "init_std": 0.3, **slots})).eval()


def like(model: Decoder, noise: float = 0.05) -> Decoder:
    """A model that mostly predicts the same."""
    other = model_of(**{f.name: getattr(model.config, f.name) for f in dataclasses.fields(model.config)})
    with torch.no_grad():
        for mine, theirs in zip(other.parameters(), model.parameters(), strict=True):
            mine.copy_(theirs + noise * theirs.std() * torch.randn_like(theirs) if theirs.numel() > 1 else theirs)
    return other


def reply_of(
    model: Decoder, tokenizer: Tokenizer, config: SamplingConfig, prompt: str = "Where is Ben?", **more: Any
) -> tuple[list[TokenMade], ReplyFinished]:
    more = {"end_ids": NEVER, **more}
    events = list(generate(model, tokenizer, encode_text(tokenizer, prompt), config, **more))
    end = events[-1]
    assert isinstance(end, ReplyFinished)
    return [event for event in events if isinstance(event, TokenMade)], end


def ids(made: Sequence[TokenMade]) -> list[int]:
    return [token.id for token in made]


# -- The same replies --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("design", DESIGNS)
@pytest.mark.parametrize("n_tokens", [1, 5])
def test_greedy_replies_are_the_same(design: str, n_tokens: int, tokenizer: Tokenizer) -> None:
    model = model_of(**DESIGNS[design])
    plain, _ = reply_of(model, tokenizer, GREEDY, n_top=3)
    for draft in (like(model), model_of(seed=5, n_layer=1, **DESIGNS["gpt2"])):
        made, end = reply_of(model, tokenizer, GREEDY, n_top=3, draft=Draft(model=draft, n_tokens=n_tokens))
        assert ids(made) == ids(plain)
        assert [token.text for token in made] == [token.text for token in plain]
        assert [token.top[0][0] for token in made] == [token.top[0][0] for token in plain]
        for one, other in zip(made, plain, strict=True):
            assert one.probability == pytest.approx(other.probability, rel=1e-3)
        assert end.n_passes + end.n_accepted == end.n_tokens


def test_the_seed_gives_one_reply_for_any_number_of_drafted_tokens(tokenizer: Tokenizer) -> None:
    model = model_of(**DESIGNS["terrarium, with convolutions"])
    draft = like(model)
    for more in ({"repetition_penalty": 1.2}, *EVERY_CUT.values()):
        config = SamplingConfig(temperature=0.9, max_tokens=50, seed=3, **more)
        replies = [ids(reply_of(model, tokenizer, config, draft=Draft(model=draft, n_tokens=n))[0]) for n in (1, 4, 15)]
        assert replies[0] == replies[1] == replies[2]
        begun = replies[0][:20]
        config = dataclasses.replace(config, max_tokens=30)
        rest, _ = reply_of(model, tokenizer, config, prefix_ids=begun, draft=Draft(model=draft, n_tokens=4))
        assert begun + ids(rest) == replies[0], more


def test_a_draft_with_a_short_context_follows_a_long_text(tokenizer: Tokenizer) -> None:
    model = model_of()
    short = like(model_of(context_length=24))
    plain, _ = reply_of(model, tokenizer, GREEDY)
    made, end = reply_of(model, tokenizer, GREEDY, draft=Draft(model=short, n_tokens=4))
    assert ids(made) == ids(plain)
    assert end.n_drafted > end.n_tokens / 4  # it did not stop when its context was full
    sampled = SamplingConfig(temperature=0.8, max_tokens=60, seed=1)
    replies = [ids(reply_of(model, tokenizer, sampled, draft=Draft(model=short, n_tokens=n))[0]) for n in (1, 7)]
    assert replies[0] == replies[1]


# -- The same distribution ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("p", "q"),
    [
        ((1, 2, 5, 0), (5, 1, 1, 1)),
        ((8, 0, 0, 0), (0, 0, 1, 7)),
        ((2, 2, 2, 2), (2, 2, 2, 2)),
        ((0, 3, 4, 1), (1, 3, 3, 1)),
    ],
)
def test_the_result_has_the_distribution_of_the_large_model(p: tuple[int, ...], q: tuple[int, ...]) -> None:
    """Exactly: random numbers are replaced by all midpoints of a grid on which every probability ends."""
    mine, drafts = np.array(p, np.float32) / 8, np.array(q, np.float32) / 8
    grid = [(i + 0.5) / 840 for i in range(840)]  # the least common multiple of 1 to 8
    found: Counter[int] = Counter()
    for proposed, share in enumerate(q):
        if not share:
            continue
        n_accepted = sum(decide(mine, drafts, proposed, accept, 0.5) == proposed for accept in grid)
        found[proposed] += Fraction(share, 8) * Fraction(n_accepted, 840)  # type: ignore[assignment]
        if n_accepted < 840:
            for redraw in grid:
                drawn = decide(mine, drafts, proposed, grid[-1], redraw)
                found[drawn] += Fraction(share, 8) * Fraction(840 - n_accepted, 840) / 840  # type: ignore[assignment]
    assert [found[id] for id in range(4)] == [Fraction(each, 8) for each in p]


@pytest.mark.parametrize("more", [{}, {"top_k": 3, "presence_penalty": 0.5}])
def test_sampled_replies_have_the_distribution_of_the_large_model(more: dict[str, Any], tokenizer: Tokenizer) -> None:
    """Of all replies of four tokens from a vocabulary of four, by a chi-square test with fixed seeds."""
    from scipy import stats

    model, draft = (model_of(seed=seed, vocab_size=4, d_model=16, n_layer=1, init_std=0.25) for seed in (0, 1))
    prompt, n = [1, 2, 3], 600
    config = SamplingConfig(temperature=0.9, max_tokens=4, **more)
    expected: dict[tuple[int, ...], float] = {}
    replies = list(itertools.product(range(4), repeat=4))
    with torch.inference_mode():
        logits = model(torch.tensor([[*prompt, *reply[:3]] for reply in replies])).numpy()
    for reply, rows in zip(replies, logits[:, len(prompt) - 1 :], strict=True):
        texts = [[*prompt, *reply[:i]] for i in range(4)]
        chances = [
            sampling_steps(row, config, text, len(prompt)).final[id]
            for row, text, id in zip(rows, texts, reply, strict=True)
        ]
        expected[reply] = float(np.prod(chances, dtype=np.float64))
    assert sum(expected.values()) == pytest.approx(1, abs=1e-5)
    counts: Counter[tuple[int, ...]] = Counter()
    outcomes: Counter[str] = Counter()
    for seed in range(n):
        seeded = dataclasses.replace(config, seed=seed)
        events = generate(model, tokenizer, prompt, seeded, end_ids=NEVER, draft=Draft(model=draft, n_tokens=2))
        made = run_single_threaded(lambda events=events: [e for e in events if isinstance(e, TokenMade)])  # type: ignore[misc]
        counts[tuple(ids(made))] += 1
        outcomes.update(token.speculated.outcome for token in made if token.speculated is not None)
    assert min(outcomes["accepted"], outcomes["replaced"], outcomes["bonus"]) > n / 10
    assert all(expected[reply] > 0 for reply in counts)
    common = [reply for reply, chance in expected.items() if chance * n >= 5]
    rest = 1 - sum(expected[reply] for reply in common)
    seen = [counts[reply] for reply in common] + [n - sum(counts[reply] for reply in common)] * (rest > 1e-6)
    wanted = [n * expected[reply] for reply in common] + [n * rest] * (rest > 1e-6)
    assert stats.chisquare(seen, wanted, sum_check=False).pvalue > 0.01


# -- What is counted, and where it ends --------------------------------------------------------------------------------


def test_what_was_drafted_is_counted_and_told(tokenizer: Tokenizer) -> None:
    model = model_of()
    config = SamplingConfig(temperature=0.7, max_tokens=60, seed=2)
    made, end = reply_of(model, tokenizer, config, draft=Draft(model=like(model, 0.1), n_tokens=4))
    told = [token.speculated for token in made if token.speculated is not None]
    assert len(told) == end.n_tokens == 60
    outcomes = Counter(each.outcome for each in told)
    assert outcomes["accepted"] == end.n_accepted > 0
    assert outcomes["replaced"] + outcomes["bonus"] == end.n_passes
    assert outcomes["replaced"] > 0
    assert end.n_drafted >= outcomes["accepted"] + outcomes["replaced"]
    assert told[0].outcome == "bonus"  # the first token belongs to the pass that reads the prompt
    for token, each in zip(made, told, strict=True):
        assert token.draw is None
        if each.outcome == "replaced":
            assert each.proposed != token.id
            assert each.p < each.q  # else it would have been accepted
        elif each.outcome == "accepted":
            assert each.proposed == token.id
            assert each.p > 0
            assert each.q > 0
        else:
            assert each.proposed == -1
    stranger = Draft(model=model_of(seed=9, n_layer=1), n_tokens=15)
    _, end = reply_of(model, tokenizer, config, draft=stranger)
    assert end.n_drafted < 3 * end.n_passes, "a draft that is often wrong drafts less"
    plain, plain_end = reply_of(model, tokenizer, config)
    assert (plain_end.n_drafted, plain_end.n_accepted, plain_end.n_passes) == (0, 0, 0)
    assert all(token.speculated is None for token in plain)


@settings(max_examples=25, deadline=None)
@given(n_tokens=st.integers(1, MAX_DRAFTED), max_tokens=st.integers(1, 30), n_prompt=st.integers(1, 40), data=st.data())
def test_a_reply_ends_where_a_plain_one_ends(
    n_tokens: int, max_tokens: int, n_prompt: int, data: st.DataObject
) -> None:
    """At the length limit, the end of the context, an end token or a stop text, wherever in a pass that is."""
    tokenizer = train_tokenizer([], "byte", MIN_VOCAB_SIZE)
    model = model_of(context_length=40, n_layer=1, d_model=16)
    config = SamplingConfig(temperature=0.0, max_tokens=max_tokens)
    prompt = [(7 * i + 3) % 200 for i in range(n_prompt)]
    free = [
        event for event in generate(model, tokenizer, prompt, config, end_ids=NEVER) if isinstance(event, TokenMade)
    ]
    end_id = data.draw(st.sampled_from([*ids(free), *NEVER]))
    texts = [token.text for token in free if token.text]
    stop = data.draw(st.sampled_from([(), *((text,) for text in texts)]))
    config = dataclasses.replace(config, stop=stop)
    ends = []
    for draft in (None, Draft(model=like(model, 0.02), n_tokens=n_tokens)):
        events = list(generate(model, tokenizer, prompt, config, end_ids=(end_id,), draft=draft))
        end = events[-1]
        assert isinstance(end, ReplyFinished)
        made = [event for event in events if isinstance(event, TokenMade)]
        ends.append((ids(made), [token.text for token in made], end.reason, end.n_tokens))
        told = [token.speculated for token in made if token.speculated is not None]
        assert sum(each.outcome == "accepted" for each in told) == end.n_accepted
    assert ends[0] == ends[1]


def test_a_reply_can_be_dropped_between_any_two_tokens(tokenizer: Tokenizer) -> None:
    model = model_of(d_model=64)
    draft = like(model)
    plain, _ = reply_of(model, tokenizer, GREEDY)
    caches = PrefixCache(), PrefixCache()
    for n in range(1, 12):
        drafting = Draft(model=draft, n_tokens=5, prefix_cache=caches[1])
        events = generate(
            model, tokenizer, encode_text(tokenizer, "Where is Ben?"), GREEDY, end_ids=NEVER, prefix_cache=caches[0],
            draft=drafting,
        )  # fmt: skip
        first = list(itertools.islice((event for event in events if isinstance(event, TokenMade)), n))
        events.close()  # type: ignore[attr-defined]
        assert ids(first) == ids(plain)[:n]
    made, _ = reply_of(model, tokenizer, GREEDY, prefix_cache=caches[0])
    assert ids(made) == ids(plain)  # what is left in the cache is right


# -- Forgetting --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("design", DESIGNS)
@pytest.mark.parametrize("is_fast", [True, False])
def test_what_is_forgotten_leaves_no_trace(design: str, is_fast: bool) -> None:
    model = model_of(**DESIGNS[design])
    fast = FastDecoder(model)
    text, wrong = [5, 9, 1, 7, 7, 3, 2, 8, 4, 6, 11, 12], [30, 31, 32, 33]

    def read(ids: list[int], cache: KVCache) -> torch.Tensor:
        with torch.inference_mode():
            if is_fast:
                return fast.each_logits(torch.tensor([ids]), cache)
            return model(torch.tensor([ids]), cache=cache)[0]

    straight, winding = KVCache(model.config.n_layer), KVCache(model.config.n_layer)
    winding.reserve_rollback(4)
    right = torch.cat([read(text[start : start + 3], straight) for start in range(0, 12, 3)])
    parts = []
    for start in range(0, 12, 3):
        for n in (4, 1):
            read(wrong[:n], winding)
            winding.rollback(n)
        read([*text[start : start + 1], *wrong[:3]], winding)  # one right token, and three that are rejected
        winding.rollback(4)
        parts.append(read(text[start : start + 3], winding))
    assert torch.equal(torch.cat(parts), right)
    with torch.inference_mode():
        torch.testing.assert_close(right, model(torch.tensor([text]))[0], rtol=1e-3, atol=1e-3)


def test_bits_of_a_short_pass_do_not_depend_on_the_number_of_threads() -> None:
    model = model_of(vocab_size=3000, d_model=256, d_ff=700)
    before = torch.get_num_threads()
    found = []
    try:
        for n in (1, 2, 3):
            torch.set_num_threads(n)
            text = Continuation(model, [1, 2, 3], -1)
            found.append(torch.cat([text.each_logits(range(k)) for k in (3, 1, 6, 16)]))
    finally:
        torch.set_num_threads(before)
    assert torch.equal(found[0], found[1])
    assert torch.equal(found[0], found[2])


# -- Which models may draft --------------------------------------------------------------------------------------------


def test_a_draft_that_cannot_draft_is_refused_in_a_sentence(tokenizer: Tokenizer) -> None:
    model = model_of()
    check_draft(model, tokenizer, model_of(n_layer=1), tokenizer, "small")
    check_draft(model, tokenizer, model_of(n_layer=4), tokenizer, "large")  # slow, but right
    other = Tokenizer.from_str(tokenizer.to_str())
    other.add_tokens(["new"])
    small = {"vocab_size": MIN_VOCAB_SIZE, "n_layer": 1, "n_head": 2, "d_model": 16, "context_length": 16}
    encoder = Encoder(ModelConfig(**small, topology="encoder-only"))
    both = EncoderDecoder(dataclasses.replace(PRESETS["t5-tiny"], **small))
    for draft, own, words in (
        (model, tokenizer, "the model itself"),
        (model_of(n_layer=1), other, "another tokenizer"),
        (model_of(vocab_size=300), tokenizer, "another tokenizer"),
        (encoder, tokenizer, "not a decoder"),
        (both, tokenizer, "not a decoder"),
    ):
        with pytest.raises(ValueError, match=words) as error:
            check_draft(model, tokenizer, draft, own, "small")
        assert str(error.value).count(". ") == 0
    for target, words in ((both, "Only a decoder"), (model_of(rope_scaling="dynamic", position="rope"), "dynamic")):
        with pytest.raises(ValueError, match=words):
            check_draft(target, tokenizer, model_of(n_layer=1), tokenizer, "small")
    with pytest.raises(ValueError, match="choose 1 to 15"):
        Draft(model=model, n_tokens=0)
