"""The settings of a run as TOML files: asked for, read and written."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from PySide6.QtWidgets import QFileDialog, QWidget

from app.kit.file_dialogs import ask_where_to_save
from app.session.session import Session
from models.settings.run_spec import RunSpec
from models.settings.spec_file import load_spec, write_spec

_FILTER = "Terrarium runs (*.toml)"


def open_spec(parent: QWidget, session: Session, take: Callable[[RunSpec], object]) -> None:
    """Ask for a TOML file and hand over the run that it describes; what is wrong with it is said."""
    file, _ = QFileDialog.getOpenFileName(parent, "Open the settings of a run", "", _FILTER)
    if not file:
        return
    try:
        spec = load_spec(Path(file))
    except ValueError as error:
        session.notices.refuse(str(error))
        return
    take(spec)


def save_spec(parent: QWidget, session: Session, spec: RunSpec) -> None:
    """Ask for a file and write the settings of a run there."""
    path = ask_where_to_save(parent, "Save the settings of the run", spec.name, "toml", _FILTER)
    if path is None:
        return
    try:
        write_spec(path, spec)
    except OSError as error:
        session.notices.refuse(f"{path} cannot be written: {error.strerror or error}.")
        return
    session.notices.say(f"Saved as {path}. “terrarium train {path.name}” trains the same.")
