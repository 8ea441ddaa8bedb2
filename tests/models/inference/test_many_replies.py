"""Drawn replies: in a batch, with a cache and a shared prompt, they are those of one by one without."""

from __future__ import annotations

import random
from collections.abc import Sequence

import pytest
import torch

from terrarium.models.architecture.transformer import Decoder, build_model
from terrarium.models.events import result_of
from terrarium.models.inference.many_replies import DrawnReply, draw_batch
from terrarium.models.settings.model_config import ModelConfig

END, MAX_TOKENS = 3, 10


def tiny_model(**settings: object) -> Decoder:
    torch.manual_seed(0)
    common = {"n_layer": 2, "n_head": 2, "d_model": 16, "context_length": 32, "vocab_size": 12, "dropout": 0.1}
    model = build_model(ModelConfig(**{**common, **settings}))
    assert isinstance(model, Decoder)
    return model


def drawn_alone(model: Decoder, prompt: Sequence[int], seed: int) -> DrawnReply:
    """Token by token, each time with the whole text read anew, and one random number a token."""
    numbers = torch.rand(MAX_TOKENS, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).tolist()
    ids: list[int] = []
    logs: list[float] = []
    model.eval()
    with torch.no_grad():
        while len(ids) < MAX_TOKENS and len(prompt) + len(ids) <= model.config.context_length and END not in ids:
            of_all = torch.log_softmax(model(torch.tensor([[*prompt, *ids]]))[0, -1], dim=-1)
            sums = of_all.double().exp().cumsum(0)
            ids.append(int((sums <= numbers[len(ids)] * sums[-1]).sum()))
            logs.append(float(of_all[ids[-1]]))
    model.train()
    return DrawnReply(ids=tuple(ids), log_probs=tuple(logs), ended=END in ids)


@pytest.mark.parametrize(
    "settings",
    [{}, {"position": "rope", "conv_width": 3}, {"position": "rope", "max_ngram": 3}, {"position": "learned"}],
)
def test_in_a_batch_as_alone(settings: dict[str, object]) -> None:
    model, rng = tiny_model(**settings).train(), random.Random(0)
    prompts = [[rng.randrange(4, 12) for _ in range(n)] for n in (1, 7, 3, 28, 32, 7)]
    seeds = [[100 * i + j for j in range(4)] for i in range(len(prompts))]
    found = result_of(draw_batch(model, prompts, seeds, MAX_TOKENS, END))
    assert model.training
    replies = [reply for some in found for reply in some]
    alone = [drawn_alone(model, prompt, seed) for prompt, own in zip(prompts, seeds, strict=True) for seed in own]
    assert [reply.ids for reply in replies] == [reply.ids for reply in alone]
    assert [reply.ended for reply in replies] == [reply.ended for reply in alone]
    for reply, other in zip(replies, alone, strict=True):
        assert reply.log_probs == pytest.approx(other.log_probs, abs=1e-4)
    assert len({len(reply.ids) for reply in replies}) > 3
    assert any(reply.ended for reply in replies)
    assert not all(reply.ended for reply in replies)
    assert all(reply.ids[-1] == END for reply in replies if reply.ended)
    assert len({reply.ids for reply in found[1]}) > 1, "seeds make a difference"


def test_tokens_are_drawn_as_often_as_they_are_likely() -> None:
    model, n = tiny_model(vocab_size=5), 4000
    (replies,) = result_of(draw_batch(model, [[4]], [range(n)], 1, END))
    model.eval()
    with torch.no_grad():
        expected = torch.softmax(model(torch.tensor([[4]]))[0, -1], dim=-1)
    counts = torch.bincount(torch.tensor([reply.ids[0] for reply in replies]), minlength=5) / n
    assert (counts - expected).abs().max() < 4 * (0.25 / n) ** 0.5


def test_diverged_weights_are_named() -> None:
    model = tiny_model()
    with torch.no_grad():
        model.embedding.weight.fill_(float("nan"))
    with pytest.raises(ValueError, match="training diverged"):
        result_of(draw_batch(model, [[4]], [[0]], 1, END))
