"""The replies of every stage to one prompt with the same seed, side by side."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import Qt, Slot
from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import QGridLayout, QSpinBox, QWidget

from terrarium.app.kit.basics import button, column, group, label, row, scrolling
from terrarium.app.kit.forms.editors import FloatBox
from terrarium.app.kit.inputs import named
from terrarium.app.kit.labels import ElidedLabel
from terrarium.app.kit.text.difference_text import DifferenceLegend
from terrarium.app.kit.text.growing_field import GrowingField
from terrarium.app.kit.theme import SPACE, ThemeProvider
from terrarium.app.lineage.asking import RepliesScored, StageAsker, StageCompared, StageFailed, StageReplied
from terrarium.app.lineage.reply_card import ReplyCard, ScoreCard
from terrarium.app.session.session import Session
from terrarium.app.worker.failures import Failure
from terrarium.models.alignment.stage_tree import LineageNode, StageTree
from terrarium.models.events import Event, Phase
from terrarium.models.settings.sampling_config import SamplingConfig

_PROMPT = "Tell me a story about Anna and the kite in the park."
_MAX_TOKENS = 120
_CARD = 300  # pixels, at least


class AskView(QWidget):
    """Samples and shows a reply of every stage to one prompt."""

    def __init__(self, session: Session, theme: ThemeProvider, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._session, self._theme = session, theme
        self._stages: tuple[LineageNode, ...] = ()
        self._rewarders: tuple[LineageNode, ...] = ()
        self._scores: dict[str, dict[str, float]] = {}
        self._n_columns = 0
        self.cards: dict[str, ReplyCard] = {}
        self.score_cards: dict[str, ScoreCard] = {}
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
            self.cards[stage.id] = ReplyCard(stage, parent.name if parent is not None else stage.parent, self._theme)
        self.score_cards = {stage.id: ScoreCard(stage, self._theme) for stage in rewarders}
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
