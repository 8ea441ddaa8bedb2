"""The window with the user's blocks and the extensions: who made them, what they add, and what is wrong with them."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from PySide6.QtCore import QUrl, Slot
from PySide6.QtGui import QDesktopServices
from PySide6.QtWidgets import QFrame, QGridLayout, QHBoxLayout, QSizePolicy, QWidget

from terrarium.app.builder.blocks.block_window import BlockWindow
from terrarium.app.builder.blocks.contracts import TITLES
from terrarium.app.kit.basics import EmptyState, button, clear, column, group, label, row, scrolling, titled_card
from terrarium.app.kit.dialog import Dialog
from terrarium.app.kit.file_dialogs import ask_save_path
from terrarium.app.kit.inputs import named
from terrarium.app.kit.theme import SPACE, ThemeProvider
from terrarium.app.session.session import Session
from terrarium.models.custom_blocks.manifest import CustomBlock
from terrarium.models.custom_blocks.store import Consent, find_installed_blocks, list_consents
from terrarium.models.extensions.registry import SWITCH
from terrarium.models.files.atomic import atomic_write_text
from terrarium.models.number_words import capitalized, format_count, format_date
from terrarium.models.settings.extension_list import Addition, ExtensionInfo, are_switched_off, list_extensions

DOCS = Path(__file__).resolve().parents[2] / "docs" / "develop" / "write-an-extension.md"
"""The page of the documentation about extensions, which only a checkout has."""
_ABOUT = (
    "Extensions are Python packages that you have installed beside Terrarium. They can do all that you can do on this "
    "computer: install only what you trust. A new one is found at the next start."
)
_NONE = (
    "No extensions are installed",
    "Packages can add optimizers, sampling steps, stages, metrics and blocks. To begin one of your own: "
    "terrarium extension new NAME",
)
_OFF = (
    "Extensions are switched off",
    f"Terrarium was started with {SWITCH} set: start it without, to have them again.",
)
_NO_BLOCKS = "You have no blocks of your own, and have allowed none of others."


class ExtensionsWindow(Dialog):
    """Lists the extensions, each on a card with its entries and problems."""

    def __init__(self, session: Session, theme: ThemeProvider, parent: QWidget) -> None:
        super().__init__(parent)
        self._session, self._theme = session, theme
        self.setWindowTitle("Extensions")
        self.resize(820, 560)
        self.docs = button("How to write one", theme, self._open_docs, icon="book-open", tip="Open the page about it")
        self.docs.setVisible(DOCS.is_file())
        close = button("Close", theme, self.accept, tip="Close this window")
        for each in (self.docs, close):
            each.setAutoDefault(False)
        found = list_extensions(find_installed_blocks())
        cards: list[QWidget | None] = [*map(self._card, found), None]
        if not found:
            cards = [titled_card("", EmptyState(*(_OFF if are_switched_off() else _NONE)))]
        body = scrolling(group(_OwnBlocks(session, theme), *cards, spacing=2 * SPACE))
        named(body, "Your blocks, and installed extensions")
        count = label(format_count(len(found), "extension") if found else "", "caption")
        head, about = row(label("Extensions", "heading"), None, count), label(_ABOUT, "muted", wrap=True)
        margin = (3 * SPACE, 2 * SPACE, 3 * SPACE, 2 * SPACE)
        contents = head, about, body, row(self.docs, None, close)
        self.setLayout(column(*contents, spacing=SPACE + SPACE // 2, grows=body, margin=margin))
        close.setFocus()

    def _card(self, info: ExtensionInfo) -> QFrame:
        """Create the card of an extension."""
        origin = f"{info.package} {info.version}" + (f", by {info.author}" if info.author else "")
        parts: list[QWidget] = [label(origin, "caption", wrap=True, selectable=True)]
        if info.help:
            parts.append(label(info.help, wrap=True))
        parts += [label(problem, "error", wrap=True, selectable=True) for problem in info.problems]
        if info.additions:
            parts.append(self._entries(info))
        card = titled_card(info.title or info.package, *parts, spacing=SPACE)
        card.setAccessibleName(f"{info.title or info.package}: {origin}")
        return card

    def _entries(self, info: ExtensionInfo) -> QWidget:
        """Create the table of what an extension adds: kind, name, title and help, and a button for blocks."""
        table = QWidget()
        grid = QGridLayout(table)
        grid.setContentsMargins(0, 0, 0, 0)
        grid.setHorizontalSpacing(2 * SPACE)
        grid.setVerticalSpacing(SPACE)
        grid.setColumnStretch(2, 1)
        for line, added in enumerate(info.additions):
            words = added.help if added.help.startswith(added.title) else f"{added.title}: {added.help}"
            about = label(words, wrap=True)
            about.setAccessibleName(f"{added.kind} {added.name}: {words}")
            grid.addWidget(label(capitalized(added.kind), "muted"), line, 0)
            grid.addWidget(label(added.name, "mono", selectable=True), line, 1)
            grid.addWidget(about, line, 2)
            if added.source:
                grid.addLayout(self._copy_button(added), line, 3)
        return table

    def _copy_button(self, block: Addition) -> QHBoxLayout:
        copy = button("Save a copy…", self._theme, partial(self._copy, block), tip="Save the block's file to change it")
        copy.setAccessibleName(f"Save a copy of the block {block.name}")
        copy.setAutoDefault(False)
        return row(copy)

    def _copy(self, block: Addition) -> None:
        """Ask for a file, and write a block's text to it."""
        path = ask_save_path(self, "Save a copy of the block", block.name, "py", "Python (*.py)")
        if path is not None and self._session.notices.attempt(lambda: atomic_write_text(path, block.source)):
            self._session.notices.say(f"Saved {path.name}.")

    def _open_docs(self) -> None:
        """Open the page about extensions with the program that the system has for it."""
        QDesktopServices.openUrl(QUrl.fromLocalFile(str(DOCS)))


