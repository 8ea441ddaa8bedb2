"""What is on the library's shelves, and what of it is chosen: tokenizer, design, settings. No thread is needed here."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QObject, Signal

from app.session.remembered import Settings
from app.worker.failures import describe
from models.library.library import DesignInfo, Library, TokenizerInfo, safe_name
from models.settings.design_files import read_design, write_design
from models.settings.model_config import ModelConfig
from models.settings.presets import PRESETS

if TYPE_CHECKING:
    from tokenizers import Tokenizer

DEFAULT_DESIGN = "terrarium-tiny"


class Choices(QObject):
    """The library with what is chosen from it. What cannot be done is said in `job_failed`, in a sentence.

    Signals:
        tokenizer_changed(): `tokenizer` / `tokenizer_name` are new.
        design_changed(): `design` / `design_name` are new.
        library_changed(): tokenizers, designs or chats on disk changed.
        runs_changed(): the list of runs, or a run's shown status, changed.
        job_failed(sentence, details): something did not work; details is a traceback, or empty.
        notice(sentence): something to read without anything having failed.
        deleted(what, tokens): something went to the trash; `undo_delete(tokens)` brings it back.
    """

    tokenizer_changed = Signal()
    design_changed = Signal()
    library_changed = Signal()
    runs_changed = Signal()
    job_failed = Signal(str, str)
    notice = Signal(str)
    deleted = Signal(str, object)

    def __init__(self, library: Library, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.library = library
        self.settings = Settings(library.home)
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
            self.job_failed.emit(str(error), "")
            return False
        self._tokenizer_name = name
        self.remember("tokenizer", name)
        self.tokenizer_changed.emit()
        return True

    def tokenizer_about(self, name: str) -> dict[str, Any]:
        """What is known of a tokenizer: what it was made from, the user's notes; empty where nothing is."""
        from models.tokenizers import read_about

        try:
            return read_about(self.library.tokenizers / name)
        except ValueError as error:
            self._refuse(str(error))
            return {}

    def rename_tokenizer(self, name: str, new_name: str) -> bool:
        """Give a tokenizer another name; whether it worked."""
        from models.tokenizers import rename_tokenizer

        def rename() -> None:
            given = rename_tokenizer(self.library, name, new_name)
            if name == self._tokenizer_name:
                self._tokenizer_name = given
                self.remember("tokenizer", given)
                self.tokenizer_changed.emit()

        done = self._try(rename)
        self.library_changed.emit()
        return done

    def duplicate_tokenizer(self, name: str) -> bool:
        """Copy a tokenizer under a free name, and choose the copy; whether it worked."""
        from models.tokenizers import duplicate_tokenizer

        done = self._try(lambda: self.choose_tokenizer(duplicate_tokenizer(self.library, name)))
        self.library_changed.emit()
        return done

    def set_tokenizer_notes(self, name: str, notes: str) -> bool:
        """Keep the user's notes on a tokenizer; whether it worked."""
        from models.tokenizers import change_about

        return self._try(lambda: change_about(self.library.tokenizers / name, {"notes": notes}))

    def delete_tokenizer(self, name: str) -> None:
        """Move a tokenizer to the trash."""
        self._delete(self.library.tokenizers / name, f"Tokenizer “{name}” deleted")
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
        self.remember("design", {"name": name, "config": config.to_dict()})
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
        if not self._try(lambda: self.library.save_design(name, self._design)):
            return False
        self.set_design(self._design, safe_name(name))
        self.library_changed.emit()
        return True

    def load_design(self, name: str) -> bool:
        """Make a preset or a saved design the current one; whether it worked."""
        if name in PRESETS:
            self.set_design(PRESETS[name], name)
            return True
        return self._try(lambda: self.set_design(self.library.load_design(name), name))

    def rename_design(self, name: str, new_name: str) -> bool:
        """Give a saved design another name; whether it worked."""

        def rename() -> None:
            if new_name.strip().lower() in PRESETS:
                raise ValueError(f"There is a preset called {new_name.strip()!r} already: choose another name.")
            given = self.library.rename_design(name, new_name)
            if self._design_name == name:
                self.set_design(self._design, given)

        done = self._try(rename)
        self.library_changed.emit()
        return done

    def duplicate_design(self, name: str) -> bool:
        """Save a copy of a preset or saved design under a free name, and make that the current one."""

        def duplicate() -> None:
            config = PRESETS.get(name) or self.library.load_design(name)
            copy = self.free_design_name(name)
            self.library.save_design(copy, config)
            self.set_design(config, copy)

        done = self._try(duplicate)
        self.library_changed.emit()
        return done

    def delete_design(self, name: str) -> None:
        """Move a saved design to the trash; where it is the current one, that stays, without a name."""
        self._delete(self.library.designs / f"{name}.json", f"Design “{name}” deleted")
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

        done = self._try(take)
        if done:
            self.library_changed.emit()
        return done

    def export_design(self, path: Path) -> bool:
        """Write the current design into a JSON file; whether it worked."""
        return self._try(lambda: write_design(path, self._design))

    def export_picture(self, path: Path, write: Callable[[Path], object]) -> bool:
        """Let `write` make a picture file; whether it worked."""
        return self._try(lambda: write(path))

    # -- The rest ---------------------------------------------------------------------------------------

    def delete_chat(self, chat_id: str) -> None:
        """Move a conversation to the trash."""
        self._delete(self.library.chats / f"{chat_id}.json", "Chat deleted")
        self.library_changed.emit()

    def undo_delete(self, tokens: Sequence[str]) -> None:
        """Bring back what `deleted` told of; what cannot be is said."""
        for token in tokens:
            self._try(partial(self.library.restore, token))
        self.runs_changed.emit()
        self.library_changed.emit()

    def _restore_choices(self) -> None:
        names = [info.name for info in self.list_tokenizers() if info.problem is None]
        wanted = self.settings.get("tokenizer", "")
        if names:
            self.choose_tokenizer(wanted if wanted in names else names[0])
        saved = self.settings.get("design", {})
        try:
            self._design = ModelConfig.from_dict(saved["config"])
            self._design_name = str(saved["name"])
        except (KeyError, ValueError):
            self._design, self._design_name = PRESETS[DEFAULT_DESIGN], DEFAULT_DESIGN

    def remember(self, key: str, value: Any) -> None:
        """Keep a JSON-able value in `settings` for the next launch."""
        self._try(lambda: self.settings.set(key, value))

    def _refuse(self, sentence: str) -> bool:
        self.job_failed.emit(sentence, "")
        return False

    def _try(self, action: Callable[[], object]) -> bool:
        """Do it; a failure that a user can mend becomes `job_failed`."""
        try:
            action()
        except (ValueError, OSError) as error:
            return self._refuse(describe(error).sentence)
        return True

    def _delete(self, path: Path, words: str) -> None:
        def delete() -> None:
            self.deleted.emit(words, (self.library.move_to_trash(path),))

        self._try(delete)
