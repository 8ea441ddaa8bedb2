"""A dialog for a sweep: it asks for the settings to vary and their values, and queues the runs."""

from __future__ import annotations

import contextlib
import dataclasses
import math
import re
from typing import Any

from PySide6.QtCore import Qt, Signal, Slot
from PySide6.QtWidgets import QSpinBox, QWidget

from terrarium.app.kit.basics import button, column, label, plain_tip, row, set_enabled, show_words
from terrarium.app.kit.dialog import Dialog
from terrarium.app.kit.inputs import choice, line_edit, named
from terrarium.app.kit.labels import ElidedLabel
from terrarium.app.kit.layout.segments import Segments
from terrarium.app.kit.layout.tab_order import put_after, stops_in
from terrarium.app.kit.setting_names.slot_words import with_labels
from terrarium.app.kit.theme import SPACE, ThemeProvider
from terrarium.app.session.blocks import option_field
from terrarium.app.session.session import Session
from terrarium.models.number_words import format_count
from terrarium.models.runs.sweep import (
    SweepRange,
    SweepValues,
    block_options,
    grid,
    parse_range,
    parse_values,
    random_search,
    sweep_tag,
)
from terrarium.models.settings.block_references import BLOCK_SLOTS
from terrarium.models.settings.run_spec import RunSpec
from terrarium.models.settings.slots import is_used
from terrarium.models.settings.spec_changes import inactive_fields, value_of

_FIRST = ("train.lr", "train.batch_size", "model.n_layer", "model.d_model", "train.weight_decay", "train.seed")
"""The settings that are proposed, in this order."""
_NOW_CHARACTERS = 14
_LEFT_OUT = (
    *("train.prompts", "model.topology", "model.vocab_size", "model.start_id", "model.end_id", "tune.parent"),
    *("align.stage", "align.reward_model", "model.block_options"),
)
"""Settings that cannot be varied, or belong to the tokenizer."""


