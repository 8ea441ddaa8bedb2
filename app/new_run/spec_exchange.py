"""File dialogs that load and save the settings of a run as TOML."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from PySide6.QtWidgets import QFileDialog, QWidget

from terrarium.app.kit.file_dialogs import ask_save_path
from terrarium.app.session.session import Session
from terrarium.models.settings.run_spec import RunSpec
from terrarium.models.settings.spec_file import load_spec, write_spec

_FILTER = "Terrarium runs (*.toml)"


def open_spec(parent: QWidget, session: Session, take: Callable[[RunSpec], object]) -> None:
    """Ask for a TOML file and pass its RunSpec to `take`; show a notice if it is invalid."""
    file, _ = QFileDialog.getOpenFileName(parent, "Load run settings", "", _FILTER)
    if not file:
        return
    try:
        spec = load_spec(Path(file))
    except ValueError as error:
        session.notices.refuse(str(error))
        return
    take(spec)


def save_spec(parent: QWidget, session: Session, spec: RunSpec) -> None:
    """Ask for a file and save the settings of a run to it."""
    path = ask_save_path(parent, "Save run settings", spec.name, "toml", _FILTER)
    if path is None:
        return
    try:
        write_spec(path, spec)
    except OSError as error:
        session.notices.refuse(f"Could not write {path}: {error.strerror or error}.")
        return
    session.notices.say(f"Saved as {path}. Train it with “terrarium train {path.name}”.")
