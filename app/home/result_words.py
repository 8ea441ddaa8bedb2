"""A quick start's result in plain words, derived from its evaluation."""

from __future__ import annotations

import re
import statistics

from terrarium.models.events import Evaluated, KindAccuracy
from terrarium.models.number_words import format_count, format_of_100
from terrarium.models.tiny_world.corpus import SHARES
from terrarium.models.tiny_world.questions import HEADLINE_KINDS

_LONG = 150
"""The length in characters from which only the last sentence of a question is shown."""
_SENTENCE = re.compile(r"[^.!?]+[.!?]+")
_HARD = 0.5
"""The accuracy on sums below which the result has an explanation."""


def headline_words(evaluated: Evaluated) -> str:
    """Return the headline, such as “Right in 97 of 100 questions it had never seen; guessing gets 8.”"""
    guesses = [kind.most_frequent for kind in evaluated.kinds if kind.kind in HEADLINE_KINDS]
    guessing = f"; guessing gets {_of_100(statistics.fmean(guesses))}" if guesses else ""
    return f"Right in {format_of_100(evaluated.accuracy)} questions it had never seen{guessing}."


def guessing_words(kind: KindAccuracy) -> str:
    """Describe the baselines of a kind for a tooltip: simple rules, and answering without the story."""
    lines = [
        f"Of {format_count(kind.n, 'question')} it answered {round(kind.accuracy * kind.n)} correctly.",
        "Others get:",
    ]
    for words, share in (
        ("always the commonest answer", kind.most_frequent),
        ("always the last thing mentioned", kind.last_mentioned),
        ("this model without the story", kind.without_story),
    ):
        if share is not None:
            lines.append(f"{_of_100(share)} of 100: {words}")
    return "\n".join(lines)


def guess_words(kind: KindAccuracy) -> str:
    """Return the accuracy of guessing as a number of 100: “guessing: 8”."""
    return f"guessing: {_of_100(kind.most_frequent)}"


def short_question(question: str) -> str:
    """Shorten a long question to its last sentence and the number of sentences before it."""
    sentences = [sentence.strip() for sentence in _SENTENCE.findall(question)]
    if len(question) <= _LONG or len(sentences) < 2:
        return question
    return f"({format_count(len(sentences) - 1, 'sentence')} of a story) {sentences[-1]}"


def sums_words(evaluated: Evaluated) -> str:
    """Explain a low accuracy on sums in a sentence or two; "" if it is high, or no sums were asked."""
    kind = next((kind for kind in evaluated.kinds if kind.kind == "sums"), None)
    if kind is None or kind.accuracy >= _HARD:
        return ""
    reply = next((answer.reply for answer in evaluated.answers if answer.kind == "sums"), "")
    learns = f"learns that the answer is a number (“{reply}”), but not" if reply.isdigit() else "does not learn"
    return (
        f"Why only {format_of_100(kind.accuracy)} sums? The first digit is written first, but depends on what is "
        f"carried from the last one. From the {_of_100(SHARES['sums'])} of 100 conversations that are about sums, so "
        f"small a model {learns} to carry."
    )


def _of_100(share: float) -> str:
    return format_of_100(share).removesuffix(" of 100")
