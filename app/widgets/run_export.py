"""A run as files for other programs: its settings as TOML, its curves for TensorBoard."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtWidgets import QFileDialog, QWidget

from app.session import Session
from models.library import safe_name


def export_run(parent: QWidget, session: Session, run_id: str, kind: str) -> None:
    """Ask where to, and write it there: `kind` is "toml" or "tensorboard"."""
    info = session.find_run(run_id)
    if kind == "toml":
        path, _ = QFileDialog.getSaveFileName(
            parent, "Export settings", f"{_file_name(info.name)}.toml", "TOML (*.toml)"
        )
        if path:
            session.export_toml(run_id, Path(path))
        return
    path = QFileDialog.getExistingDirectory(parent, "Choose the folder that TensorBoard reads")
    if path:
        session.export_tensorboard(run_id, Path(path))


def _file_name(name: str) -> str:
    try:
        return safe_name(name)
    except ValueError:
        return "run"