class SweepDialog(Dialog):
    """A dialog for a grid or random search around one run.

    Signals:
        queued(tag): the runs were queued with this tag.
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
            "All combinations of a few values, or random values, which find more in as many runs",
        )
        self.n = named(QSpinBox(), "Number of runs", "Number of random runs")
        self.n.setRange(1, 1000)
        self.n.setValue(10)
        self.n.setSuffix(" runs")
        self.n.setAlignment(Qt.AlignmentFlag.AlignRight)
        self._axes: list[_AxisRow] = []
        self._n_runs = 0
        self._lines = column()
        self.add = button(
            "Vary another setting", theme, self.add_axis, icon="plus", role="quiet", tip="Add a setting to vary"
        )
        self.words = label("", "muted", wrap=True)
        self.problem = label("", "error", wrap=True)
        self.wait = button(
            "Add to the queue", theme, self._on_wait, icon="queue", tip="Train them later, or after the current run"
        )
        self.start = button("Train them now", theme, self._on_start, icon="play-fill", role="primary")
        self.start.setDefault(True)
        sentence = f"“{base.name}” is trained several times, with different values of these settings."
        self.lay_out(
            label(sentence, wrap=True),
            row(self.method, self.n, None),
            SPACE,
            self._lines,
            row(self.add, None),
            None,
            self.words,
            self.problem,
            row(None, button("Cancel", theme, self.reject, tip="Train nothing"), self.wait, self.start),
        )
        self.method.changed.connect(self._show)
        self.n.valueChanged.connect(self._show)
        session.training.changed.connect(self._show_offers)
        self.add_axis()

    @Slot()
    def add_axis(self) -> None:
        """Add a row for another setting to vary."""
        taken = {axis.name for axis in self._axes}
        axis = _AxisRow(self._theme, self._base, next((name for name in _FIRST if name not in taken), _FIRST[0]))
        axis.changed.connect(self._show)
        axis.removed.connect(lambda: self._remove(axis))
        self._axes.append(axis)
        self._lines.addWidget(axis)
        put_after(self._axes[-2].remove if len(self._axes) > 1 else self.n, *stops_in(axis))
        axis.values.setFocus()
        self._show()

    def _remove(self, axis: _AxisRow) -> None:
        self._axes.remove(axis)
        axis.hide()
        axis.deleteLater()
        self._show()

    @property
    def axes(self) -> list[_AxisRow]:
        """The rows of the varied settings with their values."""
        return self._axes

    def specs(self) -> list[RunSpec]:
        """Return the specs of the runs of the sweep.

        Raises:
            ValueError: if values cannot be parsed or are invalid.
        """
        if self.method.value == "grid":
            return grid(self._base, [parse_values(axis.text) for axis in self._axes])
        axes: list[SweepValues | SweepRange] = [
            parse_range(self._base, axis.text) if ".." in axis.text else parse_values(axis.text) for axis in self._axes
        ]
        return random_search(self._base, axes, self.n.value(), self._base.train.seed)

    @Slot()
    def _show(self) -> None:
        is_random = self.method.value == "random"
        self.n.setVisible(is_random)
        for axis in self._axes:
            axis.show_hint(with_range=is_random)
            axis.remove.setVisible(len(self._axes) > 1)
        problem, n = "", 0
        try:
            n = len(self.specs())
        except ValueError as error:
            problem = self._with_labels(str(error))
        untouched = any(not axis.values.text().strip() for axis in self._axes)
        show_words(self.problem, "" if untouched else problem)
        self.words.setText(
            "Enter values for each setting." if untouched else f"{format_count(n, 'run')} in all." if n else ""
        )
        self._n_runs = n
        self._show_offers()

    @Slot()
    def _show_offers(self) -> None:
        """Enable the buttons, depending on the number of runs and on whether a run is training."""
        no_runs = "" if self._n_runs else "There is no run to train: enter values to try."
        set_enabled(self.wait, no_runs)
        busy = "Another run is training: add them to the queue." if self._session.training.active else ""
        set_enabled(self.start, no_runs or busy, "Train them one after the other")

    def _with_labels(self, sentence: str) -> str:
        """Return the sentence with the names of settings replaced by their labels."""
        titles = {f"{table}.{f.name}": str(f.metadata.get("label", f.name)) for table, f in _fields(self._base)}
        sentence = re.sub(r"\b[a-z_]+\.\w+", lambda found: titles.get(found[0], found[0]), sentence)
        table, _, rest = sentence.partition(": ")
        return (
            with_labels(rest, [f for of, f in _fields(self._base) if of == table])
            if table in _tables(self._base)
            else sentence
        )

    def _on_wait(self) -> None:
        self._queue(starts=False)

    def _on_start(self) -> None:
        self._queue(starts=True)

    def _queue(self, *, starts: bool) -> None:
        tag = sweep_tag(self._session.library, self._base.name)
        if not self._session.queue.add(self.specs(), tags=(tag,)):
            return
        if starts:
            self._session.queue.start()
        self.queued.emit(tag)
        self.accept()


class _AxisRow(QWidget):
    """A row with a setting and its values.

    Signals:
        changed(): the setting or its values have changed.
        removed(): the user requested the removal of the row.
    """

    changed = Signal()
    removed = Signal()

    def __init__(self, theme: ThemeProvider, base: RunSpec, name: str) -> None:
        super().__init__()
        self._base = base
        self.setting = choice("Setting", entries=dict(_settings(base)))
        self.setting.setCurrentIndex(max(0, self.setting.findData(name)))
        self.setting.setMaxVisibleItems(20)
        self.values = line_edit("Values")
        self._now = ElidedLabel()
        self._now.setProperty("role", "caption")
        self._now.setFixedWidth(self.fontMetrics().averageCharWidth() * _NOW_CHARACTERS)
        self.remove = button("", theme, self.removed.emit, icon="x", role="quiet", tip="Do not vary this")
        as_if_there = self.remove.sizePolicy()
        as_if_there.setRetainSizeWhenHidden(True)  # keeps the columns aligned
        self.remove.setSizePolicy(as_if_there)
        self.setLayout(row(self.setting, self.values, self._now, self.remove, grows=self.values))
        self.setting.currentIndexChanged.connect(self._on_setting)
        self.values.textChanged.connect(self.changed)
        self._on_setting()

    @property
    def name(self) -> str:
        """The name of the setting, as "train.lr"."""
        return str(self.setting.currentData())

    @property
    def text(self) -> str:
        """The setting and its values as on the command line: "train.lr=0.001, 0.003"."""
        return f"{self.name}={self.values.text().strip()}"

    def show_hint(self, *, with_range: bool) -> None:
        """Show example values as a placeholder. with_range: whether to show a range too."""
        examples = _examples(self._field, _value(self._base, self.name))
        numbers = with_range and not self._field.metadata.get("choices") and len(examples) > 2
        more = f" or {examples[0]}..{examples[-1]}" if numbers else ""
        self.values.setPlaceholderText(", ".join(examples) + more)

    @property
    def _field(self) -> dataclasses.Field[Any]:
        return next(f for table, f in _fields(self._base) if f"{table}.{f.name}" == self.name)

    @Slot()
    def _on_setting(self) -> None:
        self._now.setText(f"now {_as_typed(_value(self._base, self.name))}")
        self.setting.setToolTip(plain_tip(self._field.metadata.get("help", "")))
        choices = self._field.metadata.get("choices")
        self.values.setToolTip(
            plain_tip(f"Some of: {', '.join(choices)}" if choices else "Values, separated by commas")
        )
        self.changed.emit()


def _settings(base: RunSpec) -> list[tuple[str, str]]:
    """Return (name, label) of all settings that can be varied and have an effect in this run."""
    inactive = inactive_fields(base.model, base.align)
    return [
        (f"{table}.{f.name}", str(f.metadata.get("label", f.name)))
        for table, f in _fields(base)
        if f"{table}.{f.name}" not in _LEFT_OUT
        and (table in BLOCK_SLOTS or is_used(getattr(base, table), f))
        and not (table == "train" and f.name in inactive)
    ]


def _examples(field: dataclasses.Field[Any], value: Any) -> list[str]:
    """Return example values around the current one."""
    if field.metadata.get("choices"):
        return list(field.metadata["choices"][:2])
    if isinstance(value, bool):
        return ["true", "false"]
    if isinstance(value, int):
        numbers: list[float] = [value, value + 1, value + 2] if value < 2 else [value // 2, value, 2 * value]
    else:
        numbers = [float(f"{value * factor:.1g}") for factor in (1 / 3, 1, 3)] if value else [0.0, 0.1, 0.2]
    low, high = field.metadata.get("range", (-math.inf, math.inf))
    return [_as_typed(number) for number in dict.fromkeys(min(max(number, low), high) for number in numbers)]


def _as_typed(value: Any) -> str:
    """Format a value as the user types it."""
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:g}" if isinstance(value, float) else str(value)


def _value(base: RunSpec, name: str) -> Any:
    """Return the value of a setting, or of a block's option."""
    return block_options(base.model)[name][1] if name.partition(".")[0] in BLOCK_SLOTS else value_of(base, name)


def _fields(base: RunSpec) -> list[tuple[str, dataclasses.Field[Any]]]:
    """Return (table, field) of all settings in `_tables`, and (place, field) of the options of custom blocks."""
    found = [(table, f) for table in _tables(base) for f in dataclasses.fields(getattr(base, table))]
    with contextlib.suppress(ValueError):  # a text is not there: the run cannot be trained either, which says why
        options = block_options(base.model) if "model" in _tables(base) else {}
        for name, (option, _) in options.items():
            place, _, own_name = name.partition(".")
            found.append((place, option_field(own_name, option)))
    return found


def _tables(base: RunSpec) -> tuple[str, ...]:
    """Return the tables whose settings can be varied: not the design of a run from weights, which is its parent's."""
    if base.align is not None:
        return ("train", "align", "tune")
    return ("train", "model") if base.tune is None else ("train", "tune")
