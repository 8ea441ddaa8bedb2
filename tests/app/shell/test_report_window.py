"""The report for bug reports: shown before it is saved, and nothing private in it unless it is ticked."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from PySide6.QtCore import Qt
from PySide6.QtGui import QAction, QGuiApplication
from PySide6.QtWidgets import QFileDialog, QPushButton
from pytestqt.qtbot import QtBot

from terrarium.app.kit.theme import ThemeProvider
from terrarium.app.session.session import Session
from terrarium.app.shell.main_window import MainWindow
from terrarium.app.shell.report_window import Mask, ReportWindow
from terrarium.app.worker.failures import describe
from terrarium.models.library.library import Library
from terrarium.models.settings.presets import PRESETS
from tests.app.heard import Until

PRIVATE = (
    "Ann's diary",
    "by ann",
    "/ann",
    "My Texts",
    "secret words",
    "Little secret",
    "home/",
    "diary 2024",
    "C:\\Users",
)
LOG = """\
2026-11-27 13:34:06,123 ERROR terrarium.app.worker.worker: Job('Train secret words') failed: {home}/runs/a is damaged: x
Traceback (most recent call last):
  File "/home/ann/terrarium/.venv/lib/python3.11/site-packages/tokenizers/core.py", line 12, in load
    text = path.read_text("utf-8")
           ^^^^^^^^^^^^^^^^^^^^^^^
  File "/home/ann/My app/terrarium/app/shell/importer.py", line 30, in start
    raise ValueError(f"{{path}} is missing.")
  File "<template>", line 3, in top-level template code
    secret words of a template
ValueError: /home/ann/My Texts/Ann's diary 2024.txt is missing: choose another of the 3 files.
2026-11-27 13:34:07,000 WARNING terrarium.app.worker: Background work failed: C:\\Users\\ann\\x.txt cannot be read
2026-11-27 13:34:07,000 INFO terrarium: There is a design called “secret words” already, and Little secret too, by ann
torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 20.00 MiB.
"""


@pytest.fixture
def window(
    session: Session, theme: ThemeProvider, qtbot: QtBot, monkeypatch: pytest.MonkeyPatch
) -> Iterator[MainWindow]:
    """The shown window of a user called ann, with a log and a design “Little secret”."""
    monkeypatch.setattr("getpass.getuser", lambda: "ann")
    library = session.library
    library.save_design("Little secret", PRESETS["terrarium-tiny"])
    library.log_file.parent.mkdir(parents=True)
    library.log_file.write_text(LOG.format(home=library.home), "utf-8")
    window = MainWindow(session, theme)
    qtbot.addWidget(window)
    window.show()
    yield window
    window.close()


def report_of(window: MainWindow, until: Until) -> ReportWindow:
    """The report's window, with its report."""
    report = window.findChildren(ReportWindow)[-1]
    until(report.save_button.isEnabled)
    return report


def test_nothing_private_is_in_it_unless_ticked(
    window: MainWindow, until: Until, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    next(entry for entry in window.findChildren(QAction) if entry.text() == "Log and &diagnostics to send…").trigger()
    report = report_of(window, until)
    text = report.text.toPlainText()
    assert [word for word in (*PRIVATE, str(window.session.library.home)) if word in text] == []
    for useful in (
        "Python",
        "torch",
        "1 designs",
        "ERROR terrarium.app.worker.worker: Job(<text>) failed: <path> is damaged: x",
        'File "tokenizers/core.py", line 12, in load',
        '    text = path.read_text("utf-8")',
        'File "app/shell/importer.py", line 30, in start',
        "ValueError: <path> is missing: choose another of the 3 files.",
        "There is a design called <text> already, and <name> too",
        "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 20.00 MiB.",
    ):
        assert useful in text
    report.text.setPlainText(text + "and this is how it happened")
    chosen = tmp_path / "report.txt"
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_: (str(chosen), ""))
    report.save()
    assert chosen.read_text("utf-8") == text + "and this is how it happened"  # what is shown, and nothing else
    report.copy()
    assert QGuiApplication.clipboard().text() == report.text.toPlainText()
    report.paths.setChecked(True)
    report = report_of(window, until)
    assert str(window.session.library.home) in report.text.toPlainText()
    assert "secret words" not in report.text.toPlainText()
    report.texts.setChecked(True)
    report = report_of(window, until)
    assert LOG.format(home=window.session.library.home).strip() in report.text.toPlainText()
    report.close()


def test_a_failure_is_reported_from_its_details(window: MainWindow, until: Until, qtbot: QtBot) -> None:
    try:
        raise RuntimeError("it broke at /home/ann/x")
    except RuntimeError as error:
        window.session.notices.fail(describe(error))
    for words in ("Details", "Report…"):
        press = next(b for b in window.findChildren(QPushButton) if b.text() == words)
        qtbot.mouseClick(press, Qt.MouseButton.LeftButton)
    report = report_of(window, until)
    assert "RuntimeError: it broke at <path>" in report.text.toPlainText()
    report.close()
    window.activateWindow()


def test_names_of_files_that_runs_were_trained_on_are_found_whatever_they_are(library: Library) -> None:
    file = "/data/What is in it, and why: a (true) story.txt"
    (library.runs / "r").mkdir(parents=True)
    record = {"name": "Grown: 1, 2", "spec": {"data": {"files": [file]}}}
    (library.runs / "r" / "run.json").write_text(json.dumps(record), "utf-8")
    mask = Mask(library, keep_paths=False, keep_texts=False)
    assert mask.text(f"{file} is empty, says Grown: 1, 2.") == "<path> is empty, says <name>."
    assert Mask(library, keep_paths=True, keep_texts=False).text(f"{file} of Grown: 1, 2") == f"{file} of <name>"
