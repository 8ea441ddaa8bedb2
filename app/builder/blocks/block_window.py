"""The window “Block”: the text of a custom block, what it must be, and its checks."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from importlib.resources import files

from PySide6.QtCore import Qt, Signal, Slot
from PySide6.QtGui import QCloseEvent
from PySide6.QtWidgets import QCheckBox, QFrame, QMenu, QMessageBox, QScrollArea, QWidget

from terrarium.app.builder.blocks.check_list import CheckList
from terrarium.app.builder.blocks.checker import BlockChecker
from terrarium.app.builder.blocks.contracts import TITLES, contract
from terrarium.app.kit.basics import (
    button,
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
from terrarium.app.kit.layout.relayout_on_resize import RelayoutOnResize
from terrarium.app.kit.text.code_field import CodeField
from terrarium.app.kit.text.rich_text import RichText
from terrarium.app.kit.theme import SPACE, ThemeProvider
from terrarium.app.session.session import Session
from terrarium.models.custom_blocks.installed import find_installed_blocks
from terrarium.models.custom_blocks.manifest import CustomBlock, read_block
from terrarium.models.custom_blocks.store import is_allowed
from terrarium.models.settings.model_config import ModelConfig

WARNING = "This is a program. It can do what you can do."
_DRAFT = "block_draft"
_OFF = "The other checks run the text: turn on “Run my code as I type”."
_OFF_TO_READ = "The other checks run the text: turn on “Run the checks”."
_RUNNING = "Checking…"


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
        self.checks = CheckList(theme)
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
