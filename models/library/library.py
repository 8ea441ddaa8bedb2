"""The library: the user's tokenizers, designs, corpora, runs and chats on disk, and its location. No torch."""

from __future__ import annotations

import itertools
import os
import re
import shutil
import time
import uuid
from collections.abc import Collection, Iterable
from contextlib import nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from platformdirs import user_config_dir, user_data_dir

from terrarium.models.files.atomic import atomic_write_json, private_folder, read_json, replace_path
from terrarium.models.library.run_record import RunInfo, inspect_run, reserved
from terrarium.models.library.trash import ORIGIN, read_origin
from terrarium.models.settings.design_files import read_design, write_design
from terrarium.models.settings.model_config import ModelConfig

__all__ = [
    "DesignInfo",
    "Library",
    "RunInfo",
    "TokenizerInfo",
    "safe_name",
]
_BAD_CHARACTERS = r'[\x00-\x1f\x7f<>:"/\\|?*]'
_RESERVED = {"con", "prn", "aux", "nul", *(f"{port}{n}" for port in ("com", "lpt") for n in range(1, 10))}
VARIABLE = "TERRARIUM_HOME"
_PARTS = ("runs", "tokenizers", "designs", "chats", "corpora", "settings.json")


@dataclass(frozen=True, kw_only=True)
class Location:
    """The library's folder. is_fixed: whether TERRARIUM_HOME sets it, so that choosing another has no effect.

    problem: a sentence if the chosen folder cannot be used; `home` is then the platform's default.
    """

    home: Path
    is_fixed: bool = False
    problem: str = ""


def find_location() -> Location:
    """Return the location of the library, by the rules above."""
    if os.environ.get(VARIABLE):
        return Location(home=Path(os.environ[VARIABLE]).expanduser().absolute(), is_fixed=True)
    default = Path(user_data_dir("Terrarium", appauthor=False)).absolute()
    file = _choice_file()
    if not file.exists():
        return Location(home=default)
    try:
        chosen = Path(str(read_json(file).get("home", "")))
    except ValueError as error:
        return Location(home=default, problem=f"{error} The library is now {default}.")
    if not chosen.is_absolute() or not chosen.is_dir():
        problem = f"The library {chosen} is not there: connect its disk and start again. Until then it is {default}."
        return Location(home=default, problem=problem)
    return Location(home=chosen)


def choose_location(folder: Path) -> Path:
    """Use `folder` as the library from the next launch on, or “Terrarium” in it if it contains other files.

    Returns the folder that will be used. Nothing is moved.

    Raises:
        OSError: if the folder or the setting cannot be written.
    """
    entries = {entry.name for entry in folder.iterdir()}
    home = folder.absolute() if not entries or entries.intersection(_PARTS) else folder.absolute() / "Terrarium"
    home.mkdir(exist_ok=True)
    probe = home / ".tmp-probe"
    probe.touch()
    probe.unlink()
    atomic_write_json(_choice_file(), {"home": str(home)})
    return home


def _choice_file() -> Path:
    """Return the file that stores the chosen location, outside of the library."""
    return Path(user_config_dir("Terrarium", appauthor=False)) / "library.json"


@dataclass(frozen=True, kw_only=True)
class TokenizerInfo:
    """A tokenizer of the library. If it is unusable, `problem` is a message and `vocab_size` may be 0."""

    name: str
    folder: Path
    kind: str
    vocab_size: int
    problem: str | None = None


@dataclass(frozen=True, kw_only=True)
class DesignInfo:
    """A saved architecture. If the file is damaged, `config` is None and `problem` a message."""

    name: str
    path: Path
    config: ModelConfig | None
    problem: str | None = None


def safe_name(name: str) -> str:
    """Return the name, stripped, if it is a valid file name on every system.

    Raises:
        ValueError: if it is not valid, with the reason.
    """
    name = name.strip()
    if not name:
        raise ValueError("The name is empty: give it one.")
    if len(name.encode()) > 100:
        raise ValueError(f"The name {name[:30]!r}… is too long: use at most 100 bytes.")
    bad = re.search(_BAD_CHARACTERS, name)
    if bad:
        raise ValueError(f"The name {name!r} may not contain {bad.group()!r}: leave it out.")
    if name.startswith(".") or name.endswith("."):
        raise ValueError(f"The name {name!r} may not begin or end with a dot: leave it out.")
    if _is_reserved(name):
        raise ValueError(f"The name {name!r} is reserved by Windows: choose another.")
    return name


