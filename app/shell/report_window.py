"""The log and diagnostics for a bug report, shown as they would be saved, with private data masked."""

from __future__ import annotations

import contextlib
import getpass
import importlib.metadata
import json
import os
import platform
import re
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from PySide6.QtCore import Slot
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import QCheckBox, QPlainTextEdit, QWidget

from terrarium.app.kit.basics import button, column, label, row, set_enabled
from terrarium.app.kit.dialog import Dialog
from terrarium.app.kit.file_dialogs import ask_save_path
from terrarium.app.kit.theme import SPACE, ThemeProvider
from terrarium.app.session.session import Session
from terrarium.app.worker.background import LatestTask
from terrarium.models.files.atomic import atomic_write_text, read_json
from terrarium.models.library.library import Library
from terrarium.models.number_words import format_size

_ABOUT = (
    "Terrarium sends nothing: save this as a file and attach it to your report. Paths, names and texts of yours are "
    "replaced by <path>, <user>, <name> and <text>, as far as they are recognised. Read it, and change what you like."
)
_LOG_LINES = 600
_MIN_NAME = 3
"""Names shorter than this are not masked: they would match within words."""
_FRAME = re.compile(r'^(\s*File )"([^"]*)"(, line \d+.*)$')
_CODE = re.compile(r"^    \S|^\s+[~^]+$")
"""Within a traceback: a line of the program's source, or the marks under it."""
_RECORD = re.compile(r"\d{4}-\d\d-\d\d [\d:,]+ [A-Z]+ [\w.]+: ")
"""The head of a log record: time, level and module."""
_ERROR = re.compile(r"[A-Za-z_][\w.]*(?=: |$)")
"""The type of an exception, in the line after its traceback."""
_QUOTED = re.compile(r"“[^”]*”|«[^»]*»|\"(?:[^\"\\]|\\.)*\"|(?<!\w)'(?:[^'\\]|\\.)*'")
_PATH = re.compile(
    r"(?:\b[A-Za-z]:[\\/]|\\\\|(?<![\w<])~?/)"
    r".*?(?=:\s|,|;|\)|$| (?:is|are|was|has|have|does|holds|cannot|could|exists|already|to|in|and|from|at|with)\b)"
)
"""An absolute path, which may contain spaces: up to the words that follow paths in our sentences."""
_SLASHED = re.compile(r"\S*[^\s<(]/\S+|\S+\\\S+")
_FILE = re.compile(r"(?<![\w.<])[\w\-]+\.(?!py\b)[A-Za-z]\w{1,5}\b(?!\()")
_PATHS = re.compile(r"(?:<path>){2,}")


class ReportWindow(Dialog):
    """Shows the report. Saving and copying use the text as shown, including the user's edits.

    Args:
        failure: the reported failure, with its traceback; "" for none.
    """

    def __init__(self, session: Session, theme: ThemeProvider, parent: QWidget, failure: str = "") -> None:
        super().__init__(parent)
        self._session, self._failure = session, failure
        self.setWindowTitle("Log and diagnostics to send")
        self.resize(900, 600)
        self.paths = QCheckBox("With paths and the names of user and computer")
        self.texts = QCheckBox("With names and texts of mine")
        self.paths.setToolTip("Where files are, and how you and this computer are called")
        self.texts.setToolTip("Names of runs, chats and the like, and what stands in quotation marks")
        for box in (self.paths, self.texts):
            box.toggled.connect(self.collect)
        self.text = QPlainTextEdit()
        self.text.setFont(theme.mono_font(0.9))
        self.text.setLineWrapMode(QPlainTextEdit.LineWrapMode.NoWrap)
        self.text.setAccessibleName("The report")
        self.save_button = button("Save…", theme, self.save, role="primary", tip="Save what is shown, to send it")
        self.copy_button = button("Copy", theme, self.copy, icon="copy", tip="Copy what is shown")
        close = button("Close", theme, self.close)
        for each in (self.save_button, self.copy_button, close):
            each.setAutoDefault(False)
        heading, about = label("Log and diagnostics to send", "heading"), label(_ABOUT, "muted", wrap=True)
        choices = row(self.paths, self.texts, None, spacing=3 * SPACE)
        buttons = row(self.save_button, self.copy_button, None, close)
        margin = (3 * SPACE, 2 * SPACE, 3 * SPACE, 2 * SPACE)
        self.setLayout(column(heading, about, choices, self.text, buttons, grows=self.text, margin=margin))
        self._task = LatestTask(self)
        self._task.done.connect(self.text.setPlainText)
        self._task.done.connect(self._allow)
        self._task.failed.connect(session.notices.fail)
        self.collect()

    @Slot()
    def collect(self) -> None:
        """Generate the report again, in the background."""
        self.text.setPlainText("Collecting…")
        self._allow(False)
        report = _diagnostics(
            self._session,
            failure=self._failure,
            keep_paths=self.paths.isChecked(),
            keep_texts=self.texts.isChecked(),
        )
        self._task.ask(report)

    @Slot()
    def save(self) -> None:
        """Ask for a file, and save the shown text to it."""
        path = ask_save_path(self, "Save the report", "terrarium-report", "txt", "Text (*.txt)")
        if path is not None and self._session.notices.attempt(lambda: atomic_write_text(path, self.text.toPlainText())):
            self._session.notices.say(f"Saved {path.name}. Attach it to your report.")

    @Slot()
    def copy(self) -> None:
        """Copy the shown text."""
        QGuiApplication.clipboard().setText(self.text.toPlainText())
        self._session.notices.say("Copied: paste it into your report.")

    def _allow(self, allowed: object) -> None:
        """Enable saving and copying once there is a report."""
        for each in (self.save_button, self.copy_button, self.text):
            set_enabled(each, "" if allowed else "The report is being collected.")


