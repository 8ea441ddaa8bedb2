"""Tiny World as a corpus on disk: conversations of questions and answers, in rows of similar length."""

from __future__ import annotations

import random
from collections.abc import Generator, Iterator, Mapping

from terrarium.models.chat.own_template import Message
from terrarium.models.corpora.corpus import Corpus, build_examples_corpus, list_corpora
from terrarium.models.corpora.shown_texts import N_SHOWN, shown_texts
from terrarium.models.events import Event, Progress, TextsShown
from terrarium.models.library.library import Library
from terrarium.models.tiny_world import questions
from terrarium.models.tiny_world.questions import Question
from terrarium.models.tiny_world.world import World

N_TRAIN, N_VAL = 16_000, 400
"""A quick start uses each example once, and generating them is part of its first seconds."""
EDITION = 2
"""Increased whenever the generator changes, so that older corpora are not mistaken for its output. All editions
describe the same worlds."""
_FIRST_SHARES = {"knowledge": 0.10, "requests": 0.18, "reading": 0.20, "state": 0.40, "sums": 0.05, "translation": 0.07}
"""`SHARES` of the first edition, for runs that exist in libraries."""
_SMALL_TALK = (
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
_ROW_WORDS = 100
"""Turns are added to a row until it has about this many words: rows of equal length need little padding."""
_TURN_WORDS = 6
"""Number of words that a turn's special tokens and punctuation count as."""
N_ASKED = {"reading": 4, "state": 5}
"""Maximum number of questions on one topic: a story takes many tokens, so it should serve several questions."""


def build_tiny_world_corpus(library: Library, seed: int) -> Generator[Event, None, Corpus]:
    """Return the corpus of the world with that seed; generated if missing. Yields Progress, and its first texts."""
    label = _label(seed, EDITION)
    for corpus in list_corpora(library):
        if corpus.source == "examples" and corpus.label == label:
            return corpus
    rng = _generator(seed)
    examples = []
    for messages in conversations(World(seed), N_TRAIN + N_VAL, rng):
        examples.append({"messages": messages})
        if len(examples) == N_SHOWN:
            yield TextsShown(texts=shown_texts(examples))
        if len(examples) % 2000 == 0:
            yield Progress(done=len(examples), total=N_TRAIN + N_VAL)
    return build_examples_corpus(library, examples[:N_TRAIN], examples[N_TRAIN:], label, seed)


def world_of(corpus: Corpus) -> World | None:
    """Return the world that a corpus is about; None if it is another text."""
    return None if _edition_of(corpus) is None or corpus.seed is None else World(corpus.seed)


def row_kinds(corpus: Corpus) -> list[str] | None:
    """Return the first question's kind of each training row; None if the corpus is not Tiny World."""
    edition = _edition_of(corpus)
    if edition is None or corpus.seed is None:
        return None
    shares = _FIRST_SHARES if edition == 1 else SHARES
    return _drawn_kinds(len(corpus.rows("train")), _generator(corpus.seed), shares)


def _edition_of(corpus: Corpus) -> int | None:
    """Return the edition of a corpus; None if it is not Tiny World."""
    if corpus.source != "examples" or corpus.seed is None:
        return None
    return next((each for each in range(1, EDITION + 1) if corpus.label == _label(corpus.seed, each)), None)


def _label(seed: int, edition: int) -> str:
    return f"Tiny World {seed}, edition {edition}"


def _generator(seed: int) -> random.Random:
    return random.Random(f"tiny-world-corpus-{seed}")


def conversations(world: World, n: int, rng: random.Random, *, n_events: int | None = None) -> Iterator[list[Message]]:
    """Yield `n` conversations of several turns, none of which is held out.

    The stories of state questions have `n_events` events after their opening; None means 3 to 10.
    """
    for kind in _drawn_kinds(n, rng, SHARES):
        yield _conversation(world, kind, rng, n_events)


def _drawn_kinds(n: int, rng: random.Random, shares: Mapping[str, float]) -> list[str]:
    """Draw the kinds that `n` conversations begin with: the first random numbers that `conversations` uses."""
    return rng.choices(list(shares), list(shares.values()), k=n)


def _conversation(world: World, kind: str, rng: random.Random, n_events: int | None) -> list[Message]:
    messages: list[Message] = []
    words = 0
    while words < _ROW_WORDS:
        for asked, answer in _turns(world, kind, rng, n_events):
            messages += _turn(asked, answer)
            words += len(asked.split()) + len(answer.split()) + _TURN_WORDS
        if kind == "state":
            kind = "knowledge"
        if rng.random() < 0.02:
            phrasings, answer = rng.choice(_SMALL_TALK)
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
