"""The list of checks of a custom block, each passed or failed, and its numbers beside those of the built-in part."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QGridLayout, QLabel, QWidget

from terrarium.app.kit.basics import clear, column, label, plain_tip, row
from terrarium.app.kit.theme import SPACE, ThemeProvider
from terrarium.models.number_words import format_compact, format_milliseconds

if TYPE_CHECKING:  # torch comes with it
    from terrarium.models.architecture.block_checks import BlockReport

_ICON = 16
_NUMBERS_TIP = (
    "Of one layer. FLOPs: of the forward pass of a text as long as the context. Time: forward and backward, on this "
    "computer's CPU."
)
READS = "BLOCK can be read"


class CheckList(QWidget):
    """Shows whether the manifest reads, what a report found, and its numbers."""

    def __init__(self, theme: ThemeProvider, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._theme = theme
        self._report: BlockReport | None = None
        self._problem, self._state = "", ""
        self.words: list[str] = []
        """What is shown: “Same shape: passed. The output …”."""
        self._lines = column(margin=(0, 0, SPACE, 0))  # leave room for a scroll bar
        self.setLayout(self._lines)
        theme.theme_changed.connect(self._show)

    def show_checks(self, problem: str, report: BlockReport | None, state: str) -> None:
        """Show why the manifest does not read ("": it does), the report of the other checks, and their state."""
        self._problem, self._report, self._state = problem, report, state
        self._show()

    def _show(self) -> None:
        clear(self._lines)
        self.words = []
        self._add(READS, not self._problem, self._problem or "Nothing of the text runs for this.")
        if self._state:
            self._lines.addWidget(label(self._state, "muted", wrap=True))
        report = self._report
        if report is not None:
            if report.passed:  # otherwise nothing was measured
                self._lines.insertWidget(0, self._numbers(report))
            for check in report.checks:
                self._add(check.title, check.passed, check.sentence)
        self._lines.addStretch(1)

    def _add(self, title: str, passed: bool, sentence: str) -> None:
        word = "passed" if passed else "failed"
        self.words.append(f"{title}: {word}. {sentence}")
        line = QWidget()
        grid = QGridLayout(line)
        grid.setContentsMargins(0, 0, 0, 0)
        grid.setHorizontalSpacing(SPACE)
        grid.setVerticalSpacing(1)
        grid.setColumnStretch(1, 1)
        mark = QLabel()
        name, role = ("check-circle-fill", "accent") if passed else ("x-circle-fill", "danger")
        mark.setPixmap(self._theme.icon(name, role).pixmap(_ICON, _ICON))
        mark.setAccessibleName(word.capitalize())
        pill = label(word, "pill")
        pill.setProperty("tone", "ok" if passed else "danger")
        grid.addWidget(mark, 0, 0, Qt.AlignmentFlag.AlignTop)
        grid.addLayout(row(label(title, "subheading"), None, pill), 0, 1)
        grid.addWidget(label(sentence, "caption" if passed else "error", wrap=True, selectable=True), 1, 1)
        line.setAccessibleName(self.words[-1])
        self._lines.addWidget(line)

    def _numbers(self, report: BlockReport) -> QWidget:
        """Return a table of the block's costs, beside those of the built-in part if there is one."""
        rows = [("", "This block", "Built in"), ("Parameters", f"{report.n_parameters:,}", f"{report.n_built_in:,}")]
        rows.append(("FLOPs", format_compact(report.flops), format_compact(report.flops_built_in)))
        if report.milliseconds:
            built_in = format_milliseconds(report.milliseconds_built_in)
            rows.append(("Time", format_milliseconds(report.milliseconds), built_in))
        box = QWidget()
        box.setToolTip(plain_tip(_NUMBERS_TIP))
        grid = QGridLayout(box)
        grid.setContentsMargins(0, 0, SPACE, SPACE)
        grid.setHorizontalSpacing(2 * SPACE)
        grid.setColumnStretch(0, 1)
        has_twin = bool(report.n_built_in or report.milliseconds_built_in)
        for at, cells in enumerate(rows):
            for i, text in enumerate(cells if has_twin else cells[:2]):
                role = "caption" if at == 0 else "muted" if i == 0 else "mono"
                side = Qt.AlignmentFlag.AlignRight if i else Qt.AlignmentFlag(0)
                grid.addWidget(label(text, role), at, i, side)
        return box
