"""`terrarium queue`: let runs wait, put them in order, and train them one after the other."""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
from typing import TYPE_CHECKING, Any

from app.commands.common import add_common, print_json
from app.commands.interrupt import stop_on_interrupt
from app.commands.progress import ProgressLine, drive
from app.commands.train import add_spec_options, run_to_resume, spec_to_wait
from app.worker.failures import describe
from models.events import Notice, RunStarted
from models.library.library import Library
from models.runs.run_queue import RunQueue, Waiting

if TYPE_CHECKING:
    from collections.abc import Generator

    from models.events import Event
    from models.runs.run_folder import RunFolder
    from models.training.trainer import Trainer

DONE, FAILED, INTERRUPTED = 0, 1, 130


@dataclasses.dataclass(frozen=True, kw_only=True)
class Outcome:
    """What became of something that waited. `run` is its folder's id, "" where it could not begin."""

    name: str
    run: str
    status: str
    problem: str = ""


def add_parser(subparsers: Any) -> argparse.ArgumentParser:
    """Add this command's options."""
    parser: argparse.ArgumentParser = subparsers.add_parser(
        "queue",
        help="let runs wait, and train them one after the other",
        description=__doc__,
        epilog="A run leaves the queue when it begins. One that was killed stays interrupted: `queue add --resume RUN` "
        "lets it wait to go on.",
    )
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    listing = actions.add_parser("list", help="what waits, the next one first")
    add = actions.add_parser("add", help="let a new run wait, or a run that goes on")
    add_spec_options(add)
    add.add_argument("--resume", metavar="RUN", help="let this run (path, id or name) wait to go on")
    move = actions.add_parser("move", help="put one at another place")
    move.add_argument("item", metavar="ITEM", help="its id, or its name")
    move.add_argument("place", type=int, metavar="PLACE", help="1 is the next one")
    remove = actions.add_parser("remove", help="take one out")
    remove.add_argument("item", metavar="ITEM", help="its id, or its name")
    start = actions.add_parser(
        "run", help="train all that waits, also what could not begin before; one that fails stops no other"
    )
    for action in (listing, add, move, remove, start):
        add_common(action)
    return parser


def run(args: argparse.Namespace) -> int:
    """Do what is asked; of `run`, 1 where something failed, 130 where Ctrl-C stopped it (and it was saved)."""
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
    show_waiting(queue.items(), as_json=args.json)
    return DONE


def show_waiting(items: list[Waiting], *, as_json: bool) -> None:
    """Print what waits."""
    if as_json:
        rows = [{"id": item.id, "name": item.name, "run": item.run, "problem": item.problem} for item in items]
        print_json({"waiting": rows})
        return
    for place, item in enumerate(items, start=1):
        also = f"   could not begin: {item.problem}" if item.problem else "   goes on" if item.run else ""
        print(f"{place:>3}  {item.id}  {item.name}{also}")
    if not items:
        print("Nothing waits.")


def work_through(library: Library, queue: RunQueue, device: str, line: ProgressLine) -> tuple[list[Outcome], bool]:
    """Train all that waits, one after the other; what became of each, and whether Ctrl-C ended it.

    Raises:
        ValueError: where another window or command is at it.
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
    if args.resume is None:
        queue.add_new([spec_to_wait(args)])
        return
    run = run_to_resume(args, library)
    if run.folder != library.runs / run.id:
        raise ValueError(
            f"{run.folder} is no run of the library {library.home}, so it cannot wait: use train --resume."
        )
    queue.add_run(run.id, run.name)


def _find(queue: RunQueue, text: str) -> Waiting:
    items = queue.items()
    for item in items:
        if text in (item.id, item.name):
            return item
    names = ", ".join(repr(item.name) for item in items[:5])
    raise ValueError(f"Nothing called {text!r} waits: " + (f"there is {names}." if names else "the queue is empty."))


def _run(args: argparse.Namespace, library: Library, queue: RunQueue) -> int:
    with queue.draining():  # else it is for whoever works through it to say
        queue.try_all_again()
    with ProgressLine(as_json=args.json) as line:
        outcomes, interrupted = work_through(library, queue, args.device, line)
    if args.json:
        print_json({"runs": [dataclasses.asdict(outcome) for outcome in outcomes]})
    else:
        for outcome in outcomes:
            print(f"{outcome.status:<9}  {outcome.name}  {outcome.problem or library.runs / outcome.run}")
        if not outcomes:
            print("Nothing waits.")
    if interrupted:
        return INTERRUPTED
    return FAILED if any(outcome.problem for outcome in outcomes) else DONE


def _train(library: Library, queue: RunQueue, item: Waiting, device: str, line: ProgressLine) -> tuple[Outcome, bool]:
    """Train one; what fails is noted with the item, or with its run, and ends nothing else."""
    from models.training.prepare import prepare_waiting
    from models.training.trainer import Trainer

    line.show(Notice(sentence=f"“{item.name}”"))
    folder: RunFolder | None = None
    try:
        folder = drive(prepare_waiting(library, queue, item), line)
        trainer = Trainer(folder, library, device=device)
        with stop_on_interrupt(lambda: trainer.request_stop(keep=True)) as interrupt:
            drive(_leaving(queue, item, trainer), line)
    except (ValueError, OSError, RuntimeError, MemoryError) as error:
        sentence = describe(error).sentence
        line.show(Notice(sentence=sentence))
        with contextlib.suppress(ValueError):  # it has left the queue: its run tells of the failure
            queue.set_problem(item.id, sentence)
        return Outcome(name=item.name, run=folder.id if folder else "", status="failed", problem=sentence), False
    return Outcome(name=folder.name, run=folder.id, status=folder.status), interrupt.happened


def _leaving(queue: RunQueue, item: Waiting, trainer: Trainer) -> Generator[Event, None, None]:
    """The trainer's events; a run that goes on leaves the queue when it has begun."""
    for event in trainer.events():
        if item.run and isinstance(event, RunStarted):
            queue.remove(item.id)
        yield event
