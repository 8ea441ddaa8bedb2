"""Names: tagged exactly, held out, and not to be found with a list of words."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Sequence

import pytest

from terrarium.models.tiny_world.tasks.names import COLOURED_THINGS, LABELS, N_NAMES, names
from tests.models.tiny_world.tasks.conftest import Splits

Entity = tuple[int, int, str]
AROUND = {"Port", "New", "Hill", "Lake"}


def entities(tags: Sequence[str]) -> set[Entity]:
    found: set[Entity] = set()
    start: int | None = None
    for i, tag in enumerate([*tags, "O"]):
        if start is not None and not tag.startswith("I-"):
            found.add((start, i, tags[start][2:]))
            start = None
        if tag.startswith("B-"):
            start = i
    return found


def test_a_fifth_of_the_names_is_held_out() -> None:
    by_split = names(0)
    assert sum(map(len, by_split.values())) == len({name for own in by_split.values() for name in own}) == N_NAMES
    assert 0.15 < len(by_split["test"]) / N_NAMES < 0.25
    assert names(0) != names(1)


def test_stories_of_unseen_names_have_none_of_training(rows: Callable[[str], Splits]) -> None:
    splits = rows("names")
    trained = {word for row in splits["train"] for word in row["words"]}
    for split in ("val", "test"):
        for row in splits[split]:
            own = {row["words"][i] for start, end, kind in entities(row["tags"]) for i in range(start, end)
                   if kind in ("PERSON", "PLACE") and row["words"][i][0].isupper()} - AROUND  # fmt: skip
            assert own <= set(names(0)["train" if row["group"] == "known" else split])
            assert row["group"] == "known" or not own & trained


def test_every_mention_is_tagged(rows: Callable[[str], Splits]) -> None:
    invented = {name for own in names(0).values() for name in own} | AROUND
    seen = Counter[str]()
    for row in rows("names")["test"]:
        for word, tag in zip(row["words"], row["tags"], strict=True):
            assert tag in LABELS
            assert (word in invented) <= (tag[2:] in ("PERSON", "PLACE")), row
            assert (word in COLOURED_THINGS) <= (tag in ("B-COLOUR", "B-THING")), row
            seen[tag] += 1
        assert sum(tag != "O" for tag in row["tags"]) > 3
    assert set(seen) == set(LABELS)


def test_the_same_word_is_two_things(rows: Callable[[str], Splits]) -> None:
    tags: dict[str, set[str]] = defaultdict(set)
    for row in rows("names")["train"]:
        for word, tag in zip(row["words"], row["tags"], strict=True):
            tags[word].add(tag)
    both = [name for name in names(0)["train"] if {"B-PERSON", "B-PLACE"} <= tags[name]]
    assert len(both) > 0.9 * len(names(0)["train"])
    assert all(tags[word] == {"B-COLOUR", "B-THING"} for word in COLOURED_THINGS)


@pytest.mark.parametrize(("group", "most"), [("known", 0.7), ("unseen", 0.55)])
def test_a_list_of_words_finds_few(rows: Callable[[str], Splits], group: str, most: float) -> None:
    """Each word with its most frequent tag of training, none for unknown ones: entity F1."""
    tags: dict[str, Counter[str]] = defaultdict(Counter)
    for row in rows("names")["train"]:
        for word, tag in zip(row["words"], row["tags"], strict=True):
            tags[word][tag] += 1
    right = guessed = wanted = 0
    for row in rows("names")["test"]:
        if row["group"] == group:
            own = entities([tags[w].most_common(1)[0][0] if w in tags else "O" for w in row["words"]])
            gold = entities(row["tags"])
            right, guessed, wanted = right + len(own & gold), guessed + len(own), wanted + len(gold)
    assert 2 * right / (guessed + wanted) < most
