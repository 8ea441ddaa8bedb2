"""The window with all candidates of a best-of-n reply: ranked, with their cost and the gain from drawing more."""

from __future__ import annotations

import numpy as np
from PySide6.QtCore import Qt, Slot
from PySide6.QtWidgets import QPlainTextEdit, QWidget

from terrarium.app.chat.archive.message_tree import CandidateReplies, Message
from terrarium.app.chat.conversation.conversation import Conversation
from terrarium.app.chat.conversation.reply_captions import format_score, judge
from terrarium.app.kit.basics import button, column, label, panes, row, separator, set_enabled, titled_card
from terrarium.app.kit.dialog import Dialog
from terrarium.app.kit.help_mark import set_term
from terrarium.app.kit.inputs import named
from terrarium.app.kit.record_table import Column, RecordTable
from terrarium.app.kit.theme import SPACE, ThemeProvider
from terrarium.app.plots.plot_spec import PlotSpec, main_curve
from terrarium.app.plots.plot_view import PlotView
from terrarium.models.alignment.best_of import BestOfPoint, ScoredReply, best_of_curve
from terrarium.models.number_words import format_count, format_duration, format_percent

_SCORE = "The reward model's raw score: only differences between scores mean anything"
_RIGHT = "Whether it is right by the known answer, which the reward model does not see"
_TOKENS = "The number of its tokens, with the end token"


