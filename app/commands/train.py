"""`terrarium train`: train a model from scratch or from the weights of another; resume, lengthen or fork a run."""

from __future__ import annotations

import dataclasses
import math
from typing import TYPE_CHECKING, Any

from terrarium.app.commands.common import UsageError
from terrarium.app.commands.options import Command, option
from terrarium.app.commands.progress import ProgressLine, drive, ignore_signals, stop_on_interrupt
from terrarium.app.commands.spec_options import SpecOptions, split_checkpoint
from terrarium.models.evaluation.record import read_forgetting
from terrarium.models.events import Evaluated, RunStarted, TrainMetrics, ValMetrics
from terrarium.models.library.library import Library
from terrarium.models.library.run_record import inspect_run
from terrarium.models.metrics.metrics_table import METRICS, format_score
from terrarium.models.runs.run_folder import RunFolder
from terrarium.models.settings.spec_changes import changed_spec
from terrarium.models.settings.tasks import TASKS
from terrarium.models.training.parallel.join import join
from terrarium.models.training.parallel.process_group import ProcessGroup
from terrarium.models.training.schedule import lengthened

if TYPE_CHECKING:
    from collections.abc import Generator

    from terrarium.models.events import Event
    from terrarium.models.recipes.job import RunJob
    from terrarium.models.training.trainer import Trainer

DONE, INTERRUPTED = 0, 130


class Train(
    Command,
    description=__doc__,
    epilog="To fine-tune: terrarium train --from MODEL --dataset NAME. --set tune.NAME=VALUE changes how, as "
    "tune.n_last=2, tune.lora_r=16 or tune.old_share=0.2. The run's folder is the last line on stdout. Ctrl-C "
    "stops after the step and saves; twice aborts.",
):
    """Train or fine-tune a model, or resume a run."""

    spec: SpecOptions
    fork: str | None = option(
        "a new run from a checkpoint of this one (default: the last), with its curves",
        metavar="RUN[@STEP]",
        complete="run",
    )
    longer: str | None = option(
        "train this run longer, as a new run that continues its curves: to --steps N in all (default: as long again)",
        metavar="RUN",
        complete="run",
    )
    resume: str | None = option(
        "resume this run (path, id or name) from its last checkpoint", metavar="RUN", complete="run"
    )

    def run(self) -> int:
        """Train; return 130 if Ctrl-C stopped and saved the run. Under torchrun, only the main process controls it."""
        with join() as process_group:
            if process_group.is_main_process:
                return self._train(process_group)
            from terrarium.models.training.follow import follow

            with ignore_signals():
                follow(Library(), self.device, process_group)
            return DONE

    def _train(self, process_group: ProcessGroup) -> int:
        library = Library()
        with ProgressLine(as_json=self.as_json) as line:
            if self.resume:
                folder = run_to_resume(library, self.resume, self.spec, fork=self.fork, longer=self.longer)
            elif self.longer:
                folder = lengthened_run(library, self.longer, self.spec, fork=self.fork)
            elif self.fork:
                folder = self._fork(library, self.fork)
            else:
                folder = self._prepare(library, line)
            process_group.broadcast_text(str(folder.folder))
            job = self._job(library, folder, process_group)
            latest = _Latest()
            is_one = process_group.size == 1
            with stop_on_interrupt(lambda: job.request_stop(keep=True), or_terminate=not is_one) as interrupt:
                drive(latest.watch(job, folder.id), line)
            folder = RunFolder.open(folder.folder)  # a demonstration has opened it itself
            forgetting = read_forgetting(folder.folder)
            if not self.as_json:
                line.say(latest.summary(folder.spec.learned_task))
                if forgetting is not None and forgetting.after is not None:
                    line.say(forgetting.sentence())
                if latest.evaluated is not None:
                    line.say(f"held-out accuracy: {100 * latest.evaluated.accuracy:.1f} %")
        self.show(
            {
                "run": str(folder.folder),
                "id": folder.id,
                "name": folder.name,
                "status": folder.status,
                "step": inspect_run(folder.folder).step,
                "loss": latest.train.loss if latest.train else None,
                "val_loss": latest.validation.loss if latest.validation else None,
                **latest.quality(),
                **({"accuracy": latest.evaluated.accuracy} if latest.evaluated is not None else {}),
                "forgetting": None if forgetting is None else dataclasses.asdict(forgetting),
            },
            folder.folder,
        )
        was_stopped = folder.status != "finished" or getattr(job, "was_stopped", False)
        return INTERRUPTED if interrupt.happened and was_stopped else DONE

    def _prepare(self, library: Library, line: ProgressLine) -> RunFolder:
        from terrarium.models.training.trainer import prepare_run

        spec = self.spec.to_spec()
        spec = self.spec.with_proposals(spec, library, line, device=self.device, quiet=self.as_json)
        return drive(prepare_run(library, spec), line)

    def _job(self, library: Library, run: RunFolder, process_group: ProcessGroup) -> RunJob | Trainer:
        """Return the job that trains the run. With --resume and a single process, it is the rest of its recipe."""
        if self.resume and process_group.size == 1:
            from terrarium.models.recipes.recipes import resume

            return resume(library, run, device=self.device)
        from terrarium.models.training.trainer import Trainer

        return Trainer(run, library, device=self.device, process_group=process_group)

    def _fork(self, library: Library, run: str) -> RunFolder:
        from terrarium.models.runs.fork import fork_run, list_checkpoints

        if given := self.spec.what_is_given():
            raise UsageError(f"A fork keeps the model and data of its source: omit {given[0]}.")
        name, step = split_checkpoint(run)
        source = RunFolder.open(library.find_run(name))
        try:
            changes = self.spec.changed()
            fixed = [name for name in changes if not name.startswith("train.")]
            if fixed:
                raise UsageError(f"A fork keeps the model and data of its source: omit {fixed[0]}, or use --like.")
            steps = changed_spec(source.spec, changes).train.steps
            since = step if step is not None else max((one.step for one in list_checkpoints(source)), default=0)
            longer = dataclasses.replace(source.spec, train=lengthened(source.spec.train, steps, since))
            train = changed_spec(longer, changes).train
        except ValueError as error:
            raise UsageError(str(error)) from error
        return fork_run(library, source, step, name=self.spec.name, train=train)