def _diagnostics(
    session: Session, *, failure: str = "", keep_paths: bool = False, keep_texts: bool = False
) -> Callable[[], str]:
    """Return a function that computes the text of a report and may run on any thread.

    Args:
        failure: the reported failure, with its traceback. keep_paths: leave paths, and names of the user and computer,
            unmasked. keep_texts: leave quoted texts, and names given by the user, unmasked.
    """
    library, facts = session.library, _facts(session)

    def report() -> str:
        mask = Mask(library, keep_paths=keep_paths, keep_texts=keep_texts)
        parts = [facts, f"Library: {_describe_library(library, keep_path=keep_paths)}"]
        if failure:
            parts += ["", "The failure:", mask.text(failure)]
        parts += ["", f"The end of the log (at most {_LOG_LINES} lines):", mask.text(_end_of_log(library))]
        return "\n".join(parts) + "\n"

    return report


class Mask:
    """Masks private data in messages and tracebacks, except for the program's own source lines in a traceback."""

    def __init__(self, library: Library, *, keep_paths: bool, keep_texts: bool) -> None:
        self._keep_paths, self._keep_texts = keep_paths, keep_texts
        people = [] if keep_paths else [*_names_of_user_and_computer()]
        names = [] if keep_texts else [*_names_in(library)]
        files = [] if keep_paths else [*_files_used(library)]
        self._words = [(_any_of(files), "<path>"), (_any_of(names), "<name>"), (_any_of(people), "<user>")]

    def text(self, text: str) -> str:
        """Return a text with its private data masked."""
        lines = []
        place: str | None = None  # the last frame's file; "" if not the program's; None outside a traceback
        for line in text.splitlines():
            frame = _FRAME.match(line)
            if frame:
                place = _within_program(frame[2])
                shown = frame[2] if self._keep_paths else place or "<path>"
                lines.append(f'{frame[1]}"{shown}"{frame[3]}')
            elif place is not None and _CODE.match(line):
                lines.append(line if place or self._keep_texts else "    <text>")
            else:
                head = (_RECORD if place is None else _ERROR).match(line) or _RECORD.match(line)
                start = head.end() if head else 0
                lines.append(line[:start] + self._message(line[start:]))
                place = None
        return "\n".join(lines)

    def _message(self, line: str) -> str:
        for pattern, mask in self._words:
            if pattern is not None:
                line = pattern.sub(mask, line)
        if not self._keep_paths:
            for pattern in (_PATH, _SLASHED, _FILE, _PATHS):
                line = pattern.sub("<path>", line)
        return line if self._keep_texts else _QUOTED.sub("<text>", line)


