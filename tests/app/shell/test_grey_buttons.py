"""A control that is grey says why: all buttons of the pages where models are made and used and of their dialogs, and
all else in some."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest
from PySide6.QtWidgets import (
    QAbstractButton,
    QAbstractSpinBox,
    QComboBox,
    QLineEdit,
    QPlainTextEdit,
    QSlider,
    QTabBar,
    QWidget,
)
from pytestqt.qtbot import QtBot
from tokenizers import Tokenizer

from terrarium.app.kit.basics import why_disabled
from terrarium.app.kit.dialog import Dialog
from terrarium.app.kit.layout.section import Section
from terrarium.app.kit.theme import ThemeProvider
from terrarium.app.run.export_dialog import ExportDialog
from terrarium.app.session.routes import DoToRun, ShowPlace, ShowRun
from terrarium.app.session.session import Session
from terrarium.app.shell.main_window import MainWindow
from terrarium.models.library.library import Library
from terrarium.models.settings.run_spec import RunSpec
from tests.app.heard import long
from tests.app.small_models import put_model

Until = Callable[[Callable[[], bool]], None]


@pytest.fixture
def window(session: Session, theme: ThemeProvider, qtbot: QtBot) -> Iterator[MainWindow]:
    window = MainWindow(session, theme)
    qtbot.addWidget(window)
    window.resize(1440, 900)
    window.show()
    qtbot.waitExposed(window)
    yield window
    window.close()


CONTROLS = (QAbstractButton, QAbstractSpinBox, QComboBox, QLineEdit, QPlainTextEdit, QSlider)


def unexplained(page: QWidget) -> list[str]:
    """The controls in view that are grey without saying why: their names. Of the training tab, its buttons."""
    return [
        f"{each.accessibleName() or getattr(each, 'text', str)()} ({each.toolTip()})"
        for each in page.findChildren(QWidget)
        if isinstance(each, QAbstractButton if "training" in type(page).__module__ else CONTROLS)
        and each.isVisible()
        and not each.isEnabled()
        and not isinstance(each.parentWidget(), QTabBar)
        and not why_disabled(each)
    ]


def pages_of(window: MainWindow) -> Iterator[tuple[str, QWidget]]:
    """Each page after the other, shown."""
    window.show_home()
    yield "Home", window.home
    window.session.go(ShowPlace("training/new"))
    yield "new run", window.training.new_run
    window.session.go(ShowPlace("training/recipes"))
    yield "recipes", window.training.recipes
    for info in window.session.runs.list():
        window.session.go(ShowRun(info.id))
        yield f"run {info.name}", window.training
        for name in window.training.run_view.views.names:
            if window.training.run_view.views.is_offered(name):
                window.training.run_view.views.show_view(name)
                yield f"run {info.name}, {name}", window.training
        yield from dialogs_of(window, info.id)
    window.show_models()
    yield "models", window.pages.page("models")
    window.show_tab("data")
    data = window.pages.page("data")
    for name in data.views.names:  # type: ignore[attr-defined]
        data.views.show_view(name)  # type: ignore[attr-defined]
        yield f"data {name}", data
    window.show_tab("chat")
    chat = window.pages.page("chat")
    for name in chat.modes.names:  # type: ignore[attr-defined]
        if chat.modes.is_offered(name):  # type: ignore[attr-defined]
            chat.modes.show_view(name)  # type: ignore[attr-defined]
            yield f"chat {name}", chat
    chat.side.show_view("settings")  # type: ignore[attr-defined]
    for section in chat.findChildren(Section):
        section.set_folded(False)
    yield "chat settings", chat


def dialogs_of(window: MainWindow, run_id: str) -> Iterator[tuple[str, QWidget]]:
    """What is asked before something is done to a run, each with all that it offers."""
    for name in ("longer", "fork", "sweep", "file", "model", "notes"):
        window.session.go(DoToRun(run_id, name))
        dialog = next((each for each in window.findChildren(Dialog) if each.isVisible()), None)
        if dialog is None:
            continue
        yield f"{name} of {run_id}", dialog
        if isinstance(dialog, ExportDialog):
            for kind in dialog.kind.buttons.buttons():
                kind.click()
                yield f"export as {kind.text()}", dialog
            dialog.place.clear()
            yield "export to nowhere", dialog
        dialog.close()


def check(window: MainWindow) -> None:
    found = [f"{name}: {grey}" for name, page in pages_of(window) for grey in unexplained(page)]
    assert not found, "\n".join(found)


def test_in_an_empty_library(window: MainWindow) -> None:
    check(window)


def test_beside_a_training(
    window: MainWindow, byte_tokenizer: Tokenizer, library: Library, tiny_spec: RunSpec, until: Until
) -> None:
    put_model(library, byte_tokenizer, "decoder-only")
    training = window.session.training
    training.start(long(tiny_spec))
    until(lambda: training.state is not None and training.state.step >= 1)
    check(window)
    training.stop()
    until(lambda: not training.active)


def test_with_a_model_open(window: MainWindow, byte_tokenizer: Tokenizer, library: Library, until: Until) -> None:
    run_id = put_model(library, byte_tokenizer, "decoder-only")
    labels = put_model(library, byte_tokenizer, "encoder-only", name="labels", head="sequence", n_label=3)
    window.session.runs.changed.emit()
    chat = window.session.chat

    def is_open(wanted: str) -> bool:
        return chat.state == "ready" and chat.model is not None and chat.model.run_id == wanted

    for each in (run_id, labels):
        assert window.session.use_model(each)
        until(partial(is_open, each))
        check(window)


def test_while_files_are_imported(window: MainWindow, tmp_path: Path, until: Until) -> None:
    window.show_tab("data")
    data = window.pages.page("data")
    file = tmp_path / "films.csv"
    file.write_text("sentence,opinion\n" + "".join(f"Film {i},{'ab'[i % 2]}\n" for i in range(20)), "utf-8")
    data.draft.open([str(file)])  # type: ignore[attr-defined]
    until(lambda: not data.busy)  # type: ignore[attr-defined]
    page = data.views.importing  # type: ignore[attr-defined]
    for name in ("", "films"):
        data.draft.set_name(name)  # type: ignore[attr-defined]
        until(lambda: not data.busy)  # type: ignore[attr-defined]
        assert not unexplained(data)
        assert page.import_button.isEnabled() == (not why_disabled(page.import_button))