class _OwnBlocks(QWidget):
    """The card with the user's own blocks, and the texts of others that may run on this computer.

    It lists the texts with the consent to each, to read them and to withdraw it.
    """

    def __init__(self, session: Session, theme: ThemeProvider) -> None:
        super().__init__()
        self._session, self._theme = session, theme
        self._window: BlockWindow | None = None
        table = QWidget()
        self._grid = QGridLayout(table)
        self._grid.setContentsMargins(0, 0, 0, 0)
        self._grid.setHorizontalSpacing(2 * SPACE)
        self._grid.setVerticalSpacing(SPACE)
        self._grid.setColumnStretch(0, 1)
        self.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Maximum)
        self.setLayout(column(titled_card("Your blocks", table, spacing=SPACE)))
        session.blocks.changed.connect(self._list)
        self._list()

    @Slot()
    def _list(self) -> None:
        clear(self._grid)
        consents = {consent.sha256: consent for consent in list_consents()}
        blocks = {block.sha256: block for block in self._session.blocks.list()}
        blocks |= {each.sha256: each.block for each in consents.values() if each.block is not None}
        hashes = [*blocks, *(sha256 for sha256 in consents if sha256 not in blocks)]
        for line, sha256 in enumerate(hashes):
            self._add(line, sha256, blocks.get(sha256), consents.get(sha256))
        if not hashes:
            self._grid.addWidget(label(_NO_BLOCKS, "muted", wrap=True), 0, 0)

    def _add(self, line: int, sha256: str, block: CustomBlock | None, consent: Consent | None) -> None:
        """Add the line of a text: what it is, its hash, since when it is allowed, and buttons."""
        name = block.name if block is not None else consent.name if consent is not None else ""
        about = f"{block.title}  ·  {TITLES[block.slot]}  ·  {name}" if block else f"{name}  ·  not in the library"
        state = "not allowed"
        if consent is not None:
            state = f"allowed {format_date(consent.when)}" if consent.when else "allowed"
        self._grid.addWidget(label(about, wrap=True), line, 0)
        self._grid.addWidget(label(sha256[:8], "mono", selectable=True), line, 1)
        self._grid.addWidget(label(state, "muted"), line, 2)
        if block is not None:
            is_new = consent is None
            words, tip = ("Read and allow…", "Read the text, to let it run") if is_new else ("Show", "Read the text")
            show = button(words, self._theme, partial(self._show, block), tip=tip)
            show.setAccessibleName(f"Show the text of {name} {sha256[:8]}")
            show.setAutoDefault(False)
            self._grid.addWidget(show, line, 3, 1, 2 if is_new else 1)
        if consent is not None:
            take = partial(self._withdraw, consent)
            withdraw = button("Withdraw", self._theme, take, tip="No longer let this text run on this computer")
            withdraw.setAccessibleName(f"Withdraw the consent to {name} {sha256[:8]}")
            withdraw.setAutoDefault(False)
            self._grid.addWidget(withdraw, line, 4)

    def _show(self, block: CustomBlock) -> None:
        if self._window is None:
            self._window = BlockWindow(self._session, self._theme, lambda: self._session.designs.current, self)
        self._window.open_to_allow(block)

    def _withdraw(self, consent: Consent) -> None:
        """Withdraw a consent at once; as long as its text is there, that can be undone."""
        blocks, block = self._session.blocks, consent.block
        if not blocks.withdraw(consent.sha256):
            return
        sentence = f"The block “{consent.name}” may no longer run."
        if block is None:
            self._session.notices.say(sentence)
        else:
            self._session.notices.deleted.emit(sentence, lambda: blocks.allow(block))
