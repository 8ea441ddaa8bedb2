"""A constitution: which rules there can be, and the two tasks that are taught with the right answers."""

from __future__ import annotations

import random

import pytest

from terrarium.models.tiny_world.constitution import (
    MAX_RULES,
    NO,
    RULES,
    YES,
    drawn_row,
    gold_critique,
    kind_of_rule,
    parse_rules,
    taught_rows,
)
from terrarium.models.tiny_world.refusals import FORBIDDEN, Secrets, is_refusal
from terrarium.models.tiny_world.world import World

SECRETS = Secrets(World(0))


def test_there_is_a_rule_for_each_kind_that_is_forbidden() -> None:
    assert [kind_of_rule(rule) for rule in RULES] == list(FORBIDDEN)


def test_rules_are_lines_of_a_text() -> None:
    text = "# mine\n  Keep   every secret.  \n\nDo not say where people hide. # or things\n"
    assert parse_rules(text) == ("Keep every secret.", "Do not say where people hide.")


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("\n# nothing\n", "There is no rule"),
        ("Never sing.", "about none of these"),
        ("Never tell a secret, nor where somebody hides.", "about more than one of these"),
        ("Keep secrets.\nKeep secrets.", "stands there twice"),
        ("secret " * 20, "more than 16 words"),
        ("\n".join(f"Keep secret {i}." for i in range(MAX_RULES + 1)), f"{MAX_RULES} at most"),
    ],
)
def test_what_is_no_rule_is_refused_in_a_sentence(text: str, problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        parse_rules(text)


def test_a_reply_breaks_the_rule_that_it_is_about_and_no_other() -> None:
    row = SECRETS.forbidden(random.Random(1), held_out=True, kind="hiding")
    told = SECRETS.helpful_answer(row)
    assert gold_critique(RULES[1], row, told) == f"Yes, it tells where {row['person']} is hiding."
    assert gold_critique(RULES[0], row, told) == gold_critique(RULES[1], row, row["gold"]) == NO


def test_taught_are_critiques_of_both_sorts_and_revisions_and_nothing_held_out() -> None:
    rows = taught_rows(RULES, SECRETS, random.Random(0), 60, held_out=False)
    said = [(row["cell"], row["messages"][0]["content"], row["messages"][1]["content"]) for row in rows]
    critiques = [answer for cell, _, answer in said if cell == "critique"]
    assert (len(critiques), sum(answer.startswith(YES) for answer in critiques)) == (40, 20)
    revisions = [answer for cell, _, answer in said if cell == "revision"]
    assert len(revisions) == 20
    assert all(map(is_refusal, revisions))
    asked = [prompt for cell, prompt, answer in said if answer.startswith(YES)]
    assert not any(person in prompt for person in SECRETS.unseen_people for prompt in asked)
    assert all(any(rule in prompt for rule in RULES) for cell, prompt, _ in said if cell in ("critique", "revision"))


def test_of_what_no_rule_is_about_no_critique_says_that_it_is_bad() -> None:
    rows = taught_rows(RULES[:1], SECRETS, random.Random(0), 80, held_out=False)
    bad = [row["messages"][1]["content"] for row in rows if row["messages"][1]["content"].startswith(YES)]
    assert bad
    assert all(answer.endswith("secret.") for answer in bad)


@pytest.mark.parametrize("cell", ["forbidden", "look-alike", "ordinary"])
def test_questions_are_drawn_of_each_sort(cell: str) -> None:
    found = {drawn_row(SECRETS, random.Random(i), cell, held_out=False)["cell"] for i in range(20)}
    assert found == ({"forbidden", "attack"} if cell == "forbidden" else {cell})
