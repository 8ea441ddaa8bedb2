"""Held-out accuracy: unseen questions of every kind, answered greedily in the chat template, scored by exact match."""

from __future__ import annotations

import dataclasses
import random
import statistics
import time
from collections import Counter, defaultdict
from collections.abc import Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

from tokenizers import Tokenizer

from terrarium.models.architecture.transformer import Decoder
from terrarium.models.chat.own_template import encode_messages
from terrarium.models.events import Evaluated, Event, HeldOutAnswer, KindAccuracy, Phase, Progress, reporting, result_of
from terrarium.models.inference.many_replies import KeepOn, generate_batch_steps
from terrarium.models.tiny_world.judge import is_right, may_become_right
from terrarium.models.tiny_world.questions import HEADLINE_KINDS, KINDS, Question, draw
from terrarium.models.tiny_world.world import MAX_REPLY_TOKENS, World

N_SEEN, _PARTS = 1000, 10
"""Training questions drawn per kind to find the most frequent answer, and the number of batches for them."""
N_SAMPLE = 24
"""Questions of each kind in a HeldOutSample: the standard error of an accuracy is at most 10 points, that of the mean
of the four headline kinds 5.
"""
_MOST_DRAWN = 100
"""The maximum number of draws per wanted question, before the supply of new ones counts as exhausted."""
_TOKENS_BETWEEN_LOOKS = 8
"""Tokens between checks whether a story can still become right, which take longer than for a sentence."""


@dataclass(frozen=True)
class AnsweredQuestion:
    """A held-out question with the model's reply."""

    question: Question
    reply: str

    @property
    def right(self) -> bool:
        """Whether the reply is right."""
        return is_right(self.question, self.reply)


def held_out_questions(world: World, kind: str, n: int) -> list[Question]:
    """Return `n` distinct held-out questions of one kind, always the same for a world; half of the state questions
    are hard.

    Raises:
        ValueError: if the world has fewer than `n` of them.
    """
    return list(_held_out_questions(world.seed, kind, n))


@lru_cache(maxsize=32)
def _held_out_questions(seed: int, kind: str, n: int) -> tuple[Question, ...]:
    """Draw the questions, cached: those of all kinds take a second, and each stage of a demonstration is asked them."""
    world, rng = World(seed), random.Random(f"evaluation-{seed}-{kind}")
    questions: dict[str, Question] = {}
    n_drawn = 0
    while len(questions) < n:
        question = draw(world, kind, rng, held_out=True, hard=len(questions) % 2 == 0)
        questions.setdefault(question.text, question)
        n_drawn += 1
        if n_drawn > _MOST_DRAWN * n:
            raise ValueError(f"There are only {len(questions)} held-out questions of the kind “{kind}”; ask for fewer.")
    return tuple(questions.values())


def evaluate(
    model: Decoder, tokenizer: Tokenizer, world: World, n_per_kind: int = 120
) -> Generator[Event, None, dict[str, list[AnsweredQuestion]]]:
    """Ask `n_per_kind` questions of each kind. Yields Phase, Progress and finally Evaluated; returns all answers.

    Questions that do not fit the model's context are not asked, and count as wrong.
    """
    began = time.perf_counter()
    answers: dict[str, list[AnsweredQuestion]] = {}
    results = []
    for i, kind in enumerate(KINDS):
        yield Phase(name=f"Evaluating: {kind}")
        yield Progress(done=i, total=len(KINDS))
        questions = held_out_questions(world, kind, n_per_kind)
        replies = _answer(model, tokenizer, [question.text for question in questions])
        answers[kind] = [AnsweredQuestion(q, reply) for q, reply in zip(questions, replies, strict=True)]
        without_story = None
        if questions[0].story:
            guesses = _answer(model, tokenizer, [question.prompt for question in questions])
            without_story = _share(is_right(q, guess) for q, guess in zip(questions, guesses, strict=True))
        results.append(
            KindAccuracy(
                kind=kind,
                n=len(questions),
                accuracy=_share(answer.right for answer in answers[kind]),
                most_frequent=result_of(_most_frequent_share(world, questions)),
                last_mentioned=_last_mentioned_share(questions),
                without_story=without_story,
            )
        )
    shown = tuple(_held_out_answer(said[0]) for said in answers.values())
    seconds = time.perf_counter() - began
    yield Evaluated(accuracy=headline(results), kinds=tuple(results), seconds=seconds, answers=shown)
    return answers


def _held_out_answer(answered: AnsweredQuestion) -> HeldOutAnswer:
    question = answered.question
    return HeldOutAnswer(
        kind=question.kind, question=question.text, gold=question.gold, reply=answered.reply, right=answered.right
    )


def headline(kinds: Iterable[KindAccuracy]) -> float:
    """Return the headline figure: the mean accuracy of the headline kinds."""
    return statistics.fmean(kind.accuracy for kind in kinds if kind.kind in HEADLINE_KINDS)


