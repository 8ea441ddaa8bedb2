"""Events in Spanish, with articles, the contractions al and del, and agreement."""

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
"""English mood → how a man, and a woman, was in it."""


def to_spanish(event: Event) -> str:
    """The event as one Spanish sentence."""
    match event:
        case Is(person, place):
            return f"{person} estaba en {NOUNS[place]}."
        case Lies(thing, place):
            return f"{NOUNS[thing].capitalize()} estaba en {NOUNS[place]}."
        case Holds(person, thing):
            return f"{person} tenía {NOUNS[thing]}."
        case DoorIs(place, colour):
            return f"La puerta {_contract('de', place)} era {COLOURS[colour][1]}."
        case Moves(person, place):
            return f"{person} fue {_contract('a', place)}."
        case Takes(person, thing):
            return f"{person} tomó {NOUNS[thing]}."
        case Drops(person, thing):
            return f"{person} dejó {NOUNS[thing]}."
        case Gives(person, thing, receiver):
            return f"{person} le dio {NOUNS[thing]} a {receiver}."
        case Paints(person, place, colour):
            return f"{person} pintó la puerta {_contract('de', place)} de {COLOURS[colour][0]}."
        case Feels(person, mood):
            return f"{person} {MOODS[mood][person in WOMEN]}."
        case Thanks(person, giver):
            return f"{person} le dio las gracias a {giver}."
    raise AssertionError(f"no Spanish for {event}")


def _contract(preposition: str, noun: str) -> str:
    """Preposition and article: a + el = al, de + el = del."""
    return f"{preposition} {NOUNS[noun]}".replace("a el ", "al ").replace("de el ", "del ")
