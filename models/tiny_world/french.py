"""Events in French, with articles, contractions, elision and agreement."""

from __future__ import annotations

from collections.abc import Callable

from terrarium.models.tiny_world import events
from terrarium.models.tiny_world.inflection import Language
from terrarium.models.tiny_world.lexicon import WOMEN

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
    "dirty": ("sale", "sale"), "heavy": ("lourd", "lourde"), "new": ("neuf", "neuve"), "old": ("vieux", "vieille"),
    "small": ("petit", "petite"), "wet": ("mouillé", "mouillée"),
}  # fmt: skip
"""English adjective → (masculine, feminine)."""


def _the(noun: str) -> str:
    """Return the noun with its definite article: le, la, or l' before a vowel."""
    word, gender = NOUNS[noun]
    if _elides(word):
        return f"l'{word}"
    return f"{'le' if gender == 'm' else 'la'} {word}"


def _at_the(noun: str) -> str:
    """à + article: au, à la, à l'."""
    article = _the(noun)
    return f"au {article[3:]}" if article.startswith("le ") else f"à {article}"


def _in_the(place: str) -> str:
    """Return the phrase for where somebody is: dans le jardin, but au marché."""
    return _at_the(place) if place == "market" else f"dans {_the(place)}"


def _into_the(place: str) -> str:
    """Return the phrase for where somebody goes: au jardin, but dans la forêt."""
    return f"dans {_the(place)}" if place in ("forest", "meadow") else _at_the(place)


def _of_the(noun: str) -> str:
    """de + article: du, de la, de l'."""
    article = _the(noun)
    return f"du {article[3:]}" if article.startswith("le ") else f"de {article}"


def _elides(word: str) -> bool:
    return word[0].lower() in "aeiouéèê"


def _is_feminine(word: str) -> bool:
    """Return whether a noun is feminine, or a name a woman's."""
    return NOUNS[word][1] == "f" if word in NOUNS else word in WOMEN


def _agreeing(masculine: str) -> Callable[[str], str]:
    """Return a participle that agrees with a noun or name: donné, donnée."""
    return lambda word: f"{masculine}e" if _is_feminine(word) else masculine


def _agreeing_adjective(adjective_and_word: str) -> str:
    """ "white key" → blanche."""
    adjective, word = adjective_and_word.split()
    return ADJECTIVES[adjective][_is_feminine(word)]


def _that(name: str) -> str:
    """que + name: que Ben, qu'Anna."""
    return f"qu'{name}" if _elides(name) else f"que {name}"


FRENCH = Language(
    {
        events.Is: "{person} était {place:in}.",
        events.Lies: "{thing:the} était {place:in}.",
        events.Holds: "{person} avait {thing:the}.",
        events.DoorIs: "La porte {place:of} était {colour:feminine}.",
        events.Moves: ("{person} est allé {place:into}.", "{person} est allée {place:into}."),
        events.Takes: "{person} a pris {thing:the}.",
        events.Drops: "{person} a posé {thing:the}.",
        events.Gives: "{person} a donné {thing:the} à {receiver}.",
        events.Paints: "{person} a peint la porte {place:of} en {colour:masculine}.",
        events.Feels: ("{person} était {mood:masculine}.", "{person} était {mood:feminine}."),
        events.Thanks: "{person} a remercié {giver}.",
    },
    {
        "the": _the,
        "in": _in_the,
        "into": _into_the,
        "of": _of_the,
        "masculine": lambda adjective: ADJECTIVES[adjective][0],
        "feminine": lambda adjective: ADJECTIVES[adjective][1],
        "he": lambda word: "elle" if _is_feminine(word) else "il",
        "that": _that,
        "gone": _agreeing("allé"),
        "given": _agreeing("donné"),
        "taken": _agreeing("pris"),
        "found": _agreeing("trouvé"),
        "put down": _agreeing("posé"),
        "thanked": _agreeing("remercié"),
        "agreeing": _agreeing_adjective,
        "the agreeing": lambda pair: f"{_the(pair.split()[1])} {_agreeing_adjective(pair)}",
    },
)
