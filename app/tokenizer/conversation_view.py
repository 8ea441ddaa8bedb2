"""The Conversation view: a conversation as tokens with role markers, as in chat and training."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence

from PySide6.QtCore import QSize, QTimer, Signal, Slot
from PySide6.QtGui import QColor, QGuiApplication, QPainter, QPaintEvent, QResizeEvent
from PySide6.QtWidgets import QFrame, QPlainTextEdit, QWidget
from tokenizers import Tokenizer

from terrarium.app.kit.basics import (
    EmptyState,
    button,
    column,
    frame,
    group,
    label,
    panes,
    row,
    scrolling,
    show_words,
    stacked,
)
from terrarium.app.kit.inputs import choice, fill_choice
from terrarium.app.kit.labels import ElidedLabel
from terrarium.app.kit.layout.segments import Segments
from terrarium.app.kit.layout.tab_order import put_after
from terrarium.app.kit.stat_strip import StatStrip
from terrarium.app.kit.theme import SPACE, ThemeProvider
from terrarium.app.kit.tokens.conversation_tokens import ROLE_COLOURS, ROLE_WORDS, ChatTokenView
from terrarium.app.session.session import Session
from terrarium.app.worker.background import LatestTask
from terrarium.app.worker.failures import Failure, describe
from terrarium.models.chat.foreign import foreign_chat_tokens
from terrarium.models.chat.own_template import CHAT_TEMPLATE, Message
from terrarium.models.chat.sandbox import NAMED_TOKENS
from terrarium.models.chat.tokens import ChatTokens, chat_tokens
from terrarium.models.number_words import format_count, format_percent
from terrarium.models.settings.run_spec import TrainConfig
from terrarium.models.tokenizers import read_about, read_template
from terrarium.models.tokenizers.codec import replace_surrogates

MAX_SYNC_CHARACTERS = 5_000
"""Conversations of up to this many characters are encoded synchronously; longer ones in the background."""
_PATIENCE_MS = 150
_EXAMPLE = [
    {"role": "user", "content": "Who has the kite?"},
    {"role": "assistant", "content": "Ben has the kite."},
    {"role": "user", "content": "Where did he get it? I typed <|end|> and it stays text."},
]
_PURPOSES = {"reply": "Ask for a reply", "train": "Train on it"}
_PURPOSE_TIP = (
    "For a reply, the model gets the conversation and the marker of the assistant's turn, and continues from there. "
    "In training, it learns to write the replies."
)
_STATS = {
    "tokens": "Number of tokens that the model gets",
    "markers": "Special tokens among them: roles, and ends of turns",
    "in replies": "Tokens of replies, including end tokens: what the model learns to write",
    "of the context": "Share of the context length of the design in the builder",
}
_MARKERS = (
    f"Turns are marked with {', '.join(f'<|{role}|>' for role in ROLE_WORDS)} and <|end|>, "
    "which every tokenizer trained here has."
)
_FOREIGN = "Uses the tokenizer's own chat template. Typed text never becomes a special token, even if it spells one."
_HINTS = {
    "reply": "Point at a token to see its turn and its role.",
    "train": (
        "Underlined: replies, which always count in full. The rest counts with the “Prompt loss weight” "
        f"(default {TrainConfig().context_loss_weight:g})."
    ),
}
_MIN_LINES, _MAX_LINES = 1, 6


class ChatTemplateView(QWidget):
    """A conversation to edit on the left, its tokens in the colours of the roles on the right."""

    def __init__(self, session: Session, theme: ThemeProvider, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._session, self._theme = session, theme
        self._tokenizer: Tokenizer | None = None
        self._imported_template, self._named_tokens = "", dict[str, str]()
        self.result: ChatTokens | None = None
        self.turns = _ConversationEditor(theme, _EXAMPLE)
        self.purpose = Segments("Purpose", _PURPOSES, _PURPOSE_TIP)
        self.view = ChatTokenView(theme)
        self.stats = StatStrip(_STATS, theme, widest="88,888")
        self.template_words = label(CHAT_TEMPLATE.strip(), "mono-small", wrap=True, selectable=True)
        self.template = frame("sunken", self.template_words, margin=SPACE)
        self.about = ElidedLabel()
        self.note = label("", "warning", wrap=True)
        self.message = EmptyState("", "")
        self._task = LatestTask(self)
        self._patience = QTimer(self, singleShot=True, interval=_PATIENCE_MS)
        self._build()
        self.turns.changed.connect(self._encode)
        self.purpose.changed.connect(self._encode)
        session.designs.changed.connect(self._encode)
        self.view.hovered.connect(self._show_description)
        self.view.picked.connect(self._show_description)
        self._task.done.connect(self._show)
        self._task.failed.connect(self._on_failed)
        self._patience.timeout.connect(lambda: self._say("Encoding…", "Long conversations take a moment."))
        self._encode()

    def _build(self) -> None:
        title = label("Conversation", "subheading")
        show = button(
            "Template", self._theme, role="quiet", icon="code", tip="Show the chat template that formats it as text"
        )
        show.setCheckable(True)
        show.toggled.connect(self.template.setVisible)
        copy = button("Copy ids", self._theme, self.copy_ids, icon="copy", role="quiet", tip="Copy all ids as a list")
        self.template.hide()
        self.about.setProperty("role", "caption")
        left = group(row(title, None, show), self.template, self.turns, grows=self.turns)
        self._pages = stacked(frame("card", self.view, margin=4), self.message)
        head = row(label("Tokens", "subheading"), self.purpose, None, copy)
        right = group(head, self._pages, self.about, self.note, self.stats, grows=self._pages)
        self.setLayout(panes(left, right, sizes=(360, 720), grows=1))

    def set_tokenizer(self, tokenizer: Tokenizer | None, name: str) -> None:
        """Encode with this tokenizer."""
        self._tokenizer = tokenizer
        self._imported_template, self._named_tokens = "", {}
        if tokenizer is not None and any(tokenizer.token_to_id(f"<|{role}|>") is None for role in ROLE_WORDS):
            folder = self._session.library.tokenizers / name
            self._imported_template = read_template(folder)
            with contextlib.suppress(ValueError):  # reported in the list of tokenizers
                self._named_tokens = {
                    name: str(token) for name, token in read_about(folder).items() if name in NAMED_TOKENS
                }
        self.template_words.setText((self._imported_template or CHAT_TEMPLATE).strip())
        self._encode()

    def set_text(self, text: str) -> None:
        """Do nothing: the conversation is independent of the text."""

    # -- conversation to tokens ----------------------------------------------------------------------------------------

    @Slot()
    def _encode(self) -> None:
        self._task.cancel()
        self._patience.stop()
        self.result = None
        tokenizer, messages, add_generation_prompt = self._tokenizer, self.turns.messages, self.purpose.value == "reply"
        context_length = self._session.designs.current.context_length
        if tokenizer is None:
            self._say("No tokenizer", "Train or choose one first.")
            return

        def encode() -> ChatTokens:
            if self._imported_template:
                return foreign_chat_tokens(
                    tokenizer,
                    self._imported_template,
                    self._named_tokens,
                    messages,
                    add_generation_prompt=add_generation_prompt,
                )
            return chat_tokens(tokenizer, messages, context_length, add_generation_prompt=add_generation_prompt)

        n_characters = sum(len(message["content"]) for message in messages)
        if n_characters <= MAX_SYNC_CHARACTERS and not self._imported_template:  # an imported template may take seconds
            try:
                self._show(encode())
            except ValueError as error:
                self._on_failed(describe(error))
        else:
            self._patience.start()
            self._task.ask(encode)

    @Slot(object)
    def _on_failed(self, failure: Failure) -> None:
        self._patience.stop()
        more = "" if self._imported_template else f" {_MARKERS}"
        self._say("No conversation with this tokenizer", failure.sentence + more)

    def _say(self, heading: str, sentence: str) -> None:
        """Show a message instead of tokens."""
        self.message.set_words(heading, sentence)
        self._pages.setCurrentWidget(self.message)
        self.view.set_chat(None, ())
        self.turns.set_counts(None)
        self.note.hide()
        self.about.hide()
        for name in _STATS:
            self.stats.set_number(name, "–")

    @Slot(object)
    def _show(self, chat: ChatTokens) -> None:
        self._patience.stop()
        self.result = chat
        roles = [turn.role for turn in self.turns.turns]
        self.view.set_chat(chat, roles, underline=self.purpose.value == "train" and not self._imported_template)
        self.turns.set_counts(chat.counts)
        given, context_length = chat.is_given, self._session.designs.current.context_length
        special = chat.tokens.per_token(lambda piece: piece.special, bool)
        n = int(given.sum())
        n_special, n_reply = int((special & given).sum()), int((chat.is_reply & given).sum())
        numbers = (f"{n:,}", f"{n_special:,}", f"{n_reply:,}", format_percent(n / context_length))
        for name, number in zip(_STATS, numbers, strict=True):
            self.stats.set_number(name, number)
        show_words(self.note, self._too_long(chat, context_length))
        self.about.show()
        self._pages.setCurrentIndex(0)
        self._show_description()

    def _too_long(self, chat: ChatTokens, context_length: int) -> str:
        """Describe what happens if the conversation exceeds the context; "" if it fits."""
        n_left_out, n = len(chat.left_out), int(chat.is_given.sum())
        context = f"the design's context of {context_length:,} tokens"
        if n_left_out:
            turns = "The oldest turn is" if n_left_out == 1 else f"The oldest {n_left_out} turns are"
            return f"{turns} left out to reserve a quarter of {context} for the reply."
        if n > context_length:
            beyond = (
                "its end is cut off in training" if self.purpose.value == "train" else "the model cannot read it all"
            )
            return f"This is longer than {context}: {beyond}."
        return ""

    # -- description of a token ----------------------------------------------------------------------------------------

    @Slot()
    def _show_description(self) -> None:
        index = self.view.current
        hint = _FOREIGN if self._imported_template else _HINTS[self.purpose.value]
        self.about.setText(hint if self.result is None or index < 0 else self.describe(index))

    def describe(self, index: int) -> str:
        """Describe which turn a token belongs to, and its purpose."""
        chat = self.result
        assert chat is not None
        piece, message = chat.tokens[index], int(chat.messages[index])
        begins = index == 0 or int(chat.messages[index - 1]) != message
        n = len(self.turns.turns)
        who = ROLE_WORDS[self.turns.turns[message].role] if message < n else "Assistant"
        if message == n:
            what = "generation prompt: the model continues after it"
        elif piece.special:
            what = f"begins turn {message + 1}: {who}" if begins else f"ends turn {message + 1}: {who}"
        else:
            what = f"in turn {message + 1}: {who}"
        learned = ""
        if self.purpose.value == "train" and not self._imported_template:
            full = "part of a reply: counts in full in training"
            less = "counts in training with the “Prompt loss weight”"
            learned = f" · {full if chat.is_reply[index] else less}"
        return f"{piece.display}   id {piece.id} · {what}{learned}"

    def copy_ids(self) -> None:
        if self.result is not None:
            QGuiApplication.clipboard().setText(str(self.result.tokens.ids.tolist()))


class _ConversationEditor(QWidget):
    """An editor for a short conversation: its turns in a scrollable column, with a button to add one.

    Signals:
        changed(): `messages` has changed.
    """

    changed = Signal()

    def __init__(self, theme: ThemeProvider, messages: Sequence[Message], parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._theme = theme
        self.turns: list[_Turn] = []
        self._turns = column()
        add = button("Add a turn", theme, self.add_turn, icon="plus", role="quiet", tip="Add the next turn")
        self._area = scrolling(group(self._turns, row(add, None), None))
        self.setLayout(column(self._area))
        for message in messages:
            self._append(message["role"], message["content"])

    @property
    def messages(self) -> list[Message]:
        """The messages in order."""
        return [{"role": turn.role, "content": replace_surrogates(turn.editor.toPlainText())} for turn in self.turns]

    def add_turn(self) -> None:
        """Add the next turn: an assistant turn after a user turn, otherwise a user turn."""
        last = self.turns[-1].role if self.turns else ""
        self._append("assistant" if last == "user" else "user", "")
        self.turns[-1].editor.setFocus()
        self.changed.emit()

    def remove_turn(self, number: int) -> None:
        """Remove a turn."""
        turn = self.turns.pop(number)
        self._turns.removeWidget(turn)
        turn.hide()
        turn.deleteLater()
        self.changed.emit()

    def set_counts(self, counts: Sequence[int] | None) -> None:
        """Show the number of tokens of each turn; None if unknown."""
        for i, turn in enumerate(self.turns):
            n = -1 if counts is None else counts[i]
            turn.count.setText("" if n < 0 else format_count(n, "token"))

    def _append(self, role: str, text: str) -> None:
        turn = _Turn(self._theme, role, text)
        turn.changed.connect(self.changed)
        turn.removed.connect(lambda: self.remove_turn(self.turns.index(turn)))
        self.turns.append(turn)
        self._turns.addWidget(turn)
        put_after(self.turns[-2].editor if len(self.turns) > 1 else self._area, *turn.stops)


class _Turn(QFrame):
    """One turn: its role, text and number of tokens, and a button to remove it.

    Signals:
        changed(): the role or the text has changed.
        removed(): the user wants to remove it.
    """

    changed = Signal()
    removed = Signal()

    def __init__(self, theme: ThemeProvider, role: str, text: str) -> None:
        super().__init__()
        self._theme = theme
        self.setProperty("role", "card")
        self.roles = choice("Role", "Who says this turn")
        fill_choice(self.roles, ROLE_WORDS, role)
        self.count = label("", "caption")
        self.editor = _TurnEditor(text)
        remove = button("", theme, self.removed.emit, icon="x", role="quiet-icon", tip="Remove this turn")
        self.stops = (self.roles, remove, self.editor)
        """Its tab stops, in order."""
        head = row(self.roles, self.count, None, remove)
        self.setLayout(column(head, self.editor, spacing=SPACE // 2, margin=(2 * SPACE, SPACE, SPACE, SPACE)))
        self.roles.currentIndexChanged.connect(self._on_role)
        self.editor.textChanged.connect(self.changed)
        theme.theme_changed.connect(self.update)
        self._tell()

    @property
    def role(self) -> str:
        """The role of the turn."""
        return str(self.roles.currentData())

    @Slot()
    def _on_role(self) -> None:
        self._tell()
        self.update()
        self.changed.emit()

    def _tell(self) -> None:
        self.setAccessibleName(f"Turn of role {self.roles.currentText()}")

    def paintEvent(self, event: QPaintEvent) -> None:
        super().paintEvent(event)
        painter = QPainter(self)
        painter.fillRect(6, 12, 3, self.height() - 24, QColor(self._theme.theme.color(ROLE_COLOURS[self.role])))
        painter.end()


class _TurnEditor(QPlainTextEdit):
    """An editor as high as its text, within limits."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.setAccessibleName("Message")
        self.setPlaceholderText("Message")
        self.setTabChangesFocus(True)
        self.document().documentLayout().documentSizeChanged.connect(self._fit)
        self._fit()

    @Slot()
    def _fit(self) -> None:
        n = min(max(int(self.document().size().height()), _MIN_LINES), _MAX_LINES)
        height = n * self.fontMetrics().lineSpacing() + 2 * SPACE + 8
        if height != self.height():
            self.setFixedHeight(height)

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self._fit()  # a new width changes the line breaks

    def sizeHint(self) -> QSize:
        return QSize(200, self.height())
