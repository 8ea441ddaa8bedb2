"""The side-by-side page: two to four models or checkpoints, the same prompt and seed, and the differences."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from PySide6.QtCore import Qt, Signal, Slot
from PySide6.QtWidgets import QWidget

from terrarium.app.chat.side_by_side.comparison import (
    SIDE_BY_SIDE,
    CandidateJudged,
    CandidateOpened,
    CandidateReplied,
    SideBySide,
)
from terrarium.app.glass.panel_head import About, PanelHead
from terrarium.app.kit.announcer import Announcer
from terrarium.app.kit.basics import button, column, frame, group, label, row, scrolling, set_enabled, set_role
from terrarium.app.kit.export_button import Columns, ExportButton
from terrarium.app.kit.inputs import named
from terrarium.app.kit.labels import ElidedLabel
from terrarium.app.kit.text.difference_text import DifferenceLegend, DifferenceText
from terrarium.app.kit.text.growing_field import GrowingField
from terrarium.app.kit.theme import SPACE, ThemeProvider
from terrarium.app.preferences.candidate_picker import CandidatePicker, runs_to_pick
from terrarium.app.session.candidates import Candidate
from terrarium.app.session.chat_model import ChatModel
from terrarium.app.session.session import Session
from terrarium.app.worker.failures import Failure
from terrarium.models.events import Event, Phase, ReplyFinished, TokenMade
from terrarium.models.inspect.spans import Judgement, Span, shared_spans
from terrarium.models.number_words import format_compact, format_count, format_duration, format_signed, format_speed
from terrarium.models.settings.sampling_config import SamplingConfig

_MAX_MODELS = 4
_ABOUT = About(
    title="Compare models",
    shows="Every model replies to the same prompt with the same settings and the same seed. "
    "Ochre: this model finds it likelier than the other; blue: less likely.",
    source="Each model reads prompt and reply once; the log-probabilities are exact, in nats over its whole "
    "vocabulary. Where two tokenizers split the text differently, spans end where both split it.",
    limits="A model finds its own reply likely because it wrote it, which says nothing about which one is right.",
)
_HINT = "The reply appears here."


class SideBySidePage(QWidget):
    """A page of the chat tab.

    Args:
        draw: returns the sampling settings of the next reply. system: returns the system prompt.
    """

    def __init__(
        self,
        session: Session,
        theme: ThemeProvider,
        draw: Callable[[], SamplingConfig],
        system: Callable[[], str],
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(parent)
        self._session, self._theme, self._draw, self._system = session, theme, draw, system
        self._judgements: dict[tuple[int, int], Judgement] = {}
        self._spans: dict[int, list[Span]] = {}
        self.columns: list[_CandidateColumn] = []
        self.control = SideBySide(session.worker, session.library, session.runs, session.models, session.device, self)
        self.departure = session.models.release_when_left(SIDE_BY_SIDE, self, lambda: self.control.busy)
        self._was_busy = False
        self._announcer = Announcer(self)
        self.prompt = named(GrowingField(), "Prompt")
        self.setFocusProxy(self.prompt)
        self.prompt.setPlaceholderText("Prompt for all models")
        self.run_button = button(
            "Compare", theme, self.compare, icon="columns", role="primary", tip="Ask every model for its reply (Enter)"
        )
        self.stop_button = button("Stop", theme, self.control.cancel, icon="stop", tip="Stop here (Esc)")
        self.stop_button.setShortcut(Qt.Key.Key_Escape)
        self.add_button = button(
            "Add a model", theme, self.add_column, icon="plus", role="quiet", tip="Add a column, up to four"
        )
        self.status = ElidedLabel()
        set_role(self.status, "caption")
        self._columns_layout = row()
        self._build()
        self.prompt.send_pressed.connect(self.compare)
        self.prompt.refused.connect(self.status.setText)
        self.control.events_received.connect(self._on_events)
        self.control.failed.connect(self._on_failed)
        self.control.changed.connect(self._show_state)
        session.runs.changed.connect(self._offer_runs)
        for _ in range(2):
            self.add_column()
        self._choose_first()
        self._show_state()

    def _build(self) -> None:
        self.export = ExportButton(self._session.notices, self._theme, self, self._numbers)
        self.head = PanelHead(self._theme, _ABOUT, self.export)
        self.head.add(self.add_button)
        ask = row(self.prompt, self.run_button, self.stop_button, grows=self.prompt)
        ask.setAlignment(self.run_button, Qt.AlignmentFlag.AlignBottom)
        ask.setAlignment(self.stop_button, Qt.AlignmentFlag.AlignBottom)
        below = row(self.status, DifferenceLegend(self._theme))
        self.setLayout(column(self.head, ask, below, self._columns_layout, grows=self._columns_layout))

    # -- the models ----------------------------------------------------------------------------------------------------

    def add_column(self) -> None:
        """Add a column, if there is space."""
        if len(self.columns) == _MAX_MODELS:
            return
        added = _CandidateColumn(self._session, self._theme)
        added.picker.offer(runs_to_pick(self._session.runs))
        added.candidate_changed.connect(self._on_candidate_changed)
        added.remove_requested.connect(partial(self._remove, added))
        self.columns.append(added)
        self._columns_layout.addWidget(added, 1)
        self._on_candidate_changed()

    def _remove(self, removed: _CandidateColumn) -> None:
        self.columns.remove(removed)
        self._columns_layout.removeWidget(removed)
        removed.deleteLater()
        self._on_candidate_changed()

    def _choose_first(self) -> None:
        """Choose the open model and, beside it, its parent, its oldest checkpoint, or another model."""
        runs = [run_id for run_id, _ in runs_to_pick(self._session.runs)]
        model = self._session.chat.model
        first = model.run_id if model is not None and model.run_id in runs else next(iter(runs), "")
        if not first:
            return
        parent, steps = self._session.runs.find(first).parent, self._session.runs.checkpoint_steps(first)
        if parent is not None and parent[0] in runs:
            other = Candidate(parent[0])
        elif len(steps) > 1:
            other = Candidate(first, steps[-1])
        else:
            other = Candidate(next((run_id for run_id in runs if run_id != first and self._writes(run_id)), first))
        for each, candidate in zip(self.columns, (Candidate(first), other), strict=True):
            each.choose(candidate)

    def _writes(self, run_id: str) -> bool:
        """Return whether a run's model can reply (it is not an encoder)."""
        spec = self._session.runs.spec(run_id)
        return spec is not None and spec.model.topology != "encoder-only"

    @Slot()
    def _offer_runs(self) -> None:
        runs = runs_to_pick(self._session.runs)
        for each in self.columns:
            each.picker.offer(runs)

    @Slot()
    def _on_candidate_changed(self) -> None:
        for each in self.columns:
            each.clear_reply()
            each.set_removable(len(self.columns) > 2)
        self._judgements, self._spans = {}, {}
        set_enabled(self.add_button, "" if len(self.columns) < _MAX_MODELS else f"At most {_MAX_MODELS} models.")
        self.control.forget()

    # -- comparing -----------------------------------------------------------------------------------------------------

    def compare(self) -> None:
        """Start the comparison."""
        candidates = [each.candidate for each in self.columns]
        if any(candidate is None for candidate in candidates):
            self.status.setText("Choose a model for every column first.")
            return
        for each in self.columns:
            each.clear_reply()
        self._judgements, self._spans = {}, {}
        try:
            chosen = [candidate for candidate in candidates if candidate is not None]
            self.control.start(chosen, self.prompt.toPlainText(), self._draw(), self._system())
            waits = "Waiting for the current training step" if self._session.training.active else "Starting"
            self.status.setText(f"{waits}…")
        except ValueError as error:
            self.status.setText(str(error))
        self._show_state()

    @Slot(object)
    def _on_events(self, events: tuple[Event, ...]) -> None:
        replied: dict[int, list[Event]] = {}
        latest: Phase | CandidateReplied | None = None
        for event in events:
            if isinstance(event, Phase):
                latest = event
            elif isinstance(event, CandidateOpened):
                self.columns[event.index].show_model(event.model)
            elif isinstance(event, CandidateReplied):
                replied.setdefault(event.index, []).append(event.event)
                latest = event
            elif isinstance(event, CandidateJudged):
                self._judgements[event.reply, event.by] = event.judgement
        for index, reply_events in replied.items():
            self.columns[index].take(reply_events)
        if isinstance(latest, Phase):
            self.status.setText(f"{latest.name}…")
        elif latest is not None and isinstance(latest.event, TokenMade):
            each = self.columns[latest.index]
            self.status.setText(f"{each.name} is writing: {format_count(each.n_tokens, 'token')} so far")
        for reply in {event.reply for event in events if isinstance(event, CandidateJudged)}:
            self._show_judgements(reply)

    def _show_judgements(self, reply: int) -> None:
        """Compare a reply's own model with the first one; for the first reply, with the second one."""
        other = 1 if reply == 0 else 0
        own, theirs = self._judgements.get((reply, reply)), self._judgements.get((reply, other))
        if own is not None and theirs is not None:
            self._spans[reply] = self.columns[reply].show_verdict(own, theirs, self.columns[other].name)

    @Slot(object)
    def _on_failed(self, failure: Failure) -> None:
        self.status.setText(failure.sentence)

    @Slot()
    def _show_state(self) -> None:
        if self._was_busy and not self.control.busy:
            self.status.setText("")  # a failure sets its message after this
            for each in self.columns:
                if each.text.written:
                    self._announcer.say(f"Reply of {each.name}: {each.text.written}")
        self._was_busy = self.control.busy
        self.run_button.setVisible(not self.control.busy)
        self.stop_button.setVisible(self.control.busy)

    def _numbers(self) -> Callable[[], Columns]:
        names = [each.name for each in self.columns]
        spans = [(reply, span) for reply, found in self._spans.items() for span in found]

        def columns() -> Columns:
            others = [names[1 if reply == 0 else 0] for reply, _ in spans]
            return {
                "reply_of": [names[reply] for reply, _ in spans],
                "text": [span.text for _, span in spans],
                "own_log_probability": [span.ours for _, span in spans],
                "compared_with": others,
                "its_log_probability": [span.theirs for _, span in spans],
            }

        return columns


