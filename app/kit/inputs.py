"""Named inputs: editors with the name that a screen reader says, and the rows of buttons that start long work."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeVar

from PySide6.QtCore import QSignalBlocker, Qt
from PySide6.QtWidgets import QComboBox, QGridLayout, QLabel, QLineEdit, QProgressBar, QPushButton, QWidget

from terrarium.app.kit.basics import column, label, plain_tip, row, show_only, without_mnemonic
from terrarium.app.kit.forms.editors import keep_wheel_for_scrolling
from terrarium.app.kit.labels import ElidedCombo, ElidedLabel
from terrarium.app.kit.theme import SPACE
from terrarium.models.events import Event, Phase, Progress

_Editor = TypeVar("_Editor", bound=QWidget)
_STEPS = 1000
"""The range of a progress bar; a total, such as of bytes, may exceed an int of Qt."""


def named(editor: _Editor, name: str, tip: str = "") -> _Editor:
    """Set the name that a screen reader says, and the tooltip, shown verbatim; return the same widget."""
    editor.setAccessibleName(name)
    if tip:
        editor.setToolTip(plain_tip(tip))
    return editor


def caption(words: str, editor: QWidget, role: str = "", tip: str = "") -> QLabel:
    """Create the label of an editor; a screen reader joins the two. role: see `label`. tip: its tooltip."""
    shown = label(without_mnemonic(words), role)
    shown.setBuddy(editor)
    shown.setToolTip(plain_tip(tip))
    return shown


def grid(
    *rows: Sequence[QWidget | None],
    grows: int | None = None,
    align: Mapping[int, Qt.AlignmentFlag] | None = None,
    spacing: tuple[int, int] = (2 * SPACE, SPACE // 2),
) -> QGridLayout:
    """Lay out rows of cells in aligned columns, such as captions and editors.

    Args:
        rows: the widgets of each row, None for an empty cell; a single widget spans all columns.
        grows: the index of the column that takes the spare width.
        align: column -> how its widgets are aligned, instead of filling their cells.
        spacing: the pixels between columns and between rows.
    """
    layout = QGridLayout()
    layout.setContentsMargins(0, 0, 0, 0)
    layout.setHorizontalSpacing(spacing[0])
    layout.setVerticalSpacing(spacing[1])
    n_columns = max(map(len, rows), default=0)
    for at, cells in enumerate(rows):
        for i, cell in enumerate(cells):
            if cell is not None:
                flag = (align or {}).get(i, Qt.AlignmentFlag(0))
                layout.addWidget(cell, at, i, 1, n_columns if len(cells) == 1 else 1, flag)
    if grows is not None:
        layout.setColumnStretch(grows, 1)
    return layout


def line_edit(
    name: str, tip: str = "", placeholder: str = "", *, clears: bool = False, max_length: int = 32767
) -> QLineEdit:
    """Create a line to type into. clears: whether it has a button that empties it."""
    field = named(QLineEdit(), name, tip)
    field.setPlaceholderText(placeholder)
    field.setClearButtonEnabled(clears)
    field.setMaxLength(max_length)
    return field


def choice(
    name: str,
    tip: str = "",
    entries: Mapping[Any, str] | None = None,
    *,
    tips: Mapping[Any, str] | None = None,
    width: int = 0,
) -> QComboBox:
    """Create a choice among values, each with its words; the wheel scrolls the page unless the choice has the focus.

    Args:
        entries: value -> words; `fill_choice` sets others later.
        tips: value -> the tooltip of its entry.
        width: the minimum width in characters, whatever the entries, which are elided if they do not fit; 0 for the
            width of the longest entry.
    """
    box = named(ElidedCombo() if width else QComboBox(), name, tip)
    policy = QComboBox.SizeAdjustPolicy
    box.setSizeAdjustPolicy(policy.AdjustToMinimumContentsLengthWithIcon if width else policy.AdjustToContents)
    box.setMinimumContentsLength(width)
    keep_wheel_for_scrolling(box)
    fill_choice(box, entries or {}, tips=tips)
    return box


def fill_choice(
    box: QComboBox, entries: Mapping[Any, str], chosen: object = None, tips: Mapping[Any, str] | None = None
) -> None:
    """Replace the entries of a choice, without signals.

    Args:
        chosen: the value to select; the first if it is not there.
        tips: value -> the tooltip of its entry.
    """
    with QSignalBlocker(box):
        box.clear()
        for i, (value, words) in enumerate(entries.items()):
            box.addItem(words, value)
            if tips is not None and value in tips:
                box.setItemData(i, plain_tip(tips[value]), Qt.ItemDataRole.ToolTipRole)
        values = list(entries)  # Qt would compare Python's objects by identity
        box.setCurrentIndex(values.index(chosen) if chosen in values else 0)


def progress_bar(name: str) -> QProgressBar:
    """Create a progress bar without text. name: what it is the progress of, for screen readers."""
    bar = named(QProgressBar(), name)
    bar.setRange(0, _STEPS)
    bar.setTextVisible(False)
    return bar


def show_progress(bar: QProgressBar, done: int = 0, total: int = 0) -> None:
    """Show the share that is done; with a total of 0, that something is going on."""
    bar.setRange(0, _STEPS if total else 0)
    if total:
        bar.setValue(round(_STEPS * min(done / total, 1)))


class BusyRow(QWidget):
    """A button that starts work. While it runs: a progress bar, a phrase about it, and a button that stops it.

    The work is the page's: it calls `set_busy` when it begins and ends, and `show_events` with its events.

    Args:
        name: what the progress bar shows the progress of, for screen readers.
        stacked: whether the phrase and the bar are above the buttons, instead of at their right.
        amount: formats amounts such as bytes, so that the phrase says how much of how much is done.
    """

    def __init__(
        self,
        start: QPushButton,
        stop: QPushButton,
        name: str,
        *,
        stacked: bool = False,
        amount: Callable[[int], str] | None = None,
    ) -> None:
        super().__init__()
        self.start, self.stop = start, stop
        self.progress = progress_bar(name)
        self.phase: QLabel | ElidedLabel = label("", "caption", wrap=True) if stacked else ElidedLabel()
        self.phase.setProperty("role", "caption")
        self._amount = amount
        self._is_busy, self._is_offered = False, True
        if stacked:
            lines = column(self.phase, self.progress, row(start, stop, None))
        else:
            lines = column(row(start, stop, self.progress, self.phase, grows=self.phase))
        self.setLayout(lines)
        self._show()

    @property
    def is_busy(self) -> bool:
        """Whether the work is running."""
        return self._is_busy

    def set_busy(self, is_busy: bool, phrase: str = "") -> None:
        """Show that the work has begun or has ended, with a phrase about it, which stays."""
        if is_busy and not self._is_busy:
            show_progress(self.progress)
        self._is_busy = is_busy
        self.phase.setText(phrase)
        self._show()

    def set_offered(self, is_offered: object) -> None:
        """Offer the button that starts the work, or hide it."""
        self._is_offered = bool(is_offered)
        self._show()

    def show_events(self, events: Iterable[Event]) -> None:
        """Show the newest phase and progress among the events of the work."""
        for event in events:
            if isinstance(event, Phase):
                self.phase.setText(event.name)
                show_progress(self.progress)
            elif isinstance(event, Progress):
                show_progress(self.progress, event.done, event.total)
                if self._amount is not None and event.total:
                    self.phase.setText(f"{self._amount(event.done)} of {self._amount(event.total)}")
        self._show()

    def _show(self) -> None:
        busy, says = self._is_busy, bool(self.phase.text())
        show_only({self.start: self._is_offered and not busy, self.stop: busy, self.progress: busy, self.phase: says})
