"""Training conversations of Tiny World: questions and answers, in rows of similar length."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping

from terrarium.models.chat.own_template import Message
from terrarium.models.tiny_world import questions
from terrarium.models.tiny_world.questions import Question
from terrarium.models.tiny_world.world import World

SMALL_TALK = (
    (("Hello!", "Hi!", "Good morning!", "Hello, how are you?"), "Hello! I am well. Ask me about Tiny World."),
    (("Who are you?", "What are you?", "What is your name?"), "I am a small language model, grown in Tiny World."),
    (
        ("What can you do?", "What do you know?", "Can you help me?", "What can I ask you?"),
        "I know the people and things of Tiny World. I can tell stories, and say where everybody is.",
    ),
    (("Thank you!", "Thanks!", "That was nice."), "You are welcome!"),
    (("Goodbye!", "Bye!", "Good night!"), "Goodbye! Come back soon."),
)

SHARES = {"knowledge": 0.10, "requests": 0.23, "reading": 0.15, "state": 0.40, "sums": 0.05, "translation": 0.07}
"""Fractions of the rows that begin with each kind. Reading is learned first, requests last."""

ROW_WORDS = 100
"""Turns are added to a row until it has about this many words: rows of equal length need little padding."""

TURN_WORDS = 6
"""Number of words that a turn's special tokens and punctuation count as."""


N_ASKED = {"reading": 4, "state": 5}
"""Maximum number of questions on one topic: a story takes many tokens, so it should serve several questions."""


def conversations(world: World, n: int, rng: random.Random, *, n_events: int | None = None) -> Iterator[list[Message]]:
    """Yield `n` conversations of several turns, none of which is held out.

    The stories of state questions have `n_events` events after their opening; None means 3 to 10.
    """
    for kind in drawn_kinds(n, rng, SHARES):
        yield _conversation(world, kind, rng, n_events)


def drawn_kinds(n: int, rng: random.Random, shares: Mapping[str, float]) -> list[str]:
    """Draw the kinds that `n` conversations begin with: the first random numbers that `conversations` uses."""
    return rng.choices(list(shares), list(shares.values()), k=n)


def _conversation(world: World, kind: str, rng: random.Random, n_events: int | None) -> list[Message]:
    messages: list[Message] = []
    words = 0
    while words < ROW_WORDS:
        for asked, answer in _turns(world, kind, rng, n_events):
            messages += _turn(asked, answer)
            words += len(asked.split()) + len(answer.split()) + TURN_WORDS
        if kind == "state":
            kind = "knowledge"
        if rng.random() < 0.02:
            phrasings, answer = rng.choice(SMALL_TALK)
            messages += _turn(rng.choice(phrasings), answer)
    return messages


def _turn(asked: str, answer: str) -> list[Message]:
    return [{"role": "user", "content": asked}, {"role": "assistant", "content": answer}]


def _turns(world: World, kind: str, rng: random.Random, n_events: int | None) -> list[tuple[str, str]]:
    """Return (user, assistant) texts on one topic: a story is told once, followed by all questions about it."""
    if kind in questions.ONE_AT_A_TIME:
        question = questions.draw(world, kind, rng, held_out=False)
        return [(question.prompt, question.gold)]
    asked: list[Question] = []
    while not asked or asked[0].held_out:
        if kind == "reading":
            asked = questions.reading(world, rng, n_facts=rng.randint(2, 7))
        else:
            asked = questions.state(world, rng, n_events=n_events or rng.randint(3, 10), also_easy=True)
    asked = asked[: N_ASKED[kind]]
    return [(asked[0].text, asked[0].gold)] + [(question.prompt, question.gold) for question in asked[1:]]
