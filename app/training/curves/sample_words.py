"""A sample in two parts, what was asked and what was answered; and what is new in a text, as rich text."""

from __future__ import annotations

import difflib
import html
import re

from models.events import ARROW, SampleMade

_WORDS = re.compile(r"\s+|\w+|[^\w\s]")
_SPECIAL = re.compile(r"<\|(\w+)\|>")


def changes(old: str, new: str) -> list[tuple[str, bool]]:
    """`new` in parts, each with whether it differs from `old`; words are compared, so that no word is half new."""
    before, after = _WORDS.findall(old), _WORDS.findall(new)
    matcher = difflib.SequenceMatcher(None, before, after, autojunk=False)
    parts = [("".join(after[j:k]), kind != "equal") for kind, _, _, j, k in matcher.get_opcodes() if k > j]
    return [(part, is_new and not part.isspace()) for part, is_new in parts]


def with_changes_marked(old: str, new: str, colour: str) -> str:
    """`new` as rich text, where what differs from `old` has the ground `colour`."""
    return "".join(
        f'<span style="background-color:{colour}">{as_rich_text(part)}</span>' if is_new else as_rich_text(part)
        for part, is_new in changes(old, new)
    )


def as_rich_text(text: str) -> str:
    """A plain text as rich text; special tokens as in pills: ⟨end⟩."""
    return html.escape(_SPECIAL.sub(r"⟨\1⟩", text)).replace("\n", "<br>")


def parts(sample: SampleMade) -> tuple[str, str]:
    """What was asked, as the model read it where that is recorded (with its gaps), and its answer."""
    if not sample.text.startswith(ARROW):
        return sample.prompt, sample.text
    read, arrow, answer = sample.text.removeprefix(ARROW).partition(ARROW)
    return (read, answer) if arrow else (sample.prompt, read)
