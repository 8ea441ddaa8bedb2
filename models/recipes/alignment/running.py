"""A demonstration of alignment, carried out once: it can be stopped, goes on where it was cut, and keeps its result."""

from __future__ import annotations

import time
from collections.abc import Generator, Sequence
from typing import Any

import torch

from models.alignment.stage_tree import world_seed_of
from models.data.tiny_world.constitution import RULES
from models.data.tiny_world.world import World
from models.device import faster_thread_count
from models.evaluation.held_out_questions import evaluate
from models.evaluation.record import write_evaluation
from models.events import Evaluated, Event, Finished, Phase
from models.library.library import Library
from models.recipes.alignment.constitution import constitution
from models.recipes.alignment.demonstration import (
    N_EACH,
    Bench,
    StageControl,
    StageStoppedError,
    check_can_reply,
    load_chat_model,
)
from models.recipes.alignment.format import format_replies
from models.recipes.alignment.goodhart import goodhart
from models.recipes.alignment.refuse import refuse
from models.recipes.alignment.results import (
    CONSTITUTION,
    FORMAT,
    REFUSE,
    AnyResult,
    DemonstrationMark,
    read_stage_mark,
    write_demonstrated,
)
from models.recipes.alignment.table import DEMONSTRATIONS
from models.recipes.alignment.taught import taught
from models.runs.run_folder import RunFolder
from models.training.trainer import Trainer


class DemonstrationRun:
    """Carries out a demonstration of DEMONSTRATIONS. After the events, `result` holds what came of it, None if it was
    stopped before; it is also kept beside the run of the last stage (models.recipes.alignment.results).

    Each stage is a run of its own. Those that are there already, of the same settings and data, are not trained again.
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
        """Prepare.

        Args:
            base: a run of the library. own: a set of pairs that somebody has judged, which come first, "" for none.
            rules: of a constitution, () for the usual ones.
            n_each: questions of each kind that a stage is asked.
        """
        self.mark = DemonstrationMark(name=name, base=base, seed=seed, n_each=n_each, own=own, rules=tuple(rules))
        self.result: AnyResult | None = None
        self._library, self._device = library, device
        self._control = StageControl(self.mark)

    @classmethod
    def resumed(cls, library: Library, run: RunFolder, *, device: str = "auto") -> DemonstrationRun | None:
        """The rest of a demonstration of which a stage was stopped; None for a run that is no such stage."""
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
        """Of the stage that is being trained, None between two."""
        return self._control.trainer

    def request_stop(self, keep: bool = True, status: str = "stopped") -> None:
        """Stop after the current step, or at the next event between two trainings."""
        self._control.request_stop(keep, status)

    def events(self) -> Generator[Event, None, None]:
        """Everything from the base to the last measurement.

        Raises:
            ValueError: with a sentence, where the base does not suit, or a training fails.
        """
        control, began, threads = self._control, time.perf_counter(), torch.get_num_threads()
        work = self._work()
        torch.set_num_threads(faster_thread_count())
        try:
            while True:
                try:
                    event = next(work)
                except StopIteration as end:
                    self._keep(end.value, time.perf_counter() - began)
                    return
                yield event
                if control.stop is not None and control.trainer is None:
                    break
        except StageStoppedError:
            return  # its training has said so
        finally:
            work.close()
            torch.set_num_threads(threads)
        last = control.last
        if last is not None and last.status == "finished":  # the demonstration has not
            yield Finished(run_id=last.id, status=control.stop[1], step=last.spec.train.steps)

    def _work(self) -> Generator[Event, None, AnyResult]:
        mark, library = self.mark, self._library
        base = RunFolder.open(library.find_run(mark.base))
        about: dict[str, Any] = {
            "seed": mark.seed,
            "world_seed": world_seed_of(base),
            "device": self._device,
            "n_each": mark.n_each,
            "control": self._control,
        }
        if mark.name == REFUSE:
            return (yield from refuse(library, mark.base, **about))
        if mark.name == CONSTITUTION:
            return (yield from constitution(library, mark.base, rules=mark.rules or RULES, **about))
        bench = Bench(library=library, base=mark.base, **about)
        if mark.name == FORMAT:
            return (yield from format_replies(bench))
        return (yield from (taught(bench, mark.own) if mark.name == "taught" else goodhart(bench)))

    def _keep(self, result: AnyResult, seconds: float) -> None:
        assert self._control.last is not None
        self.result = result
        is_whole = not self._control.n_found
        write_demonstrated(self.mark, self._control.last.folder, result, seconds if is_whole else None)


def measure_base(library: Library, base: str, device: str = "auto") -> Generator[Event, None, None]:
    """Ask a run of the library held-out questions, and keep what share it answers (models.evaluation.record).

    Yields the events of that; ValueError where it cannot be asked.
    """
    run = RunFolder.open(library.find_run(base))
    check_can_reply(library, base)
    yield Phase(name=f"Measuring {run.name}")
    model, tokenizer = load_chat_model(library, base, device)
    for event in evaluate(model, tokenizer, World(world_seed_of(run))):
        if isinstance(event, Evaluated):
            write_evaluation(run.folder, event)
        yield event
