"""The picker of a run's starting weights (random, or a model of the library) and of the fine-tuning mode."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from PySide6.QtCore import QSignalBlocker, Qt, Signal, Slot
from PySide6.QtGui import QStandardItemModel
from PySide6.QtWidgets import QComboBox, QFileDialog, QGridLayout, QListView, QPushButton, QWidget

from terrarium.app.kit.basics import (
    add_menu,
    button,
    column,
    group,
    label,
    plain_tip,
    row,
    set_enabled,
    set_role,
    show_if,
    show_words,
)
from terrarium.app.kit.forms.config_form import ConfigForm
from terrarium.app.kit.inputs import choice, grid, named, progress_bar, show_progress
from terrarium.app.kit.labels import ElidedLabel, NumberLabel
from terrarium.app.kit.setting_names.preset_words import format_parameter_count, known_parameters
from terrarium.app.kit.setting_names.value_words import words
from terrarium.app.kit.theme import SPACE, ThemeProvider
from terrarium.app.session.model_importer import ModelImporter
from terrarium.app.session.session import Session
from terrarium.models.events import Event, Notice, Phase, Progress
from terrarium.models.number_words import format_compact, format_size
from terrarium.models.settings.model_config import ModelConfig
from terrarium.models.settings.tune_spec import TUNE_MODES, TuneSpec

_SMALL = 1_000_000
"""Up to this many parameters, training all weights is the better choice (see _WHY_ALL)."""
_WHY_ALL = "For a model this small, training all weights is the best choice: LoRA makes it forget more"
_WHY_ALL_OF_WRITER = ", and with tied and frozen token rows it cannot say new words"
_WHY_LORA = "LoRA trains few numbers beside the frozen weights, so that a large model fits into memory."
_UNCHANGED = "The architecture and the tokenizer are those of this model."
_HELD = TuneSpec(parent="-")
_SIMPLE = ("mode",)
"""The settings shown at the simple detail level."""


class StartPicker(QWidget):
    """Chooses a TuneSpec, or none for random weights. A model from outside the library is imported first, then chosen.

    Signals:
        changed(): `spec` or `problem` has changed.
    """

    changed = Signal()

    def __init__(self, session: Session, theme: ThemeProvider, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._session = session
        self._config: ModelConfig | None = None
        self._mode_is_chosen = False
        self._writes = True
        self._proposed: dict[str, Any] = {"max_length": _HELD.max_length}
        self.choice = choice(
            "Start from",
            "Random weights; or a model that has learned something already: one of your runs, or an imported model.",
            width=18,
        )
        self.importer = ModelImporter(session.library, session.runs, session.notices, self)
        self.open = self._open_button(theme)
        self.cancel = button("Cancel", theme, self.importer.cancel, role="link", tip="Stop; nothing of it is kept")
        self.progress, self.phase = progress_bar("Progress of the import"), ElidedLabel()
        self.phase.setProperty("role", "caption")
        head = row(self.phase, self.cancel, grows=self.phase)
        self._importing = group(head, self.progress, spacing=SPACE // 2)
        self.checkpoint = choice("Checkpoint to start from", "The weights after which step", width=18)
        self.form = ConfigForm(_HELD, theme, hidden={"parent"})
        self.form.keep_simple(session.detail, _SIMPLE, self._usual)
        self._about = label("", "caption", wrap=True)
        self._why = label("", "caption", wrap=True)
        self.costs = {mode: (NumberLabel(7, "mono-small"), NumberLabel(9, "mono-small")) for mode in TUNE_MODES}
        self._modes = {mode: label(words(mode), "small") for mode in TUNE_MODES}
        self._tuning = group(self.checkpoint, self._about, self.form, self._why, self._cost_table())
        chosen = row(self.choice, self.open, grows=self.choice)
        self.setLayout(column(chosen, self._importing, self._tuning))
        self._show_import()
        self.choice.activated.connect(self._on_choice)
        self.checkpoint.activated.connect(lambda: self.changed.emit())
        self.form.changed.connect(self._on_form)
        self.form.problem_changed.connect(lambda _: self.changed.emit())
        self.importer.events_received.connect(self._on_import_events)
        self.importer.changed.connect(self._show_import)
        self.importer.imported.connect(lambda run_id, name: self.start_from(run_id))
        session.closing.connect(self.importer.close)
        session.runs.changed.connect(self.reload)
        session.training.ended.connect(self.reload)
        self.reload()

    def _open_button(self, theme: ThemeProvider) -> QPushButton:
        tip = "Bring a model from outside the library into it, and start from that"
        opens = button("Open…", theme, icon="folder-open", tip=tip)
        entries = (
            ("A folder…", "folder-open", "A Hugging Face folder, or a run of Terrarium", self._ask_folder),
            ("A GGUF file…", "file", "A .gguf file", self._ask_file),
        )
        add_menu(opens, theme, entries)
        return opens

    def _ask_folder(self) -> None:
        if folder := QFileDialog.getExistingDirectory(self, "Choose the folder of a model"):
            self.import_from(Path(folder))

    def _ask_file(self) -> None:
        file, _ = QFileDialog.getOpenFileName(self, "Choose a GGUF file", "", "GGUF models (*.gguf)")
        if file:
            self.import_from(Path(file))

    def import_from(self, source: Path) -> None:
        """Import a model into the library, then start from it."""
        if self.importer.start(source):
            self.phase.setText(f"Reading {source.name}")
            show_progress(self.progress, 0, 1)
            self._show_import()

    @Slot(object)
    def _on_import_events(self, events: tuple[Event, ...]) -> None:
        for event in events:
            if isinstance(event, Notice):
                self._session.notices.say(event.sentence)
            elif isinstance(event, Phase):
                self.phase.setText(event.name)
            elif isinstance(event, Progress) and event.total:
                show_progress(self.progress, event.done, event.total)

    @Slot()
    def _show_import(self) -> None:
        self._importing.setVisible(self.importer.busy)
        set_enabled(self.open, "A model is being imported: wait, or cancel it." if self.importer.busy else "")

    def _cost_table(self) -> QGridLayout:
        titles = {
            "What each would train": "The modes of fine-tuning",
            "Weights": "Parameters that are trained",
            "Memory": "Estimated memory of a step, beside the program's own; Measure tries the chosen mode",
        }
        captions = [label(title, "caption") for title in titles]
        for shown, tip in zip(captions, titles.values(), strict=True):
            shown.setToolTip(plain_tip(tip))
        for mode, (n_weights, n_bytes) in self.costs.items():
            named(n_weights, f"Weights trained by {words(mode)}")
            named(n_bytes, f"Memory of {words(mode)}")
        table = grid(captions, *((self._modes[mode], *costs) for mode, costs in self.costs.items()), grows=0)
        for at, shown in enumerate(captions):
            table.setAlignment(shown, Qt.AlignmentFlag.AlignRight if at else Qt.AlignmentFlag.AlignLeft)
        return table

    def show_costs(self, costs: Mapping[str, tuple[int, int]]) -> None:
        """Show the costs of each mode: mode -> (number of trained weights, memory of a step in bytes)."""
        for mode, (n_weights, n_bytes) in self.costs.items():
            known = costs.get(mode)
            n_weights.setText("–" if known is None else format_compact(known[0], billion="B"))
            n_bytes.setText("–" if known is None else format_size(known[1]))
            self._offer(mode, is_offered=known is None or known[0] > 0 or mode == self.form.config.mode)
            chosen = mode == self.form.config.mode
            set_role(self._modes[mode], "small", tone="ok" if chosen else "")

    def _offer(self, mode: str, *, is_offered: bool) -> None:
        """Show a mode, or hide it if it would train nothing, for example the head of tied weights."""
        show_if(is_offered, self._modes[mode], *self.costs[mode])
        box = self.form.editor("mode")
        assert isinstance(box, QComboBox)
        model, view, at = box.model(), box.view(), TUNE_MODES.index(mode)
        assert isinstance(model, QStandardItemModel)
        assert isinstance(view, QListView)
        model.item(at).setEnabled(is_offered)  # so that the keyboard skips it
        view.setRowHidden(at, not is_offered)

    def _usual(self) -> TuneSpec:
        """Return the proposed settings, with the chosen mode."""
        return dataclasses.replace(_HELD, mode=self.form.config.mode, **self._proposed)

    @property
    def config(self) -> ModelConfig | None:
        """The design of the starting model, None for random weights."""
        return self._config

    @property
    def run_id(self) -> str:
        """The id of the run to start from, '' for random weights."""
        return str(self.choice.currentData() or "")

    @property
    def name(self) -> str:
        """The name of the starting model, '' for random weights."""
        return self.choice.currentText().rpartition("  ·  ")[0] if self.run_id else ""

    @property
    def problem(self) -> str:
        """Why `spec` is invalid, in a sentence; '' if it is valid."""
        if not self.run_id:
            return ""
        return self.form.problem if self._config is not None else "The settings of this model cannot be read."

    @property
    def spec(self) -> TuneSpec | None:
        """The chosen model and mode; None for random weights."""
        if not self.run_id:
            return None
        step = self.checkpoint.currentData()
        chosen: TuneSpec = self.form.config
        return dataclasses.replace(chosen, parent=f"{self.run_id}@{step}" if step else self.run_id)

    def set_spec(self, spec: TuneSpec | None) -> None:
        """Choose `spec`; random weights if it is None or its model is no longer in the library."""
        run_id, _, step = spec.parent.partition("@") if spec is not None else ("", "", "")
        with QSignalBlocker(self):
            self.choice.setCurrentIndex(max(0, self.choice.findData(run_id)))
            self._show_choice()
            if spec is not None and self.run_id:
                self._mode_is_chosen = True
                self.form.set_config(dataclasses.replace(spec, parent=_HELD.parent))
                self.checkpoint.setCurrentIndex(max(0, self.checkpoint.findData(step)))
            self._show_why()
        self.changed.emit()

    def propose(self, changes: Mapping[str, Any]) -> None:
        """Fill in proposed fine-tuning settings, except those that the user has changed."""
        new = {
            name: value for name, value in changes.items() if getattr(self.form.config, name) == self._proposed[name]
        }
        self._proposed |= changes
        config = dataclasses.replace(self.form.config, **new)
        if config != self.form.config:
            with QSignalBlocker(self.form):
                self.form.set_config(config)
            self.changed.emit()

    def start_from(self, run_id: str, step: str = "") -> None:
        """Choose a run, with its checkpoint at `step`, or its last one if that is missing or ""."""
        with QSignalBlocker(self):
            self.choice.setCurrentIndex(max(0, self.choice.findData(run_id)))
            self._on_choice()
            self.checkpoint.setCurrentIndex(max(0, self.checkpoint.findData(step)))
        self.changed.emit()

    @Slot()
    def reload(self) -> None:
        """List the models again, retaining the choice."""
        was = self.run_id
        with QSignalBlocker(self.choice):
            self.choice.clear()
            self.choice.addItem("From scratch: random weights", "")
            for info in self._session.runs.known():
                if info.has_model:
                    state = "imported" if info.status == "imported" else f"step {info.step:,}"
                    self.choice.addItem(f"{info.name}  ·  {state}", info.id)
            self.choice.setCurrentIndex(max(0, self.choice.findData(was)))
        self._show_choice()
        if self.run_id != was:
            self.changed.emit()

    @Slot()
    def _on_choice(self) -> None:
        self._mode_is_chosen = False
        self._show_choice()
        self.changed.emit()

    def _show_choice(self) -> None:
        """Show the model's checkpoints, and unless a mode was chosen, the default mode for a model of its size."""
        run_id = self.run_id
        self._tuning.setVisible(bool(run_id))
        spec = self._session.runs.spec(run_id) if run_id else None
        self._config = spec.model if spec is not None else None
        step = self.checkpoint.currentData()
        with QSignalBlocker(self.checkpoint):
            self.checkpoint.clear()
            self.checkpoint.addItem("Its last weights", "")
            for known in self._session.runs.checkpoint_steps(run_id)[1:] if run_id else ():
                self.checkpoint.addItem(f"Its weights after step {known:,}", str(known))
            self.checkpoint.setCurrentIndex(max(0, self.checkpoint.findData(step)))
        self.checkpoint.setVisible(self.checkpoint.count() > 1)
        if self._config is not None:
            self._about.setText(f"{format_parameter_count(self._config)} parameters. {_UNCHANGED}")
            if not self._mode_is_chosen:
                small = (known_parameters(self._config) or 0) <= _SMALL
                self._proposed["max_length"] = _HELD.max_length
                with QSignalBlocker(self.form):
                    self.form.set_config(dataclasses.replace(_HELD, mode="all" if small else "lora"))
        self._show_why()

    @Slot()
    def _on_form(self) -> None:
        self._mode_is_chosen = True
        self._show_why()
        self.changed.emit()

    def show_task(self, *, writes: bool) -> None:
        """Update for another task. writes: whether the model generates text."""
        self._writes = writes
        self._show_why()

    def _show_why(self) -> None:
        """Explain why the mode is proposed, or the disadvantage of the chosen one."""
        config, tune = self._config, self.form.config
        is_small = config is not None and (known_parameters(config) or 0) <= _SMALL
        why = ""
        if is_small:
            why = f"{_WHY_ALL}{_WHY_ALL_OF_WRITER if self._writes else ''}."
        elif tune.mode == "lora":
            why = _WHY_LORA
        show_words(self._why, why)
        is_against = is_small and tune.mode != "all"
        self._why.setProperty("tone", "warning" if is_against else "")
        self._why.style().polish(self._why)
