"""The window with the licences of Terrarium and its dependencies."""

from __future__ import annotations

from functools import partial

from PySide6.QtCore import Qt, Slot
from PySide6.QtWidgets import QListWidget, QListWidgetItem, QPlainTextEdit, QWidget

from terrarium.app.kit.basics import button, column, group, label, plain_tip, row, splitter
from terrarium.app.kit.dialog import Dialog
from terrarium.app.kit.inputs import named
from terrarium.app.kit.theme import SPACE, ThemeProvider
from terrarium.app.session.session import Session
from terrarium.app.shell.licences.packages import Package, licence_text, read_packages
from terrarium.app.worker.background import LatestTask
from terrarium.models.number_words import format_count

_ABOUT = (
    "Terrarium is free under the MIT License. It is built on the work of many others; these are the packages that are "
    "installed with it, and what each says of its licence."
)


class LicencesWindow(Dialog):
    """Lists the installed packages, and shows the licences of the selected one."""

    def __init__(self, session: Session, theme: ThemeProvider, parent: QWidget) -> None:
        super().__init__(parent)
        self.setWindowTitle("Licences")
        self.resize(980, 640)
        self._reading, self._text_reading = LatestTask(self), LatestTask(self)
        self._reading.done.connect(self._show_packages)
        self._text_reading.done.connect(self._show_text)
        for task in (self._reading, self._text_reading):
            task.failed.connect(session.notices.fail)
        self.list = named(QListWidget(), "Packages")
        self.list.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.list.currentItemChanged.connect(self._on_chosen)
        self.heading = label("", "heading")
        self.about = label("", "caption", wrap=True, selectable=True)
        self.text = named(QPlainTextEdit(), "Text of the licence")
        self.text.setReadOnly(True)
        self.text.setProperty("role", "mono")
        self.count = label("", "caption")
        right = group(self.heading, self.about, self.text)
        beside = splitter(self.list, right, sizes=(320, 640), grows=1)
        below = row(self.count, None, button("Close", theme, self.accept, tip="Close this window"))
        margin = (3 * SPACE, 3 * SPACE, 3 * SPACE, 2 * SPACE)
        self.setLayout(column(label(_ABOUT, wrap=True), beside, below, grows=beside, margin=margin))
        self._reading.ask(read_packages)

    @Slot(object)
    def _show_packages(self, packages: list[Package]) -> None:
        self.count.setText(format_count(len(packages), "package"))
        for package in packages:
            item = QListWidgetItem(f"{package.name} {package.version}\n{package.licence}")
            item.setData(Qt.ItemDataRole.UserRole, package)
            item.setToolTip(plain_tip(package.licence))
            self.list.addItem(item)
        self.list.setCurrentRow(0)

    @Slot(QListWidgetItem)
    def _on_chosen(self, item: QListWidgetItem | None) -> None:
        if item is None:
            return
        package: Package = item.data(Qt.ItemDataRole.UserRole)
        self.heading.setText(f"{package.name} {package.version}")
        self.about.setText("\n".join(filter(None, (package.summary, f"Licence: {package.licence}", package.url))))
        self.text.setPlainText("Reading…")
        self._text_reading.ask(partial(licence_text, package.name))

    @Slot(object)
    def _show_text(self, text: str) -> None:
        self.text.setPlainText(text or "The package comes without the text of its licence; its home page has it.")
