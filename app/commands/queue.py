"""`terrarium queue`: queue runs, reorder them, and train them one after the other."""

from __future__ import annotations

import contextlib
import dataclasses
from typing import TYPE_CHECKING, Any

from terrarium.app.commands.options import Command, Group, argument, option, print_json
from terrarium.app.commands.progress import Interrupt, ProgressLine, drive, stop_on_interrupt
from terrarium.app.commands.spec_options import SpecOptions
from terrarium.app.commands.train import lengthened_run, run_to_resume
from terrarium.app.worker.failures import describe
from terrarium.models.events import Notice, RunStarted
from terrarium.models.library.library import Library
from terrarium.models.runs.run_folder import RunFolder
from terrarium.models.runs.run_queue import QueuedRun, RecipeSpec, RunQueue

if TYPE_CHECKING:
    from collections.abc import Generator

    from terrarium.models.events import Event
    from terrarium.models.recipes.job import RunJob

DONE, FAILED, INTERRUPTED = 0, 1, 130


@dataclasses.dataclass(frozen=True, kw_only=True)
class Outcome:
    """The result of a queue item. `run` is its id, "" if it could not start."""

    name: str
    run: str
    status: str
    problem: str = ""


class ListQueue(Command):
    """List the queue, the next one first."""

    def run(self) -> None:
        """Print the queue."""
        print_queue(RunQueue(Library()).items(), as_json=self.as_json)


class Add(Command):
    """Add a new run, or a run to resume."""

    spec: SpecOptions
    resume: str | None = option("add this run (path, id or name), to be resumed", metavar="RUN", complete="run")
    longer: str | None = option(
        "add a run that trains this one longer: to --steps N in all, or as long again", metavar="RUN", complete="run"
    )

    def run(self) -> None:
        """Add it, and print the queue."""
        library = Library()
        queue = RunQueue(library)
        self._add(library, queue)
        print_queue(queue.items(), as_json=self.as_json)

    def _add(self, library: Library, queue: RunQueue) -> None:
        if self.resume is not None:
            run = run_to_resume(library, self.resume, self.spec, longer=self.longer)
        elif self.longer is not None:
            run = lengthened_run(library, self.longer, self.spec)
        else:
            spec = self.spec.to_queued_spec()
            with ProgressLine(as_json=self.as_json) as line:
                spec = self.spec.with_proposals(spec, library, line, device=self.device, quiet=self.as_json)
                queue.add_new([spec])
            return
        if run.folder != library.runs / run.id:
            raise ValueError(
                f"{run.folder} is not in the library {library.home}, so it cannot be queued: use train --resume."
            )
        queue.add_run(run.id, run.name)


class Move(Command):
    """Move an item."""

    item: str = argument("ITEM", "its id, or its name")
    place: int = argument("PLACE", "1 is the next one")

    def run(self) -> None:
        """Move it, and print the queue."""
        queue = RunQueue(Library())
        queue.move(_find(queue, self.item).id, self.place - 1)
        print_queue(queue.items(), as_json=self.as_json)


class Remove(Command):
    """Remove an item."""

    item: str = argument("ITEM", "its id, or its name")

    def run(self) -> None:
        """Remove it, and print the queue."""
        queue = RunQueue(Library())
        queue.remove(_find(queue, self.item).id)
        print_queue(queue.items(), as_json=self.as_json)


class Run(Command):
    """Train the whole queue, retrying items that could not start; a failure does not stop the others."""

    def run(self) -> int:
        """Train; return 1 if a run failed, 130 if Ctrl-C stopped and saved a run."""
        library = Library()
        queue = RunQueue(library)
        with queue.draining():  # otherwise the process that drains the queue decides what to retry
            queue.retry_all()
        with ProgressLine(as_json=self.as_json) as line:
            outcomes, interrupted = work_through(library, queue, self.device, line)
        if self.as_json:
            print_json({"runs": [dataclasses.asdict(outcome) for outcome in outcomes]})
        else:
            for outcome in outcomes:
                run = library.runs / outcome.run if outcome.run else ""
                print(f"{outcome.status:<9}  {outcome.name}  {outcome.problem or run}")
            if not outcomes:
                print("The queue is empty.")
        if interrupted:
            return INTERRUPTED
        return FAILED if any(outcome.problem for outcome in outcomes) else DONE