class Library:
    """The folders of a library, by default the user's (see `find_location`). Each is created on first use."""

    def __init__(self, home: Path | None = None) -> None:
        self.home = Path(home).expanduser().absolute() if home is not None else find_location().home

    @property
    def tokenizers(self) -> Path:
        return self.home / "tokenizers"

    @property
    def designs(self) -> Path:
        return self.home / "designs"

    @property
    def corpora(self) -> Path:
        return self.home / "corpora"

    @property
    def runs(self) -> Path:
        return self.home / "runs"

    @property
    def chats(self) -> Path:
        return self.home / "chats"

    @property
    def preferences(self) -> Path:
        return self.home / "preferences"

    @property
    def trash(self) -> Path:
        return self.home / "trash"

    @property
    def log_file(self) -> Path:
        """The program's log file."""
        return self.home / "logs" / "terrarium.log"

    def list_runs(self) -> list[RunInfo]:
        """Return all runs, newest first; an unreadable run has a `problem` and status "damaged"."""
        infos = [inspect_run(folder) for folder in _visible(self.runs) if folder.is_dir()]
        return sorted(infos, key=lambda info: (info.created, info.id), reverse=True)

    def find_run(self, text: str) -> Path:
        """Return the folder of the run with this path, id or name (the newest of that name).

        Raises:
            ValueError: if there is no such run; the message names the newest runs.
        """
        if (Path(text) / "run.json").is_file():
            return Path(text).absolute()
        infos = self.list_runs()
        for info in infos:
            if info.id == text:
                return info.folder
        for info in infos:
            if info.name == text:
                return info.folder
        names = ", ".join(repr(info.name) for info in infos[:5])
        raise ValueError(
            f"There is no run called {text!r} in {self.runs}: "
            + (f"the newest are {names}." if names else "it is empty.")
        )

    def free_run_name(self, wanted: str, runs: Iterable[RunInfo] | None = None) -> str:
        """Return `wanted`, numbered if a run has that name already; `runs`: all runs, if the caller has listed them."""
        taken = {info.name for info in (self.list_runs() if runs is None else runs)}
        names = (wanted if n == 1 else f"{wanted} {n}" for n in itertools.count(1))
        return next(name for name in names if name not in taken)

    def new_run_id(self, name: str) -> str:
        """Return an unused id for a run created now, which is also its folder's name: the time, and the run's name."""
        return self.free_name(self.runs, f"{time.strftime('%Y%m%d-%H%M%S')}-{name}")

    def list_tokenizers(self) -> list[TokenizerInfo]:
        """Return all tokenizers, sorted by name; an unusable one has a `problem`."""
        return [_inspect_tokenizer(folder) for folder in _visible(self.tokenizers) if folder.is_dir()]

    def list_designs(self) -> list[str]:
        """Return the names of the saved architectures, sorted."""
        return sorted((path.stem for path in _visible(self.designs) if path.suffix == ".json"), key=str.casefold)

    def inspect_designs(self) -> list[DesignInfo]:
        """Return the saved architectures, sorted by name; a damaged one has a `problem`."""
        return [_inspect_design(self.designs / f"{name}.json") for name in self.list_designs()]

    def save_design(self, name: str, config: ModelConfig) -> Path:
        """Save an architecture as `name`, replacing one of that name, and return its file.

        Raises:
            ValueError: if the name is not a valid file name.
        """
        path = self.designs / f"{safe_name(name)}.json"
        write_design(path, config)
        return path

    def load_design(self, name: str) -> ModelConfig:
        """Load the architecture `name`. Raises ValueError, naming the file, if it is missing or damaged."""
        return read_design(self.designs / f"{safe_name(name)}.json")

    def rename_design(self, name: str, new_name: str) -> str:
        """Rename a saved architecture and return its new name, stripped.

        Raises:
            ValueError: if the new name is taken or not a valid file name, or the design is missing.
        """
        new_name = safe_name(new_name)
        old, new = self.designs / f"{safe_name(name)}.json", self.designs / f"{new_name}.json"
        if not old.exists():
            raise ValueError(f"{old} is missing: it may have been moved or deleted.")
        if new.exists() and not new.samefile(old):  # on some systems “Mine” and “mine” are the same file
            raise ValueError(f"There is a design called {new_name!r} already: choose another name.")
        replace_path(old, new)
        return new_name

    def free_name(
        self, folder: Path, name: str, *, suffix: str = "", taken: Collection[str] = (), has_spaces: bool = False
    ) -> str:
        """Return `name` as a safe file name, numbered if `folder` already has it: “tiny”, “tiny-2”, …

        Args:
            suffix: the suffix of the files in `folder`, which is not part of the name.
            taken: further names in use.
            has_spaces: whether spaces are allowed, for displayed names; otherwise they become hyphens.
        """
        if has_spaces:
            name = " ".join(name.split())
        name = (
            re.sub(_BAD_CHARACTERS + "+" if has_spaces else rf"(?:{_BAD_CHARACTERS}|\s)+", "-", name)
            .strip(".- ")[:60]
            .encode(errors="ignore")[:80]
            .decode(errors="ignore")
        )
        name = name.rstrip(".- ") or "unnamed"
        if _is_reserved(name):
            name = name.replace(".", "-")  # “con.txt” is reserved like “con”, which is numbered below
        there = {entry.name.lower().removesuffix(suffix) for entry in folder.iterdir()} if folder.is_dir() else set()
        there.update(other.lower() for other in taken)
        candidate, n = name, 1
        while candidate.lower() in there or _is_reserved(candidate):
            n += 1
            candidate = f"{name}-{n}"
        return safe_name(candidate)

    def move_to_trash(self, path: Path) -> str:
        """Move a file or folder of the library to the trash, and return the token that `restore` needs.

        Raises:
            ValueError: for a run that is being trained, or something outside the library.
        """
        path = path.absolute()
        if self.home not in path.parents or path.parent == self.home:
            raise ValueError(f"{path} does not belong to the library {self.home}: delete it by hand.")
        if not path.exists():
            raise ValueError(f"{path} is already gone.")
        token = f"{time.strftime('%Y%m%d-%H%M%S')}-{uuid.uuid4().hex[:6]}"
        about = {"path": path.relative_to(self.home).as_posix(), "deleted": datetime.now(UTC).isoformat()}
        private_folder(self.trash)  # it contains chats, too
        atomic_write_json(self.trash / token / ORIGIN, about)
        try:
            with reserved(path) if path.parent == self.runs else nullcontext():
                replace_path(path, self.trash / token / path.name)
        except (OSError, ValueError):
            shutil.rmtree(self.trash / token, ignore_errors=True)
            raise
        return token

    def restore(self, token: str) -> Path:
        """Undo the deletion that returned `token`, and return the restored path.

        A design, tokenizer or preference set is renamed if its name is now taken.

        Raises:
            ValueError: if the old path of anything else is taken, or it is no longer in the trash.
        """
        folder = self.trash / safe_name(token)
        origin = self.home / read_origin(folder)
        target = origin
        if origin.exists() and origin.parent == self.preferences:
            names = (f"{origin.name} {n}" for n in itertools.count(2))
            target = next(path for path in map(origin.with_name, names) if not path.exists())
        elif origin.exists():
            if origin.parent not in (self.designs, self.tokenizers):
                raise ValueError(f"{origin} exists again: move it away to restore what was deleted.")
            suffix = ".json" if origin.parent == self.designs else ""
            name = self.free_name(origin.parent, origin.name.removesuffix(suffix), suffix=suffix)
            target = origin.parent / f"{name}{suffix}"
        target.parent.mkdir(parents=True, exist_ok=True)
        replace_path(folder / origin.name, target)
        shutil.rmtree(folder, ignore_errors=True)
        return target