def lengthened_run(library: Library, run: str, options: SpecOptions, *, fork: str | None = None) -> RunFolder:
    """Fork a run, to train it longer.

    Raises:
        UsageError: if the options also name something else to train.
    """
    if given := ["fork"] * (fork is not None) + options.what_is_given("seed", "changes"):
        raise UsageError(f"A run that is trained longer keeps its settings: omit {given[0]}, or use --fork.")
    from terrarium.models.training.proposal.longer import fork_longer

    return fork_longer(library, RunFolder.open(library.find_run(run)), options.steps, options.name)


def run_to_resume(
    library: Library, run: str, options: SpecOptions, *, fork: str | None = None, longer: str | None = None
) -> RunFolder:
    """Open a run to resume.

    Raises:
        UsageError: if the options also say what to train.
    """
    given = ["fork"] * (fork is not None) + ["longer"] * (longer is not None)
    if given := given + options.what_is_given("steps", "seed", "name", "changes"):
        raise UsageError(f"A resumed run keeps its settings: omit {given[0]}.")
    return RunFolder.open(library.find_run(run))


class _Latest:
    """The latest metrics of a run, and its evaluation."""

    def __init__(self) -> None:
        self.train: TrainMetrics | None = None
        self.validation: ValMetrics | None = None
        self.evaluated: Evaluated | None = None

    def watch(self, job: RunJob | Trainer, run_id: str) -> Generator[Event, None, None]:
        """Pass on the events of a job, and record the latest metrics of this run, as a recipe may train others, too."""
        is_its = True
        for event in job.events():
            if isinstance(event, RunStarted):
                is_its = event.run_id == run_id
            if is_its and isinstance(event, TrainMetrics):
                self.train = event
            elif is_its and isinstance(event, ValMetrics):
                self.validation = event
            elif isinstance(event, Evaluated):
                self.evaluated = event
            yield event

    def quality(self) -> dict[str, Any]:
        """Return the last validation's result beside its loss: the metric of a task, else bits per byte."""
        if self.validation is None or self.validation.metric is None:
            return {"bits_per_byte": self.validation.bits_per_byte if self.validation else None}
        return {"metric": self.validation.metric, "metric_value": self.validation.metric_value}

    def summary(self, task: str) -> str:
        """Format the metrics in one line. task: see RunSpec.learned_task."""
        metric = self.validation.metric if self.validation else None
        unit = TASKS[task or "language"].loss_unit
        parts = [f"loss {self.train.loss:.3f} {unit}"] if self.train else []
        if self.validation:
            bits = self.validation.bits_per_byte
            also = "" if bits is None else f", {bits:.3f} bits/byte"
            if math.isfinite(self.validation.loss):
                parts.append(f"validation {self.validation.loss:.3f} {unit}{also}")
            if metric is not None:
                parts.append(f"{METRICS[metric].title} {format_score(metric, self.validation.metric_value)}")
        return " · ".join(parts) or "nothing was left to train"
