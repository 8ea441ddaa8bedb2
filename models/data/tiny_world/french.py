"""Events in French, with articles, contractions, elision and agreement."""

from __future__ import annotations

from models.data.tiny_world.events import (
    DoorIs,
    Drops,
    Event,
    Feels,
    Gives,
    Holds,
    Is,
    Lies,
    Moves,
    Paints,
    Takes,
    Thanks,
)
from models.data.tiny_world.lexicon import WOMEN

NOUNS: dict[str, tuple[str, str]] = {
    "attic": ("grenier", "m"), "bakery": ("boulangerie", "f"), "barn": ("grange", "f"), "castle": ("château", "m"),
    "cave": ("grotte", "f"), "cellar": ("cave", "f"), "forest": ("forêt", "f"), "garden": ("jardin", "m"),
    "hall": ("salle", "f"), "kitchen": ("cuisine", "f"), "library": ("bibliothèque", "f"), "market": ("marché", "m"),
    "meadow": ("prairie", "f"), "mill": ("moulin", "m"), "orchard": ("verger", "m"), "park": ("parc", "m"),
    "school": ("école", "f"), "shed": ("cabane", "f"), "stable": ("étable", "f"), "tower": ("tour", "f"),
    "ball": ("balle", "f"), "basket": ("panier", "m"), "bell": ("cloche", "f"), "book": ("livre", "m"),
    "bottle": ("bouteille", "f"), "candle": ("bougie", "f"), "coin": ("pièce", "f"), "cup": ("tasse", "f"),
    "doll": ("poupée", "f"), "drum": ("tambour", "m"), "flute": ("flûte", "f"), "hammer": ("marteau", "m"),
    "hat": ("chapeau", "m"), "key": ("clé", "f"), "kite": ("cerf-volant", "m"), "lamp": ("lampe", "f"),
    "map": ("carte", "f"), "rope": ("corde", "f"), "shell": ("coquillage", "m"), "spoon": ("cuillère", "f"),
}  # fmt: skip
"""English noun → (French noun, gender)."""

ADJECTIVES: dict[str, tuple[str, str]] = {
    "black": ("noir", "noire"), "blue": ("bleu", "bleue"), "brown": ("brun", "brune"), "green": ("vert", "verte"),
    "grey": ("gris", "grise"), "orange": ("orange", "orange"), "pink": ("rose", "rose"),
    "purple": ("violet", "violette"), "red": ("rouge", "rouge"), "white": ("blanc", "blanche"),
    "yellow": ("jaune", "jaune"),
    "angry": ("fâché", "fâchée"), "brave": ("courageux", "courageuse"), "happy": ("heureux", "heureuse"),
    "hungry": ("affamé", "affamée"), "proud": ("fier", "fière"), "sad": ("triste", "triste"),
    "scared": ("effrayé", "effrayée"), "sleepy": ("somnolent", "somnolente"), "thirsty": ("assoiffé", "assoiffée"),
    "tired": ("fatigué", "fatiguée"),
}  # fmt: skip
"""English adjective → (masculine, feminine)."""


def the(noun: str) -> str:
    """The noun with its definite article: le, la, or l' before a vowel."""
    word, gender = NOUNS[noun]
    if _elides(word):
        return f"l'{word}"
    return f"{'le' if gender == 'm' else 'la'} {word}"


def _at_the(noun: str) -> str:
    """à + article: au, à la, à l'."""
    article = the(noun)
    return f"au {article[3:]}" if article.startswith("le ") else f"à {article}"


def _in_the(place: str) -> str:
    """Where somebody is: dans le jardin, but au marché."""
    return _at_the(place) if place == "market" else f"dans {the(place)}"


def _into_the(place: str) -> str:
    """Where somebody goes: au jardin, but dans la forêt."""
    return f"dans {the(place)}" if place in ("forest", "meadow") else _at_the(place)


def _of_the(noun: str) -> str:
    """de + article: du, de la, de l'."""
    article = the(noun)
    return f"du {article[3:]}" if article.startswith("le ") else f"de {article}"


def _elides(word: str) -> bool:
    return word[0] in "aeiouéèê"


def _agree(adjective: str, feminine: bool) -> str:
    return ADJECTIVES[adjective][feminine]


def to_french(event: Event) -> str:
    """The event as one French sentence."""
    match event:
        case Is(person, place):
            return f"{person} était {_in_the(place)}."
        case Lies(thing, place):
            return f"{_capital(the(thing))} était {_in_the(place)}."
        case Holds(person, thing):
            return f"{person} avait {the(thing)}."
        case DoorIs(place, colour):
            return f"La porte {_of_the(place)} était {_agree(colour, True)}."
        case Moves(person, place):
            return f"{person} est {'allée' if person in WOMEN else 'allé'} {_into_the(place)}."
        case Takes(person, thing):
            return f"{person} a pris {the(thing)}."
        case Drops(person, thing):
            return f"{person} a posé {the(thing)}."
        case Gives(person, thing, receiver):
            return f"{person} a donné {the(thing)} à {receiver}."
        case Paints(person, place, colour):
            return f"{person} a peint la porte {_of_the(place)} en {_agree(colour, False)}."
        case Feels(person, mood):
            return f"{person} était {_agree(mood, person in WOMEN)}."
        case Thanks(person, giver):
            return f"{person} a remercié {giver}."
    raise AssertionError(f"no French for {event}")


def _capital(text: str) -> str:
    return text[0].upper() + text[1:]
