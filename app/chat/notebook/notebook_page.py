"""The notebook page: a text that the user and the model write together."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from PySide6.QtCore import QTimer, Slot
from PySide6.QtGui import QTextCursor
from PySide6.QtWidgets import QCheckBox, QWidget

from terrarium.app.chat.notebook.editor import NotebookEditor
from terrarium.app.chat.notebook.file import NotebookKeeper, Segment, WrittenToken
from terrarium.app.glass.focus import Focus
from terrarium.app.glass.partial_reply import PartialReply
from terrarium.app.glass.tokens.legend import TokenLegend
from terrarium.app.kit.basics import button, column, frame, label, set_enabled
from terrarium.app.kit.labels import ElidedLabel
from terrarium.app.kit.layout.flow_layout import wrapping
from terrarium.app.kit.theme import SPACE, ThemeProvider
from terrarium.app.session.chat_model import ChatModel
from terrarium.app.session.session import Session
from terrarium.app.task_pages.mode_page import ErrorLabel, ModePage
from terrarium.app.task_pages.one_reply import OneReply
from terrarium.app.worker.background import LatestTask
from terrarium.app.worker.failures import Failure
from terrarium.models.events import TokenMade
from terrarium.models.number_words import format_count, format_speed
from terrarium.models.settings.sampling_config import MAX_BIAS, SamplingConfig

if TYPE_CHECKING:
    from tokenizers import Tokenizer

_PATIENCE_MS = 150
_CHARACTERS_PER_TOKEN = 8
"""An upper estimate: so many characters per token of the context are tokenized at the end of a long text."""
_AT_END = "The model ended the text right here: it expects nothing to follow."
_EMPTY = "Write a beginning. “Continue writing” lets the model add to it; change anything, and continue again."


class ReadTail(NamedTuple):
    """The end of a text that the model reads: the text before character `start` does not fit its context."""

    text: str
    start: int
    n_tokens: int


class Notebook(ModePage):
    """An editor with its tools above; saved as it changes."""

    def __init__(self, session: Session, theme: ThemeProvider, focus: Focus, parent: QWidget | None = None) -> None:
        super().__init__(session, theme, focus, parent)
        self.draw: Callable[[], SamplingConfig] = SamplingConfig
        """Returns the sampling settings of each generation, including its seed."""
        self.reply = OneReply(session, self)
        self.text_end: ReadTail | None = None
        self.wants_reply = self._joins_undo = False
        self._is_past_end = False  # whether the last generation was not allowed to end the text
        self._after = self._asked = ""
        self.keeper = NotebookKeeper(session.library, lambda: self.editor.segments(), self)
        self.editor = NotebookEditor(theme)
        self.setFocusProxy(self.editor)
        self.editor.setPlaceholderText(_EMPTY)
        self.continue_button = button(
            "Continue writing",
            theme,
            self._on_continue,
            icon="play",
            role="primary",
            tip="Let the model continue the text (Ctrl+Enter)",
        )
        self.continue_button.setShortcut("Ctrl+Return")
        self.stop = button("Stop", theme, self._on_stop, icon="stop", tip="Stop writing (Esc)")
        self.stop.setShortcut("Esc")
        self.again = button(
            "Try again",
            theme,
            self._on_again,
            icon="arrows-clockwise",
            tip="Undo what the model wrote last, and write again",
        )
        self.past_end = button(
            "Write on past the end",
            theme,
            self._on_past_end,
            icon="play",
            tip="Continue without the token that ends a text; what comes then may be a new text",
        )
        self.undo = button("Undo", theme, self.editor.undo, icon="arrow-counter-clockwise", tip="Undo the last change")
        self.redo = button("Redo", theme, self.editor.redo, icon="arrow-clockwise", tip="Redo the change")
        self.coloured = QCheckBox("Colour tokens")
        self.coloured.setToolTip("Colour what a model wrote by probability, entropy or rank")
        self.legend = TokenLegend(theme)
        self.problem = ErrorLabel()
        self.status = ElidedLabel()
        self.status.setProperty("role", "caption")
        self._measuring = LatestTask(self)
        self._patience = QTimer(self, singleShot=True, interval=_PATIENCE_MS)
        self._build()
        self.editor.set_segments(self.keeper.found)
        self.editor.moveCursor(QTextCursor.MoveOperation.End)
        self._connect()
        self.on_model_changed()

    def _build(self) -> None:
        edits = self.again, self.undo, self.redo, self.coloured, self.legend
        tools, words = wrapping(self.continue_button, self.stop, *edits), label(_AT_END, wrap=True)
        self.at_end = frame("banner", words, self.past_end, horizontal=True, margin=SPACE, grows=words)
        self.body.setLayout(column(tools, self.editor, self.at_end, self.problem, self.status, grows=self.editor))
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
        for signal in (self.focus.text_changed, self.focus.position_changed, self.focus.lock_changed):
            signal.connect(self._show_position)
        self.editor.refused.connect(self.problem.say)
        self.coloured.toggled.connect(self._colour)
        self.legend.chosen.connect(self._colour)
        self._patience.timeout.connect(self._measure_text)
        self._measuring.done.connect(self._on_measured)
        self._measuring.failed.connect(self._on_measure_failed)
        self.keeper.problem.connect(self.problem.say)
        self.reply.started.connect(self._on_started)
        self.reply.appended.connect(self._on_appended)
        self.reply.ended.connect(self._on_ended)
        self.focus.branch_requested.connect(self._on_branch)
        self._session.chat.changed.connect(self._show_state)

    def refusal(self, model: ChatModel) -> tuple[str, str] | None:
        if model.config.topology != "decoder-only":
            return "No notebook with this model", "Only decoders such as GPT-2 continue a text: choose one above."
        return None

    @Slot()
    def on_model_changed(self) -> None:
        super().on_model_changed()
        self.wants_reply = False
        self._on_other_text()

    # -- the text ------------------------------------------------------------------------------------------------------

    @Slot()
    def _on_edited(self) -> None:
        self.keeper.keep()
        self._on_other_text()

    def _on_other_text(self) -> None:
        """Schedule a new measurement of the part that the model reads, after the text or the model has changed."""
        self.text_end = None
        self._patience.start()
        self._show_state()

    @Slot()
    def _measure_text(self) -> None:
        """Measure in the background how much of the text the model reads."""
        model, tokenizer = self._session.chat.model, self._session.chat.tokenizer
        if model is not None and tokenizer is not None and not self.words:
            text, length = self.editor.text, model.context_length
            self._measuring.ask(lambda: read_tail(tokenizer, text, length))

    @Slot(object)
    def _on_measured(self, end: ReadTail) -> None:
        if end.text == self.editor.text:
            self.text_end = end
            self.editor.set_unread(end.start)
            if self.wants_reply:
                self._ask()
        elif self.wants_reply:
            self._measure_text()
        self._show_state()

    @Slot(object)
    def _on_measure_failed(self, failure: Failure) -> None:
        self.wants_reply = False
        self.problem.say(failure.sentence)
        self._show_state()

    @Slot()
    def _show_state(self) -> None:
        busy, document = self.reply.busy or self.wants_reply, self.editor.document()
        free = self._session.chat.state == "ready"
        self.continue_button.setVisible(not busy)
        self.stop.setVisible(busy)
        no_model = "" if free else "No model can write now."
        set_enabled(self.continue_button, no_model or ("Write a beginning first." if document.isEmpty() else ""))
        writes = "The model is writing." if busy else ""
        is_changed = "" if self._is_unchanged else "The model has written nothing yet, or the text was changed since."
        set_enabled(self.again, writes or no_model or is_changed)
        set_enabled(self.undo, writes or ("" if document.isUndoAvailable() else "There is nothing to undo."))
        set_enabled(self.redo, writes or ("" if document.isRedoAvailable() else "There is nothing to redo."))
        self.editor.setReadOnly(busy)
        self.at_end.setVisible(not busy and self._has_ended)
        set_enabled(self.past_end, no_model)
        self.status.setText(describe_notebook(self.text_end, self.reply.written, is_past_end=self._is_past_end))

    @property
    def _has_ended(self) -> bool:
        """Whether the model was asked to continue this text, and immediately ended it."""
        written = self.reply.written
        ended = written is not None and written.finished is not None and written.finished.reason == "stop"
        return ended and written is not None and not written.text and self.editor.text == self._asked

    @property
    def _is_unchanged(self) -> bool:
        """Whether the text is unchanged since the model's last generation."""
        n = len(self._after.encode("utf-16-le", "surrogatepass")) // 2  # in UTF-16 units, as in Qt: a cheap first check
        return n > 0 and self.editor.document().characterCount() == n + 1 and self.editor.text == self._after

    @Slot()
    def _colour(self) -> None:
        self.legend.setVisible(self.coloured.isChecked())
        self.editor.set_quantity(self.legend.quantity if self.coloured.isChecked() else "")

    # -- writing -------------------------------------------------------------------------------------------------------

    @Slot()
    def _on_continue(self) -> None:
        self._write(past_end=False)

    @Slot()
    def _on_past_end(self) -> None:
        self._write(past_end=True)

    def _write(self, *, past_end: bool) -> None:
        self._is_past_end = past_end
        self.problem.say("")
        self.wants_reply = True
        if self.text_end is None or self.text_end.text != self.editor.text:
            self._measure_text()
            self._show_state()
        else:
            self._ask()

    def _ask(self) -> None:
        assert self.text_end is not None
        self.wants_reply, self._joins_undo = False, False
        self.editor.generation += 1
        self._asked = self.text_end.text
        self.reply.ask(self._asked[self.text_end.start :], self._sampling())
        self._show_state()

    def _sampling(self) -> SamplingConfig:
        sampling, model, tokenizer = self.draw(), self._session.chat.model, self._session.chat.tokenizer
        if not self._is_past_end or model is None or tokenizer is None:
            return sampling
        from terrarium.models.tokenizers.special_tokens import end_id

        end = end_id(tokenizer, model.config)
        bias = {} if end is None else {end: -MAX_BIAS}
        return dataclasses.replace(sampling, logit_bias=tuple((dict(sampling.logit_bias) | bias).items()))

    def _on_stop(self) -> None:
        self.wants_reply = False
        self.reply.stop()
        self._show_state()

    def _on_again(self) -> None:
        self.editor.undo()
        self._write(past_end=self._is_past_end)

    @Slot(int, int)
    def _on_branch(self, position: int, id: int) -> None:
        """Generate again from a position, with another token there."""
        read, written = self._read, self.reply.written
        if read is None or self.focus.text is not read or written is None or self._session.chat.state != "ready":
            return
        index = position - read.n_prompt
        assert isinstance(written.prompt, str)
        first, before = self.editor.text_before(0), self.editor.text_before(index)
        if first is None or before is None or not first.endswith(written.prompt):
            self.problem.say("The text has changed here, so it cannot continue from this token.")
            return
        prefix_ids = (*read.ids[read.n_prompt : position], id)
        self.editor.delete_from(index)
        self._joins_undo = True
        self.reply.ask(written.prompt, self._sampling(), prefix_ids)
        self._show_state()

    @Slot(str)
    def _on_started(self, prefix: str) -> None:
        written = self.reply.written
        assert written is not None
        if written.prefix_ids:
            first = self.editor.text_before(0)
            n_kept = len(self.editor.text) - len(first) if first is not None else 0
            index = len(written.prefix_ids) - 1
            self.editor.write([Segment(prefix[n_kept:], WrittenToken(written.prefix_ids[-1]))], index, joins_undo=True)

    @Slot(object)
    def _on_appended(self, tokens: tuple[TokenMade, ...]) -> None:
        written = self.reply.written
        assert written is not None
        index = len(written.prefix_ids) + len(written.tokens) - len(tokens)
        segments = [Segment(t.text, WrittenToken(t.id, t.probability, t.entropy, t.rank)) for t in tokens]
        self.editor.write(segments, index, joins_undo=self._joins_undo)
        self._joins_undo = True

    @Slot()
    def _on_ended(self) -> None:
        written, tokenizer = self.reply.written, self._session.chat.tokenizer
        assert written is not None
        self._after = self.editor.text if written.text else ""
        self.news.say(f"The model wrote: {written.text}" if written.text else "The model wrote nothing.")
        self.inspect(written.read(tokenizer) if tokenizer is not None else None)
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
        """Move the pinned token with the text cursor."""
        if self._read is not None and self.focus.text is self._read and self.focus.locked is not None:
            self.focus.lock(self._read.n_prompt + index)

    @Slot()
    def _show_position(self) -> None:
        read, position = self._read, self.focus.position
        index = (
            position - read.n_prompt if read is not None and self.focus.text is read and position is not None else -1
        )
        self.editor.outline(index, locked=self.focus.locked is not None)


