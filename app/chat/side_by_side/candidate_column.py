"""One column of the side-by-side page: the model, its reply, and the difference from another model."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QWidget

from terrarium.app.kit.basics import button, column, frame, group, label, row, scrolling
from terrarium.app.kit.text.difference_text import DifferenceText
from terrarium.app.kit.theme import SPACE, ThemeProvider
from terrarium.app.preferences.candidate_picker import CandidatePicker
from terrarium.app.session.candidates import Candidate
from terrarium.app.session.chat_model import ChatModel
from terrarium.app.session.session import Session
from terrarium.models.events import Event, ReplyFinished, TokenMade
from terrarium.models.inspect.spans import Judgement, Span, shared_spans
from terrarium.models.number_words import format_compact, format_duration, format_signed, format_speed

_HINT = "The reply appears here."


class CandidateColumn(QWidget):
    """A model and its reply.

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
