"""Menu actions that are independent of the window's pages."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QMessageBox, QWidget

from terrarium.app.kit.file_dialogs import reveal
from terrarium.app.kit.theme import ThemeProvider
from terrarium.app.session.session import Session
from terrarium.app.shell.report_window import ReportWindow
from terrarium.app.shell.toasts import Toasts

ABOUT = (
    "<h3>Terrarium {}</h3><p>Grow a small language model behind glass, and teach it tasks of your own: tokenizer, "
    "data, architecture, training and chat in one window, on your own computer.</p><p>Every number on screen is "
    "measured, or derived from the model's own weights, or labelled as an estimate.</p>"
)


class ViewAndHelp:
    """Implements these menu actions."""

    def __init__(self, session: Session, toasts: Toasts) -> None:
        self._session, self._toasts = session, toasts

    def reveal_library(self) -> None:
        """Show the library's folder in the system's file manager."""
        self._reveal(self._session.library.home)

    def open_log(self) -> None:
        """Show the log file in the system's file manager."""
        self._reveal(self._session.library.log_file)

    def show_about(self, parent: QWidget, theme: ThemeProvider) -> None:
        """Show the About box, with a button for the licences."""
        box = QMessageBox(QMessageBox.Icon.NoIcon, "About Terrarium", ABOUT.format(_version()), parent=parent)
        box.setIconPixmap(parent.windowIcon().pixmap(64, 64))
        box.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        licences = box.addButton("Licences…", QMessageBox.ButtonRole.ActionRole)
        licences.clicked.connect(lambda: self.show_licences(parent, theme))
        box.addButton(QMessageBox.StandardButton.Close)
        box.open()

    def show_licences(self, parent: QWidget, theme: ThemeProvider) -> None:
        """Show the licences of Terrarium and its dependencies."""
        from terrarium.app.shell.licences.window import LicencesWindow

        _open(LicencesWindow(self._session, theme, parent))

    def show_extensions(self, parent: QWidget, theme: ThemeProvider) -> None:
        """Show the installed extensions."""
        from terrarium.app.shell.extensions_window import ExtensionsWindow

        _open(ExtensionsWindow(self._session, theme, parent))

    def show_report(self, parent: QWidget, theme: ThemeProvider, failure: str = "") -> None:
        """Show the log and diagnostics for a bug report, with the text of the failure, if any."""
        _open(ReportWindow(self._session, theme, parent, failure))

    def _reveal(self, path: Path) -> None:
        if not reveal(path):
            self._toasts.notice(f"Could not open {path}.")


def _open(window: QWidget) -> None:
    """Show a window that is deleted when it is closed."""
    window.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
    window.show()


def _version() -> str:
    """Return the installed version; "" if the program is not installed."""
    try:
        return version("llm-terrarium")
    except PackageNotFoundError:
        return ""
