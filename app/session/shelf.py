"""The things of one kind in the library: renamed, changed and deleted, each as a step that can be undone."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from PySide6.QtCore import QObject, Signal, Slot

from terrarium.app.session.trash import STACKS, Trash
from terrarium.app.session.undo import Step


@dataclass(eq=False)
class _Thing:
    """What undo steps hold: it stays the same while its key changes. key: "" while it is in the trash."""

    key: str


class Shelf(QObject):
    """The things of a kind, each a file or folder named by its key; problems are reported as notices.

    Args:
        kind: a key of STACKS in session/trash.py.
        rename: renames the thing with a key, and returns its new key. Raises ValueError or OSError.
        prepare: called before a thing is moved to the trash; returns whether it may be moved, and reports why not.

    Signals:
        renamed(key, new_key): a thing was renamed; its key may be the same.
        deleted(keys): these things were moved to the trash.
        restored(): things came back from the trash, perhaps under other keys.
        changed(): one of these has happened or was tried in vain; emitted last.
    """

    renamed = Signal(str, str)
    deleted = Signal(object)
    restored = Signal()
    changed = Signal()

    def __init__(
        self,
        kind: str,
        trash: Trash,
        parent: QObject,
        *,
        rename: Callable[[str, str], str] | None = None,
        prepare: Callable[[str], bool] = lambda key: True,
    ) -> None:
        super().__init__(parent)
        self._kind, self._trash, self._rename_stored, self._prepare = kind, trash, rename, prepare
        self._things: dict[str, _Thing] = {}  # by key; those that a step may hold
        self._in_trash: dict[str, _Thing] = {}  # by token
        trash.restored.connect(self._on_restored)

    def add_step(self, key: str, words: str, undo: Callable[[str], object], redo: Callable[[str], object]) -> Step:
        """Add a step about a thing to its kind's undo stack; it is dropped in silence while the thing is in the trash.

        undo, redo: see `Step`; called with the key that the thing has then.
        """
        thing = self._thing(key)
        step = Step(words, lambda: thing.key != "" and undo(thing.key), lambda: thing.key != "" and redo(thing.key))
        self._trash.undo.add(STACKS[self._kind], step)
        return step

    def rename(self, key: str, name: str, before: str = "") -> bool:
        """Rename a thing, as a step that can be undone; return whether it succeeded. before: its name, if not `key`."""
        before, after = before or key, self._rename(key, name)
        if after and name.strip() != before:
            words = f"renaming of {self._kind} “{before}”"
            self.add_step(
                after, words, lambda key: self._rename(key, before) != "", lambda key: self._rename(key, name) != ""
            )
        return after != ""

    def _rename(self, key: str, name: str) -> str:
        """Rename a thing; return its new key, or "" on failure."""
        assert self._rename_stored is not None
        rename, after = self._rename_stored, ""

        def attempt() -> None:
            nonlocal after
            after = rename(key, name)

        self._trash.notices.attempt(attempt)
        if after:
            self._move(self._things.pop(key, None), after)
            self.renamed.emit(key, after)
        self.changed.emit()
        return after

    def delete(self, *keys: str, names: Mapping[str, str] = MappingProxyType({})) -> None:
        """Move things to the trash, as one step that can be undone; one that cannot be moved stays.

        names: by key, those that differ from the keys; "" for a thing without a name.
        """
        named = {self._thing(key): names.get(key, key) for key in keys}
        moved = self._delete(keys)
        what = f"{len(moved):,} {self._kind}s"
        if len(moved) == 1:
            [thing] = moved.values()
            what = f"{self._kind} “{named[thing]}”" if named[thing] else self._kind
        self._trash.offer_undo(
            self._kind, what, [*moved], lambda: [*self._delete([thing.key for thing in moved.values() if thing.key])]
        )

    def _delete(self, keys: Sequence[str]) -> dict[str, _Thing]:
        """Move things to the trash; return them by token."""
        moved = {
            token: self._thing(key) for key in keys if self._prepare(key) for token in self._trash.move(self._kind, key)
        }
        gone = [thing.key for thing in moved.values()]
        self._in_trash |= moved
        for thing in moved.values():
            self._things.pop(thing.key)
            thing.key = ""
        if gone:
            self.deleted.emit(tuple(gone))
        self.changed.emit()
        return moved

    @Slot(str, object)
    def _on_restored(self, kind: str, keys: Mapping[str, str]) -> None:
        if kind == self._kind:
            for token, key in keys.items():
                self._move(self._in_trash.pop(token, None), key)
            self.restored.emit()
            self.changed.emit()

    def _thing(self, key: str) -> _Thing:
        return self._things.setdefault(key, _Thing(key))

    def _move(self, thing: _Thing | None, key: str) -> None:
        if thing is not None:
            thing.key, self._things[key] = key, thing
