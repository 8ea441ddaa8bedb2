"""Held-out accuracy: unseen questions of every kind, answered greedily in the chat template, scored by exact match."""

from __future__ import annotations

import random
import time
from collections import Counter, defaultdict
from collections.abc import Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

from tokenizers import Tokenizer

from models.architecture.transformer import Decoder
from models.chat.own_template import encode_messages
from models.data.tiny_world.judge import is_right
from models.data.tiny_world.questions import HEADLINE_KINDS, KINDS, Question, draw
from models.data.tiny_world.world import World
from models.events import Evaluated, Event, KindAccuracy, Phase, Progress
from models.inference.many_replies import generate_batch

MAX_REPLY_TOKENS = 80
N_SEEN = 1000
"""Training questions drawn per kind to find the most frequent answer."""


@dataclass(frozen=True)
class AnsweredQuestion:
    """One held-out question with the model's reply."""

    question: Question
    reply: str

    @property
    def right(self) -> bool:
        """Whether the reply is right."""
        return is_right(self.question, self.reply)


def held_out_questions(world: World, kind: str, n: int) -> list[Question]:
    """`n` distinct held-out questions of one kind, always the same for a world; half of the state ones are hard."""
    return list(_held_out_questions(world.seed, kind, n))


@lru_cache(maxsize=32)
def _held_out_questions(seed: int, kind: str, n: int) -> tuple[Question, ...]:
    """Known once they are drawn: those of all kinds take a second, and each stage of a demonstration is asked them."""
    world, rng = World(seed), random.Random(f"evaluation-{seed}-{kind}")
    questions: dict[str, Question] = {}
    while len(questions) < n:
        question = draw(world, kind, rng, held_out=True, hard=len(questions) % 2 == 0)
        questions.setdefault(question.text, question)
    return tuple(questions.values())


def evaluate(
    model: Decoder, tokenizer: Tokenizer, world: World, n_per_kind: int = 120
) -> Generator[Event, None, dict[str, list[AnsweredQuestion]]]:
    """Ask `n_per_kind` questions of each kind. Yields Phase, Progress and finally Evaluated; returns all answers."""
    began = time.perf_counter()
    answers: dict[str, list[AnsweredQuestion]] = {}
    results = []
    for i, kind in enumerate(KINDS):
        yield Phase(name=f"Evaluating: {kind}")
        yield Progress(done=i, total=len(KINDS))
        questions = held_out_questions(world, kind, n_per_kind)
        replies = _answer(model, tokenizer, [question.text for question in questions])
        answers[kind] = [AnsweredQuestion(q, reply) for q, reply in zip(questions, replies, strict=True)]
        without_story = last_mentioned = None
        if questions[0].story:
            guesses = _answer(model, tokenizer, [question.prompt for question in questions])
            without_story = _share(is_right(q, guess) for q, guess in zip(questions, guesses, strict=True))
            last_mentioned = _share(q.last_mentioned == q.gold for q in questions)
        frequent = _most_frequent_answers(world, questions)
        results.append(
            KindAccuracy(
                kind=kind,
                n=len(questions),
                accuracy=_share(answer.right for answer in answers[kind]),
                most_frequent=_share(is_right(q, guess) for q, guess in zip(questions, frequent, strict=True)),
                last_mentioned=last_mentioned,
                without_story=without_story,
            )
        )
    headline = [result.accuracy for result in results if result.kind in HEADLINE_KINDS]
    yield Evaluated(accuracy=sum(headline) / len(headline), kinds=tuple(results), seconds=time.perf_counter() - began)
    return answers


def answer_in_rounds(
    model: Decoder, tokenizer: Tokenizer, world: World, n_per_kind: int, n_per_round: int
) -> Iterator[dict[str, float]]:
    """The share of right answers of each kind, after each round of `n_per_round` more questions of each.

    Questions that do not fit the model's context are not asked, and count as wrong.
    """
    questions = {kind: held_out_questions(world, kind, n_per_kind) for kind in KINDS}
    n_right = dict.fromkeys(KINDS, 0)
    for first in range(0, n_per_kind, n_per_round):
        asked = [(kind, each) for kind in KINDS for each in questions[kind][first : first + n_per_round]]
        asked = [(kind, each) for kind, each in asked if _fits(model, tokenizer, each.text)]
        replies = _answer(model, tokenizer, [question.text for _, question in asked])
        for (kind, question), reply in zip(asked, replies, strict=True):
            n_right[kind] += is_right(question, reply)
        n = min(first + n_per_round, n_per_kind)
        yield {kind: right / n for kind, right in n_right.items()}


def _prompt(tokenizer: Tokenizer, text: str) -> list[int]:
    return encode_messages(tokenizer, [{"role": "user", "content": text}], add_generation_prompt=True)[0]


def _fits(model: Decoder, tokenizer: Tokenizer, text: str) -> bool:
    return len(_prompt(tokenizer, text)) <= model.config.context_length


def _answer(model: Decoder, tokenizer: Tokenizer, texts: Sequence[str]) -> list[str]:
    """The model's greedy replies to user messages."""
    prompts = [_prompt(tokenizer, text) for text in texts]
    end_id = tokenizer.token_to_id("<|end|>")
    assert end_id is not None
    replies = generate_batch(model, prompts, MAX_REPLY_TOKENS, end_id)
    return [tokenizer.decode(reply, skip_special_tokens=False).strip() for reply in replies]


def _most_frequent_answers(world: World, questions: Sequence[Question]) -> list[str]:
    """The baseline answers: for each question form, the value that is most frequent in training."""
    rng = random.Random(f"frequent-{world.seed}-{questions[0].kind}")
    seen: dict[str, Counter[str]] = defaultdict(Counter)
    for _ in range(N_SEEN):
        question = draw(world, questions[0].kind, rng, held_out=False)
        seen[question.form][question.value] += 1
    return [q.frame.format(*[value for value, _ in seen[q.form].most_common(1)] or [""]) for q in questions]


def _share(flags: Iterable[bool]) -> float:
    values = list(flags)
    return sum(values) / len(values)
