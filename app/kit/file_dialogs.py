"""File dialogs, drag and drop of files, and opening folders in the system's file manager."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from PySide6.QtCore import QUrl
from PySide6.QtGui import QDesktopServices, QDropEvent
from PySide6.QtWidgets import QFileDialog, QWidget

from terrarium.models.runs.run_file.contents import SUFFIX

_TEXT_SUFFIXES = (".txt", ".md", ".jsonl", ".csv", ".py", ".rst", ".json", ".log")
FILE_FILTER = f"Text ({' '.join(f'*{suffix}' for suffix in _TEXT_SUFFIXES)});;All files (*)"
"""The filter of dialogs for text files."""

_FORBIDDEN = re.compile(r'[\x00-\x1f\x7f\\/:*?"<>|]')
"""Characters that file systems do not allow in a name."""


def safe_file_name(name: str) -> str:
    """Turn any text into a valid file name."""
    return _FORBIDDEN.sub("-", name).strip(" .") or "model"


def ask_save_path(parent: QWidget, title: str, name: str, ending: str, filters: str) -> Path | None:
    """Ask for a file to save to, suggesting a name and an extension; None if the user cancels.

    Args:
        name: any text. ending: the extension without the dot, appended if the chosen file has none.
    """
    file, _ = QFileDialog.getSaveFileName(parent, title, f"{_FORBIDDEN.sub('-', name)}.{ending}", filters)
    if not file:
        return None
    path = Path(file)
    return path if path.suffix else path.with_name(f"{path.name}.{ending}")


def reveal(path: Path) -> bool:
    """Open a folder in the file manager, or a file in its default program; return whether it succeeded."""
    return QDesktopServices.openUrl(QUrl.fromLocalFile(str(path)))


def dropped_models(event: QDropEvent) -> list[Path]:
    """Return the dragged files if all are models that the window imports as runs (.terrarium, .gguf), else []."""
    paths = [Path(path) for path in _dropped(event)]
    return paths if all(path.suffix.lower() in (SUFFIX, ".gguf") for path in paths) else []


def dropped_texts(event: QDropEvent) -> Sequence[str]:
    """Return the dragged files if all are text files, else []."""
    paths = _dropped(event)
    return paths if all(Path(path).suffix.lower() in _TEXT_SUFFIXES for path in paths) else []


def dropped_paths(event: QDropEvent) -> Sequence[str]:
    """Return the dragged files and folders if all are local; [] otherwise, and for models, which the window handles."""
    return [] if dropped_models(event) else _dropped(event)


def _dropped(event: QDropEvent) -> list[str]:
    urls = event.mimeData().urls()
    return [url.toLocalFile() for url in urls] if urls and all(url.isLocalFile() for url in urls) else []