class DrawnWindow(Dialog):
    """A modeless window about one message; it closes when another conversation is opened."""

    def __init__(self, conversation: Conversation, theme: ThemeProvider, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        set_term(self, "Reward model")
        self._conversation = conversation
        self._message_id = ""
        self._drawn: CandidateReplies | None = None
        self._right: list[bool] = []
        self.setWindowTitle("Best of several replies")
        self.resize(1060, 620)
        self.title, self.cost = label("", "heading"), label("", "muted", wrap=True)
        self.table = RecordTable("Replies, the best first", theme)
        self.table.setTextElideMode(Qt.TextElideMode.ElideMiddle)  # replies to a prompt often begin alike
        self.text = named(QPlainTextEdit(), "The reply that is selected")
        self.text.setReadOnly(True)
        self.text.setFixedHeight(self.text.fontMetrics().lineSpacing() * 6 + 2 * SPACE)
        self.take = button(
            "Use this reply",
            theme,
            self._on_take,
            icon="check",
            role="primary",
            tip="Show it as a version of the reply",
        )
        self.curve, self.right_curve = (PlotView(theme, has_y=True, is_boxed=True) for _ in range(2))
        self.gain, self.verdict = label("", "caption", wrap=True), label("", "caption", wrap=True)
        close = button("Close", theme, self.close)
        for each in (self.take, close):
            each.setAutoDefault(False)
        left = titled_card("", self.text, self.table)
        self._line, curves = separator(), (self.curve, self.right_curve)
        right = self.gain, self.curve, self._line, self.verdict, self.right_curve
        self._curves = titled_card("What more replies buy", *right, grows=curves)
        middle, buttons = panes(left, self._curves, sizes=(600, 420), grows=0), row(self.take, None, close)
        margin = (3 * SPACE, 2 * SPACE, 3 * SPACE, 2 * SPACE)
        contents = self.title, self.cost, middle, buttons
        self.setLayout(column(*contents, spacing=SPACE + SPACE // 2, grows=middle, margin=margin))
        self.table.record_reached.connect(self._on_reached)
        self.table.doubleClicked.connect(self._on_take)
        conversation.chat_changed.connect(self.close)
        conversation.path_changed.connect(self._show_taken)
        conversation.reply_started.connect(self._show_taken)
        conversation.reply_ended.connect(self._show_taken)

    # -- Contents ------------------------------------------------------------------------------------------------------

    def show_message(self, message_id: str) -> None:
        """Show the candidates of a message, and activate the window."""
        chat = self._conversation.chat
        message = chat.message(message_id)
        assert message.generation is not None
        drawn = message.generation.drawn
        assert drawn is not None
        self._message_id, self._drawn = message_id, drawn
        prompt = chat.message(message.parent)
        self._right = [judge(prompt, reply.text)[1] for reply in drawn.replies] if prompt.gold else []
        n = len(drawn.replies)
        self.title.setText(f"The best of {n} replies")
        self.cost.setText(cost_of(drawn))
        self.table.show_records([*enumerate(drawn.replies)], self._columns())
        curve = best_of_curve([drawn.scores], [[float(right) for right in self._right] or [0.0] * n], range(1, n + 1))
        self.gain.setText(gain_of(curve))
        self.curve.show_spec(score_picture(curve))
        has_gold = bool(self._right)
        for widget in (self._line, self.verdict, self.right_curve):
            widget.setVisible(has_gold)
        if has_gold:
            self.verdict.setText(right_words(self._right, curve))
            self.right_curve.show_spec(right_picture(curve))
        self.table.selectRow(drawn.taken)
        self._show_taken()
        self.show()
        self.activateWindow()
        self.table.setFocus()

    def _columns(self) -> list[Column]:
        """Return the columns; their records are the replies with their ranks, from 0."""
        columns = [
            Column(title="", value=lambda ranked: str(ranked[0] + 1), is_number=True),
            Column(title="Score", about=_SCORE, value=lambda ranked: format_score(ranked[1].score), is_number=True),
            Column(title="Right", about=_RIGHT, value=lambda ranked: "✓" if self._right[ranked[0]] else "✗"),
            Column(title="Tokens", about=_TOKENS, value=lambda ranked: f"{len(ranked[1].ids):,}", is_number=True),
            Column(title="Reply", value=lambda ranked: _one_line(ranked[1]), grows=True),
        ]
        return [each for each in columns if each.title != "Right" or self._right]

    @property
    def selected(self) -> int:
        """The index of the selected reply."""
        return self.table.currentIndex().row()

    @Slot(object)
    def _on_reached(self, ranked: tuple[int, ScoredReply]) -> None:
        self.text.setPlainText(ranked[1].text)
        self._show_taken()

    @Slot()
    def _show_taken(self) -> None:
        """Enable the button unless the selected reply is the shown one, or a reply is being generated."""
        shown, taken = self._shown(), -1
        drawn = None if shown is None or shown.generation is None else shown.generation.drawn
        if drawn is not None and self._drawn is not None and drawn.replies == self._drawn.replies:
            taken = drawn.taken  # otherwise the shown version comes from another draw
        writes = "A reply is being written: wait." if self._conversation.writing else ""
        is_another = shown is not None and taken != self.selected
        set_enabled(self.take, writes or ("" if is_another else "This is the one in the chat: choose another."))
        self.take.setText("This is the reply" if taken == self.selected else "Use this reply")

    def _shown(self) -> Message | None:
        """Return the shown version of the message; None if the message no longer exists."""
        chat = self._conversation.chat
        if self._message_id not in chat:
            return None
        parent = chat.message(self._message_id).parent
        return next((message for message in chat.path if message.parent == parent), None)

    @Slot()
    def _on_take(self) -> None:
        if self.take.isEnabled():
            self._conversation.choose_candidate(self._message_id, self.selected)
            self._show_taken()


def _one_line(reply: ScoredReply) -> str:
    return " ".join(reply.text.split()) + ("" if reply.ended else " …")


def cost_of(drawn: CandidateReplies) -> str:
    """Describe the cost of drawing and scoring the replies."""
    n = len(drawn.replies)
    draw, score = (format_duration(seconds, fine=True) for seconds in (drawn.draw_s, drawn.score_s))
    return (
        f"Scored by “{drawn.judge}”. The {n} replies have {format_count(drawn.n_tokens, 'token')} together, "
        f"{drawn.n_tokens / n:,.0f} each on average. Drawing them took {draw}, scoring them {score}."
    )


def gain_of(curve: list[BestOfPoint]) -> str:
    """Describe the expected scores of one reply, of the best of half of them, and of the best of all."""
    total, half = len(curve), len(curve) // 2
    middle = f"best of {half}: {format_score(curve[half - 1].proxy)}; " if half > 1 else ""
    return (
        f"The expected score of the best of n: the mean over all ways to choose n of these {total}. One reply: "
        f"{format_score(curve[0].proxy)}; {middle}best of {total}: {format_score(curve[-1].proxy)}."
    )


def right_words(right: list[bool], curve: list[BestOfPoint]) -> str:
    """Describe how many replies are right, and whether the one with the highest score is."""
    best = "right, too" if right[0] else "not right"
    return (
        f"{sum(right)} of {len(right)} ({format_percent(curve[0].gold)}) are right by the known answer, which the "
        f"reward model does not see; the one that it likes best is {best}."
    )


def score_picture(curve: list[BestOfPoint]) -> PlotSpec:
    """Plot the expected score of the best of n against n."""
    values = np.array([point.proxy for point in curve])
    low, high = float(values.min()), float(values.max())
    room = max(0.08 * (high - low), 0.05)
    return PlotSpec(
        series=(main_curve(np.arange(1.0, len(curve) + 1), values),),
        title="Best of n: expected score",
        x_title="n, replies drawn",
        y_title="score",
        x_range=(1.0, max(len(curve), 2)),
        y_range=(low - room, high + room),
        words=lambda i: f"best of {i + 1}: {format_score(curve[i].proxy)}",
    )


def right_picture(curve: list[BestOfPoint]) -> PlotSpec:
    """Plot the probability that the best of n is right against n."""
    return PlotSpec(
        series=(main_curve(np.arange(1.0, len(curve) + 1), np.array([point.gold for point in curve])),),
        title="Best of n: share that is right",
        x_title="n, replies drawn",
        y_title="right",
        x_range=(1.0, max(len(curve), 2)),
        y_range=(0.0, 1.0),
        words=lambda i: f"best of {i + 1}: {format_percent(curve[i].gold)} right",
    )
