"""Connects a design's form with the section “Custom blocks” and the window in which they are written."""

from __future__ import annotations

from PySide6.QtCore import QObject, Slot
from PySide6.QtWidgets import QWidget

from terrarium.app.builder.blocks.block_section import BlockSection
from terrarium.app.builder.blocks.block_window import BlockWindow
from terrarium.app.builder.blocks.choices import placed
from terrarium.app.kit.forms.config_form import ConfigForm
from terrarium.app.kit.theme import ThemeProvider
from terrarium.app.session.session import Session
from terrarium.models.custom_blocks.manifest import CustomBlock


class BlockEditing(QObject):
    """The section for the design in a form, whose changes go through the form, and a window, made when first needed."""

    def __init__(self, session: Session, theme: ThemeProvider, form: ConfigForm, parent: QWidget) -> None:
        super().__init__(parent)
        self._session, self._theme, self._form, self._parent = session, theme, form, parent
        self._window: BlockWindow | None = None
        self.section = BlockSection(theme, session.detail)
        self.section.changes_requested.connect(form.apply)
        self.section.new_requested.connect(lambda: self.window.open_new())
        self.section.edit_requested.connect(lambda block: self.window.open_block(block))
        self.section.read_requested.connect(lambda block: self.window.open_to_allow(block))

    @property
    def window(self) -> BlockWindow:
        """The window “Block”."""
        if self._window is None:
            self._window = BlockWindow(self._session, self._theme, lambda: self._form.config, self._parent)
            self._window.placed.connect(self._on_placed)
        return self._window

    def show_design(self) -> None:
        """Show the blocks of the design in the form."""
        self.section.show_design(self._form.config, self._session.blocks.list())

    @Slot(object)
    def _on_placed(self, block: CustomBlock) -> None:
        self._form.apply(placed(self._form.config, block.slot, block))
