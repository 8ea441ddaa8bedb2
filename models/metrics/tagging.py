"""Scores of tags, one per word: of the entities that they mark, and of the tags themselves. No torch import.

Entities and their scores equal seqeval's, the counts of partly right entities nervaluate's (SemEval 2013, task 9.1).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from terrarium.models.metrics.classification import precision_recall_f1
from terrarium.models.metrics.intervals import RESAMPLES, additive, divide
from terrarium.models.metrics.report import Report, bootstrapped, check_lengths


@dataclass(frozen=True, order=True)
class Entity:
    """An entity of a type: the words `start` to `end` (exclusive)."""

    start: int
    end: int
    type: str


@dataclass(frozen=True)
class _Scheme:
    """The rules of a tag scheme for a tag and the previous one, of three letters each: the previous prefix, the tag's
    prefix, and whether their types are the same (“=”) or different (“!”); “.” stands for any.

    start: the tag starts an entity. inside: it continues one. end: the previous tag ends an entity, if one was started.
    """

    start: frozenset[str]
    inside: frozenset[str]
    end: frozenset[str]

    def is_any(self, rules: frozenset[str], before: tuple[str, str], tag: tuple[str, str]) -> bool:
        types = "=" if before[1] == tag[1] else "!"
        return any(a + b + c in rules for a in (before[0], ".") for b in (tag[0], ".") for c in (types, "."))


def _scheme(start: str, inside: str, end: str) -> _Scheme:
    return _Scheme(*(frozenset(rules.split()) for rules in (start, inside, end)))


SCHEMES = {
    "IOB1": _scheme("OI. II! BI. IB= BB=", "BI= II=", "II! IO. IB. BO. BI! BB="),
    "IOB2": _scheme(".B.", "BI= II=", "IO. II! IB. BO. BI! BB."),
    "IOE2": _scheme("OI. OE. EI. EE. II! IE!", "IE= II=", "E.."),
    "IOBES": _scheme(".B. .S.", "BI= BE= II= IE=", "S.. E.."),
    "BILOU": _scheme(".B. .U.", "BI= BL= II= IL=", "U.. L.."),
}
_OUTSIDE = ("O", "_")
_PREFIXES = frozenset("BIELSU")


def entities(tags: Sequence[str], scheme: str | None = None) -> list[Entity]:
    """Return the entities that tags mark, in order.

    Args:
        scheme: one of `SCHEMES`, applied strictly: tags that break its rules are not entities. None: any scheme,
            leniently, as conlleval does (I-PER after O starts an entity); usual in papers, and seqeval's default.

    Raises:
        ValueError: if there is no such scheme.
    """
    parts = [_split(tag) for tag in tags]
    if scheme is None:
        return _forgiving(parts)
    if scheme not in SCHEMES:
        raise ValueError(f"There is no tag scheme {scheme!r}: choose one of {', '.join(SCHEMES)}.")
    return _strict(parts, SCHEMES[scheme])


def iob2(found: Sequence[Entity], n_words: int) -> list[str]:
    """Return the IOB2 tags of entities that do not overlap; with `entities`, it converts other schemes to IOB2."""
    tags = ["O"] * n_words
    for entity in found:
        tags[entity.start : entity.end] = [f"I-{entity.type}"] * (entity.end - entity.start)
        tags[entity.start] = f"B-{entity.type}"
    return tags


def _split(tag: str) -> tuple[str, str]:
    """Split a tag into prefix and type; a tag of no scheme counts as outside."""
    prefix, dash, kind = tag.partition("-")
    return (prefix, kind or "_") if prefix in _PREFIXES and (dash or not kind) else _OUTSIDE


def _strict(parts: list[tuple[str, str]], scheme: _Scheme) -> list[Entity]:
    found = []
    padded = [_OUTSIDE, *parts, _OUTSIDE]
    i = 1
    while i <= len(parts):
        start, i = i, i + 1
        if not scheme.is_any(scheme.start, padded[start - 1], padded[start]):
            continue
        while scheme.is_any(scheme.inside, padded[i - 1], padded[i]):
            i += 1
        if scheme.is_any(scheme.end, padded[i - 1], padded[i]):
            found.append(Entity(start - 1, i - 1, padded[start][1]))
    return found


def _forgiving(parts: list[tuple[str, str]]) -> list[Entity]:
    """Find entities by conlleval's rules: B, S, U, and any tag after an end or of another type start an entity; E, L, S
    and U end it."""
    found: list[Entity] = []
    start: int | None = None
    before = _OUTSIDE
    for i, (prefix, kind) in enumerate([*parts, _OUTSIDE]):
        last_prefix, last_kind = before
        new = prefix in "BSUO" or last_prefix in "ELSUO" or kind != last_kind
        if start is not None and new:
            found.append(Entity(start, i, last_kind))
            start = None
        if prefix != "O" and new:
            start = i
        before = (prefix, kind)
    return found


def score_tagging(
    gold: Sequence[Sequence[str]],
    predicted: Sequence[Sequence[str]],
    *,
    scheme: str | None = None,
    resamples: int = RESAMPLES,
) -> Report:
    """Score tags: entity_f1 (exact words and type, micro) and token_accuracy, the headline if there are no entities.

    Words without a predicted tag count as “O”; tags beyond the last word are ignored.

    Args:
        scheme: of gold and predicted tags, see `entities`.

    Details: `types`, rows of type, precision, recall, f1, n_gold, n_predicted; `micro`, precision, recall and F1;
    `lenient`, for each of strict, exact, partial and type the counts and precision, recall, F1 of nervaluate; `tags`,
    rows of tag, precision, recall, f1, n_gold, n_predicted.

    Raises:
        ValueError: if the numbers of rows differ, or there is no such scheme.
    """
    check_lengths(len(gold), len(predicted))
    filled = [_fill(tags, len(row)) for tags, row in zip(predicted, gold, strict=True)]
    cut = "Some predictions had another number of tags than words: missing ones count as O."
    note = cut if any(len(a) != len(b) for a, b in zip(gold, predicted, strict=True)) else None
    of_gold = [entities(tags, scheme) for tags in gold]
    of_predicted = [entities(tags, scheme) for tags in filled]
    counts = np.array(
        [(len(set(g) & set(p)), len(p), len(g)) for g, p in zip(of_gold, of_predicted, strict=True)], dtype=np.float64
    ).reshape(-1, 3)
    right = [sum(a == b for a, b in zip(g, p, strict=True)) for g, p in zip(gold, filled, strict=True)]
    words = np.array([(r, len(g)) for r, g in zip(right, gold, strict=True)], dtype=np.float64).reshape(-1, 2)
    scores = {
        "entity_f1": bootstrapped(
            additive(counts, lambda sums: divide(2 * sums[:, 0], sums[:, 1] + sums[:, 2], np.nan)),
            resamples,
            "No entity was marked or found: these tags may mark none (parts of speech).",
            note,
            is_share=True,
        ),
        "token_accuracy": bootstrapped(
            additive(words, lambda sums: divide(sums[:, 0], sums[:, 1], np.nan)),
            resamples,
            "There are no words.",
            note,
            is_share=True,
        ),
    }
    details = {
        "types": _rows(
            "type",
            [e.type for g, p in zip(of_gold, of_predicted, strict=True) for e in set(g) & set(p)],
            [e.type for row in of_predicted for e in row],
            [e.type for row in of_gold for e in row],
        ),
        "micro": precision_recall_f1(*(float(total) for total in counts.sum(axis=0))),
        "lenient": _lenient(of_gold, of_predicted),
        "tags": _rows(
            "tag",
            [a for g, p in zip(gold, filled, strict=True) for a, b in zip(g, p, strict=True) if a == b],
            [tag for tags in filled for tag in tags],
            [tag for tags in gold for tag in tags],
        ),
    }
    has_entities = scores["entity_f1"].value is not None
    perfect = counts[:, 1] + counts[:, 2]
    by_entities = divide(2 * counts[:, 0], perfect, default=1.0)
    by_words = divide(words[:, 0], words[:, 1], default=1.0)
    return Report(
        headline="entity_f1" if has_entities else "token_accuracy",
        n=len(gold),
        scores=scores,
        details=details,
        item_scores=tuple((by_entities if has_entities else by_words).tolist()),
    )


def _fill(tags: Sequence[str], n: int) -> list[str]:
    return [*tags[:n], *["O"] * (n - len(tags))]


def _rows(key: str, right: Sequence[str], predicted: Sequence[str], gold: Sequence[str]) -> list[dict[str, Any]]:
    """Compute precision, recall and F1 of each name, in alphabetical order."""
    n_right, n_predicted, n_gold = Counter(right), Counter(predicted), Counter(gold)
    return [
        {key: name, **precision_recall_f1(n_right[name], n_predicted[name], n_gold[name])}
        | {"n_gold": n_gold[name], "n_predicted": n_predicted[name]}
        for name in sorted(n_gold.keys() | n_predicted.keys())
    ]


def _is_exact(gold: Entity, predicted: Entity) -> bool:
    return (gold.start, gold.end) == (predicted.start, predicted.end)


def _lenient(gold: Sequence[Sequence[Entity]], predicted: Sequence[Sequence[Entity]]) -> dict[str, Any]:
    """Count correct and partly correct entities by nervaluate's four criteria.

    strict: words and type. exact: the words. partial: the words; an overlap counts a half. type: the type, with an
    overlap. A prediction that overlaps a gold entity is incorrect (or partial) instead of spurious.
    """
    return {
        "strict": _matches(gold, predicted, lambda g, p: g == p, "incorrect"),
        "exact": _matches(gold, predicted, _is_exact, "incorrect"),
        "partial": _matches(gold, predicted, _is_exact, "partial"),
        "type": _matches(gold, predicted, lambda g, p: g.type == p.type and _overlap(g, p), "incorrect"),
    }


def _overlap(gold: Entity, predicted: Entity) -> bool:
    return gold.start < predicted.end and predicted.start < gold.end


def _matches(
    gold: Sequence[Sequence[Entity]],
    predicted: Sequence[Sequence[Entity]],
    is_correct: Callable[[Entity, Entity], bool],
    otherwise: str,
) -> dict[str, Any]:
    """Match each prediction, in order, to a gold entity: the nearest correct one, or the first that it overlaps."""
    counts = dict.fromkeys(("correct", "incorrect", "partial", "missed", "spurious"), 0)
    for asked, found in zip(gold, predicted, strict=True):
        left = list(asked)
        for entity in found:
            near = [other for other in left if _overlap(other, entity)]
            correct = [other for other in near if is_correct(other, entity)]
            if not near:
                counts["spurious"] += 1
                continue
            counts["correct" if correct else otherwise] += 1
            left.remove(
                min(correct, key=lambda o: abs(o.start - entity.start) + abs(o.end - entity.end))
                if correct
                else near[0]
            )
        counts["missed"] += len(left)
    taken = counts["correct"] + counts["incorrect"] + counts["partial"]
    worth = counts["correct"] + counts["partial"] / 2
    return counts | precision_recall_f1(worth, taken + counts["spurious"], taken + counts["missed"])
