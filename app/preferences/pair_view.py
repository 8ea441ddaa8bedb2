"""The pair to judge: its prompt, two anonymous replies, and a key for each choice."""

from __future__ import annotations

from PySide6.QtCore import QPoint, Qt, Signal, Slot
from PySide6.QtGui import QKeyEvent, QMouseEvent, QTextCursor
from PySide6.QtWidgets import (
    QFrame,
    QPlainTextEdit,
    QPushButton,
    QSizePolicy,
    QWidget,
)

from terrarium.app.kit.basics import EmptyState, button, column, frame, group, label, row, scrolling, show_only, stacked
from terrarium.app.kit.inputs import named
from terrarium.app.kit.labels import ElidedLabel
from terrarium.app.kit.layout.flow_layout import flowing
from terrarium.app.kit.text.word_difference import ComparedText
from terrarium.app.kit.theme import SPACE, ThemeProvider
from terrarium.models.preferences.store import Pair, Reply

SIDES = ("left", "right")
_CUT = "Cut off at the length limit."
_EDIT_HINT = "Which one do you want to improve? Choose left or right; Esc: neither."
_KEYS = {
    Qt.Key.Key_Left: "left",
    Qt.Key.Key_Right: "right",
    Qt.Key.Key_Down: "tie",
    Qt.Key.Key_Up: "bad",
    Qt.Key.Key_S: "skip",
}


class ReplyEditor(QPlainTextEdit):
    """The editor of a reply.

    Signals:
        entered(): Enter was pressed, without Shift.
    """

    entered = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.setTabChangesFocus(True)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Ignored)  # takes the space of the reply
        self.setMinimumHeight(72)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        is_enter = event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter)
        if is_enter and not event.modifiers() & Qt.KeyboardModifier.ShiftModifier:
            self.entered.emit()
        else:
            super().keyPressEvent(event)


