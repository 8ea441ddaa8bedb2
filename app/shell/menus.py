"""The window's menus."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from PySide6.QtCore import Qt
from PySide6.QtGui import QAction, QActionGroup, QKeySequence
from PySide6.QtWidgets import QMainWindow, QMenu, QMessageBox, QWidget

from terrarium.app.kit.file_dialogs import reveal
from terrarium.app.kit.theme import ThemeProvider
from terrarium.app.session.routes import ChooseTexts, Go, ShowPlace, ShowPreferences, ShowTrash, StartQuickStart
from terrarium.app.session.session import Session
from terrarium.app.shell.keys import KEYS
from terrarium.app.shell.preferences import Preference, Preferences
from terrarium.app.shell.report_window import ReportWindow
from terrarium.app.shell.toasts import Toasts
from terrarium.app.shell.top_bar import HOME_KEYS, TABS
from terrarium.app.shell.undo_actions import UndoActions

FIND_ANYTHING = "Find anything…"
"""The entry that opens the command palette."""
ABOUT = (
    "<h3>Terrarium {}</h3><p>Grow a small language model behind glass, and teach it tasks of your own: tokenizer, "
    "data, architecture, training and chat in one window, on your own computer.</p><p>Every number on screen is "
    "measured, or derived from the model's own weights, or labelled as an estimate.</p>"
)


@dataclass(frozen=True, kw_only=True)
class MenuActions:
    """What the menu entries do: most of them `go` to a route."""

    go: Go
    open_run: Callable[[], object]
    import_folder: Callable[[], object]
    import_file: Callable[[], object]
    reveal_library: Callable[[], object]
    guide: Callable[[], object]
    help_here: Callable[[], object]
    find_anything: Callable[[], object]
    copy_link: Callable[[], object]
    open_log: Callable[[], object]
    report: Callable[[], object]
    extensions: Callable[[], object]
    about: Callable[[], object]
    licences: Callable[[], object]


def build_menus(window: QMainWindow, preferences: Preferences, undo: UndoActions, actions: MenuActions) -> None:
    """Fill the window's menu bar: File, Edit, View and Help."""
    bar, go = window.menuBar(), actions.go
    file = bar.addMenu("&File")
    _add(file, "Quic&k start", partial(go, StartQuickStart()), "Ctrl+Shift+Q")
    _add(file, "&New run", partial(go, ShowPlace("training/new")), "Ctrl+Shift+N")  # the chat tab uses Ctrl+N
    _add(file, "&Learn a task", partial(go, ShowPlace("training/recipes")), "Ctrl+Shift+L")
    _add(file, "&Open text file…", partial(go, ChooseTexts()), QKeySequence.StandardKey.Open)
    _add(file, "Open a .terrarium &file…", actions.open_run)
    file.addSeparator()
    _add(file, "&Models…", partial(go, ShowPlace("models")), "Ctrl+Shift+M")
    _add(file, "Import a &Hugging Face folder…", actions.import_folder)
    _add(file, "Import a &GGUF file…", actions.import_file)
    file.addSeparator()
    _add(file, "&Show library in folder", actions.reveal_library)
    _add(file, "&Trash…", partial(go, ShowTrash()))
    file.addSeparator()
    quit_action = _add(file, "&Quit", window.close, "Ctrl+Q")
    quit_action.setMenuRole(QAction.MenuRole.QuitRole)
    edit = bar.addMenu("&Edit")
    undo.add_to(edit)
    edit.addSeparator()
    _add(edit, "Copy a &link to this page", actions.copy_link, "Ctrl+Shift+K")
    _add(edit, FIND_ANYTHING, actions.find_anything, "Ctrl+K")
    entry = _add(edit, "&Preferences…", partial(go, ShowPreferences()), "Ctrl+,")
    entry.setMenuRole(QAction.MenuRole.PreferencesRole)
    view = bar.addMenu("&View")
    _add(view, "&Home", partial(go, ShowPlace("home")), HOME_KEYS)
    taken = set("hies")  # the access keys of the other entries
    for number, (name, text, _, _) in enumerate(TABS, start=1):
        at = next(at for at, letter in enumerate(text.lower()) if letter not in taken)
        taken.add(text[at].lower())
        _add(view, f"{text[:at]}&{text[at:]}", partial(go, ShowPlace(name)), f"Ctrl+{number}")
    view.addSeparator()
    _add_choices(view.addMenu("Deta&il"), preferences.detail)
    _add_choices(view.addMenu("Th&eme"), preferences.theme)
    size = view.addMenu("Text &size")
    _add(size, "&Larger", partial(preferences.change_text_size, 1), QKeySequence.StandardKey.ZoomIn)
    _add(size, "&Smaller", partial(preferences.change_text_size, -1), QKeySequence.StandardKey.ZoomOut)
    _add(size, "&Normal size", partial(preferences.text_size.choose, 1.0), "Ctrl+0")
    help_menu = bar.addMenu("&Help")
    _add(help_menu, "&Guide", actions.guide, "Ctrl+Shift+G")
    _add(help_menu, "&What is this? (glossary)", actions.help_here, "F1")
    _add(help_menu, "&Keyboard shortcuts", partial(go, ShowPreferences(KEYS)))
    _add(help_menu, "Open &log file", actions.open_log)
    _add(help_menu, "Log and &diagnostics to send…", actions.report)
    help_menu.addSeparator()
    _add(help_menu, "&Extensions…", actions.extensions)
    _add(help_menu, "L&icences…", actions.licences)
    _add(help_menu, "&About Terrarium", actions.about).setMenuRole(QAction.MenuRole.AboutRole)


def _add(
    menu: QMenu,
    text: str,
    action: Callable[[], object],
    shortcut: str | QKeySequence | QKeySequence.StandardKey | None = None,
) -> QAction:
    entry = menu.addAction(text)
    if shortcut is not None:
        entry.setShortcut(QKeySequence(shortcut))
    entry.triggered.connect(lambda checked=False: action())
    return entry


def _add_choices(menu: QMenu, preference: Preference) -> None:
    """Add an entry for each value of a preference, the current one checked."""
    group = QActionGroup(menu)
    for value, text in preference.choices():
        entry = _add(menu, text, partial(preference.choose, value))
        entry.setCheckable(True)
        entry.setData(value)
        group.addAction(entry)

    def mark() -> None:
        for entry in group.actions():
            entry.setChecked(entry.data() == preference.value())

    preference.changed.connect(mark)
    mark()


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
