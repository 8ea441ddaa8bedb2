"""The base class of the panels about one token: the query to the model, and a sentence about the token."""

from __future__ import annotations

from PySide6.QtCore import QSignalBlocker, QTimer, Slot
from PySide6.QtWidgets import QComboBox, QWidget

from terrarium.app.glass.focus import Focus
from terrarium.app.glass.glass_panel import FigurePanel
from terrarium.app.glass.names import quoted
from terrarium.app.glass.panel_head import About
from terrarium.app.glass.read_text import ReadText
from terrarium.app.glass.target_token import TargetToken
from terrarium.app.kit.basics import column, label, row
from terrarium.app.kit.export_button import ExportSource
from terrarium.app.kit.forms.editors import keep_wheel_for_scrolling
from terrarium.app.kit.labels import ElidedCombo
from terrarium.app.kit.theme import SPACE, ThemeProvider
from terrarium.app.session.session import Session
from terrarium.app.worker.failures import Failure

_LATE_MS = 300
_MOST_SURPRISING = "The reply's most surprising token. "
_OTHERS = "Point at any other."
_NO_TOKENS = (
    "It answers about a text or its words. Inputs shows which words the answer depends on; Attention and Switch off "
    "show what happens inside."
)
_A_NUMBER = "It answers with a number. Attention shows how it reads the text."
_GIVEN = "the model's answer"


