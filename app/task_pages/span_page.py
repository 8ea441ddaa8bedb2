"""The page for extractive question answering: the answer is marked in the text."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from PySide6.QtGui import QFont, QTextCharFormat, QTextDocument
from PySide6.QtWidgets import QWidget

from terrarium.app.glass.focus import Focus
from terrarium.app.kit.basics import group, label, titled_card
from terrarium.app.kit.text.highlighter import Highlighter
from terrarium.app.kit.theme import ThemeProvider
from terrarium.app.plots.interval_bars import Bar, IntervalBars
from terrarium.app.session.session import Session
from terrarium.app.task_pages.task_page import TaskPage, qt_position, text_box
from terrarium.app.task_pages.task_questions import Answered
from terrarium.models.number_words import format_prob

_NOTHING = "Write a question and a text: the answer is marked as you type."


class SpanPage(TaskPage):
    """A question and a text with the answer marked in it, or the result that it has none."""

    modes = ("ask",)

    def __init__(self, session: Session, theme: ThemeProvider, focus: Focus, parent: QWidget | None = None) -> None:
        super().__init__(session, theme, focus, parent)
        self.question = text_box("Question", "Write a question.", 2)
        self.setFocusProxy(self.question)
        self.context = text_box("Text", "Write the text to find the answer in.", 7)
        self.mark = AnswerMark(self.context.document(), theme)
        self.verdict = label("", "heading", wrap=True, selectable=True)
        self.sure = label("", "muted", wrap=True)
        self.bars = IntervalBars("An answer, or none", theme)
        contents = label("Question", "subheading"), self.question, label("Text", "subheading"), self.context
        left = group(*contents, grows={self.question: 1, self.context: 4})
        note = label(
            "The model gives each token two scores: that the answer starts there, and that it ends there. The best "
            "pair competes with “no answer” here, and with all other pairs in the panels, where its share is smaller.",
            "caption",
            wrap=True,
        )
        right = group(titled_card("Answer", self.verdict, self.sure, self.bars, note), None)
        self.question.text_changed.connect(self.on_edited)
        self.context.text_changed.connect(self.on_edited)
        self._build(left, right)

    def row(self) -> Mapping[str, Any] | None:
        question, context = self.question.text, self.context.text
        return {"question": question, "context": context} if question.strip() and context.strip() else None

    def show_example(self, row: Mapping[str, Any]) -> None:
        self.question.set_text(row["question"])
        self.context.set_text(row["context"])

    def show_answer(self, answered: Answered | None) -> str:
        self.bars.setVisible(answered is not None)
        if answered is None:
            self.mark.set_place(0, 0)
            self.verdict.setText("")
            self.sure.setText(_NOTHING)
            return ""
        found = answered.prediction
        start = found.details.get("start")
        places = (0, 0) if start is None else (start, start + len(found.value))
        self.mark.set_place(*(qt_position(answered.row["context"], place) for place in places))
        self.verdict.setText(found.value or "No answer in this text")
        assert found.score is not None
        self.sure.setText(f"{format_prob(found.score)} sure that there is {'an answer' if found.value else 'none'}")
        is_there = found.score if found.value else 1 - found.score
        self.bars.show_bars(
            [
                Bar(name=name, share=share, text=format_prob(share), tone="accent" if is_given else "faint")
                for name, share, is_given in (
                    ("An answer", is_there, bool(found.value)),
                    ("No answer", 1 - is_there, not found.value),
                )
            ]
        )
        return f"{self.verdict.text()}: {self.sure.text()}"


class AnswerMark(Highlighter):
    """Highlights one span of a text."""

    def __init__(self, document: QTextDocument, theme: ThemeProvider) -> None:
        self._place = (0, 0)
        super().__init__(document, theme, {"answer": "text"})

    @property
    def place(self) -> tuple[int, int]:
        """The marked span, (start, end) in UTF-16 units as in Qt; (0, 0) for none."""
        return self._place

    def set_place(self, start: int, end: int) -> None:
        """Mark the text from `start` to `end`; nothing if they are equal."""
        place = (start, end) if end > start else (0, 0)
        if place != self._place:
            self._place = place
            self.rehighlight()

    def restyle_formats(self) -> None:
        answer = self.formats["answer"]
        answer.setBackground(self._theme.theme.color("selection"))
        answer.setFontWeight(QFont.Weight.DemiBold)
        answer.setUnderlineStyle(QTextCharFormat.UnderlineStyle.SingleUnderline)
        answer.setUnderlineColor(self._theme.theme.color("accent"))

    def highlightBlock(self, text: str) -> None:
        first = self.currentBlock().position()
        start, end = max(self._place[0] - first, 0), min(self._place[1] - first, self.currentBlock().length() - 1)
        if start < end:
            self.setFormat(start, end - start, self.formats["answer"])
