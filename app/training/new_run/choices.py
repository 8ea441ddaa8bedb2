"""The form of a new run in three numbered steps: model, data with its tokenizer, and training settings."""

from __future__ import annotations

import dataclasses

from PySide6.QtCore import Qt, Signal, Slot
from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import QBoxLayout, QFrame, QScrollArea, QVBoxLayout, QWidget

from app.kit.basics import button, column, frame, label, row, separator
from app.kit.forms.config_form import ConfigForm
from app.kit.theme import SPACE, ThemeProvider
from app.session.session import Session
from app.training.new_run.data_picker import DataPicker
from app.training.new_run.design_picker import DesignPicker
from app.training.new_run.tokenizer_picker import TokenizerPicker
from models.settings.run_spec import DataSpec, TokenizerSpec, TrainConfig, inactive_fields

DEFAULT_PROMPTS = {
    "tiny-world": ("Tell me a story about Anna and the kite.",),
    "files": ("The ",),
    "stdlib": ("Return the ",),
    "pronouns": (),
}
_COLUMN_CHARACTERS = 44


class RunChoices(QScrollArea):
    """The pickers and the settings form.

    Signals:
        changed(): a choice or `problem` has changed.
        lr_requested(), batch_requested(): the user wants to find one.
    """

    changed = Signal()
    lr_requested = Signal()
    batch_requested = Signal()

    def __init__(self, session: Session, theme: ThemeProvider, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._session, self._theme = session, theme
        self.design = DesignPicker(session, theme)
        self.data = DataPicker(theme)
        self.tokenizer = TokenizerPicker(session)
        config = TrainConfig(prompts=DEFAULT_PROMPTS["tiny-world"])
        self.form = ConfigForm(config, theme, folded=("Learning rate", "Optimizer", "Evaluation and checkpoints"))
        self._sides = QBoxLayout(QBoxLayout.Direction.LeftToRight)
        self._source = self.data.spec.source
        inner = QWidget()
        inner.setProperty("role", "scrolled")
        inner.setLayout(self._sides)
        self._sides.setContentsMargins(0, 0, SPACE, 0)
        self._sides.setSpacing(SPACE)
        self._sides.addLayout(column(self._model_card(), self._data_card(), None), 1)
        self._sides.addLayout(column(self._settings_card(), None), 1)
        self.setWidgetResizable(True)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setFocusPolicy(Qt.FocusPolicy.TabFocus)  # not by clicks between its widgets
        self.setWidget(inner)
        self.data.changed.connect(self._on_data)
        self.tokenizer.changed.connect(self.changed)
        self.form.changed.connect(self.changed)
        self.form.problem_changed.connect(self.changed)
        session.designs.changed.connect(self._on_design)
        self._on_design()

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        # Two columns where both fit, else one below the other.
        wide = self.width() >= 2 * self._least_column + 3 * SPACE
        self._sides.setDirection(QBoxLayout.Direction.LeftToRight if wide else QBoxLayout.Direction.TopToBottom)

    @property
    def least_width(self) -> int:
        """The width in pixels that the cards need, one below the other."""
        return self._least_column + SPACE + self.verticalScrollBar().sizeHint().width()

    @property
    def _least_column(self) -> int:
        columns = [self._sides.itemAt(i) for i in range(self._sides.count())]
        least = max(column.minimumSize().width() for column in columns if column is not None)
        return max(least, _COLUMN_CHARACTERS * self.fontMetrics().averageCharWidth())

    @property
    def problem(self) -> str:
        """Why the choices cannot be trained, in a sentence; '' where they can."""
        return self.data.problem or self.form.problem

    def set_settings(self, data: DataSpec, tokenizer: TokenizerSpec, train: TrainConfig, tokenizer_name: str) -> None:
        """Set all choices but the model; for `tokenizer_name` see TokenizerPicker.set_spec."""
        self._source = data.source
        self.data.set_spec(data)
        self.tokenizer.set_source(data.source)
        self.tokenizer.set_spec(tokenizer, tokenizer_name)
        self.form.set_config(train)
        self.changed.emit()

    def _model_card(self) -> QWidget:
        return _card("1  Model", "The architecture", self.design)

    def _data_card(self) -> QWidget:
        return _card(
            "2  Data",
            "What the model reads, and how text becomes tokens",
            self.data,
            separator(),
            label("Tokenizer", "subheading"),
            self.tokenizer,
        )

    def _settings_card(self) -> QWidget:
        card = _card("3  Settings", "How it learns. Folded groups are advanced, with good defaults.")
        lines = card.layout()
        assert isinstance(lines, QVBoxLayout)
        rate = button(
            "Find a learning rate",
            self._theme,
            self.lr_requested.emit,
            icon="chart-line",
            role="link",
            tip="A short training in which the learning rate grows: a good one is where the loss falls fastest",
        )
        size = button(
            "Find a batch size",
            self._theme,
            self.batch_requested.emit,
            icon="timer",
            role="link",
            tip="Try larger and larger batches until memory runs out or they are no faster",
        )
        lines.addLayout(row(rate, size, None))
        lines.addWidget(self.form)
        return card

    @Slot()
    def _on_design(self) -> None:
        self.form.set_inactive(inactive_fields(self._session.designs.current))
        self.changed.emit()

    @Slot()
    def _on_data(self) -> None:
        source = self.data.source.currentData()
        if source != self._source:
            # Change to the default prompt of the new source, unless the user wrote their own.
            if self.form.config.prompts == DEFAULT_PROMPTS[self._source]:
                self.form.set_config(dataclasses.replace(self.form.config, prompts=DEFAULT_PROMPTS[source]))
            self._source = source
            self.tokenizer.set_source(source)
        self.changed.emit()


def _card(title: str, caption: str, *widgets: QWidget) -> QFrame:
    card = frame("card")
    lines = card.layout()
    assert isinstance(lines, QVBoxLayout)
    lines.addWidget(label(title, "heading"))
    lines.addWidget(label(caption, "caption", wrap=True))
    for widget in widgets:
        lines.addWidget(widget)
    return card
