"""Making a run: data, tokenizer, design and training settings, and beside them what will really run."""

from __future__ import annotations

import dataclasses
import math

from PySide6.QtCore import Qt, QTimer, Signal, Slot
from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import QBoxLayout, QGridLayout, QHBoxLayout, QLabel, QLineEdit, QScrollArea, QVBoxLayout, QWidget

from app.session import Session
from app.theme import SPACE, ThemeProvider
from app.widgets.basics import button, column, frame, label
from app.widgets.config_form import ConfigForm
from app.widgets.data_picker import DataPicker
from app.widgets.design_picker import DesignPicker
from app.widgets.tokenizer_picker import TokenizerPicker
from app.widgets.words import short_count
from models.config import ModelConfig
from models.training.spec import RunSpec, TrainConfig

DEFAULT_PROMPTS = {
    "tiny-world": ("Tell me a story about Anna and the kite.",),
    "files": ("The ",),
    "stdlib": ("Return the ",),
}
_REVIEW_WIDTH = 264
_COLUMN_CHARACTERS = 44
_FACTS = (
    ("parameters", "Parameters", "Trained numbers of the model"),
    ("step", "Tokens per step", "Batch size × accumulation × context length"),
    ("tokens", "Tokens in all", "What the model will have read at the end, repetitions included"),
    ("guess", "Uniform guess", "The loss of a model that knows nothing: ln(vocabulary), in nats per token"),
)


