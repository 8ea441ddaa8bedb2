"""Events in German: articles by case, contractions (im, ins, zum, zur), and the preterite for narration."""

from __future__ import annotations

from collections.abc import Callable

from terrarium.models.tiny_world import events
from terrarium.models.tiny_world.inflection import Language
from terrarium.models.tiny_world.lexicon import WOMEN

PLACES: dict[str, tuple[str, str, str, str, str]] = {
    "attic": ("Dachboden", "m", "Dachbodens", "auf", "auf"), "bakery": ("Bäckerei", "f", "Bäckerei", "in", "zu"),
    "barn": ("Scheune", "f", "Scheune", "in", "in"), "castle": ("Schloss", "n", "Schlosses", "in", "in"),
    "cave": ("Höhle", "f", "Höhle", "in", "in"), "cellar": ("Keller", "m", "Kellers", "in", "in"),
    "forest": ("Wald", "m", "Waldes", "in", "in"), "garden": ("Garten", "m", "Gartens", "in", "in"),
    "hall": ("Saal", "m", "Saals", "in", "in"), "kitchen": ("Küche", "f", "Küche", "in", "in"),
    "library": ("Bibliothek", "f", "Bibliothek", "in", "in"), "market": ("Markt", "m", "Marktes", "auf", "zu"),
    "meadow": ("Wiese", "f", "Wiese", "auf", "auf"), "mill": ("Mühle", "f", "Mühle", "in", "zu"),
    "orchard": ("Obstgarten", "m", "Obstgartens", "in", "in"), "park": ("Park", "m", "Parks", "in", "in"),
    "school": ("Schule", "f", "Schule", "in", "zu"), "shed": ("Schuppen", "m", "Schuppens", "in", "in"),
    "stable": ("Stall", "m", "Stalls", "in", "in"), "tower": ("Turm", "m", "Turms", "in", "zu"),
}  # fmt: skip
"""English place → (noun, gender, genitive, preposition of location, preposition of direction)."""
THINGS: dict[str, tuple[str, str]] = {
    "ball": ("Ball", "m"), "basket": ("Korb", "m"), "bell": ("Glocke", "f"), "book": ("Buch", "n"),
    "bottle": ("Flasche", "f"), "candle": ("Kerze", "f"), "coin": ("Münze", "f"), "cup": ("Tasse", "f"),
    "doll": ("Puppe", "f"), "drum": ("Trommel", "f"), "flute": ("Flöte", "f"), "hammer": ("Hammer", "m"),
    "hat": ("Hut", "m"), "key": ("Schlüssel", "m"), "kite": ("Drachen", "m"), "lamp": ("Lampe", "f"),
    "map": ("Landkarte", "f"), "rope": ("Seil", "n"), "shell": ("Muschel", "f"), "spoon": ("Löffel", "m"),
}  # fmt: skip
"""English thing → (noun, gender)."""
ADJECTIVES: dict[str, str] = {
    "black": "schwarz", "blue": "blau", "brown": "braun", "green": "grün", "grey": "grau", "orange": "orange",
    "pink": "rosa", "purple": "lila", "red": "rot", "white": "weiß", "yellow": "gelb",
    "angry": "wütend", "brave": "mutig", "happy": "glücklich", "hungry": "hungrig", "proud": "stolz",
    "sad": "traurig", "scared": "ängstlich", "sleepy": "schläfrig", "thirsty": "durstig", "tired": "müde",
    "dirty": "schmutzig", "heavy": "schwer", "new": "neu", "old": "alt", "small": "klein", "wet": "nass",
}  # fmt: skip
"""English adjective → its uninflected German form, used after a verb."""
ARTICLES = {
    "nominative": {"m": "der", "f": "die", "n": "das"},
    "genitive": {"m": "des", "f": "der", "n": "des"},
    "dative": {"m": "dem", "f": "der", "n": "dem"},
    "accusative": {"m": "den", "f": "die", "n": "das"},
}
PRONOUNS = {
    "nominative": {"m": "er", "f": "sie", "n": "es"},
    "dative": {"m": "ihm", "f": "ihr", "n": "ihm"},
    "accusative": {"m": "ihn", "f": "sie", "n": "es"},
}
_UNDECLINED = ("orange", "rosa", "lila")
_CONTRACTIONS = {"in dem": "im", "in das": "ins", "zu dem": "zum", "zu der": "zur"}


def _gender(word: str) -> str:
    """Return the gender of a noun or a name: m, f or n."""
    if word in PLACES:
        return PLACES[word][1]
    return THINGS[word][1] if word in THINGS else "mf"[word in WOMEN]


def _the(noun: str, case: str) -> str:
    return ARTICLES[case][_gender(noun)]


def _pronoun(case: str) -> Callable[[str], str]:
    return lambda word: PRONOUNS[case][_gender(word)]


def _thing(thing: str, case: str) -> str:
    return f"{_the(thing, case)} {THINGS[thing][0]}"


def _described(case: str) -> Callable[[str], str]:
    """ "red key" → der rote Schlüssel: the adjective has weak endings after an article, and some never change."""

    def describe(adjective_and_thing: str) -> str:
        adjective, thing = adjective_and_thing.split()
        german = ADJECTIVES[adjective]
        if german not in _UNDECLINED:
            has_e = case == "nominative" or (case == "accusative" and _gender(thing) != "m")
            german += "e" if has_e else "en"
        return f"{_the(thing, case)} {german} {THINGS[thing][0]}"

    return describe


def _of(place: str) -> str:
    return f"{_the(place, 'genitive')} {PLACES[place][2]}"


def _at(place: str) -> str:
    """Return the phrase for where somebody is: im Garten, in der Küche, auf dem Markt."""
    return _with_article(PLACES[place][3], place, "dative")


def _towards(place: str) -> str:
    """Return the phrase for where somebody goes: “in” and “auf” then take the accusative, “zu” the dative."""
    preposition = PLACES[place][4]
    return _with_article(preposition, place, "dative" if preposition == "zu" else "accusative")


def _with_article(preposition: str, place: str, case: str) -> str:
    together = f"{preposition} {_the(place, case)}"
    return f"{_CONTRACTIONS.get(together, together)} {PLACES[place][0]}"


GERMAN = Language(
    {
        events.Is: "{person} war {place:at}.",
        events.Lies: "{thing:subject} war {place:at}.",
        events.Holds: "{person} hatte {thing:object}.",
        events.DoorIs: "Die Tür {place:of} war {colour:adjective}.",
        events.Moves: "{person} ging {place:towards}.",
        events.Takes: "{person} nahm {thing:object}.",
        events.Drops: "{person} legte {thing:object} hin.",
        events.Gives: "{person} gab {receiver} {thing:object}.",
        events.Paints: "{person} strich die Tür {place:of} {colour:adjective}.",
        events.Feels: "{person} war {mood:adjective}.",
        events.Thanks: "{person} dankte {giver}.",
    },
    {
        "subject": lambda thing: _thing(thing, "nominative"),
        "object": lambda thing: _thing(thing, "accusative"),
        "of": _of,
        "at": _at,
        "towards": _towards,
        "adjective": lambda adjective: ADJECTIVES[adjective],
        "he": _pronoun("nominative"),
        "him": _pronoun("accusative"),
        "to him": _pronoun("dative"),
        "whom": lambda thing: _the(thing, "accusative"),
        "described subject": _described("nominative"),
        "described object": _described("accusative"),
        "with described": lambda pair: f"mit {_described('dative')(pair)}",
    },
)
