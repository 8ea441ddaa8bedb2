"""`terrarium sweep`: train a run with different values of a few settings, and compare the results."""

from __future__ import annotations

import argparse
from typing import Any

from terrarium.app.commands.common import UsageError, add_common, print_json
from terrarium.app.commands.progress import ProgressLine
from terrarium.app.commands.queue import DONE, FAILED, INTERRUPTED, print_queue, work_through
from terrarium.app.commands.train import add_spec_options, spec_to_queue, with_proposals
from terrarium.models.library.library import Library
from terrarium.models.metrics.metrics_table import METRICS
from terrarium.models.runs.run_queue import RunQueue
from terrarium.models.runs.sweep import SweepRange, SweepValues, grid, parse_range, parse_values, random_search
from terrarium.models.runs.sweep_result import SweepRun, sweep_runs, sweep_tag
from terrarium.models.settings.run_spec import RunSpec


def add_parser(subparsers: Any) -> argparse.ArgumentParser:
    """Add this command's options."""
    parser: argparse.ArgumentParser = subparsers.add_parser(
        "sweep",
        help="train a run with many settings, and compare them",
        description=__doc__,
        epilog="The table at the end lists the best run first. All runs have the sweep's tag in the window.",
    )
    add_spec_options(parser)
    parser.add_argument(
        "--values",
        action="append",
        default=[],
        metavar="NAME=A,B,…",
        help="values of a setting, as train.lr=0.001,0.003; repeat for a grid of all combinations",
    )
    parser.add_argument(
        "--range",
        dest="ranges",
        action="append",
        default=[],
        metavar="NAME=LOW..HIGH",
        help="a setting drawn at random (log-uniformly from a factor of 10 on); needs --random",
    )
    parser.add_argument("--random", type=int, metavar="N", help="draw N runs instead of the whole grid")
    parser.add_argument("--wait", action="store_true", help="only queue the runs, and train them later")
    add_common(parser)
    return parser


def run(args: argparse.Namespace) -> int:
    """Queue the runs and train them; return 1 if a run failed, 130 if Ctrl-C stopped and saved one."""
    library = Library()
    queue = RunQueue(library)
    base = spec_to_queue(args)
    _variants(base, args)  # report invalid options before measuring anything
    with ProgressLine(as_json=args.json) as line:
        base = with_proposals(base, args, library, line)
    specs = _variants(base, args)
    tag = sweep_tag(library, base.name)
    if args.wait:
        queue.add_new(specs, tags=(tag,))
        print_queue(queue.items(), as_json=args.json)
        return DONE
    # Start draining first: if another process is draining the queue, nothing is added.
    with ProgressLine(as_json=args.json) as line, queue.draining():
        queue.add_new(specs, tags=(tag,))
        outcomes, interrupted = work_through(library, queue, args.device, line)
    _print(tag, sweep_runs(library, tag), as_json=args.json)
    if interrupted:
        return INTERRUPTED
    return FAILED if any(outcome.problem for outcome in outcomes) else DONE


def _variants(base: RunSpec, args: argparse.Namespace) -> list[RunSpec]:
    """Build the runs that the command line describes. Raises UsageError if one is invalid."""
    try:
        choices = [parse_values(text) for text in args.values]
        ranges = [parse_range(base, text) for text in args.ranges]
        if args.random is None:
            if ranges:
                raise ValueError("A range needs --random N: the number of runs to draw.")
            return grid(base, choices)
        axes: list[SweepValues | SweepRange] = [*choices, *ranges]
        return random_search(base, axes, args.random, base.train.seed)
    except ValueError as error:
        raise UsageError(str(error)) from error


def _print(tag: str, runs: list[SweepRun], *, as_json: bool) -> None:
    if as_json:
        rows = [
            {"run": one.id, "name": one.name, "status": one.status, "best_loss": one.best_loss, "values": one.values}
            | ({one.metric: one.best_metric} if one.metric else {})
            for one in runs
        ]
        print_json({"sweep": tag, "runs": rows})
        return
    metric = runs[0].metric if runs else ""
    print(f"Sweep {tag}, by {f'{METRICS[metric].title} on validation' if metric else 'the lowest validation loss'}:")
    for one in runs:
        print(
            f"{one.best_text:>8}  {one.status:<9}  "
            + "  ".join(f"{name}={value}" for name, value in one.values.items())
        )
