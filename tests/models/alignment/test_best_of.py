"""Best-of-n: the curve is what trying all choices gives, and the best reply comes first."""

from __future__ import annotations

import dataclasses
import itertools
import statistics

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer

from models.alignment.best_of import best_of
from models.alignment.best_of_curve import best_of_curve
from models.alignment.reward_model import RewardModel
from models.alignment.rollouts import draw_replies
from models.architecture.transformer import Decoder, build_model
from models.chat.own_template import encode_messages
from models.events import Progress, result_of
from models.settings.model_config import ModelConfig
from models.tokenizers import train_tokenizer
from models.tokenizers.special_tokens import add_missing_special_tokens
from tests.models.interop.support import drive

ROW = st.lists(st.tuples(st.integers(-3, 3), st.integers(0, 1)), min_size=8, max_size=8)


def mean_of_best(row: list[tuple[int, int]], n: int) -> tuple[float, float]:
    """By trying all choices of n, and all of the best of each."""
    chosen = [[one for one in some if one[0] == max(some)[0]] for some in itertools.combinations(row, n)]
    return (
        statistics.fmean(best[0][0] for best in chosen),
        statistics.fmean(statistics.fmean(gold for _, gold in best) for best in chosen),
    )


@given(ROW, ROW)
def test_curve_is_the_mean_over_all_choices(first: list[tuple[int, int]], second: list[tuple[int, int]]) -> None:
    rows = [first, second]
    points = best_of_curve([[s for s, _ in row] for row in rows], [[g for _, g in row] for row in rows])
    assert [point.n for point in points] == [1, 2, 4, 8]
    for point in points:
        proxies, golds = zip(*(mean_of_best(row, point.n) for row in rows), strict=True)
        assert point.proxy == pytest.approx(statistics.fmean(proxies))
        assert point.gold == pytest.approx(statistics.fmean(golds))


def test_kl_of_one_reply_is_zero_and_more_cost_more() -> None:
    points = best_of_curve([[1.0, 2.0, 3.0, 4.0]], [[0.0, 1.0, 1.0, 0.0]])
    assert points[0].kl == 0
    assert points[-1].kl == pytest.approx(1.386 - 0.75, abs=1e-3)
    assert points[-1].to_dict() == {"n": 4, "proxy": 4.0, "gold": 0.0, "gold_error": 0.0, "kl": points[-1].kl}


def test_the_error_of_gold_is_that_of_the_mean_over_prompts() -> None:
    golds = [[1.0, 0.0], [0.0, 0.0], [1.0, 1.0]]
    first, best = best_of_curve([[1.0, 2.0]] * 3, golds)
    assert first.gold_error == pytest.approx(statistics.stdev([0.5, 0.0, 1.0]) / 3**0.5)
    assert best.gold_error == pytest.approx(statistics.stdev([0.0, 0.0, 1.0]) / 3**0.5)


@pytest.fixture(scope="module")
def writer() -> tuple[Decoder, Tokenizer]:
    tokenizer = train_tokenizer([""], "byte", 0)
    add_missing_special_tokens(tokenizer, "decoder-only")
    torch.manual_seed(0)
    model = build_model(ModelConfig(vocab_size=tokenizer.get_vocab_size(), n_layer=1, n_head=2, d_model=16))
    assert isinstance(model, Decoder)
    return model.eval(), tokenizer


def test_more_replies_begin_with_those_of_fewer(writer: tuple[Decoder, Tokenizer]) -> None:
    few, many = (
        result_of(draw_replies(*writer, [[5, 6], [7, 8, 9]], n, seed=3, max_tokens=6)) for n in (2, 270)
    )  # 270 are more than are drawn at once
    assert [len(own) for own in many] == [270, 270]
    assert [[reply.ids for reply in own] for own in few] == [[reply.ids for reply in own[:2]] for own in many]


def test_the_best_reply_comes_first(writer: tuple[Decoder, Tokenizer]) -> None:
    model, tokenizer = writer
    config = dataclasses.replace(model.config, head="sequence", n_label=1)
    judge = RewardModel(model=build_model(config).eval())
    seen, replies = drive(best_of(model, tokenizer, judge, [{"role": "user", "content": "Hi"}], 8, max_tokens=6))
    assert all(isinstance(event, Progress) for event in seen)
    assert len(replies) == 8
    assert [reply.score for reply in replies] == sorted((reply.score for reply in replies), reverse=True)
    assert all(1 <= reply.n_tokens <= 6 for reply in replies)


def test_a_reply_that_fills_the_context_is_scored_too(writer: tuple[Decoder, Tokenizer]) -> None:
    model, tokenizer = writer
    judge = RewardModel(model=build_model(dataclasses.replace(model.config, head="sequence", n_label=1)).eval())

    def tokens_of_replies(length: int) -> list[int]:
        asked = [{"role": "user", "content": "a" * length}]
        return [reply.n_tokens for reply in result_of(best_of(model, tokenizer, judge, asked, 8, max_tokens=80))]

    empty, _ = encode_messages(tokenizer, [{"role": "user", "content": ""}], add_generation_prompt=True)
    room = model.config.context_length - len(empty)
    assert max(tokens_of_replies(room - 2)) == 2
    with pytest.raises(ValueError, match="there is no room for a reply"):
        tokens_of_replies(room)
