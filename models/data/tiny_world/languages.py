"""The languages, other than English, that events of Tiny World can be told in."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

from models.data.tiny_world.events import Event
from models.data.tiny_world.french import to_french
from models.data.tiny_world.german import to_german
from models.data.tiny_world.spanish import to_spanish

LANGUAGES: Mapping[str, Callable[[Event], str]] = MappingProxyType(
    {"French": to_french, "German": to_german, "Spanish": to_spanish}
)
"""English name of the language → the event as one sentence in it."""
