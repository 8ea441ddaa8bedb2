"""The card with the user's own blocks, and the texts of others that may run on this computer."""

from __future__ import annotations

from functools import partial

from PySide6.QtCore import Slot
from PySide6.QtWidgets import QGridLayout, QSizePolicy, QWidget

from terrarium.app.builder.blocks.block_window import BlockWindow
from terrarium.app.builder.blocks.contracts import TITLES
from terrarium.app.kit.basics import button, clear, column, label, titled_card
from terrarium.app.kit.theme import SPACE, ThemeProvider
from terrarium.app.session.session import Session
from terrarium.models.custom_blocks.manifest import CustomBlock
from terrarium.models.custom_blocks.store import Consent, list_consents
from terrarium.models.number_words import format_date

_NONE = "You have no blocks of your own, and have allowed none of others."


class OwnBlocks(QWidget):
    """Lists the texts with the consent to each, to read them and to withdraw it."""

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
            self._grid.addWidget(label(_NONE, "muted", wrap=True), 0, 0)

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
