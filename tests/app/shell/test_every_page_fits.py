"""Every page at every text size in windows of every size: what is written can be read."""

from __future__ import annotations

import dataclasses
import itertools
import random
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from PySide6.QtCore import QRect, QSize, Qt
from PySide6.QtWidgets import (
    QAbstractButton,
    QAbstractScrollArea,
    QApplication,
    QComboBox,
    QDialog,
    QLabel,
    QLayout,
    QLineEdit,
    QProgressBar,
    QPushButton,
    QScrollArea,
    QStyle,
    QStyleOptionComboBox,
    QTabBar,
    QWidget,
)
from pytestqt.qtbot import QtBot

from terrarium.app.chat.archive.message_tree import Message
from terrarium.app.chat.chat_tab import ChatTab
from terrarium.app.chat.side import SETTINGS
from terrarium.app.data.data_tab import DataTab
from terrarium.app.download.models_page import DISK, HUB, LISTED, ModelsPage
from terrarium.app.kit.basics import plain_tip
from terrarium.app.kit.labels import ElidedCombo, ElidedLabel
from terrarium.app.kit.layout.rail import Rail
from terrarium.app.kit.layout.section import Section
from terrarium.app.kit.layout.views import Views
from terrarium.app.kit.text.growing_field import GrowingField
from terrarium.app.kit.theme import ThemeProvider
from terrarium.app.plots.chart_base import ChartBase
from terrarium.app.run_views.curves.curves_view import CurvesView
from terrarium.app.session.remembered import EVERYTHING, SIMPLE
from terrarium.app.session.session import Session
from terrarium.app.shell.main_window import MainWindow
from terrarium.app.worker.latest_job import LatestJob
from terrarium.models.library.library import Library
from terrarium.models.settings.run_spec import RunSpec
from tests.app.charts import assert_abilities, charts_in, has_data
from tests.models.tasks.small_tasks import make_row

Until = Callable[[Callable[[], bool]], None]
Pages = Iterator[tuple[str, QWidget]]
Sizes = tuple[tuple[int, int], ...]

SIZES: dict[float, Sizes] = {1.0: ((1280, 720), (1440, 900)), 1.5: ((960, 600),), 2.0: ((1280, 720),)}
"""Text scale → sizes of the window in pixels: the usual ones, and the least room for large text. What fits into that
fits with smaller text."""
_TOLERANCE = 2
"""Pixels: a style rounds, and a frame may lie on its neighbour's edge."""
_PADDING = 16
"""Pixels beside a button's words that it can do without."""
_FRAME = 4
"""Pixels: the frame of a field, above and below its words."""
_LEAVES = QLabel | ElidedLabel | QAbstractButton | QComboBox | QLineEdit | QProgressBar


@pytest.fixture
def window(
    session: Session, theme: ThemeProvider, tiny_spec: RunSpec, qtbot: QtBot, until: Until
) -> Iterator[MainWindow]:
    """The window with two runs, of which one is open in the chat and has replied."""
    window = MainWindow(session, theme)
    qtbot.addWidget(window)
    window.show()
    spec = dataclasses.replace(tiny_spec, model=dataclasses.replace(tiny_spec.model, context_length=64))
    for name in ("A first run with a long name", "second"):
        session.training.start(dataclasses.replace(spec, name=name))
        until(lambda: not session.training.active)
    chat = window.pages.page("chat")
    assert isinstance(chat, ChatTab)
    session.chat.open(session.runs.list()[0].id)
    until(lambda: session.chat.state == "ready")
    chat.sampling.sliders["max_tokens"].set_value(16)
    chat.conversation.say(Message(content="The cat sat"))
    until(lambda: session.chat.state == "ready")
    yield window
    window.quit()


def test_everything_can_be_read(window: MainWindow, until: Until, text_file: Path) -> None:
    assert_readable(lambda: every_page(window, until, text_file), window)


def test_every_chart_is_read_zoomed_and_exported(
    window: MainWindow, until: Until, text_file: Path, tmp_path: Path
) -> None:
    seen: set[type[ChartBase]] = set()
    window.session.detail.choose(EVERYTHING)
    for _, shown in every_page(window, until, text_file):
        settle()
        for chart in charts_in(shown):
            assert_abilities(chart, tmp_path)
            seen.add(type(chart))
    assert {each.__name__ for each in seen} >= {"LossChart", "SmallChart", "StackedBar", "PlotView", "HeatMap"}


