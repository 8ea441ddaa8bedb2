"""Held-out accuracy: 100 % for a perfect model, 0 for empty replies, and its baselines."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest
from tokenizers import Tokenizer

from models.architecture.transformer import Decoder
from models.chat.own_template import encode_messages
from models.data.tiny_world.questions import HEADLINE_KINDS, KINDS, Question
from models.data.tiny_world.world import World
from models.evaluation import held_out_questions as evaluation
from models.evaluation.held_out_questions import AnsweredQuestion, evaluate, held_out_questions
from models.events import Evaluated, Phase, Progress
from models.settings.model_config import ModelConfig
from models.tokenizers import encode_text

WORLD = World(5)
N = 12
Oracle = Callable[[Question], str]


def prompt_ids(tokenizer: Tokenizer, text: str) -> tuple[int, ...]:
    ids, _ = encode_messages(tokenizer, [{"role": "user", "content": text}], add_generation_prompt=True)
    return tuple(ids)


@pytest.fixture
def answered_by(
    monkeypatch: pytest.MonkeyPatch, byte_tokenizer: Tokenizer, tiny_config: ModelConfig
) -> Callable[[Oracle, str], Evaluated]:
    """The evaluation of a model whose replies come from a function; asked without the story it says `blind`."""
    monkeypatch.setattr(evaluation, "N_SEEN", 60)
    model = Decoder(tiny_config)
    asked = {
        prompt_ids(byte_tokenizer, question.text): question
        for kind in KINDS
        for question in held_out_questions(WORLD, kind, N)
    }

    def evaluated(oracle: Oracle, blind: str = "") -> Evaluated:
        def generate(_model: Decoder, prompts: Sequence[Sequence[int]], _max_tokens: int, end: int) -> list[list[int]]:
            assert end == byte_tokenizer.token_to_id("<|end|>")
            questions = [asked.get(tuple(prompt)) for prompt in prompts]
            replies = [blind if question is None else oracle(question) for question in questions]
            return [encode_text(byte_tokenizer, f" {reply}") for reply in replies]

        monkeypatch.setattr(evaluation, "generate_batch", generate)
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