class NewRun(QWidget):
    """The form from which a run starts.

    Signals:
        started(): the session has taken the run on.
    """

    started = Signal()

    def __init__(self, session: Session, theme: ThemeProvider, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._session = session
        self.data = DataPicker(theme)
        self.tokenizer = TokenizerPicker(session)
        self.design = DesignPicker(session, theme)
        config = TrainConfig(prompts=DEFAULT_PROMPTS["tiny-world"])
        self.form = ConfigForm(config, theme, folded=("Learning rate", "Optimizer", "Watching"))
        self.name = QLineEdit()
        self.name.setPlaceholderText("Name of the run")
        self.name.setAccessibleName("Name of the run")
        self.name.setMaxLength(60)
        self.start = button(
            "Start training", theme, self.start_run, icon="play-fill", role="primary", tip="Start training this model"
        )
        self._sides = QBoxLayout(QBoxLayout.Direction.LeftToRight)
        self._facts: dict[str, QLabel] = {}
        self._problem = label("", "error", wrap=True)
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(SPACE)
        layout.addWidget(self._choices(), 1)
        layout.addWidget(self._review())
        self._source = self.data.spec.source
        # What is shown depends on several parts: brought up to date once, after all of them changed.
        self._later = QTimer(self)
        self._later.setSingleShot(True)
        self._later.setInterval(0)
        self._later.timeout.connect(self._show_review)
        self.data.changed.connect(self._on_data)
        self.tokenizer.changed.connect(self._later.start)
        self.form.changed.connect(self._later.start)
        self.form.problem_changed.connect(self._later.start)
        session.design_changed.connect(self._later.start)
        self._was_active = session.training_active
        session.training_changed.connect(self._on_training)
        self._show_review()

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        # Two columns where both have room for their words, else one below the other.
        wide = self.width() - _REVIEW_WIDTH >= 2 * _COLUMN_CHARACTERS * self.fontMetrics().averageCharWidth()
        self._sides.setDirection(QBoxLayout.Direction.LeftToRight if wide else QBoxLayout.Direction.TopToBottom)

    def _choices(self) -> QWidget:
        inner = QWidget()
        inner.setProperty("role", "scrolled")
        sides = self._sides
        inner.setLayout(sides)
        sides.setContentsMargins(0, 0, SPACE, 0)
        sides.setSpacing(SPACE)
        left = column()
        parts = (
            ("Data", "What the model reads", self.data),
            ("Tokenizer", "How text becomes tokens", self.tokenizer),
            ("Design", "What the model is made of", self.design),
        )
        for title, caption, widget in parts:
            card = frame("card")
            lines = card.layout()
            assert isinstance(lines, QVBoxLayout)
            lines.addWidget(label(title, "heading"))
            lines.addWidget(label(caption, "caption"))
            lines.addWidget(widget)
            left.addWidget(card)
        left.addStretch(1)
        settings = frame("card")
        lines = settings.layout()
        assert isinstance(lines, QVBoxLayout)
        lines.addWidget(label("Training", "heading"))
        lines.addWidget(label("How it learns. The folded parts have good defaults.", "caption"))
        lines.addWidget(self.form)
        sides.addLayout(left, 1)
        sides.addLayout(column(settings, None), 1)
        area = QScrollArea()
        area.setWidgetResizable(True)
        area.setFrameShape(QScrollArea.Shape.NoFrame)
        area.setWidget(inner)
        return area

    def _review(self) -> QWidget:
        card = frame("card")
        card.setFixedWidth(_REVIEW_WIDTH)
        lines = card.layout()
        assert isinstance(lines, QVBoxLayout)
        lines.addWidget(label("What will run", "heading"))
        caption = label("Name")
        caption.setBuddy(self.name)
        lines.addLayout(column(caption, self.name, spacing=SPACE // 2))
        facts = QGridLayout()
        facts.setVerticalSpacing(SPACE)
        for i, (name, words, tip) in enumerate(_FACTS):
            title, number = label(words, "muted"), label("–", "mono")
            for widget in (title, number):
                widget.setToolTip(tip)
            facts.addWidget(title, i, 0)
            facts.addWidget(number, i, 1)
            number.setAlignment(Qt.AlignmentFlag.AlignRight)
            self._facts[name] = number
        lines.addSpacing(SPACE)
        lines.addLayout(facts)
        lines.addStretch(1)
        lines.addWidget(self._problem)
        lines.addWidget(self.start)
        return card

    # -- What will run ----------------------------------------------------------------------------------

    @property
    def model(self) -> ModelConfig:
        """The design, with the vocabulary that the tokenizer will have."""
        return dataclasses.replace(self._session.design, vocab_size=self.tokenizer.vocab_size)

    def spec(self) -> RunSpec:
        """Everything as it is chosen now; ValueError says what is missing."""
        self.form.commit()
        problem = self.problem
        if problem:
            raise ValueError(problem)
        return RunSpec(
            name=self.name.text().strip() or self._default_name(),
            model=self.model,
            tokenizer=self.tokenizer.spec,
            data=self.data.spec,
            train=self.form.config,
        )

    @property
    def problem(self) -> str:
        """Why nothing can start now, in a sentence; '' where something can."""
        if self.data.problem:
            return self.data.problem
        if self.form.problem:
            return self.form.problem
        if self._session.training_active:
            return "A training is going on. Stop it first, or wait until it ends."
        return ""

    def start_run(self) -> None:
        """Start what is chosen."""
        try:
            spec = self.spec()
        except ValueError as error:
            self._problem.setText(str(error))
            return
        if self._session.start_training(spec):
            self.name.clear()
            self.started.emit()

    @Slot()
    def _on_data(self) -> None:
        source = self.data.source.currentData()
        if source != self._source:
            # A prompt that suits the text, unless the user wrote their own.
            if self.form.config.prompts == DEFAULT_PROMPTS[self._source]:
                self.form.set_config(dataclasses.replace(self.form.config, prompts=DEFAULT_PROMPTS[source]))
            self._source = source
        self._later.start()

    @Slot()
    def _on_training(self) -> None:
        # It changes many times a second: only whether there is one matters here.
        if self._session.training_active != self._was_active:
            self._was_active = self._session.training_active
            self._later.start()

    @Slot()
    def _show_review(self) -> None:
        problem = self.problem
        self._problem.setText(problem)
        self._problem.setVisible(bool(problem))
        self.start.setEnabled(not problem)
        self.name.setPlaceholderText(self._default_name())
        train: TrainConfig = self.form.config
        model = self.model
        tokens = train.batch_size * train.grad_accum_steps * model.context_length
        self._facts["parameters"].setText(short_count(_parameters(model), billion="B"))
        self._facts["step"].setText(f"{tokens:,}")
        self._facts["tokens"].setText(short_count(tokens * train.steps))
        self._facts["guess"].setText(f"{math.log(model.vocab_size):.3f}")

    def _default_name(self) -> str:
        return self._session.free_run_name(self._session.design_name or "my-design")


def _parameters(model: ModelConfig) -> int:
    from models.cost import total_parameters

    return total_parameters(model)
