"""Takes the window through the whole loop and saves a picture of each screen, light and dark, in two sizes."""

from __future__ import annotations

import csv
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

from terrarium.app.commands.progress import ProgressLine
from tools.screenshots.contents import add_pairs, moods
from tools.screenshots.custom_blocks import shoot_custom_blocks
from tools.screenshots.spoken import written

if TYPE_CHECKING:
    from PySide6.QtCore import QObject
    from PySide6.QtGui import QImage
    from PySide6.QtWidgets import QWidget

    from terrarium.app.chat.chat_tab import ChatTab
    from terrarium.app.kit.layout.views import Views
    from terrarium.app.shell.main_window import MainWindow
    from terrarium.app.worker.background import LatestTask
    from terrarium.app.worker.latest_job import LatestJob
    from terrarium.models.events import Event

MODES = ("light", "dark")
SIZES = ((1440, 900), (1280, 720))

SETTLE_S, _MAX_LOOKS = 0.2, 4
"""Between two looks at a screen, and how many there are at most: the pictures of one that moves are never alike."""
_PATIENCE_S = 10.0
"""The timeout for work that a screen waits for: while a model trains, that may be until its end."""
_SOON_MS = 2000
"""A timer that comes once, within that, is for something that is still to be drawn; notices stay longer."""
_REPLIES = 3
_REWARDED_STEPS, _ROOM = 9, 120
"""Steps of a run that learns from rewards, and the tokens that its prompts and replies need."""
_PROMPT = "Once upon a time"
_TABLE = "moods"
"""The dataset that is imported, shown and deleted."""
_N_JUDGED = 8
"""Pairs that are judged on the page “Judge replies”."""
TASKS_SHOWN = ("mood", "names", "qa", "code")
"""Tasks of Tiny World, one for each kind of page in the chat tab: labels, entities, answers and functions."""


def _is_idle(view: QWidget) -> bool:
    """Whether a view has finished its background work."""
    return not getattr(view, "busy", False)


def _fill(name: str, view: Any) -> None:
    """Press the button without which a view shows nothing yet."""
    if name == "vocabulary":
        view.counter.start.click()
    elif name == "decode":
        view.take.click()


def _begin(mode: str, page: Any) -> None:
    """Start something in a mode of the chat tab."""
    if mode == "notebook":
        page.editor.setPlainText(_PROMPT)
        page.continue_button.click()
    elif mode == "compare" and len({column.candidate for column in page.columns}) > 1:
        page.prompt.setPlainText(_PROMPT)
        page.compare()
    elif mode == "pairs":
        page.source.choose("open")
        page.source.changed.emit("open")


def _has_answers(tab: ChatTab) -> bool:
    """Whether nothing in the tab waits for the worker, or for a task in the background."""
    return not any(work.busy for work in _work_of(tab))


def _work_of(widget: QWidget) -> Sequence[LatestJob | LatestTask]:
    """What is computed for a widget, or was."""
    from terrarium.app.worker.background import LatestTask
    from terrarium.app.worker.latest_job import LatestJob

    return [*widget.findChildren(LatestJob), *widget.findChildren(LatestTask)]


def is_at_rest(widget: QWidget) -> bool:
    """Whether no computation or repaint is pending for the visible parts of a widget."""
    return not any(map(_is_pending, _seen(widget)))


def _is_pending(part: QObject) -> bool:
    from PySide6.QtCore import QTimer

    from terrarium.app.worker.background import LatestTask
    from terrarium.app.worker.latest_job import LatestJob

    if isinstance(part, QTimer):
        return part.isActive() and part.isSingleShot() and part.interval() <= _SOON_MS
    return isinstance(part, LatestJob | LatestTask) and part.busy


def _seen(widget: QWidget) -> Iterator[QObject]:
    """What belongs to the visible parts of a widget. Most of a window is hidden, and not looked through."""
    from PySide6.QtCore import QObject, Qt
    from PySide6.QtWidgets import QWidget

    for child in widget.findChildren(QObject, options=Qt.FindChildOption.FindDirectChildrenOnly):
        if not isinstance(child, QWidget):
            yield from (child, *child.findChildren(QObject))
        elif child.isVisible():
            yield from _seen(child)


