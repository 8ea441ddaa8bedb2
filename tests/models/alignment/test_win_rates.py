"""Win rates against counts by hand, and what is kept of replies."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from terrarium.models.alignment.win_rates import (
    Answers,
    Asked,
    Contender,
    Grid,
    compared,
    judged_by_people,
    read_answers,
    win_rates,
    write_answers,
)
from terrarium.models.library.library import Library
from terrarium.models.metrics.intervals import wilson
from terrarium.models.preferences.store import GOLD, SIMULATED, Pair, PreferenceSet, Reply
from tests.stages_on_disk import put_stage

A, B, C = (Contender(run=name, name=name, step=40) for name in "abc")


def counts(grid: Grid) -> list[list[tuple[int, int, int] | None]]:
    return [[None if match is None else (match.n_won, match.n_tied, match.n_lost) for match in row] for row in grid]


def test_the_higher_value_wins_prompt_by_prompt() -> None:
    grid = compared("abc", [[1, 0, 1, 0], [0, 0, 1, 1], None])
    assert counts(grid) == [[None, (1, 2, 1), None], [(1, 2, 1), None, None], [None, None, None]]
    grid = compared("ab", [[3, 2, 1, 5, 5], [1, 1, 1, 1, 9]])
    assert counts(grid) == [[None, (3, 1, 1)], [(1, 1, 3), None]]
    match = grid[0][1]
    assert match is not None
    assert (match.win_rate.value, match.win_rate.n, match.win_rate.interval) == (0.7, 5, wilson(3.5, 5))


def judged(a: Contender, b: Contender, choice: str, **more: Any) -> Pair:
    sides = (Reply(content=one.run, run=one.run, model=one.name, step=one.step) for one in (a, b))
    first, second = sides
    return Pair(prompt=({"role": "user", "content": "Say it"},), a=first, b=second, choice=choice, **more)


def test_people_are_counted_by_the_checkpoints_that_they_judged() -> None:
    elsewhere = dataclasses.replace(B, step=20)
    pairs = [
        judged(A, B, "a"),
        judged(B, A, "a"),
        judged(B, A, "b"),
        judged(A, B, "tie"),
        judged(A, B, "bad"),
        judged(A, B, "skip"),
        judged(A, elsewhere, "a"),
        judged(A, B, "b", by=SIMULATED),
        judged(A, B, "b", by=GOLD),
        judged(A, A, "a"),
        judged(C, A, "a"),
    ]
    pairs.append(dataclasses.replace(pairs[0].swapped(), choice="b"))  # shown again
    grid = judged_by_people(pairs, [A, B, C])
    assert counts(grid) == [
        [None, (2, 2, 1), (0, 0, 1)],
        [(1, 2, 2), None, None],
        [(1, 0, 0), None, None],
    ]


def test_judges_see_the_same_replies_and_each_judges_what_it_can(library: Library) -> None:
    rows: list[dict[str, Any]] = [
        {"messages": [], "wish": "sums", "answer": answer} for answer in ("one", "two", "three")
    ]

    def replies(*texts: str, **scores: tuple[float, ...]) -> Answers:
        n = len(texts)
        return Answers(texts=texts, ids=((1,),) * n, ended=(True,) * n, scores=scores)

    answers = [
        replies("one", "two", "two", **{"c@40": (3.0, 2.0, 1.0)}),
        replies("one", "one", "three", **{"c@40": (1.0, 1.0, 1.0)}),
        None,
    ]
    PreferenceSet(library, "Mine").add([judged(A, B, "a")])
    other = Contender(run="d", name="d", step=1)
    found = win_rates(library, Asked(wish="sums", n=3), rows, [A, B, other], answers, C)
    assert list(found.grids) == ["gold", "proxy", "you"]
    assert counts(found.grids["gold"])[0] == [None, (1, 1, 1), None]
    assert counts(found.grids["proxy"])[0] == [None, (2, 1, 0), None]
    assert counts(found.grids["you"])[0] == [None, (1, 0, 0), None]
    assert found.shares == (pytest.approx(2 / 3), pytest.approx(2 / 3), None)
    assert found.texts == (answers[0].texts, answers[1].texts, None)  # type: ignore[union-attr]
    assert found.reward_model == "c"
    written = found.to_dict()
    assert written["judges"]["proxy"][1][0] == {
        "win_rate": pytest.approx(1 / 6),
        "low": pytest.approx(wilson(0.5, 3)[0]),  # type: ignore[index]
        "high": pytest.approx(wilson(0.5, 3)[1]),  # type: ignore[index]
        "n": 3,
        "won": 0,
        "tied": 1,
        "lost": 2,
    }
    assert all(grid[i][i] is None for grid in written["judges"].values() for i in range(3)), "the diagonal is empty"


def test_replies_are_kept_as_long_as_the_weights_are_the_same(library: Library) -> None:
    put_stage(library, "base")
    run, checkpoint = library.runs / "base", library.runs / "base" / "checkpoints" / "step-00000040"
    asked = Asked(wish="happy", n=2)
    answers = Answers(texts=("x", "y"), ids=((1, 2), (3,)), ended=(True, False), scores={"rm@1": (0.5, -1.0)})
    assert read_answers(run, checkpoint, asked) is None
    write_answers(run, checkpoint, asked, answers)
    assert read_answers(run, checkpoint, asked) == answers
    assert read_answers(run, checkpoint, dataclasses.replace(asked, n=1)) == answers
    for other in ({"n": 3}, {"seed": 1}, {"wish": "mood"}, {"world_seed": 1}):
        assert read_answers(run, checkpoint, dataclasses.replace(asked, **other)) is None
    [file] = (run / "replies").iterdir()
    before = file.read_bytes()
    file.write_text("{}", "utf-8")
    assert read_answers(run, checkpoint, asked) is None, "a damaged file is drawn again"
    file.write_bytes(before)
    weights = checkpoint / "model.safetensors"
    weights.write_bytes(weights.read_bytes() + b" ")
    assert read_answers(run, checkpoint, asked) is None
