"""The controller of the guide: open chapter and step, completion, predictions, missions, and the window to restore."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

from PySide6.QtCore import QObject, QTimer, Signal, Slot

from terrarium.app.guide.actions import Action
from terrarium.app.guide.chapters import GROWING, NEEDS, Chapter, Step
from terrarium.app.guide.figures import FIGURES, fill, number
from terrarium.app.guide.missions import MISSIONS, Mission
from terrarium.app.guide.progress import Progress, read_progress, write_progress
from terrarium.app.guide.window_state import WindowState
from terrarium.app.worker.failures import describe
from terrarium.app.worker.notices import Notices

LOOK_MS = 400
"""The polling interval of the completion checks, in milliseconds. Instructions are carried out in thirty places of the
window; reading the state of all takes about a millisecond, less work than following the signals of each."""

log = logging.getLogger(__name__)


class WindowDriver(Protocol):
    """The interface through which the guide reads and controls the window."""

    def facts(self) -> WindowState:
        """Return the current window state."""
        ...

    def perform(self, action: Action) -> None:
        """Perform the action; raise ValueError with a sentence if that is impossible now."""
        ...

    def snapshot(self) -> Any:
        """Return the state that the set-up of a step may change; snapshots can be compared."""
        ...

    def restore(self, snapshot: Any) -> None:
        """Restore the state of a snapshot."""
        ...


class Guide(QObject):
    """Chapters, at most one of which is open, and missions, which are always checked for completion.

    chapter: the open chapter, or None. index: the index of its step; the number of steps on the result card. is_done:
    whether the step was completed since the chapter was started. is_set_up: whether the window was set up for the step.
    problem: a sentence about what cannot be set up now.

    Signals:
        changed(): any of these has changed.
        opened(): a chapter was opened.
        mission_done(mission): a mission was completed for the first time.
    """

    changed = Signal()
    opened = Signal()
    mission_done = Signal(object)

    def __init__(
        self,
        chapters: Sequence[Chapter],
        stage: WindowDriver,
        home: Path,
        notices: Notices,
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self.chapters = tuple(chapters)
        self.stage, self._home, self._notices = stage, home, notices
        self._is_kept = True
        try:
            self.progress = read_progress(home)
        except ValueError as error:
            self.progress, self._is_kept = Progress(), False
            notices.say(str(error))
        self.chapter: Chapter | None = None
        self.index = 0
        self.is_done = False
        self.is_set_up = False
        self.problem = ""
        self.facts = WindowState()
        self._before = WindowState()
        self._before_missions: WindowState | None = None
        self._put_aside: Any = None
        self._how = ""
        """The last notice that explained how to do a mission."""
        self._timer = QTimer(self, interval=LOOK_MS)
        self._timer.timeout.connect(self.look)

    # -- Position -----------------------------------------------------------------------------------------------------

    @property
    def step(self) -> Step | None:
        """The current step; None in the list of chapters and on a result card."""
        if self.chapter is None or self.index >= len(self.chapter.steps):
            return None
        return self.chapter.steps[self.index]

    @property
    def at_result(self) -> bool:
        """Whether the result card of the chapter is shown."""
        return self.chapter is not None and self.step is None

    @property
    def needs(self) -> str:
        """A sentence about what the chapter needs and the library lacks, or ""."""
        if self.chapter is None:
            return ""
        has = {"chat-model": self.facts.can_chat, "tokenizer": bool(self.facts.tokenizers)}
        missing = next((need for need in self.chapter.needs if not has[need]), "")
        return GROWING if missing == "chat-model" and self.is_growing else NEEDS.get(missing, "")

    @property
    def is_growing(self) -> bool:
        """Whether a quick start is running."""
        training = self.facts.training
        return training is not None and training.is_quickstart and not training.is_over

    @property
    def can_put_back(self) -> bool:
        """Whether a step of the open chapter has set the window up."""
        return self._put_aside is not None

    @property
    def guess(self) -> int | None:
        """The option that the user predicted in this step, or None."""
        if self.chapter is None:
            return None
        return self.progress.of(self.chapter.name).guesses.get(str(self.index))

    @property
    def result(self) -> str:
        """The step's line of the result card; "" until the step is complete and its figures are known."""
        if self.chapter is None or not self.is_done:
            return ""
        return self.progress.of(self.chapter.name).results.get(str(self.index), "")

    @property
    def results(self) -> list[str]:
        """The lines of the chapter's result card so far."""
        if self.chapter is None:
            return []
        results = self.progress.of(self.chapter.name).results
        return [results[str(i)] for i in range(len(self.chapter.steps)) if str(i) in results]

    @property
    def n_done(self) -> int:
        """The number of finished chapters."""
        return sum(self.progress.of(chapter.name).is_done for chapter in self.chapters)

    @property
    def has_begun(self) -> bool:
        """Whether the user has made any progress in the guide."""
        return any(kept.is_done or kept.step or kept.results for kept in self.progress.chapters.values())

    @property
    def next_chapter(self) -> Chapter | None:
        """The chapter to continue: a started one, else the first unfinished one; None if all are finished."""
        left = [chapter for chapter in self.chapters if not self.progress.of(chapter.name).is_done]
        begun = [chapter for chapter in left if self.progress.of(chapter.name).results]
        return next(iter(begun or left), None)

    def start(self) -> None:
        """Start to check for completion. Call it once the window is complete."""
        self._timer.start()

    def open(self, name: str, step: int | None = None) -> None:
        """Open a chapter at its saved step or at `step`; a finished chapter starts over if `step` is None."""
        self.put_back()
        chapter = next(each for each in self.chapters if each.name == name)
        kept = self.progress.of(name)
        if step is None and kept.is_done:
            self._keep(self.progress.with_chapter(name, step=0, results={}, guesses={}, measured={}))
            step = 0
        self.chapter = chapter
        self._show(min(kept.step if step is None else step, len(chapter.steps) - 1))
        self.opened.emit()

    def close(self) -> None:
        """Return to the list of chapters and restore what was set up."""
        self.put_back()
        self.chapter, self.index, self.problem = None, 0, ""
        self.changed.emit()

    def next(self) -> None:
        """Go to the next step, or after the last one to the result card. An incomplete step is skipped.

        The window is not restored until the chapter ends: each step continues where the previous one left it.
        """
        assert self.chapter is not None
        if self.index + 1 >= len(self.chapter.steps):
            self.put_back()
            self._keep(self.progress.with_chapter(self.chapter.name, step=0, is_done=True))
            self.index, self.is_done = len(self.chapter.steps), False
            self.changed.emit()
        else:
            self._show(self.index + 1)

    def back(self) -> None:
        """Go to the previous step."""
        assert self.chapter is not None
        self._show(max(0, self.index - 1))

    def following(self) -> Chapter | None:
        """Return the chapter after the open one; None after the last, the first if no chapter is open."""
        names = [chapter.name for chapter in self.chapters]
        at = names.index(self.chapter.name) + 1 if self.chapter is not None else 0
        return self.chapters[at] if at < len(names) else None

    def _show(self, index: int) -> None:
        assert self.chapter is not None
        self.index, self.is_set_up, self.problem = index, False, ""
        self.is_done = str(index) in self.progress.of(self.chapter.name).results  # possibly in an earlier launch
        self._keep(self.progress.with_chapter(self.chapter.name, step=index))
        self.facts = self._before = self.stage.facts()
        self.changed.emit()

    # -- Actions -------------------------------------------------------------------------------------------------------

    def set_up(self) -> None:
        """Set the window up for the step; the changes are reverted at the end of the chapter."""
        step = self.step
        assert step is not None
        if self._put_aside is None:
            self._put_aside = self.stage.snapshot()
        self.problem, self.is_set_up = "", True
        try:
            for action in step.prepares:
                self.stage.perform(action)
        except ValueError as error:
            self.problem = str(error)
        if not self.is_done:
            self._before = self.stage.facts()
        self.look()
        self.changed.emit()

    def put_back(self) -> None:
        """Restore the window as it was before the first set-up, if there was one."""
        if self._put_aside is not None:
            snapshot, self._put_aside = self._put_aside, None
            self.is_set_up = False
            self.stage.restore(snapshot)
            self.changed.emit()

    def make_guess(self, option: int) -> None:
        """Save the user's prediction; ignored once the step is complete."""
        assert self.chapter is not None
        if not self.is_done:
            guesses = {**self.progress.of(self.chapter.name).guesses, str(self.index): option}
            self._keep(self.progress.with_chapter(self.chapter.name, guesses=guesses))
            self.changed.emit()

    def verdict(self) -> str:
        """Return a sentence with the measured figure and the guess; "" if it is not measured yet or not predicted."""
        step = self.step
        if self.chapter is None or step is None or step.prediction is None or not self.is_done:
            return ""
        value = self.progress.of(self.chapter.name).measured.get(str(self.index))
        if value is None:
            return ""
        measured = FIGURES[step.prediction.figure].write(value)
        right = step.prediction.right_option(value)
        if self.guess is None:
            return f"Measured: {measured}."
        guess = step.prediction.options[self.guess]
        return f"Measured: {measured}. You guessed “{guess}”: {'right!' if self.guess == right else 'not this time.'}"

    # -- Polling ------------------------------------------------------------------------------------------------------

    @Slot()
    def look(self) -> None:
        """Check the step and the missions for completion."""
        facts, last = self.stage.facts(), self.facts
        if self._before_missions is None:
            self._before_missions = facts  # ignore what existed at launch
        is_new = facts != last
        if last.is_training and not facts.is_training:
            self.problem = ""  # usually that a run was training
        self.facts = facts
        if is_new:
            self._tick_missions(facts, self._before_missions)
        step = self.step
        if step is None:
            return
        is_done = all(check.is_done(facts, self._before) for check in step.checks)
        if not self.is_done and is_done:
            self.is_done = is_new = True
        if self.is_done:
            is_new |= self._keep_result(step, is_typing=is_done and facts.typed != last.typed)
        if is_new:
            self.changed.emit()

    def _keep_result(self, step: Step, *, is_typing: bool) -> bool:
        """Save the step's result line and its prediction's measured figure once known; return whether anything is new.

        While the user is typing, the line follows the text: three letters may already complete the step.
        """
        assert self.chapter is not None
        kept, key = self.progress.of(self.chapter.name), str(self.index)
        line = fill(step.result, self.facts) if is_typing or key not in kept.results else None
        if line is None or line == kept.results.get(key):
            return False
        changes: dict[str, Any] = {"results": {**kept.results, key: line}}
        value = number(step.prediction.figure, self.facts) if step.prediction is not None else None
        if value is not None:
            changes["measured"] = {**kept.measured, key: value}
        self._keep(self.progress.with_chapter(self.chapter.name, **changes))
        return True

    def _tick_missions(self, facts: WindowState, before: WindowState) -> None:
        for mission in MISSIONS:
            if mission.name not in self.progress.missions and mission.is_done(facts, before):
                self._keep(self.progress.with_mission(mission.name))
                if self._how.startswith(f"{mission.title}: "):
                    self._forget_how()
                self.mission_done.emit(mission)
                self.changed.emit()

    def go_to(self, mission: Mission) -> None:
        """Show where a mission can be done, with a notice on how to do it that replaces an earlier one."""
        self._forget_how()
        try:
            for action in mission.goes:
                self.stage.perform(action)
        except ValueError as error:
            self._notices.refuse(str(error))
        else:
            self._how = f"{mission.title}: {mission.how}"
            self._notices.say(self._how)

    def _forget_how(self) -> None:
        if self._how:
            self._notices.outdated.emit(self._how)
        self._how = ""

    def _keep(self, progress: Progress) -> None:
        self.progress = progress
        if not self._is_kept:
            return
        try:
            write_progress(self._home, progress)
        except OSError as error:
            self._is_kept = False
            self._notices.fail(describe(error))
