"""Menu actions that do not involve the window's pages."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import QMessageBox, QWidget

from app.kit.file_dialogs import reveal
from app.kit.theme import ThemeProvider
from app.session.session import Session
from app.shell.diagnostics import diagnostics
from app.shell.toasts import Toasts

ABOUT = (
    "<h3>Terrarium</h3><p>Grow a small language model behind glass: tokenizer, architecture, training and chat in one "
    "window, on your own computer.</p><p>Every number on screen is measured, or derived from the model's own weights, "
    "or labelled as an estimate.</p>"
)


class ViewAndHelp:
    """The actions of a window that need nothing of its pages."""

    def __init__(self, session: Session, theme: ThemeProvider, toasts: Toasts) -> None:
        self._session, self._theme, self._toasts = session, theme, toasts

    def set_mode(self, mode: str) -> None:
        """Show a theme mode and remember it."""
        self._theme.set_mode(mode)
        self._session.remembered.set("theme", mode)

    def set_text_scale(self, scale: float) -> None:
        """Show a text size and remember it."""
        self._theme.set_text_scale(scale)
        self._session.remembered.set("text scale", self._theme.text_scale)

    def reveal_library(self) -> None:
        """Show the library's folder in the system's file manager."""
        self._reveal(self._session.library.home)

    def open_log(self) -> None:
        """Show the log file."""
        self._reveal(self._session.library.log_file)

    def copy_diagnostics(self) -> None:
        """Copy the diagnostics to the clipboard."""
        QGuiApplication.clipboard().setText(diagnostics(self._session.library, self._session.device.label))
        self._toasts.notice("Copied: paste it into your report.")

    def show_about(self, parent: QWidget) -> None:
        """Show the About box."""
        QMessageBox.about(parent, "About Terrarium", ABOUT)

    def _reveal(self, path: Path) -> None:
        if not reveal(path):
            self._toasts.notice(f"Could not open {path}.")
