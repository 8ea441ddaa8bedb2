"""Tiny World's tasks: datasets that Terrarium generates, ready for training."""

from __future__ import annotations

from collections.abc import Generator
from functools import partial
from typing import TYPE_CHECKING

from PySide6.QtCore import Qt, Slot
from PySide6.QtWidgets import QGridLayout, QPushButton, QWidget

from terrarium.app.kit.basics import button, column, group, headed, label, row, set_enabled
from terrarium.app.kit.inputs import progress_bar, show_progress
from terrarium.app.kit.theme import SPACE, ThemeProvider
from terrarium.app.session.routes import ShowPlace
from terrarium.app.session.session import Session
from terrarium.app.worker.background import LatestTask
from terrarium.models.events import Event, Progress

if TYPE_CHECKING:
    from terrarium.models.corpora.corpus import Corpus

WORLD_TASKS = {
    "mood": ("Moods", "Which of ten moods a text implies: classification."),
    "names": ("Names", "Mark people, places and things in stories: tagging."),
    "qa": ("Questions", "Mark the answer in a story, or say that it has none."),
    "translation": ("Translation", "English into French, German and Spanish."),
    "summary": ("Summaries", "A story in a sentence or two."),
    "code": ("Code", "A small Python function from its description."),
}
"""Task of models.tiny_world.tasks -> its title and a description."""
_SEED = 0
_LINES = 3
"""The number of tasks per column, such that the page needs no scroll bar at 720 pixels."""


class WorldTasks(QWidget):
    """A button for each task; a dataset that already exists in the library is shown immediately."""

    def __init__(self, session: Session, theme: ThemeProvider, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._session = session
        self.buttons: dict[str, QPushButton] = {}
        self._task = LatestTask(self)
        lines = QGridLayout()
        lines.setHorizontalSpacing(2 * SPACE)
        lines.setVerticalSpacing(SPACE // 2)
        for at, (name, (title, words)) in enumerate(WORLD_TASKS.items()):
            self.buttons[name] = make = button(
                title, theme, partial(self.make, name), tip=f"Make this dataset. {words}"
            )
            line, left = at % _LINES, 2 * (at // _LINES)
            lines.addWidget(make, line, left)
            lines.addWidget(label(words, "muted", wrap=True), line, left + 1, Qt.AlignmentFlag.AlignVCenter)
            lines.setColumnStretch(left + 1, 1)
        self._words = label("", "caption", wrap=True)
        self._bar = progress_bar("Progress of the dataset")
        self.cancel = button("Stop", theme, self._task.cancel, icon="x", role="link", tip="Stop; nothing is kept")
        self._going = group(row(self._words, self._bar, self.cancel))
        self.learn = button(
            "Learn one of these tasks…",
            theme,
            partial(session.go, ShowPlace("training/recipes")),
            icon="graduation-cap",
            role="link",
            tip="Recipes that make the data, train a model, and score it",
        )
        about = "Synthetic, but with answers that are right by construction, and unseen cases held out."
        self.setLayout(
            column(
                headed("Ready-made: tasks of Tiny World", explained=self),
                label(about, "caption", wrap=True),
                lines,
                row(self.learn, None),
                self._going,
            )
        )
        self._going.hide()
        self._task.busy_changed.connect(self._on_busy)
        self._task.events_received.connect(self._on_events)
        self._task.done.connect(self._on_done)
        self._task.failed.connect(session.notices.fail)

    @property
    def busy(self) -> bool:
        """Whether a dataset is being generated."""
        return self._task.busy

    def make(self, name: str) -> None:
        """Generate the dataset of a task (a key of WORLD_TASKS) in the background."""
        library = self._session.library

        def work() -> Generator[Event, None, Corpus]:
            from terrarium.models.tiny_world.tasks.corpora import build_task_corpus

            return (yield from build_task_corpus(library, name, _SEED))

        self._words.setText(f"Making “{WORLD_TASKS[name][0]}”")
        show_progress(self._bar)
        self._task.drive(work)

    @Slot(bool)
    def _on_busy(self, busy: bool) -> None:
        self._going.setVisible(busy)
        for each in self.buttons.values():
            set_enabled(each, "A dataset is being made: wait a moment." if busy else "")

    @Slot(object)
    def _on_events(self, events: tuple[Event, ...]) -> None:
        last = next((event for event in reversed(events) if isinstance(event, Progress)), None)
        if last is not None:
            show_progress(self._bar, last.done, last.total)

    @Slot(object)
    def _on_done(self, corpus: Corpus) -> None:
        self._session.datasets.add(corpus.sha)
