"""One turn of a conversation: the user's bubble, the reply's bubble, and what can be done with the reply."""

from __future__ import annotations

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QGuiApplication, QResizeEvent
from PySide6.QtWidgets import QHBoxLayout, QVBoxLayout, QWidget

from app.chat_store import Reply, Turn
from app.theme import SPACE, ThemeProvider
from app.widgets.basics import button, label, row, set_role
from app.widgets.bubble import Bubble
from app.widgets.words import counted
from models.data.tiny_world.judge import story_problem

_REASONS = {"length": "cut off at the length limit", "stopped": "stopped by you"}
_FRESH = "A new start: the model does not read what is above."


class TurnView(QWidget):
    """Shows a `Turn`; while its reply is being written, text is appended to it.

    Signals:
        retry_asked(): another reply to the same words.
        version_asked(int): show the reply with this index.
    """

    retry_asked = Signal()
    version_asked = Signal(int)

    def __init__(self, turn: Turn, theme: ThemeProvider, *, first: bool, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._turn, self._theme = turn, theme
        self.prompt = Bubble(theme, mine=True, text=turn.prompt)
        self.reply = Bubble(theme, mine=False, lead=turn.prompt if turn.goes_on else "")
        self.note = label("", "caption", wrap=True)
        self.gold = label("", wrap=True, selectable=True)
        self.gold.setContentsMargins(14, SPACE // 2, 0, SPACE // 2)
        fresh = label(_FRESH, "caption")
        fresh.setAlignment(Qt.AlignmentFlag.AlignHCenter)
        fresh.setVisible(turn.fresh and not first)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 2 * SPACE)
        layout.setSpacing(SPACE // 2)
        layout.addWidget(fresh)
        layout.addLayout(row(None, self.prompt))
        layout.addSpacing(SPACE // 2)
        layout.addLayout(row(self.reply, None))
        layout.addWidget(self.gold)
        layout.addLayout(self._actions())
        self.prompt.setVisible(not turn.goes_on)
        self.reply.setVisible(turn.goes_on)
        self.gold.hide()
        self._buttons.hide()
        self.note.hide()
        if turn.reply is not None:
            self.show_turn(turn)

    def _actions(self) -> QHBoxLayout:
        make = self._theme
        self.retry = button(
            "Retry", make, self.retry_asked.emit, icon="arrow-clockwise", role="link", tip="Reply again"
        )
        self.copy = button("Copy", make, self._copy, icon="copy", role="link", tip="Copy the reply")
        self.reveal = button(
            "Show the right answer", make, self._reveal, icon="eye", role="link", tip="Compare the reply with the truth"
        )
        self._older = button("‹", make, lambda: self._ask_version(-1), role="link", tip="The reply before")
        self._newer = button("›", make, lambda: self._ask_version(1), role="link", tip="The reply after")
        self._version = label("", "caption")
        self._buttons = QWidget()
        inside = QHBoxLayout(self._buttons)
        inside.setContentsMargins(0, 0, 0, 0)
        inside.setSpacing(0)
        for widget in (self._older, self._version, self._newer, self.retry, self.copy, self.reveal):
            inside.addWidget(widget)
        line = row(self._buttons, self.note)
        line.setStretch(1, 1)
        return line

    # -- while the reply is written ------------------------------------------------------------------------------------

    def begin(self) -> None:
        """An empty reply, to be filled by `append`."""
        self.reply.set_text("")
        self.reply.setVisible(self._turn.goes_on)
        self.gold.hide()
        self._buttons.hide()
        self.note.show()

    def append(self, text: str) -> None:
        """More of the reply has come."""
        if text:
            self.reply.append(text)
            self.reply.show()

    def set_note(self, text: str) -> None:
        """What goes on, in a few words under the reply."""
        self.note.setText(text)
        self.note.setVisible(bool(text))

    # -- when it is there ----------------------------------------------------------------------------------------------

    def show_turn(self, turn: Turn) -> None:
        """Show a turn whose reply is complete."""
        self._turn = turn
        reply = turn.reply
        assert reply is not None
        if self.reply.text != reply.text:
            self.reply.set_text(reply.text)
        self.reply.setVisible(bool(reply.text) or turn.goes_on)
        self.gold.hide()
        self._buttons.show()
        self.copy.show()
        self.reveal.setVisible(bool(turn.gold))
        several = len(turn.replies) > 1
        for widget in (self._older, self._version, self._newer):
            widget.setVisible(several)
        self._version.setText(f"{turn.shown + 1} of {len(turn.replies)}")
        self._older.setEnabled(turn.shown > 0)
        self._newer.setEnabled(turn.shown < len(turn.replies) - 1)
        self.set_note(describe_reply(reply))
        self.note.setToolTip(
            f"By {reply.model} at training step {reply.step:,}. Speed of generation, how much of the model's "
            f"context the conversation fills ({reply.n_prompt:,} tokens read, {reply.n_tokens:,} written), and the "
            "seed that the reply was drawn from."
        )

    def end(self, turn: Turn, left_out: int = 0) -> None:
        """The reply is over. `left_out`: how many of the oldest messages did not fit the model's context."""
        if turn.reply is None:
            self._turn = turn
            self.set_note("No reply came.")
            self._buttons.show()
            for widget in (self._older, self._version, self._newer, self.copy, self.reveal):
                widget.hide()
            return
        self.show_turn(turn)
        if left_out:
            self.set_note(f"{self.note.text()}  ·  the oldest {counted(left_out, 'message')} did not fit the context")

    def set_can_retry(self, can_retry: bool) -> None:
        """Whether another reply can be asked for now."""
        self.retry.setEnabled(can_retry)

    def set_last(self, last: bool) -> None:
        """Only the last turn can be tried again: what follows answers to it."""
        self.retry.setVisible(last)

    def _copy(self) -> None:
        lead = self._turn.prompt if self._turn.goes_on else ""
        QGuiApplication.clipboard().setText(lead + self.reply.text)

    def _reveal(self) -> None:
        verdict, right = judge(self._turn)
        self.gold.setText(verdict)
        set_role(self.gold, "accent" if right else "error")
        self.gold.show()
        self.reveal.hide()

    def _ask_version(self, step: int) -> None:
        self.version_asked.emit(self._turn.shown + step)

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self.prompt.set_widest(round(self.width() * 0.82))
        self.reply.set_widest(round(self.width() * 0.94))


def judge(turn: Turn) -> tuple[str, bool]:
    """Whether the shown reply is right, as a sentence and as a verdict; for a story, by Tiny World's own grammar."""
    assert turn.reply is not None
    if len(turn.topic) == 3:
        problem = story_problem(turn.reply.text, turn.topic)
        if problem is None:
            return "✓  Right: a story that is possible in this world, about what was asked.", True
        return f"✗  Not right. {problem} One right story of many: {turn.gold}", False
    if turn.reply.text.strip() == turn.gold.strip():
        return f"✓  Right: {turn.gold}", True
    return f"✗  Not right. The right answer: {turn.gold}", False


def describe_reply(reply: Reply) -> str:
    """What was measured while the reply was made, in one line."""
    used = reply.n_prompt + reply.n_tokens
    parts = [
        f"{reply.tokens_per_s:,.0f} tokens/s" if reply.tokens_per_s else "",
        f"{used:,} of {reply.context_length:,} context" if reply.context_length else "",
        f"step {reply.step:,}",
        f"seed\N{NO-BREAK SPACE}{reply.seed}",
        _REASONS.get(reply.reason, ""),
        "" if reply.text else "the model ended its reply at once",
    ]
    return "  ·  ".join(part for part in parts if part)
