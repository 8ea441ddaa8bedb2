"""The picker of a run's architecture: the builder's current design, a preset, or a saved design."""

from __future__ import annotations

from functools import partial

from PySide6.QtCore import QSignalBlocker, Qt, Slot
from PySide6.QtGui import QShowEvent, QStandardItem, QStandardItemModel
from PySide6.QtWidgets import QWidget

from terrarium.app.kit.basics import button, column, label, row
from terrarium.app.kit.inputs import choice
from terrarium.app.kit.setting_names.preset_words import (
    design_title,
    format_parameter_count,
    known_parameters,
    preset_families,
)
from terrarium.app.kit.theme import ThemeProvider
from terrarium.app.session.routes import ShowPlace
from terrarium.app.session.session import Session
from terrarium.models.design import training_memory
from terrarium.models.design.custom import if_known
from terrarium.models.number_words import format_count, format_size
from terrarium.models.settings.model_config import ModelConfig
from terrarium.models.settings.presets import PRESETS

_GIANT = 300_000_000
"""The minimum number of parameters at which the memory needed for training is shown."""


class DesignPicker(QWidget):
    """Shows and changes `session.designs.current`, which is shared with the builder."""

    def __init__(self, session: Session, theme: ThemeProvider, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._session, self._theme = session, theme
        self.choice = choice(
            "Design", "The architecture: a published family in some size, or one of your own", width=24
        )
        self.choice.setMaxVisibleItems(24)
        self._about = label("", "caption", wrap=True)
        edit = button(
            "Edit in Builder",
            theme,
            partial(session.go, ShowPlace("builder")),
            icon="pencil-simple",
            role="link",
            tip="See the architecture as a diagram, and change it",
        )
        self.setLayout(column(self.choice, self._about, row(edit, None)))
        self.choice.activated.connect(self._on_chosen)
        session.designs.changed.connect(self._on_design_changed)
        session.designs.list_changed.connect(self.reload)
        session.blocks.measured.connect(self.reload)
        self.reload()

    @Slot()
    def reload(self) -> None:
        """List all designs and select the current one."""
        with QSignalBlocker(self.choice):
            self.choice.clear()
            saved = self._session.designs.inspect()
            if saved:
                self._add_heading("Your designs")
            for info in saved:
                if info.config is not None:
                    self.choice.addItem(f"{info.name}  ·  {format_parameter_count(info.config)}", info.name)
            for family in preset_families():
                self._add_heading(family.title)
                for name in family.presets:
                    self.choice.addItem(f"{design_title(name)}  ·  {format_parameter_count(PRESETS[name])}", name)
        self._on_design_changed()

    def showEvent(self, event: QShowEvent) -> None:
        super().showEvent(event)
        saved = self._session.designs.inspect()
        self._session.blocks.measure_listed(info.config for info in saved if info.config is not None)

    @Slot()
    def _on_design_changed(self) -> None:
        design, name = self._session.designs.current, self._session.designs.name
        with QSignalBlocker(self.choice):
            edited = self.choice.findData("")
            if edited >= 0:
                self.choice.removeItem(edited)
            if self.choice.findData(name or None) < 0 or not name:
                self.choice.insertItem(0, f"Edited design (not saved)  ·  {format_parameter_count(design)}", "")
                name = ""
            self.choice.setCurrentIndex(self.choice.findData(name))
        self._about.setText(_about(design))

    def _add_heading(self, text: str) -> None:
        item = QStandardItem(text)
        item.setFlags(Qt.ItemFlag.NoItemFlags)
        item.setFont(self._theme.font(0.9, bold=True))
        model = self.choice.model()
        assert isinstance(model, QStandardItemModel)
        model.appendRow(item)

    @Slot(int)
    def _on_chosen(self, index: int) -> None:
        name = self.choice.itemData(index)
        if name and not self._session.designs.choose(name):
            self._on_design_changed()


def _about(design: ModelConfig) -> str:
    layers = format_count(design.n_layer, "layer")
    if design.topology == "encoder-decoder":
        layers = f"{design.encoder().n_layer} + {design.n_layer} layers"
    words = (
        f"{design.topology.capitalize()}, {layers}, {design.d_model:,} wide, {design.n_head} heads, "
        f"{design.context_length:,} tokens of context."
    )
    if (known_parameters(design) or 0) >= _GIANT:
        memory = if_known(lambda: sum(training_memory(design, 1, min(design.context_length, 1024)).values())) or 0
        words += f" Training it needs about {format_size(memory)} of memory, even with batch size 1 (estimated)."
    return words
