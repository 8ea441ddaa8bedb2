"""The window with the licences of Terrarium and its dependencies."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from importlib.resources import files

from PySide6.QtCore import Qt, Slot
from PySide6.QtWidgets import QListWidget, QListWidgetItem, QPlainTextEdit, QWidget

from terrarium.app.kit.basics import button, column, group, label, plain_tip, row, splitter
from terrarium.app.kit.dialog import Dialog
from terrarium.app.kit.inputs import named
from terrarium.app.kit.theme import SPACE, ThemeProvider
from terrarium.app.session.session import Session
from terrarium.app.worker.background import LatestTask
from terrarium.models.number_words import format_count

_ABOUT = (
    "Terrarium is free under the MIT License. It is built on the work of many others; these are the packages that are "
    "installed with it, and what each says of its licence."
)
_PROGRAM = "llm-terrarium"
_QT = ("pyside6-essentials", "shiboken6")
_NAME = re.compile(r"[A-Za-z0-9._-]+")
_FILE = re.compile(
    r"(^|\.dist-info/(.*/)?)[^/]*(licen[cs]e|copying|notice|authors)[^/]*$|\.dist-info/licenses/", re.IGNORECASE
)
_MAX_TEXT = 300_000
"""The length in characters after which no further licence file of a package is read; torch has some 400."""
_QT_NOTICE = (
    "Terrarium uses Qt and Qt for Python under version 3 of the GNU Lesser General Public License (LGPL). They are "
    "unchanged, and lie beside the program as libraries of their own, so you can replace them with versions that you "
    "have changed: PySide6 and shiboken6 among Python's packages, or in the program's folder. Their source code is at "
    "https://download.qt.io/official_releases/QtForPython/ and https://download.qt.io/official_releases/qt/. The LGPL "
    "adds to the GNU General Public License (GPL), so both follow."
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
    def _show_packages(self, packages: list[_Package]) -> None:
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
        package: _Package = item.data(Qt.ItemDataRole.UserRole)
        self.heading.setText(f"{package.name} {package.version}")
        self.about.setText("\n".join(filter(None, (package.summary, f"Licence: {package.licence}", package.url))))
        self.text.setPlainText("Reading…")
        self._text_reading.ask(partial(licence_text, package.name))

    @Slot(object)
    def _show_text(self, text: str) -> None:
        self.text.setPlainText(text or "The package comes without the text of its licence; its home page has it.")


@dataclass(frozen=True, kw_only=True)
class _Package:
    """An installed package. licence: its declared licence in a few words. url: its home page, or ""."""

    name: str
    version: str
    licence: str
    summary: str
    url: str


def read_packages() -> list[_Package]:
    """Return Terrarium, then its direct and transitive dependencies, sorted by name."""
    found: dict[str, _Package] = {}
    waiting = [_PROGRAM]
    while waiting:
        name = _normal(waiting.pop())
        if name in found:
            continue
        try:
            installed = distribution(name)
        except PackageNotFoundError:  # a dependency of another platform, or an extra
            continue
        found[name] = _package(installed)
        waiting += _needed(installed)
    own = [found.pop(_PROGRAM)] if _PROGRAM in found else []
    return own + [found[name] for name in sorted(found)]


def licence_text(name: str) -> str:
    """Return the texts of a package's licence files; "" if it has none."""
    parts = [_QT_NOTICE, *(_own_text(file) for file in ("LGPL-3.0.txt", "GPL-3.0.txt"))] if _normal(name) in _QT else []
    try:
        listed = distribution(name).files or []
    except PackageNotFoundError:
        listed = []
    length = 0
    for file in listed:
        if not _FILE.search(file.as_posix()) or length > _MAX_TEXT:
            continue
        try:
            text = file.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError):
            continue
        parts.append(f"{file.name}\n\n{text.strip()}")
        length += len(text)
    return ("\n\n" + "─" * 40 + "\n\n").join(parts)


def _own_text(name: str) -> str:
    return files("terrarium.resources").joinpath("licences", name).read_text(encoding="utf-8").strip()


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _needed(installed: Distribution) -> Iterator[str]:
    for line in installed.requires or []:
        match = _NAME.match(line)
        if match and "extra ==" not in line:
            yield match.group()


def _package(installed: Distribution) -> _Package:
    urls = [line.partition(",")[2].strip() for line in _fields(installed, "Project-URL")]
    return _Package(
        name=str(installed.metadata["Name"]),
        version=installed.version,
        licence=_licence(installed),
        summary=next(iter(_fields(installed, "Summary")), ""),
        url=next(iter((*_fields(installed, "Home-page"), *urls)), ""),
    )


def _licence(installed: Distribution) -> str:
    """Return the SPDX expression, else the licence field if it is short, else the classifiers."""
    said = [line.strip() for line in (*_fields(installed, "License-Expression"), *_fields(installed, "License"))]
    if said and said[0] and "\n" not in said[0] and len(said[0]) < 200:
        return said[0]
    classifiers = [line for line in _fields(installed, "Classifier") if line.startswith("License")]
    return ", ".join(line.split("::")[-1].strip() for line in classifiers) or "see its text"


def _fields(installed: Distribution, name: str) -> list[str]:
    """Return all values of the metadata field `name`."""
    return [str(each) for each in installed.metadata.get_all(name) or []]
