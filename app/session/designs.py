"""What is on the library's shelves, and what of it is chosen: tokenizer, design, settings. No thread is needed here."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QObject, Signal

from app.session.remembered import Remembered
from app.session.trash import Trash
from app.worker.notices import Notices
from models.library.library import DesignInfo, Library, TokenizerInfo, safe_name
from models.settings.design_files import read_design, write_design
from models.settings.model_config import ModelConfig
from models.settings.presets import PRESETS

if TYPE_CHECKING:
    from tokenizers import Tokenizer

DEFAULT_DESIGN = "terrarium-tiny"


class Choices(QObject):
    """The library with what is chosen from it. What cannot be done is said in `notices`, in a sentence.

    Signals:
        tokenizer_changed(): `tokenizer` / `tokenizer_name` are new.
        design_changed(): `design` / `design_name` are new.
        library_changed(): tokenizers, designs or chats on disk changed.
        runs_changed(): the list of runs, or a run's shown status, changed.
    """

    tokenizer_changed = Signal()
    design_changed = Signal()
    library_changed = Signal()
    runs_changed = Signal()

    def __init__(self, library: Library, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.library = library
        self.notices = Notices(self)
        self.remembered = Remembered(library.home, self.notices)
        self.trash = Trash(library, self.notices)
        self._tokenizer: Tokenizer | None = None
        self._tokenizer_name = ""
        self._design = PRESETS[DEFAULT_DESIGN]
        self._design_name = DEFAULT_DESIGN
        self._restore_choices()

    # -- Tokenizers -------------------------------------------------------------------------------------

    @property
    def tokenizer(self) -> Tokenizer | None:
        """The chosen tokenizer, None while there is none."""
        return self._tokenizer

    @property
    def tokenizer_name(self) -> str:
        """Its name in the library, '' while there is none."""
        return self._tokenizer_name

    def list_tokenizers(self) -> list[TokenizerInfo]:
        """All tokenizers of the library, by name."""
        return self.library.list_tokenizers()

    def choose_tokenizer(self, name: str) -> bool:
        """Load a tokenizer of the library; whether it worked."""
        from models.tokenizers import load_tokenizer

        try:
            self._tokenizer = load_tokenizer(name, self.library)
        except ValueError as error:
            return self.notices.refuse(str(error))
        self._tokenizer_name = name
        self.remembered.set("tokenizer", name)
        self.tokenizer_changed.emit()
        return True

    def tokenizer_about(self, name: str) -> dict[str, Any]:
        """What is known of a tokenizer: what it was made from, the user's notes; empty where nothing is."""
        from models.tokenizers import read_about

        try:
            return read_about(self.library.tokenizers / name)
        except ValueError as error:
            self.notices.refuse(str(error))
            return {}

    def rename_tokenizer(self, name: str, new_name: str) -> bool:
        """Give a tokenizer another name; whether it worked."""
        from models.tokenizers import rename_tokenizer

        def rename() -> None:
            given = rename_tokenizer(self.library, name, new_name)
            if name == self._tokenizer_name:
                self._tokenizer_name = given
                self.remembered.set("tokenizer", given)
                self.tokenizer_changed.emit()

        done = self.notices.attempt(rename)
        self.library_changed.emit()
        return done

    def duplicate_tokenizer(self, name: str) -> bool:
        """Copy a tokenizer under a free name, and choose the copy; whether it worked."""
        from models.tokenizers import duplicate_tokenizer

        done = self.notices.attempt(lambda: self.choose_tokenizer(duplicate_tokenizer(self.library, name)))
        self.library_changed.emit()
        return done

    def set_tokenizer_notes(self, name: str, notes: str) -> bool:
        """Keep the user's notes on a tokenizer; whether it worked."""
        from models.tokenizers import change_about

        return self.notices.attempt(lambda: change_about(self.library.tokenizers / name, {"notes": notes}))

    def delete_tokenizer(self, name: str) -> None:
        """Move a tokenizer to the trash."""
        self.trash.delete(self.library.tokenizers / name, f"Tokenizer “{name}” deleted", self.library_changed.emit)
        if name == self._tokenizer_name and not (self.library.tokenizers / name).exists():
            self._tokenizer, self._tokenizer_name = None, ""
            self.tokenizer_changed.emit()
        self.library_changed.emit()

    # -- Designs ----------------------------------------------------------------------------------------

    @property
    def design(self) -> ModelConfig:
        """The current architecture."""
        return self._design

    @property
    def design_name(self) -> str:
        """A preset's or saved design's name; '' where it was changed since."""
        return self._design_name

    def set_design(self, config: ModelConfig, name: str = "") -> None:
        """Make `config` the current architecture."""
        if (config, name) == (self._design, self._design_name):
            return
        self._design, self._design_name = config, name
        self.remembered.set("design", {"name": name, "config": config.to_dict()})
        self.design_changed.emit()

    def list_designs(self) -> list[str]:
        """Names of the saved designs; the presets are models.settings.presets.PRESETS."""
        return self.library.list_designs()

    def inspect_designs(self) -> list[DesignInfo]:
        """The saved designs, each with what it holds, or a sentence on why it cannot be read."""
        return self.library.inspect_designs()

    def free_design_name(self, wanted: str) -> str:
        """`wanted`, made safe, with the first number that makes it a name no design has."""
        taken = {name.lower() for name in (*PRESETS, *self.list_designs())}
        try:
            wanted = safe_name(wanted)
        except ValueError:
            wanted = self.library.free_name(self.library.designs, wanted, suffix=".json", taken=PRESETS)
        names = (wanted if n == 1 else f"{wanted}-{n}" for n in itertools.count(1))
        return next(name for name in names if name.lower() not in taken)

    def save_design(self, name: str) -> bool:
        """Save the current design under a name; whether it worked."""
        if not self.notices.attempt(lambda: self.library.save_design(name, self._design)):
            return False
        self.set_design(self._design, safe_name(name))
        self.library_changed.emit()
        return True

    def load_design(self, name: str) -> bool:
        """Make a preset or a saved design the current one; whether it worked."""
        if name in PRESETS:
            self.set_design(PRESETS[name], name)
            return True
        return self.notices.attempt(lambda: self.set_design(self.library.load_design(name), name))

    def rename_design(self, name: str, new_name: str) -> bool:
        """Give a saved design another name; whether it worked."""

        def rename() -> None:
            if new_name.strip().lower() in PRESETS:
                raise ValueError(f"There is a preset called {new_name.strip()!r} already: choose another name.")
            given = self.library.rename_design(name, new_name)
            if self._design_name == name:
                self.set_design(self._design, given)

        done = self.notices.attempt(rename)
        self.library_changed.emit()
        return done

    def duplicate_design(self, name: str) -> bool:
        """Save a copy of a preset or saved design under a free name, and make that the current one."""

        def duplicate() -> None:
            config = PRESETS.get(name) or self.library.load_design(name)
            copy = self.free_design_name(name)
            self.library.save_design(copy, config)
            self.set_design(config, copy)

        done = self.notices.attempt(duplicate)
        self.library_changed.emit()
        return done

    def delete_design(self, name: str) -> None:
        """Move a saved design to the trash; where it is the current one, that stays, without a name."""
        self.trash.delete(self.library.designs / f"{name}.json", f"Design “{name}” deleted", self.library_changed.emit)
        if name == self._design_name and name not in self.list_designs():
            self.set_design(self._design)
        self.library_changed.emit()

    def import_design(self, path: Path) -> bool:
        """Save the design of a JSON file under the file's name, and make it the current one; whether it worked."""

        def take() -> None:
            config = read_design(path)
            name = self.free_design_name(path.stem)
            self.library.save_design(name, config)
            self.set_design(config, name)

        done = self.notices.attempt(take)
        if done:
            self.library_changed.emit()
        return done

    def export_design(self, path: Path) -> bool:
        """Write the current design into a JSON file; whether it worked."""
        return self.notices.attempt(lambda: write_design(path, self._design))

    def _restore_choices(self) -> None:
        names = [info.name for info in self.list_tokenizers() if info.problem is None]
        wanted = self.remembered.get("tokenizer", "")
        if names:
            self.choose_tokenizer(wanted if wanted in names else names[0])
        saved = self.remembered.get("design", {})
        try:
            self._design = ModelConfig.from_dict(saved["config"])
            self._design_name = str(saved["name"])
        except (KeyError, ValueError):
            self._design, self._design_name = PRESETS[DEFAULT_DESIGN], DEFAULT_DESIGN
