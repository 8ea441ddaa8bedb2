"""The best of several replies: all are drawn and scored, and the best one is what is replied."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from tokenizers import Tokenizer

from terrarium.models.alignment.best_of import RepliesRanked
from terrarium.models.alignment.best_replies import best_reply_events
from terrarium.models.alignment.reward_model import RewardModel
from terrarium.models.alignment.rollouts import draw_replies
from terrarium.models.architecture.transformer import AnyModel, Decoder, build_model
from terrarium.models.chat.own_template import encode_messages
from terrarium.models.chat.prompting import PromptSettings
from terrarium.models.chat.template_config import ChatTemplateConfig
from terrarium.models.events import Event, Phase, ReplyFinished, TokenMade, result_of
from terrarium.models.inference.reply import ReplyRequest, ReplyStarted
from terrarium.models.inference.summarising import SummaryCache
from terrarium.models.settings.model_config import ModelConfig
from terrarium.models.settings.sampling_config import SamplingConfig
from terrarium.models.tokenizers import train_tokenizer
from terrarium.models.tokenizers.special_tokens import add_missing_special_tokens

Writer = tuple[Decoder, Tokenizer]


@pytest.fixture(scope="module")
def writer() -> Writer:
    tokenizer = train_tokenizer([""], "byte", 0)
    add_missing_special_tokens(tokenizer, "decoder-only")
    torch.manual_seed(0)
    model = build_model(ModelConfig(vocab_size=tokenizer.get_vocab_size(), n_layer=1, n_head=2, d_model=16))
    assert isinstance(model, Decoder)
    return model.eval(), tokenizer


@pytest.fixture(scope="module")
def judge(writer: Writer) -> RewardModel:
    config = dataclasses.replace(writer[0].config, head="sequence", n_label=1)
    return RewardModel(model=build_model(config).eval())


def events_of(
    model: AnyModel, tokenizer: Tokenizer, judge: RewardModel, text: str = "Hi", n: int = 8, **how: str
) -> list[Event]:
    request = ReplyRequest(
        messages=[{"role": "user", "content": text}],
        sampling=SamplingConfig(max_tokens=6, seed=3),
        prompting=PromptSettings(**how),
    )
    events = best_reply_events(model, tokenizer, 7, ChatTemplateConfig(), request, SummaryCache(), judge, n)
    return list(events)


def test_more_replies_begin_with_those_of_fewer(writer: Writer) -> None:
    few, many = (
        result_of(draw_replies(*writer, [[5, 6], [7, 8, 9]], n, seed=3, max_tokens=6)) for n in (2, 270)
    )  # 270 are more than are drawn at once
    assert [len(own) for own in many] == [270, 270]
    assert [[reply.ids for reply in own] for own in few] == [[reply.ids for reply in own[:2]] for own in many]


def test_the_best_one_is_replied_as_any_reply_is(writer: Writer, judge: RewardModel) -> None:
    events = [event for event in events_of(*writer, judge) if not isinstance(event, Phase)]
    started, ranked, *made, finished = events
    assert isinstance(started, ReplyStarted)
    assert isinstance(ranked, RepliesRanked)
    assert isinstance(finished, ReplyFinished)
    scores = [reply.score for reply in ranked.replies]
    assert len(scores) == 8
    assert scores == sorted(scores, reverse=True)
    best = ranked.replies[0]
    tokens = [event for event in made if isinstance(event, TokenMade)]
    assert tuple(token.id for token in tokens) == best.ids
    assert "".join(token.text for token in tokens).strip() == best.text
    assert finished.reason == ("stop" if best.ended else "length")
    [score] = result_of(judge.scores([(*started.prompt_ids, *best.ids)]))
    assert score == pytest.approx(best.score)
    with torch.no_grad():
        logs = torch.log_softmax(writer[0](torch.tensor([[*started.prompt_ids, *best.ids]])), dim=-1)[0]
    first = logs[len(started.prompt_ids) - 1]
    assert tokens[0].probability == pytest.approx(float(first[best.ids[0]].exp()), abs=1e-5)
    assert tokens[0].rank == int((first > first[best.ids[0]]).sum()) + 1
    assert tokens[0].entropy == pytest.approx(float(-(first.exp() * first).sum()), abs=1e-4)


def test_fewer_replies_are_the_first_of_more(writer: Writer, judge: RewardModel) -> None:
    few, many = (
        {
            reply.ids
            for event in events_of(*writer, judge, n=n)
            if isinstance(event, RepliesRanked)
            for reply in event.replies
        }
        for n in (3, 8)
    )
    assert few < many


def test_a_reply_that_fills_the_context_is_scored_too(writer: Writer, judge: RewardModel) -> None:
    model, tokenizer = writer
    empty, _ = encode_messages(tokenizer, [{"role": "user", "content": ""}], add_generation_prompt=True)
    room = model.config.context_length - len(empty)

    def longest(length: int) -> int:
        events = events_of(model, tokenizer, judge, "a" * length)
        return max(len(reply.ids) for event in events if isinstance(event, RepliesRanked) for reply in event.replies)

    assert longest(room - 2) == 2
    with pytest.raises(ValueError, match="there is no room for a reply"):
        longest(room)


def test_what_a_reward_model_has_not_learned_is_said(writer: Writer, judge: RewardModel) -> None:
    with pytest.raises(ValueError, match=r"has learned the model's own chat template: go back to it"):
        events_of(*writer, judge, template="{{ messages[0].content }}")
