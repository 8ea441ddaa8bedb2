"""Undo and Redo of the Edit menu: for the focused text field, else for the tab in view."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from PySide6.QtCore import QEvent, QObject, Slot
from PySide6.QtGui import QAction, QKeyEvent, QKeySequence, QUndoStack
from PySide6.QtWidgets import (
    QAbstractSpinBox,
    QApplication,
    QComboBox,
    QLineEdit,
    QMenu,
    QMenuBar,
    QPlainTextEdit,
    QTextEdit,
    QWidget,
)
from shiboken6 import isValid

from terrarium.app.kit.basics import without_mnemonic
from terrarium.app.session.undo import Undo


@dataclass(frozen=True)
class _Target:
    """The target of Undo and Redo, with the texts of the steps that they would undo and redo."""

    undo: Callable[[], object]
    redo: Callable[[], object]
    can_undo: bool
    can_redo: bool
    undo_words: str = ""
    redo_words: str = ""


class UndoActions(QObject):
    """Undo and Redo. While a text field has the focus, they act on it if it has something to undo or redo.

    Args:
        text_in_view: returns the text that the page in view edits, None if it edits none.
    """

    def __init__(self, undo: Undo, text_in_view: Callable[[], QPlainTextEdit | None], parent: QObject) -> None:
        super().__init__(parent)
        self._steps, self._text_in_view = undo, text_in_view
        self._focus: QWidget | None = None
        self.undo, self.redo = QAction("&Undo", self), QAction("&Redo", self)
        self.undo.setShortcut(QKeySequence.StandardKey.Undo)
        self.redo.setShortcut(QKeySequence.StandardKey.Redo)
        self.undo.triggered.connect(lambda: self._act("undo"))
        self.redo.triggered.connect(lambda: self._act("redo"))
        app = QApplication.instance()
        assert isinstance(app, QApplication)
        app.focusChanged.connect(self._on_focus)

    def add_to(self, menu: QMenu) -> None:
        """Add the actions to a menu; while it is open, their texts name the steps to undo and redo."""
        menu.addActions([self.undo, self.redo])
        menu.aboutToShow.connect(self.show_state)
        menu.aboutToHide.connect(self._on_hidden)

    @Slot()
    def show_state(self) -> None:
        """Update the texts and the enabled state of both actions."""
        self._steps.forget_stale()
        target = self._target()
        for action, words, what, possible in (
            (self.undo, "&Undo", target.undo_words, target.can_undo),
            (self.redo, "&Redo", target.redo_words, target.can_redo),
        ):
            action.setText(f"{words} {without_mnemonic(what)}".rstrip() if possible else words)
            action.setEnabled(possible)

    @Slot()
    def _on_hidden(self) -> None:
        """Enable both actions, so that their shortcuts work: whether they apply is determined when they are pressed."""
        for action, words in ((self.undo, "&Undo"), (self.redo, "&Redo")):
            action.setText(words)
            action.setEnabled(True)

    def _act(self, name: str) -> None:
        self._steps.forget_stale()
        target = self._target()
        if name == "undo" and target.can_undo:
            target.undo()
        elif name == "redo" and target.can_redo:
            target.redo()

    def _target(self) -> _Target:
        field = self._field()
        if field is not None and (field.can_undo or field.can_redo):
            return field
        text = self._text_in_view()
        if text is not None:
            return _of_text(text, "change of the text")
        stack = self._steps.group.activeStack()
        return _of_stack(stack) if stack is not None else _Target(_nothing, _nothing, False, False)

    def _field(self) -> _Target | None:
        """Return the focused text field as a target, or None."""
        widget = self._focus if self._focus is not None and isValid(self._focus) else None
        if isinstance(widget, QAbstractSpinBox | QComboBox):
            widget = widget.lineEdit()
        if isinstance(widget, QLineEdit):
            can_undo, can_redo = widget.isUndoAvailable(), widget.isRedoAvailable()
            return _Target(widget.undo, widget.redo, can_undo, can_redo, "typing", "typing")
        if isinstance(widget, QPlainTextEdit | QTextEdit) and not widget.isReadOnly():
            return _of_text(widget, "typing")
        return None

    @Slot(QWidget, QWidget)
    def _on_focus(self, old: QWidget | None, new: QWidget | None) -> None:
        if isinstance(new, QMenu | QMenuBar) or new is None or new is self._focus:
            return
        if self._focus is not None and isValid(self._focus):
            self._focus.removeEventFilter(self)
        self._focus = new
        if self._field() is not None:
            new.installEventFilter(self)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Let the shortcuts reach the menu if the focused field has nothing to undo or redo."""
        if event.type() == QEvent.Type.ShortcutOverride and isinstance(event, QKeyEvent):
            keys = QKeySequence.StandardKey
            field = self._field()
            is_empty = field is not None and not (field.can_undo or field.can_redo)
            if is_empty and (event.matches(keys.Undo) or event.matches(keys.Redo)):
                event.ignore()
                return True
        return False


def _nothing() -> None:
    """Do nothing."""


def _of_text(text: QPlainTextEdit | QTextEdit, words: str) -> _Target:
    document, is_free = text.document(), not text.isReadOnly()
    can_undo, can_redo = is_free and document.isUndoAvailable(), is_free and document.isRedoAvailable()
    return _Target(text.undo, text.redo, can_undo, can_redo, words, words)


def _of_stack(stack: QUndoStack) -> _Target:
    return _Target(stack.undo, stack.redo, stack.canUndo(), stack.canRedo(), stack.undoText(), stack.redoText())
