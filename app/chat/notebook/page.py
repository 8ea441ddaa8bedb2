"""A notebook: one text that the model goes on with, as far as one likes it."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import QTimer, Slot
from PySide6.QtGui import QTextCursor
from PySide6.QtWidgets import QCheckBox, QVBoxLayout, QWidget

from app.chat.modes.mode_page import ModePage, Problem
from app.chat.modes.one_reply import OneReply, Written
from app.chat.notebook.editor import NotebookEditor
from app.chat.notebook.file import Piece, Token
from app.chat.notebook.keeper import NotebookKeeper
from app.chat.notebook.text_end import End, end_of
from app.glass.focus import Focus
from app.glass.tokens.legend import TokenLegend
from app.kit.basics import button
from app.kit.labels import ElidedLabel
from app.kit.layout.flow_layout import FlowLayout
from app.kit.theme import SPACE, ThemeProvider
from app.session.chat_model import ChatModel
from app.session.session import Session
from app.worker.background import LatestTask
from app.worker.failures import Failure
from models.events import TokenMade
from models.number_words import counted
from models.settings.sampling_config import SamplingConfig

_PATIENCE_MS = 150
_EMPTY = "Write a beginning. “Go on” has the model write what comes next; change anything, and go on again."


class Notebook(ModePage):
    """The text, above it what can be done with it. It is kept on disk as it changes."""

    def __init__(self, session: Session, theme: ThemeProvider, focus: Focus, parent: QWidget | None = None) -> None:
        super().__init__(session, theme, focus, parent)
        self.draw: Callable[[], SamplingConfig] = SamplingConfig
        """Asked for the settings of each writing, its seed among them."""
        self.reply = OneReply(session, self)
        self.text_end: End | None = None
        self.wants_reply = self._goes_on = False
        self._after = ""
        self.keeper = NotebookKeeper(session.library, lambda: self.editor.pieces(), self)
        self.editor = NotebookEditor(theme)
        self.editor.setPlaceholderText(_EMPTY)
        self.go_on = button(
            "Go on", theme, self._on_go_on, icon="play", role="primary", tip="Let the model write on (Ctrl+Enter)"
        )
        self.go_on.setShortcut("Ctrl+Return")
        self.stop = button("Stop", theme, self._on_stop, icon="stop", tip="End the writing here (Esc)")
        self.stop.setShortcut("Esc")
        self.again = button(
            "Try again",
            theme,
            self._on_again,
            icon="arrows-clockwise",
            tip="Take the last writing back, and write anew",
        )
        self.undo = button("Undo", theme, self.editor.undo, icon="arrow-counter-clockwise", tip="Take a step back")
        self.redo = button("Redo", theme, self.editor.redo, icon="arrow-clockwise", tip="Take the step again")
        self.coloured = QCheckBox("Colour tokens")
        self.coloured.setToolTip("Colour what a model wrote by what it gave each token")
        self.legend = TokenLegend(theme)
        self.problem = Problem()
        self.status = ElidedLabel()
        self.status.setProperty("role", "caption")
        self._looking = LatestTask(self)
        self._patience = QTimer(self, singleShot=True, interval=_PATIENCE_MS)
        self._build()
        self.editor.set_pieces(self.keeper.found)
        self.editor.moveCursor(QTextCursor.MoveOperation.End)
        self._connect()
        self.model_is_new()

    def _build(self) -> None:
        layout = QVBoxLayout(self.body)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(SPACE)
        tools = QWidget()
        line = FlowLayout(tools)
        for tool in (self.go_on, self.stop, self.again, self.undo, self.redo, self.coloured, self.legend):
            line.addWidget(tool)
        layout.addWidget(tools)
        layout.addWidget(self.editor, 1)
        layout.addWidget(self.problem)
        layout.addWidget(self.status)
        self.legend.setMaximumWidth(300)
        self.legend.hide()

    def _connect(self) -> None:
        self.editor.textChanged.connect(self._on_edited)
        self.editor.undoAvailable.connect(self._show_state)
        self.editor.redoAvailable.connect(self._show_state)
        self.editor.hovered.connect(self._on_hovered)
        self.editor.pressed.connect(self._on_pressed)
        self.editor.walked.connect(self._on_walked)
        self.editor.released.connect(self.focus.unlock)
        for signal in (self.focus.text_changed, self.focus.place_changed, self.focus.lock_changed):
            signal.connect(self._show_place)
        self.editor.refused.connect(self.problem.say)
        self.coloured.toggled.connect(self._colour)
        self.legend.chosen.connect(self._colour)
        self._patience.timeout.connect(self._look)
        self._looking.done.connect(self._on_looked)
        self._looking.failed.connect(self._on_not_looked)
        self.keeper.problem.connect(self.problem.say)
        self.reply.began.connect(self._on_began)
        self.reply.grew.connect(self._on_grew)
        self.reply.ended.connect(self._on_ended)
        self.focus.branch_asked.connect(self._on_branch)
        self._session.chat.changed.connect(self._show_state)

    def refusal(self, model: ChatModel) -> tuple[str, str] | None:
        if model.config.topology != "decoder-only":
            return "No notebook with this model", "Texts are gone on with by decoders, such as GPT-2: choose one above."
        return None

    @Slot()
    def model_is_new(self) -> None:
        super().model_is_new()
        self.wants_reply = False
        self._on_other_text()

    # -- the text ------------------------------------------------------------------------------------------------------

    @Slot()
    def _on_edited(self) -> None:
        self.keeper.keep()
        self._on_other_text()

    def _on_other_text(self) -> None:
        """How much of it the model reads is to be found out."""
        self.text_end = None
        self._patience.start()
        self._show_state()

    @Slot()
    def _look(self) -> None:
        """Find out how much of the text the model reads."""
        model, tokenizer = self._session.chat.model, self._session.chat.tokenizer
        if model is not None and tokenizer is not None and not self.words:
            text, length = self.editor.text, model.context_length
            self._looking.ask(lambda: end_of(tokenizer, text, length))

    @Slot(object)
    def _on_looked(self, end: End) -> None:
        if end.text == self.editor.text:
            self.text_end = end
            self.editor.set_unread(end.start)
            if self.wants_reply:
                self._ask()
        elif self.wants_reply:
            self._look()
        self._show_state()

    @Slot(object)
    def _on_not_looked(self, failure: Failure) -> None:
        self.wants_reply = False
        self.problem.say(failure.sentence)
        self._show_state()

    @Slot()
    def _show_state(self) -> None:
        busy, document = self.reply.busy or self.wants_reply, self.editor.document()
        free = self._session.chat.state == "ready"
        self.go_on.setVisible(not busy)
        self.stop.setVisible(busy)
        self.go_on.setEnabled(free and not document.isEmpty())
        self.again.setEnabled(free and not busy and self._stands)
        self.undo.setEnabled(document.isUndoAvailable() and not busy)
        self.redo.setEnabled(document.isRedoAvailable() and not busy)
        self.editor.setReadOnly(busy)
        self.status.setText(notebook_words(self.text_end, self.reply.written))

    @property
    def _stands(self) -> bool:
        """Whether the text is as it was after the last writing."""
        n = len(self._after.encode("utf-16-le", "surrogatepass")) // 2  # as Qt counts: quickly told from most others
        return n > 0 and self.editor.document().characterCount() == n + 1 and self.editor.text == self._after

    @Slot()
    def _colour(self) -> None:
        self.legend.setVisible(self.coloured.isChecked())
        self.editor.set_quantity(self.legend.quantity if self.coloured.isChecked() else "")

    # -- writing -------------------------------------------------------------------------------------------------------

    @Slot()
    def _on_go_on(self) -> None:
        self.problem.say("")
        self.wants_reply = True
        if self.text_end is None or self.text_end.text != self.editor.text:
            self._look()
            self._show_state()
        else:
            self._ask()

    def _ask(self) -> None:
        assert self.text_end is not None
        self.wants_reply, self._goes_on = False, False
        self.editor.writing += 1
        self.reply.ask(self.text_end.text[self.text_end.start :], self.draw())
        self._show_state()

    def _on_stop(self) -> None:
        self.wants_reply = False
        self.reply.stop()
        self._show_state()

    def _on_again(self) -> None:
        self.editor.undo()
        self._on_go_on()

    @Slot(int, int)
    def _on_branch(self, place: int, id: int) -> None:
        """Go on with another token in the place of one that was written."""
        read, written = self._read, self.reply.written
        if read is None or self.focus.text is not read or written is None or self._session.chat.state != "ready":
            return
        index = place - read.n_prompt
        first, before = self.editor.text_before(0), self.editor.text_before(index)
        if first is None or before is None or not first.endswith(written.said):
            self.problem.say("The text has changed there, so nothing can go on from this token.")
            return
        begun = (*read.ids[read.n_prompt : place], id)
        self.editor.cut_from(index)
        self._goes_on = True
        self.reply.ask(written.said, self.draw(), begun)
        self._show_state()

    @Slot(str)
    def _on_began(self, begun: str) -> None:
        written = self.reply.written
        assert written is not None
        if written.begun:
            first = self.editor.text_before(0)
            stands = len(self.editor.text) - len(first) if first is not None else 0
            index = len(written.begun) - 1
            self.editor.write([Piece(begun[stands:], Token(written.begun[-1]))], index, goes_on=True)

    @Slot(object)
    def _on_grew(self, tokens: tuple[TokenMade, ...]) -> None:
        written = self.reply.written
        assert written is not None
        index = len(written.begun) + len(written.tokens) - len(tokens)
        pieces = [Piece(t.text, Token(t.id, t.probability, t.entropy, t.rank)) for t in tokens]
        self.editor.write(pieces, index, goes_on=self._goes_on)
        self._goes_on = True

    @Slot()
    def _on_ended(self) -> None:
        written, tokenizer = self.reply.written, self._session.chat.tokenizer
        assert written is not None
        self._after = self.editor.text if written.tokens else ""
        self.look_into(written.read(tokenizer) if tokenizer is not None else None)
        cursor = self.editor.textCursor()
        cursor.movePosition(QTextCursor.MoveOperation.End)
        self.editor.setTextCursor(cursor)
        self._show_state()

    # -- the glass box -------------------------------------------------------------------------------------------------

    @Slot(int)
    def _on_hovered(self, index: int) -> None:
        if self._read is not None and self.focus.text is self._read:
            self.focus.hover(self._read.n_prompt + index if index >= 0 else None)

    @Slot(int)
    def _on_pressed(self, index: int) -> None:
        if self._read is not None and not self.reply.busy:
            self.focus.show(self._read)
            self.focus.press(self._read.n_prompt + index)

    @Slot(int)
    def _on_walked(self, index: int) -> None:
        """The text cursor leads the lock along."""
        if self._read is not None and self.focus.text is self._read and self.focus.locked is not None:
            self.focus.lock(self._read.n_prompt + index)

    @Slot()
    def _show_place(self) -> None:
        read, place = self._read, self.focus.place
        index = place - read.n_prompt if read is not None and self.focus.text is read and place is not None else -1
        self.editor.outline(index, locked=self.focus.locked is not None)


def notebook_words(end: End | None, written: Written | None) -> str:
    """A line about the text, whose `end` the model reads (None: not known yet), and about the last writing."""
    said = []
    if end is not None:
        if end.start:
            said.append(f"The model reads the last {end.n_tokens:,} tokens; what is faint does not fit")
        else:
            said.append(counted(end.n_tokens, "token"))
    if written is not None and written.tokens:
        n, finished = len(written.tokens), written.finished
        speed = f" at {finished.tokens_per_s:,.0f} tokens/s" if finished is not None and finished.tokens_per_s else ""
        said.append(f"last written: {counted(n, 'token')}{speed}, seed {written.sampling.seed}")
        if finished is not None and finished.reason == "stop":
            said.append("the model ended the text here")
    return " · ".join(said)
