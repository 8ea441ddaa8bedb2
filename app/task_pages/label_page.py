"""The page for models that predict labels or a number for a text: bars that are updated while typing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from PySide6.QtWidgets import QWidget

from terrarium.app.glass.focus import Focus
from terrarium.app.kit.basics import button, group, label, row, titled_card
from terrarium.app.kit.theme import ThemeProvider
from terrarium.app.plots.interval_bars import Bar, IntervalBars
from terrarium.app.session.chat_model import ChatModel
from terrarium.app.session.session import Session
from terrarium.app.task_pages.correcting import Correcting
from terrarium.app.task_pages.task_page import TaskPage, text_box
from terrarium.app.task_pages.task_questions import Answered
from terrarium.models.number_words import format_count, format_prob, with_minus

_MAX_BARS = 24
_NOTHING = "Write a text: the answer follows as you type."
_ABOUT = {
    "classification": "Probabilities of {n}, which sum to 100 %. The run's Scores say how far they can be trusted.",
    "multi-label": "The probability of each of {n} by itself. Those above 50 % are given.",
    "regression": "A number, as in the training data.",
}


class LabelPage(TaskPage):
    """A text, or two, and a bar for each label."""

    modes = ("classify",)

    def __init__(self, session: Session, theme: ThemeProvider, focus: Focus, parent: QWidget | None = None) -> None:
        super().__init__(session, theme, focus, parent)
        self.text = text_box("Text", "Write a text for the model to label.", 5)
        self.setFocusProxy(self.text)
        self.pair = text_box("Second text", "A second text, which the model reads after the first.", 3)
        self.add = button(
            "Second text", theme, self._on_pair, icon="plus", role="quiet", tip="Label two texts together"
        )
        self.verdict = label("", "heading", wrap=True)
        self.sure = label("", "muted", wrap=True)
        self.bars = IntervalBars("Probabilities of the labels", theme)
        self.note = label("", "caption", wrap=True)
        self.correcting = Correcting(session, theme)
        left = group(self.text, self.pair, row(self.add, None), grows={self.text: 2, self.pair: 1})
        right = group(titled_card("", self.verdict, self.sure, self.bars, self.note, self.correcting), None)
        self.pair.hide()
        self.text.text_changed.connect(self.on_edited)
        self.pair.text_changed.connect(self.on_edited)
        self._build(left, right)

    def _on_pair(self) -> None:
        self._show_pair(is_shown=self.pair.isHidden())
        self.on_edited()

    def _show_pair(self, *, is_shown: bool) -> None:
        self.pair.setVisible(is_shown)
        self.add.setText("Without a second text" if is_shown else "Second text")
        self._theme.set_icon(self.add, "minus" if is_shown else "plus")

    def show_model(self, model: ChatModel) -> None:
        self.correcting.show_model(model)
        self.note.setText(_ABOUT.get(model.task, "").format(n=format_count(len(model.labels), "label")))

    def row(self) -> Mapping[str, Any] | None:
        text = self.text.text
        if not text.strip():
            return None
        second = "" if self.pair.isHidden() else self.pair.text
        return {"text": text, "text_pair": second} if second.strip() else {"text": text}

    def show_example(self, row: Mapping[str, Any]) -> None:
        self.text.set_text(row["text"])
        self.pair.set_text(row.get("text_pair") or "")
        self._show_pair(is_shown=bool(row.get("text_pair")))

    def show_answer(self, answered: Answered | None) -> str:
        found = answered.prediction if answered is not None else None
        own = found.value if found is not None and isinstance(found.value, str) else ""
        self.correcting.show_answer(answered.row if answered is not None else None, own)
        model = self._session.chat.model
        labels = model.labels if model is not None else ()
        self.bars.setVisible(bool(labels))
        if found is None:
            self.verdict.setText("")
            self.sure.setText(_NOTHING)
            self.bars.show_bars([Bar(name=name, share=None, text="–") for name in labels[:_MAX_BARS]])
            return ""
        if isinstance(found.value, float):
            self.verdict.setText(with_minus(f"{found.value:.3f}"))
            self.sure.setText("")
            return self.verdict.text()
        given = [found.value] if isinstance(found.value, str) else found.value
        self.verdict.setText(", ".join(given) or "No label")
        sure = "" if found.score is None else f"{format_prob(found.score)} sure"
        self.sure.setText(f"{sure} on average over the labels" if isinstance(found.value, list) and sure else sure)
        shown = list(found.probabilities.items())
        if len(shown) > _MAX_BARS:  # if all fit, they stay in the model's order, so that no bar moves
            shown = sorted(shown, key=lambda item: -item[1])[:_MAX_BARS]
        self.bars.show_bars(
            [
                Bar(name=name, share=p, text=format_prob(p), tone="accent" if name in given else "faint")
                for name, p in shown
            ]
        )
        return f"{self.verdict.text()}, {self.sure.text()}" if sure else self.verdict.text()
