"""Statistics of judged pairs: win rates, and the reliability of a judge (self-agreement, side bias)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from terrarium.models.metrics.intervals import wilson
from terrarium.models.preferences.store import PERSON, Pair, Reply


@dataclass(frozen=True, kw_only=True)
class Share:
    """A fraction, `n_yes` of `n`; a tie may count as half."""

    n_yes: float
    n: int

    @property
    def value(self) -> float | None:
        """The fraction; None if `n` is 0."""
        return self.n_yes / self.n if self.n else None

    @property
    def interval(self) -> tuple[float, float] | None:
        """Its 95 % confidence interval (Wilson); None if `n` is 0."""
        return wilson(self.n_yes, self.n)


@dataclass(frozen=True, kw_only=True)
class Match:
    """The results of `first` against `second` in judged pairs."""

    first: str
    second: str
    n_won: int
    n_tied: int
    n_lost: int

    @property
    def win_rate(self) -> Share:
        """The win rate of `first`; a tie is half a win."""
        return Share(n_yes=self.n_won + self.n_tied / 2, n=self.n_won + self.n_tied + self.n_lost)


def self_agreement(pairs: Sequence[Pair]) -> Share:
    """Return how often a person made the same choice when a pair was shown again with swapped sides."""
    by_id = {pair.id: pair for pair in pairs}
    again = [
        (by_id[pair.repeats], pair)
        for pair in pairs
        if pair.by == PERSON and pair.repeats in by_id and pair.choice != "skip"
    ]
    return Share(n_yes=sum(before.choice == pair.choice for before, pair in again), n=len(again))


def left_share(pairs: Iterable[Pair]) -> Share:
    """Return how often a person who chose a side chose the left one. Sides are random, so half means no bias."""
    sides = [
        pair.chosen_side
        for pair in pairs
        if pair.by == PERSON and pair.chosen_side and not (pair.a.edited or pair.b.edited)
    ]
    return Share(n_yes=sides.count("left"), n=len(sides))


def matches(pairs: Iterable[Pair], name: Callable[[Reply], str] = lambda reply: reply.contender) -> list[Match]:
    """Return the results of each pair of different models, most pairs first; repeats do not count.

    “Both bad” counts as a tie; skipped pairs do not count. name: returns the name of a reply's model.
    """
    counts: dict[tuple[str, str], list[int]] = {}
    for pair in pairs:
        names = (name(pair.a), name(pair.b))
        if pair.repeats or pair.choice == "skip" or names[0] == names[1] or pair.a.edited or pair.b.edited:
            continue
        is_turned = names not in counts and names[::-1] in counts
        result = {"a": 0, "b": 2}.get(pair.choice, 1)
        counts.setdefault(names[::-1] if is_turned else names, [0, 0, 0])[2 - result if is_turned else result] += 1
    found = [
        Match(first=names[0], second=names[1], n_won=n[0], n_tied=n[1], n_lost=n[2]) for names, n in counts.items()
    ]
    return sorted(found, key=lambda match: -match.win_rate.n)


def makers(pairs: Iterable[Pair]) -> Mapping[str, int]:
    """Return the number of pairs by judge, without repeated and skipped ones."""
    return Counter(pair.by for pair in pairs if not pair.repeats and pair.choice != "skip")
