"""What models think of pairs: the sum of log-probabilities one by one, and rewards at the end token."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from tokenizers import Tokenizer

from terrarium.models.alignment.pair_scores import LOG_PROB, REWARD, pair_scores
from terrarium.models.architecture.transformer import AnyModel, build_model
from terrarium.models.chat.own_template import encode_reply
from terrarium.models.corpora.corpus import Example
from terrarium.models.events import result_of
from terrarium.models.settings.model_config import ModelConfig


def row(i: int, chosen: str, rejected: str) -> Example:
    return {"messages": [{"role": "user", "content": f"Q{i}"}], "chosen": chosen, "rejected": rejected}


ROWS = [row(i, "yes " * (i % 3 + 1), "no") for i in range(20)]


def model_of(tokenizer: Tokenizer, **settings: Any) -> AnyModel:
    torch.manual_seed(0)
    size: dict[str, Any] = {
        "n_layer": 1,
        "n_head": 2,
        "d_model": 16,
        "context_length": 48,
        "vocab_size": tokenizer.get_vocab_size(),
    }
    return build_model(ModelConfig(**{**size, **settings}))


def test_log_probabilities_are_those_of_one_reply_alone(byte_tokenizer: Tokenizer) -> None:
    model = model_of(byte_tokenizer).eval()
    found = result_of(pair_scores(model, byte_tokenizer, [*ROWS, row(99, "too long " * 9, "no")]))
    assert (found.kind, found.scores[-1], len(found.scores)) == (LOG_PROB, None, 21)
    for each, score in zip(ROWS, found.scores, strict=False):
        assert score is not None
        for side, value in (("chosen", score.chosen), ("rejected", score.rejected)):
            prompt, reply = encode_reply(byte_tokenizer, each["messages"], each[side])
            with torch.no_grad():
                logs = torch.log_softmax(model(torch.tensor([prompt + reply]))[0], dim=-1)
            expected = sum(float(logs[len(prompt) - 1 + at, id]) for at, id in enumerate(reply))
            assert value == pytest.approx(expected, abs=1e-4)
        assert score.margin == pytest.approx(score.chosen - score.rejected)


def test_rewards_are_read_at_the_end_of_each_reply(byte_tokenizer: Tokenizer) -> None:
    model = model_of(byte_tokenizer, head="sequence", n_label=1).eval()
    found = result_of(pair_scores(model, byte_tokenizer, ROWS))
    alone = [result_of(pair_scores(model, byte_tokenizer, [each])).scores[0] for each in ROWS[:3]]
    assert found.kind == REWARD
    for score, one in zip(found.scores, alone, strict=False):
        assert score is not None
        assert one is not None
        assert (score.chosen, score.rejected) == pytest.approx((one.chosen, one.rejected), abs=1e-5)
        assert score.chosen != score.rejected


def test_other_models_are_refused(byte_tokenizer: Tokenizer) -> None:
    model = model_of(byte_tokenizer, head="sequence", n_label=3)
    with pytest.raises(ValueError, match="neither scores replies nor writes them"):
        result_of(pair_scores(model, byte_tokenizer, ROWS))
