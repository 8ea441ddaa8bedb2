"""The form that opens on a part of the diagram, to edit its settings in place."""

from __future__ import annotations

from dataclasses import fields

from PySide6.QtCore import QEvent, QRect, Qt, Signal
from PySide6.QtGui import QKeyEvent
from PySide6.QtWidgets import QCheckBox, QFrame, QGridLayout, QWidget

from terrarium.app.builder.diagram.card import place_beside
from terrarium.app.builder.diagram.edits import STEPPED, repaired, step
from terrarium.app.builder.diagram.part import Part
from terrarium.app.kit.basics import column, label, show_words
from terrarium.app.kit.forms.editors import Editor, IntBox, make_editor
from terrarium.app.kit.inputs import caption, named
from terrarium.app.kit.setting_names.slot_words import zero_text
from terrarium.models.settings.model_config import ModelConfig
from terrarium.models.settings.slots import is_used

_FIELDS = {f.name: f for f in fields(ModelConfig)}


class SlotCard(QFrame):
    """Edits the slots of one `Part`. Enter and Esc close it.

    Signals:
        edited(changes): a dict of slots and their new values, with further changes that make the design legal, if
            simple ones do.
        closed(): the user pressed Enter or Esc.
    """

    edited = Signal(object)
    closed = Signal()

    def __init__(self, part: Part, config: ModelConfig, parent: QWidget) -> None:
        super().__init__(parent)
        self.part, self._config, self._room = part, config, parent
        self.setProperty("role", "toast")
        self.setAccessibleName(f"Settings of {part.title}")
        self.editors: dict[str, Editor] = {}
        self.problem = label("", "error", wrap=True)
        self.problem.hide()
        self._zeros = zero_text()
        grid = QGridLayout()
        grid.setHorizontalSpacing(16)
        grid.setVerticalSpacing(6)
        for name in dict.fromkeys(part.slots):
            if is_used(config, _FIELDS[name]):
                self._add(grid, name)
        self.setLayout(column(label(part.title, "subheading"), grid, self.problem, margin=(14, 10, 14, 12)))
        self.show_config(config)
        self.adjustSize()

    def open(self, beside: QRect) -> None:
        """Open beside a rectangle of the parent, with the first editor focused."""
        self.move(place_beside(self.sizeHint(), beside, self._room.size()))
        self.show()
        self.raise_()
        if self.editors:
            first = next(iter(self.editors.values())).widget
            first.setFocus(Qt.FocusReason.PopupFocusReason)
            if isinstance(first, IntBox):
                first.selectAll()

    def show_config(self, config: ModelConfig) -> None:
        """Show the values of `config`."""
        self._config = config
        for name, editor in self.editors.items():
            if isinstance(editor.widget, IntBox) and name in self._zeros:
                editor.widget.set_zero_text(self._zeros[name](config))
            editor.write(getattr(config, name))

    def _add(self, grid: QGridLayout, name: str) -> None:
        f = _FIELDS[name]
        editor = make_editor(f)
        self.editors[name] = editor
        title, tip = f.metadata["label"], f.metadata["help"]
        named(editor.widget, title, tip)
        if not isinstance(editor.widget, QCheckBox):
            editor.widget.setFixedWidth(editor.widget.fontMetrics().averageCharWidth() * 17 + 46)
        row = grid.rowCount()
        grid.addWidget(caption(title, editor.widget, tip=tip), row, 0)
        grid.addWidget(editor.widget, row, 1, Qt.AlignmentFlag.AlignRight)
        editor.widget.installEventFilter(self)
        editor.changed.connect(lambda *_: self._on_changed(name))

    def _on_changed(self, name: str) -> None:
        value, before = self.editors[name].read(), getattr(self._config, name)
        if value == before:
            return
        changes = repaired(self._config, name, value)
        if name in STEPPED and isinstance(value, int) and abs(value - before) == 1 and changes.get(name) != value:
            # A change by 1 comes from the arrows of the box: step to the next legal value.
            changes = step(self._config, name, 1 if value > before else -1) or changes
        problems = ModelConfig.problems({**vars(self._config), **changes})
        show_words(self.problem, problems[0].sentence if problems else "")
        self.adjustSize()
        self.edited.emit(changes)
        if not problems:
            self.editors[name].write(changes[name])

    def focusNextPrevChild(self, is_next: bool) -> bool:
        """Keep Tab within the card."""
        stops = [editor.widget for editor in self.editors.values()]
        focused = self.focusWidget()
        if focused not in stops:
            return super().focusNextPrevChild(is_next)
        following = stops[(stops.index(focused) + (1 if is_next else -1)) % len(stops)]
        following.setFocus(Qt.FocusReason.TabFocusReason if is_next else Qt.FocusReason.BacktabFocusReason)
        return True

    def eventFilter(self, watched: object, event: QEvent) -> bool:
        if isinstance(event, QKeyEvent) and event.type() == QEvent.Type.KeyPress:
            if event.key() == Qt.Key.Key_Escape:
                self.closed.emit()
                return True
            if event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter) and isinstance(watched, QWidget):
                if isinstance(watched, IntBox):
                    watched.interpretText()
                self.closed.emit()
                return True
        return False
