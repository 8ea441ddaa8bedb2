"""Asks which settings of a run shall vary, and how, and lets all those runs wait."""

from __future__ import annotations

import dataclasses
from typing import Any

from PySide6.QtCore import Signal, Slot
from PySide6.QtWidgets import QComboBox, QDialog, QHBoxLayout, QLineEdit, QSpinBox, QVBoxLayout, QWidget

from app.parallel_axes import setting_words
from app.session import Session
from app.theme import SPACE, ThemeProvider
from app.widgets.basics import button, label, row
from app.widgets.segments import Segments
from app.widgets.words import counted
from models.training.spec import RunSpec
from models.training.spec_changes import value_of
from models.training.sweep import Choices, Range, grid, parse_choices, parse_range, random_search
from models.training.sweep_result import sweep_tag

_TABLES = ("train", "model")
_FIRST = "train.lr"
_HINTS = {"grid": "0.001, 0.003, 0.01", "random": "0.001, 0.003 or 0.0001..0.01"}
_LEFT_OUT = ("train.prompts", "model.topology", "model.vocab_size", "model.start_id", "model.end_id")
"""What has no values to try, or belongs to the tokenizer."""


class SweepDialog(QDialog):
    """A grid or a random search around one run.

    Signals:
        queued(tag): the runs wait now, with this tag.
    """

    queued = Signal(str)

    def __init__(self, session: Session, theme: ThemeProvider, base: RunSpec, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._session, self._theme, self._base = session, theme, base
        self.setWindowTitle(f"Sweep {base.name}")
        self.resize(620, 420)
        self.method = Segments(
            "Method",
            {"grid": "Every combination", "random": "Drawn at random"},
            "All combinations of a few values, or values drawn at random, which finds more with as many runs",
        )
        self.n = QSpinBox()
        self.n.setRange(1, 1000)
        self.n.setValue(10)
        self.n.setSuffix(" runs")
        self.n.setAccessibleName("Number of runs")
        self._axes: list[_AxisRow] = []
        self._lines = QVBoxLayout()
        self._lines.setSpacing(SPACE)
        self.add = button("Vary another setting", theme, self.add_axis, icon="plus", role="quiet")
        self._words = label("", "muted", wrap=True)
        self._problem = label("", "error", wrap=True)
        self.wait = button("", theme, self._on_wait, icon="queue", tip="Train them later, or after what is trained now")
        self.start = button("Train them now", theme, self._on_start, icon="play-fill", role="primary")
        layout = QVBoxLayout(self)
        layout.setContentsMargins(3 * SPACE, 3 * SPACE, 3 * SPACE, 2 * SPACE)
        layout.setSpacing(SPACE)
        sentence = f"«{base.name}» is trained again and again, each time with other values for these settings."
        layout.addWidget(label(sentence, wrap=True))
        layout.addLayout(row(self.method, self.n, None))
        layout.addSpacing(SPACE)
        layout.addLayout(self._lines)
        layout.addLayout(row(self.add, None))
        layout.addStretch(1)
        layout.addWidget(self._words)
        layout.addWidget(self._problem)
        layout.addLayout(row(None, button("Cancel", theme, self.reject), self.wait, self.start))
        self.method.changed.connect(self._show)
        self.n.valueChanged.connect(self._show)
        session.training_changed.connect(self._show)
        self.add_axis()

    @Slot()
    def add_axis(self) -> None:
        """Vary one setting more."""
        axis = _AxisRow(self._theme, self._base)
        axis.changed.connect(self._show)
        axis.removed.connect(lambda: self._remove(axis))
        self._axes.append(axis)
        self._lines.addWidget(axis)
        self._show()

    def _remove(self, axis: _AxisRow) -> None:
        self._axes.remove(axis)
        axis.hide()
        axis.deleteLater()
        self._show()

    @property
    def axes(self) -> list[_AxisRow]:
        """The settings that vary, with their values."""
        return self._axes

    def specs(self) -> list[RunSpec]:
        """The runs that are asked for.

        Raises:
            ValueError: where something cannot be read, or is not possible.
        """
        if self.method.value == "grid":
            return grid(self._base, [parse_choices(axis.text) for axis in self._axes])
        axes: list[Choices | Range] = [
            parse_range(self._base, axis.text) if ".." in axis.text else parse_choices(axis.text) for axis in self._axes
        ]
        return random_search(self._base, axes, self.n.value(), self._base.train.seed)

    @Slot()
    def _show(self) -> None:
        is_random = self.method.value == "random"
        self.n.setVisible(is_random)
        for axis in self._axes:
            axis.values.setPlaceholderText(_HINTS[self.method.value])
            axis.remove.setVisible(len(self._axes) > 1)
        problem, n = "", 0
        try:
            n = len(self.specs())
        except ValueError as error:
            problem = str(error)
        untouched = any(not axis.values.text().strip() for axis in self._axes)
        self._problem.setText("" if untouched else problem)
        self._problem.setVisible(bool(problem) and not untouched)
        self._words.setText(
            "Give each setting its values." if untouched else f"{counted(n, 'run')} in all." if n else ""
        )
        self.wait.setText(f"Let {counted(n, 'run')} wait" if n else "Let them wait")
        self.wait.setEnabled(bool(n))
        self.start.setEnabled(bool(n) and not self._session.training_active)

    def _on_wait(self) -> None:
        self._queue(starts=False)

    def _on_start(self) -> None:
        self._queue(starts=True)

    def _queue(self, *, starts: bool) -> None:
        tag = sweep_tag(self._session.library, self._base.name)
        if not self._session.queue_training(self.specs(), tags=(tag,)):
            return
        if starts:
            self._session.start_queue()
        self.queued.emit(tag)
        self.accept()


class _AxisRow(QWidget):
    """One setting, and the values that it takes.

    Signals:
        changed(): it is another one, or has other values.
        removed(): it shall not vary.
    """

    changed = Signal()
    removed = Signal()

    def __init__(self, theme: ThemeProvider, base: RunSpec) -> None:
        super().__init__()
        self._base = base
        self.setting = QComboBox()
        self.setting.setAccessibleName("Setting")
        for name, title in _settings(base):
            self.setting.addItem(title, name)
        self.setting.setCurrentIndex(max(0, self.setting.findData(_FIRST)))
        self.setting.setMaxVisibleItems(20)
        self.values = QLineEdit()
        self.values.setAccessibleName("Values")
        self._now = label("", "caption")
        self.remove = button("", theme, self.removed.emit, icon="x", role="quiet", tip="Do not vary this")
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(SPACE)
        layout.addWidget(self.setting, 2)
        layout.addWidget(self.values, 3)
        layout.addWidget(self._now)
        layout.addWidget(self.remove)
        self.setting.currentIndexChanged.connect(self._on_setting)
        self.values.textChanged.connect(self.changed)
        self._on_setting()

    @property
    def text(self) -> str:
        """As on the command line: "train.lr=0.001, 0.003"."""
        return f"{self.setting.currentData()}={self.values.text().strip()}"

    @Slot()
    def _on_setting(self) -> None:
        name = self.setting.currentData()
        self._now.setText(f"now {setting_words(value_of(self._base, name))}")
        field = _field(self._base, name)
        self.setting.setToolTip(field.metadata.get("help", ""))
        choices = field.metadata.get("choices")
        self.values.setToolTip(f"Some of: {', '.join(choices)}" if choices else "Values, with commas in between")
        self.changed.emit()


def _settings(base: RunSpec) -> list[tuple[str, str]]:
    """(name, title) of everything that can vary."""
    return [
        (f"{table}.{field.name}", str(field.metadata.get("label", field.name)))
        for table in _TABLES
        for field in dataclasses.fields(getattr(base, table))
        if f"{table}.{field.name}" not in _LEFT_OUT
    ]


def _field(base: RunSpec, name: str) -> dataclasses.Field[Any]:
    table, _, setting = name.partition(".")
    return next(field for field in dataclasses.fields(getattr(base, table)) if field.name == setting)