@pytest.mark.parametrize("level", [SIMPLE, EVERYTHING])
def test_every_page_fits_beside_the_guide(window: MainWindow, until: Until, text_file: Path, level: str) -> None:
    window.session.detail.choose(level)
    window.guide.show()
    window.resize(1280, 720)
    found = []
    for name, shown in every_page(window, until, text_file):
        found += [f"{name}: {each}" for each in lasting_complaints(shown, scrolled_sideways)]
        assert (window.width(), window.height()) == (1280, 720), f"{name} has pushed the window's edge out"
        assert window.guide.is_shown
        if shown is window:
            window.toasts.notice(
                "Another Terrarium is training, and says so in a sentence that takes more than a line."
            )
            found += [f"{name}: a message covers {each}" for each in covered(window)]
    assert not found, "\n".join(found)


@pytest.fixture
def task_window(learned_library: Library, theme: ThemeProvider, qtbot: QtBot, until: Until) -> Iterator[MainWindow]:
    """The window with runs that learned tasks, of which two on the same data are evaluated."""
    session = Session(learned_library)
    session.start(warm_up=False)
    window = MainWindow(session, theme)
    qtbot.addWidget(window)
    window.show()
    yield window
    window.quit()
    session.close()


@pytest.mark.slow
def test_pages_for_tasks_can_be_read(task_window: MainWindow, until: Until) -> None:
    window = task_window
    assert_readable(lambda: itertools.chain(score_pages(window, until), task_pages(window, until)), window)


def assert_readable(pages: Callable[[], Pages], window: MainWindow) -> None:
    """Nothing is cut or covered on any page, at each text scale in the sizes of the window that go with it.

    The next page is shown in the last size of the one before, so there are pages that are made in either. A page is
    painted in the first, and only laid out anew in the second, as what is drawn does not move anything.
    """
    found = []
    for scale, sizes in SIZES.items():
        window.theme.set_text_scale(scale)
        window.resize(*sizes[0])
        window.activateWindow()
        for name, shown in pages():
            for size in sizes:
                shown.setUpdatesEnabled(size == sizes[0])
                window.resize(*size)
                found += [f"{name} at {scale:.0%}, {size[0]}x{size[1]}: {each}" for each in lasting_complaints(shown)]
            shown.setUpdatesEnabled(True)
            sizes = sizes[::-1]
            assert QApplication.activeWindow() is shown, f"a part of {name} was shown as a window of its own"
    assert not found, "\n".join(found)


# -- Every page --------------------------------------------------------------------------------------------------------


def every_page(window: MainWindow, until: Until, text_file: Path) -> Pages:
    """Show one page after the other; yields its name and the window that it is in."""
    window.show_home()
    window.home.offer_files(())
    yield "home", window
    window.home.offer_files((str(text_file),))
    yield "home with a file", window
    window.show_models()
    models = window.pages.page("models")
    assert isinstance(models, ModelsPage)
    for source in (HUB, DISK, LISTED):
        models.list.show_source(source)
        until(lambda: not models.busy)
        yield f"models, {source}", window
    window.pages.show_page("quickstart")
    yield "quickstart", window
    for tab in ("tokenizer", "builder"):
        window.show_tab(tab)
        yield from views_of(tab, window.pages.page(tab).views, window, until)  # type: ignore[attr-defined]
    yield from data_pages(window, until, text_file)
    yield from training_pages(window, until)
    yield from chat_pages(window, until)


def views_of(name: str, views: Views, window: MainWindow, until: Until) -> Pages:
    """Show each view."""
    for index, view in enumerate(views.names):
        if views.bar.isTabVisible(index):
            views.show_view(view)
            until(lambda view=view: not getattr(views.view(view), "busy", False))  # type: ignore[misc]
            yield f"{name}, {view}", window
    views.show_view(views.names[0])


def data_pages(window: MainWindow, until: Until, text_file: Path) -> Pages:
    """Show an import from its beginning, a dataset, and the hub."""
    window.show_tab("data")
    data = window.pages.page("data")
    assert isinstance(data, DataTab)
    data.views.show_view("import")
    yield "data, no source", window
    table = text_file.with_name("letters.csv")
    rows = (
        f"{i},Letter {i} says {i * i} things that are <b>not</b> so,{'spam' if i % 3 else 'ham'}" for i in range(30)
    )
    table.write_text("\n".join(("number,text,label", *rows, "30,Letter 1 says 1 things,")), "utf-8")
    data.draft.open([str(table)])
    until(lambda: data.draft.can_import and not data.busy)
    yield "data, import", window
    data.draft.start_import()
    until(lambda: data.list.count() > 0 and data.views.current == "dataset")
    for info in window.session.datasets.list():
        window.session.datasets.choose(info.corpus.sha)
    yield from views_of("data", data.views, window, until)


