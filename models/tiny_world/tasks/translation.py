"""Sentences of two clauses in English, French, German and Spanish, with pronouns and adjectives that agree.

A word list is not enough to translate them: "it" is le, la, lo, er, sie, es, ihn or l' with a participle that agrees,
and "the red key" is another phrase in each case. Combinations of a person, a thing and a place are held out, and pairs
of an adjective and a noun.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass
from string import Formatter
from types import MappingProxyType

from terrarium.models.tiny_world.inflection import Language
from terrarium.models.tiny_world.lexicon import COLOURS, MOODS, WOMEN
from terrarium.models.tiny_world.splits import Drawn, split_of
from terrarium.models.tiny_world.stories import LANGUAGES
from terrarium.models.tiny_world.world import World

QUALITIES = ("dirty", "heavy", "new", "old", "small", "wet")
ENGLISH = Language(
    {},
    {
        "he": lambda name: "she" if name in WOMEN else "he",
        "him": lambda name: "her" if name in WOMEN else "him",
    },
)


@dataclass(frozen=True)
class Kind:
    """A sentence in the four languages: templates of fields and their forms (see Language).

    Fields: person, receiver (of the other gender), thing, place, colour, mood, quality; and pairs of an adjective and
    its noun or name: coloured (thing), qualified (thing), feeling (person).
    """

    english: str
    french: str
    german: str
    spanish: str

    def template(self, language: str) -> str:
        """Return the template of a language, by its English name."""
        template: str = vars(self)[language.lower()]
        return template

    @property
    def fields(self) -> set[str]:
        """The fields of the English sentence."""
        return {field for _, field, _, _ in Formatter().parse(self.english) if field}


KINDS: Mapping[str, Kind] = MappingProxyType({
    "take and go": Kind(
        "{person} took the {thing} and went to the {place}.",
        "{person} a pris {thing:the} et est {person:gone} {place:into}.",
        "{person} nahm {thing:object} und ging {place:towards}.",
        "{person} tomó {thing:the} y fue {place:to}."),
    "go and take": Kind(
        "{person} went to the {place} and took the {thing}.",
        "{person} est {person:gone} {place:into} et a pris {thing:the}.",
        "{person} ging {place:towards} und nahm {thing:object}.",
        "{person} fue {place:to} y tomó {thing:the}."),
    "take and give": Kind(
        "{person} took the {thing} and gave it to {receiver}.",
        "{person} a pris {thing:the} et l'a {thing:given} à {receiver}.",
        "{person} nahm {thing:object} und gab {thing:him} {receiver}.",
        "{person} tomó {thing:the} y se {thing:him} dio a {receiver}."),
    "was there and taken": Kind(
        "The {thing} was in the {place}, and {person} took it.",
        "{thing:the} était {place:in}, et {person} l'a {thing:taken}.",
        "{thing:subject} war {place:at}, und {person} nahm {thing:him}.",
        "{thing:the} estaba en {place:the}, {person:and} {thing:him} tomó."),
    "when": Kind(
        "When {person} was in the {place}, {person:he} put down the {thing}.",
        "Quand {person} était {place:in}, {person:he} a posé {thing:the}.",
        "Als {person} {place:at} war, legte {person:he} {thing:object} hin.",
        "Cuando {person} estaba en {place:the}, dejó {thing:the}."),
    "because of a mood": Kind(
        "{person} went to the {place} because {person:he} was {mood}.",
        "{person} est {person:gone} {place:into} parce qu'{person:he} était {feeling:agreeing}.",
        "{person} ging {place:towards}, weil {person:he} {mood:adjective} war.",
        "{person} fue {place:to} porque {feeling:was}."),
    "look for": Kind(
        "{person} looked for the {thing} in the {place} but did not find it.",
        "{person} a cherché {thing:the} {place:in} mais ne l'a pas {thing:found}.",
        "{person} suchte {thing:object} {place:at}, fand {thing:him} aber nicht.",
        "{person} buscó {thing:the} en {place:the}, pero no {thing:him} encontró."),
    "not there": Kind(
        "{person} went to the {place}, but {receiver} was not there.",
        "{person} est {person:gone} {place:into}, mais {receiver} n'y était pas.",
        "{person} ging {place:towards}, aber {receiver} war nicht dort.",
        "{person} fue {place:to}, pero {receiver} no estaba allí."),
    "thanks": Kind(
        "{person} gave {receiver} the {thing}, and {receiver:he} thanked {person:him}.",
        "{person} a donné {thing:the} à {receiver}, et {receiver:he} l'a {person:thanked}.",
        "{person} gab {receiver} {thing:object}, und {receiver:he} dankte {person:to him}.",
        "{person} le dio {thing:the} a {receiver}, y {receiver:he} le dio las gracias."),
    "paint and take": Kind(
        "{person} painted the {place} door {colour} and took the {thing}.",
        "{person} a peint la porte {place:of} en {colour:masculine} et a pris {thing:the}.",
        "{person} strich die Tür {place:of} {colour:adjective} und nahm {thing:object}.",
        "{person} pintó la puerta {place:of} de {colour:masculine} y tomó {thing:the}."),
    "coloured, given": Kind(
        "{person} took the {colour} {thing} and gave it to {receiver}.",
        "{person} a pris {coloured:the agreeing} et l'a {thing:given} à {receiver}.",
        "{person} nahm {coloured:described object} und gab {thing:him} {receiver}.",
        "{person} tomó {coloured:described} y se {thing:him} dio a {receiver}."),
    "coloured, taken": Kind(
        "The {colour} {thing} was in the {place}, and {person} took it.",
        "{coloured:the agreeing} était {place:in}, et {person} l'a {thing:taken}.",
        "{coloured:described subject} war {place:at}, und {person} nahm {thing:him}.",
        "{coloured:described} estaba en {place:the}, {person:and} {thing:him} tomó."),
    "coloured, put down": Kind(
        "{person} went to the {place} with the {colour} {thing} and put it down.",
        "{person} est {person:gone} {place:into} avec {coloured:the agreeing} et l'a {thing:put down}.",
        "{person} ging {coloured:with described} {place:towards} und legte {thing:him} hin.",
        "{person} fue {place:to} con {coloured:described} y {thing:him} dejó."),
    "was coloured": Kind(
        "The {thing} was {colour}, and {person} gave it to {receiver}.",
        "{thing:the} était {coloured:agreeing}, et {person} l'a {thing:given} à {receiver}.",
        "{thing:subject} war {colour:adjective}, und {person} gab {thing:him} {receiver}.",
        "{thing:the} {coloured:was}, {person:and} se {thing:him} dio a {receiver}."),
    "because of a quality": Kind(
        "{person} did not take the {thing} because it was {quality}.",
        "{person} n'a pas pris {thing:the} parce qu'{thing:he} était {qualified:agreeing}.",
        "{person} nahm {thing:object} nicht, weil {thing:he} {quality:adjective} war.",
        "{person} no tomó {thing:the} porque {qualified:was}."),
    "that was found": Kind(
        "The {thing} that {person} found in the {place} was {quality}.",
        "{thing:the} {person:that} a {thing:found} {place:in} était {qualified:agreeing}.",
        "{thing:subject}, {thing:whom} {person} {place:at} fand, war {quality:adjective}.",
        "{thing:the} que {person} encontró en {place:the} {qualified:was}."),
})  # fmt: skip


def draw(world: World, rng: random.Random) -> list[Drawn]:
    """Draw one sentence to translate into each of the languages, which are the groups.

    `held_out` names the unseen aspect of a row: "combination" (of person, thing and place), "agreement" (adjective and
    noun), or "both"; "" in training.
    """
    kind = rng.choice(list(KINDS))
    words = _words(world, rng)
    splits = {name: split_of(item) for name, item in _items(KINDS[kind], words).items()}
    split = next(name for name in ("test", "val", "train") if name in splits.values())
    new = [name for name, own in splits.items() if own != "train"]
    english = ENGLISH.fill(KINDS[kind].english, words)
    return [
        Drawn(
            split,
            {
                "source": f"Say in {language}: {english}",
                "target": LANGUAGES[language].fill(KINDS[kind].template(language), words),
                "group": language,
                "language": language,
                "kind": kind,
                "held_out": "both" if len(new) == 2 else "".join(new),
            },
        )
        for language in LANGUAGES
    ]


def _words(world: World, rng: random.Random) -> dict[str, str]:
    """Draw the words of a sentence by field; all fields are drawn, whether the sentence has them or not."""
    person = rng.choice(world.people)
    words = {
        "person": person,
        "receiver": rng.choice([other for other in world.people if (other in WOMEN) != (person in WOMEN)]),
        "thing": rng.choice(world.things),
        "place": rng.choice(world.places),
        "colour": rng.choice(COLOURS),
        "mood": rng.choice(MOODS),
        "quality": rng.choice(QUALITIES),
    }
    words["coloured"] = f"{words['colour']} {words['thing']}"
    words["qualified"] = f"{words['quality']} {words['thing']}"
    words["feeling"] = f"{words['mood']} {person}"
    return words


def _items(kind: Kind, words: Mapping[str, str]) -> dict[str, str]:
    """Return what decides on the split: the combination, and the pair that agrees, if the sentence has one."""
    named = [words[field] for field in ("person", "thing", "place", "mood") if field in kind.fields]
    items = {"combination": f"translation {' '.join(named)}"}
    for field in ("coloured", "qualified"):
        if any(f"{{{field}:" in template for template in (kind.french, kind.spanish)):
            items["agreement"] = f"translation {words[field]}"
    return items
