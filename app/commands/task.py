"""`terrarium task`: train on a task of Tiny World or of real data, and compare the score with baselines."""

from __future__ import annotations

from typing import TYPE_CHECKING

from terrarium.app.commands.common import UsageError
from terrarium.app.commands.options import Command, argument, option, print_json
from terrarium.app.commands.progress import ProgressLine, drive, stop_on_interrupt
from terrarium.app.commands.queue import queue_option, queue_recipe
from terrarium.models.library.library import Library
from terrarium.models.metrics.metrics_table import METRICS, format_score
from terrarium.models.number_words import format_minutes
from terrarium.models.published.corpora import COLLECTIONS
from terrarium.models.recipes.recipe_specs import task_spec
from terrarium.models.recipes.tasks.published import ALL_RECIPES

if TYPE_CHECKING:
    from terrarium.models.recipes.tasks.results import TaskResult

DONE, INTERRUPTED = 0, 130


class Task(
    Command,
    description="Make a dataset, train a small model on it, predict its held-out rows, and set the scores beside those "
    "of simple rules on the same rows.",
    epilog="\n".join(
        f"{name}: {recipe.help} Goal: {'; '.join(map(str, recipe.bars))}. ({format_minutes(60 * recipe.minutes)})"
        for name, recipe in ALL_RECIPES.items()
    ),
):
    """Learn a task, and compare with simple rules."""

    name: str = argument("NAME", ", ".join(ALL_RECIPES), choices=tuple(ALL_RECIPES))
    seed: int = option("random seed of the world and the model (default: 0)", default=0)
    seeds: int = option("N seeds from --seed on: the mean, and each", default=1, metavar="N")
    minutes: float | None = option("train as long as fits into so many minutes")
    parent: str = option("fine-tune this model instead", "--from", default="", metavar="MODEL", complete="model")
    data: str = option(
        f"the package's file that {', '.join(COLLECTIONS)} read; or your own rows of the same form: JSON lines, or a "
        "dataset",
        default="",
        metavar="FILE-or-DATASET",
        complete="dataset",
    )
    queue: bool = queue_option()

    def run(self) -> int:
        """Train on the task and print the scores; return 130 if Ctrl-C stopped and saved the run."""
        if self.seeds < 1 or self.seed < 0:
            raise UsageError("--seeds must be at least 1, and --seed at least 0.")
        if self.queue:
            if self.seeds > 1 or self.minutes is not None:
                raise UsageError(
                    "--queue takes one seed and the recipe's own number of steps: omit --seeds and --minutes."
                )
            recipe = task_spec(self.name, self.seed, self.parent, self.data)
            queue_recipe(Library(), recipe, as_json=self.as_json)
            return DONE
        from terrarium.models.recipes.job import RunJob
        from terrarium.models.recipes.tasks.results import summary_of
        from terrarium.models.recipes.tasks.running import TaskRun

        results: list[TaskResult] = []
        for seed in range(self.seed, self.seed + self.seeds):
            task = TaskRun(ALL_RECIPES[self.name], seed=seed, minutes=self.minutes, parent=self.parent, data=self.data)
            job = RunJob(Library(), task, device=self.device)
            with ProgressLine(as_json=self.as_json) as line, stop_on_interrupt(job.request_stop) as interrupt:
                drive(job.events(), line)
            if job.result is not None:
                results.append(job.result)
                if not self.as_json:
                    print_result(job.result)
            if interrupt.happened:
                return INTERRUPTED
        summary = summary_of(results)
        if self.as_json:
            print_json(summary if self.seeds > 1 else results[0].to_dict())
        elif self.seeds > 1:
            metric = summary["metric"]
            each = ", ".join(format_score(metric, result.report.value) for result in results)
            mean = format_score(metric, summary["score"])
            print(f"Mean of {len(results)} seeds: {METRICS[metric].title} {mean} ({each})")
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
