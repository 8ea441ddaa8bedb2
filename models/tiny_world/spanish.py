"""Events in Spanish, with articles, the contractions al and del, and agreement."""

from __future__ import annotations

from terrarium.models.tiny_world import events
from terrarium.models.tiny_world.inflection import Language
from terrarium.models.tiny_world.lexicon import WOMEN

NOUNS: dict[str, str] = {
    "attic": "el desván", "bakery": "la panadería", "barn": "el granero", "castle": "el castillo",
    "cave": "la cueva", "cellar": "el sótano", "forest": "el bosque", "garden": "el jardín", "hall": "el salón",
    "kitchen": "la cocina", "library": "la biblioteca", "market": "el mercado", "meadow": "el prado",
    "mill": "el molino", "orchard": "el huerto", "park": "el parque", "school": "la escuela",
    "shed": "el cobertizo", "stable": "el establo", "tower": "la torre",
    "ball": "la pelota", "basket": "la cesta", "bell": "la campana", "book": "el libro", "bottle": "la botella",
    "candle": "la vela", "coin": "la moneda", "cup": "la taza", "doll": "la muñeca", "drum": "el tambor",
    "flute": "la flauta", "hammer": "el martillo", "hat": "el sombrero", "key": "la llave", "kite": "la cometa",
    "lamp": "la lámpara", "map": "el mapa", "rope": "la cuerda", "shell": "la caracola", "spoon": "la cuchara",
}  # fmt: skip
"""English noun → Spanish noun with its article."""
COLOURS: dict[str, tuple[str, str]] = {
    "black": ("negro", "negra"), "blue": ("azul", "azul"), "brown": ("marrón", "marrón"),
    "green": ("verde", "verde"), "grey": ("gris", "gris"), "orange": ("naranja", "naranja"),
    "pink": ("rosa", "rosa"), "purple": ("morado", "morada"), "red": ("rojo", "roja"),
    "white": ("blanco", "blanca"), "yellow": ("amarillo", "amarilla"),
}  # fmt: skip
"""English colour → (masculine, feminine)."""
MOODS: dict[str, tuple[str, str]] = {
    "angry": ("estaba enfadado", "estaba enfadada"), "brave": ("se sentía valiente", "se sentía valiente"),
    "happy": ("estaba contento", "estaba contenta"), "hungry": ("tenía hambre", "tenía hambre"),
    "proud": ("estaba orgulloso", "estaba orgullosa"), "sad": ("estaba triste", "estaba triste"),
    "scared": ("tenía miedo", "tenía miedo"), "sleepy": ("tenía sueño", "tenía sueño"),
    "thirsty": ("tenía sed", "tenía sed"), "tired": ("estaba cansado", "estaba cansada"),
}  # fmt: skip
"""English mood → predicate for a man, and for a woman."""
QUALITIES: dict[str, tuple[str, str]] = {
    "dirty": ("estaba sucio", "estaba sucia"), "heavy": ("era pesado", "era pesada"),
    "new": ("era nuevo", "era nueva"), "old": ("era viejo", "era vieja"), "small": ("era pequeño", "era pequeña"),
    "wet": ("estaba mojado", "estaba mojada"),
}  # fmt: skip
"""English adjective → predicate for a thing, masculine and feminine."""


def _contract(preposition: str, noun: str) -> str:
    """Preposition and article: a + el = al, de + el = del."""
    return f"{preposition} {NOUNS[noun]}".replace("a el ", "al ").replace("de el ", "del ")


def _is_feminine(word: str) -> bool:
    """Return whether a noun is feminine, or a name a woman's."""
    return NOUNS[word].startswith("la ") if word in NOUNS else word in WOMEN


def _was(adjective_and_word: str) -> str:
    """ "red key" → era roja; "sad Anna" → estaba triste."""
    adjective, word = adjective_and_word.split()
    if adjective in COLOURS:
        return f"era {COLOURS[adjective][_is_feminine(word)]}"
    return {**MOODS, **QUALITIES}[adjective][_is_feminine(word)]


def _described(colour_and_thing: str) -> str:
    """ "red key" → la llave roja."""
    colour, thing = colour_and_thing.split()
    return f"{NOUNS[thing]} {COLOURS[colour][_is_feminine(thing)]}"


SPANISH = Language(
    {
        events.Is: "{person} estaba en {place:the}.",
        events.Lies: "{thing:the} estaba en {place:the}.",
        events.Holds: "{person} tenía {thing:the}.",
        events.DoorIs: "La puerta {place:of} era {colour:feminine}.",
        events.Moves: "{person} fue {place:to}.",
        events.Takes: "{person} tomó {thing:the}.",
        events.Drops: "{person} dejó {thing:the}.",
        events.Gives: "{person} le dio {thing:the} a {receiver}.",
        events.Paints: "{person} pintó la puerta {place:of} de {colour:masculine}.",
        events.Feels: ("{person} {mood:he was}.", "{person} {mood:she was}."),
        events.Thanks: "{person} le dio las gracias a {giver}.",
    },
    {
        "the": lambda noun: NOUNS[noun],
        "to": lambda noun: _contract("a", noun),
        "of": lambda noun: _contract("de", noun),
        "masculine": lambda colour: COLOURS[colour][0],
        "feminine": lambda colour: COLOURS[colour][1],
        "he was": lambda mood: MOODS[mood][0],
        "she was": lambda mood: MOODS[mood][1],
        "he": lambda name: "ella" if _is_feminine(name) else "él",
        "him": lambda thing: "la" if _is_feminine(thing) else "lo",
        "and": lambda name: f"{'e' if name.startswith('I') else 'y'} {name}",
        "was": _was,
        "described": _described,
    },
)
