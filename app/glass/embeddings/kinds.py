"""The kinds of tokens: by meaning for Tiny World, whose vocabulary is known, else by form. No widgets."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from terrarium.models.tiny_world import english, lexicon


@dataclass(frozen=True, kw_only=True)
class Kind:
    """A kind of token with its name and symbol.

    shape: circle, triangle, square, diamond, down, plus, star, hexagon, cross, bar, ring or dot; unique on each map.
    colour: an index into the theme's categories; None for a muted colour. is_named: whether its tokens get labels.
    """

    name: str
    shape: str
    colour: int | None = None
    is_named: bool = False


PERSON = Kind(name="People", shape="circle", colour=0, is_named=True)
_ANIMAL = Kind(name="Animals", shape="triangle", colour=1, is_named=True)
_PLACE = Kind(name="Places", shape="square", colour=2, is_named=True)
_THING = Kind(name="Things", shape="diamond", colour=3, is_named=True)
_FOOD = Kind(name="Food", shape="down", colour=4, is_named=True)
_ACTION = Kind(name="Actions", shape="star", colour=5, is_named=True)
_QUALITY = Kind(name="Colours, materials, moods", shape="plus", colour=6, is_named=True)
_DOING = Kind(name="Jobs, hobbies, months", shape="hexagon", is_named=True)
_OTHER_WORD = Kind(name="Other words", shape="dot")
_REST = Kind(name="Word pieces", shape="ring")
_MARK = Kind(name="Numbers and punctuation", shape="cross")
_ROLE = Kind(name="Special tokens", shape="bar")
WORD = Kind(name="Words, or their beginnings", shape="circle", colour=0, is_named=True)
_PIECE = Kind(name="Word pieces", shape="triangle", colour=1)
_NUMBER = Kind(name="Numbers", shape="square", colour=2)
_SIGN = Kind(name="Punctuation", shape="cross", colour=3)
_BYTE = Kind(name="Spaces and parts of characters", shape="dot")
_SPECIAL = Kind(name="Special tokens", shape="star", colour=5)
UNKNOWN = Kind(name="Not in the tokenizer", shape="ring")
KINDS = (
    PERSON, _ANIMAL, _PLACE, _THING, _FOOD, _ACTION, _QUALITY, _DOING, _OTHER_WORD, _REST, _MARK,
    _ROLE, WORD, _PIECE, _NUMBER, _SIGN, _BYTE, _SPECIAL, UNKNOWN,
)  # fmt: skip
"""All kinds, in the order of the legend."""

_FORMS = {
    "special": _SPECIAL, "added": _SPECIAL, "byte": _BYTE, "fragment": _BYTE, "space": _BYTE, "number": _NUMBER,
    "sign": _SIGN, "word": WORD, "word start": WORD, "continuation": _PIECE, "piece": _PIECE,
}  # fmt: skip
"""The kind of each type of token (models.tokenizers.vocabulary.token_types), except single characters."""

_RESERVED = re.compile(r"\[unused\d+\]")
"""The reserved entries of BERT's vocabularies, which occur in no text."""
_DOES = re.compile(r"\{person\} (?!was|is)(\w+)|(?:was|is) (\w+) (?:by|to) ")


def _world_words() -> dict[str, Kind]:
    """Return the words of Tiny World with their kinds; the verbs are extracted from its sentence templates."""
    templates = [template for table in (english.PAST, english.REPORT) for group in table.values() for template in group]
    verbs = {verb for template in templates for pair in _DOES.findall(template) for verb in pair if verb}
    lists = (
        (lexicon.JOBS + lexicon.HOBBIES + lexicon.MONTHS, _DOING),
        (lexicon.COLOURS + lexicon.MATERIALS + lexicon.MOODS, _QUALITY),
        (tuple(verbs), _ACTION),
        (lexicon.FOODS, _FOOD),
        (lexicon.THINGS, _THING),
        (lexicon.PLACES, _PLACE),
        (lexicon.ANIMALS, _ANIMAL),
        (lexicon.WOMEN + lexicon.MEN, PERSON),
    )
    return {word: kind for words, kind in lists for word in words}


_WORLD = _world_words()


def kind_of(text: str | None, form: str, *, in_world: bool) -> Kind:
    """Return the kind of a token.

    Args:
        text: the text of the token; None if its bytes are not whole characters.
        form: its type, as in models.tokenizers.vocabulary.token_types.
        in_world: whether the model was trained on Tiny World, so that its words are classified by meaning.
    """
    word = (text or "").strip()
    if _RESERVED.fullmatch(word):
        return _ROLE if in_world else _SPECIAL
    if in_world:
        if form in ("special", "added"):
            return _ROLE
        if not any(character.isalpha() for character in word):
            return _MARK
        return _REST if form == "continuation" else _WORLD.get(word, _REST if form == "character" else _OTHER_WORD)
    if form == "character":
        return _PIECE if word.isalpha() else _NUMBER if word.isnumeric() else _SIGN if word else _BYTE
    return _FORMS[form]


def label_order(kinds: Sequence[Kind], counts: Sequence[int], ids: Sequence[int]) -> list[int]:
    """Return the ids of the tokens to label, by priority: the named kinds in turn, each by descending frequency.

    Args:
        kinds, counts: of all tokens. ids: the tokens to choose from.
    """
    queues: dict[Kind, list[int]] = {kind: [] for kind in KINDS if kind.is_named}
    for id in sorted(ids, key=lambda id: (-counts[id], id)):
        if kinds[id] in queues:
            queues[kinds[id]].append(id)
    longest = max(map(len, queues.values()), default=0)
    return [queue[turn] for turn in range(longest) for queue in queues.values() if turn < len(queue)]


def first_choice(kinds: Sequence[Kind], counts: Sequence[int], ids: Sequence[int]) -> int:
    """Return the id of the initial token: the most frequent person, else word, else word piece; −1 for none."""
    for kind in (PERSON, WORD, _OTHER_WORD, _PIECE, _REST):
        of_kind = [id for id in ids if kinds[id] == kind]
        if of_kind:
            return max(of_kind, key=lambda id: (counts[id], -id))
    return -1
