"""The button that exports charts: asks for the format and the file, and reports the result."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from PySide6.QtCore import Slot
from PySide6.QtWidgets import QMenu, QPushButton, QWidget

from terrarium.app.kit.basics import explain
from terrarium.app.kit.chart_export import Columns, write_csv, write_json, write_png, write_svg
from terrarium.app.kit.file_dialogs import ask_save_path
from terrarium.app.kit.theme import ThemeProvider
from terrarium.app.worker.background import TaskQueue
from terrarium.app.worker.notices import Notices

__all__ = ["Columns", "ExportButton", "ExportSource"]

ExportSource = Callable[[], Callable[[], Columns]]
"""Called on the main thread; returns a function that computes the columns on another thread."""

_KINDS = (
    ("png", "Picture (PNG)…", "PNG pictures (*.png)"),
    ("svg", "Drawing (SVG)…", "SVG pictures (*.svg)"),
    ("csv", "All numbers (CSV)…", "Tables (*.csv)"),
    ("json", "All numbers (JSON)…", "JSON (*.json)"),
)


class ExportButton(QPushButton):
    """Exports `picture` as PNG and SVG, and its numbers as CSV and JSON.

    Args:
        numbers: the source of the columns: of equal length and complete, regardless of the visible part.
    """

    def __init__(self, notices: Notices, theme: ThemeProvider, picture: QWidget, numbers: ExportSource) -> None:
        super().__init__("Export")
        self.name = "charts"
        """The suggested file name."""
        self.picture = picture
        """The exported widget."""
        self._notices, self._theme, self.numbers = notices, theme, numbers
        theme.set_icon(self, "export")
        self.setToolTip("Save the charts, or all their numbers, to a file")
        menu = QMenu(self)
        for kind, words, _ in _KINDS:
            menu.addAction(words).triggered.connect(lambda checked=False, kind=kind: self.choose_file(kind))
        self.setMenu(menu)
        self._writing = TaskQueue(self)
        self._writing.done.connect(self._on_written)
        self._writing.failed.connect(notices.fail)

    def setEnabled(self, is_enabled: bool) -> None:
        """Enable the button if there is something to save."""
        explain(self, "" if is_enabled else "There is nothing here to save yet.")
        super().setEnabled(is_enabled)

    def choose_file(self, kind: str) -> None:
        """Ask for a file and write it. kind: png, svg, csv or json."""
        filters = next(words for name, _, words in _KINDS if name == kind)
        path = ask_save_path(self, "Export", self.name, kind, filters)
        if path is not None:
            self.export_to(path, kind)

    def export_to(self, path: Path, kind: str) -> None:
        """Write a file, and report the result."""
        if kind in ("csv", "json"):
            make_columns, write_numbers = self.numbers(), write_csv if kind == "csv" else write_json

            def write() -> Path:
                write_numbers(make_columns(), path)
                return path

            self._writing.ask(write)
            return
        ground = self._theme.theme.color("window")
        if kind == "png":
            written = self._notices.attempt(lambda: write_png(self.picture, ground, path))
        else:
            written = self._notices.attempt(lambda: write_svg(self.picture, ground, self.name, path))
        if written:
            self._on_written(path)

    @Slot(object)
    def _on_written(self, path: Path) -> None:
        self._notices.say(f"{path.name} was saved to {path.parent}.")
