"""Prompts are read in pieces; what was read before is not read again, and no number changes by that."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from torch import Tensor

from terrarium.models.architecture.transformer import Decoder
from terrarium.models.events import Progress, TokenMade
from terrarium.models.inference import prefill
from terrarium.models.inference.continuation import Continuation
from terrarium.models.inference.generate import generate
from terrarium.models.inference.prefill import PrefixCache, chunk_size
from terrarium.models.inference.sampling import SamplingConfig
from terrarium.models.settings.presets import PRESETS
from terrarium.models.tokenizers import MIN_VOCAB_SIZE, train_tokenizer

CONFIG = dataclasses.replace(
    PRESETS["llama-tiny"], vocab_size=MIN_VOCAB_SIZE, context_length=256, n_layer=2, d_model=32
)
PROMPT = [70 + i % 23 for i in range(90)]
SIZE = 16


@pytest.fixture(autouse=True)
def _small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(prefill.CHUNK_FLOPS, "cpu", 1.0)


def decoder(**slots: object) -> Decoder:
    torch.manual_seed(0)
    return Decoder(dataclasses.replace(CONFIG, **slots)).eval()  # type: ignore[arg-type]


def read(model: Decoder, ids: list[int], cache: PrefixCache | None = None) -> tuple[Tensor, int]:
    """The logits after a text, and how many of its tokens had to be read."""
    text = Continuation(model, ids, -1, prefix_cache=cache)
    known = text.n_read
    assert all(0 < n <= len(ids) for n in text.read_chunks())
    assert 0 < len(ids) - text.n_read <= SIZE
    return text.next_logits(torch.tensor([ids[text.n_read :]])), len(ids) - known


def test_pieces_are_as_long_as_the_model_is_small() -> None:
    assert chunk_size(decoder()) == SIZE
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(prefill.CHUNK_FLOPS, "cpu", 12e9)
        assert chunk_size(decoder()) > 10_000
    assert chunk_size(decoder(rope_scaling="dynamic", rope_factor=2.0)) == CONFIG.context_length


@pytest.mark.parametrize(
    "slots", [{}, {"conv_width": 4}, {"max_ngram": 3}, {"sliding_window": 20}, {"position": "alibi"}]
)
def test_pieces_give_the_logits_of_the_whole(slots: dict[str, object]) -> None:
    model = decoder(**slots)
    with torch.no_grad():
        whole = model(torch.tensor([PROMPT]))[0, -1]
    torch.testing.assert_close(read(model, PROMPT)[0][0], whole, rtol=1e-4, atol=1e-5)


def test_what_was_read_is_not_read_again_and_changes_no_bit() -> None:
    model, cache = decoder(), PrefixCache()
    longer = [*PROMPT, *range(80, 120)]
    other = [*PROMPT[:40], *longer[50:]]
    for ids, n in ((PROMPT, 90), (PROMPT, 90 - 80), (longer, 130 - 80), (other, 120 - 32), (PROMPT, 90 - 32)):
        logits, n_read = read(model, ids, cache)
        assert n_read == n
        assert torch.equal(logits, read(model, ids)[0])


def test_new_weights_and_convolutions_are_read_anew() -> None:
    model, cache = decoder(), PrefixCache()
    read(model, PROMPT, cache)
    for weights in (model.embedding.weight, model.blocks[1].feed_forward.up.weight):  # the table may be frozen
        with torch.no_grad():
            weights.mul_(1.5)  # type: ignore[operator]
        assert read(model, PROMPT, cache)[1] == len(PROMPT)
    assert read(decoder(), PROMPT, cache)[1] == len(PROMPT)
    convolving, cache = decoder(conv_width=4), PrefixCache()
    read(convolving, PROMPT, cache)
    assert read(convolving, PROMPT, cache)[1] == len(PROMPT)


def test_a_reply_is_the_same_whatever_was_read_before_and_can_be_left_between_pieces() -> None:
    model, cache, tokenizer = decoder(), PrefixCache(), train_tokenizer([], "byte", MIN_VOCAB_SIZE)
    drawn = SamplingConfig(temperature=1.0, max_tokens=12, seed=5)

    def made(**known: PrefixCache) -> list[TokenMade]:
        return [e for e in generate(model, tokenizer, PROMPT, drawn, **known) if isinstance(e, TokenMade)]

    stopped = generate(model, tokenizer, PROMPT, drawn, prefix_cache=cache)
    assert next(stopped) == Progress(done=SIZE, total=len(PROMPT))
    assert next(stopped) == Progress(done=2 * SIZE, total=len(PROMPT))
    stopped.close()  # type: ignore[attr-defined]
    assert Continuation(model, PROMPT, -1, prefix_cache=cache).n_read == 2 * SIZE
    assert made() == made(prefix_cache=cache) == made(prefix_cache=cache)