def training_pages(window: MainWindow, until: Until) -> Pages:
    """Show a run, its dialogs, a comparison, and the form of a new run."""
    window.show_tab("training")
    training, runs = window.training, [run.id for run in window.session.runs.list()]
    training.show_run(runs[0])
    curves = training.run_view.views.view("curves")
    assert isinstance(curves, CurvesView)
    until(lambda: has_data(curves.loss))  # the run is read from its folder meanwhile
    yield from views_of("run", training.run_view.views, window, until)
    for name, ask in (
        ("fork", training.run_view.ask_for_fork),
        ("sweep", training.run_view.ask_for_sweep),
        ("settings", training.run_view.show_settings),
    ):
        ask()
        dialogs = [each for each in QApplication.topLevelWidgets() if isinstance(each, QDialog) and each.isVisible()]
        for dialog in dialogs:
            yield f"dialog, {name}", dialog
            dialog.close()
        window.activateWindow()
        settle()
    training.comparison.show_runs(tuple(runs))
    training.pages.setCurrentWidget(training.comparison)
    yield "runs compared", window
    training.show_recipes()
    yield "recipes", window
    training.show_new_run()
    yield from views_of("new run", training.new_run.views, window, until)
    choices = training.new_run.choices
    choices.start.start_from(runs[0])
    choices.start.form.apply({"mode": "lora"})
    datasets = window.session.datasets.list()
    choices.data.set_dataset(datasets[0].corpus.sha)
    yield "new run from a model, on a dataset", window
    choices.start.start_from("")


