"""What judged pairs say: who wins, and how far to trust whoever judged: agreement with oneself, and side bias."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from terrarium.models.metrics.intervals import wilson
from terrarium.models.preferences.store import PERSON, Pair, Reply


@dataclass(frozen=True, kw_only=True)
class Share:
    """`n_yes` of `n`; a tie may count as half of one."""

    n_yes: float
    n: int

    @property
    def value(self) -> float | None:
        """The share; None of nothing."""
        return self.n_yes / self.n if self.n else None

    @property
    def interval(self) -> tuple[float, float] | None:
        """Its 95 % interval (Wilson); None of nothing."""
        return wilson(self.n_yes, self.n)


@dataclass(frozen=True, kw_only=True)
class Match:
    """How often `first` won against `second` in judged pairs."""

    first: str
    second: str
    n_won: int
    n_tied: int
    n_lost: int

    @property
    def win_rate(self) -> Share:
        """Of `first`; a tie is half a win."""
        return Share(n_yes=self.n_won + self.n_tied / 2, n=self.n_won + self.n_tied + self.n_lost)


def self_agreement(pairs: Sequence[Pair]) -> Share:
    """Of the pairs that a person was shown again with the sides swapped, how many got the same choice."""
    by_id = {pair.id: pair for pair in pairs}
    again = [
        (by_id[pair.repeats], pair)
        for pair in pairs
        if pair.by == PERSON and pair.repeats in by_id and pair.choice != "skip"
    ]
    return Share(n_yes=sum(before.choice == pair.choice for before, pair in again), n=len(again))


def left_share(pairs: Iterable[Pair]) -> Share:
    """How often a person who chose a side chose the left one. Sides are drawn by chance, so half is no bias."""
    sides = [
        pair.chosen_side
        for pair in pairs
        if pair.by == PERSON and pair.chosen_side and not (pair.a.edited or pair.b.edited)
    ]
    return Share(n_yes=sides.count("left"), n=len(sides))


def matches(pairs: Iterable[Pair], name: Callable[[Reply], str] = lambda reply: reply.contender) -> list[Match]:
    """The win rates of all pairs of different models, by the number of their pairs; repeats do not count.

    Both bad counts as a tie between them; what was skipped does not count. name: what the model of a reply is called.
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
    """Who judged how many pairs, without repeats and skipped ones."""
    return Counter(pair.by for pair in pairs if not pair.repeats and pair.choice != "skip")
