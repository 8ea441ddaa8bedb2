"""The result of a quick start in plain words: a question of each kind with the answer, and what to do next."""

from __future__ import annotations

import re
import statistics
from functools import partial

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QFrame, QGridLayout, QLabel, QScrollArea, QWidget

from terrarium.app.home.answer_feed import show_mark
from terrarium.app.kit.basics import (
    button,
    column,
    frame,
    group,
    label,
    plain_tip,
    row,
    scrolling,
    set_role,
    show_words,
    stacked,
    titled_card,
)
from terrarium.app.kit.help_mark import HelpMark
from terrarium.app.kit.inputs import named
from terrarium.app.kit.labels import ElidedLabel
from terrarium.app.kit.theme import SPACE, ThemeProvider
from terrarium.app.run_views.scores.text_comparison import TextComparison
from terrarium.app.session.run_history import RunHistory
from terrarium.models.events import Evaluated, HeldOutAnswer, KindAccuracy, TextCompared
from terrarium.models.number_words import format_count, format_of_100
from terrarium.models.tiny_world.corpus import SHARES
from terrarium.models.tiny_world.questions import HEADLINE_KINDS, KIND_MEANINGS, KINDS, kind_title

CHAT, MACHINE, INSIDE, LONGER, TUNE, TOKENIZER = "chat", "machine", "inside", "longer", "tune", "tokenizer"
"""The actions that follow."""
_NOTHING = "(no text)"
_ASK = "Ask it something of your own, and see which other words it might have said."
_BEGIN = "Begin a text of your own: it continues whatever you write."
_LONGER = "Continue from here, with the same text: as long again, or ten times."
_TUNE = "A model that was grown on far more text learns yours much faster than one from scratch."
_TOKENIZER = "The pieces that it reads were made of your text: see them, and cut other texts with them."
_ABOUT = "That is the mean of the first four kinds. Below: the first question of each kind, right or wrong."
_LONG = 150
"""The length in characters from which only the last sentence of a question is shown."""
_SENTENCE = re.compile(r"[^.!?]+[.!?]+")
_HARD = 0.5
"""The accuracy on sums below which the result has an explanation."""


