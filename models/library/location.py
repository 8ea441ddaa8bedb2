"""The library's location: TERRARIUM_HOME, or the folder chosen by the user, or the platform's default. No torch."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from platformdirs import user_config_dir, user_data_dir

from terrarium.models.files.atomic import atomic_write_json, read_json

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
