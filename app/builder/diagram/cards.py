"""The cards on a part of the diagram: one that explains it, and one that edits its settings in place."""

from __future__ import annotations

import html
from dataclasses import fields

from PySide6.QtCore import QEvent, QPoint, QRect, QSize, Qt, Signal
from PySide6.QtGui import QKeyEvent
from PySide6.QtWidgets import QCheckBox, QFrame, QGridLayout, QLabel, QWidget

from terrarium.app.builder.diagram.edits import STEPPED, repaired, step
from terrarium.app.builder.diagram.part import Part
from terrarium.app.kit.basics import column, label, show_words
from terrarium.app.kit.forms.editors import Editor, IntBox, make_editor
from terrarium.app.kit.inputs import caption, named
from terrarium.app.kit.setting_names.slot_words import zero_text
from terrarium.app.kit.theme import ThemeProvider
from terrarium.models.number_words import format_count
from terrarium.models.settings.model_config import ModelConfig
from terrarium.models.settings.slots import is_used

_WIDTH = 300
_APART = 12
_FIELDS = {f.name: f for f in fields(ModelConfig)}


class HoverCard(QFrame):
    """A card beside a `Part` that explains it. Transparent to the mouse."""

    def __init__(self, theme: ThemeProvider, parent: QWidget) -> None:
        super().__init__(parent)
        self._theme, self._room = theme, parent
        self.setProperty("role", "toast")
        self.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
        self.text = QLabel()
        self.text.setTextFormat(Qt.TextFormat.RichText)
        self.text.setWordWrap(True)
        self.setLayout(column(self.text, margin=(12, 10, 12, 10)))
        self.hide()

    def explain(self, part: Part, total: int, beside: QRect, *, is_line: bool = False) -> None:
        """Show what `part` does, beside a rectangle of the parent.

        Args:
            total: the number of parameters of the model.
            is_line: whether the pointer is on a line, which carries the part's output.
        """
        self.text.setText(self._words(part, total, is_line))
        width = round(min(_WIDTH * self._theme.text_scale, self._room.width() - 8))
        self.text.setFixedWidth(width - 24)
        self.resize(width, self.text.heightForWidth(width - 24) + 24)
        self.move(place_beside(self.size(), beside, self._room.size()))
        self.raise_()
        self.show()

    def _words(self, part: Part, total: int, is_line: bool) -> str:
        colors, mono = self._theme.theme, html.escape(self._theme.mono_font().family())
        formula = "<br>".join(
            f'<span style="color:{colors.text if i == 0 else colors.muted}">{_unbroken(line)}</span>'
            for i, line in enumerate(part.formula.split("\n"))
        )
        small = self._theme.font(0.9).pointSizeF()
        style = f"font-family:'{mono}'; font-size:{small:.1f}pt; margin-top:6px; margin-bottom:6px"
        title = html.escape(part.title)
        if is_line and part.shape:
            title += f' <span style="font-weight:normal; color:{colors.muted}">→ {part.shape}</span>'
        return (
            f'<b>{title}</b><br>{html.escape(part.meaning)}<p style="{style}">{formula}</p>'
            f'<span style="color:{colors.muted}">{format_parameters(part, total)}</span>'
        )


def format_parameters(part: Part, total: int) -> str:
    """Format a part's parameters: '4 × 16,512 = 66,048 parameters, 7.6 % of the model'."""
    if not part.is_counted:
        return "Its numbers are not known yet"
    if not part.n_parameters:
        return "No parameters" if part.kind not in ("block", "stream", "memory", "io") else ""
    share = 100 * part.total_parameters / total
    words = format_count(part.total_parameters, "parameter")
    if part.copies > 1:
        words = f"{part.copies:,} × {part.n_parameters:,} = {words}"
    return f"{words}, {share:.{1 if share >= 0.05 else 3}f} % of the model"


def place_beside(size: QSize, beside: QRect, room: QSize) -> QPoint:
    """Return the position of a widget of `size` at the right, left, bottom or top of `beside`, the first that fits.

    At the top it is placed in any case, even if it then covers `beside`.
    """
    x = beside.right() + _APART
    y = min(max(beside.center().y() - size.height() // 2, 4), max(room.height() - size.height() - 4, 4))
    if x + size.width() <= room.width() - 4:
        return QPoint(x, y)
    if beside.left() - _APART - size.width() >= 4:
        return QPoint(beside.left() - _APART - size.width(), y)
    x = min(max(beside.center().x() - size.width() // 2, 4), max(room.width() - size.width() - 4, 4))
    if beside.bottom() + _APART + size.height() <= room.height() - 4:
        return QPoint(x, beside.bottom() + _APART)
    return QPoint(x, max(beside.top() - _APART - size.height(), 4))


def _unbroken(line: str) -> str:
    """Return the line as rich text that wraps only at triple spaces."""
    pieces = [html.escape(piece).replace(" ", "&nbsp;") for piece in line.split("   ")]
    return "&nbsp;&nbsp; ".join(pieces)


class SlotCard(QFrame):
    """The form that opens on a `Part`, to edit its slots in place. Enter and Esc close it.

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