def chat_pages(window: MainWindow, until: Until) -> Pages:
    """Show the conversation with the side folded and open, each panel of the glass box, and the other modes."""
    window.show_tab("chat")
    chat = window.pages.page("chat")
    assert isinstance(chat, ChatTab)
    for folded in (True, False):
        if chat.side.is_folded != folded:
            chat.side.fold.click()
        yield f"chat, side {'folded' if folded else 'open'}", window
    for panel in chat.side.names:
        chat.side.show_view(panel)
        if (text := chat.focus.text) is not None:
            chat.focus.lock(len(text.ids) // 2)
        until(lambda: not any(work.busy for work in chat.findChildren(LatestJob)))
        yield f"chat, {panel}", window
    chat.side.show_view(SETTINGS)
    for section in chat.side.view(SETTINGS).findChildren(Section):
        section.set_folded(False)
    yield "chat, settings unfolded", window
    yield from views_of("chat", chat.modes, window, until)


def score_pages(window: MainWindow, until: Until) -> Pages:
    """Show the scores of runs on labels, entities, answers and text, each part; two of them are compared."""
    window.show_tab("training")
    views = window.training.run_view.views
    for run in window.session.runs.list():
        window.training.show_run(run.id)
        views.show_view("scores")
        page = views.view("scores")
        until(lambda page=page: not page.busy)  # type: ignore[misc]
        if page.found is None:
            yield f"scores, {run.name}, not evaluated", window
            page.evaluate.click()
            yield f"scores, {run.name}, being evaluated", window
            until(lambda page=page: not page.busy)  # type: ignore[misc]
        for part in page.parts.names:
            page.parts.show_view(part)
            yield f"scores, {run.name}, {part}", window
        page.parts.show_view("summary")


def task_pages(window: MainWindow, until: Until) -> Pages:
    """Show the page of the chat tab that each model has, with a row of its data."""
    window.show_tab("chat")
    chat, session = window.pages.page("chat"), window.session
    assert isinstance(chat, ChatTab)
    for run in session.runs.list():
        task = run.name.split()[0]
        assert session.examples.ask(run.id, run.step, make_row(task, random.Random(0)))
        until(lambda run=run: session.chat.state == "ready" and session.chat.model.run_id == run.id)  # type: ignore
        page = chat.modes.pages.page(chat.modes.current)
        until(lambda page=page: not getattr(page, "busy", False))  # type: ignore[misc]
        yield f"chat, {run.name}", window


def settle() -> None:
    """Let layouts and drawing be done."""
    for _ in range(6):
        QApplication.processEvents()


# -- What is wrong with one --------------------------------------------------------------------------------------------


def lasting_complaints(shown: QWidget, others: Callable[[QWidget], list[str]] = lambda shown: []) -> list[str]:
    """Complaints that stay when all layouts have settled; and `others` of the window."""
    found: list[str] = []
    for _ in range(5):
        settle()
        if not (found := complaints(shown) + others(shown)):
            break
    return found


def covered(window: MainWindow) -> list[str]:
    """The composers and main buttons of a page that a message lies over."""
    page, toasts = window.pages.currentWidget(), window.toasts
    buttons = [each for each in page.findChildren(QPushButton) if each.property("role") in ("primary", "hero")]
    found = []
    for widget in (*page.findChildren(GrowingField), *buttons):
        seen = widget.visibleRegion().boundingRect()
        place = QRect(widget.mapTo(window.pages, seen.topLeft()), seen.size())
        if not seen.isEmpty() and toasts.geometry().intersects(place):
            found.append(_name(widget))
    return found


def scrolled_sideways(shown: QWidget) -> list[str]:
    """The pages and panels of a window that one has to scroll sideways. Tables, editors and drawings may be wide."""
    areas = [area for area in shown.findChildren(QScrollArea) if _counts(area, shown)]
    return [
        f"{_name(area)} with {type(area.widget()).__name__} scrolls sideways by {area.horizontalScrollBar().maximum()}"
        for area in areas
        if area.horizontalScrollBar().maximum() > _TOLERANCE
    ]


def complaints(shown: QWidget) -> list[str]:
    """What in a window cannot be read, or looks wrong, a sentence each."""
    widgets = list(_visible(shown, shown))
    found: list[str] = []
    within: dict[QWidget, bool] = {}
    for widget in widgets:
        if isinstance(widget, _LEAVES) and (words := _cut(widget) or _outside(widget, within)):
            found.append(f"{_name(widget)} {words}")
        elif isinstance(widget, QTabBar) and (words := _cut_tabs(widget)):
            found.append(f"the tabs of {_name(widget)} {words}")
        elif isinstance(widget, QScrollArea):
            bar = widget.horizontalScrollBar()
            if bar.maximum() > _TOLERANCE and not bar.isVisible():
                found.append(f"{_name(widget)} is {bar.maximum()} pixels narrower than what is in it")
            if widget.focusPolicy() & Qt.FocusPolicy.ClickFocus & ~Qt.FocusPolicy.TabFocus:
                found.append(f"{_name(widget)} is framed by a click between its widgets")
    for parent in [shown, *widgets]:
        beside = [each for each in _laid_out(parent) if _counts(each, shown)]
        for one, other in itertools.combinations(beside, 2):
            common = one.geometry() & other.geometry()
            if min(common.width(), common.height()) > _TOLERANCE:
                found.append(f"{_name(one)} lies over {_name(other)}")
    return found


def _laid_out(parent: QWidget) -> list[QWidget]:
    """The widgets of the layout of a widget, and of those within it.

    They are not asked for as items: PySide keeps what it has made of an item for as long as the layout lives, and would
    take what is made later at the address of a deleted one for that item.
    """
    layout = parent.layout()
    if layout is None:
        return []
    layouts = [layout, *layout.findChildren(QLayout)]
    children = parent.findChildren(QWidget, options=Qt.FindChildOption.FindDirectChildrenOnly)
    return [child for child in children if any(each.indexOf(child) >= 0 for each in layouts)]


def _visible(widget: QWidget, shown: QWidget) -> Iterator[QWidget]:
    """The widgets within that can be seen; what is hidden, most of the window, is not looked into."""
    for child in widget.findChildren(QWidget, options=Qt.FindChildOption.FindDirectChildrenOnly):
        if _counts(child, shown):
            yield child
            yield from _visible(child, shown)


def _counts(widget: QWidget, shown: QWidget) -> bool:
    return widget.isVisible() and QWidget.window(widget) is shown  # some widgets override window()


def _outside(leaf: QWidget, within: dict[QWidget, bool]) -> str:
    """Why a widget is not wholly within what it stands in; '' where it is, or where one can scroll to it."""
    if _is_within(leaf, within):
        return ""
    place, widget = leaf.rect(), leaf
    while (parent := widget.parentWidget()) is not None and not widget.isWindow():
        place = QRect(widget.mapTo(parent, place.topLeft()), place.size())
        area = parent.parentWidget()
        if isinstance(area, QAbstractScrollArea) and parent is area.viewport():
            if not isinstance(area, QScrollArea):
                return ""  # an editor of a list or table, which scrolls to it
            place, widget = area.rect(), area
            continue
        if not parent.rect().adjusted(-_TOLERANCE, -_TOLERANCE, _TOLERANCE, _TOLERANCE).contains(place):
            seen = parent.rect() & place
            words = f"{seen.width()} x {seen.height()} of {place.width()} x {place.height()}"
            return f"is cut to {words} by {_name(parent)}"
        widget = parent
    return ""


def _is_within(widget: QWidget, known: dict[QWidget, bool]) -> bool:
    """Whether a widget is within its parent, that within its own, and so on, to the pixel; `known` are found before."""
    if widget not in known:
        parent = widget.parentWidget()
        if parent is None or widget.isWindow():
            known[widget] = True
        elif isinstance(area := parent.parentWidget(), QAbstractScrollArea) and parent is area.viewport():
            known[widget] = not isinstance(area, QScrollArea) or _is_within(area, known)
        else:
            known[widget] = parent.rect().contains(widget.geometry()) and _is_within(parent, known)
    return known[widget]


def _cut(leaf: QWidget) -> str:
    """Why its words cannot be read whole; '' where they can, or where it ends them with … and a tooltip has them."""
    if isinstance(leaf, ElidedLabel):
        needed = leaf.fontMetrics().horizontalAdvance(leaf.text())
        return (
            "is cut without a tooltip" if needed > leaf.width() and plain_tip(leaf.text()) not in leaf.toolTip() else ""
        )
    if isinstance(leaf, QLabel):
        return _cut_label(leaf)
    if isinstance(leaf, QComboBox | QLineEdit) and leaf.height() < leaf.fontMetrics().height() + _FRAME:
        return f"is too low: {leaf.height()} pixels"
    if isinstance(leaf, QComboBox) and not isinstance(leaf, ElidedCombo):
        option = QStyleOptionComboBox()
        leaf.initStyleOption(option)
        field = QStyle.SubControl.SC_ComboBoxEditField
        room = leaf.style().subControlRect(QStyle.ComplexControl.CC_ComboBox, option, field, leaf)
        metrics = leaf.fontMetrics()
        needed = metrics.boundingRect(leaf.currentText()).width() + 2  # as Qt measures it for the size hint
        return "is cut" if needed > room.width() or metrics.height() > room.height() else ""
    if isinstance(leaf, QLineEdit):
        words = leaf.text() or leaf.placeholderText()
        fits = leaf.fontMetrics().horizontalAdvance(words) <= leaf.contentsRect().width() - 4
        return "" if fits or leaf.toolTip() else f"is cut ({words!r})"
    if isinstance(leaf, QAbstractButton) and (leaf.text() or not leaf.icon().isNull()):
        height = leaf.fontMetrics().size(0, leaf.text()).height()
        least = QSize(leaf.sizeHint().width() - _PADDING, height) if leaf.text() else leaf.iconSize()
        if leaf.width() < least.width() or leaf.height() < least.height():
            return f"has {leaf.width()} x {leaf.height()} of {least.width()} x {least.height()} pixels"
    return ""


def _cut_label(leaf: QLabel) -> str:
    if not leaf.text():
        return ""
    needed = leaf.heightForWidth(leaf.width()) if leaf.wordWrap() else leaf.fontMetrics().height()
    if leaf.height() + _TOLERANCE < needed:
        return f"is {leaf.height()} pixels high and needs {needed}"
    needed = 0 if leaf.wordWrap() else leaf.sizeHint().width()
    return f"is {leaf.width()} pixels wide and needs {needed}" if leaf.width() + _TOLERANCE < needed else ""


def _cut_tabs(bar: QTabBar) -> str:
    taken = QRect()
    for index in range(bar.count()):
        if bar.isTabVisible(index):
            taken = taken.united(bar.tabRect(index))
            needed, have = bar.fontMetrics().horizontalAdvance(bar.tabText(index)), bar.tabRect(index).width()
            if needed > have and not isinstance(bar, Rail):
                return f"are cut: {bar.tabText(index)!r} has {have} of {needed} pixels"
    if bar.rect().adjusted(0, 0, _TOLERANCE, _TOLERANCE).contains(taken):
        return ""
    return f"take {taken.width()} x {taken.height()} of {bar.width()} x {bar.height()} pixels"


def _name(widget: QWidget) -> str:
    words = widget.text() if isinstance(widget, QLabel | ElidedLabel | QAbstractButton | QLineEdit) else ""
    return f"{type(widget).__name__} {words or widget.accessibleName() or widget.toolTip()!r:.60}"
