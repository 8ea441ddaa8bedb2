"""The guide at work: which chapter and step is open, whether its deed is done, bets, missions, and what is put back."""

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
"""How often it is checked whether a deed is done. Deeds happen in thirty places of the window; reading the facts of all
takes about a millisecond, which is less than following the signals of each."""

log = logging.getLogger(__name__)


class WindowDriver(Protocol):
    """The window, as far as the guide acts on it."""

    def facts(self) -> WindowState:
        """What is so now."""
        ...

    def perform(self, action: Action) -> None:
        """Do it; ValueError with a sentence where that is impossible now."""
        ...

    def snapshot(self) -> Any:
        """What steps may change by setting the window up: comparable."""
        ...

    def restore(self, snapshot: Any) -> None:
        """Put that back."""
        ...


class Guide(QObject):
    """Chapters, one open at a time, and missions, whose deeds are looked for all the time.

    chapter: the open one, None for none. index: its step; the number of steps for the result card. is_done: whether the
    deed of the step was done since the chapter was begun. is_set_up: whether the window was set up for the step.
    problem: a sentence on what cannot be set up now.

    Signals:
        changed(): any of this.
        opened(): a chapter was opened.
        mission_done(mission): its deed was seen for the first time.
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
        """What was said last on how a mission is done."""
        self._timer = QTimer(self, interval=LOOK_MS)
        self._timer.timeout.connect(self.look)

    # -- Where one is --------------------------------------------------------------------------------------------------

    @property
    def step(self) -> Step | None:
        """The step that is shown; None in the list of chapters, and on a result card."""
        if self.chapter is None or self.index >= len(self.chapter.steps):
            return None
        return self.chapter.steps[self.index]

    @property
    def at_result(self) -> bool:
        """Whether the result card of the chapter is shown."""
        return self.chapter is not None and self.step is None

    @property
    def needs(self) -> str:
        """A sentence on what the chapter needs and the library lacks; "" for nothing."""
        if self.chapter is None:
            return ""
        has = {"chat-model": self.facts.can_chat, "tokenizer": bool(self.facts.tokenizers)}
        missing = next((need for need in self.chapter.needs if not has[need]), "")
        return GROWING if missing == "chat-model" and self.is_growing else NEEDS.get(missing, "")

    @property
    def is_growing(self) -> bool:
        """Whether the quick start is at work."""
        training = self.facts.training
        return training is not None and training.is_quickstart and not training.is_over

    @property
    def can_put_back(self) -> bool:
        """Whether a step of the open chapter has set the window up."""
        return self._put_aside is not None

    @property
    def guess(self) -> int | None:
        """The option that was bet on in this step; None without a bet."""
        if self.chapter is None:
            return None
        return self.progress.of(self.chapter.name).guesses.get(str(self.index))

    @property
    def result(self) -> str:
        """The step's line of the result card; "" before its deed is done, or its figures are known."""
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
        """The chapters that were finished."""
        return sum(self.progress.of(chapter.name).is_done for chapter in self.chapters)

    @property
    def has_begun(self) -> bool:
        """Whether anything of it was done."""
        return any(kept.is_done or kept.step or kept.results for kept in self.progress.chapters.values())

    @property
    def next_chapter(self) -> Chapter | None:
        """The chapter to go on with: one that was begun, else the first that is not done; None if all are."""
        left = [chapter for chapter in self.chapters if not self.progress.of(chapter.name).is_done]
        begun = [chapter for chapter in left if self.progress.of(chapter.name).results]
        return next(iter(begun or left), None)

    def start(self) -> None:
        """Begin to look for deeds: after the window is complete."""
        self._timer.start()

    def open(self, name: str, step: int | None = None) -> None:
        """Open a chapter where one left it, or at a step; one that was finished begins anew."""
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
        """Back to the list of chapters; what was set up is put back."""
        self.put_back()
        self.chapter, self.index, self.problem = None, 0, ""
        self.changed.emit()

    def next(self) -> None:
        """The next step, or the result card after the last one; also without the deed, which is to skip it.

        The window stays as it is until the chapter ends: one step goes on where the one before has left it.
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
        """The step before."""
        assert self.chapter is not None
        self._show(max(0, self.index - 1))

    def following(self) -> Chapter | None:
        """The chapter after the open one."""
        names = [chapter.name for chapter in self.chapters]
        at = names.index(self.chapter.name) + 1 if self.chapter is not None else 0
        return self.chapters[at] if at < len(names) else None

    def _show(self, index: int) -> None:
        assert self.chapter is not None
        self.index, self.is_set_up, self.problem = index, False, ""
        self.is_done = str(index) in self.progress.of(self.chapter.name).results  # in an earlier launch, perhaps
        self._keep(self.progress.with_chapter(self.chapter.name, step=index))
        self.facts = self._before = self.stage.facts()
        self.changed.emit()

    # -- Acting --------------------------------------------------------------------------------------------------------

    def set_up(self) -> None:
        """Set the window up for the step; what it changes is put back at the end of the chapter."""
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
        """Put back what was set up, if anything was."""
        if self._put_aside is not None:
            snapshot, self._put_aside = self._put_aside, None
            self.is_set_up = False
            self.stage.restore(snapshot)
            self.changed.emit()

    def make_guess(self, option: int) -> None:
        """Bet on an option of the step's prediction; once the deed is done, bets are closed."""
        assert self.chapter is not None
        if not self.is_done:
            guesses = {**self.progress.of(self.chapter.name).guesses, str(self.index): option}
            self._keep(self.progress.with_chapter(self.chapter.name, guesses=guesses))
            self.changed.emit()

    def verdict(self) -> str:
        """What was measured by the deed, beside what was bet; "" before the deed, or without a prediction."""
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

    # -- Looking -------------------------------------------------------------------------------------------------------

    @Slot()
    def look(self) -> None:
        """See whether the deed of the step was done, and those of missions."""
        facts, last = self.stage.facts(), self.facts
        if self._before_missions is None:
            self._before_missions = facts  # what was there at launch is nobody's deed
        is_new = facts != last
        if last.is_training and not facts.is_training:
            self.problem = ""  # that a run is training, mostly
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
        """Keep the step's line of the result card, and what decides its bet, once they are known; whether that is new.

        While a text is being typed, its line follows it: three letters may already do the deed.
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
        """Show the place where a mission can be done, and say how, in place of how another one is done."""
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
