"""`terrarium queue`: queue runs, reorder them, and train them one after the other."""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
from typing import TYPE_CHECKING, Any

from terrarium.app.commands.common import add_common, print_json
from terrarium.app.commands.progress import Interrupt, ProgressLine, drive, stop_on_interrupt
from terrarium.app.commands.train import add_spec_options, lengthened_run, run_to_resume, spec_to_queue, with_proposals
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


def add_parser(subparsers: Any) -> argparse.ArgumentParser:
    """Add this command's options."""
    parser: argparse.ArgumentParser = subparsers.add_parser(
        "queue",
        help="queue runs, and train them one after the other",
        description=__doc__,
        epilog="A run leaves the queue when it starts. One that was killed stays interrupted: `queue add --resume RUN` "
        "queues it again.",
    )
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    listing = actions.add_parser("list", help="list the queue, the next one first")
    add = actions.add_parser("add", help="add a new run, or a run to resume")
    add_spec_options(add)
    add.add_argument("--resume", metavar="RUN", help="add this run (path, id or name), to be resumed")
    add.add_argument(
        "--longer", metavar="RUN", help="add a run that trains this one longer: to --steps N in all, or as long again"
    )
    move = actions.add_parser("move", help="move an item")
    move.add_argument("item", metavar="ITEM", help="its id, or its name")
    move.add_argument("place", type=int, metavar="PLACE", help="1 is the next one")
    remove = actions.add_parser("remove", help="remove an item")
    remove.add_argument("item", metavar="ITEM", help="its id, or its name")
    start = actions.add_parser(
        "run", help="train the whole queue, retrying items that could not start; a failure does not stop the others"
    )
    for action in (listing, add, move, remove, start):
        add_common(action)
    return parser


def run(args: argparse.Namespace) -> int:
    """Perform the action; `run` returns 1 if a run failed, 130 if Ctrl-C stopped and saved a run."""
    library = Library()
    queue = RunQueue(library)
    match args.action:
        case "add":
            _add(args, library, queue)
        case "move":
            queue.move(_find(queue, args.item).id, args.place - 1)
        case "remove":
            queue.remove(_find(queue, args.item).id)
        case "run":
            return _run(args, library, queue)
    print_queue(queue.items(), as_json=args.json)
    return DONE


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


def add_queue_option(parser: argparse.ArgumentParser) -> None:
    """Add the option --queue, which queues a recipe instead of running it."""
    parser.add_argument(
        "--queue", action="store_true", help="add it to the queue instead, for the window or `terrarium queue run`"
    )


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


def _add(args: argparse.Namespace, library: Library, queue: RunQueue) -> None:
    if args.resume is None and args.longer is None:
        spec = spec_to_queue(args)
        with ProgressLine(as_json=args.json) as line:
            queue.add_new([with_proposals(spec, args, library, line)])
        return
    run = lengthened_run(args, library) if args.resume is None else run_to_resume(args, library)
    if run.folder != library.runs / run.id:
        raise ValueError(
            f"{run.folder} is not in the library {library.home}, so it cannot be queued: use train --resume."
        )
    queue.add_run(run.id, run.name)


def _find(queue: RunQueue, text: str) -> QueuedRun:
    items = queue.items()
    for item in items:
        if text in (item.id, item.name):
            return item
    names = ", ".join(repr(item.name) for item in items[:5])
    raise ValueError(f"{text!r} is not in the queue: " + (f"it has {names}." if names else "it is empty."))


def _run(args: argparse.Namespace, library: Library, queue: RunQueue) -> int:
    with queue.draining():  # otherwise the process that drains the queue decides what to retry
        queue.retry_all()
    with ProgressLine(as_json=args.json) as line:
        outcomes, interrupted = work_through(library, queue, args.device, line)
    if args.json:
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