class HeldOutSample:
    """The first few questions of `evaluate`, which a model is asked repeatedly during training."""

    def __init__(self, world: World, tokenizer: Tokenizer, n_per_kind: int = 0) -> None:
        """n_per_kind: N_SAMPLE by default. Nothing is drawn before `draw`, or the first `ask`."""
        self._world, self._tokenizer, self._n_per_kind = world, tokenizer, n_per_kind or N_SAMPLE
        self._asked: list[tuple[Question, list[int]]] = []  # with the prompt's tokens
        self._unmeasured: list[KindAccuracy] = []

    def ask(self, model: Decoder) -> Generator[object, None, tuple[list[KindAccuracy], list[HeldOutAnswer]]]:
        """Return the accuracy of each kind, and the answer to its first question; yields often, so that other work
        can run.

        A reply is stopped as soon as it can only be wrong, except the reply to the first question. A question that
        does not fit the model's context is not asked, and counts as wrong.
        """
        if not self._asked:
            yield from self.draw()
        shown = {self._asked[first][0] for first in range(0, len(self._asked), self._n_per_kind)}
        said: dict[Question, str] = {}
        for are_stories in (True, False):  # stories take many more tokens than all other replies
            group = [
                (question, prompt)
                for question, prompt in self._asked
                if len(prompt) <= model.config.context_length and (question.topic is not None) == are_stories
            ]

            def keep_on(i: int, reply: Sequence[int], group: Sequence[tuple[Question, object]] = group) -> bool:
                question = group[i][0]
                if question in shown or (question.topic is not None and len(reply) % _TOKENS_BETWEEN_LOOKS):
                    return True
                return may_become_right(question, self._tokenizer.decode(reply, skip_special_tokens=False))

            prompts = [prompt for _, prompt in group]
            replies = yield from _replies(model, self._tokenizer, prompts, 2 * self._n_per_kind, keep_on)
            said |= zip((question for question, _ in group), replies, strict=True)
        answers = [_held_out_answer(AnsweredQuestion(question, said.get(question, ""))) for question, _ in self._asked]
        kinds = [
            dataclasses.replace(kind, accuracy=_share(each.right for each in answers if each.kind == kind.kind))
            for kind in self._unmeasured
        ]
        return kinds, answers[:: self._n_per_kind]

    def draw(self) -> Generator[Progress, None, None]:
        """Draw the questions, and measure the guessing baselines, which takes a second or two."""
        asked, kinds = list[tuple[Question, list[int]]](), list[KindAccuracy]()
        for kind in KINDS:
            progress = Progress(done=len(kinds), total=len(KINDS))
            yield progress
            questions = held_out_questions(self._world, kind, self._n_per_kind)
            frequent = yield from reporting(_most_frequent_share(self._world, questions), progress)
            last, n = _last_mentioned_share(questions), len(questions)
            kinds.append(KindAccuracy(kind=kind, n=n, accuracy=0.0, most_frequent=frequent, last_mentioned=last))
            asked += [(question, _prompt(self._tokenizer, question.text)) for question in questions]
        self._asked, self._unmeasured = asked, kinds


def answer_in_rounds(
    model: Decoder, tokenizer: Tokenizer, world: World, n_per_kind: int, n_per_round: int
) -> Iterator[dict[str, float]]:
    """Yield the accuracy of each kind after each round of `n_per_round` more questions per kind.

    Questions that do not fit the model's context are not asked, and count as wrong.
    """
    questions = {kind: held_out_questions(world, kind, n_per_kind) for kind in KINDS}
    n_right = dict.fromkeys(KINDS, 0)
    for first in range(0, n_per_kind, n_per_round):
        asked = [(kind, each) for kind in KINDS for each in questions[kind][first : first + n_per_round]]
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
    """Return the model's greedy replies to user messages, "" to those that do not fit its context."""
    prompts = [_prompt(tokenizer, text) for text in texts]
    fitting = [i for i, prompt in enumerate(prompts) if len(prompt) <= model.config.context_length]
    replies = [""] * len(texts)
    for i, reply in zip(fitting, result_of(_replies(model, tokenizer, [prompts[i] for i in fitting])), strict=True):
        replies[i] = reply
    return replies


def _replies(
    model: Decoder,
    tokenizer: Tokenizer,
    prompts: Sequence[Sequence[int]],
    batch_size: int = 64,
    keep_on: KeepOn | None = None,
) -> Generator[object, None, list[str]]:
    """Return the model's greedy replies; yields after each position of a batch. See `generate_batch_steps`."""
    end_id = tokenizer.token_to_id("<|end|>")
    assert end_id is not None
    replies = yield from generate_batch_steps(model, prompts, MAX_REPLY_TOKENS, end_id, batch_size, keep_on)
    return [tokenizer.decode(reply, skip_special_tokens=False).strip() for reply in replies]


def _last_mentioned_share(questions: Sequence[Question]) -> float | None:
    """Return the accuracy of answering with the last candidate mentioned in the story; None if there is no story."""
    return _share(q.last_mentioned == q.gold for q in questions) if questions[0].story else None


def _most_frequent_share(world: World, questions: Sequence[Question]) -> Generator[object, None, float]:
    """Return the accuracy of answering each form of question with its most frequent value in training."""
    seen: dict[str, Counter[str]] = defaultdict(Counter)
    for part in range(_PARTS):
        for form, value in _seen_values(world.seed, questions[0].kind, part, N_SEEN // _PARTS):
            seen[form][value] += 1
        yield part
    guesses = (q.frame.format(*[value for value, _ in seen[q.form].most_common(1)] or [""]) for q in questions)
    return _share(is_right(q, guess) for q, guess in zip(questions, guesses, strict=True))


@lru_cache(maxsize=16 * _PARTS)
def _seen_values(seed: int, kind: str, part: int, n: int) -> tuple[tuple[str, str], ...]:
    """Return form and value of `n` training questions; cached, because drawing them takes a second for all kinds."""
    world, rng = World(seed), random.Random(f"frequent-{seed}-{kind}-{part}")
    drawn = (draw(world, kind, rng, held_out=False) for _ in range(n))
    return tuple((question.form, question.value) for question in drawn)


def _share(flags: Iterable[bool]) -> float:
    values = list(flags)
    return sum(values) / len(values)
