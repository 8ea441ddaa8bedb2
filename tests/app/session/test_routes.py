"""Links are read as they were written, and one that cannot be read is a sentence."""

from __future__ import annotations

import contextlib
import dataclasses
import re
from typing import get_type_hints

import pytest
from hypothesis import given
from hypothesis import strategies as st

from terrarium.app.help.glossary import load_glossary
from terrarium.app.help.pictures import PICTURES
from terrarium.app.help.places import PLACES
from terrarium.app.session import routes
from terrarium.app.session.routes import (
    Linked,
    OpenModel,
    Route,
    ShowPlace,
    ShowRun,
    ShowTerm,
    ShowTokenizer,
    read_link,
    write_link,
)

KINDS = [kind for kind in vars(routes).values() if isinstance(kind, type) and issubclass(kind, Route)]
LINKED = [kind for kind in KINDS if issubclass(kind, Linked) and kind is not Linked]
IN_PATH = st.from_regex(r"[a-z][a-z0-9_-]{0,20}", fullmatch=True)
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=60)
STEP = st.none() | st.integers(0, 10**12 - 1)


def made(kind: type[Linked]) -> st.SearchStrategy[Linked]:
    """Routes of a kind; parts of the path are names as they occur, all others any text or number."""
    types = get_type_hints(kind)
    inside = re.findall(r"{(\w+)}", kind.PATH)
    parts = {}
    for field in dataclasses.fields(kind):
        if types[field.name] is str:
            parts[field.name] = IN_PATH if field.name in inside else TEXT
        else:
            parts[field.name] = st.integers(0, 10**12 - 1) if types[field.name] is int else STEP
    return st.builds(kind, **parts)


@pytest.mark.parametrize("kind", [kind for kind in LINKED if kind is not ShowPlace])
def test_a_link_is_read_as_it_was_written(kind: type[Linked]) -> None:
    @given(made(kind))
    def check(route: Linked) -> None:
        link = write_link(route)
        assert read_link(link) == route
        assert read_link(link.removeprefix("terrarium://")) == route
        assert re.fullmatch(r"terrarium://[!-~]+", link), "it can be pasted anywhere"

    check()


def test_all_places_and_terms_have_a_link() -> None:
    same = {place for place in PLACES if read_link(write_link(ShowPlace(place))) == ShowPlace(place)}
    runs = {place for place in PLACES if place.startswith("training/run/")}
    assert {*PLACES} - same == runs, "these are read as a run in a view, which leads to the same place"
    assert all(read_link(place) == ShowRun(view=place.removeprefix("training/run/")) for place in runs)
    for entry in load_glossary(PLACES, PICTURES).entries:
        assert read_link(write_link(ShowTerm(entry.term))) == ShowTerm(entry.term)


def test_a_link_may_be_typed_by_hand() -> None:
    assert read_link(" TERRARIUM://training/run/machine?run=Tiny World&step=400 ") == ShowRun(
        "Tiny World", "machine", 400
    )
    assert read_link("terrarium://training/run?run=a%26b") == ShowRun("a&b")
    assert read_link("chat/attention?run=Tiny+World&layer=1&head=2#note") == OpenModel(
        "Tiny World", "attention", layer=1, head=2
    )
    assert read_link("chat/attention") == ShowPlace("chat/attention")
    assert read_link("tokenizer?tokenizer=bytes") == ShowTokenizer("bytes")


@pytest.mark.parametrize(
    ("link", "sentence"),
    [
        ("", "names no place"),
        ("terrarium:///", "names no place"),
        ("https://example.org/training", "is not a link into Terrarium"),
        ("training/run?run=a&step=-1", "“step” in this link must be a whole number, not “-1”"),
        ("training/run?run=a&step=1e3", "must be a whole number"),
        ("training/run?run=a&step=" + "9" * 13, "must be a whole number"),
        ("training/run?run=a&delete=yes", "“delete” means nothing in this link"),
        ("home?run=a", "“run” means nothing in this link"),
        ("home?" + "x" * 5000, "too long: 5,005 characters"),
    ],
)
def test_what_cannot_be_read_is_said(link: str, sentence: str) -> None:
    with pytest.raises(ValueError, match=re.escape(sentence)):
        read_link(link)


@given(st.text(max_size=80) | TEXT.map("terrarium://training/run?{}".format))
def test_any_text_is_read_or_refused(text: str) -> None:
    with contextlib.suppress(ValueError):
        assert isinstance(read_link(text), Linked)
