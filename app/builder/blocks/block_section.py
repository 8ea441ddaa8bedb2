"""The section “Custom blocks” below the settings of a design."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QWidget

from terrarium.app.builder.blocks.place_row import PlaceRow
from terrarium.app.kit.basics import button, group, label, row
from terrarium.app.kit.layout.advanced_settings import HasDetail
from terrarium.app.kit.layout.reveal import reveal
from terrarium.app.kit.layout.section import Section
from terrarium.app.kit.theme import SPACE, ThemeProvider
from terrarium.models.custom_blocks.manifest import CustomBlock
from terrarium.models.settings.block_references import BLOCK_SLOTS
from terrarium.models.settings.model_config import ModelConfig

_ABOUT = "Parts of your own, in place of built-in ones: each is a short PyTorch module."


class BlockSection(Section):
    """A row for each place, and a button for a new block. Hidden at the simple detail level unless the design has one.

    Signals:
        changes_requested(changes): a dict of slots and their new values.
        new_requested(): write a new block. edit_requested(block): edit one. read_requested(block): read and allow one.
    """

    changes_requested = Signal(object)
    new_requested = Signal()
    edit_requested = Signal(object)
    read_requested = Signal(object)

    def __init__(self, theme: ThemeProvider, detail: HasDetail, parent: QWidget | None = None) -> None:
        super().__init__("Custom blocks", theme, folded=True, parent=parent)
        self._detail = detail
        self._config: ModelConfig | None = None
        self.rows = {place: PlaceRow(place, theme) for place in BLOCK_SLOTS}
        self.new = button("New block…", theme, self.new_requested.emit, icon="plus", tip="Write a block of your own")
        about, line = label(_ABOUT, "caption", wrap=True), row(self.new, None, margin=(8, 0, 6, 0))
        about.setContentsMargins(8, 0, 6, 0)
        for each in self.rows.values():
            each.changes_requested.connect(self.changes_requested)
            each.edit_requested.connect(lambda each=each: self.edit_requested.emit(each.block))
            each.read_requested.connect(lambda each=each: self.read_requested.emit(each.block))
        self.set_body(group(about, *self.rows.values(), line, spacing=SPACE // 2, margin=(0, 0, 0, SPACE)))
        detail.changed.connect(self._show_as_needed)

    def show_design(self, config: ModelConfig, library: Sequence[CustomBlock]) -> None:
        """Show the blocks of a design, and offer those of the library."""
        had = self._config is not None and self._config.has_custom_blocks
        self._config = config
        for each in self.rows.values():
            each.show_design(config, library)
        if config.has_custom_blocks and not had:
            self.set_folded(False)
        self._show_as_needed()

    def show_slot(self, name: str) -> None:
        """Bring the row of a slot into view, and give it the focus; that of `block_options` is the first."""
        found = next((each for place, each in self.rows.items() if BLOCK_SLOTS[place] == name), None)
        found = found or next(iter(self.rows.values()))
        self.setVisible(True)  # also at the simple detail level
        reveal(found.choice)

    def _show_as_needed(self) -> None:
        has_some = self._config is not None and self._config.has_custom_blocks
        self.setVisible(has_some or not self._detail.is_simple)
