"""The window with the installed extensions, which a menu and the palette open."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from PySide6.QtWidgets import QLabel, QPushButton, QWidget
from pytestqt.qtbot import QtBot

from terrarium.app.builder.blocks.block_window import BlockWindow
from terrarium.app.kit.basics import EmptyState
from terrarium.app.kit.theme import ThemeProvider
from terrarium.app.session.session import Session
from terrarium.app.shell import extensions_window
from terrarium.app.shell.extensions_window import DOCS, ExtensionsWindow
from terrarium.app.shell.main_window import MainWindow
from terrarium.models.architecture.transformer import build_model
from terrarium.models.custom_blocks.store import (
    NotAllowedError,
    blocks_folder,
    check_blocks,
    delete_block,
    list_consents,
)
from terrarium.models.settings.extension_list import Addition, ExtensionInfo
from terrarium.models.settings.model_config import ModelConfig
from tests.app.heard import Heard
from tests.models.own_blocks import WRITES, put_block, start_source, with_block

Open = Callable[[list[ExtensionInfo]], ExtensionsWindow]


@pytest.fixture
def opened(qtbot: QtBot, session: Session, theme: ThemeProvider, monkeypatch: pytest.MonkeyPatch) -> Open:
    """Opens the window, as the palette does, while these extensions are installed."""
    window = MainWindow(session, theme)
    qtbot.addWidget(window)

    def show(found: list[ExtensionInfo]) -> ExtensionsWindow:
        monkeypatch.setattr(extensions_window, "list_extensions", lambda blocks: found)
        entries = [entry for source in window.palette_sources for entry in source.entries()]
        (entry,) = [entry for entry in entries if entry.title == "Extensions"]
        entry.do()
        (dialog,) = window.findChildren(ExtensionsWindow)
        return dialog

    return show


def texts(window: QWidget) -> list[str]:
    return [label.text() for label in window.findChildren(QLabel)]


def test_without_any_it_says_how_to_begin_one(opened: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    window = opened([])
    (state,) = window.findChildren(EmptyState)
    assert "terrarium extension new NAME" in state.words
    addresses: list[str] = []
    monkeypatch.setattr(
        extensions_window.QDesktopServices, "openUrl", lambda url: addresses.append(url.toLocalFile()) or True
    )
    assert DOCS.is_file()
    assert not window.docs.isHidden()
    window.docs.click()
    assert [Path(address) for address in addresses] == [DOCS]


def test_switched_off_it_says_so(opened: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERRARIUM_NO_EXTENSIONS", "1")
    (state,) = opened([]).findChildren(EmptyState)
    assert state.words.startswith("Extensions are switched off: Terrarium was started with TERRARIUM_NO_EXTENSIONS set")


def test_who_made_it_what_it_adds_and_what_is_wrong(
    opened: Open, tmp_path: Path, heard: Heard, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "retention.py"
    file.write_text("BLOCK = {}", encoding="utf-8")
    window = opened(
        [
            ExtensionInfo(
                package="terrarium-sign",
                version="1.2",
                author="Ada Example",
                title="Signs",
                help="Learns with signs.",
                additions=(
                    Addition(kind="optimizer", name="sign", title="Sign", help="Sign moves every weight alike"),
                    Addition(kind="block", name="retention", title="Retention", help="Decays.", source="BLOCK = {}"),
                ),
                problems=("The metric “m” is left out.",),
            )
        ]
    )
    shown = texts(window)
    for text in (
        "1 extension",
        "Signs",
        "terrarium-sign 1.2, by Ada Example",
        "Sign moves every weight alike",
        "Retention: Decays.",
        "The metric “m” is left out.",
    ):
        assert text in shown
    names = {widget.accessibleName() for widget in window.findChildren(QWidget)}
    assert "Your blocks, and installed extensions" in names
    assert "Signs: terrarium-sign 1.2, by Ada Example" in names
    assert "optimizer sign: Sign moves every weight alike" in names
    (copy,) = [each for each in window.findChildren(QPushButton) if each.text() == "Save a copy…"]
    assert copy.accessibleName() == "Save a copy of the block retention"
    monkeypatch.setattr(extensions_window, "ask_save_path", lambda *about: tmp_path / "mine.py")
    copy.click()
    assert (tmp_path / "mine.py").read_text("utf-8") == "BLOCK = {}"
    assert heard.notices[-1] == "Saved mine.py."


def test_a_withdrawn_block_is_refused_and_undo_allows_it_again(opened: Open, session: Session, tmp_path: Path) -> None:
    ran = tmp_path / "it ran"
    block = put_block(WRITES % str(ran))
    gone = put_block(start_source("retention"))
    design = with_block(ModelConfig(), block)
    (blocks_folder() / "texts" / f"{gone.sha256}.py").unlink()
    delete_block(gone.name)
    undos: list[Callable[[], object]] = []
    session.notices.deleted.connect(lambda sentence, undo: undos.append(undo))
    window = opened([])
    assert {block.sha256[:8], gone.sha256[:8], f"{gone.name}  ·  not in the library"} <= set(texts(window))

    def press(name: str) -> None:
        *_, newest = [each for each in window.findChildren(QPushButton) if each.accessibleName() == name]
        newest.click()  # the list was made anew, and Qt has not deleted the former buttons yet

    press(f"Show the text of writer {block.sha256[:8]}")
    (reader,) = window.findChildren(BlockWindow)
    assert reader.code.toPlainText() == block.source
    assert reader.code.isReadOnly()
    reader.close()
    press(f"Withdraw the consent to writer {block.sha256[:8]}")
    assert [each.sha256 for each in list_consents()] == [gone.sha256]
    with pytest.raises(NotAllowedError, match="not allowed"):
        build_model(design)
    assert not ran.exists()
    (undo,) = undos
    undo()
    check_blocks(design)
    press(f"Withdraw the consent to {gone.name} {gone.sha256[:8]}")
    assert [each.sha256 for each in list_consents()] == [block.sha256]
    assert len(undos) == 1