class ReplyCard(QFrame):
    """One of the two replies, with an editor.

    Signals:
        pressed(): the reply was clicked.
        saved(text): its edited text, which differs from the original.
        closed(): editing was cancelled, or changed nothing.
    """

    pressed = Signal()
    saved = Signal(str)
    closed = Signal()

    def __init__(self, side: str, theme: ThemeProvider, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setProperty("role", "card")
        self.setAccessibleName(f"{side.capitalize()} reply")
        self.setMinimumWidth(220)
        self.reply: Reply | None = None
        self._before = ""
        self.text = ComparedText(f"{side.capitalize()} reply", theme)
        self.note = label(_CUT, "caption")
        self.field = named(ReplyEditor(), "Improved reply")
        self.save = button("Save", theme, self._save, role="primary", tip="It beats both replies (Enter)")
        self.cancel = button("Cancel", theme, self.closed.emit, tip="Keep it unchanged (Esc)")
        hint = label("Saved as a third reply, which is better than both.", "caption", wrap=True)
        line = row(hint, self.cancel, self.save, grows=hint)
        self._editor = group(self.field, line, spacing=SPACE // 2)
        self._editor.hide()
        self._area = scrolling(group(self.text, self.note, None))
        self._area.setFocusPolicy(Qt.FocusPolicy.NoFocus)  # its keys are choices
        self.setLayout(
            column(
                label(side.capitalize(), "caption"),
                self._area,
                self._editor,
                margin=(2 * SPACE, SPACE + SPACE // 2, 2 * SPACE, 2 * SPACE),
                grows=(self._area, self._editor),
            )
        )
        self.field.entered.connect(self._save)

    def show_reply(self, reply: Reply, other: Reply, *, marked: bool) -> None:
        """Show a reply, optionally with the words marked in which it differs from `other`."""
        self.reply = reply
        self.text.show_text(reply.content, other.content, marked=marked)
        self.note.setVisible(not reply.ended)

    @property
    def is_edited(self) -> bool:
        """Whether the reply is being edited."""
        return not self._editor.isHidden()

    def edit(self) -> None:
        """Let the user edit the reply."""
        assert self.reply is not None
        self.field.setPlainText(self.reply.content)
        self._before = self.field.toPlainText().strip()  # the field changes line ends and spaces
        show_only({self._area: False, self._editor: True})
        self.field.setFocus()
        self.field.moveCursor(QTextCursor.MoveOperation.End)

    def stop_editing(self) -> None:
        """Close the editor, and show the reply again."""
        show_only({self._editor: False, self._area: True})

    @Slot()
    def _save(self) -> None:
        text = self.field.toPlainText().strip()
        if text and text != self._before:
            self.saved.emit(text)
        else:
            self.closed.emit()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if event.key() == Qt.Key.Key_Escape and self.is_edited:
            self.closed.emit()
        else:
            super().keyPressEvent(event)

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        super().mouseReleaseEvent(event)
        if not self.is_edited and self.rect().contains(QPoint(int(event.position().x()), int(event.position().y()))):
            self.pressed.emit()


class PairView(QWidget):
    """Shows one pair, or why there is none. It has the keyboard focus while a pair is judged.

    Signals:
        chosen(choice): "left", "right", "tie", "bad" or "skip".
        edited(side, text): the reply at this side is better than the other one, and was edited.
        undo_requested(): undo the last choice.
    """

    chosen = Signal(str)
    edited = Signal(str, str)
    undo_requested = Signal()

    def __init__(self, theme: ThemeProvider, start: QPushButton, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setAccessibleName("Two replies to compare")
        self.pair: Pair | None = None
        self._is_marked = self._picks_edit = False
        self.prompt = label("", wrap=True, selectable=True)
        self.cards = {side: ReplyCard(side, theme) for side in SIDES}
        self.hint = ElidedLabel()
        self.hint.setProperty("role", "caption")
        self.buttons = {
            "left": self._button("←  Left is better", theme, "The left reply is better (Left)", primary=True),
            "tie": self._button("↓  About equal", theme, "Neither is better (Down)"),
            "bad": self._button("↑  Both bad", theme, "Neither is any good (Up)"),
            "right": self._button("Right is better  →", theme, "The right reply is better (Right)", primary=True),
            "skip": self._button("S  Skip", theme, "Skip this pair (S)", role="quiet"),
        }
        self.undo = self._button("U  Undo", theme, "Undo the last choice (U)", role="quiet")
        self.edit = self._button(
            "E  Edit the better one", theme, "Improve the better one; your version then beats both (E)", role="quiet"
        )
        self.differences = self._button(
            "Space  Differences", theme, "Mark the words in which they differ (Space)", role="quiet"
        )
        self.differences.setCheckable(True)
        self._empty = EmptyState("", "", start)
        self._start = start
        self._pages = stacked(self._empty, self._body())
        self.setLayout(column(self._pages))
        for choice, made in self.buttons.items():
            made.clicked.connect(lambda checked=False, choice=choice: self.choose(choice))
        self.undo.clicked.connect(self._on_undo)
        self.edit.clicked.connect(self._on_edit)
        self.differences.clicked.connect(self._on_differences)
        for side, card in self.cards.items():
            card.pressed.connect(lambda side=side: self._on_pressed(side))
            card.saved.connect(lambda text, side=side: self.edited.emit(side, text))
            card.closed.connect(self.stop_editing)

    def _button(
        self, words: str, theme: ThemeProvider, tip: str, *, role: str = "", primary: bool = False
    ) -> QPushButton:
        made = button(words, theme, tip=tip, role=role)
        made.setFocusPolicy(Qt.FocusPolicy.TabFocus)  # a click does not take the keyboard focus
        if primary:
            made.setMinimumHeight(40)
        return made

    def _body(self) -> QWidget:
        asked = frame("sunken", self.prompt, margin=(2 * SPACE, SPACE, 2 * SPACE, SPACE))
        sides = row(*self.cards.values(), spacing=SPACE + SPACE // 2, grows=list(self.cards.values()))
        shares = {self.buttons[name]: 3 if name in SIDES else 2 for name in ("left", "tie", "bad", "right")}
        for made in shares:
            made.setMinimumHeight(40)
        choices = row(*shares, grows=shares)
        more = flowing(self.buttons["skip"], self.undo, self.edit, self.differences, spacing=SPACE // 2)
        return group(asked, sides, choices, more, self.hint, spacing=SPACE + SPACE // 2, grows=sides)

    # -- Content -------------------------------------------------------------------------------------------------------

    def show_pair(self, pair: Pair) -> None:
        """Show a pair to judge."""
        self.pair = pair
        self.stop_editing()
        said = [message for message in pair.prompt if message["role"] != "system"]
        earlier = "\n".join(f"{message['role'].capitalize()}: {message['content']}" for message in said[:-1])
        self.prompt.setText("\n".join(filter(None, (earlier, said[-1]["content"]))))
        self._show_replies()
        had_focus = self.window().focusWidget() is None or self.isAncestorOf(self.window().focusWidget())
        self._pages.setCurrentIndex(1)
        if had_focus or self.hasFocus():
            self.setFocus()

    def show_words(self, heading: str, sentence: str, *, can_start: bool) -> None:
        """Show why there is no pair."""
        self.pair = None
        self._empty.set_words(heading, sentence)
        self._start.setVisible(can_start)
        self._pages.setCurrentIndex(0)

    @property
    def words(self) -> str:
        """The message shown in place of a pair; "" while a pair is shown."""
        return self._empty.words if self.pair is None else ""

    def say(self, sentence: str) -> None:
        """Show a line below the buttons, such as who wrote the last two replies."""
        self.hint.setText(sentence)

    def reply_at(self, side: str) -> Reply:
        """Return the reply at a side of the shown pair."""
        assert self.pair is not None
        return self.pair.a if self.pair.at(side) == "a" else self.pair.b

    def _show_replies(self) -> None:
        left, right = self.reply_at("left"), self.reply_at("right")
        self.cards["left"].show_reply(left, right, marked=self._is_marked)
        self.cards["right"].show_reply(right, left, marked=self._is_marked)

    # -- Choosing ------------------------------------------------------------------------------------------------------

    def choose(self, choice: str) -> None:
        """Make a choice. If the user asked to edit a reply, left and right open its editor instead."""
        if self.pair is None:
            return
        if self._picks_edit and choice in SIDES:
            self._picks_edit = False
            self.cards[choice].edit()
            self._enable()
            self.say("")
        elif not any(card.is_edited for card in self.cards.values()):
            self.stop_editing()
            self.chosen.emit(choice)

    @Slot()
    def stop_editing(self) -> None:
        """Close the editor, or cancel the choice of a reply to edit."""
        was_edited = self._picks_edit or any(card.is_edited for card in self.cards.values())
        self._picks_edit = False
        for card in self.cards.values():
            card.stop_editing()
        self._enable()
        if was_edited:
            self.say("")
            self.setFocus()

    def _enable(self) -> None:
        """Disable the choices while a reply is being edited."""
        is_edited = any(card.is_edited for card in self.cards.values())
        for made in (*self.buttons.values(), self.edit, self.differences):
            made.setEnabled(not is_edited)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        key = Qt.Key(event.key())
        if self.pair is None or event.modifiers() & ~Qt.KeyboardModifier.KeypadModifier:
            super().keyPressEvent(event)
        elif key in _KEYS:
            self.choose(_KEYS[key])
        elif key == Qt.Key.Key_U:
            self._on_undo()
        elif key == Qt.Key.Key_E:
            self._on_edit()
        elif key == Qt.Key.Key_Space:
            self.differences.toggle()
            self._on_differences()
        elif key == Qt.Key.Key_Escape and self._picks_edit:
            self.stop_editing()
        else:
            super().keyPressEvent(event)

    @Slot()
    def _on_undo(self) -> None:
        self.stop_editing()
        self.undo_requested.emit()

    @Slot()
    def _on_edit(self) -> None:
        if self.pair is not None:
            self.stop_editing()
            self._picks_edit = True
            self.say(_EDIT_HINT)

    @Slot()
    def _on_differences(self) -> None:
        self._is_marked = self.differences.isChecked()
        if self.pair is not None:
            self._show_replies()

    def _on_pressed(self, side: str) -> None:
        """Choose a clicked reply for editing if the user asked for that; otherwise take the keyboard focus."""
        if self._picks_edit:
            self.choose(side)
        else:
            self.setFocus()
