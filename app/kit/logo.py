"""The program's icon."""

from __future__ import annotations

from importlib.resources import as_file, files

from PySide6.QtCore import QSize
from PySide6.QtGui import QIcon, QPixmap


def program_icon() -> QIcon:
    """Load the program's icon."""
    with as_file(files("terrarium.resources") / "icon.svg") as path:
        return QIcon(QIcon(str(path)).pixmap(QSize(256, 256)))


def program_mark(size: int, ratio: float = 2.0) -> QPixmap:
    """Load the icon as a pixmap of `size` logical pixels."""
    with as_file(files("terrarium.resources") / "icon.svg") as path:
        return QIcon(str(path)).pixmap(QSize(size, size), ratio)
