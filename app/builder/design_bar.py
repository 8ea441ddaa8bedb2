"""The bar above a design: its name, its actions, a status line, and the button that trains it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields

from PySide6.QtGui import QAction
from PySide6.QtWidgets import QMenu, QWidget

from terrarium.app.kit.basics import button, row, set_enabled, set_role
from terrarium.app.kit.inputs import line_edit, named
from terrarium.app.kit.labels import ElidedLabel
from terrarium.app.kit.theme import SPACE, ThemeProvider

_TRAIN_TIP = "Go to the Training tab with this design"
_TWIN_TIP = "Train this design and the same with the built-in part, as large: is the block better?"


@dataclass(frozen=True, kw_only=True)
class DesignActions:
    """The callbacks of the bar's controls; those of the menu are in its order."""

    save: Callable[[], object]
    train: Callable[[], object]
    train_twin: Callable[[], object]
    rename: Callable[[], object]
    duplicate: Callable[[], object]
    delete: Callable[[], object]
    revert: Callable[[], object]
    import_json: Callable[[], object]
    export_json: Callable[[], object]
    export_svg: Callable[[], object]
    export_png: Callable[[], object]


_MENU = {
    "rename": "Rename…",
    "duplicate": "Duplicate",
    "delete": "Delete",
    "revert": "Undo all changes",
    "import_json": "Import JSON…",
    "export_json": "Export JSON…",
    "export_svg": "Export diagram as SVG…",
    "export_png": "Export diagram as PNG…",
}
_GROUP_ENDS = ("delete", "revert", "export_json")
_NEEDS_LEGAL = ("duplicate", "export_json")


class DesignBar(QWidget):
    """The bar above a design; its `line` reports changes and problems."""

    def __init__(self, theme: ThemeProvider, actions: DesignActions, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.name = line_edit("Name of the design", "The name under which the design is saved", max_length=80)
        self.name.setFixedWidth(200)
        self.name.returnPressed.connect(lambda: actions.save())
        self.save = button("Save", theme, actions.save, icon="floppy-disk", tip="Save this design (Ctrl+S)")
        tip = "More: rename, duplicate, delete, import, export"
        self.more = named(button("", theme, icon="dots-three", tip=tip), "More")
        self.train = button("Train this design", theme, actions.train, icon="play-fill", role="primary", tip=_TRAIN_TIP)
        self.twin = button("Train beside its twin…", theme, actions.train_twin, icon="scales", tip=_TWIN_TIP)
        self.twin.hide()
        self.line = ElidedLabel()
        set_role(self.line, "caption")
        self.menu = QMenu(self.more)
        assert set(_MENU) <= {f.name for f in fields(actions)}
        for name, words in _MENU.items():
            action = self.menu.addAction(words)
            action.triggered.connect(lambda checked=False, name=name: getattr(actions, name)())
            action.setObjectName(name)
            if name in _GROUP_ENDS:
                self.menu.addSeparator()
        self.more.setMenu(self.menu)
        contents = self.name, self.save, self.more, SPACE, self.line, SPACE, self.twin, self.train
        self.setLayout(row(*contents, grows=self.line))

    def allow(self, *, is_own: bool, is_changed: bool, has_blocks: bool, problem: str) -> None:
        """Enable the actions that apply: some need one of the user's own designs, a changed or a legal one, or one with
        custom blocks.
        """
        self.twin.setVisible(has_blocks)
        set_enabled(self.twin, problem, _TWIN_TIP)
        set_enabled(self.save, problem, "Save this design (Ctrl+S)")
        set_enabled(self.train, problem, _TRAIN_TIP)
        allowed = {"rename": is_own, "delete": is_own, "revert": is_changed or bool(problem)}
        allowed |= dict.fromkeys(_NEEDS_LEGAL, not problem)
        for action in self.menu.actions():  # looked up each time: Qt may delete an action that Python still references
            action.setEnabled(allowed.get(action.objectName(), True))

    def action(self, name: str) -> QAction:
        """Return the menu's action for a field of `DesignActions`."""
        return next(action for action in self.menu.actions() if action.objectName() == name)

    def say(self, sentence: str, *, is_problem: bool = False) -> None:
        """Show a line about the design."""
        self.line.setText(sentence)
        set_role(self.line, "error" if is_problem else "caption")