class Photographer:
    """Takes the window through the whole loop, with screenshots on the way."""

    def __init__(self, window: MainWindow, folder: Path, line: ProgressLine, *, names: bool = False) -> None:
        """names: write what a screen reader is told beside each picture, as NAME.txt."""
        self._window, self._session = window, window.session
        self._names = names
        self._folder, self._line = folder, line
        self._failure = ""
        self._order = MODES[::-1]
        self.pictures: list[Path] = []
        self._session.notices.failed.connect(self._on_failed)
        self._session.training.events_received.connect(self._on_training_events)

    def shoot_all(self, minutes: float | None, task_minutes: float) -> None:
        """Shoot every screen, after a quick start of this many minutes, or with the existing run.

        task_minutes: how long to learn each task; 0 leaves their pages out.

        Raises:
            ValueError: if training or a reply fails.
        """
        from terrarium.app.training.training_tab import TrainingTab

        self._wait_for(lambda: bool(self._session.device.label))
        if minutes is not None:
            self._quick_start(minutes)
        (run,) = self._session.runs.list()
        training = self._window.pages.page("training")
        assert isinstance(training, TrainingTab)
        training.show_run(run.id)
        self._window.show_models()
        self._shoot("models")
        self._shoot_views("tokenizer")
        self._data()
        self._shoot_views("builder")
        shoot_custom_blocks(self._window, self._shoot, self._wait_for)
        self._shoot_views("training")
        training.show_new_run()
        self._shoot("training-new")
        if task_minutes:
            self._rewards(run.id)
        training.show_recipes()
        self._wait_for(lambda: not training.recipes.busy)
        self._shoot("training-recipes")
        self._chat(run.id)
        self._guide()
        for name in TASKS_SHOWN if task_minutes else ():
            self._task(name, task_minutes)
        self._dialogs()

    def _shoot_views(self, tab_name: str) -> None:
        """Shoot a tab in each of its views; the first is named after the tab."""
        self._window.show_tab(tab_name)
        page: Any = self._window.pages.page(tab_name)
        views: Views = page.run_view.views if tab_name == "training" else page.views
        for index, view in enumerate(views.names):
            if not views.bar.isTabVisible(index):
                continue
            views.show_view(view)
            is_idle = partial(_is_idle, views.view(view))
            self._wait_for(is_idle)
            _fill(view, views.view(view))
            self._wait_for(is_idle)
            self._shoot(tab_name if view == views.names[0] else f"{tab_name}-{view}")
        views.show_view(views.names[0])

    def _rewards(self, run_id: str) -> None:
        """Set up a run that learns from rewards, start it, and shoot its figures and replies; where the model has room
        for a prompt and its reply."""
        session, form = self._session, self._window.training.new_run
        parent = session.runs.spec(run_id)
        if parent is None or parent.model.context_length < _ROOM or parent.model.topology != "decoder-only":
            return
        choices = form.choices
        choices.start.start_from(run_id)
        choices.align.choice.setCurrentIndex(choices.align.choice.findData("grpo"))
        choices.form.apply({"steps": _REWARDED_STEPS, "eval_interval": _REWARDED_STEPS // 3})
        choices.start.form.apply({"measure_forgetting": False})
        choices.ensureWidgetVisible(choices.wish.base)
        self._wait_for(form.review.start.isEnabled)
        self._shoot("training-new-rewards")
        before = {info.id for info in session.runs.list()}
        form.review.start.click()
        self._wait_for(lambda: session.training.active or bool(self._failure))
        self._wait_for(lambda: not session.training.active)
        if self._failure:
            raise ValueError(self._failure)
        (rewarded,) = {info.id for info in session.runs.list()} - before
        self._window.training.show_run(rewarded)
        views = self._window.training.run_view.views
        for view in ("rewards", "replies"):
            views.show_view(view)
            self._wait_for(partial(_is_idle, views.view(view)))
            self._shoot(f"training-{view}")
        views.show_view("rewards")
        views.view("rewards").against.buttons.button(1).click()
        self._shoot("training-rewards-kl")
        views.show_view("machine")
        machine = views.view("machine")
        machine.shows.buttons.button(1).click()
        machine.kl.measure.click()
        self._wait_for(lambda: not machine.kl.busy)
        self._shoot("training-machine-kl")
        machine.shows.buttons.button(0).click()
        self._window.training.show_run(run_id)

    def _data(self) -> None:
        """Shoot the import of a table, the dataset that it becomes, and the hub's page."""
        from terrarium.app.data.data_tab import DataTab

        self._window.show_tab("data")
        tab = self._window.pages.page("data")
        assert isinstance(tab, DataTab)
        table = self._session.library.home / f"{_TABLE}.csv"
        with table.open("w", encoding="utf-8", newline="") as file:
            csv.writer(file).writerows([("story", "mood"), *moods()])
        tab.views.show_view("import")
        self._shoot("data-start")
        tab.draft.open([str(table)])
        self._wait_for(lambda: tab.draft.can_import and not tab.busy)
        self._shoot("data")
        tab.draft.start_import()
        self._wait_for(lambda: bool(self._session.datasets.list()) and tab.views.current == "dataset")
        self._wait_for(lambda: not tab.views.view("dataset").busy)
        self._shoot("data-dataset")
        add_pairs(self._session.library)
        datasets = self._session.datasets
        datasets.refresh()
        self._wait_for(lambda: len(datasets.list()) > 1)
        datasets.choose(next(info.corpus.sha for info in datasets.list() if info.name != _TABLE))
        self._wait_for(lambda: not tab.views.view("dataset").busy)
        self._shoot("data-pairs")
        tab.views.show_view("hub")
        self._shoot("data-hub")

    def _quick_start(self, minutes: float) -> None:
        window, session = self._window, self._session
        window.show_home()
        self._shoot("home")
        if not session.training.start_quickstart(minutes):
            raise ValueError(self._failure)
        window.show_quickstart()
        self._wait_for(lambda: bool(session.training.state is None or session.training.state.words))
        self._shoot("quickstart-preparing")
        self._wait_for(self._half_trained)
        self._shoot("quickstart")
        self._wait_for(lambda: not session.training.active)
        if session.training.state is None or session.training.state.status != "finished":
            raise ValueError(self._failure or "The quick start ended early.")
        self._shoot("result")
        window.guide.add_to(window.home)  # as it is there after a launch
        window.show_home()
        self._wait_for(lambda: not window.home.busy)
        self._shoot("home-grown")

    def _half_trained(self) -> bool:
        state = self._session.training.state
        return not self._session.training.active or (state is not None and 0 < state.total_steps <= 2 * state.step)

    def _chat(self, run_id: str) -> None:
        from terrarium.app.chat.archive.message_tree import Message
        from terrarium.app.chat.chat_tab import ChatTab
        from terrarium.app.chat.conversation.starters import starter_kinds

        window, session = self._window, self._session
        tab = window.pages.page("chat")
        assert isinstance(tab, ChatTab)
        window.show_tab("chat")
        if not session.chat.open(run_id):
            raise ValueError(self._failure)
        self._wait_for(lambda: session.chat.state == "ready")
        for kind in starter_kinds(session.chat.model)[:_REPLIES] or ("",):
            if kind:
                tab.page.starters.picked.emit(kind)
            else:
                tab.conversation.say(Message(content=_PROMPT))
            self._wait_for(lambda: session.chat.state == "ready")
        self._shoot("chat")
        self._glass_box(tab)
        self._modes(tab)

    def _glass_box(self, tab: ChatTab) -> None:
        """Shoot the settings, and each panel of the glass box on the token that it opens on."""
        first = tab.side.current
        for view in tab.side.names:
            tab.side.show_view(view)
            self._wait_for(lambda: _has_answers(tab))
            self._shoot(f"chat-{view}")
            if view == "pass":
                panel: Any = tab.side.view(view)
                panel.open_wide()
                self._shoot(f"chat-{view}-wide", panel.wide)
                panel.wide.close()
        tab.side.show_view(first)

    def _modes(self, tab: ChatTab) -> None:
        """Shoot the other modes of the chat tab."""
        modes = tab.modes
        for index, name in enumerate(modes.names[1:], start=1):
            if modes.bar.isTabVisible(index):
                modes.show_view(name)
                _begin(name, modes.view(name))
                if name == "prefer":
                    self._judge(modes.view(name))
                self._wait_for(lambda: _has_answers(tab) and self._session.chat.state == "ready")
                self._shoot(f"chat-{name}")
        modes.show_view(modes.names[0])

    def _judge(self, page: Any) -> None:
        """Judge some pairs of the page “Judge replies”, and mark the words in which the next ones differ."""
        page.start()
        for i in range(_N_JUDGED):
            self._wait_for(lambda: page.pair_view.pair is not None or not page.busy)
            page.pair_view.choose(("left", "right", "tie")[i % 3])
        self._wait_for(lambda: page.pair_view.pair is not None or not page.busy)
        page.pair_view.differences.click()

    def _task(self, name: str, minutes: float) -> None:
        """Learn a task of Tiny World; shoot its scores, and the page of the chat tab with a row that it answers."""
        from terrarium.app.chat.chat_tab import ChatTab
        from terrarium.app.run_views.scores.scores_view import ScoreParts, ScoresView
        from terrarium.models.recipes.job import RunJob
        from terrarium.models.recipes.tasks.running import TaskRun
        from terrarium.models.recipes.tasks.tasks_table import TASK_RECIPES

        window, session = self._window, self._session
        job = RunJob(session.library, TaskRun(TASK_RECIPES[name], minutes=minutes), device=session.device.name)
        self._run_job("Learn a task", job.events)
        assert job.run is not None
        run_id = job.run.id
        session.runs.changed.emit()
        window.show_tab("training")
        window.training.show_run(run_id)
        views = window.training.run_view.views
        views.show_view("scores")
        scores, chat = views.view("scores"), window.pages.page("chat")
        assert isinstance(scores, ScoresView)
        assert isinstance(chat, ChatTab)
        self._wait_for(lambda: scores.found is not None and not scores.busy)
        parts: ScoreParts = scores.parts
        for part in ("summary", "predictions"):
            parts.show_view(part)
            self._wait_for(lambda: not scores.busy)
            self._shoot(f"training-scores-{name}" if part == "summary" else f"training-scores-{name}-{part}")
        parts.show_view("summary")
        found = scores.found
        assert found is not None
        window.show_tab("chat")
        if not session.examples.ask(run_id, session.runs.checkpoint_steps(run_id)[0], found.rows[0].row):
            raise ValueError(self._failure)
        self._wait_for(lambda: session.chat.model is not None and session.chat.model.run_id == run_id)
        self._wait_for(lambda: session.chat.state == "ready" and _has_answers(chat))
        self._shoot(f"chat-{name}")

    def _run_job(self, name: str, events: Callable[[], Iterator[Event]]) -> None:
        """Carry out a long job on the worker."""
        from terrarium.app.worker.job import BACKGROUND, Job
        from terrarium.app.worker.latest_job import LatestJob

        job = LatestJob(self._session.worker, self._window)
        job.events_received.connect(lambda _, events: self._on_training_events(events))
        job.failed.connect(self._session.notices.fail)
        job.submit(Job(name, events, BACKGROUND))
        self._wait_for(lambda: not job.busy)
        job.deleteLater()

    def _guide(self) -> None:
        """Shoot the guide's chapters, each at its first and its last step, set up; and the glossary and the palette."""
        window, session = self._window, self._session
        desk = window.guide
        desk.show()
        self._shoot("guide", sizes=SIZES[-1:])
        for chapter in desk.guide.chapters:
            for index, which in ((0, "first"), (len(chapter.steps) - 1, "last")):
                desk.guide.open(chapter.name, index)
                desk.guide.set_up()
                self._wait_for(lambda: session.chat.state in ("none", "ready"))
                self._shoot(f"guide-{chapter.number:02}-{which}", sizes=SIZES[-1:])
        desk.guide.close()
        desk.close()
        window.help.show_term("Attention")
        self._shoot("help", sizes=SIZES[-1:])
        window.help.close()
        palette = window.show_palette()
        self._shoot("palette", sizes=SIZES[-1:])
        palette.dismiss()

    def _dialogs(self) -> None:
        """Shoot the preferences, the extensions, and the trash with a dataset in it."""
        from terrarium.app.shell.extensions_window import ExtensionsWindow
        from terrarium.app.shell.preferences_window import PreferencesWindow

        window, datasets = self._window, self._session.datasets
        window.show_preferences()
        (preferences,) = window.findChildren(PreferencesWindow)
        self._shoot("preferences", preferences)
        preferences.close()
        extensions = ExtensionsWindow(self._session, window.theme, window)
        extensions.show()
        self._shoot("extensions", extensions)
        extensions.close()
        datasets.delete(next(info.corpus.sha for info in datasets.list() if info.name == _TABLE))
        window.show_trash()
        self._shoot("trash", window.trash)
        window.trash.close()

    def _shoot(self, name: str, dialog: QWidget | None = None, sizes: Sequence[tuple[int, int]] | None = None) -> None:
        """Save the window in all modes and these sizes (None for all), or a dialog of it in all modes."""
        self._order = self._order[::-1]  # the current mode first: changing it restyles everything
        for mode in self._order:
            self._window.theme.set_mode(mode)
            for width, height in (sizes or SIZES) if dialog is None else ((0, 0),):
                if dialog is None:
                    self._window.resize(width, height)
                size = "" if dialog is not None else f"-{width}x{height}"
                path = self._folder / f"{name}-{mode}{size}.png"
                if not self._picture_of(dialog or self._window).save(str(path)):
                    raise OSError(f"{path} could not be written.")
                self.pictures.append(path)
                if self._names:
                    path.with_suffix(".txt").write_text(written(dialog or self._window), "utf-8")

    def _picture_of(self, widget: QWidget) -> QImage:
        """A widget as it looks when all is drawn: twice the same."""
        picture = self._look_at(widget)
        for _ in range(_MAX_LOOKS - 1):
            before, picture = picture, self._look_at(widget)
            if picture == before:
                break
        return picture

    def _look_at(self, widget: QWidget) -> QImage:
        """A picture of a widget for which nothing is computed, or about to be redrawn."""
        self._wait_for(_seconds_from_now(SETTLE_S))
        is_too_late = _seconds_from_now(_PATIENCE_S)
        self._wait_for(lambda: is_at_rest(widget) or is_too_late())
        return widget.grab().toImage()

    def _wait_for(self, condition: Callable[[], bool]) -> None:
        """Run the event loop until the condition holds; ended by Ctrl-C and failed jobs."""
        from PySide6.QtCore import QEventLoop, QTimer

        loop, pressed = QEventLoop(), []

        def on_interrupt(number: int, frame: FrameType | None) -> None:
            pressed.append(number)

        before = signal.signal(signal.SIGINT, on_interrupt)
        timer = QTimer(interval=20)
        timer.timeout.connect(lambda: loop.quit() if pressed or self._failure or condition() else None)
        timer.start()
        try:
            loop.exec()
        finally:
            timer.stop()
            signal.signal(signal.SIGINT, before)
        if pressed:
            raise KeyboardInterrupt
        if self._failure:
            raise ValueError(self._failure)

    def _on_failed(self, sentence: str, details: str) -> None:
        self._failure = sentence

    def _on_training_events(self, events: tuple[Any, ...]) -> None:
        for event in events:
            self._line.show(event)


def _seconds_from_now(seconds: float) -> Callable[[], bool]:
    due = time.monotonic() + seconds
    return lambda: time.monotonic() >= due
