"""What a session says, noted for the tests of it."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

from PySide6.QtGui import QAction
from PySide6.QtWidgets import QMenu

from terrarium.app.session.session import Session
from terrarium.models.events import Event
from terrarium.models.settings.run_spec import RunSpec

Until = Callable[[Callable[[], bool]], None]
Told = list[tuple[str, bool]]
"""What a screen reader is told: a sentence, and whether it is urgent."""


class Heard:
    """What a session said."""

    def __init__(self, session: Session) -> None:
        self.failures: list[str] = []
        self.notices: list[str] = []
        self.deleted: list[Callable[[], None]] = []
        """What brings back what was deleted."""
        self.statuses: list[str] = []
        self.events: list[Event] = []
        self.chat: list[Event] = []
        session.notices.failed.connect(lambda sentence, details: self.failures.append(sentence))
        session.notices.notified.connect(self.notices.append)
        session.notices.deleted.connect(lambda sentence, undo: self.deleted.append(undo))
        session.training.events_received.connect(self.events.extend)
        session.chat.events_received.connect(self.chat.extend)

        def note_status() -> None:
            status = session.training.state.status if session.training.state is not None else ""
            if not self.statuses or self.statuses[-1] != status:
                self.statuses.append(status)

        session.training.changed.connect(note_status)


def entries_of(menu: QMenu | None) -> dict[str, QAction]:
    """The entries of a run's menu by their words, with those of its submenus, as they are when it is opened."""
    assert menu is not None
    menu.aboutToShow.emit()
    found: dict[str, QAction] = {}
    for action in menu.actions():
        submenu = action.menu()
        if isinstance(submenu, QMenu):
            found |= {each.text(): each for each in submenu.actions()}
        elif action.text():
            found[action.text()] = action
    return found


def long(spec: RunSpec) -> RunSpec:
    """The same run, but one that does not end by itself."""
    return dataclasses.replace(spec, train=dataclasses.replace(spec.train, steps=1_000_000, checkpoint_interval=1000))
