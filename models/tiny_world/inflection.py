"""Sentences in inflected languages: one template for each kind of event, whose fields name a form of the word."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from string import Formatter

from terrarium.models.tiny_world.events import WorldEvent
from terrarium.models.tiny_world.lexicon import WOMEN


@dataclass(frozen=True)
class Language:
    """How a language narrates events: `sentences` are templates of an event's fields, `forms` the forms they name.

    "{place:into}" is the form "into" of the English name of the event's place; "{person}" is the name unchanged. A pair
    of templates is for a sentence that depends on whether its person is a man or a woman, in this order.
    """

    sentences: Mapping[type[WorldEvent], str | tuple[str, str]]
    forms: Mapping[str, Callable[[str], str]]

    def tell(self, event: WorldEvent) -> str:
        """Narrate an event as one sentence; AssertionError for a kind of event without a sentence."""
        assert type(event) in self.sentences, f"no sentence for {event}"
        words: dict[str, str] = vars(event)
        template = self.sentences[type(event)]
        if isinstance(template, tuple):
            template = template[words["person"] in WOMEN]
        return self.fill(template, words)

    def fill(self, template: str, words: Mapping[str, str]) -> str:
        """Fill a template with words, by field, and return it as a sentence."""
        sentence = ""
        for literal, field, form, _ in Formatter().parse(template):
            sentence += literal
            if field:
                sentence += self.forms[form](words[field]) if form else words[field]
        return sentence[0].upper() + sentence[1:]