def _is_reserved(name: str) -> bool:
    """Return whether Windows reserves this name for a device, regardless of its suffix."""
    return name.split(".")[0].strip().lower() in _RESERVED


def _visible(folder: Path) -> list[Path]:
    """Return the sorted entries of `folder` except hidden and half-written ones; [] if it does not exist."""
    if not folder.is_dir():
        return []
    return sorted(entry for entry in folder.iterdir() if not entry.name.startswith("."))


def _inspect_design(path: Path) -> DesignInfo:
    try:
        return DesignInfo(name=path.stem, path=path, config=read_design(path))
    except ValueError as error:
        return DesignInfo(name=path.stem, path=path, config=None, problem=str(error))


def _inspect_tokenizer(folder: Path) -> TokenizerInfo:
    """Read the two files of a tokenizer; about.json may be missing for tokenizers made elsewhere."""
    kind, vocab_size, problem = "other", 0, None
    file, about_file = folder / "tokenizer.json", folder / "about.json"
    try:
        about = read_json(about_file) if about_file.exists() else {}
        kind = str(about.get("kind", kind))
        if not file.is_file():
            raise ValueError(f"{file} is missing.")
        vocab_size = _vocab_size(file, about_file, about)
    except ValueError as error:
        problem = str(error)
    return TokenizerInfo(name=folder.name, folder=folder, kind=kind, vocab_size=vocab_size, problem=problem)


def _vocab_size(file: Path, about_file: Path, about: dict[str, Any]) -> int:
    size = about.get("vocab_size")
    if isinstance(size, int):
        return size
    if size is not None:
        raise ValueError(f"{about_file} is damaged: vocab_size is {size!r}.")
    model = read_json(file).get("model")
    vocabulary = model.get("vocab") if isinstance(model, dict) else None
    if not isinstance(vocabulary, dict | list):
        raise ValueError(f"{file} is damaged: it has no vocabulary.")
    return len(vocabulary)
