"""The glossary's file: what it holds, and what is said of one that is damaged."""

from __future__ import annotations

import pytest

from terrarium.app.help.glossary import MAX_WORDS, Glossary, load_glossary, parse_glossary
from terrarium.app.help.pictures import PICTURES, Bars, softmax
from terrarium.app.help.places import PLACES
from terrarium.app.kit.setting_names.terms import TERMS

GOOD = """# Glossary

## Loss

How wrong it was.

```term
see = "home"
also = ["cross"]
formula = "−ln p"
```

## Gradient

Which way
is up.

```term
see = "home"
related = ["Loss"]
```
"""


@pytest.fixture(scope="module")
def glossary() -> Glossary:
    return load_glossary(PLACES, PICTURES)


def test_an_entry_is_a_heading_a_text_and_a_fence() -> None:
    gradient, loss = parse_glossary(GOOD, {"home"}).entries
    assert (loss.term, loss.text, loss.formula, loss.also) == ("Loss", "How wrong it was.", "−ln p", ("cross",))
    assert (gradient.text, gradient.related, gradient.line) == ("Which way is up.", ("Loss",), 13)


@pytest.mark.parametrize(
    ("before", "after", "line", "words"),
    [
        ('see = "home"', 'see = "cellar"', 3, "no place in the window"),
        ('see = "home"', 'see = "home"\npicture = "cat"', 3, "picture “cat”"),
        ('see = "home"', "see = home", 7, "not TOML"),
        ('see = "home"', "see = 3", 7, "see must be a text"),
        ('also = ["cross"]', 'also = "cross"', 7, "also must be a list"),
        ('also = ["cross"]', "colour = 1", 7, "unknown key: colour"),
        ('related = ["Loss"]', 'related = ["Pain"]', 13, "related to “Pain”, which has no entry"),
        ("## Gradient", "## loss", 13, "two entries"),
        ("How wrong it was.", "", 3, "needs a text of 1 to 40 words; it has 0"),
        ("How wrong it was.", "so " * 41, 3, "it has 41"),
        ("```term", "```toml", 3, "has no fence"),
        ('formula = "−ln p"\n```', 'formula = "−ln p"', 7, "not closed"),
    ],
)
def test_what_is_damaged_is_named_with_its_line(before: str, after: str, line: int, words: str) -> None:
    assert before in GOOD
    with pytest.raises(ValueError, match=rf"^glossary\.md, line {line}: .*{words}"):
        parse_glossary(GOOD.replace(before, after, 1), {"home"})


def test_all_that_is_in_the_window_has_an_entry(glossary: Glossary) -> None:
    assert len(glossary.entries) >= 80
    assert [term for term in sorted(TERMS) if glossary.find(term) is None] == []


def test_entries_are_short_and_most_have_a_formula(glossary: Glossary) -> None:
    assert max(len(entry.text.split()) for entry in glossary.entries) <= MAX_WORDS
    assert all(entry.formula and entry.related for entry in glossary.entries)


def test_each_picture_is_of_an_entry(glossary: Glossary) -> None:
    assert {entry.picture for entry in glossary.entries} - {""} == set(PICTURES)


def test_pictures_are_computed_from_the_formula() -> None:
    kept = PICTURES["top-p"]
    assert isinstance(kept, Bars)
    before, after = kept.groups
    n = sum(before.kept)
    assert sum(before.heights[:n]) >= 0.9 > sum(before.heights[: n - 1])
    assert sum(after.heights) == pytest.approx(1)
    assert softmax([0.0, 0.0]) == [0.5, 0.5]


def test_no_name_leads_to_two_entries(glossary: Glossary) -> None:
    names = [name.casefold() for entry in glossary.entries for name in (entry.term, *entry.also)]
    assert sorted(names) == sorted(set(names))


@pytest.mark.parametrize(
    ("query", "first"),
    [
        ("temperature", "Temperature"),
        ("nucleus", "Top-p"),
        ("PPL", "Perplexity"),
        ("low-rank", "LoRA"),
        ("goodhart", "Reward hacking"),
        ("  grouped-query   attention ", "GQA"),
        ("head", "Head"),
    ],
)
def test_searching_finds_terms_by_their_other_names_too(glossary: Glossary, query: str, first: str) -> None:
    assert glossary.search(query)[0].term == first


def test_searching_for_nothing_lists_all_and_for_nonsense_none(glossary: Glossary) -> None:
    assert glossary.search("") == list(glossary.entries)
    assert glossary.search("xyzzy") == []
