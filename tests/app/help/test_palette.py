"""What a few typed letters find."""

from __future__ import annotations

import time
from collections.abc import Sequence
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from terrarium.app.help.palette import PaletteEntry, quality, rank


def entries(*titles: str, find_by: str = "") -> list[PaletteEntry]:
    return [PaletteEntry(key=title, title=title, do=partial(str), find_by=find_by) for title in titles]


def found(query: str, *titles: str, recent: Sequence[str] = ()) -> list[str]:
    return [titles[i] for i in rank(query, entries(*titles), recent)]


@pytest.mark.parametrize(
    ("word", "text", "expected"),
    [
        ("new", "new run", 0),
        ("run", "new run", 1),
        ("un", "new run", 2),
        ("nr", "new run", 3),
        ("nwn", "new run", 4),
        ("nn", "new run", 4),
        ("rn w", "new run", None),
        ("x", "new run", None),
    ],
)
def test_the_quality_of_a_word(word: str, text: str, expected: int | None) -> None:
    assert quality(word, text) == expected


def test_better_matches_come_first() -> None:
    titles = ("Learning rate", "Rate", "Top-p", "Grate", "Refuse at once")
    assert found("rate", *titles) == ["Rate", "Learning rate", "Grate", "Refuse at once"]


def test_all_words_must_fit_in_any_order() -> None:
    assert found("run new", "New run", "New design") == ["New run"]
    assert found("zz", "New run") == []


def test_of_equals_the_one_used_last_comes_first() -> None:
    titles = ("Theme: Dark", "Theme: Light", "Theme: System")
    assert found("theme", *titles, recent=["Theme: System", "Theme: Light"])[:2] == ["Theme: System", "Theme: Light"]
    assert found("", *titles, recent=["Theme: Light"]) == ["Theme: Light", "Theme: Dark", "Theme: System"]
    assert found("rate", "Rate", "Learning rate", recent=["Learning rate"])[0] == "Rate"  # recency breaks ties only


def test_other_words_find_an_entry_too_but_after_titles() -> None:
    by_title, by_words = entries("Nucleus"), entries("Top-p", find_by="nucleus sampling")
    assert rank("nucleus", [*by_words, *by_title]) == [1, 0]
    assert rank("nucleus sampl", by_words) == [0]


@given(st.text(max_size=12), st.lists(st.text(min_size=1, max_size=20), max_size=8, unique=True))
def test_what_is_found_is_there_once_and_its_own_title_finds_it(query: str, titles: list[str]) -> None:
    indices = rank(query, entries(*titles))
    assert len(indices) == len(set(indices))
    for title in titles:
        assert title in found(title, *titles)


def test_a_thousand_runs_do_not_make_it_slow() -> None:
    many = entries(*(f"Tiny World, learning rate {i / 1000}, seed {i % 7}" for i in range(1200)))
    rank("w", many)
    took = []
    for query in ("t", "ti", "tiny 0.5", "tw", "lrs"):
        began = time.perf_counter()
        rank(query, many)
        took.append(time.perf_counter() - began)
    assert min(took) < 0.02  # on a quiet machine 3 ms; of several, since others may be busy
