"""The preference sets of the library, and the current one, which receives new pairs and thumbs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, Signal, Slot

from terrarium.app.session.remembered import Remembered
from terrarium.app.session.shelf import Shelf
from terrarium.app.session.trash import Trash
from terrarium.app.session.undo import Step
from terrarium.app.worker.notices import Notices
from terrarium.models.library.library import Library
from terrarium.models.number_words import format_count

if TYPE_CHECKING:
    from terrarium.models.preferences.store import Pair, PreferenceSet, Thumb

DEFAULT_NAME = "My preferences"
_CURRENT = "preference set"


class PreferenceSets(QObject):
    """Reads and extends the current set; problems are reported as notices.

    name: the current set, which may still be empty. pairs, thumbs: its preference pairs and its rated replies, the
    oldest first.

    Signals:
        changed(): another set is current, or its pairs or thumbs have changed.
    """

    changed = Signal()

    def __init__(
        self, library: Library, remembered: Remembered, trash: Trash, notices: Notices, parent: QObject
    ) -> None:
        super().__init__(parent)
        self._library, self._remembered, self._notices = library, remembered, notices
        self._shelf = Shelf("preference set", trash, self, rename=self._rename)
        self._shelf.renamed.connect(self._on_renamed)
        self._shelf.deleted.connect(self._on_deleted)
        self._shelf.restored.connect(self._on_restored)
        self.name = remembered.get(_CURRENT, DEFAULT_NAME)
        self._pairs: tuple[Pair, ...] | None = None
        self._thumbs: tuple[Thumb, ...] | None = None
        self._n_damaged = 0  # damaged lines already reported

    @property
    def pairs(self) -> tuple[Pair, ...]:
        """The pairs of the current set, read on first use."""
        if self._pairs is None:
            self._pairs = ()
            self._notices.attempt(self._read)
        return self._pairs

    @property
    def thumbs(self) -> tuple[Thumb, ...]:
        """The thumbs of the current set, read on first use."""
        if self._thumbs is None:
            self._thumbs = ()
            self._notices.attempt(self._read_thumbs)
        return self._thumbs

    def thumb_of(self, message_id: str) -> Thumb | None:
        """Return the latest thumb of a reply, or None."""
        return next((thumb for thumb in reversed(self.thumbs) if thumb.message == message_id), None)

    def names(self) -> list[str]:
        """Return the names of the library's sets, the current set and the default set, sorted."""
        from terrarium.models.preferences.store import list_sets

        return sorted({*list_sets(self._library), self.name, DEFAULT_NAME}, key=str.casefold)

    def choose(self, name: str) -> bool:
        """Make a set the current one; its folder is created with its first entry. Returns whether the name is valid."""
        return self._notices.attempt(lambda: self._choose(name))

    def is_stored(self) -> bool:
        """Return whether the current set is on disk: its folder is created with its first pair or thumb."""
        return self.current().folder.is_dir()

    def rename(self, new_name: str) -> None:
        """Rename the current set, as a step that can be undone."""
        self._shelf.rename(self.name, new_name)

    def delete(self) -> None:
        """Move the current set to the trash, as a step that can be undone; another set becomes current."""
        if self.is_stored():
            self._shelf.delete(self.name)

    def refresh(self) -> None:
        """Read the current set again, as other windows may add to it."""
        before = self._pairs, self._thumbs
        is_read = self._notices.attempt(self._read)
        if self._thumbs is not None:
            self._notices.attempt(self._read_thumbs)
        if is_read and (self._pairs, self._thumbs) != before:
            self.changed.emit()

    def current(self) -> PreferenceSet:
        """Return the current set."""
        return self._stored(self.name)

    def _stored(self, name: str) -> PreferenceSet:
        from terrarium.models.preferences.store import PreferenceSet

        return PreferenceSet(self._library, name)

    def add(
        self,
        pairs: Sequence[Pair],
        words: str,
        on_undone: Callable[[], object] | None = None,
        on_redone: Callable[[], object] | None = None,
    ) -> Step | None:
        """Add pairs to the current set; return the undo step, or None on failure.

        words: the text of the step, shown after “Undo”. on_undone, on_redone: called after a successful undo or redo.
        """

        def add(name: str) -> bool:
            return self._notices.attempt(lambda: self._extend(self._stored(name), pairs))

        def undo(name: str) -> bool:
            is_done = self._notices.attempt(lambda: self._take_back(self._stored(name), pairs))
            if is_done and on_undone is not None:
                on_undone()
            return is_done

        def redo(name: str) -> bool:
            is_done = add(name)
            if is_done and on_redone is not None:
                on_redone()
            return is_done

        return self._shelf.add_step(self.name, words, undo, redo) if add(self.name) else None

    def rate(self, thumb: Thumb) -> None:
        """Add a thumb to the current set, replacing an earlier one of that reply; the same thumb again removes it."""
        before = self.thumb_of(thumb.message)
        gone = () if before is None else (before,)
        new = () if before is not None and before.is_good == thumb.is_good else (thumb,)

        def change(name: str, removed: Sequence[Thumb], added: Sequence[Thumb]) -> bool:
            return self._notices.attempt(lambda: self._change_thumbs(self._stored(name), removed, added))

        if change(self.name, gone, new):
            words = "removal of a thumb" if not new else f"thumb {'up' if thumb.is_good else 'down'}"
            undo, redo = partial(change, removed=new, added=gone), partial(change, removed=gone, added=new)
            self._shelf.add_step(self.name, words, undo, redo)

    def add_simulated(self, pairs: Sequence[Pair]) -> bool:
        """Add pairs of the simulated annotator, without an undo step; return whether it succeeded."""
        collected = self.current()
        return self._notices.attempt(lambda: self._extend(collected, pairs))

    def _choose(self, name: str) -> None:
        from terrarium.models.preferences.store import PreferenceSet

        self.name, self._pairs, self._n_damaged = PreferenceSet(self._library, name).name, None, 0
        self._thumbs = None
        self._remembered.set(_CURRENT, self.name)
        self.changed.emit()

    def _rename(self, name: str, new_name: str) -> str:
        from terrarium.models.preferences.store import rename_set

        return rename_set(self._library, name, new_name)

    @Slot(str, str)
    def _on_renamed(self, name: str, new_name: str) -> None:
        if name == self.name:
            self._choose(new_name)
        else:
            self.changed.emit()  # the names have changed

    @Slot()
    def _on_deleted(self) -> None:
        from terrarium.models.preferences.store import list_sets

        if not self.is_stored():
            self._choose(next(iter(list_sets(self._library)), DEFAULT_NAME))

    @Slot()
    def _on_restored(self) -> None:
        self._choose(self.name)  # its pairs may have changed, and the list of names has

    def _read(self) -> None:
        stored = self.current().read()
        self._pairs = stored.pairs
        self._report_damage(stored.n_damaged)

    def _read_thumbs(self) -> None:
        stored = self.current().read_thumbs()
        self._thumbs = stored.thumbs
        self._report_damage(stored.n_damaged)

    def _report_damage(self, n_damaged: int) -> None:
        if n_damaged > self._n_damaged:
            self._n_damaged = n_damaged
            skipped = format_count(n_damaged, "damaged line")
            self._notices.say(f"Skipped {skipped} of “{self.name}”; its file is kept.")

    def _extend(self, collected: PreferenceSet, pairs: Sequence[Pair]) -> None:
        known = self._pairs_of(collected)
        collected.add(pairs)
        self._set_pairs(collected, (*known, *pairs))

    def _take_back(self, collected: PreferenceSet, pairs: Sequence[Pair]) -> None:
        known, gone = self._pairs_of(collected), {pair.id for pair in pairs}
        if not collected.retract(gone):
            raise ValueError(_gone(collected.name))
        self._set_pairs(collected, tuple(pair for pair in known if pair.id not in gone))

    def _change_thumbs(self, collected: PreferenceSet, removed: Sequence[Thumb], added: Sequence[Thumb]) -> None:
        is_current = collected.name == self.name
        known, gone = self.thumbs if is_current else (), {thumb.id for thumb in removed}
        if gone and not collected.retract_thumbs(gone):
            raise ValueError(_gone(collected.name))
        if added:
            collected.add_thumbs(added)
        if is_current:
            self._thumbs = (*(thumb for thumb in known if thumb.id not in gone), *added)
            self.changed.emit()

    def _pairs_of(self, collected: PreferenceSet) -> tuple[Pair, ...]:
        """Return the cached pairs of the current set, so that it is not reread for each choice; () for another set."""
        return self.pairs if collected.name == self.name else ()

    def _set_pairs(self, collected: PreferenceSet, pairs: tuple[Pair, ...]) -> None:
        if collected.name == self.name:
            self._pairs = pairs
            self.changed.emit()


def _gone(name: str) -> str:
    return f"Nothing was undone: it is no longer in “{name}”, which was renamed or deleted."