COMMAND = Group(
    actions={"list": ListQueue, "add": Add, "move": Move, "remove": Remove, "run": Run},
    help="queue runs, and train them one after the other",
    description=__doc__,
    epilog="A run leaves the queue when it starts. One that was killed stays interrupted: `queue add --resume RUN` "
    "queues it again.",
)


def queue_option() -> Any:
    """Return the field of the option --queue, which queues a recipe instead of running it."""
    return option("add it to the queue instead, for the window or `terrarium queue run`")


def print_queue(items: list[QueuedRun], *, as_json: bool) -> None:
    """Print the queue."""
    if as_json:
        rows = [
            {
                "id": item.id,
                "name": item.name,
                "run": item.run,
                "recipe": "" if item.recipe is None else item.recipe.name or item.recipe.kind,
                "problem": item.problem,
            }
            for item in items
        ]
        print_json({"waiting": rows})
        return
    for number, item in enumerate(items, start=1):
        also = f"   could not start: {item.problem}" if item.problem else "   resumes" if item.run else ""
        print(f"{number:>3}  {item.id}  {item.name}{also}")
    if not items:
        print("The queue is empty.")


def queue_recipe(library: Library, recipe: RecipeSpec, *, as_json: bool) -> None:
    """Add a recipe to the queue, and print the queue."""
    from terrarium.models.recipes.recipe_specs import title_of

    queue = RunQueue(library)
    queue.add_recipe(recipe, title_of(recipe))
    print_queue(queue.items(), as_json=as_json)


def work_through(library: Library, queue: RunQueue, device: str, line: ProgressLine) -> tuple[list[Outcome], bool]:
    """Train all queue items, one after the other; return their outcomes, and whether Ctrl-C stopped it.

    Raises:
        ValueError: if another window or command is draining the queue.
    """
    outcomes: list[Outcome] = []
    with queue.draining():
        while (item := queue.next()) is not None:
            outcome, interrupted = _train(library, queue, item, device, line)
            outcomes.append(outcome)
            if interrupted:
                return outcomes, True
    return outcomes, False


def _find(queue: RunQueue, text: str) -> QueuedRun:
    items = queue.items()
    for item in items:
        if text in (item.id, item.name):
            return item
    names = ", ".join(repr(item.name) for item in items[:5])
    raise ValueError(f"{text!r} is not in the queue: " + (f"it has {names}." if names else "it is empty."))


def _train(library: Library, queue: RunQueue, item: QueuedRun, device: str, line: ProgressLine) -> tuple[Outcome, bool]:
    """Train an item or run its recipe; return its outcome, and whether Ctrl-C was pressed.

    A failure is recorded in the item or its run, and does not stop the others. The outcome of a recipe has the id of
    the last run that it trained.
    """
    from terrarium.models.recipes.recipes import make_job, resume
    from terrarium.models.training.prepare import prepare_queued

    line.show(Notice(sentence=f"“{item.name}”"))
    run, interrupt = "", Interrupt()

    def leaving(job: RunJob) -> Generator[Event, None, None]:
        """Pass on the events; remove a resumed run or recipe from the queue when training starts or was not needed."""
        nonlocal run
        is_queued = item.spec is None
        for event in job.events():
            if isinstance(event, RunStarted):
                run = event.run_id if item.recipe is not None else run
                if is_queued:
                    queue.remove(item.id)
                is_queued = False
            yield event
        if is_queued and not interrupt.happened:
            queue.remove(item.id)

    try:
        if item.recipe is not None:
            job = make_job(library, item.recipe, device)
        else:
            folder = drive(prepare_queued(library, queue, item), line)
            run, job = folder.id, resume(library, folder, device=device)
        with stop_on_interrupt(job.request_stop) as interrupt:
            drive(leaving(job), line)
    except (ValueError, OSError, RuntimeError, MemoryError) as error:
        sentence = describe(error).sentence
        line.show(Notice(sentence=sentence))
        with contextlib.suppress(ValueError):  # it is no longer in the queue: its run records the failure
            queue.set_problem(item.id, sentence)
        return Outcome(name=item.name, run=run, status="failed", problem=sentence), False
    if not run:
        status = "stopped" if interrupt.happened else "finished"
        return Outcome(name=item.name, run="", status=status), interrupt.happened
    done = RunFolder.open(library.runs / run)  # read again, as a demonstration opens it itself
    return Outcome(name=item.name if item.recipe else done.name, run=run, status=done.status), interrupt.happened
