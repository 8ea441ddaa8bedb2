"""Kinds of tokens, which of them get a label, and which one the page begins with."""

from __future__ import annotations

import pytest

from terrarium.app.glass.embeddings.embeddings_page import describe_nearest
from terrarium.app.glass.embeddings.kinds import KINDS, PERSON, WORD, Kind, first_choice, kind_of, label_order
from terrarium.app.glass.embeddings.symbols import symbol_path
from terrarium.models.tokenizers.vocabulary.token_types import TYPES


@pytest.mark.parametrize(
    ("text", "form", "name"),
    [
        (" Mia", "word start", "People"),
        (" kitchen", "word start", "Places"),
        (" handed", "word start", "Actions"),
        (" taken", "word start", "Actions"),
        (" was", "word start", "Other words"),
        (" sad", "word start", "Colours, materials, moods"),
        ("itch", "continuation", "Word pieces"),
        ("a", "character", "Word pieces"),
        (".", "character", "Numbers and punctuation"),
        (" ", "character", "Numbers and punctuation"),
        (None, "byte", "Numbers and punctuation"),
        ("<|end|>", "special", "Special tokens"),
    ],
)
def test_kinds_of_tiny_world(text: str | None, form: str, name: str) -> None:
    assert kind_of(text, form, in_world=True).name == name


@pytest.mark.parametrize(
    ("text", "form", "name"),
    [
        (" Mia", "word start", "Words, or their beginnings"),
        ("itch", "continuation", "Word pieces"),
        ("a", "character", "Word pieces"),
        ("7", "character", "Numbers"),
        ("1984", "number", "Numbers"),
        (".", "character", "Punctuation"),
        ("\n", "character", "Spaces and parts of characters"),
        (None, "byte", "Spaces and parts of characters"),
        ("<|end|>", "special", "Special tokens"),
    ],
)
def test_kinds_by_form(text: str | None, form: str, name: str) -> None:
    assert kind_of(text, form, in_world=False).name == name


def test_every_form_has_a_kind() -> None:
    for form in TYPES:
        assert kind_of("ab", form, in_world=False) in KINDS
        assert kind_of("ab", form, in_world=True) in KINDS


@pytest.mark.parametrize("in_world", [True, False])
def test_kinds_on_one_map_differ_in_shape_and_in_colour(in_world: bool) -> None:
    texts = (" Mia", " dog", " kitchen", " ball", " bread", " took", " red", " cook", " was", "7", ".", "\n", "<|end|>")
    found = {kind_of(text, form, in_world=in_world) for text in texts for form in TYPES}
    assert len({kind.shape for kind in found}) == len(found)
    coloured = [kind.colour for kind in found if kind.colour is not None]
    assert len(set(coloured)) == len(coloured)
    for kind in found:
        assert not symbol_path(kind.shape, 4.0).isEmpty()


def test_the_kinds_take_turns_with_their_most_frequent_tokens() -> None:
    place, other = kind_of(" kitchen", "word start", in_world=True), kind_of(" was", "word start", in_world=True)
    kinds: list[Kind] = [PERSON, PERSON, place, other, PERSON]
    counts = [1, 5, 2, 99, 3]
    assert label_order(kinds, counts, range(5)) == [1, 2, 4, 0]
    assert label_order(kinds, counts, [0, 3]) == [0]
    assert first_choice(kinds, counts, range(5)) == 1
    assert first_choice(kinds, counts, [2, 3]) == 3
    assert first_choice([place], [1], [0]) == -1
    assert first_choice([WORD, WORD], [0, 0], [0, 1]) == 0, "unknown counts: the first one"


def test_the_sentence() -> None:
    assert describe_nearest("·Mia", ["·Tom", "·Anna", "·Ben", "·Leo"]) == "Closest to “Mia”: Tom, Anna, Ben."
    assert describe_nearest("·the", ["·of", ",", "·"]) == "Closest to “the”: of, “,”, a space."
    assert describe_nearest("·Mia", []) == ""


def test_reserved_tokens_of_bert_are_no_words() -> None:
    names = ["[PAD]", "[unused0]", "a", "the"]
    kinds = [
        kind_of(name, form, in_world=False)
        for name, form in zip(names, ("special", "word", "character", "word"), strict=True)
    ]
    assert first_choice(kinds, [0, 0, 0, 0], range(4)) == 3
