"""`terrarium sweep`: train a run with different values of a few settings, or a design beside its built-in twin, and
compare the results.
"""

from __future__ import annotations

from typing import Any

from terrarium.app.commands.common import UsageError
from terrarium.app.commands.options import Command, option, print_json
from terrarium.app.commands.progress import ProgressLine
from terrarium.app.commands.queue import DONE, FAILED, INTERRUPTED, print_queue, work_through
from terrarium.app.commands.spec_options import SpecOptions
from terrarium.models.library.library import Library
from terrarium.models.metrics.metrics_table import METRICS
from terrarium.models.number_words import format_duration
from terrarium.models.runs.run_queue import RunQueue
from terrarium.models.runs.sweep import (
    SweepRange,
    SweepRun,
    SweepValues,
    compare_runs,
    grid,
    parse_range,
    parse_values,
    random_search,
    sweep_infos,
    sweep_tag,
)
from terrarium.models.runs.twin import N_SEEDS, TwinResult, TwinSide, compare_twins, twin_of, twin_specs
from terrarium.models.settings.block_references import BLOCK_SLOTS
from terrarium.models.settings.run_spec import RunSpec


class Sweep(
    Command,
    description=__doc__,
    epilog="The table at the end lists the best run first. All runs have the sweep's tag in the window.",
):
    """Train a run with many settings, and compare them."""

    spec: SpecOptions
    values: tuple[str, ...] = option(
        "values of a setting, as train.lr=0.001,0.003; repeat for a grid of all combinations",
        metavar="NAME=A,B,…",
        complete="setting",
    )
    ranges: tuple[str, ...] = option(
        "a setting drawn at random (log-uniformly from a factor of 10 on); needs --random",
        "--range",
        metavar="NAME=LOW..HIGH",
        complete="setting",
    )
    random: int | None = option("draw N runs instead of the whole grid", metavar="N")
    twin: str | None = option(
        "train a design with a custom block, and its twin: with the built-in part in that place (default: the first "
        f"block's; {', '.join(BLOCK_SLOTS)}) and as many parameters",
        const="",
        choices=("", *BLOCK_SLOTS),
        metavar="PLACE",
    )
    seeds: int = option("with --twin: seeds of both", default=N_SEEDS, metavar="N")
    wait: bool = option("only queue the runs, and train them later")

    def run(self) -> int:
        """Queue the runs and train them; return 1 if a run failed, 130 if Ctrl-C stopped and saved one."""
        library = Library()
        queue = RunQueue(library)
        base = self.spec.to_queued_spec()
        self._variants(base)  # report invalid options before measuring anything
        with ProgressLine(as_json=self.as_json) as line:
            base = self.spec.with_proposals(base, library, line, device=self.device, quiet=self.as_json)
        specs = self._variants(base)
        tag = sweep_tag(library, base.name)
        if self.wait:
            queue.add_new(specs, tags=(tag,))
            print_queue(queue.items(), as_json=self.as_json)
            return DONE
        # Start draining first: if another process is draining the queue, nothing is added.
        with ProgressLine(as_json=self.as_json) as line, queue.draining():
            queue.add_new(specs, tags=(tag,))
            outcomes, interrupted = work_through(library, queue, self.device, line)
        infos = sweep_infos(library, tag)
        _print(tag, compare_runs(infos), None if self.twin is None else compare_twins(infos), as_json=self.as_json)
        if interrupted:
            return INTERRUPTED
        return FAILED if any(outcome.problem for outcome in outcomes) else DONE

    def _variants(self, base: RunSpec) -> list[RunSpec]:
        """Build the runs that the command line describes. Raises UsageError if one is invalid."""
        try:
            if self.twin is not None:
                if self.values or self.ranges or self.random is not None:
                    raise ValueError("--twin varies the design and the seed only: omit --values, --range and --random.")
                return twin_specs(base, twin_of(base.model, self.twin), self.seeds)
            choices = [parse_values(text) for text in self.values]
            ranges = [parse_range(base, text) for text in self.ranges]
            if self.random is None:
                if ranges:
                    raise ValueError("A range needs --random N: the number of runs to draw.")
                return grid(base, choices)
            axes: list[SweepValues | SweepRange] = [*choices, *ranges]
            return random_search(base, axes, self.random, base.train.seed)
        except ValueError as error:
            raise UsageError(str(error)) from error


def _print(tag: str, runs: list[SweepRun], twins: TwinResult | None, *, as_json: bool) -> None:
    if as_json:
        rows = [
            {"run": one.id, "name": one.name, "status": one.status, "best_loss": one.best_loss, "values": one.values}
            | ({one.metric: one.best_metric} if one.metric else {})
            for one in runs
        ]
        print_json({"sweep": tag, "runs": rows} | ({} if twins is None else {"twin": _as_dict(twins)}))
        return
    metric = runs[0].metric if runs else ""
    print(f"Sweep {tag}, by {f'{METRICS[metric].title} on validation' if metric else 'the lowest validation loss'}:")
    if twins is not None:
        for side in (twins.block, twins.twin):
            print(f"{side.title:<9}  {_describe(side)}")
        print(twins.sentence)
        return
    for one in runs:
        print(
            f"{one.best_text:>8}  {one.status:<9}  "
            + "  ".join(f"{name}={value}" for name, value in one.values.items())
        )


def _describe(side: TwinSide) -> str:
    """Describe a design's mean loss with its interval, its size and its speed in one line."""
    interval = "" if side.interval is None else f" ({side.interval[0]:.4f} to {side.interval[1]:.4f})"
    loss = "–" if side.mean is None else f"{side.mean:.4f}{interval}"
    size = "" if side.n_parameters is None else f"  {side.n_parameters:,} parameters"
    return f"{loss}{size}" + ("" if side.step_s is None else f"  {format_duration(side.step_s, fine=True)} per step")


def _as_dict(twins: TwinResult) -> dict[str, Any]:
    sides = {
        name: {
            "losses": side.losses,
            "mean_loss": side.mean,
            "interval": side.interval,
            "parameters": side.n_parameters,
            "seconds_per_step": side.step_s,
        }
        for name, side in (("block", twins.block), ("built_in", twins.twin))
    }
    return {**sides, "differences": twins.differences, "interval": twins.interval, "sentence": twins.sentence}
