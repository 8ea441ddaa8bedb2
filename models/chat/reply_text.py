"""The text of a reply: the white space around it belongs to the chat template, not to what was said."""

from __future__ import annotations


class ReplyStripper:
    """Strips the white space around a reply while it is written."""

    def __init__(self) -> None:
        self._has_begun = False
        self._held = ""

    def add(self, text: str) -> str:
        """What can be shown after more text: white space is held back until something follows it."""
        text = self._held + text
        self._held = ""
        if not self._has_begun:
            text = text.lstrip()
        shown = text.rstrip()
        if shown:
            self._has_begun = True
        if self._has_begun:
            self._held = text[len(shown) :]
        return shown
