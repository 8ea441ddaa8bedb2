"""Splitting a sample into prompt and output, and highlighting changes between two texts as rich text."""

from __future__ import annotations

import html
import re

from terrarium.app.kit.text.word_difference import marked_words
from terrarium.models.events import ARROW, SampleMade

_SPECIAL = re.compile(r"<\|(\w+)\|>")


def changes(old: str, new: str) -> list[tuple[str, bool]]:
    """Split `new` into parts, each with whether it differs from `old`, word by word; white space never differs."""
    return [(part, is_new and not part.isspace()) for part, is_new in marked_words(new, old)]


def highlight_changes(old: str, new: str, colour: str) -> str:
    """Return `new` as rich text, with the background `colour` behind the parts that differ from `old`."""
    return "".join(
        f'<span style="background-color:{colour}">{as_rich_text(part)}</span>' if is_new else as_rich_text(part)
        for part, is_new in changes(old, new)
    )


def as_rich_text(text: str) -> str:
    """Convert plain text to rich text; special tokens are written ⟨end⟩, as in token pills."""
    return html.escape(_SPECIAL.sub(r"⟨\1⟩", text)).replace("\n", "<br>")


def prompt_and_output(sample: SampleMade) -> tuple[str, str]:
    """Return the prompt (if recorded, as the model read it, with gaps) and the output."""
    if not sample.text.startswith(ARROW):
        return sample.prompt, sample.text
    read, arrow, answer = sample.text.removeprefix(ARROW).partition(ARROW)
    return (read, answer) if arrow else (sample.prompt, read)
