"""Evaluation of German cases: articles, adjective endings and pronouns, independent of the choice of words."""

from __future__ import annotations

import re
from dataclasses import dataclass

from terrarium.models.tiny_world.german import ADJECTIVES, PLACES, PRONOUNS, THINGS

_LEMMAS = {
    **{noun: noun for noun, *_ in THINGS.values()},
    **{form: noun for noun, _, genitive, *_ in PLACES.values() for form in (noun, genitive)},
    "Tür": "Tür",
}
_DETERMINERS = frozenset(["der", "die", "das", "des", "dem", "den", "im", "ins", "zum", "zur"])
_PRONOUNS = frozenset(pronoun for forms in PRONOUNS.values() for pronoun in forms.values())
_STEMS = tuple(ADJECTIVES.values())


@dataclass(frozen=True)
class CaseErrors:
    """The number of wrong forms among `n_forms` that show a case; their words occur in both texts."""

    n_wrong: int
    n_forms: int


def case_errors(predicted: str, gold: str) -> CaseErrors:
    """Compare the forms of nouns that occur in both texts, and the pronouns in order if both have equally many.

    A different noun is an error of vocabulary, not of case, so it does not count.
    """
    own, right = _noun_forms(predicted), _noun_forms(gold)
    forms = [(own[noun], form) for noun, form in right.items() if noun in own]
    pronouns, right_pronouns = _pronouns(predicted), _pronouns(gold)
    if len(pronouns) == len(right_pronouns):
        forms += list(zip(pronouns, right_pronouns, strict=True))
    return CaseErrors(sum(one != other for one, other in forms), len(forms))


def _noun_forms(text: str) -> dict[str, str]:
    """Map each noun to its form, with its determiner and its adjective's ending: "den -en Schlüssel"."""
    words = re.findall(r"\w+", text)
    forms: dict[str, str] = {}
    for i, word in enumerate(words):
        if word not in _LEMMAS:
            continue
        determiner, ending = "", ""
        if i and (stem := next((stem for stem in _STEMS if words[i - 1].startswith(stem)), None)):
            ending = f"-{words[i - 1].removeprefix(stem)} "
            i -= 1
        if i and words[i - 1].lower() in _DETERMINERS:
            determiner = f"{words[i - 1].lower()} "
        forms[_LEMMAS[word]] = f"{determiner}{ending}{word}"
    return forms


def _pronouns(text: str) -> list[str]:
    """Return the personal pronouns, and relative pronouns, which follow a comma."""
    found = re.findall(r"(?:, (der|die|das|den|dem)\b)|\b(\w+)\b", text)
    return [relative or word for relative, word in found if relative or word in _PRONOUNS]
