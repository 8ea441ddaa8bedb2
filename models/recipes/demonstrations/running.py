"""Runs a demonstration of alignment: it can be stopped, resumes where it was interrupted, and saves its result."""

from __future__ import annotations

import contextlib
import dataclasses
import time
from collections.abc import Generator, Mapping, Sequence
from typing import Any

import torch

from terrarium.models.alignment.stage_tree import world_seed_of
from terrarium.models.device import faster_thread_count
from terrarium.models.events import Event, Phase, Progress, TrainMetrics
from terrarium.models.recipes.demonstrations.constitution import constitution
from terrarium.models.recipes.demonstrations.demonstrated import DemonstrationMark, write_demonstrated
from terrarium.models.recipes.demonstrations.demonstration import Bench, check_can_reply
from terrarium.models.recipes.demonstrations.demonstrations_table import DEMONSTRATIONS, N_EACH
from terrarium.models.recipes.demonstrations.format import format_replies
from terrarium.models.recipes.demonstrations.goodhart import goodhart
from terrarium.models.recipes.demonstrations.kept import Halted, forget_halted, list_halted, write_halted
from terrarium.models.recipes.demonstrations.refuse import refuse
from terrarium.models.recipes.demonstrations.results import CONSTITUTION, FORMAT, REFUSE, AnyResult
from terrarium.models.recipes.demonstrations.stages import Stages
from terrarium.models.recipes.demonstrations.strength import strong_base
from terrarium.models.recipes.demonstrations.taught import taught
from terrarium.models.recipes.job import RunJob, StoppedError
from terrarium.models.recipes.mark import DEMONSTRATION
from terrarium.models.runs.run_folder import RunFolder
from terrarium.models.tiny_world.constitution import RULES


class DemonstrationRun:
    """Runs a demonstration of DEMONSTRATIONS. Its result is one of models.recipes.demonstrations.results.

    The result is also saved in the mark of the last stage's run. Each stage is a separate run. Existing runs with the
    same settings and data are not trained again.
    """

    kind = DEMONSTRATION

    def __init__(
        self,
        name: str,
        base: str,
        *,
        seed: int = 0,
        own: str = "",
        rules: Sequence[str] = (),
        n_each: int = N_EACH,
    ) -> None:
        """Args:
            base: a run of the library.
            own: a set of pairs judged by people, which come first, "" for none.
            rules: of a constitution, () for the default.
            n_each: questions of each kind that a stage is asked.

        Raises:
            KeyError: if there is no such demonstration.
        """
        _ = DEMONSTRATIONS[name]
        self.mark = DemonstrationMark(name=name, base=base, seed=seed, n_each=n_each, own=own, rules=tuple(rules))
        self._base = base
        self._began = 0.0
        self._halted = Halted(mark=self.mark, base=base, phase="")

    @classmethod
    def made_from(cls, arguments: Mapping[str, Any]) -> DemonstrationRun:
        """Make the recipe from its arguments; KeyError if there is no such demonstration, TypeError if an argument is
        invalid.
        """
        return cls(**arguments)

    def arguments(self) -> dict[str, Any]:
        return dataclasses.asdict(self.mark) | {"rules": list(self.mark.rules)}

    def work(self, job: RunJob) -> Generator[Event, None, AnyResult]:
        """Run everything from the base to the last measurement.

        Raises:
            ValueError: if the base is not suitable, or a training fails.
        """
        torch.set_num_threads(faster_thread_count())
        stages = Stages(job)
        stage_events = self._stages(stages)
        try:
            while True:
                try:
                    event = next(stage_events)
                except StopIteration as end:
                    result: AnyResult = end.value
                    break
                self._follow(event, stages)
                yield event
        except (StoppedError, GeneratorExit):
            stage_events.close()
            with contextlib.suppress(OSError, ValueError):  # a full disk, or the base was deleted: nothing else is lost
                write_halted(job.library.find_run(self._base), self._halted)
            raise
        assert stages.last is not None
        seconds = None if stages.n_found else time.perf_counter() - self._began
        write_demonstrated(self.mark, stages.last.folder, result, seconds)
        return result

    def _stages(self, stages: Stages) -> Generator[Event, None, AnyResult]:
        mark, library = self.mark, stages.library
        given = RunFolder.open(library.find_run(mark.base))
        check_can_reply(library, given.id)
        base, accuracy = yield from strong_base(stages, given)
        self._base, self._began = base.id, time.perf_counter()
        stages.n_found += any(each.mark.name == mark.name for each in list_halted(base.folder))
        for each in (mark.base, base.id):
            forget_halted(library.find_run(each), mark.name)
        about: dict[str, Any] = {"seed": mark.seed, "world_seed": world_seed_of(base), "n_each": mark.n_each}
        if mark.name == REFUSE:
            return (yield from refuse(stages, base.id, **about))
        if mark.name == CONSTITUTION:
            return (yield from constitution(stages, base.id, rules=mark.rules or RULES, **about))
        bench = Bench(stages=stages, base=base.id, accuracy=accuracy, **about)
        if mark.name == FORMAT:
            return (yield from format_replies(bench))
        return (yield from (taught(bench, mark.own) if mark.name == "taught" else goodhart(bench)))

    def _follow(self, event: Event, stages: Stages) -> None:
        """Record the progress: the steps of the current training, else Progress."""
        if isinstance(event, Phase):
            if event.name == stages.current or not stages.current:
                self._halted = Halted(mark=self.mark, base=self._base, phase=event.name, stages=stages.done)
        elif isinstance(event, TrainMetrics):
            self._halted = dataclasses.replace(self._halted, done=event.step, total=event.total_steps)
        elif isinstance(event, Progress) and not stages.current:
            self._halted = dataclasses.replace(self._halted, done=event.done, total=event.total)
