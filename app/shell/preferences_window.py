"""The preferences window, with a search over preferences and keyboard shortcuts."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from PySide6.QtCore import Qt, Slot
from PySide6.QtWidgets import QFileDialog, QFrame, QGridLayout, QWidget

from terrarium.app.kit.basics import button, column, frame, label, row, scrolled, set_enabled, show_words
from terrarium.app.kit.dialog import Dialog
from terrarium.app.kit.file_dialogs import reveal
from terrarium.app.kit.inputs import line_edit
from terrarium.app.kit.labels import ElidedLabel
from terrarium.app.kit.theme import SPACE, ThemeProvider
from terrarium.app.session.session import Session
from terrarium.app.shell.keys import KEYS, KeyRow
from terrarium.app.shell.preferences import Preference, PreferenceBox, Preferences
from terrarium.models.library.library import VARIABLE, choose_location, find_location

_EDITOR_WIDTH = 220


class PreferencesWindow(Dialog):
    """Shows the preferences; each takes effect immediately."""

    def __init__(
        self,
        preferences: Preferences,
        keys: Sequence[tuple[str, Sequence[KeyRow]]],
        session: Session,
        theme: ThemeProvider,
        parent: QWidget,
    ) -> None:
        super().__init__(parent)
        self.setWindowTitle("Preferences")
        self.resize(720, 600)
        self.search = line_edit("Search preferences", placeholder="Search preferences and keys", clears=True)
        self.search.textChanged.connect(self._find)
        self.library = LibraryRow(session, theme)
        choices = preferences
        self._sections = [
            _Section(
                "Appearance",
                [_Choice(each) for each in (choices.theme, choices.text_size, choices.motion, choices.detail)],
            ),
            _Section("Computing", [_Choice(choices.device), _Choice(choices.threads)]),
            _Section("Files", [self.library]),
            _Section("Quitting", [_Choice(choices.on_quit)]),
            *(_Section(f"{KEYS} {title}", [_Keys(one) for one in rows]) for title, rows in keys),
        ]
        self._nothing = label("", "muted", wrap=True)
        self._nothing.hide()
        close = button("Close", theme, self.close)
        close.setAutoDefault(False)
        spacing = SPACE + SPACE // 2
        area = scrolled(self._nothing, *self._sections, None, spacing=spacing)
        contents = row(label("Preferences", "heading"), None), self.search, area, row(None, close)
        margin = (3 * SPACE, 2 * SPACE, 2 * SPACE, 2 * SPACE)
        self.setLayout(column(*contents, spacing=spacing, grows=area, margin=margin))
        self.search.setFocus()

    @property
    def shown(self) -> list[str]:
        """The titles of the visible rows, from top to bottom."""
        return [each.title for section in self._sections for each in section.rows if not each.isHidden()]

    @Slot(str)
    def _find(self, query: str) -> None:
        words = query.casefold().split()
        n = sum(section.show_matching(words) for section in self._sections)
        show_words(self._nothing, "" if n else f"No preference and no key matches “{query.strip()}”.")


class _Row(QWidget):
    """A row of the window. find_by: additional search terms."""

    title = ""
    find_by = ""


class _Section(QFrame):
    """Rows in a card under a heading."""

    def __init__(self, title: str, rows: Sequence[_Row]) -> None:
        super().__init__()
        self._title, self.rows = title, rows
        self.setProperty("role", "card")
        margin = (2 * SPACE, SPACE + SPACE // 2, 2 * SPACE, SPACE + SPACE // 2)
        self.setLayout(column(label(title, "subheading"), *rows, margin=margin))

    def show_matching(self, words: Sequence[str]) -> int:
        """Show only the rows that contain all these words, and return their number."""
        n = 0
        for each in self.rows:
            text = f"{self._title} {each.title} {each.find_by}".casefold()
            fits = all(word in text for word in words)
            each.setVisible(fits)
            n += fits
        self.setVisible(n > 0)
        return n


class _Choice(_Row):
    """A preference with its title, its help sentence, and a combo box."""

    def __init__(self, preference: Preference) -> None:
        super().__init__()
        self.title = preference.title
        self.find_by = " ".join((preference.help, preference.find_by, *(words for _, words in preference.choices())))
        box = PreferenceBox(preference)
        box.setFixedWidth(_EDITOR_WIDTH)
        box.view().setMinimumWidth(box.view().sizeHintForColumn(0))
        grid = QGridLayout(self)
        grid.setContentsMargins(0, 0, 0, 0)
        grid.setHorizontalSpacing(2 * SPACE)
        grid.setVerticalSpacing(2)
        grid.setColumnStretch(0, 1)
        grid.addWidget(label(preference.title), 0, 0)
        grid.addWidget(label(preference.help, "caption", wrap=True), 1, 0)
        grid.addWidget(box, 0, 1, 2, 1, Qt.AlignmentFlag.AlignVCenter)


class LibraryRow(_Row):
    """The folder of the library, and a button to choose another one for the next launch."""

    title = "Library"
    find_by = "folder path home files where disk move location reveal"

    def __init__(self, session: Session, theme: ThemeProvider) -> None:
        super().__init__()
        self._session = session
        location = find_location()
        path = ElidedLabel(str(session.library.home))
        self.change = button("Change…", theme, self.choose, tip="Use another folder from the next launch on")
        self.change.setAutoDefault(False)
        set_enabled(self.change, f"It is set by {VARIABLE}." if location.is_fixed else "")
        show = button("Show in folder", theme, self._reveal, icon="folder-open", tip="Open it in the file manager")
        show.setAutoDefault(False)
        note = "Everything that you make is in this folder."
        if location.is_fixed:
            note += f" It is set by {VARIABLE}."
        self.note = label(note, "caption", wrap=True)
        head, box = row(label("Library"), None, show, self.change), frame("sunken", path, horizontal=True, margin=SPACE)
        self.setLayout(column(head, box, self.note, spacing=SPACE // 2))

    @Slot()
    def choose(self) -> None:
        """Ask for a folder, and use it from the next launch on."""
        folder = QFileDialog.getExistingDirectory(self, "Choose a folder for the library")
        if folder:
            self._session.notices.attempt(lambda: self._use(Path(folder)))

    def _use(self, folder: Path) -> None:
        home = choose_location(folder)
        self.note.setText(
            f"From the next launch on, the library is {home}. Nothing was moved: to keep what you have, quit Terrarium "
            f"and copy the contents of {self._session.library.home} there."
        )

    def _reveal(self) -> None:
        if not reveal(self._session.library.home):
            self._session.notices.say(f"Could not open {self._session.library.home}.")


class _Keys(_Row):
    """A shortcut and its action."""

    def __init__(self, key: KeyRow) -> None:
        super().__init__()
        self.title, self.find_by = key.what, key.keys
        keys = label(key.keys, "mono-small")
        keys.setFixedWidth(_EDITOR_WIDTH)
        self.setLayout(row(label(key.what, wrap=True), keys, spacing=2 * SPACE))
