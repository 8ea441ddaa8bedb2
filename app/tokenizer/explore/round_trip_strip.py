"""A line that shows whether decoding restores the text, and if not, where it differs and why."""

from __future__ import annotations

from PySide6.QtCore import QPoint, QSize, Qt, QTimer, Signal, Slot
from PySide6.QtGui import QMouseEvent
from PySide6.QtWidgets import (
    QAbstractItemView,
    QFrame,
    QHeaderView,
    QSizePolicy,
    QToolButton,
    QTreeWidget,
    QTreeWidgetItem,
    QWidget,
)
from tokenizers import Tokenizer

from terrarium.app.kit.basics import button, column, plain_tip, row
from terrarium.app.kit.inputs import named
from terrarium.app.kit.labels import ElidedLabel
from terrarium.app.kit.theme import SPACE, ThemeProvider
from terrarium.app.worker.background import LatestTask
from terrarium.app.worker.failures import Failure
from terrarium.models.tokenizers import decode, show_bytes
from terrarium.models.tokenizers.text.encoded import EncodedText
from terrarium.models.tokenizers.text.round_trip import Difference, RoundTrip, round_trip

MAX_SYNC_BYTES = 20_000
"""Texts of up to this many bytes are checked synchronously, together with the tokens."""

_PATIENCE_MS = 150
_NO_TEXT = "Type a text above", "to check that nothing is lost"
_EQUATION = "decode(encode(text)) = text"
_UNEQUAL = "decode(encode(text)) ≠ text"
_ICONS = {"": ("circle-dashed", "muted"), "equal": ("check-circle-fill", "accent"), "differs": ("warning", "warning")}


_MAX_SHOWN = 12  # characters shown of a change
_MAX_ROWS = 10
_MAX_CHANGE_WIDTH = 180  # pixels


