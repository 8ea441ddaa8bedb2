"""Describes what changed in a model's answers between two measurements, in one sentence."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Sequence

from terrarium.models.events import AccuracyMeasured
from terrarium.models.number_words import format_percent
from terrarium.models.tiny_world.lexicon import MEN, WOMEN
from terrarium.models.tiny_world.questions import KINDS, kind_title

_NAMES = frozenset((*WOMEN, *MEN))
_MARKUP = re.compile(r"<\|[a-z_]+\|>")
_WORD = re.compile(r"[^\W\d_]+")
_ENDS = (".", "!", "?")
_MOST = 0.5
"""A property is stated if more than this share of the compared answers has it."""
_LOOP = 4
"""This many equal words in a row count as a loop."""
_LARGE = 0.1
"""The minimum change of a kind's accuracy: on the few questions asked, a smaller one may be chance."""


def what_changed(measured: Sequence[AccuracyMeasured]) -> str:
    """Return the most informative change between a run's last two measurements; "" if nothing changed."""
    if not measured:
        return ""
    *earlier, after = measured
    if not earlier:
        return "This is where it starts." if after.step == 0 else "This is its first sample."
    found = (_first_right(earlier, after), *(find(earlier[-1], after) for find in _FINDERS))
    return next(filter(None, found), "No change beyond chance.")


def _first_right(earlier: Sequence[AccuracyMeasured], after: AccuracyMeasured) -> str:
    """Name the kinds with the first right answers."""
    known = {kind for before in earlier for kind, accuracy in _accuracies(before).items() if accuracy > 0}
    begun = [kind for kind in KINDS if _accuracies(after).get(kind, 0.0) > 0 and kind not in known]
    return f"First right answers: {', '.join(map(_quoted, begun))}." if begun else ""


def _quoted(kind: str) -> str:
    """Format a kind's name within a sentence."""
    title = kind_title(kind)
    return f"“{title}”" if title.endswith("?") else title


def _replies(measured: AccuracyMeasured) -> list[str]:
    return [answer.reply.strip() for answer in measured.answers]


def _share(replies: Sequence[str], holds: Callable[[str], bool]) -> float:
    return sum(map(holds, replies)) / len(replies) if replies else 0.0


def _newly(words: str, holds: Callable[[str], bool]) -> Callable[[AccuracyMeasured, AccuracyMeasured], str]:
    """Return a finder that reports `words` if most answers now have a property and most lacked it before."""

    def find(before: AccuracyMeasured, after: AccuracyMeasured) -> str:
        return words if _share(_replies(before), holds) <= _MOST < _share(_replies(after), holds) else ""

    return find


def _loops(reply: str) -> bool:
    """Return whether a reply repeats itself."""
    said = _MARKUP.findall(reply) + _WORD.findall(_MARKUP.sub(" ", reply))
    run = 1
    for last, word in itertools.pairwise(said):
        run = run + 1 if word == last else 1
        if run >= _LOOP:
            return True
    return False


def _ends_sentence(reply: str) -> bool:
    return reply.endswith(_ENDS)


def _names_appear(before: AccuracyMeasured, after: AccuracyMeasured) -> str:
    had, has = (_NAMES & set(_WORD.findall(" ".join(_replies(each)))) for each in (before, after))
    new = sorted(has - had)
    return f"Names appear in its answers: {', '.join(new[:3])}." if new and not had else ""


def _known_words(before: AccuracyMeasured, after: AccuracyMeasured) -> str:
    """Report whether most of its words now occur in questions and right answers, unlike before."""
    known = {word.lower() for answer in after.answers for word in _WORD.findall(f"{answer.question} {answer.gold}")}

    def is_of_world(reply: str) -> bool:
        words = [word.lower() for word in _WORD.findall(_MARKUP.sub(" ", reply))]
        return bool(words) and sum(word in known for word in words) > _MOST * len(words)

    return _newly("Most of its words are now words of its world.", is_of_world)(before, after)


def _largest_change(before: AccuracyMeasured, after: AccuracyMeasured) -> str:
    had, has = _accuracies(before), _accuracies(after)
    changes = {kind: has[kind] - had[kind] for kind in KINDS if kind in had and kind in has}
    kind = max(changes, key=lambda kind: abs(changes[kind]), default="")
    if not kind or abs(changes[kind]) < _LARGE:
        return ""
    went = "rose" if changes[kind] > 0 else "fell"
    return f"{_quoted(kind)} {went} from {format_percent(had[kind])} to {format_percent(has[kind])} right."


def _accuracies(measured: AccuracyMeasured) -> dict[str, float]:
    return {kind.kind: kind.accuracy for kind in measured.kinds}


_FINDERS: tuple[Callable[[AccuracyMeasured, AccuracyMeasured], str], ...] = (
    _newly("It no longer writes the marks of a conversation as text.", lambda reply: not _MARKUP.search(reply)),
    _newly("It now ends its sentences.", _ends_sentence),
    _names_appear,
    _known_words,
    _newly("It no longer says the same word again and again.", lambda reply: not _loops(reply)),
    _largest_change,
)
"""The finders, from the most to the least informative change."""
