"""Connects a design's form with the section “Custom blocks” and the window in which they are written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from PySide6.QtCore import QObject, Qt, Signal, Slot
from PySide6.QtWidgets import QCheckBox, QGridLayout, QWidget

from terrarium.app.builder.blocks.block_window import BlockWindow
from terrarium.app.builder.blocks.contracts import TITLES
from terrarium.app.kit.basics import button, clear, column, group, label, plain_tip, row, show_words
from terrarium.app.kit.forms.config_form import ConfigForm
from terrarium.app.kit.forms.editors import Editor, make_editor
from terrarium.app.kit.forms.slot_row import ROW_MARGIN
from terrarium.app.kit.inputs import caption, choice, fill_choice, named
from terrarium.app.kit.layout.advanced_settings import HasDetail, reveal
from terrarium.app.kit.layout.section import Section
from terrarium.app.kit.theme import SPACE, ThemeProvider
from terrarium.app.session.blocks import find_here, option_field
from terrarium.app.session.session import Session
from terrarium.models.custom_blocks.manifest import CustomBlock
from terrarium.models.custom_blocks.store import block_problems, is_allowed
from terrarium.models.settings.block_references import BLOCK_SLOTS, block_in, options_in, written_options
from terrarium.models.settings.model_config import ModelConfig
from terrarium.models.settings.positions import scheme_of

_ABOUT = "Parts of your own, in place of built-in ones: each is a short PyTorch module."
_BUILT_IN = "Built in"


class BlockEditing(QObject):
    """The section for the design in a form, whose changes go through the form, and a window, made when first needed."""

    def __init__(self, session: Session, theme: ThemeProvider, form: ConfigForm, parent: QWidget) -> None:
        super().__init__(parent)
        self._session, self._theme, self._form, self._parent = session, theme, form, parent
        self._window: BlockWindow | None = None
        self.section = _BlockSection(theme, session.detail)
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
        self._form.apply(_placed(self._form.config, block.slot, block))


class _BlockSection(Section):
    """The section “Custom blocks” below the settings: a row for each place, and a button for a new block.

    Hidden at the simple detail level unless the design has a custom block.

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
        self.rows = {place: _PlaceRow(place, theme) for place in BLOCK_SLOTS}
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


