"""The window “Block”: the text of a custom block, what it must be, and its checks."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING

from PySide6.QtCore import Qt, Signal, Slot
from PySide6.QtGui import QCloseEvent
from PySide6.QtWidgets import QCheckBox, QFrame, QGridLayout, QLabel, QMenu, QMessageBox, QScrollArea, QWidget

from terrarium.app.builder.blocks.checker import BlockChecker
from terrarium.app.builder.blocks.contracts import TITLES, contract
from terrarium.app.kit.basics import (
    button,
    clear,
    column,
    group,
    label,
    panes,
    plain_tip,
    row,
    scrolling,
    set_enabled,
    show_if,
    show_words,
    without_mnemonic,
)
from terrarium.app.kit.dialog import Dialog
from terrarium.app.kit.inputs import named
from terrarium.app.kit.layout.relayout import RelayoutOnResize
from terrarium.app.kit.text.code_editor import CodeField
from terrarium.app.kit.text.rich_text import RichText
from terrarium.app.kit.theme import SPACE, ThemeProvider
from terrarium.app.session.session import Session
from terrarium.models.custom_blocks.manifest import CustomBlock, read_block
from terrarium.models.custom_blocks.store import find_installed_blocks, is_allowed
from terrarium.models.number_words import format_compact, format_milliseconds
from terrarium.models.settings.model_config import ModelConfig

if TYPE_CHECKING:
    from terrarium.models.architecture.block_checks import BlockReport


WARNING = "This is a program. It can do what you can do."
_DRAFT = "block_draft"
_OFF = "The other checks run the text: turn on “Run my code as I type”."
_OFF_TO_READ = "The other checks run the text: turn on “Run the checks”."
_RUNNING = "Checking…"
_ICON = 16
_NUMBERS_TIP = (
    "Of one layer. FLOPs: of the forward pass of a text as long as the context. Time: forward and backward, on this "
    "computer's CPU."
)
_READS = "BLOCK can be read"


@cache
def starting_points() -> Mapping[str, CustomBlock]:
    """Return the blocks that come with Terrarium, from which a new one can start, by name."""
    folder = files("terrarium.resources.blocks")
    entries = [entry for entry in folder.iterdir() if entry.name.endswith(".py") and entry.name[0] != "_"]
    blocks = [read_block(entry.read_text(encoding="utf-8")) for entry in sorted(entries, key=lambda each: each.name)]
    return {block.name: block for block in blocks}


class BlockWindow(Dialog):
    """A modeless window. Nothing of its text runs before the user turns that on, or allows the text.

    Args:
        design: returns the design as a part of which the block is checked.

    Signals:
        placed(block): a block was saved and allowed: put it into its place of the design.
    """

    placed = Signal(object)

    def __init__(
        self, session: Session, theme: ThemeProvider, design: Callable[[], ModelConfig], parent: QWidget | None = None
    ) -> None:
        super().__init__(parent)
        self._session, self._theme = session, theme
        self._kept = ""  # the text as it was opened or saved: another is unsaved
        self._name = ""  # of the user's block that is edited, "" for a new one
        self._shown_place = ""
        self._asks = True
        self._read_only: CustomBlock | None = None
        self.box: QMessageBox | None = None
        self.setWindowTitle("Block")
        self.resize(1120, 700)
        self.code = named(CodeField(theme), "The text of the block")
        self.checker = BlockChecker(design, self)
        self.runs = QCheckBox("Run my code as I type")
        self.runs.setToolTip(plain_tip("Run the checks, in a process of their own, whenever you pause"))
        self.about = label("", "caption", wrap=True)
        self.start = button("Start from", theme, icon="file-plus", tip="Replace the text by one of these")
        self.save = button("Save and allow", theme, self._on_save, role="primary")
        self.more = button("", theme, icon="caret-down", tip="More ways to save")
        self.close_button = button("Close", theme, self.close)
        self.contract = RichText(theme)
        self.checks = _CheckList(theme)
        self.problem = label("", "error", wrap=True, selectable=True)
        self._build()
        self.code.textChanged.connect(self._on_text)
        self.runs.toggled.connect(self._on_runs)
        self.checker.changed.connect(self._show)
        theme.theme_changed.connect(self._show_contract)  # its colours are those of the theme in which it was shown
        session.closing.connect(self.close_with_draft)

    def _build(self) -> None:
        for each in (self.start, self.save, self.more, self.close_button):
            each.setAutoDefault(False)  # Enter is for the text
        menu = QMenu(self.start)
        menu.setToolTipsVisible(True)
        menu.aboutToShow.connect(lambda: self.fill_starts(menu))
        self.start.setMenu(menu)
        saves = QMenu(self.more)
        saves.addAction("Save without allowing").triggered.connect(lambda: self._save(allow=False))
        self.more.setMenu(saves)
        words, checks = _filled(self.contract, "What it must be"), scrolling(self.checks, "Checks")
        heading, checks_heading = label("What it must be", "subheading"), label("Checks", "subheading")
        right = group(heading, words, SPACE, checks_heading, checks, grows={words: 2, checks: 3})
        top = row(self.start, self.runs, self.about, self.close_button, self.save, self.more, grows=self.about)
        middle = panes(group(self.code, self.problem), right, sizes=(680, 400), grows=0)
        self.setLayout(column(top, middle, grows=middle, margin=2 * SPACE))

    # -- Opening -------------------------------------------------------------------------------------------------------

    def open_new(self) -> None:
        """Start a new block: from the draft of one if there is one, else from a starting point."""
        draft = self._session.remembered.get(_DRAFT, "")
        first = next(iter(starting_points().values()))
        self._ask_first(lambda: self._open(draft or first.source, kept="" if draft else first.source))

    def open_block(self, block: CustomBlock) -> None:
        """Edit the text of one of the user's blocks."""
        self._ask_first(lambda: self._open(block.source, kept=block.source, name=block.name))

    def open_to_allow(self, block: CustomBlock) -> None:
        """Show the text of a block that came with a design, to read and to allow it."""
        self._ask_first(lambda: self._open(block.source, kept=block.source, name=block.name, read_only=block))

    def _open(self, source: str, *, kept: str, name: str = "", read_only: CustomBlock | None = None) -> None:
        self._kept, self._name, self._read_only, self._asks = kept, name, read_only, True
        self.runs.setChecked(False)
        self.code.set_editable(read_only is None)
        show_if(read_only is None, self.start, self.more)
        self.save.setText("Allow on this computer" if read_only else "Save and allow")
        self.save.setVisible(read_only is None or not is_allowed(read_only))
        self.runs.setText("Run the checks" if read_only else "Run my code as I type")
        asks = "Read it before you allow it: it runs whenever this design is measured or trained."
        self.about.setText(f"{WARNING} {asks}" if read_only else WARNING)
        self.code.show_code(source)
        self._on_text()
        self.show()
        self.activateWindow()
        self.code.setFocus()

    def fill_starts(self, menu: QMenu) -> None:
        """Offer the starting points, the blocks of extensions, and the user's own."""
        menu.clear()
        self._offer(menu, list(starting_points().values()), "")
        self._offer(menu, list(find_installed_blocks().entries.values()), "extension", "Of extensions")
        self._offer(menu, self._session.blocks.list(), "own", "Your blocks")

    def _offer(self, menu: QMenu, blocks: Sequence[CustomBlock], kind: str, title: str = "") -> None:
        """Add blocks to the menu, under a title. kind: what the names of their actions begin with."""
        if title and blocks:
            menu.addSection(title)
        for block in blocks:
            action = menu.addAction(without_mnemonic(f"{block.title}  ·  {TITLES[block.slot]}"))
            action.setToolTip(plain_tip(block.help))
            action.setObjectName(f"{kind}{block.name}")
            action.triggered.connect(lambda checked=False, block=block: self.start_from(block))

    def start_from(self, block: CustomBlock) -> None:
        """Replace the text by that of a block, as the text of a new one."""
        self._ask_first(lambda: self._open(block.source, kept=block.source))

    # -- Following the text --------------------------------------------------------------------------------------------

    @property
    def is_unsaved(self) -> bool:
        """Whether there is a text that was neither saved nor opened as it is."""
        return self._read_only is None and self.code.toPlainText() != self._kept

    @Slot()
    def _on_text(self) -> None:
        self.checker.follow(self._source, may_run=self.runs.isChecked())
        self._session.remembered.set(_DRAFT, self._source if self.is_unsaved else "")

    @Slot(bool)
    def _on_runs(self, runs: bool) -> None:
        self.checker.follow(self._source, may_run=runs, at_once=True)

    @property
    def _source(self) -> str:
        """The exact text: that of a block that is only read is not what the field makes of it."""
        return self.code.toPlainText() if self._read_only is None else self._read_only.source

    @Slot()
    def _show(self) -> None:
        checker = self.checker
        state = ""
        if checker.block is not None and checker.report is None and not checker.problem:
            off = _OFF if self._read_only is None else _OFF_TO_READ
            state = _RUNNING if checker.may_run else off
        if checker.block is not None and checker.block.slot != self._shown_place:
            self._shown_place = checker.block.slot
            self._show_contract()
        show_words(self.problem, checker.problem)
        self.checks.show_checks(checker.problem, checker.report, state)
        self.code.mark_line(checker.line)
        tip = "Save the text, allow it to run on this computer, and put it into its place of the design"
        if self._read_only is not None:
            tip = "Allow exactly this text to run on this computer"
        set_enabled(self.save, checker.problem, tip)
        set_enabled(self.more, checker.problem)
        star = "*" if self.is_unsaved else ""
        self.setWindowTitle(f"Block: {checker.block.title}{star}" if checker.block is not None else "Block")

    @Slot()
    def _show_contract(self) -> None:
        if self._shown_place:
            self.contract.set_markdown(contract(self._shown_place))

    # -- Saving --------------------------------------------------------------------------------------------------------

    def _on_save(self) -> None:
        if self._read_only is not None:
            if self._session.blocks.allow(self._read_only):
                self._asks = False
                self.close()
            return
        doubts = []
        report = self.checker.report
        if report is None:
            doubts.append("The checks have not run on this text.")
        elif not report.passed:
            n = sum(not check.passed for check in report.checks)
            doubts.append("A check has failed." if n == 1 else f"{n} checks have failed.")
        block = self.checker.block
        assert block is not None
        if block.name != self._name and block.name in (each.name for each in self._session.blocks.list()):
            doubts.append(f"It replaces your block “{block.name}”; designs that use that keep its text.")
        if doubts:
            self._ask("Save and allow this block?", " ".join([*doubts, WARNING]), "Save and allow", self._save)
        else:
            self._save()

    def _save(self, *, allow: bool = True) -> None:
        source = self._source
        block = self._session.blocks.save(source, allow=allow)
        if block is None:
            return
        self._kept, self._name = source, block.name
        self._session.remembered.set(_DRAFT, "")
        self._show()
        if allow:
            self.placed.emit(block)

    # -- Closing -------------------------------------------------------------------------------------------------------

    def _ask_first(self, go_on: Callable[[], object]) -> None:
        """Ask about an unsaved text, unless there is none, before it is replaced."""
        if self.isVisible() and self.is_unsaved:
            self._ask("Discard the changes?", "The text was not saved.", "Discard", go_on)
        else:
            go_on()

    def _ask(self, title: str, sentence: str, action: str, do: Callable[[], object]) -> None:
        box = self.box = QMessageBox(self)
        box.setTextFormat(Qt.TextFormat.PlainText)
        box.setWindowTitle(title)
        box.setText(title)
        box.setInformativeText(sentence)
        yes = box.addButton(action, QMessageBox.ButtonRole.AcceptRole)
        box.setDefaultButton(box.addButton(QMessageBox.StandardButton.Cancel))
        yes.clicked.connect(lambda: do())
        box.finished.connect(box.deleteLater)
        box.finished.connect(self._on_answered)
        box.open()

    @Slot()
    def _on_answered(self) -> None:
        self.box = None

    def reject(self) -> None:
        self.close()

    def closeEvent(self, event: QCloseEvent) -> None:
        if self._asks and self.is_unsaved and self.isVisible():
            event.ignore()
            self._ask("Discard the changes?", "The text was not saved.", "Discard", self._discard)
            return
        self.checker.stop()
        self.runs.setChecked(False)
        event.accept()

    def _discard(self) -> None:
        self._session.remembered.set(_DRAFT, "")
        self._asks = False
        self.close()

    @Slot()
    def close_with_draft(self) -> None:
        """Close without a question when the application does: the draft is remembered."""
        self._asks = False
        self.close()


def _filled(words: RichText, name: str) -> QWidget:
    """Return a scroll area in which a text takes the width that there is. name: what a screen reader calls them."""
    area = named(QScrollArea(), name)
    words.setAccessibleName(name)
    area.setFrameShape(QFrame.Shape.NoFrame)
    area.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
    area.setWidget(words)
    words.setProperty("role", "scrolled")
    words.fitted.connect(lambda: words.resize(words.sizeHint()))
    RelayoutOnResize(area.viewport(), lambda: words.set_max_width(area.viewport().width() - SPACE))
    return area


class _CheckList(QWidget):
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
        self._add(_READS, not self._problem, self._problem or "Nothing of the text runs for this.")
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