class RoundTripStrip(QFrame):
    """A tick, or the first difference; a click selects it in the text, a popup lists all of them.

    Slow checks show “Checking…”.

    Signals:
        span_chosen(int, int): the start and end of the characters to select in the text.
    """

    span_chosen = Signal(int, int)

    def __init__(self, theme: ThemeProvider, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._theme = theme
        self.result: RoundTrip | None = None
        self._shown = -1
        self._icon = QToolButton()
        self._state, self._change = ElidedLabel(), ElidedLabel()
        self._why = ElidedLabel()
        self.differences = DifferenceList(self)
        tip = "Select it in the text"
        self._find = button("Show it", theme, self.show_span, role="link", tip=tip)
        self.show_all = button("", theme, self.open_list, role="link", tip="All differences, and why")
        self._task = LatestTask(self)
        self._task.done.connect(self._show)
        self._task.failed.connect(self._on_failed)
        self._patience = QTimer(self, singleShot=True, interval=_PATIENCE_MS)
        self._patience.timeout.connect(self._on_slow)
        self.differences.chosen.connect(self._on_chosen)
        self._build()
        self._show_state("", "Nothing to check yet", "")

    def _build(self) -> None:
        self.setProperty("role", "sunken")
        self.setAccessibleName("Round trip")
        self._icon.setProperty("role", "mark")
        self._icon.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self._icon.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
        for words, role in ((self._state, "subheading"), (self._change, "mono"), (self._why, "muted")):
            words.setProperty("role", role)
            words.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)  # the whole line is clickable
        for words in (self._state, self._change):
            words.setSizePolicy(QSizePolicy.Policy.Maximum, QSizePolicy.Policy.Fixed)
        contents = self._icon, self._state, self._change, self._why, self._find, self.show_all
        self.setLayout(row(*contents, grows=self._why, margin=(SPACE, 1, SPACE // 2, 1)))

    def sizeHint(self) -> QSize:
        return super().sizeHint().expandedTo(self._least)

    def minimumSizeHint(self) -> QSize:
        return super().minimumSizeHint().expandedTo(self._least)

    @property
    def _least(self) -> QSize:
        """The height with visible buttons, even while they are hidden: a change would trigger a layout of the whole
        page.
        """
        return QSize(0, self._find.sizeHint().height() + 2)

    @property
    def words(self) -> str:
        """The text of the line."""
        parts = (self._state.text(), self._change.text(), self._why.text())
        return " ".join(part for part in parts if part)

    def invalidate(self) -> None:
        """Drop the result: the text has changed, and has not been encoded yet."""
        self._task.cancel()
        self.result = None
        self.differences.hide()
        self._patience.start()

    def set_encoded(self, tokenizer: Tokenizer | None, text: str, tokens: EncodedText | None) -> None:
        """Check that decoding `tokens` of `tokenizer` restores `text`; None for no tokenizer."""
        self.invalidate()
        if tokenizer is None or tokens is None:
            self._patience.stop()
            self._show_state("", "Nothing to check yet", "")
            return
        if tokens.n_bytes <= MAX_SYNC_BYTES and decode(tokenizer, tokens.iter_ids()) == text:
            self._show(RoundTrip(True, text, ()))
            return
        self._task.ask(lambda: round_trip(tokenizer, text, ids=tokens.iter_ids()))

    @Slot()
    def show_span(self) -> None:
        """Select the current difference in the text."""
        if self.result is not None and self.result.differences:
            difference = self.result.differences[self._shown]
            self.span_chosen.emit(difference.start, difference.end)

    @Slot()
    def open_list(self) -> None:
        """Show the list of all differences."""
        if self.result is not None and self.result.differences:
            self.differences.set_result(self.result)
            self.differences.open_above(self)

    @Slot(int)
    def _on_chosen(self, number: int) -> None:
        self._show_difference(number)
        self.show_span()

    @Slot(object)
    def _on_failed(self, failure: Failure) -> None:
        self._patience.stop()
        self._show_state("", "Could not check", failure.sentence)

    @Slot()
    def _on_slow(self) -> None:
        self._show_state("", "Checking…", f"whether {_EQUATION}")

    @Slot(object)
    def _show(self, result: RoundTrip) -> None:
        self._patience.stop()
        self.result = result
        if result.equal and not result.back:
            self._show_state("", *_NO_TEXT)
        elif result.equal:
            self._show_state("equal", _EQUATION, "nothing is lost")
        else:
            self._show_difference(0)

    def _show_difference(self, number: int) -> None:
        """Show one of the differences."""
        assert self.result is not None
        self._shown, n = number, len(self.result.differences)
        difference = self.result.differences[number]
        first = "First differs" if number == 0 and n > 1 else "Differs"
        self._show_state("differs", f"{first} at character {difference.start + 1:,}", difference.why)
        self._change.setText(format_change(difference))
        self._change.show()
        self._find.show()
        self.show_all.setText(f"All {n:,}" if self.result.complete else f"The first {n:,}")
        self.show_all.setVisible(n > 1)
        self.setToolTip(plain_tip(f"{_UNEQUAL}\n{difference.sentence}"))
        self.setCursor(Qt.CursorShape.PointingHandCursor)

    def _show_state(self, state: str, words: str, why: str) -> None:
        """Show a state (a key of _ICONS) and its explanation, without a difference."""
        self._theme.set_icon(self._icon, *_ICONS[state])
        self._icon.setAccessibleName(words)
        self._state.setText(words)
        self._why.setText(why)
        self._change.setText("")
        for widget in (self._change, self._find, self.show_all):
            widget.hide()
        self.setToolTip("")
        self.unsetCursor()

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        if event.button() == Qt.MouseButton.LeftButton and self.rect().contains(event.position().toPoint()):
            self.show_span()


class DifferenceList(QFrame):
    """A popup with a row for each difference: its position, the change, and the reason.

    Signals:
        chosen(int): the index of the difference that was clicked, or chosen with Enter.
    """

    chosen = Signal(int)

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent, Qt.WindowType.Popup)
        self.setProperty("role", "toast")
        self._summary = ElidedLabel()
        self._summary.setProperty("role", "caption")
        self.tree = named(QTreeWidget(), "Differences")
        self.tree.setHeaderLabels(["Character", "Becomes", "Why"])
        self.tree.setRootIsDecorated(False)
        self.tree.setUniformRowHeights(True)
        self.tree.setFrameShape(QFrame.Shape.NoFrame)
        self.tree.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.tree.header().setStretchLastSection(True)
        self.tree.header().setSectionResizeMode(0, QHeaderView.ResizeMode.ResizeToContents)
        self.tree.itemActivated.connect(self._on_item)
        self.tree.itemClicked.connect(self._on_item)
        self.setLayout(column(self._summary, self.tree, spacing=SPACE // 2, margin=SPACE))

    def set_result(self, result: RoundTrip) -> None:
        """List the differences of a result."""
        self._summary.setText(f"{result.summary}.")
        self.tree.clear()
        for difference in result.differences:
            item = QTreeWidgetItem([f"{difference.start + 1:,}", format_change(difference), difference.why])
            item.setTextAlignment(0, Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
            for i in (1, 2):
                item.setToolTip(i, plain_tip(difference.sentence))
            self.tree.addTopLevelItem(item)
        self.tree.setColumnWidth(1, min(self.tree.sizeHintForColumn(1), _MAX_CHANGE_WIDTH))

    def open_above(self, anchor: QWidget) -> None:
        """Show the list directly above `anchor` with the same width, or below it if there is no space."""
        height = self.tree.sizeHintForRow(0)
        rows = min(self.tree.topLevelItemCount(), _MAX_ROWS)
        self.tree.setFixedHeight(rows * height + self.tree.header().sizeHint().height() + 4)
        self.setFixedSize(anchor.width(), self.sizeHint().height())
        above = anchor.mapToGlobal(QPoint(0, -self.height() - SPACE // 2))
        screen = anchor.screen().availableGeometry()
        self.move(above if above.y() >= screen.top() else anchor.mapToGlobal(QPoint(0, anchor.height() + SPACE // 2)))
        self.show()
        self.tree.setCurrentIndex(self.tree.model().index(0, 0))
        self.tree.setFocus()

    def _on_item(self, item: QTreeWidgetItem) -> None:
        self.hide()
        self.chosen.emit(self.tree.indexOfTopLevelItem(item))


def format_change(difference: Difference) -> str:
    """Format a difference for display: “É → é”, “·· → ·”, “É → nothing”."""
    return f"{_marks(difference.text)} → {_marks(difference.back)}"


def _marks(text: str) -> str:
    if not text:
        return "nothing"
    short = text if len(text) <= _MAX_SHOWN else f"{text[: _MAX_SHOWN // 2]}…{text[-_MAX_SHOWN // 2 + 1 :]}"
    return "".join(f"⟨U+{ord(c):04X}⟩" if "\ud800" <= c <= "\udfff" else show_bytes(c.encode()) for c in short)
