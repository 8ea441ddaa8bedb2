"""Composed functions: right, distinct, held out by composition, and out of reach for the nearest docstring."""

from __future__ import annotations

import json
import random
import re
from collections import Counter, defaultdict
from collections.abc import Callable
from typing import Any

from terrarium.models.corpora.corpus import Example
from terrarium.models.tasks.code_judge import CodeCase, CodeJudge, Outcome
from terrarium.models.tiny_world.tasks.code import (
    AGGREGATES,
    COMPOSITIONS,
    SEEN,
    UNSEEN_COMPOSITION,
    UNSEEN_WORDS,
    Composition,
)
from terrarium.models.tiny_world.world import World
from tests.models.tiny_world.tasks.conftest import Splits


def results(row: Example, body: str) -> list[Any]:
    """What the function of a row with that body returns in each case: only here is generated code ever executed."""
    scope: dict[str, Any] = {}
    exec(compile(row["source"] + body, row["name"], "exec"), scope)
    found = []
    for case in row["cases"]:
        try:
            found.append(scope[row["name"]](*case["arguments"]))
        except Exception as error:  # noqa: BLE001 - whatever it is, it is wrong
            found.append(repr(error))
    return found


def expected(row: Example) -> list[Any]:
    return [case["expected"] for case in row["cases"]]


def test_solutions_are_right_and_not_trivial(rows: Callable[[str], Splits]) -> None:
    trivial, some = 0, rows("code")["test"][:150]
    for row in some:
        own = results(row, row["target"])
        assert own == expected(row), row
        assert json.loads(json.dumps(own)) == own
        assert [type(a) for a in own] == [type(b) for b in expected(row)]
        assert not re.search(r"\{[wx]\}|\beach\}", row["source"] + row["target"])
        trivial += all(result in (0, [], None) for result in own)
    assert trivial < 0.03 * len(some)


def test_there_are_thousands_of_functions(rows: Callable[[str], Splits]) -> None:
    everything = [row for examples in rows("code").values() for row in examples]
    functions = {(row["source"].split('"""')[0], row["target"]) for row in everything}
    assert len(functions) > 2000
    assert len(COMPOSITIONS) == len({c.name for c in COMPOSITIONS}) > 500
    phrasings = defaultdict(set)
    for row in rows("code")["train"]:
        phrasings[row["target"]].add(row["source"])
    assert max(map(len, phrasings.values())) >= 6


def test_a_docstring_means_one_function(rows: Callable[[str], Splits]) -> None:
    bodies: dict[str, set[str]] = defaultdict(set)
    for examples in rows("code").values():
        for row in examples:
            bodies[row["source"]].add(row["target"])
    assert all(len(own) == 1 for own in bodies.values())


def test_compositions_and_words_are_held_out(rows: Callable[[str], Splits]) -> None:
    splits = rows("code")
    kinds = {row["kind"] for row in splits["train"]}
    with_words = {(" ".join(row["kind"].split()[:2]), row["word"]) for row in splits["train"]}
    parts = {part for kind in kinds for part in kind.split()}
    seen = Counter[str]()
    for row in splits["test"]:
        seen[row["group"]] += 1
        if row["group"] == UNSEEN_COMPOSITION:
            assert row["kind"] not in kinds
            assert set(row["kind"].split()) <= parts
        else:
            assert (" ".join(row["kind"].split()[:2]), row["word"]) not in with_words
    assert set(seen) == {UNSEEN_COMPOSITION, UNSEEN_WORDS}
    assert {row["group"] for row in splits["train"]} == {SEEN}
    assert len({row["kind"] for row in splits["test"] if row["group"] == UNSEEN_COMPOSITION}) > 40


def test_cases_tell_a_function_from_its_neighbours(rows: Callable[[str], Splits]) -> None:
    """With another aggregate or key, or without the filter, some case gives another result.

    Not always: the first initial of the names that start with A is also the last.
    """
    by_name = {composition.name: composition for composition in COMPOSITIONS}
    n_other = n_told = 0
    for row in rows("code")["test"][:150]:
        own = by_name[row["kind"]]
        others = [Composition(own.domain, own.filter, own.key, aggregate) for aggregate in AGGREGATES]
        others += [Composition(own.domain, own.filter, key, own.aggregate) for key in own.domain.keys]
        others += [Composition(own.domain, own.domain.filters[0], own.key, own.aggregate)]
        for other in others:
            same_number = {own.aggregate.name, other.aggregate.name} <= {"count", "distinct"}
            if other.name in by_name and other.name != own.name and not same_number:
                n_other += 1
                n_told += results(row, other.body(row["word"])) != expected(row)
    assert n_told > 0.95 * n_other


def test_the_nearest_docstring_is_mostly_another_function(rows: Callable[[str], Splits]) -> None:
    """The body of the training docstring with most words in common, its own words swapped for those that differ."""
    splits = rows("code")

    def words(row: Example) -> list[str]:
        return re.findall(r"\w+", row["source"].split('"""')[1])

    trained: dict[str, list[tuple[set[str], Example]]] = defaultdict(list)
    for row in splits["train"]:
        trained[row["source"].split('"""')[0]].append((set(words(row)), row))
    right: dict[str, list[bool]] = defaultdict(list)
    for row in splits["test"][:200]:
        wanted = set(words(row))
        near = trained[row["source"].split('"""')[0]]
        _, nearest = max(near, key=lambda pair: len(pair[0] & wanted) / len(pair[0] | wanted))
        body = nearest["target"]
        if nearest["word"] != "" and row["word"] != "":
            body = re.sub(rf"\b{nearest['word']}\b", str(row["word"]), body)
        right[row["group"]].append(results(row, body) == expected(row))
    assert sum(right[UNSEEN_COMPOSITION]) < 0.3 * len(right[UNSEEN_COMPOSITION])


def test_every_solution_passes_in_the_sandbox(rows: Callable[[str], Splits]) -> None:
    """One function of each composition: none asks for Python that the sandbox does not know."""
    words = {tuple(row["kind"].split()[:-2]): row["word"] for row in rows("code")["train"]}
    world, rng = World(0), random.Random(0)
    with CodeJudge() as judge:
        for composition in COMPOSITIONS:
            word = words[tuple(composition.name.split()[:-2])]
            given = composition.telling_argument(world, word, rng)
            cases = [CodeCase((given,), composition.run(given, word))]
            head = f"def answer({composition.domain.parameter}):\n"
            judgement = judge.judge(head + composition.body(word), "answer", cases)
            assert judgement.outcome is Outcome.RIGHT, f"{composition.name}: {judgement.detail}"
