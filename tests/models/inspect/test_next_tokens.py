"""Reading a reply again gives the logits it was sampled from, and with them the same draws."""

import math

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer

from terrarium.models.architecture.transformer import AnyModel, build_model
from terrarium.models.events import TokenMade
from terrarium.models.inference.generate import generate
from terrarium.models.inference.sampling import SamplingConfig
from terrarium.models.inference.sampling_steps import drawn_token, sampling_steps
from terrarium.models.inspect import next_tokens
from terrarium.models.inspect.next_tokens import read_logits
from terrarium.models.settings.model_config import ModelConfig
from terrarium.models.tokenizers.special_tokens import start_id

DRAWN = SamplingConfig(
    temperature=1.2, top_k=90, typical_p=0.95, top_p=0.9, min_p=0.01, repetition_penalty=1.2, frequency_penalty=0.3,
    presence_penalty=0.1, logit_bias=((80, 2.0),), seed=5, max_tokens=40,
)  # fmt: skip


def tiny(topology: str, **slots: object) -> AnyModel:
    torch.manual_seed(0)
    config = ModelConfig(
        topology=topology, vocab_size=261, context_length=48, n_layer=2, n_head=2, d_model=32, init_std=0.3, **slots
    )
    return build_model(config).eval()


def made(model: AnyModel, tokenizer: Tokenizer, ids: list[int], config: SamplingConfig) -> list[TokenMade]:
    return [event for event in generate(model, tokenizer, ids, config) if isinstance(event, TokenMade)]


@pytest.mark.parametrize("topology", ["decoder-only", "encoder-decoder"])
@pytest.mark.parametrize("config", [DRAWN, SamplingConfig(temperature=0.0, max_tokens=40)])
def test_all_draws_of_a_reply_can_be_reproduced(
    topology: str, config: SamplingConfig, byte_tokenizer: Tokenizer
) -> None:
    model, prompt = tiny(topology), [70, 71, 72]
    tokens = made(model, byte_tokenizer, prompt, config)
    source, begin = (
        (prompt, [start_id(model.config, byte_tokenizer)]) if topology == "encoder-decoder" else ((), prompt)
    )
    ids = [*begin, *(token.id for token in tokens)]
    read = read_logits(model, ids, source_ids=source)
    assert read.first == 1
    for position, token in enumerate(tokens, start=len(begin)):
        logits = read.at(position)
        assert logits is not None
        final = sampling_steps(logits, config, ids[:position], len(begin)).final
        assert (int(final.argmax()) if token.draw is None else drawn_token(final, token.draw)) == token.id
        assert read.probabilities[position - 1] == pytest.approx(token.probability, rel=1e-4)
        assert read.entropies[position - 1] == pytest.approx(token.entropy, rel=1e-4)
        assert read.ranks[position - 1] == token.rank


def test_only_the_last_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    model, ids = tiny("decoder-only"), list(range(70, 90))
    whole, last = read_logits(model, ids), read_logits(model, ids, last=5)
    assert (whole.first, last.first, len(last.ranks)) == (1, 15, 5)
    np.testing.assert_allclose(last.logits, whole.logits[-5:], rtol=1e-5)
    assert whole.at(0) is None
    assert whole.at(20) is None
    assert last.at(14) is None
    monkeypatch.setattr(next_tokens, "MAX_LOGIT_BYTES", 4 * 261 * 3)
    assert read_logits(model, ids).first == 17


def test_a_full_context_is_read() -> None:
    assert len(read_logits(tiny("decoder-only"), [70] * 49).ranks) == 48
    with pytest.raises(ValueError, match="takes 48"):
        read_logits(tiny("decoder-only"), [70] * 50)


@pytest.mark.parametrize("topology", ["decoder-only", "encoder-only"])
def test_an_empty_text_is_refused(topology: str) -> None:
    with pytest.raises(ValueError, match="prompt is empty"):
        read_logits(tiny(topology), [])


def test_an_encoder_predicts_at_the_same_position() -> None:
    model, ids = tiny("encoder-only"), [70, 71, 3, 72]
    read = read_logits(model, ids)
    assert (read.first, len(read.probabilities)) == (0, 4)
    with torch.no_grad():
        expected = model(torch.tensor([ids]))[0].numpy()
    np.testing.assert_allclose(read.logits, expected, rtol=1e-4, atol=1e-6)


def test_nan_logits_are_refused() -> None:
    model = tiny("decoder-only")
    with torch.no_grad():
        model.embedding.weight[70] = math.nan
    with pytest.raises(ValueError, match="choose an earlier checkpoint"):
        read_logits(model, [70, 71])
