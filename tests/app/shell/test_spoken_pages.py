"""On every page and in every dialog, a screen reader is told what each widget is, and why one cannot be used."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest
from PySide6.QtGui import QAccessible
from PySide6.QtWidgets import QAbstractItemView, QGraphicsView, QWidget

from terrarium.app.kit.help_mark import HelpMark
from terrarium.app.session.remembered import EVERYTHING
from terrarium.app.shell.extensions_window import ExtensionsWindow
from terrarium.app.shell.main_window import MainWindow
from terrarium.app.shell.preferences_window import PreferencesWindow
from tests.app.shell.test_every_page_fits import Pages, Until, every_page, score_pages, settle, task_pages
from tests.app.shell.test_every_page_fits import task_window as task_window
from tests.app.shell.test_every_page_fits import window as window
from tools.screenshots.spoken import Spoken, spoken

Role = QAccessible.Role
BUTTONS = {Role.Button, Role.ButtonMenu, Role.ButtonDropDown, Role.CheckBox, Role.RadioButton, Role.Link}
CONTROLS = BUTTONS | {Role.ComboBox, Role.EditableText, Role.SpinBox, Role.Slider, Role.PageTab}
NAMED = CONTROLS | {Role.Graphic, Role.Chart, Role.Table, Role.List, Role.Tree, Role.ProgressBar, Role.Dialog}
"""Roles that mean nothing without a name."""
KEYS = re.compile("keys|Enter|[Ll]eft and right|[Uu]p and down")


def test_everything_has_a_name(window: MainWindow, until: Until, text_file: Path) -> None:
    window.session.detail.choose(EVERYTHING)
    window.resize(1440, 900)
    pages = itertools.chain(every_page(window, until, text_file), dialogs(window))
    check(pages)


@pytest.mark.slow
def test_everything_on_pages_for_tasks_has_a_name(task_window: MainWindow, until: Until) -> None:
    check(itertools.chain(score_pages(task_window, until), task_pages(task_window, until)))


def dialogs(window: MainWindow) -> Pages:
    """Show the windows of the whole application, one after the other."""
    window.show_home()
    window.guide.show()
    yield "guide", window
    for chapter in window.guide.guide.chapters:
        window.guide.guide.open(chapter.name, 0)
        yield f"guide, {chapter.name}", window
    window.guide.close()
    window.help.show_term("Attention")
    yield "help", window
    window.help.close()
    palette = window.show_palette()
    yield "palette", window
    palette.dismiss()
    window.show_preferences()
    (preferences,) = window.findChildren(PreferencesWindow)
    yield "preferences", preferences
    preferences.close()
    extensions = ExtensionsWindow(window.session, window.theme, window)
    extensions.show()
    yield "extensions", extensions
    extensions.close()
    window.show_trash()
    yield "trash", window.trash
    window.trash.close()
    window.show_tab("builder")
    block = window.pages.page("builder").blocks.window  # type: ignore[attr-defined]
    block.open_new()
    yield "custom block", block
    block.close()


def check(pages: Iterable[tuple[str, QWidget]]) -> None:
    found: dict[str, str] = {}
    for page, shown in pages:
        settle()
        for complaint in complaints(list(spoken(shown))):
            found.setdefault(complaint, page)
    assert not found, "\n".join(f"{page}: {complaint}" for complaint, page in found.items())


def complaints(told: list[Spoken]) -> Iterator[str]:
    """What a person who hears this window would miss."""
    for each in told:
        if is_named(each) and not re.search(r"\w", each.name):
            yield f"{about(each)} has no name in words"
        if each.role == Role.ComboBox and not each.description and not is_labelled(each):
            yield f"{about(each)} says what is chosen, but not of what"
        if is_painted_stop(each) and not KEYS.search(f"{each.name} {each.description}"):
            yield f"{about(each)} does not say which keys it takes"
    for (_, name), buttons in in_groups(told).items():
        if len(buttons) > 1:
            yield f"{len(buttons)} buttons are called {name!r}: {about(buttons[0])}"


def in_groups(told: list[Spoken]) -> dict[tuple[int, str], list[Spoken]]:
    """Buttons by the named widget that they are in, and their name with what is said of them."""
    groups: dict[tuple[int, str], list[Spoken]] = {}
    within: list[int] = []
    for place, each in enumerate(told):
        within[each.depth :] = [place]
        if each.role in BUTTONS and not isinstance(each.widget, HelpMark):  # those of one term do the same
            group = within[each.depth - 1] if each.depth else -1
            groups.setdefault((group, f"{each.name} {each.description}"), []).append(each)
    return groups


def is_named(each: Spoken) -> bool:
    """Whether a widget needs a name: it can be used, or it shows something that is not text."""
    if each.widget is None:
        return each.role == Role.PageTab
    return bool(each.role in NAMED or each.tab or isinstance(each.widget, QGraphicsView | QAbstractItemView)) or (
        is_painted(each.widget)
    )


def is_labelled(each: Spoken) -> bool:
    """Whether a label stands for a widget. On Linux, Qt tells nothing else of what a choice is called."""
    interface = QAccessible.queryAccessibleInterface(each.widget)
    return any(flag == QAccessible.RelationFlag.Label for _, flag in interface.relations())


def is_painted_stop(each: Spoken) -> bool:
    """Whether Tab leads to a widget that draws itself and handles keys of its own."""
    return bool(each.tab) and each.widget is not None and is_painted(each.widget) and each.role not in CONTROLS


def is_painted(widget: QWidget) -> bool:
    """Whether a widget of ours, with nothing in it, draws itself."""
    ours = (kind for kind in type(widget).__mro__ if kind.__module__.startswith("terrarium"))
    return any("paintEvent" in vars(kind) for kind in ours) and not widget.findChildren(QWidget)


def about(each: Spoken) -> str:
    """What is told of a widget, and where it stands in the code."""
    widget, line = each.widget, []
    while widget is not None and len(line) < 5:
        line.append(type(widget).__name__)
        widget = widget.parentWidget()
    return f"{str(each).strip():.160} [{' < '.join(line)}]"
