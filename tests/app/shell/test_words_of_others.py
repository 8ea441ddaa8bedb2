"""The titles, help texts and names that others have written appear verbatim in all widgets: neither HTML nor keys."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

import pytest
from PySide6.QtCore import QAbstractItemModel, QAbstractListModel, QModelIndex, Qt
from PySide6.QtGui import QAction, QTextDocument
from PySide6.QtGui import Qt as Gui
from PySide6.QtWidgets import (
    QAbstractButton,
    QAbstractItemView,
    QComboBox,
    QLabel,
    QMenu,
    QTableView,
    QTextBrowser,
    QTreeView,
    QWidget,
)

from terrarium.app.builder.builder_tab import BuilderTab
from terrarium.app.builder.compare_view import DesignMenu
from terrarium.app.builder.diagram.items import NodeItem
from terrarium.app.session.remembered import EVERYTHING
from terrarium.app.session.routes import ShowPlace, ShowRun
from terrarium.app.session.session import Session
from terrarium.app.shell import extensions_window
from terrarium.app.shell.extensions_window import ExtensionsWindow
from terrarium.app.shell.main_window import MainWindow
from terrarium.models.custom_blocks.manifest import CustomBlock
from terrarium.models.settings.extension_list import Addition, ExtensionInfo
from terrarium.models.settings.model_config import ModelConfig
from tests.models.own_blocks import put_block
from tests.runs_on_disk import make_run

Until = Callable[[Callable[[], bool]], None]

TITLE = "<b>x</b>&y"
HELP = '<img src="file:///etc/passwd"> & <i>help</i>'
MARKS = {TITLE: re.compile("(<|&lt;)b(>|&gt;)x"), HELP: re.compile("etc/passwd")}
"""Text -> what every text that has it contains, whether escaped or not."""

OPTION = {"default": 1.0, "label": TITLE, "help": HELP}
CHOICE = {"default": TITLE, "label": TITLE, "help": HELP, "choices": (TITLE, "other")}
SOURCE = f"""from torch import nn
BLOCK = {
    {
        "name": "strange",
        "slot": "feed_forward",
        "title": TITLE,
        "help": HELP,
        "options": {"gain": OPTION, "way": CHOICE},
    }
}
class Block(nn.Module):
    def __init__(self, config, gain, way):
        super().__init__()
        self.linear = nn.Linear(config.d_model, config.d_model)
    def forward(self, x):
        return self.linear(x)
