"""Checks of a preference dataset: contradictions, length bias, near-identical replies."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from terrarium.models.corpora.corpus import Corpus, Example, prompt_digest
from terrarium.models.preferences.measures import Share

MAX_ROWS = 20_000
"""Maximum number of rows that are examined, the first of each split."""
ALIKE = 0.9
"""Two replies with at least this similarity count as almost the same."""

Node = tuple[bytes, str]
"""The digest of a prompt, and a reply to it."""


@dataclass(frozen=True, kw_only=True)
class ExaminedPair:
    """A row with its statistics.

    split, index: its place. n_against: rows that contradict it, or call its replies about equal; a cycle (a over b, b
    over c, c over a) counts once. longer: by how many words and punctuation marks the better reply is longer. alike:
    the similarity of both replies, 0 to 1 (Dice's coefficient of their words and marks).
    """

    row: Example
    split: str
    index: int
    n_against: int
    longer: int
    alike: float

    @property
    def is_tie(self) -> bool:
        """Whether neither reply is better."""
        return self.row.get("choice") == "tie"

    @property
    def source(self) -> str:
        """Who chose; "" if unknown."""
        return str(self.row.get("source", ""))


@dataclass(frozen=True, kw_only=True)
class ExaminedPairs:
    """The pairs of a dataset.

    longer_wins: among pairs whose replies have different lengths. n_shared: prompts that are in training and in another
    split. n_left_out: rows that were not examined.
    """

    pairs: tuple[ExaminedPair, ...]
    longer_wins: Share
    n_shared: int
    n_left_out: int

    @property
    def n_contradicted(self) -> int:
        """The number of pairs that others contradict."""
        return sum(pair.n_against > 0 for pair in self.pairs)

    @property
    def n_ties(self) -> int:
        """The number of pairs without a better reply."""
        return sum(pair.is_tie for pair in self.pairs)

    @property
    def n_alike(self) -> int:
        """The number of pairs with almost equal replies: DPO can make both less likely (Pal et al. 2024, “Smaug”)."""
        return sum(pair.alike >= ALIKE for pair in self.pairs)

    @property
    def sources(self) -> Mapping[str, int]:
        """Who chose → number of pairs."""
        return Counter(pair.source for pair in self.pairs if pair.source)


def examine(corpus: Corpus) -> ExaminedPairs:
    """Examine a preference dataset; ValueError if it is damaged."""
    rows: list[tuple[str, int, Example]] = []
    n_total = 0
    for split in corpus.splits:
        stored = corpus.rows(split)
        n_total += len(stored)
        rows += [(split, i, stored[i]) for i in range(min(len(stored), MAX_ROWS - len(rows)))]
    prompts = [prompt_digest(row["messages"]) for _, _, row in rows]
    against = _contradictions([(prompt, row) for prompt, (_, _, row) in zip(prompts, rows, strict=True)])
    pairs = []
    for (split, index, row), n_against in zip(rows, against, strict=True):
        better, worse = _words(row["chosen"]), _words(row["rejected"])
        common = sum((Counter(better) & Counter(worse)).values())
        pairs.append(
            ExaminedPair(
                row=row,
                split=split,
                index=index,
                n_against=n_against,
                longer=len(better) - len(worse),
                alike=2 * common / max(len(better) + len(worse), 1),
            )
        )
    by_split: dict[str, set[bytes]] = defaultdict(set)
    for prompt, (split, _, _) in zip(prompts, rows, strict=True):
        by_split[split].add(prompt)
    held_out = set[bytes]().union(*(asked for split, asked in by_split.items() if split != "train"))
    decided = [pair.longer > 0 for pair in pairs if pair.longer and not pair.is_tie]
    return ExaminedPairs(
        pairs=tuple(pairs),
        longer_wins=Share(n_yes=sum(decided), n=len(decided)),
        n_shared=len(by_split["train"] & held_out),
        n_left_out=n_total - len(rows),
    )


def _words(text: str) -> list[str]:
    return re.findall(r"\w+|[^\w\s]", text)


def _contradictions(rows: Sequence[tuple[bytes, Example]]) -> list[int]:
    """Return for each prompt and row how many other rows contradict it."""
    said: Counter[tuple[bytes, str, str]] = Counter()
    ties: Counter[tuple[bytes, frozenset[str]]] = Counter()
    edges: dict[Node, set[Node]] = defaultdict(set)
    for prompt, row in rows:
        better, worse = row["chosen"], row["rejected"]
        if row.get("choice") == "tie":
            ties[prompt, frozenset((better, worse))] += 1
        else:
            said[prompt, better, worse] += 1
            edges[prompt, better].add((prompt, worse))
    circle = _circles(edges)
    found = []
    for prompt, row in rows:
        better, worse = row["chosen"], row["rejected"]
        sides = frozenset((better, worse))
        if row.get("choice") == "tie":
            found.append(said[prompt, better, worse] + said[prompt, worse, better])
            continue
        opposite = said[prompt, worse, better]
        at = circle.get((prompt, better))
        is_round = not opposite and at is not None and at == circle.get((prompt, worse))
        found.append(opposite + ties[prompt, sides] + is_round)
    return found


def _circles(edges: Mapping[Node, set[Node]]) -> dict[Node, int]:
    """Number the strongly connected components (Kosaraju's algorithm); nodes of one cycle get the same number."""
    backwards: dict[Node, set[Node]] = defaultdict(set)
    for node, others in edges.items():
        for other in others:
            backwards[other].add(node)
    seen: set[Node] = set()
    order: list[Node] = []
    for node in edges:
        order += _reached(node, edges, seen)
    seen, numbers = set(), dict[Node, int]()
    for number, node in enumerate(reversed(order)):
        numbers.update(dict.fromkeys(_reached(node, backwards, seen), number))
    return numbers


def _reached(start: Node, edges: Mapping[Node, Iterable[Node]], seen: set[Node]) -> list[Node]:
    """Return the nodes reachable from `start` and not in `seen`, in postorder, and add them to `seen`."""
    if start in seen:
        return []
    seen.add(start)
    done: list[Node] = []
    path = [(start, iter(edges.get(start, ())))]
    while path:
        node, others = path[-1]
        following = next((other for other in others if other not in seen), None)
        if following is None:
            done.append(node)
            path.pop()
        else:
            seen.add(following)
            path.append((following, iter(edges.get(following, ()))))
    return done
