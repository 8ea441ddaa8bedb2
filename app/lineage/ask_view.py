"""The replies of every stage to one prompt with the same seed, side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from PySide6.QtCore import Qt, Slot
from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import QGridLayout, QHBoxLayout, QSizePolicy, QSpinBox, QWidget

from terrarium.app.kit.basics import (
    button,
    column,
    frame,
    group,
    label,
    plain_tip,
    row,
    scrolling,
    show_only,
    show_words,
)
from terrarium.app.kit.forms.editors import FloatBox
from terrarium.app.kit.inputs import named
from terrarium.app.kit.labels import ElidedLabel
from terrarium.app.kit.text.difference_text import DifferenceLegend, DifferenceText
from terrarium.app.kit.text.growing_field import GrowingField
from terrarium.app.kit.theme import SPACE, ThemeProvider
from terrarium.app.lineage.asking import RepliesScored, StageAsker, StageCompared, StageFailed, StageReplied
from terrarium.app.lineage.stage_words import kind_words, meaning_of
from terrarium.app.plots.interval_bars import Bar, IntervalBars
from terrarium.app.session.session import Session
from terrarium.app.worker.failures import Failure
from terrarium.models.alignment.stage_tree import LineageNode, StageTree
from terrarium.models.events import Event, Phase, ReplyFinished, TokenMade
from terrarium.models.inspect.spans import Judgement, Span, shared_spans
from terrarium.models.number_words import format_count, format_signed
from terrarium.models.settings.sampling_config import SamplingConfig

_PROMPT = "Tell me a story about Anna and the kite in the park."
_MAX_TOKENS = 120
_CARD = 300  # pixels, at least
_NO_PARENT = "It was trained from scratch, so there is nothing to compare it with."


class AskView(QWidget):
    """Samples and shows a reply of every stage to one prompt."""

    def __init__(self, session: Session, theme: ThemeProvider, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._session, self._theme = session, theme
        self._stages: tuple[LineageNode, ...] = ()
        self._rewarders: tuple[LineageNode, ...] = ()
        self._scores: dict[str, dict[str, float]] = {}
        self._n_columns = 0
        self.cards: dict[str, _ReplyCard] = {}
        self.score_cards: dict[str, _ScoreCard] = {}
        self.asker = StageAsker(session, self)
        self.prompt = named(GrowingField(), "Prompt")
        self.prompt.setPlaceholderText("Prompt for all stages")
        self.prompt.setPlainText(_PROMPT)
        self.temperature = named(
            FloatBox(0.0, 5.0, 0.1),
            "Temperature",
            "1 draws from each model's own probabilities; 0 takes the likeliest token",
        )
        self.temperature.setValue(1.0)
        self.seed = named(QSpinBox(), "Seed", "The same for every stage: what differs is due to the models")
        self.seed.setRange(0, 2**31 - 1)
        self.seed.setAlignment(Qt.AlignmentFlag.AlignRight)
        self.ask_button = button("Ask all", theme, self.ask, icon="chats", role="primary", tip="Ask each (Enter)")
        self.stop_button = button("Stop", theme, self.asker.cancel, icon="stop", tip="Stop here")
        self.status = ElidedLabel()
        self.status.setProperty("role", "caption")
        self._grid = QGridLayout()
        self._grid.setContentsMargins(0, 0, SPACE // 2, 0)
        self._grid.setSpacing(SPACE)
        self._build()
        self.prompt.send_pressed.connect(self.ask)
        self.prompt.refused.connect(self.status.setText)
        self.asker.changed.connect(self._show_state)
        self.asker.events_received.connect(self._on_events)
        self.asker.failed.connect(self._on_failed)
        self._show_state()

    def _build(self) -> None:
        for box, width in ((self.temperature, 70), (self.seed, 90)):
            box.setFixedWidth(width)
        settings = label("temperature", "muted"), self.temperature, label("seed", "muted"), self.seed
        parts = *settings, self.ask_button, self.stop_button
        ask = row(self.prompt, *parts, grows=self.prompt)
        for i, part in enumerate(parts):
            ask.setAlignment(part, Qt.AlignmentFlag.AlignVCenter if i < 4 else Qt.AlignmentFlag.AlignBottom)
        self._area = scrolling(group(self._grid, None))
        legend = row(self.status, DifferenceLegend(self._theme, "its parent"), grows=self.status)
        self.setLayout(column(ask, legend, self._area))

    @property
    def busy(self) -> bool:
        """Whether stages are asked."""
        return self.asker.busy

    # -- Input ---------------------------------------------------------------------------------------------------------

    def show_stages(self, stages: Sequence[LineageNode], rewarders: Sequence[LineageNode], tree: StageTree) -> None:
        """Ask these stages of a tree, and let reward models score their replies."""
        if (tuple(stages), tuple(rewarders)) == (self._stages, self._rewarders):
            return
        self.asker.forget()
        self._stages, self._rewarders = tuple(stages), tuple(rewarders)
        for card in (*self.cards.values(), *self.score_cards.values()):
            self._grid.removeWidget(card)
            card.hide()
            card.deleteLater()
        self.cards = {}
        for stage in stages:
            parent = tree.find(stage.parent) if stage.parent else None
            self.cards[stage.id] = _ReplyCard(stage, parent.name if parent is not None else stage.parent, self._theme)
        self.score_cards = {stage.id: _ScoreCard(stage, self._theme) for stage in rewarders}
        self._scores = {}
        self._n_columns = 0
        self._arrange()

    def ask(self) -> None:
        """Ask all of them."""
        self._scores = {}
        for card in self.cards.values():
            card.clear_reply()
        for score_card in self.score_cards.values():
            score_card.show_scores({}, "")
        sampling = SamplingConfig(temperature=self.temperature.value(), seed=self.seed.value(), max_tokens=_MAX_TOKENS)
        try:
            self.asker.start(self._stages, self._rewarders, self.prompt.toPlainText(), sampling)
        except ValueError as error:
            self.status.setText(str(error))
            return
        waits = "Waiting for the current training step" if self._session.training.active else "Starting"
        self.status.setText(f"{waits}…")

    # -- Display -------------------------------------------------------------------------------------------------------

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self._arrange()

    def _arrange(self) -> None:
        """As many columns as fit."""
        least = round(_CARD * self._theme.text_scale) + SPACE
        n = max(1, min(self._area.width() // least, len(self.cards) + len(self.score_cards)))
        if n == self._n_columns:
            return
        for i in range(self._n_columns):
            self._grid.setColumnStretch(i, 0)
        self._n_columns = n
        for i, card in enumerate((*self.cards.values(), *self.score_cards.values())):
            self._grid.addWidget(card, i // n, i % n)
            card.show()
        for i in range(n):
            self._grid.setColumnStretch(i, 1)

    @Slot(object)
    def _on_events(self, events: tuple[Event, ...]) -> None:
        replied: dict[str, list[Event]] = {}
        for event in events:
            if isinstance(event, StageReplied):
                replied.setdefault(event.stage, []).append(event.event)
        for id, reply_events in replied.items():
            self.cards[id].take(reply_events)
        for event in events:
            if isinstance(event, StageCompared):
                self.cards[event.stage].show_comparison(event.own, event.parent, event.problem)
            elif isinstance(event, StageFailed):
                self.cards[event.stage].show_problem(event.problem)
            elif isinstance(event, RepliesScored):
                self._show_scores(event)
            elif isinstance(event, Phase):
                self.status.setText(f"{event.name}…")

    def _show_scores(self, scored: RepliesScored) -> None:
        name = self.score_cards[scored.rewarder].stage.name
        named = {self.cards[id].stage.name: score for id, score in scored.scores.items()}
        self.score_cards[scored.rewarder].show_scores(named, scored.problem)
        for id, score in scored.scores.items():
            self._scores.setdefault(id, {})[name] = score
            self.cards[id].show_scores(self._scores[id])

    @Slot(object)
    def _on_failed(self, failure: Failure) -> None:
        self.status.setText(failure.sentence)

    @Slot()
    def _show_state(self) -> None:
        if not self.asker.busy:
            self.status.setText("")  # a failure says so after this
        self.ask_button.setVisible(not self.asker.busy)
        self.stop_button.setVisible(self.asker.busy)


class _ReplyCard(QWidget):
    """A stage and its reply, coloured by the log-ratio to its parent. parent: that stage's name, "" if none."""

    def __init__(self, stage: LineageNode, parent: str, theme: ThemeProvider) -> None:
        super().__init__()
        self.stage, self._parent = stage, parent
        self.spans: list[Span] = []
        self.text = DifferenceText(theme)
        self.hint = label("Its reply appears here.", "muted", wrap=True)
        self.verdict = label("", "caption", wrap=True)
        self.scores = label("", "small", wrap=True)
        self._ended = ""
        box = frame(
            "card",
            _head(stage),
            self.hint,
            self.text,
            self.verdict,
            self.scores,
            None,
            margin=SPACE + SPACE // 2,
            spacing=SPACE // 2,
        )
        self.setLayout(column(box))
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
        show_words(self.scores, " · ".join(f"{name} {format_signed(score)}" for name, score in scores.items()))


