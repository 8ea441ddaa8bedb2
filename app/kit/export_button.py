"""The export of charts: asks for the format and the file, and reports the result; for a button, or a chart's menu."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from PySide6.QtCore import QEvent, QObject, Slot
from PySide6.QtWidgets import QMenu, QPushButton, QWidget

from terrarium.app.kit.basics import explain
from terrarium.app.kit.chart_export import Columns, write_csv, write_json, write_png, write_svg
from terrarium.app.kit.file_dialogs import ask_save_path
from terrarium.app.kit.theme import ThemeProvider
from terrarium.app.worker.background import TaskQueue
from terrarium.app.worker.notices import Notices

__all__ = ["Columns", "ExportButton", "ExportRequested", "ExportSource", "Exporter"]

ExportSource = Callable[[], Callable[[], Columns]]
"""Called on the main thread; returns a function that computes the columns on another thread."""

EXPORTS = (
    ("png", "Picture (PNG)…", "PNG pictures (*.png)"),
    ("svg", "Drawing (SVG)…", "SVG pictures (*.svg)"),
    ("csv", "All numbers (CSV)…", "Tables (*.csv)"),
    ("json", "All numbers (JSON)…", "JSON (*.json)"),
)
"""The formats: extension, words for a menu, and filter of the file dialog."""


class ExportRequested(QEvent):
    """A request by the menu of a chart to export it. It is sent to the parents of the chart, one after the other,
    until one accepts it: usually the window, which has an Exporter."""

    TYPE = QEvent.Type(QEvent.registerEventType())

    def __init__(self, picture: QWidget, name: str, columns: Callable[[], Columns], kind: str) -> None:
        super().__init__(self.TYPE)
        self.picture, self.name, self.kind, self._columns = picture, name, kind, columns
        self.ignore()

    def numbers(self) -> Callable[[], Columns]:
        """Return the chart's numbers, as an ExportSource."""
        columns = self._columns()
        return lambda: columns


class Exporter(QObject):
    """Writes charts and their numbers to files. As an event filter of a window, it answers the menus of its charts."""

    def __init__(self, notices: Notices, theme: ThemeProvider, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._notices, self._theme = notices, theme
        self._writing = TaskQueue(self)
        self._writing.done.connect(self._on_written)
        self._writing.failed.connect(notices.fail)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        if not isinstance(event, ExportRequested):
            return False
        event.accept()
        self.choose_file(event.picture, event.name, event.numbers, event.kind)
        return True

    def choose_file(self, picture: QWidget, name: str, numbers: ExportSource, kind: str) -> None:
        """Ask for a file and write it. name: the suggested file name. kind: png, svg, csv or json."""
        filters = next(words for each, _, words in EXPORTS if each == kind)
        path = ask_save_path(picture.window(), "Export", name, kind, filters)
        if path is not None:
            self.export_to(path, picture, name, numbers, kind)

    def export_to(self, path: Path, picture: QWidget, name: str, numbers: ExportSource, kind: str) -> None:
        """Write a file, and report the result."""
        if kind in ("csv", "json"):
            make_columns, write_numbers = numbers(), write_csv if kind == "csv" else write_json

            def write() -> Path:
                write_numbers(make_columns(), path)
                return path

            self._writing.ask(write)
            return
        ground = self._theme.theme.color("window")
        if kind == "png":
            written = self._notices.attempt(lambda: write_png(picture, ground, path))
        else:
            written = self._notices.attempt(lambda: write_svg(picture, ground, name, path))
        if written:
            self._on_written(path)

    @Slot(object)
    def _on_written(self, path: Path) -> None:
        self._notices.say(f"{path.name} was saved to {path.parent}.")


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
        self.numbers = numbers
        self._exporter = Exporter(notices, theme, self)
        theme.set_icon(self, "export")
        self.setToolTip("Save the charts, or all their numbers, to a file")
        menu = QMenu(self)
        for kind, words, _ in EXPORTS:
            menu.addAction(words).triggered.connect(lambda checked=False, kind=kind: self.choose_file(kind))
        self.setMenu(menu)

    def setEnabled(self, is_enabled: bool) -> None:
        """Enable the button if there is something to save."""
        explain(self, "" if is_enabled else "There is nothing here to save yet.")
        super().setEnabled(is_enabled)

    def choose_file(self, kind: str) -> None:
        """Ask for a file and write it. kind: png, svg, csv or json."""
        self._exporter.choose_file(self.picture, self.name, self.numbers, kind)

    def export_to(self, path: Path, kind: str) -> None:
        """Write a file, and report the result."""
        self._exporter.export_to(path, self.picture, self.name, self.numbers, kind)
