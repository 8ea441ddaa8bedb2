"""The languages, other than English, that events of Tiny World can be told in."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from models.data.tiny_world.french import FRENCH
from models.data.tiny_world.german import GERMAN
from models.data.tiny_world.inflection import Language
from models.data.tiny_world.spanish import SPANISH

LANGUAGES: Mapping[str, Language] = MappingProxyType({"French": FRENCH, "German": GERMAN, "Spanish": SPANISH})
"""By their English names."""