class ResultPage(QWidget):
    """On the left the answers, or a text model's sample; on the right cards for the next actions.

    Signals:
        chosen(action): the user pressed a card: CHAT, MACHINE, INSIDE, LONGER, TUNE or TOKENIZER.
    """

    chosen = Signal(str)

    def __init__(self, theme: ThemeProvider, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._theme = theme
        self._evaluated: Evaluated | None = None
        self.sentence = label("", "heading", wrap=True)
        self.sums = label("", "muted", wrap=True)
        self.rows = {kind: ResultRow(theme) for kind in KINDS}
        self.text_result = _TextResult(theme)
        self._results = stacked(self._make_answers(), frame("card", self.text_result))
        following = scrolling(self._make_next())
        self.setLayout(row(self._results, following, spacing=2 * SPACE, grows={self._results: 7, following: 3}))
        theme.theme_changed.connect(self._restyle)

    def _make_answers(self) -> QWidget:
        headline = row(self.sentence, HelpMark("Held-out"), grows=self.sentence)
        grid = QGridLayout()
        grid.setHorizontalSpacing(2 * SPACE)
        grid.setVerticalSpacing(SPACE + SPACE // 2)
        grid.setColumnStretch(1, 5)
        grid.setColumnStretch(2, 4)
        for i, each in enumerate(self.rows.values()):
            each.add_to(grid, i)
        card = frame("card", headline, label(_ABOUT, "muted", wrap=True), grid, SPACE // 2, self.sums)
        return scrolling(group(card, None))  # the card is no taller than its content

    def _make_next(self) -> QWidget:
        theme = self._theme
        self.chat = button("Chat with it", theme, partial(self.chosen.emit, CHAT), icon="chat-circle", role="primary")
        self.machine = button(
            "Open the time machine", theme, partial(self.chosen.emit, MACHINE), icon="clock-counter-clockwise"
        )
        self.inside = button("Open the glass box", theme, partial(self.chosen.emit, INSIDE), icon="magnifying-glass")
        self.longer = button("Train longer…", theme, partial(self.chosen.emit, LONGER), icon="fast-forward")
        self.tune = button(
            "Fine-tune a published model…", theme, partial(self.chosen.emit, TUNE), icon="graduation-cap"
        )
        self.tokenizer = button("See its tokenizer", theme, partial(self.chosen.emit, TOKENIZER), icon="puzzle-piece")
        self.chat_words = label(_ASK, "muted", wrap=True)
        cards: list[QFrame] = []
        self._for_text: list[QFrame] = []
        for title, words, does in (
            ("Chat", self.chat_words, self.chat),
            ("Train longer", label(_LONGER, "muted", wrap=True), self.longer),
            ("Start from a published model", label(_TUNE, "muted", wrap=True), self.tune),
            ("Its tokenizer", label(_TOKENIZER, "muted", wrap=True), self.tokenizer),
            (
                "Time machine",
                label("Watch it learn again: what it wrote and what it looked at, at every step.", "muted", wrap=True),
                self.machine,
            ),
            (
                "Look inside",
                label("Take a reply apart, token by token: how likely each was, and why.", "muted", wrap=True),
                self.inside,
            ),
        ):
            card = titled_card(title, words, does, margin=2 * SPACE, spacing=SPACE, grows=())
            cards.append(card)
            if does in (self.longer, self.tune, self.tokenizer):
                self._for_text.append(card)
        return group(*cards, None, spacing=2 * SPACE)

    def show_evaluated(self, evaluated: Evaluated) -> None:
        """Show the result of a quick start on Tiny World."""
        self._results.setCurrentIndex(0)
        self._show_cards(is_text=False)
        if evaluated is self._evaluated:
            return
        self._evaluated = evaluated
        self.sentence.setText(headline_words(evaluated))
        show_words(self.sums, sums_words(evaluated))
        answers = {answer.kind: answer for answer in evaluated.answers}
        kinds = {kind.kind: kind for kind in evaluated.kinds}
        for kind, each in self.rows.items():
            each.show_result(kind, kinds.get(kind), answers.get(kind))

    def show_text(self, compared: TextCompared, history: RunHistory) -> None:
        """Show the result of a quick start on a text."""
        self._results.setCurrentIndex(1)
        self._show_cards(is_text=True)
        self.text_result.show_result(compared, history)

    def _show_cards(self, *, is_text: bool) -> None:
        self.chat_words.setText(_BEGIN if is_text else _ASK)
        self.chat.setText("Write with it" if is_text else "Chat with it")
        for card in self._for_text:
            card.setVisible(is_text)

    def _restyle(self) -> None:
        for each in self.rows.values():
            each.show_mark()


class ResultRow:
    """The grid row of a kind of question: right or wrong, a question, the model's answer, and the accuracy."""

    def __init__(self, theme: ThemeProvider) -> None:
        self._theme = theme
        self._answer: HeldOutAnswer | None = None
        self.mark = QLabel()
        self.title, self.meaning = label("", "subheading"), ElidedLabel()
        self.question, self.reply = label("", "muted", wrap=True), label("", wrap=True, selectable=True)
        self.gold = label("", "caption", wrap=True)
        self.share, self.guess = label("", "subheading"), label("", "caption")
        set_role(self.meaning, "caption")

    def add_to(self, grid: QGridLayout, line: int) -> None:
        """Add its widgets to a row of the grid."""
        head = row(self.title, self.meaning)
        head.setStretch(1, 1)
        parts = [column(spacing=0) for _ in range(3)]
        parts[0].addLayout(head)
        parts[0].addWidget(self.question)
        parts[0].addStretch(1)
        for part, widgets in zip(parts[1:], ((self.reply, self.gold), (self.share, self.guess)), strict=True):
            for widget in widgets:
                part.addWidget(widget)
            part.addStretch(1)
        for each in (self.share, self.guess):
            each.setAlignment(Qt.AlignmentFlag.AlignRight)
        grid.addWidget(self.mark, line, 0, Qt.AlignmentFlag.AlignTop)
        for i, part in enumerate(parts, start=1):
            grid.addLayout(part, line, i)

    def show_result(self, kind: str, measured: KindAccuracy | None, answer: HeldOutAnswer | None) -> None:
        """Show the result for a kind; a missing accuracy is shown as “–”, a missing answer as blank."""
        self._answer = answer
        self.title.setText(kind_title(kind))
        self.meaning.setText(KIND_MEANINGS[kind])
        self.share.setText(format_of_100(measured.accuracy) if measured is not None else "–")
        self.guess.setText(_guess_words(measured) if measured is not None else "")
        for each in (self.share, self.guess):
            each.setToolTip(plain_tip(_guessing_words(measured) if measured is not None else ""))
        if answer is None:
            for words in (self.mark, self.question, self.reply, self.gold):
                words.setText("")
            return
        self.show_mark()
        self.question.setText(short_question(answer.question))
        self.question.setToolTip(plain_tip(answer.question))
        self.reply.setText(" ".join(answer.reply.split()) or _NOTHING)
        one_of_many = "right would be, for one" if kind == "requests" else "right would be"
        self.gold.setText("" if answer.right else f"{one_of_many}: {answer.gold}")
        self.gold.setVisible(not answer.right)

    def show_mark(self) -> None:
        """Show whether the answer is right, in the theme's colours."""
        if self._answer is not None:
            show_mark(self.mark, self._answer, self._theme)


class _TextResult(QWidget):
    """The comparison of a run on a text with gzip and tables, and its last sample."""

    def __init__(self, theme: ThemeProvider, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.comparison = TextComparison(theme)
        self.sample = named(label("", wrap=True, selectable=True), "Sample")
        self.sample.setAlignment(Qt.AlignmentFlag.AlignTop | Qt.AlignmentFlag.AlignLeft)
        area = QScrollArea()
        area.setWidgetResizable(True)
        area.setFrameShape(QFrame.Shape.NoFrame)
        area.setFocusPolicy(Qt.FocusPolicy.TabFocus)  # not by clicks between its widgets
        area.setAccessibleName("What it writes")
        self.sample.setProperty("role", "scrolled")
        area.setWidget(self.sample)
        self.writes = label("What it writes", "muted")
        self.setLayout(column(self.comparison, SPACE, self.writes, area, grows=area))

    def show_result(self, compared: TextCompared, history: RunHistory) -> None:
        """Show a comparison that includes a model, and the last sample of the run."""
        self.comparison.show_comparison(compared)
        sample = next((one for one in reversed(history.samples) if one.step <= compared.step), None)
        self.sample.setText(sample.prompt + sample.text if sample is not None else "–")
        self.writes.setText("What it writes" if sample is None else f"What it writes after “{sample.prompt}”")


def headline_words(evaluated: Evaluated) -> str:
    """Return the headline, such as “Right in 97 of 100 questions it had never seen; guessing gets 8.”"""
    guesses = [kind.most_frequent for kind in evaluated.kinds if kind.kind in HEADLINE_KINDS]
    guessing = f"; guessing gets {_of_100(statistics.fmean(guesses))}" if guesses else ""
    return f"Right in {format_of_100(evaluated.accuracy)} questions it had never seen{guessing}."


def _guessing_words(kind: KindAccuracy) -> str:
    """Describe the baselines of a kind for a tooltip: simple rules, and answering without the story."""
    lines = [
        f"Of {format_count(kind.n, 'question')} it answered {round(kind.accuracy * kind.n)} correctly.",
        "Others get:",
    ]
    for words, share in (
        ("always the commonest answer", kind.most_frequent),
        ("always the last thing mentioned", kind.last_mentioned),
        ("this model without the story", kind.without_story),
    ):
        if share is not None:
            lines.append(f"{_of_100(share)} of 100: {words}")
    return "\n".join(lines)


def _guess_words(kind: KindAccuracy) -> str:
    """Return the accuracy of guessing as a number of 100: “guessing: 8”."""
    return f"guessing: {_of_100(kind.most_frequent)}"


def short_question(question: str) -> str:
    """Shorten a long question to its last sentence and the number of sentences before it."""
    sentences = [sentence.strip() for sentence in _SENTENCE.findall(question)]
    if len(question) <= _LONG or len(sentences) < 2:
        return question
    return f"({format_count(len(sentences) - 1, 'sentence')} of a story) {sentences[-1]}"


def sums_words(evaluated: Evaluated) -> str:
    """Explain a low accuracy on sums in a sentence or two; "" if it is high, or no sums were asked."""
    kind = next((kind for kind in evaluated.kinds if kind.kind == "sums"), None)
    if kind is None or kind.accuracy >= _HARD:
        return ""
    reply = next((answer.reply for answer in evaluated.answers if answer.kind == "sums"), "")
    learns = f"learns that the answer is a number (“{reply}”), but not" if reply.isdigit() else "does not learn"
    return (
        f"Why only {format_of_100(kind.accuracy)} sums? The first digit is written first, but depends on what is "
        f"carried from the last one. From the {_of_100(SHARES['sums'])} of 100 conversations that are about sums, so "
        f"small a model {learns} to carry."
    )


def _of_100(share: float) -> str:
    return format_of_100(share).removesuffix(" of 100")