"""
SMALL = ModelConfig(vocab_size=64, context_length=16, n_layer=1, n_head=2, d_model=16)


def written(text: str) -> list[str]:
    """The texts of others in a text."""
    return [words for words, mark in MARKS.items() if mark.search(text)]


def rendered(text: str, text_format: Qt.TextFormat = Qt.TextFormat.AutoText) -> str:
    """What Qt shows of a text."""
    is_html = text_format == Qt.TextFormat.RichText
    if is_html or (text_format == Qt.TextFormat.AutoText and Gui.mightBeRichText(text)):
        document = QTextDocument()
        document.setHtml(text)
        return document.toPlainText()
    return text


def without_keys(text: str) -> str:
    """What Qt shows of a text in which “&” marks a key."""
    return re.sub("&(.)", r"\1", text)


def of_items(model: QAbstractItemModel, parent: QModelIndex) -> Iterator[str]:
    """The tooltips of all items."""
    is_list = isinstance(model, QAbstractListModel)  # whose columns cannot be asked for
    for line in range(model.rowCount(parent)):
        for column in range(1 if is_list else model.columnCount(parent)):
            index = model.index(line, column, parent)
            yield str(model.data(index, Qt.ItemDataRole.ToolTipRole) or "")
            yield from of_items(model, index) if not is_list else ()


def of_headers(view: QAbstractItemView) -> Iterator[str]:
    if isinstance(view, QTableView | QTreeView):
        for column in range(view.model().columnCount() if view.model() else 0):
            role = Qt.ItemDataRole.ToolTipRole
            yield str(view.model().headerData(column, Qt.Orientation.Horizontal, role) or "")


def shown(window: QWidget) -> Iterator[tuple[str, str, str]]:
    """The kind of each text of a window, the text, and what Qt shows of it."""
    for widget in window.findChildren(QWidget):
        tips = [widget.toolTip()]
        if isinstance(widget, QLabel):
            text = rendered(widget.text(), widget.textFormat())
            yield "label", widget.text(), without_keys(text) if widget.buddy() is not None else text
        elif isinstance(widget, QAbstractButton):
            text = QAbstractButton.text(widget)  # as Qt has it
            yield "button", text, without_keys(text)
        elif isinstance(widget, QTextBrowser):
            yield "page", widget.toHtml(), widget.toPlainText()
        elif isinstance(widget, QComboBox):
            yield from (("choice", widget.itemText(i), widget.itemText(i)) for i in range(widget.count()))
            tips += of_items(widget.model(), QModelIndex())
        elif isinstance(widget, QAbstractItemView) and widget.model() is not None:
            tips += [*of_items(widget.model(), QModelIndex()), *of_headers(widget)]
        yield from (("tip", tip, rendered(tip)) for tip in tips)
    for action in window.findChildren(QAction):
        yield "action", action.text(), without_keys(action.text())
        if action.toolTip() != QAction(action.text()).toolTip():  # menus show no other
            yield "tip", action.toolTip(), rendered(action.toolTip())


def check(window: QWidget) -> set[str]:
    """Check that all texts of others appear verbatim; return the kinds of widgets that show some."""
    kinds = set()
    for kind, text, seen in shown(window):
        for words in written(text):
            assert words in " ".join(seen.split()), f"{kind} shows {seen!r} of {text!r}"
            kinds.add(kind)
    return kinds


@pytest.fixture
def block(session: Session) -> CustomBlock:
    """A block whose title, help and options look like markup; it may run."""
    session.detail.choose(EVERYTHING)
    session.designs.set(SMALL)
    return put_block(SOURCE)


@pytest.fixture
def tab(window: MainWindow, block: CustomBlock, session: Session, until: Until) -> BuilderTab:
    """The builder, with the block in its design."""
    window.show_tab("builder")
    (tab,) = window.findChildren(BuilderTab)
    row = tab.blocks.section.rows["feed_forward"]
    row.choice.setCurrentIndex(1)
    row.choice.activated.emit(1)
    assert tab.form.config.feed_forward_block == str(block.reference)
    until(lambda: tab.costs.obstacle.text() == "")
    return tab


def test_in_the_builder(window: MainWindow, tab: BuilderTab, block: CustomBlock) -> None:
    for name in tab.views.names:
        tab.views.show_view(name)
        check(window)
    tab.views.show_view("diagram")
    diagram = tab.views.diagram
    mark = next(each for each in diagram.view.marks if isinstance(each, NodeItem) and each.part.key == "feed_forward")
    diagram.view.pointed.emit(mark)
    assert written(diagram.card.text.text()) == [TITLE, HELP]
    tab.blocks.section.edit_requested.emit(block)
    editor = tab.blocks.window
    editor.fill_starts(editor.start.menu())
    assert check(window) == {"label", "choice", "action", "tip"}
    editor.close()


def test_in_the_form_of_a_new_run(window: MainWindow, tab: BuilderTab, session: Session) -> None:
    session.designs.set(tab.form.config)
    window.session.go(ShowPlace("training/new"))
    for name in window.training.new_run.views.names:
        window.training.new_run.views.show_view(name)
    assert "tip" in check(window)


def test_in_a_run(window: MainWindow, tab: BuilderTab, session: Session) -> None:
    make_run(session.library, tab.form.config, "strange", losses=(3.0, 2.0))
    session.runs.rename("strange", TITLE)
    session.runs.check()
    window.session.go(ShowRun("strange"))
    for name in window.training.run_view.views.names:
        window.training.run_view.views.show_view(name)
    window.show_tab("builder")
    tab.views.show_view("compare")
    for menu in window.findChildren(QMenu):
        menu.aboutToShow.emit()
    (menu,) = window.findChildren(DesignMenu)
    next(action for action in menu.findChildren(QAction) if written(action.text())).trigger()
    assert check(window) >= {"action", "button", "choice", "label", "tip"}


def test_in_the_window_of_extensions(
    window: MainWindow, tab: BuilderTab, block: CustomBlock, monkeypatch: pytest.MonkeyPatch
) -> None:
    added = Addition(kind="block", name="strange", title=TITLE, help=HELP, source=block.source)
    extension = ExtensionInfo(
        package=TITLE, version="1", author=TITLE, title=TITLE, help=HELP, additions=(added,), problems=(HELP,)
    )
    monkeypatch.setattr(extensions_window, "list_extensions", lambda blocks: [extension])
    entries = [entry for source in window.palette_sources for entry in source.entries()]
    next(entry for entry in entries if entry.title == "Extensions").do()
    (dialog,) = window.findChildren(ExtensionsWindow)
    assert [text for kind, text, _ in shown(dialog) if kind == "label" and written(text)]
    check(dialog)
    dialog.close()
