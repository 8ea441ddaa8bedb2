"""The sets of judged pairs, and the one that new pairs go to."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, Signal

from app.session.remembered import Remembered
from app.session.undo import Step, Undo
from app.worker.notices import Notices
from models.library.library import Library
from models.number_words import format_count

if TYPE_CHECKING:
    from models.data.preferences.store import Pair, PreferenceSet

DEFAULT_NAME = "My preferences"
_CURRENT = "preference set"


class PreferenceSets(QObject):
    """Reads and extends the current set; problems are reported as notices.

    name: of the current set, which may have no pair yet. pairs: its pairs, the oldest first.

    Signals:
        changed(): another set is current, or it has other pairs.
        judging_requested(first, second): replies of two Candidates are to be judged on the Compare page of the chat
            tab, which is shown already; those of one model, where both are the same.
    """

    changed = Signal()
    judging_requested = Signal(object, object)

    def __init__(self, library: Library, remembered: Remembered, notices: Notices, undo: Undo, parent: QObject) -> None:
        super().__init__(parent)
        self._library, self._remembered, self._notices, self._undo = library, remembered, notices, undo
        self.name = remembered.get(_CURRENT, DEFAULT_NAME)
        self._pairs: tuple[Pair, ...] | None = None
        self._n_damaged = 0  # lines that were reported

    @property
    def pairs(self) -> tuple[Pair, ...]:
        """Those of the current set; read when they are first asked for."""
        if self._pairs is None:
            self._pairs = ()
            self._notices.attempt(self._read)
        return self._pairs

    def names(self) -> list[str]:
        """The sets of the library, the current one, and the usual one."""
        from models.data.preferences.store import list_sets

        return sorted({*list_sets(self._library), self.name, DEFAULT_NAME}, key=str.casefold)

    def choose(self, name: str) -> bool:
        """Make a set the current one; it is made with its first pair. Returns whether its name can be one."""
        return self._notices.attempt(lambda: self._choose(name))

    def refresh(self) -> None:
        """Read the current set again: other windows add to it, too."""
        before = self._pairs
        if self._notices.attempt(self._read) and self._pairs != before:
            self.changed.emit()

    def current(self) -> PreferenceSet:
        """The current set."""
        from models.data.preferences.store import PreferenceSet

        return PreferenceSet(self._library, self.name)

    def add(
        self,
        pairs: Sequence[Pair],
        words: str,
        on_undone: Callable[[], object] | None = None,
        on_redone: Callable[[], object] | None = None,
    ) -> Step | None:
        """Add pairs to the current set, as a step that can be undone, which is returned; None where that failed.

        words: what was done, after “Undo”. on_undone, on_redone: called after each.
        """
        collected = self.current()

        def add() -> bool:
            return self._notices.attempt(lambda: self._extend(collected, pairs))

        def undo() -> bool:
            is_done = self._notices.attempt(lambda: self._take_back(collected, pairs))
            if is_done and on_undone is not None:
                on_undone()
            return is_done

        def redo() -> bool:
            is_done = add()
            if is_done and on_redone is not None:
                on_redone()
            return is_done

        if not add():
            return None
        step = Step(words, undo, redo)
        self._undo.add("chat", step)
        return step

    def add_simulated(self, pairs: Sequence[Pair]) -> bool:
        """Add pairs of the simulated annotator, which no step undoes; whether that succeeded."""
        collected = self.current()
        return self._notices.attempt(lambda: self._extend(collected, pairs))

    def _choose(self, name: str) -> None:
        from models.data.preferences.store import PreferenceSet

        self.name, self._pairs, self._n_damaged = PreferenceSet(self._library, name).name, None, 0
        self._remembered.set(_CURRENT, self.name)
        self.changed.emit()

    def _read(self) -> None:
        stored = self.current().read()
        self._pairs = stored.pairs
        if stored.n_damaged > self._n_damaged:
            self._n_damaged = stored.n_damaged
            skipped = format_count(stored.n_damaged, "damaged line")
            self._notices.say(f"Skipped {skipped} of “{self.name}”; its file is kept.")

    def _extend(self, collected: PreferenceSet, pairs: Sequence[Pair]) -> None:
        known = self._pairs_of(collected)
        collected.add(pairs)
        self._set_pairs(collected, (*known, *pairs))

    def _take_back(self, collected: PreferenceSet, pairs: Sequence[Pair]) -> None:
        known, gone = self._pairs_of(collected), {pair.id for pair in pairs}
        collected.retract(gone)
        self._set_pairs(collected, tuple(pair for pair in known if pair.id not in gone))

    def _pairs_of(self, collected: PreferenceSet) -> tuple[Pair, ...]:
        """What is known of a set, which is not read again for each choice; () if it is not the current one."""
        return self.pairs if collected.name == self.name else ()

    def _set_pairs(self, collected: PreferenceSet, pairs: tuple[Pair, ...]) -> None:
        if collected.name == self.name:
            self._pairs = pairs
            self.changed.emit()
