"""Files as the system shows them: which are text, asking where to save, opening a folder."""

from __future__ import annotations

import re
from pathlib import Path

from PySide6.QtCore import QUrl
from PySide6.QtGui import QDesktopServices
from PySide6.QtWidgets import QFileDialog, QWidget

FILE_FILTER = "Text (*.txt *.md *.jsonl *.csv *.py *.rst *.json *.log);;All files (*)"
"""What a dialog that asks for texts offers."""

_FORBIDDEN = re.compile(r'[\x00-\x1f\x7f\\/:*?"<>|]')
"""What file systems do not take in a name."""


def ask_where_to_save(parent: QWidget, title: str, name: str, ending: str, filters: str) -> Path | None:
    """Ask for a file, offering one of this name and ending; None where the user thinks better of it.

    Args:
        name: may be anything that a user called something. `ending`: without the dot; a file typed without one gets it.
    """
    file, _ = QFileDialog.getSaveFileName(parent, title, f"{_FORBIDDEN.sub('-', name)}.{ending}", filters)
    if not file:
        return None
    path = Path(file)
    return path if path.suffix else path.with_name(f"{path.name}.{ending}")


def reveal(path: Path) -> bool:
    """Open a folder in the system's file manager, or a file in its own program; whether it could."""
    return QDesktopServices.openUrl(QUrl.fromLocalFile(str(path)))
