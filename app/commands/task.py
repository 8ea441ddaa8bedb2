"""`terrarium task`: train on a task of Tiny World or of real data, and compare the score with baselines."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from terrarium.app.commands.common import UsageError, add_common, print_json
from terrarium.app.commands.progress import ProgressLine, drive, stop_on_interrupt
from terrarium.app.commands.queue import add_queue_option, queue_recipe
from terrarium.models.library.library import Library
from terrarium.models.metrics.metrics_table import METRICS, format_score
from terrarium.models.number_words import format_minutes
from terrarium.models.published.corpora import COLLECTIONS
from terrarium.models.recipes.recipe_specs import task_spec
from terrarium.models.recipes.tasks.published import ALL_RECIPES
from terrarium.models.recipes.tasks.tasks_table import Bar

if TYPE_CHECKING:
    from terrarium.models.recipes.tasks.results import TaskResult

DONE, INTERRUPTED = 0, 130


def add_parser(subparsers: Any) -> argparse.ArgumentParser:
    """Add this command's options."""
    parser: argparse.ArgumentParser = subparsers.add_parser(
        "task",
        help="learn a task, and compare with simple rules",
        description="Make a dataset, train a small model on it, predict its held-out rows, and set the scores beside "
        "those of simple rules on the same rows.",
        epilog="\n".join(
            f"{name}: {recipe.help} {bars_text(recipe.bars)} ({format_minutes(60 * recipe.minutes)})"
            for name, recipe in ALL_RECIPES.items()
        ),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("name", metavar="NAME", choices=tuple(ALL_RECIPES), help=", ".join(ALL_RECIPES))
    parser.add_argument("--seed", type=int, default=0, help="random seed of the world and the model (default: 0)")
    parser.add_argument(
        "--seeds", type=int, default=1, metavar="N", help="N seeds from --seed on: the mean, and each (default: 1)"
    )
    parser.add_argument("--minutes", type=float, help="train as long as fits into so many minutes")
    parser.add_argument("--from", dest="parent", default="", metavar="MODEL", help="fine-tune this model instead")
    parser.add_argument(
        "--data",
        default="",
        metavar="FILE-or-DATASET",
        help=f"the package's file that {', '.join(COLLECTIONS)} read; or your own rows of the same form: JSON "
        "lines, or a dataset",
    )
    add_queue_option(parser)
    add_common(parser)
    return parser


def run(args: argparse.Namespace) -> int:
    """Train on the task and print the scores; return 130 if Ctrl-C stopped and saved the run."""
    if args.seeds < 1 or args.seed < 0:
        raise UsageError("--seeds must be at least 1, and --seed at least 0.")
    if args.queue:
        if args.seeds > 1 or args.minutes is not None:
            raise UsageError("--queue takes one seed and the recipe's own number of steps: omit --seeds and --minutes.")
        recipe = task_spec(args.name, args.seed, args.parent, args.data)
        queue_recipe(Library(), recipe, as_json=args.json)
        return DONE
    from terrarium.models.recipes.job import RunJob
    from terrarium.models.recipes.tasks.results import summary_of
    from terrarium.models.recipes.tasks.running import TaskRun

    results: list[TaskResult] = []
    for seed in range(args.seed, args.seed + args.seeds):
        task = TaskRun(ALL_RECIPES[args.name], seed=seed, minutes=args.minutes, parent=args.parent, data=args.data)
        job = RunJob(Library(), task, device=args.device)
        with ProgressLine(as_json=args.json) as line, stop_on_interrupt(job.request_stop) as interrupt:
            drive(job.events(), line)
        if job.result is not None:
            results.append(job.result)
            if not args.json:
                print_result(job.result)
        if interrupt.happened:
            return INTERRUPTED
    summary = summary_of(results)
    if args.json:
        print_json(summary if args.seeds > 1 else results[0].to_dict())
    elif args.seeds > 1:
        metric = summary["metric"]
        each = ", ".join(format_score(metric, result.report.value) for result in results)
        print(
            f"Mean of {len(results)} seeds: {METRICS[metric].title} {format_score(metric, summary['score'])} ({each})"
        )
    return DONE


def print_result(result: TaskResult) -> None:
    """Print the scores of each group beside those of the baselines, and whether the required scores are reached."""
    print(f"{ALL_RECIPES[result.name].title}, seed {result.seed}")
    metrics = dict.fromkeys((result.metric, *(bar.metric for bar in result.bars)))
    for group, scores in result.groups.items():
        print(f"{group or 'all'}: {scores.report.n:,} rows")
        for metric in metrics:
            if metric not in scores.report.scores:
                continue
            score = scores.report.scores[metric]
            between = " to ".join(format_score(metric, bound) for bound in score.interval or ())
            rules = ", ".join(
                f"{title} {format_score(metric, report.scores[metric].value)}"
                for title, report in scores.baselines.items()
                if metric in report.scores
            )
            value = format_score(metric, score.value)
            print(f"  {METRICS[metric].title:<16} {value:>8}  {between:<18}  {rules}")
        if outcomes := scores.report.details.get("outcomes"):
            print("  " + ", ".join(f"{outcome}: {n}" for outcome, n in outcomes.items()))
    for note in result.report.notes:
        print(note)
    if result.bars:
        reached = "; ".join(f"{format_score(bar.metric, result.score_of(bar))} ({bar})" for bar in result.bars)
        print(f"{'The goal is reached' if result.are_bars_met else 'The goal is NOT reached'}: {reached}")
    print(f"took {result.seconds:.0f} s")
    print(result.run)


def bars_text(bars: tuple[Bar, ...]) -> str:
    """Describe the required scores of a task in one sentence."""
    return f"Goal: {'; '.join(map(str, bars))}."
