"""The window with all candidates of a best-of-n reply: ranked, with their cost and the gain from drawing more."""

from __future__ import annotations

import numpy as np
from PySide6.QtCore import Qt, Slot
from PySide6.QtWidgets import (
    QAbstractItemView,
    QHeaderView,
    QPlainTextEdit,
    QTableWidget,
    QTableWidgetItem,
    QWidget,
)

from terrarium.app.chat.archive.candidate_replies import CandidateReplies
from terrarium.app.chat.archive.message_tree import Message
from terrarium.app.chat.conversation.conversation import Conversation
from terrarium.app.chat.conversation.reply_captions import format_score, judge
from terrarium.app.kit.basics import button, column, label, panes, plain_tip, row, separator, set_enabled, titled_card
from terrarium.app.kit.dialog import Dialog
from terrarium.app.kit.help_mark import set_term
from terrarium.app.kit.inputs import named
from terrarium.app.kit.plots.line_plot import LinePlot
from terrarium.app.kit.plots.pictures import Axis, Line, LinePicture
from terrarium.app.kit.tables import plain_table
from terrarium.app.kit.theme import SPACE, ThemeProvider
from terrarium.models.alignment.best_of_curve import BestOfPoint, best_of_curve
from terrarium.models.number_words import format_count, format_duration, format_percent

_COLUMNS = ("", "Score", "Right", "Tokens", "Reply")
_RANK, _SCORE, _RIGHT, _TOKENS, _REPLY = range(len(_COLUMNS))
_TIPS = (
    "",
    "The reward model's raw score: only differences between scores mean anything",
    "Whether it is right by the known answer, which the reward model does not see",
    "The number of its tokens, with the end token",
    "",
)


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
        self.table = QTableWidget(0, len(_COLUMNS))
        self._prepare_table()
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
        self.curve, self.right_curve = LinePlot(theme), LinePlot(theme)
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
        self.table.currentCellChanged.connect(self._on_current)
        self.table.cellDoubleClicked.connect(lambda *_: self._on_take())
        conversation.chat_changed.connect(self.close)
        conversation.path_changed.connect(self._show_taken)
        conversation.reply_started.connect(self._show_taken)
        conversation.reply_ended.connect(self._show_taken)

    def _prepare_table(self) -> None:
        table = self.table
        table.setHorizontalHeaderLabels(_COLUMNS)
        for i, tip in enumerate(_TIPS):
            item = table.horizontalHeaderItem(i)
            assert item is not None
            item.setToolTip(plain_tip(tip))
        plain_table(table, "Replies, the best first")
        table.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        table.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        table.setWordWrap(False)
        table.setTextElideMode(Qt.TextElideMode.ElideMiddle)  # replies to one prompt often begin with the same words
        header = table.horizontalHeader()
        header.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        header.setSectionResizeMode(_REPLY, QHeaderView.ResizeMode.Stretch)

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
        self._fill(drawn)
        curve = best_of_curve([drawn.scores], [[float(right) for right in self._right] or [0.0] * n], range(1, n + 1))
        self.gain.setText(gain_of(curve))
        self.curve.set_picture(score_picture(curve))
        has_gold = bool(self._right)
        for widget in (self._line, self.verdict, self.right_curve):
            widget.setVisible(has_gold)
        if has_gold:
            self.verdict.setText(right_words(self._right, curve))
            self.right_curve.set_picture(right_picture(curve))
        self.table.selectRow(drawn.taken)
        self._show_taken()
        self.show()
        self.activateWindow()
        self.table.setFocus()

    def _fill(self, drawn: CandidateReplies) -> None:
        self.table.setRowCount(len(drawn.replies))
        self.table.setColumnHidden(_RIGHT, not self._right)
        for i, reply in enumerate(drawn.replies):
            right = ("✓" if self._right[i] else "✗") if self._right else ""
            cut = "" if reply.ended else " …"
            cells = (
                str(i + 1),
                format_score(reply.score),
                right,
                f"{len(reply.ids):,}",
                " ".join(reply.text.split()) + cut,
            )
            for j, words in enumerate(cells):
                item = QTableWidgetItem(words)
                if j in (_RANK, _SCORE, _TOKENS):
                    item.setTextAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
                self.table.setItem(i, j, item)

    @property
    def selected(self) -> int:
        """The index of the selected reply."""
        return self.table.currentRow()

    @Slot()
    def _on_current(self) -> None:
        if self._drawn is not None and 0 <= self.selected < len(self._drawn.replies):
            self.text.setPlainText(self._drawn.replies[self.selected].text)
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


def score_picture(curve: list[BestOfPoint]) -> LinePicture:
    """Plot the expected score of the best of n against n."""
    values = np.array([point.proxy for point in curve], np.float32)
    low, high = float(values.min()), float(values.max())
    room = max(0.08 * (high - low), 0.05)
    return LinePicture(
        title="Best of n: expected score",
        at=np.arange(1, len(curve) + 1),
        lines=(Line(values=values),),
        x=Axis(title="n, replies drawn", low=1, high=max(len(curve), 2)),
        y=Axis(title="score", low=low - room, high=high + room, whole=False),
        describe=lambda i: f"best of {i + 1}: {format_score(curve[i].proxy)}",
    )


def right_picture(curve: list[BestOfPoint]) -> LinePicture:
    """Plot the probability that the best of n is right against n."""
    return LinePicture(
        title="Best of n: share that is right",
        at=np.arange(1, len(curve) + 1),
        lines=(Line(values=np.array([point.gold for point in curve], np.float32)),),
        x=Axis(title="n, replies drawn", low=1, high=max(len(curve), 2)),
        y=Axis(title="right", low=0, high=1, whole=False),
        describe=lambda i: f"best of {i + 1}: {format_percent(curve[i].gold)} right",
    )