class _ScoreCard(QWidget):
    """A reward model and its score of every stage's reply."""

    def __init__(self, stage: LineageNode, theme: ThemeProvider) -> None:
        super().__init__()
        self.stage = stage
        self.bars = IntervalBars(f"Scores of {stage.name}", theme)
        self.hint = label("It scores the replies.", "muted", wrap=True)
        self._about = label("Raw scores: only their differences mean something.", "caption", wrap=True)
        box = frame(
            "card", _head(stage), self.hint, self.bars, self._about, None, margin=SPACE + SPACE // 2, spacing=SPACE // 2
        )
        self.setLayout(column(box))
        self.show_scores({}, "")

    def show_scores(self, scores: Mapping[str, float], problem: str) -> None:
        """Show the score of each stage's reply (name → score), the highest first; or, without scores, the problem."""
        low, high = min(scores.values(), default=0.0), max(scores.values(), default=1.0)
        width = high - low or 1.0
        ranked = sorted(scores.items(), key=lambda item: -item[1])
        self.bars.show_bars(
            [Bar(name=name, share=(score - low) / width, text=format_signed(score)) for name, score in ranked]
        )
        self.hint.setText(problem or "It scores the replies.")
        show_only({self.bars: scores, self._about: scores, self.hint: not scores})


def _head(stage: LineageNode) -> QHBoxLayout:
    meaning = meaning_of(stage.kind)[2]
    title = ElidedLabel(stage.name)
    title.setProperty("role", "subheading")
    badge = label(kind_words(stage), "pill")
    badge.setToolTip(plain_tip(meaning))
    return row(title, badge, grows=title)
