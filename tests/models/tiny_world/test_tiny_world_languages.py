"""Golden sentences in each language: articles, contractions, elision, cases, agreement; no gap in the lexicon."""

from __future__ import annotations

import itertools
import re

import pytest

from terrarium.models.tiny_world import french, german, lexicon, spanish
from terrarium.models.tiny_world.events import (
    DoorIs,
    Drops,
    Feels,
    Gives,
    Holds,
    Is,
    Lies,
    Moves,
    Paints,
    Takes,
    Thanks,
    WorldEvent,
)
from terrarium.models.tiny_world.stories import LANGUAGES

GOLDEN = [
    (
        Is("Anna", "garden"),
        "Anna était dans le jardin.",
        "Anna war im Garten.",
        "Anna estaba en el jardín.",
    ),
    (
        Is("Ben", "school"),
        "Ben était dans l'école.",
        "Ben war in der Schule.",
        "Ben estaba en la escuela.",
    ),
    (
        Is("Ben", "market"),
        "Ben était au marché.",
        "Ben war auf dem Markt.",
        "Ben estaba en el mercado.",
    ),
    (
        Lies("kite", "castle"),
        "Le cerf-volant était dans le château.",
        "Der Drachen war im Schloss.",
        "La cometa estaba en el castillo.",
    ),
    (
        Holds("Anna", "key"),
        "Anna avait la clé.",
        "Anna hatte den Schlüssel.",
        "Anna tenía la llave.",
    ),
    (
        DoorIs("stable", "white"),
        "La porte de l'étable était blanche.",
        "Die Tür des Stalls war weiß.",
        "La puerta del establo era blanca.",
    ),
    (
        DoorIs("castle", "green"),
        "La porte du château était verte.",
        "Die Tür des Schlosses war grün.",
        "La puerta del castillo era verde.",
    ),
    (Moves("Anna", "attic"), "Anna est allée au grenier.", "Anna ging auf den Dachboden.", "Anna fue al desván."),
    (Moves("Ben", "school"), "Ben est allé à l'école.", "Ben ging zur Schule.", "Ben fue a la escuela."),
    (Moves("Ben", "castle"), "Ben est allé au château.", "Ben ging ins Schloss.", "Ben fue al castillo."),
    (Moves("Ben", "market"), "Ben est allé au marché.", "Ben ging zum Markt.", "Ben fue al mercado."),
    (Moves("Zoe", "kitchen"), "Zoe est allée à la cuisine.", "Zoe ging in die Küche.", "Zoe fue a la cocina."),
    (Takes("Olga", "book"), "Olga a pris le livre.", "Olga nahm das Buch.", "Olga tomó el libro."),
    (Drops("Olga", "hat"), "Olga a posé le chapeau.", "Olga legte den Hut hin.", "Olga dejó el sombrero."),
    (
        Gives("Anna", "lamp", "Oscar"),
        "Anna a donné la lampe à Oscar.",
        "Anna gab Oscar die Lampe.",
        "Anna le dio la lámpara a Oscar.",
    ),
    (
        Paints("Ben", "school", "white"),
        "Ben a peint la porte de l'école en blanc.",
        "Ben strich die Tür der Schule weiß.",
        "Ben pintó la puerta de la escuela de blanco.",
    ),
    (
        Paints("Ben", "mill", "purple"),
        "Ben a peint la porte du moulin en violet.",
        "Ben strich die Tür der Mühle lila.",
        "Ben pintó la puerta del molino de morado.",
    ),
    (Feels("Anna", "proud"), "Anna était fière.", "Anna war stolz.", "Anna estaba orgullosa."),
    (Feels("Ben", "proud"), "Ben était fier.", "Ben war stolz.", "Ben estaba orgulloso."),
    (Feels("Ben", "hungry"), "Ben était affamé.", "Ben war hungrig.", "Ben tenía hambre."),
    (Thanks("Ben", "Anna"), "Ben a remercié Anna.", "Ben dankte Anna.", "Ben le dio las gracias a Anna."),
]


@pytest.mark.parametrize(("event", "in_french", "in_german", "in_spanish"), GOLDEN)
def test_golden_sentences(event: WorldEvent, in_french: str, in_german: str, in_spanish: str) -> None:
    told = {name: language.tell(event) for name, language in LANGUAGES.items()}
    assert told == {"French": in_french, "German": in_german, "Spanish": in_spanish}


def every_event() -> list[WorldEvent]:
    """All kinds of events with all words of the lexicon."""
    events: list[WorldEvent] = [Is("Ben", p) for p in lexicon.PLACES] + [Moves("Ben", p) for p in lexicon.PLACES]
    for thing in lexicon.THINGS:
        events += [Lies(thing, "barn"), Holds("Ida", thing), Takes("Ida", thing), Drops("Ida", thing)]
        events.append(Gives("Ida", thing, "Ben"))
    for place, colour in itertools.product(lexicon.PLACES, lexicon.COLOURS):
        events += [DoorIs(place, colour), Paints("Ida", place, colour)]
    events += [Feels(person, mood) for person in ("Ida", "Ben") for mood in lexicon.MOODS]
    return [*events, Thanks("Ida", "Ben")]


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_event_can_be_told_in_words_of_its_own(language: str) -> None:
    sentences = [LANGUAGES[language].tell(event) for event in every_event()]
    assert len(set(sentences)) == len(sentences)  # nothing is lost in translation
    assert all(re.fullmatch(r"[A-ZÄÖÜ][\w' -]+\.", sentence) for sentence in sentences)


WRONG = {
    "French": r"\b(à le|de le|le [aeéèêiou]\w*|la [aeéèêiou]\w*|à l' |en \w+(verte|blanche|noire))\b",
    "German": r"\b(in dem|zu dem|zu der|in das)\b",
    "Spanish": r"\b(a el|de el)\b",
}


@pytest.mark.parametrize("language", LANGUAGES)
def test_contractions_are_made_everywhere(language: str) -> None:
    for event in every_event():
        sentence = LANGUAGES[language].tell(event)
        assert not re.search(WRONG[language], sentence), sentence


def test_what_is_no_event_of_tiny_world_has_no_sentence() -> None:
    for language in LANGUAGES.values():
        with pytest.raises(AssertionError, match="no sentence"):
            language.tell(WorldEvent())


def test_words_agree_with_their_gender() -> None:
    for _, gender in french.NOUNS.values():
        assert gender in "mf"
    for noun, gender, genitive, at, towards in german.PLACES.values():
        assert gender in "mfn"
        assert (genitive == noun) == (gender == "f")
        assert {at, towards} <= {"in", "auf", "zu"}
    assert all(noun.split()[0] in ("el", "la") for noun in spanish.NOUNS.values())