class _PlaceRow(QWidget):
    """The row of a place: a choice of blocks, the chosen one's options, and why it cannot be used, if so.

    Signals:
        changes_requested(changes): a dict of slots and their new values.
        edit_requested(): edit the text of the chosen block.
        read_requested(): read the text of the design's block, to allow it.
    """

    changes_requested = Signal(object)
    edit_requested = Signal()
    read_requested = Signal()

    def __init__(self, place: str, theme: ThemeProvider, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.place, self._theme = place, theme
        self._config: ModelConfig
        self._block: CustomBlock | None = None
        self._choices: list[CustomBlock | None] = [None]
        self.editors: dict[str, Editor] = {}
        self.choice = choice(f"{TITLES[place]}: block", width=18)
        tip = "Edit the text of this block"
        self.edit = button("", theme, self.edit_requested.emit, icon="pencil-simple", role="quiet-icon", tip=tip)
        self.problem = label("", "error", wrap=True, selectable=True)
        self.read = button(
            "Read and allow…",
            theme,
            self.read_requested.emit,
            role="segment",
            tip="Read the text of this block, and allow it to run on this computer",
        )
        self._options = QGridLayout()
        self._options.setContentsMargins(2 * SPACE, 0, 0, 0)
        self._options.setHorizontalSpacing(SPACE + SPACE // 2)
        self._options.setVerticalSpacing(SPACE // 2)
        self._options.setColumnStretch(0, 1)
        head = row(caption(TITLES[place], self.choice), None, self.edit, self.choice, spacing=SPACE // 2)
        contents = head, self._options, self.problem, row(self.read, None)
        self.setLayout(column(*contents, spacing=SPACE // 2, margin=ROW_MARGIN))
        self.choice.activated.connect(self._on_chosen)

    @property
    def block(self) -> CustomBlock | None:
        """The block that the design has in this place; None if it is built in, or its text is not in the library."""
        return self._block

    def show_design(self, config: ModelConfig, library: Sequence[CustomBlock]) -> None:
        """Show the block of a design, and offer those of the library."""
        self._config = config
        before, sentence = self._block, ""
        self._block = find_here(config, self.place)
        self._fill(library)
        if self._block is None or self._block != before:
            self._make_options()
        for name, editor in self.editors.items():
            editor.write(self._value(name))
        for problem in block_problems(config):
            if problem.slot == BLOCK_SLOTS[self.place]:
                sentence = problem.sentence
        block = self._block
        if block is not None and not sentence and _needs_no_positions(config, block):
            title = scheme_of(config).title
            sentence = f"This block does not take positions, so {title} has no effect: choose learned ones, or none."
        asks = block is not None and not is_allowed(block)
        if asks:
            sentence = "This program was not allowed on this computer yet: it does not run, and has no numbers."
        show_words(self.problem, sentence)
        self.read.setVisible(asks)
        self.edit.setVisible(block is not None)

    def _fill(self, library: Sequence[CustomBlock]) -> None:
        blocks = [block for block in library if block.slot == self.place]
        reference = block_in(self._config, self.place)
        names = [block.title for block in blocks]
        known = {block.reference: at for at, block in enumerate(blocks)}
        self._choices = [None, *blocks]
        at = 0 if reference is None else known.get(reference, -2) + 1
        if at < 0:
            assert reference is not None
            old = self._block
            self._choices.append(old)
            names.append(f"{old.title} (an earlier text)" if old is not None else f"{reference.name} (not here)")
            at = len(names)
        tips = {i: each.help for i, each in enumerate(self._choices) if each is not None}
        fill_choice(self.choice, dict(enumerate([_BUILT_IN, *names])), at, tips)
        self.choice.setToolTip(plain_tip(self._block.help if self._block is not None else "The part of Terrarium"))

    def _make_options(self) -> None:
        clear(self._options)
        self.editors = {}
        for line, (name, option) in enumerate(self._block.options.items() if self._block is not None else ()):
            editor = self.editors[name] = make_editor(option_field(name, option))
            tip = option.help or name
            named(editor.widget, option.label, tip)
            self._options.addWidget(caption(option.label, editor.widget, "muted", tip), line, 0)
            side = Qt.AlignmentFlag.AlignRight
            if not isinstance(editor.widget, QCheckBox):
                editor.widget.setFixedWidth(self.fontMetrics().averageCharWidth() * 12 + 46)
            self._options.addWidget(editor.widget, line, 1, side)
            editor.changed.connect(lambda *_: self._on_option())

    def _value(self, name: str) -> Any:
        """Return the value of an option in the design; its default where the design has none that it takes."""
        assert self._block is not None
        try:
            return self._block.values(options_in(self._config, self.place))[name]
        except ValueError:
            return self._block.options[name].default

    @Slot(int)
    def _on_chosen(self, index: int) -> None:
        chosen = self._choices[index]
        if chosen is None and index:  # the design's own, whose text is not in the library
            return
        self.changes_requested.emit(_placed(self._config, self.place, chosen))

    def _on_option(self) -> None:
        assert self._block is not None
        values = {name: editor.read() for name, editor in self.editors.items()}
        self.changes_requested.emit(_set_options(self._config, self.place, self._block, values))


_PLAIN = "learned"
"""The position scheme for designs whose attention takes no positions, or that have lost their position block."""


def _placed(config: ModelConfig, place: str, block: CustomBlock | None) -> dict[str, Any]:
    """Return the changes that put a block into a place, None: the built-in part, with what they make necessary.

    Options that the design has for the place stay if they are among the block's.
    """
    changes: dict[str, Any] = {BLOCK_SLOTS[place]: "" if block is None else str(block.reference)}
    kept = {} if block is None else _acceptable(block, options_in(config, place))
    changes["block_options"] = _with_options(config, place, kept)
    if place == "position":
        if block is not None:
            changes["position"] = "none"
        elif config.position_block:
            changes["position"] = _PLAIN
    if block is not None and config.looks_back:
        changes["lookback"] = 0
    if block is not None and place == "feed_forward" and config.n_expert:
        changes["n_expert"] = 0
    if block is not None and _needs_no_positions(config, block):
        changes |= {"position_block": "", "position": _PLAIN}
        if config.position_block:
            changes["block_options"] = tuple(o for o in changes["block_options"] if not o.startswith("position."))
    return changes


def _set_options(config: ModelConfig, place: str, block: CustomBlock, values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the change that gives a place's block these values; those that are its defaults are left out."""
    written = {name: str(value) for name, value in values.items() if value != block.options[name].default}
    return {"block_options": _with_options(config, place, {name: text for name, text in written.items() if text})}


def _needs_no_positions(config: ModelConfig, block: CustomBlock) -> bool:
    """Return whether the design's positions would have no effect on this block of attention."""
    takes_none = block.slot == "attention" and not block.takes_positions
    return takes_none and scheme_of(config).applied_to in ("queries", "scores")


def _with_options(config: ModelConfig, place: str, options: Mapping[str, str]) -> tuple[str, ...]:
    others = {other: options_in(config, other) for other in BLOCK_SLOTS if other != place}
    return written_options({**others, place: options})


def _acceptable(block: CustomBlock, given: Mapping[str, str]) -> dict[str, str]:
    """Return the options that a block has, with values that it takes."""
    kept = {}
    for name, text in given.items():
        try:
            block.values({name: text})
        except ValueError:
            continue
        kept[name] = text
    return kept
