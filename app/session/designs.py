"""The designs of the library, and the current one."""

from __future__ import annotations

import builtins
import itertools
from collections.abc import Sequence
from pathlib import Path

from PySide6.QtCore import QObject, Signal, Slot

from terrarium.app.session.remembered import Remembered
from terrarium.app.session.shelf import Shelf
from terrarium.app.session.trash import Trash
from terrarium.app.worker.notices import Notices
from terrarium.models.library.library import DesignInfo, Library, safe_name
from terrarium.models.settings.design_files import read_design, write_design
from terrarium.models.settings.model_config import ModelConfig
from terrarium.models.settings.presets import PRESETS

DEFAULT_DESIGN = "terrarium-tiny"


class Designs(QObject):
    """Choose, save, rename, copy and delete designs; problems are reported as notices.

    current: the current architecture. name: the name of its preset or saved design; '' if it was edited since.

    Signals:
        changed(): `current` or `name` has changed.
        list_changed(): designs were added, removed or renamed.
        renamed(name, new_name): a saved design was renamed.
    """

    changed = Signal()
    list_changed = Signal()
    renamed = Signal(str, str)

    def __init__(
        self, library: Library, remembered: Remembered, trash: Trash, notices: Notices, parent: QObject
    ) -> None:
        super().__init__(parent)
        self._library, self._remembered, self._notices = library, remembered, notices
        self._shelf = Shelf("design", trash, self, rename=self._rename)
        self._shelf.renamed.connect(self._on_renamed)
        self._shelf.deleted.connect(self._on_deleted)
        self._shelf.changed.connect(self.list_changed)
        saved = remembered.get("design", {})
        try:
            self.current, self.name = ModelConfig.from_dict(saved["config"]), str(saved["name"])
        except (KeyError, ValueError):
            self.current, self.name = PRESETS[DEFAULT_DESIGN], DEFAULT_DESIGN

    def set(self, config: ModelConfig, name: str = "") -> None:
        """Make `config` the current design."""
        if (config, name) == (self.current, self.name):
            return
        self.current, self.name = config, name
        self._remembered.set("design", {"name": name, "config": config.to_dict()})
        self.changed.emit()

    def list(self) -> builtins.list[str]:
        """Return the names of the saved designs, without the presets (models.settings.presets.PRESETS)."""
        return self._library.list_designs()

    def inspect(self) -> builtins.list[DesignInfo]:
        """Return the saved designs, each with its contents or the reason why it cannot be read."""
        return self._library.inspect_designs()

    def free_name(self, wanted: str) -> str:
        """Turn `wanted` into a safe and unused name, numbered if necessary."""
        taken = {name.lower() for name in (*PRESETS, *self.list())}
        try:
            wanted = safe_name(wanted)
        except ValueError:
            wanted = self._library.free_name(self._library.designs, wanted, suffix=".json", taken=PRESETS)
        names = (wanted if n == 1 else f"{wanted}-{n}" for n in itertools.count(1))
        return next(name for name in names if name.lower() not in taken)

    def save(self, name: str) -> bool:
        """Save the current design under a name; return whether it succeeded."""
        if not self._notices.attempt(lambda: self._library.save_design(name, self.current)):
            return False
        self.set(self.current, safe_name(name))
        self.list_changed.emit()
        return True

    def choose(self, name: str) -> bool:
        """Make a preset or a saved design the current one; return whether it succeeded."""
        if name in PRESETS:
            self.set(PRESETS[name], name)
            return True
        return self._notices.attempt(lambda: self.set(self._library.load_design(name), name))

    def rename(self, name: str, new_name: str) -> bool:
        """Rename a saved design, as a step that can be undone; return whether it succeeded."""
        return self._shelf.rename(name, new_name)

    def _rename(self, name: str, new_name: str) -> str:
        if new_name.strip().lower() in PRESETS:
            raise ValueError(f"There is a preset called {new_name.strip()!r} already: choose another name.")
        return self._library.rename_design(name, new_name)

    @Slot(str, str)
    def _on_renamed(self, name: str, new_name: str) -> None:
        if self.name == name:
            self.set(self.current, new_name)
        self.renamed.emit(name, new_name)

    def duplicate(self, name: str) -> bool:
        """Save a copy of a preset or saved design under an unused name, and make the copy the current design."""

        def duplicate() -> None:
            config = PRESETS.get(name) or self._library.load_design(name)
            copy = self.free_name(name)
            self._library.save_design(copy, config)
            self.set(config, copy)

        done = self._notices.attempt(duplicate)
        self.list_changed.emit()
        return done

    def delete(self, name: str) -> None:
        """Move a saved design to the trash. If it is the current one, `current` stays and `name` becomes ''."""
        self._shelf.delete(name)

    @Slot(object)
    def _on_deleted(self, names: Sequence[str]) -> None:
        if self.name in names:
            self.set(self.current)

    def import_file(self, path: Path) -> bool:
        """Save the design of a JSON file under the file's name and make it current; return whether it succeeded."""

        def take() -> None:
            config = read_design(path)
            name = self.free_name(path.stem)
            self._library.save_design(name, config)
            self.set(config, name)

        done = self._notices.attempt(take)
        if done:
            self.list_changed.emit()
        return done

    def export(self, path: Path) -> bool:
        """Write the current design to a JSON file; return whether it succeeded."""
        return self._notices.attempt(lambda: write_design(path, self.current))
