"""The sentence above the charts of an alignment, from its numbers."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from terrarium.app.run_views.rewards.verdict import verdict_of
from terrarium.app.session.run_history import FIGURE_COLUMNS
from terrarium.models.runs.curve import Table

NBSP = "\N{NO-BREAK SPACE}"


def table(values: Sequence[float], every: int = 1) -> Table:
    rows = Table(FIGURE_COLUMNS)
    for i, value in enumerate(values):
        rows.append({"step": float(every * i), "value": value})
    return rows


@pytest.mark.parametrize(
    ("scores", "golds", "lengths", "words"),
    [
        (
            [0, 1, 2, 3],
            [0.05, 0.42, 0.3, 0.11],
            [45, 45, 60, 61],
            f"The reward rises, but replies as meant fell from 42{NBSP}% to 11{NBSP}% since step 20: it is gaming the "
            "judge. Its replies grew from",
        ),
        (
            [0, 1, 2, 3],
            [0.05, 0.4, 0.8, 0.84],
            [45, 45, 44, 44],
            f"The reward rises, and replies as meant with it: from 5{NBSP}% to 84{NBSP}%.",
        ),
        (
            [0, 1, 2, 3],
            [0.05, 0.06, 0.06, 0.05],
            [45, 45, 44, 44],
            f"The reward rises, but there are not many more replies as meant: 5{NBSP}% at the start, 5{NBSP}% now.",
        ),
        (
            [1, 1, 0, 0],
            [0.05, 0.06, 0.06, 0.05],
            [45] * 4,
            "The reward does not rise yet: 1.00 at the start, 0.00 now.",
        ),
    ],
)
def test_score_and_what_was_meant(
    scores: Sequence[float], golds: Sequence[float], lengths: Sequence[float], words: str
) -> None:
    longer = [value for value in scores for _ in range(5)]
    figures = {
        ("objective/scores", False): table(longer),
        ("gold", True): table(golds, every=20),
        ("completions/mean_length", False): table([value for value in lengths for _ in range(5)]),
    }
    assert verdict_of(figures).startswith(words)


def test_other_stages() -> None:
    assert verdict_of({("pass@1", False): table([0.1] * 5 + [0.9] * 5)}) == (
        f"Right replies (pass@1) rose from 10{NBSP}% in the first steps to 90{NBSP}% in the last ones."
    )
    few = [0.0, 0.1, 0.1, 0.1, 0.9, 0.1, 0.1, 0.2, 0.2]
    assert verdict_of({("pass@1", False): table(few)}) == (
        f"No clear change in right replies (pass@1): 8{NBSP}% in the first steps, 15{NBSP}% in the last ones."
    ), "no step counts for both"
    assert verdict_of({("accuracy", True): table([0.5, 0.91])}).startswith(f"It puts 91{NBSP}% of the pairs")
    pairs = {("rewards/margins", False): table([0.0, 0.5, 1.0]), ("rewards/accuracies", False): table([0.5, 0.8, 0.8])}
    assert verdict_of(pairs).startswith("It now prefers the better reply in 80")
    fallen = pairs | {("logps/chosen_change", False): table([-0.5] * 5)}
    assert verdict_of(fallen).endswith("the better replies themselves have become much less likely.")


def test_nothing_is_said_of_nothing() -> None:
    assert verdict_of({}) == ""
    assert verdict_of({("reward", False): table([1.0])}) == ""
