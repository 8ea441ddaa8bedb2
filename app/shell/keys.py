"""The list of keyboard shortcuts: those of the menus, read from the menus, and the others, listed here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from PySide6.QtGui import QAction, QKeySequence
from PySide6.QtWidgets import QMenu, QMenuBar

KEYS = "Keys:"
"""The prefix of the headings of keyboard shortcuts in the preferences: a search for it lists the shortcuts only."""

_Standard = QKeySequence.StandardKey


@dataclass(frozen=True)
class KeyRow:
    """A shortcut: `keys` in the platform's notation, and `what` they do."""

    keys: str
    what: str


_PAGES: tuple[tuple[str, tuple[tuple[str | QKeySequence.StandardKey, str], ...]], ...] = (
    (
        "Lists of tokenizers, datasets, designs, runs and chats",
        (
            ("F2", "Rename"),
            ("Ctrl+D", "Duplicate"),
            (_Standard.Delete, "Delete, with undo"),
            ("Shift+F10", "Open the menu of the chosen row, as the Menu key does"),
        ),
    ),
    (
        "Vocabulary of a tokenizer",
        (
            (_Standard.Find, "Search"),
            ("Down", "From the search to the table"),
            ("Esc", "Clear the search"),
            (_Standard.Copy, "Copy a token's text"),
            ("Ctrl+Shift+C", "Copy a token's id"),
            ("Ctrl+Return", "Sort by the current column"),
        ),
    ),
    (
        "Builder",
        (
            (_Standard.Save, "Save the design"),
            (_Standard.SaveAs, "Save its code"),
            (_Standard.Copy, "Compare: copy the table"),
            (_Standard.Delete, "Compare: remove a design"),
        ),
    ),
    (
        "Training",
        (
            ("Alt+Up", "Queue: move a run up"),
            ("Alt+Down", "Queue: move a run down"),
            ("Space", "Time machine: play or pause"),
            ("Left", "Charts and time machine: one back"),
            ("Right", "Charts and time machine: one on"),
            ("+", "Charts: zoom in"),
            ("-", "Charts: zoom out"),
            ("Esc", "Charts: show everything"),
            (_Standard.Copy, "Differences: copy the table"),
        ),
    ),
    (
        "Chat",
        (
            (_Standard.New, "New chat"),
            (_Standard.Find, "Search the chats"),
            ("Return", "Send"),
            ("Shift+Return", "New line"),
            ("Up", "In an empty field: edit your last message"),
            ("Ctrl+R", "Another reply to the last message"),
            ("Alt+Left", "Show the earlier reply"),
            ("Alt+Right", "Show the later reply"),
            ("Esc", "Stop the reply, or stop editing"),
            ("Ctrl+Return", "Notebook, Text to text: write"),
            ("Left", "Judge replies: the left reply is better; Right likewise"),
            ("Down", "Judge replies: both are about equal; Up: both are bad"),
            ("S", "Judge replies: skip; U: undo; E: edit the better one"),
            ("Space", "Judge replies: mark the words in which they differ"),
            ("Ctrl+M", "Fill masks: insert a mask"),
        ),
    ),
    (
        "Figures and tokens",
        (
            ("Left", "Move to the left; Right, Up and Down likewise"),
            ("Return", "Choose"),
            ("Esc", "Let go"),
        ),
    ),
)
"""Group -> keys and their action."""


def key_groups(bar: QMenuBar) -> list[tuple[str, Sequence[KeyRow]]]:
    """Return all shortcuts by group, those of the menus first."""
    groups: list[tuple[str, Sequence[KeyRow]]] = []
    for top in bar.actions():
        menu = top.menu()
        if isinstance(menu, QMenu):
            rows = [
                KeyRow(_native(action.shortcut()), plain(action.text()))
                for action in _actions(menu)
                if not action.shortcut().isEmpty()
            ]
            if rows:
                groups.append((f"{plain(top.text())} menu", rows))
    for title, keys in _PAGES:
        groups.append((title, [KeyRow(_native(QKeySequence(key)), what) for key, what in keys]))
    return groups


def plain(text: str) -> str:
    """Return a menu text without the ampersands of its access keys."""
    return text.replace("&&", "\0").replace("&", "").replace("\0", "&")


def _actions(menu: QMenu) -> list[QAction]:
    found: list[QAction] = []
    for action in menu.actions():
        within = action.menu()
        found += _actions(within) if isinstance(within, QMenu) else [action]
    return found


def _native(keys: QKeySequence) -> str:
    return keys.toString(QKeySequence.SequenceFormat.NativeText)
