"""The window's menus."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from PySide6.QtGui import QAction, QActionGroup, QKeySequence
from PySide6.QtWidgets import QMainWindow, QMenu

from app.kit.theme import MODES, TEXT_SCALES, ThemeProvider
from app.shell.top_bar import TABS

_MODE_LABELS = {"system": "System", "light": "Light", "dark": "Dark"}


@dataclass(frozen=True, kw_only=True)
class MenuActions:
    """The actions behind the menu entries."""

    new_run: Callable[[], object]
    open_text: Callable[[], object]
    import_folder: Callable[[], object]
    import_file: Callable[[], object]
    quickstart: Callable[[], object]
    reveal_library: Callable[[], object]
    show_trash: Callable[[], object]
    show_tab: Callable[[str], object]
    show_welcome: Callable[[], object]
    set_mode: Callable[[str], object]
    set_text_scale: Callable[[float], object]
    open_log: Callable[[], object]
    copy_diagnostics: Callable[[], object]
    about: Callable[[], object]


def build_menus(window: QMainWindow, theme: ThemeProvider, actions: MenuActions) -> None:
    """Fill the window's menu bar: File, View and Help."""
    bar = window.menuBar()
    file = bar.addMenu("&File")
    _add(file, "&Quick start", actions.quickstart, "Ctrl+Shift+Q")
    _add(file, "&New run", actions.new_run, "Ctrl+Shift+N")  # Ctrl+N is the chat tab's
    _add(file, "&Open text file…", actions.open_text, QKeySequence.StandardKey.Open)
    file.addSeparator()
    _add(file, "Import a &Hugging Face folder…", actions.import_folder)
    _add(file, "Import a &GGUF file…", actions.import_file)
    file.addSeparator()
    _add(file, "Reveal &library in folder", actions.reveal_library)
    _add(file, "&Trash…", actions.show_trash)
    file.addSeparator()
    quit_action = _add(file, "&Quit", window.close, "Ctrl+Q")
    quit_action.setMenuRole(QAction.MenuRole.QuitRole)
    view = bar.addMenu("&View")
    for number, (name, text, _, _) in enumerate(TABS, start=1):
        _add(view, f"&{text}", partial(actions.show_tab, name), f"Ctrl+{number}")
    _add(view, "&Home", actions.show_welcome)
    view.addSeparator()
    _add_exclusive(
        view.addMenu("Th&eme"),
        [(text, mode == theme.mode, partial(actions.set_mode, mode)) for mode, text in _MODE_LABELS.items()],
    )
    assert set(_MODE_LABELS) == set(MODES)
    size = view.addMenu("Text &size")
    _add(size, "&Larger", lambda: actions.set_text_scale(_next_scale(theme, 1)), QKeySequence.StandardKey.ZoomIn)
    _add(size, "&Smaller", lambda: actions.set_text_scale(_next_scale(theme, -1)), QKeySequence.StandardKey.ZoomOut)
    _add(size, "&Normal size", lambda: actions.set_text_scale(1.0), "Ctrl+0")
    help_menu = bar.addMenu("&Help")
    _add(help_menu, "&Home", actions.show_welcome)
    _add(help_menu, "Open &log file", actions.open_log)
    _add(help_menu, "&Copy diagnostics", actions.copy_diagnostics)
    help_menu.addSeparator()
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


def _add_exclusive(menu: QMenu, choices: list[tuple[str, bool, Callable[[], object]]]) -> None:
    group = QActionGroup(menu)
    for text, chosen, action in choices:
        entry = _add(menu, text, action)
        entry.setCheckable(True)
        entry.setChecked(chosen)
        group.addAction(entry)


def _next_scale(theme: ThemeProvider, by: int) -> float:
    nearest = min(range(len(TEXT_SCALES)), key=lambda i: abs(TEXT_SCALES[i] - theme.text_scale))
    return TEXT_SCALES[min(max(nearest + by, 0), len(TEXT_SCALES) - 1)]
