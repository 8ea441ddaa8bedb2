"""Import and export of designs and diagrams: file dialogs here, reading and writing in the session."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import QEvent, QObject, Signal
from PySide6.QtGui import QDragEnterEvent, QDropEvent
from PySide6.QtWidgets import QFileDialog, QWidget

from terrarium.app.builder.diagram.block_diagram import BlockDiagram
from terrarium.app.session.session import Session

_JSON = "Designs (*.json);;All files (*)"


class DesignFiles(QObject):
    """Imports and exports designs for a page; JSON files dropped on the page are imported, too.

    Signals:
        written(name): a file with this name was written.
    """

    written = Signal(str)

    def __init__(self, session: Session, page: QWidget) -> None:
        super().__init__(page)
        self._session, self._page = session, page
        page.setAcceptDrops(True)
        page.installEventFilter(self)

    def ask_for_designs(self) -> None:
        """Ask for JSON files and import them."""
        files, _ = QFileDialog.getOpenFileNames(self._page, "Import designs", "", _JSON)
        self.import_designs([Path(file) for file in files])

    def import_designs(self, files: list[Path]) -> None:
        """Import the designs of JSON files; a file that is not a design is reported."""
        for file in files:
            self._session.designs.import_file(file)

    def export_design(self, name: str) -> None:
        """Ask for a file and write the session's design to it as JSON."""
        file, _ = QFileDialog.getSaveFileName(self._page, "Export this design", f"{_stem(name)}.json", _JSON)
        if file and self._session.designs.export(Path(file)):
            self.written.emit(Path(file).name)

    def export_picture(self, name: str, kind: str, diagram: BlockDiagram) -> None:
        """Ask for a file and write the diagram to it; kind: "svg" or "png"."""
        words = f"{kind.upper()} pictures (*.{kind})"
        file, _ = QFileDialog.getSaveFileName(self._page, "Export the diagram", f"{_stem(name)}.{kind}", words)
        write = diagram.export_svg if kind == "svg" else diagram.export_png
        if file and self._session.notices.attempt(lambda: write(Path(file))):
            self.written.emit(Path(file).name)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        if isinstance(event, QDragEnterEvent) and event.type() == QEvent.Type.DragEnter:
            if _dropped(event):
                event.acceptProposedAction()
            return True
        if isinstance(event, QDropEvent) and event.type() == QEvent.Type.Drop:
            self.import_designs(_dropped(event))
            return True
        return False


def _dropped(event: QDropEvent) -> list[Path]:
    """Return the dragged JSON files."""
    files = [Path(url.toLocalFile()) for url in event.mimeData().urls() if url.isLocalFile()]
    return [file for file in files if file.suffix.lower() == ".json"]


def _stem(name: str) -> str:
    return name.strip() or "design"
