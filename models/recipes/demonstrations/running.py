"""Runs a demonstration of alignment: it can be stopped, resumes where it was interrupted, and saves its result."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Generator, Sequence
from typing import Any

import torch

from terrarium.models.alignment.stage_tree import world_seed_of
from terrarium.models.device import faster_thread_count
from terrarium.models.events import Event, Finished, Phase, Progress, TrainMetrics
from terrarium.models.library.library import Library
from terrarium.models.recipes.demonstrations.constitution import constitution
from terrarium.models.recipes.demonstrations.demonstrated import DemonstrationMark, read_stage_mark, write_demonstrated
from terrarium.models.recipes.demonstrations.demonstration import Bench, check_can_reply
from terrarium.models.recipes.demonstrations.demonstrations_table import DEMONSTRATIONS, N_EACH
from terrarium.models.recipes.demonstrations.format import format_replies
from terrarium.models.recipes.demonstrations.goodhart import goodhart
from terrarium.models.recipes.demonstrations.kept import Halted, forget_halted, list_halted, write_halted
from terrarium.models.recipes.demonstrations.refuse import refuse
from terrarium.models.recipes.demonstrations.results import CONSTITUTION, FORMAT, REFUSE, AnyResult
from terrarium.models.recipes.demonstrations.stages import StageControl, StageStoppedError
from terrarium.models.recipes.demonstrations.strength import strong_base
from terrarium.models.recipes.demonstrations.taught import taught
from terrarium.models.runs.run_folder import RunFolder
from terrarium.models.tiny_world.constitution import RULES
from terrarium.models.training.trainer import Trainer


class DemonstrationRun:
    """Runs a demonstration of DEMONSTRATIONS. After the events, `result` has the result, None if it was stopped.

    The result is also saved beside the run of the last stage (models.recipes.demonstrations.results). Each stage is a
    separate run. Existing runs with the same settings and data are not trained again.
    """

    def __init__(
        self,
        library: Library,
        name: str,
        base: str,
        *,
        seed: int = 0,
        own: str = "",
        rules: Sequence[str] = (),
        n_each: int = N_EACH,
        device: str = "auto",
    ) -> None:
        """Prepare the demonstration without running it.

        Args:
            base: a run of the library.
            own: a set of pairs judged by people, which come first, "" for none.
            rules: of a constitution, () for the default.
            n_each: questions of each kind that a stage is asked.
        """
        self.mark = DemonstrationMark(name=name, base=base, seed=seed, n_each=n_each, own=own, rules=tuple(rules))
        self.result: AnyResult | None = None
        self._library, self._device = library, device
        self._control = StageControl(self.mark)
        self._base = base
        self._began = 0.0
        self._halted = Halted(mark=self.mark, base=base, phase="")

    @classmethod
    def resumed(cls, library: Library, run: RunFolder, *, device: str = "auto") -> DemonstrationRun | None:
        """Return the rest of a demonstration of which a stage was stopped; None for any other run."""
        mark = read_stage_mark(run.folder)
        if mark is None or mark.name not in DEMONSTRATIONS:
            return None
        return cls(
            library,
            mark.name,
            mark.base,
            seed=mark.seed,
            own=mark.own,
            rules=mark.rules,
            n_each=mark.n_each,
            device=device,
        )

    @property
    def trainer(self) -> Trainer | None:
        """The trainer of the current stage, None between two."""
        return self._control.trainer

    def request_stop(self, keep: bool = True, status: str = "stopped") -> None:
        """Stop after the current step, or at the next event between two trainings."""
        self._control.request_stop(keep, status)

    def events(self) -> Generator[Event, None, None]:
        """Run everything from the base to the last measurement.

        Raises:
            ValueError: if the base is not suitable, or a training fails.
        """
        control, threads = self._control, torch.get_num_threads()
        work = self._work()
        torch.set_num_threads(faster_thread_count())
        try:
            while True:
                try:
                    event = next(work)
                except StopIteration as end:
                    self._keep(end.value, time.perf_counter() - self._began)
                    return
                self._follow(event)
                yield event
                if control.stop is not None and control.trainer is None:
                    break
            self._keep_halted()
        except StageStoppedError:
            self._keep_halted()
            return  # its training has reported the stop
        finally:
            work.close()
            torch.set_num_threads(threads)
        last = control.last
        if last is not None and last.status == "finished":  # the demonstration itself has not finished
            yield Finished(run_id=last.id, status=control.stop[1], step=last.spec.train.steps)

    def _work(self) -> Generator[Event, None, AnyResult]:
        mark, library = self.mark, self._library
        given = RunFolder.open(library.find_run(mark.base))
        check_can_reply(library, given.id)
        base, accuracy = yield from strong_base(library, given, self._device, self._control)
        self._base, self._began = base.id, time.perf_counter()
        went_before = any(each.mark.name == mark.name for each in list_halted(base.folder))
        self._control.n_found += went_before
        self._forget_halted()
        about: dict[str, Any] = {
            "seed": mark.seed,
            "world_seed": world_seed_of(base),
            "device": self._device,
            "n_each": mark.n_each,
            "control": self._control,
        }
        if mark.name == REFUSE:
            return (yield from refuse(library, base.id, **about))
        if mark.name == CONSTITUTION:
            return (yield from constitution(library, base.id, rules=mark.rules or RULES, **about))
        bench = Bench(library=library, base=base.id, accuracy=accuracy, **about)
        if mark.name == FORMAT:
            return (yield from format_replies(bench))
        return (yield from (taught(bench, mark.own) if mark.name == "taught" else goodhart(bench)))

    def _follow(self, event: Event) -> None:
        """Record the progress: the steps of the current training, else Progress."""
        stage = self._control.stage
        if isinstance(event, Phase):
            if event.name == stage or not stage:
                done = self._control.done
                self._halted = Halted(mark=self.mark, base=self._base, phase=event.name, stages=done)
        elif isinstance(event, TrainMetrics):
            self._halted = dataclasses.replace(self._halted, done=event.step, total=event.total_steps)
        elif isinstance(event, Progress) and not stage:
            self._halted = dataclasses.replace(self._halted, done=event.done, total=event.total)

    def _keep_halted(self) -> None:
        write_halted(self._library.find_run(self._base), self._halted)

    def _forget_halted(self) -> None:
        for base in (self.mark.base, self._base):
            forget_halted(self._library.find_run(base), self.mark.name)

    def _keep(self, result: AnyResult, seconds: float) -> None:
        assert self._control.last is not None
        self.result = result
        is_whole = not self._control.n_found
        write_demonstrated(self.mark, self._control.last.folder, result, seconds if is_whole else None)