class _CandidateColumn(QWidget):
    """One column of the page: a model, its reply, and the difference from another model.

    Signals:
        candidate_changed(): the user chose another model or checkpoint.
        remove_requested(): the user wants to remove this column.
    """

    candidate_changed = Signal()
    remove_requested = Signal()

    def __init__(self, session: Session, theme: ThemeProvider, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.picker = CandidatePicker(session.runs, "Which run replies in this column")
        self.runs, self.steps = self.picker.runs, self.picker.steps
        self._remove = button("", theme, self.remove_requested.emit, icon="x", role="quiet", tip="Remove this model")
        self.n_tokens = 0
        """The number of tokens generated so far."""
        self._name = ""  # the name of the loaded model
        self.about = label("", "caption")
        self.text = DifferenceText(theme)
        self.verdict = label("", "caption", wrap=True)
        self.facts = label("", "caption")
        self._hint = label(_HINT, "muted", wrap=True)
        reply = scrolling(group(self._hint, self.text, self.facts, self.verdict, None))
        choice = row(self.picker, self._remove, spacing=SPACE // 2, grows=self.picker)
        self.setLayout(column(frame("card", choice, self.about, reply, margin=SPACE + SPACE // 2, grows=reply)))
        self.picker.changed.connect(self.candidate_changed)

    # -- which model ---------------------------------------------------------------------------------------------------

    @property
    def candidate(self) -> Candidate | None:
        """The chosen model, or None."""
        return self.picker.candidate

    @property
    def name(self) -> str:
        """The run's name with the checkpoint's step."""
        return self._name or self.picker.name

    def choose(self, candidate: Candidate) -> None:
        """Choose a model, without a signal."""
        self.picker.choose(candidate)
        self.clear_reply()

    def set_removable(self, removable: bool) -> None:
        """Show the button that removes the column."""
        self._remove.setVisible(removable)

    # -- its reply -----------------------------------------------------------------------------------------------------

    def clear_reply(self) -> None:
        """Clear the reply and its results."""
        self.n_tokens, self._name = 0, ""
        self.text.clear_text()
        self._hint.setText(_HINT if self.candidate is not None else "Choose a model above.")
        self._hint.show()
        for words in (self.about, self.facts, self.verdict):
            words.setText("")

    def show_model(self, model: ChatModel) -> None:
        """Show the size and device of the loaded model."""
        step = f"step {model.step:,}, " if model.step else ""
        self._name = self.picker.name_at(model.step)
        self.about.setText(f"{step}{format_compact(model.n_parameters)} parameters, on {model.device}")

    def take(self, events: Sequence[Event]) -> None:
        """Show events of the reply. New text is added in one call, since Qt lays out the whole text each time."""
        self.n_tokens += sum(isinstance(event, TokenMade) for event in events)
        text = "".join(event.text for event in events if isinstance(event, TokenMade))
        if text:
            self._hint.hide()
            self.text.append(text if self.text.written else text.lstrip())
        for event in events:
            if isinstance(event, ReplyFinished):
                speed = format_speed(event.tokens_per_s)
                rate = f", {speed}" if speed else ""
                self.facts.setText(
                    f"{event.n_tokens:,} tokens{rate}, first token after {format_duration(event.prefill_s, fine=True)}"
                )

    def show_verdict(self, own: Judgement, other: Judgement, other_name: str) -> list[Span]:
        """Colour the reply by the difference between its own model and another one; return the compared spans.

        If two tokenizers share no boundaries, only the totals are compared.
        """
        difference = round(own.total, 1) - round(other.total, 1)  # rounded like the numbers on screen
        by, likelier = f"{abs(difference):.1f}", self.name if difference >= 0 else other_name
        words = (
            f"Log-probability of this reply: {format_signed(own.total, 1)} nats under {self.name}, "
            f"{format_signed(other.total, 1)} under {other_name}. "
            + ("Both find it about equally likely." if by == "0.0" else f"{likelier} finds it likelier, by {by} nats.")
        )
        if not own.pieces:
            self.verdict.setText("The reply is empty.")
            return []
        try:
            spans = shared_spans(own, other)
        except ValueError as error:
            self.verdict.setText(f"{words} {error}")
            return []
        self.verdict.setText(words)
        self.text.show_spans(spans, self.name, other_name)
        return spans
