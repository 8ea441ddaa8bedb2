"""Held-out accuracy: 100 % for a perfect model, 0 for empty replies, its baselines, and a sample of its questions."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Generator, Sequence

import pytest
from tokenizers import Tokenizer

from terrarium.models.architecture.transformer import Decoder
from terrarium.models.chat.own_template import encode_messages
from terrarium.models.evaluation import held_out_questions as evaluation
from terrarium.models.evaluation.held_out_questions import (
    AnsweredQuestion,
    HeldOutSample,
    evaluate,
    headline,
    held_out_questions,
)
from terrarium.models.events import Evaluated, Phase, Progress, result_of
from terrarium.models.inference.many_replies import KeepOn
from terrarium.models.settings.model_config import ModelConfig
from terrarium.models.tiny_world.judge import is_right, may_become_right
from terrarium.models.tiny_world.questions import HEADLINE_KINDS, KINDS, Question
from terrarium.models.tiny_world.world import World
from terrarium.models.tokenizers import encode_text

WORLD = World(5)
N = 12
Oracle = Callable[[Question], str]


def prompt_ids(tokenizer: Tokenizer, text: str) -> tuple[int, ...]:
    ids, _ = encode_messages(tokenizer, [{"role": "user", "content": text}], add_generation_prompt=True)
    return tuple(ids)


@pytest.fixture
def replying(monkeypatch: pytest.MonkeyPatch, byte_tokenizer: Tokenizer) -> Callable[..., None]:
    """Replies come from a function; asked without the story, `blind` is said."""
    monkeypatch.setattr(evaluation, "N_SEEN", 60)
    asked = {
        prompt_ids(byte_tokenizer, question.text): question
        for kind in KINDS
        for question in held_out_questions(WORLD, kind, N)
    }

    def reply_by(oracle: Oracle, blind: str = "") -> None:
        def generate(
            _model: Decoder,
            prompts: Sequence[Sequence[int]],
            _max_tokens: int,
            end: int,
            _batch_size: int,
            keep_on: KeepOn | None,
        ) -> Generator[int, None, list[list[int]]]:
            assert end == byte_tokenizer.token_to_id("<|end|>")
            replies = []
            for i, prompt in enumerate(prompts):
                question = asked.get(tuple(prompt))
                reply = encode_text(byte_tokenizer, f" {blind if question is None else oracle(question)}")
                cuts = (n for n in range(1, len(reply)) if keep_on is not None and not keep_on(i, reply[:n]))
                replies.append(reply[: next(cuts, len(reply))])
                yield len(reply)
            return replies

        monkeypatch.setattr(evaluation, "generate_batch_steps", generate)

    return reply_by


@pytest.fixture
def answered_by(
    replying: Callable[..., None], byte_tokenizer: Tokenizer, tiny_config: ModelConfig
) -> Callable[[Oracle, str], Evaluated]:
    """The evaluation of a model whose replies come from a function; asked without the story it says `blind`."""

    def evaluated(oracle: Oracle, blind: str = "") -> Evaluated:
        replying(oracle, blind)
        model = Decoder(dataclasses.replace(tiny_config, context_length=1024))  # every question fits
        events = list(evaluate(model, byte_tokenizer, WORLD, N))
        assert {type(event) for event in events[:-1]} == {Phase, Progress}
        assert isinstance(events[-1], Evaluated)
        return events[-1]

    return evaluated


Answers = Callable[..., Evaluated]


def test_a_perfect_model_scores_one(answered_by: Answers) -> None:
    result = answered_by(lambda question: question.gold)
    assert result.accuracy == 1
    assert [kind.kind for kind in result.kinds] == list(KINDS)
    assert all(kind.accuracy == 1 and kind.n == N for kind in result.kinds)


def test_an_empty_reply_scores_zero(answered_by: Answers) -> None:
    result = answered_by(lambda question: "")
    assert result.accuracy == 0
    assert all(kind.accuracy == 0 for kind in result.kinds)


def test_the_headline_is_the_mean_of_its_kinds(answered_by: Answers) -> None:
    result = answered_by(lambda question: question.gold if question.kind in ("reading", "sums") else "No.")
    assert result.accuracy == 1 / len(HEADLINE_KINDS)
    assert {kind.kind: kind.accuracy for kind in result.kinds if kind.accuracy} == {"reading": 1, "sums": 1}


def test_baselines_are_reported_where_they_apply(answered_by: Answers) -> None:
    result = answered_by(lambda question: question.gold, "Anna is in the garden.")
    for kind in result.kinds:
        has_story = kind.kind in ("reading", "state")
        assert (kind.last_mentioned is not None) == (kind.without_story is not None) == has_story
        assert kind.most_frequent < 0.5
        assert kind.without_story is None or kind.without_story < 0.5
    last = next(kind.last_mentioned for kind in result.kinds if kind.kind == "state")
    questions = held_out_questions(WORLD, "state", N)
    assert last == sum(question.last_mentioned == question.gold for question in questions) / N


def test_the_last_mentioned_candidate_is_a_whole_answer(answered_by: Answers) -> None:
    result = answered_by(lambda question: question.last_mentioned or "")
    for kind in result.kinds:
        assert kind.accuracy == (kind.last_mentioned or 0)


def test_answers_are_paired_with_their_questions(byte_tokenizer: Tokenizer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evaluation, "N_SEEN", 20)
    monkeypatch.setattr(evaluation, "MAX_REPLY_TOKENS", 3)
    config = ModelConfig(
        vocab_size=byte_tokenizer.get_vocab_size(), context_length=1024, n_layer=1, d_model=8, n_head=1
    )
    generator = evaluate(Decoder(config), byte_tokenizer, WORLD, 3)
    answers: dict[str, list[AnsweredQuestion]] = {}
    try:
        while True:
            next(generator)
    except StopIteration as stop:
        answers = stop.value
    assert list(answers) == list(KINDS)
    for kind, given in answers.items():
        assert [answer.question for answer in given] == held_out_questions(WORLD, kind, 3)
        assert not any(answer.right for answer in given)


BABBLE = "The the was, the kite lay in, " * 3


def half_right(question: Question) -> str:
    """Right answers, babble, a wrong sentence in the right form, and a story that goes wrong at its end."""
    match len(question.text) % 4:
        case 0 | 1:
            return question.gold
        case 2:
            return BABBLE
    return f"{question.gold} Then {BABBLE}" if question.topic else question.frame.format("nothing")


def test_a_sample_is_judged_as_the_whole_is(
    answered_by: Answers, byte_tokenizer: Tokenizer, tiny_config: ModelConfig
) -> None:
    """Replies are cut where they can only be wrong any more, and what does not fit the context is wrong."""
    whole = answered_by(half_right)
    roomy = Decoder(dataclasses.replace(tiny_config, context_length=1024))
    sample = HeldOutSample(WORLD, byte_tokenizer, N)
    kinds, answers = result_of(sample.ask(roomy))
    assert [kind.accuracy for kind in kinds] == [kind.accuracy for kind in whole.kinds]
    assert [kind.most_frequent for kind in kinds] == [kind.most_frequent for kind in whole.kinds]
    assert [kind.last_mentioned for kind in kinds] == [kind.last_mentioned for kind in whole.kinds]
    assert headline(kinds) == whole.accuracy
    assert 0 < whole.accuracy < 1
    assert [answer.kind for answer in answers] == list(KINDS)
    for answer in answers:
        (first,) = held_out_questions(WORLD, answer.kind, 1)
        assert (answer.question, answer.gold) == (first.text, first.gold)
        assert answer.right == is_right(first, answer.reply)
    assert result_of(sample.ask(roomy)) == (kinds, answers), "the same questions each time"
    narrow, _ = result_of(sample.ask(Decoder(dataclasses.replace(tiny_config, context_length=64))))
    assert [kind.accuracy for kind in narrow if kind.kind in ("reading", "state")] == [0, 0]
    assert [kind.n for kind in narrow] == [N] * len(KINDS)


def test_a_reply_is_given_up_only_where_it_cannot_become_right() -> None:
    for kind in KINDS:
        for question in held_out_questions(WORLD, kind, 3):
            reply = f" {question.gold} "
            assert all(may_become_right(question, reply[:n]) for n in range(len(reply) + 1))
            assert not may_become_right(question, "The the") or question.topic
            assert not may_become_right(question, f"{question.gold} No.")
            assert may_become_right(question, question.gold[:1] + "\N{REPLACEMENT CHARACTER}"), "half a character"
    story = held_out_questions(WORLD, "requests", 1)[0]
    assert not may_become_right(story, "word " * 40), "longer than any sentence"


def test_more_questions_than_a_world_has_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evaluation, "_MOST_DRAWN", 5)  # 10,000 draws find most of what there is
    with pytest.raises(ValueError, match=r"only \d+ held-out questions of the kind “knowledge”"):
        held_out_questions(WORLD, "knowledge", 2000)