def _facts(session: Session) -> str:
    """Collect the facts from Qt and the session. Runs on the window's thread."""
    packages = ("torch", "tokenizers", "PySide6_Essentials", "pyqtgraph", "numpy", "safetensors")
    screens = [
        f"{screen.size().width()}×{screen.size().height()} at {screen.devicePixelRatio():g}"
        for screen in QGuiApplication.screens()
    ]
    remembered, device = session.remembered, session.device
    lines = [
        f"Terrarium {_version('llm-terrarium')} on Python {platform.python_version()}, {platform.platform()}",
        f"Device: {device.label or 'torch is not loaded'} ({device.name}); {os.cpu_count()} cores, threads: "
        f"{device.threads or 'automatic'}",
        "Packages: " + ", ".join(f"{name} {_version(name)}" for name in packages),
        f"Screen: {QGuiApplication.platformName()}, " + ", ".join(screens),
        f"Theme: {remembered.get('theme', 'system')}; text size: {remembered.get('text scale', 1.0):g}",
        f"Training: {session.training.state.status if session.training.state is not None else 'none'}; chat: "
        f"{session.chat.state}; queue: {len(session.queue.waiting)}",
    ]
    return "\n".join(lines)


def _describe_library(library: Library, *, keep_path: bool) -> str:
    shelves = (library.runs, library.tokenizers, library.designs, library.chats, library.corpora, library.preferences)
    folders = (*shelves, library.trash)
    counts = ", ".join(f"{len(_entries(folder))} {folder.name}" for folder in folders)
    free = ""
    with contextlib.suppress(OSError):
        free = f"; {format_size(shutil.disk_usage(library.home).free)} free on its disk"
    return f"{library.home}; {counts}{free}" if keep_path else f"{counts}{free}"


def _end_of_log(library: Library) -> str:
    try:
        lines = library.log_file.read_text("utf-8", errors="replace").splitlines()[-_LOG_LINES:]
    except OSError:
        return "(there is none)"
    return "\n".join(lines)


def _names_of_user_and_computer() -> Iterable[str]:
    yield Path.home().name
    yield platform.node()
    with contextlib.suppress(OSError, KeyError, ImportError):
        yield getpass.getuser()


def _names_in(library: Library) -> Iterable[str]:
    """Yield the names that the user has given: of files, runs, tags and chats."""
    for folder in (library.tokenizers, library.designs, library.runs):
        yield from (entry.name.removesuffix(".json") for entry in _entries(folder))
    for run in _entries(library.runs):
        yield str(_read(run / "run.json").get("name", ""))
        tags = _read(run / "notes.json").get("tags")
        yield from (str(tag) for tag in (tags if isinstance(tags, list) else ()))
    for chat in _entries(library.chats):
        yield str(_read(chat).get("name", ""))


def _files_used(library: Library) -> Iterable[str]:
    """Yield the paths and names of training files, with any characters, and the library and home folders."""
    for run in _entries(library.runs):
        spec: Any = _read(run / "run.json").get("spec")
        with contextlib.suppress(TypeError, KeyError, AttributeError):
            yield from (str(file) for file in spec["data"]["files"])
            yield from (Path(str(file)).name for file in spec["data"]["files"])
    yield str(library.home)
    yield str(Path.home())


def _entries(folder: Path) -> list[Path]:
    try:
        return [entry for entry in folder.iterdir() if not entry.name.startswith(".")]
    except OSError:
        return []


def _read(file: Path) -> dict[str, Any]:
    try:
        return read_json(file)
    except ValueError:
        return {}


def _any_of(words: Iterable[str]) -> re.Pattern[str] | None:
    """Compile a pattern for these words, longest first, also as Python and JSON escape them; None if there are none."""
    written = {form for word in words for form in (word, repr(word)[1:-1], json.dumps(word)[1:-1])}
    long = sorted((word for word in written if len(word) >= _MIN_NAME), key=lambda word: (-len(word), word))
    return re.compile("|".join(rf"(?<!\w){re.escape(word)}(?!\w)" for word in long)) if long else None


def _within_program(path: str) -> str:
    """Return a source file's path relative to its package folder; "" if it belongs to no package of the program."""
    parts = re.split(r"[\\/]", path)
    for start in ("site-packages", "dist-packages", "app", "models", "lib"):
        if start in parts[:-1]:
            last = len(parts) - 1 - parts[::-1].index(start)
            return "/".join(parts[last + start.endswith("packages") :])
    return path if path.startswith("<frozen ") else ""


def _version(name: str) -> str:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return "?"