class AnswerPanel(FigurePanel):
    """A panel about one token.

    The body begins with one sentence about the token, which subclasses set with `say`. Subclasses implement `ask`,
    called when the target token changes, and `forget`, called when the text or the model changes.

    is_about_predictions: whether the panel explains the prediction of a token, so that it needs a model that predicts
    tokens. is_about_labels: whether it can also explain a predicted label, tag or answer span. other_words: the hint
    shown for a tag, on how to select another word.
    """

    is_about_predictions = True
    is_about_labels = False
    other_words = ""

    def __init__(
        self,
        session: Session,
        theme: ThemeProvider,
        focus: Focus,
        about: About,
        numbers: ExportSource,
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(session, theme, focus, about, numbers, parent)
        self.opening = label("", "caption", wrap=True)
        if self.is_about_labels:
            self.label_choice = _LabelChoice(focus)
            self.lines.addWidget(self.label_choice)
        self.lines.addLayout(column(self.sentence, self.opening, spacing=SPACE // 2))
        self._note = ""
        self._late = QTimer(self, singleShot=True, interval=_LATE_MS)
        self._late.timeout.connect(self._on_late)
        self.examiner.changed.connect(self._on_busy_changed)
        self.examiner.failed.connect(self._on_failed)

    @property
    def target(self) -> TargetToken | None:
        """The inspected token, or None."""
        text, position = self.focus.text, self.focus.position
        return TargetToken(text, position, self.focus.label) if text is not None and position is not None else None

    @property
    def _is_encoder(self) -> bool:
        """Whether the model predicts tokens at their own positions and generates no text."""
        model = self._session.chat.model
        return model is not None and model.config.topology == "encoder-only"

    def _can_ask(self, text: ReadText) -> bool:
        """Return whether the open model assigns a probability to its answer to this text; a regression does not."""
        model = self._session.chat.model
        return model is not None and (model.config.head == "language" or text.question is not None)

    def ask(self, target: TargetToken) -> None:
        """Query the model about a new target token."""
        raise NotImplementedError

    def forget(self) -> None:
        """Discard all results, since the text or the model has changed."""
        raise NotImplementedError

    def show_text(self) -> None:
        self.examiner.forget()
        self.forget()
        self._set_note("")
        self.say("")
        text = self.focus.text
        if text is None or text.start is None:
            self.show_message("Point at a token", "Hover over a token of the text; click to keep it.")
        else:
            self.show_message("Reading…", "The model reads the text again to look into it.")

    def show_position(self) -> None:
        target, model = self.target, self._session.chat.model
        if model is None:
            self.show_message("No model is open", "Choose a model above: it will read the text again for inspection.")
        elif self.is_about_predictions and model.config.head != "language" and not self.is_about_labels:
            words = _A_NUMBER if model.task == "regression" else _NO_TOKENS
            self.show_message("This model predicts no tokens", words)
        elif self.focus.absence:
            self.show_message("This text cannot be inspected", self.focus.absence)
        elif self.focus.text is None and model.config.head != "language":
            self.show_message("Nothing to inspect yet", "Write a text: what its label depends on is shown here.")
        elif self.focus.text is not None and self.is_about_predictions and not self._can_ask(self.focus.text):
            self.show_message("No label to inspect", "This model answers with a number, which has no probability.")
        elif self.focus.text is None:
            self.show_message(
                "Nothing to inspect yet",
                "Ask the model something: the most surprising token of its reply is shown here.",
            )
        elif target is not None:
            self.ask(target)

    def say(self, sentence: str) -> None:
        """Show a sentence about the token in focus; "" hides it."""
        self.sentence.setText(sentence)
        self.sentence.setVisible(bool(sentence))
        target, opening = self.target, ""
        if target is not None and target.word:
            opening = f"This is about {quoted(target.word)}. {self.other_words}".strip()
        elif target is not None and target.question is None and self.focus.is_at_start:
            opening = f"{_MOST_SURPRISING if target.text.n_prompt < len(target.text.ids) else ''}{_OTHERS}"
        self.opening.setText(opening)
        self.opening.setVisible(bool(sentence and opening))

    def show_body(self, *, target_is_visible: bool = False) -> None:
        """Show the body instead of a message, with notes.

        A note says that the model has been trained since the text was generated; another one, if `target_is_visible`,
        that the target token is in the input of the model, so that its probability is not a prediction.
        """
        super().show_body()
        text, notes = self.focus.text, []
        if text is not None and text.step != self.examiner.step:
            now = f"these numbers are from step {self.examiner.step:,}"
            notes.append(f"The text was generated at step {text.step:,}; {now}.")
        if target_is_visible:
            notes.append("The model sees this token, so this is not a prediction: mask the token for one.")
        self._set_note(" ".join(notes))

    def _set_note(self, words: str) -> None:
        self._note = words
        self.head.set_note(words)

    @Slot()
    def _on_busy_changed(self) -> None:
        if self.examiner.busy:
            self._late.start()
        else:
            self._late.stop()
            self.head.set_note(self._note)  # also after a cancelled question

    @Slot()
    def _on_late(self) -> None:
        """Note that the previous result is still shown: between long training steps, an answer takes a while."""
        if not self.message:
            self.head.set_note("Waiting for the model: this is still the previous result.")

    @Slot(object)
    def _on_failed(self, failure: Failure) -> None:
        self.show_message("This cannot be inspected", failure.sentence)


class _LabelChoice(QWidget):
    """A selector of the label to explain: the predicted one, or another one, as in “why not sad?”.

    Hidden unless there are several labels.
    """

    def __init__(self, focus: Focus, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._focus = focus
        self.combo: QComboBox = ElidedCombo()
        self.combo.setAccessibleName("Label to ask about")
        self.combo.setToolTip("Ask why this label was given, or why another one was not")
        self.combo.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        self.combo.setMinimumContentsLength(18)
        keep_wheel_for_scrolling(self.combo)
        self.setLayout(row(label("Ask about", "caption"), self.combo, None))
        self.combo.activated.connect(lambda i: focus.choose_label(i - 1 if i else None))
        focus.text_changed.connect(self.refresh)
        focus.label_changed.connect(self.refresh)
        self.refresh()

    @Slot()
    def refresh(self) -> None:
        """Update the choices to the labels of the text in focus."""
        labels, chosen = self._focus.labels, self._focus.label
        with QSignalBlocker(self.combo):
            self.combo.clear()
            self.combo.addItems((_GIVEN, *labels))
            self.combo.setCurrentIndex(0 if chosen is None else chosen + 1)
        self.setVisible(len(labels) > 1)
