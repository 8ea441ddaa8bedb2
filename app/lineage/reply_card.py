"""Cards of a stage's reply, coloured by the log-ratio to its parent, and of a reward model's scores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from PySide6.QtWidgets import QSizePolicy, QVBoxLayout, QWidget

from terrarium.app.kit.basics import frame, label, plain_tip, row
from terrarium.app.kit.labels import ElidedLabel
from terrarium.app.kit.text.difference_text import DifferenceText
from terrarium.app.kit.theme import SPACE, ThemeProvider
from terrarium.app.lineage.stage_words import kind_words, meaning_of
from terrarium.app.plots.interval_bars import Bar, IntervalBars
from terrarium.models.alignment.stage_tree import LineageNode
from terrarium.models.events import Event, ReplyFinished, TokenMade
from terrarium.models.inspect.spans import Judgement, Span, shared_spans
from terrarium.models.number_words import format_count, format_signed

_NO_PARENT = "It was trained from scratch, so there is nothing to compare it with."


class ReplyCard(QWidget):
    """A stage and its reply. parent: the name of the parent stage, "" if none."""

    def __init__(self, stage: LineageNode, parent: str, theme: ThemeProvider) -> None:
        super().__init__()
        self.stage, self._parent = stage, parent
        self.spans: list[Span] = []
        self.text = DifferenceText(theme)
        self.hint = label("Its reply appears here.", "muted", wrap=True)
        self.verdict = label("", "caption", wrap=True)
        self.scores = label("", "small", wrap=True)
        self._ended = ""
        box = frame("card", margin=SPACE + SPACE // 2, spacing=SPACE // 2)
        lines = box.layout()
        assert isinstance(lines, QVBoxLayout)
        lines.addLayout(_head(stage))
        for widget in (self.hint, self.text, self.verdict, self.scores):
            lines.addWidget(widget)
        lines.addStretch(1)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(box)
        self.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Minimum)
        self.clear_reply()

    def clear_reply(self, hint: str = "Its reply appears here.") -> None:
        """Clear the reply, its verdict and its scores, and show `hint`."""
        self.spans, self._ended = [], ""
        self.text.clear_text()
        self.text.hide()
        self.hint.setText(hint)
        self.hint.show()
        for words in (self.verdict, self.scores):
            words.setText("")
            words.hide()

    def take(self, events: Sequence[Event]) -> None:
        """Apply events of the reply; all new text is appended in one update."""
        text = "".join(event.text for event in events if isinstance(event, TokenMade))
        if text:
            self.hint.hide()
            self.text.show()
            self.text.append(text if self.text.written else text.lstrip())
        for event in events:
            if isinstance(event, ReplyFinished):
                cut = "" if event.reason == "stop" else ", cut off"
                self._ended = f"{format_count(event.n_tokens, 'token')}{cut}. "
                if not self.text.written:
                    self.hint.setText("It said nothing: the reply is empty.")

    def show_comparison(self, own: Judgement, parent: Judgement | None, problem: str) -> None:
        """Colour the reply by the log-ratio of each token, of the stage against its parent."""
        words = _NO_PARENT if not self._parent else problem
        if parent is not None and own.pieces:
            gain = own.total - parent.total
            likelier = "likelier" if gain >= 0 else "less likely"
            words = (
                f"{format_signed(own.total, 1)} nats, {format_signed(parent.total, 1)} under {self._parent}: "
                f"{likelier} by {abs(gain):.1f}."
            )
            self.spans = shared_spans(own, parent)
            self.text.show_spans(self.spans, self.stage.name, self._parent)
        self.verdict.setText(f"{self._ended}{words}")
        self.verdict.show()

    def show_problem(self, problem: str) -> None:
        """Show why there is no reply."""
        self.clear_reply(problem)

    def show_scores(self, scores: Mapping[str, float]) -> None:
        """Show the scores of reward models: name → score."""
        self.scores.setText(" · ".join(f"{name} {format_signed(score)}" for name, score in scores.items()))
        self.scores.setVisible(bool(scores))


class ScoreCard(QWidget):
    """A reward model and its score of every stage's reply."""

    def __init__(self, stage: LineageNode, theme: ThemeProvider) -> None:
        super().__init__()
        self.stage = stage
        self.bars = IntervalBars(f"Scores of {stage.name}", theme)
        self.hint = label("It scores the replies.", "muted", wrap=True)
        self._about = label("Raw scores: only their differences mean something.", "caption", wrap=True)
        box = frame("card", margin=SPACE + SPACE // 2, spacing=SPACE // 2)
        lines = box.layout()
        assert isinstance(lines, QVBoxLayout)
        lines.addLayout(_head(stage))
        for widget in (self.hint, self.bars, self._about):
            lines.addWidget(widget)
        lines.addStretch(1)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(box)
        self.show_scores({}, "")

    def show_scores(self, scores: Mapping[str, float], problem: str) -> None:
        """Show the score of each stage's reply (name → score), the highest first; or, without scores, the problem."""
        low, high = min(scores.values(), default=0.0), max(scores.values(), default=1.0)
        width = high - low or 1.0
        ranked = sorted(scores.items(), key=lambda item: -item[1])
        self.bars.show_bars(
            [Bar(name=name, share=(score - low) / width, text=format_signed(score)) for name, score in ranked]
        )
        self.bars.setVisible(bool(scores))
        self._about.setVisible(bool(scores))
        self.hint.setText(problem or "It scores the replies.")
        self.hint.setVisible(not scores)


def _head(stage: LineageNode) -> QVBoxLayout:
    meaning = meaning_of(stage.kind)[2]
    title = ElidedLabel(stage.name)
    title.setProperty("role", "subheading")
    badge = label(kind_words(stage), "pill")
    badge.setToolTip(plain_tip(meaning))
    head = row(title, badge)
    head.setStretch(0, 1)
    lines = QVBoxLayout()
    lines.addLayout(head)
    return lines