def read_tail(tokenizer: Tokenizer, text: str, context_length: int) -> ReadTail:
    """Return the end of a text that leaves a quarter of the context free for new tokens."""
    from terrarium.models.chat.own_template import max_prompt_tokens
    from terrarium.models.tokenizers.text.encoded import EncodedText

    max_tokens = max_prompt_tokens(context_length)
    part = text[-max_tokens * _CHARACTERS_PER_TOKEN :]
    tokens = EncodedText(tokenizer, part)
    n = min(len(tokens), max_tokens)
    start = len(part.encode()[: int(tokens.starts[-n])].decode(errors="ignore")) if n < len(tokens) else 0
    return ReadTail(text, len(text) - len(part) + start, n)


def describe_notebook(end: ReadTail | None, written: PartialReply | None, *, is_past_end: bool = False) -> str:
    """Describe the part of the text that the model reads (None: unknown yet), and the last generation."""
    sentences = []
    if end is not None:
        if end.start:
            sentences.append(f"The model reads the last {end.n_tokens:,} tokens; faint text does not fit")
        else:
            sentences.append(format_count(end.n_tokens, "token"))
    if written is not None and written.tokens:
        n, finished = len(written.tokens), written.finished
        rate = format_speed(finished.tokens_per_s) if finished is not None else ""
        speed = f" at {rate}" if rate else ""
        sentences.append(f"last written: {format_count(n, 'token')}{speed}, seed {written.sampling.seed:,}")
        if is_past_end:
            sentences.append("past its end: the token that ends a text was not allowed")
        if finished is not None and finished.reason == "stop":
            sentences.append("the model ended the text here")
    return " · ".join(sentences)
