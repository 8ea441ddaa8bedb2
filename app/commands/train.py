"""`terrarium train`: train a model from scratch or from the weights of another; resume, lengthen or fork a run."""

from __future__ import annotations

import argparse
import dataclasses
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

from terrarium.app.commands.common import UsageError, add_common, print_json
from terrarium.app.commands.progress import ProgressLine, drive, ignore_signals, stop_on_interrupt
from terrarium.models.evaluation.record import read_forgetting
from terrarium.models.events import Evaluated, RunStarted, TrainMetrics, ValMetrics
from terrarium.models.library.library import Library
from terrarium.models.library.run_record import inspect_run
from terrarium.models.metrics.metrics_table import METRICS, format_score
from terrarium.models.runs.run_folder import RunFolder
from terrarium.models.settings.align_spec import STAGES, AlignSpec, usual_align, usual_align_train
from terrarium.models.settings.presets import PRESETS
from terrarium.models.settings.run_spec import DataSpec, RunSpec, TokenizerSpec, TrainConfig
from terrarium.models.settings.spec_changes import changed_spec, parse_change
from terrarium.models.settings.spec_file import load_spec
from terrarium.models.settings.tasks import TASKS
from terrarium.models.settings.tune_spec import TUNE_MODES, TuneSpec, usual_train
from terrarium.models.tokenizers import KINDS, find_tokenizer
from terrarium.models.training.parallel.process_group import ProcessGroup, join
from terrarium.models.training.proposal.intervals import lengthened

if TYPE_CHECKING:
    from collections.abc import Generator

    from terrarium.models.events import Event
    from terrarium.models.recipes.job import RunJob
    from terrarium.models.training.trainer import Trainer

DONE, INTERRUPTED = 0, 130
_BY_OPTIONS = ("preset", "data", "dataset", "tokenizer", "vocab_size", "parent", "mode", "stage")
_OF_PARENT = ("preset", "tokenizer", "vocab_size")
"""The settings that a run from weights inherits from its parent."""


def add_parser(subparsers: Any) -> argparse.ArgumentParser:
    """Add this command's options."""
    parser: argparse.ArgumentParser = subparsers.add_parser(
        "train",
        help="train or fine-tune a model, or resume a run",
        description=__doc__,
        epilog="To fine-tune: terrarium train --from MODEL --dataset NAME. --set tune.NAME=VALUE changes how, as "
        "tune.n_last=2, tune.lora_r=16 or tune.old_share=0.2. The run's folder is the last line on stdout. Ctrl-C "
        "stops after the step and saves; twice aborts.",
    )
    add_spec_options(parser)
    parser.add_argument(
        "--fork",
        metavar="RUN[@STEP]",
        help="a new run from a checkpoint of this one (default: the last), with its curves",
    )
    parser.add_argument(
        "--longer",
        metavar="RUN",
        help="train this run longer, as a new run that continues its curves: to --steps N in all (default: as long "
        "again)",
    )
    parser.add_argument("--resume", metavar="RUN", help="resume this run (path, id or name) from its last checkpoint")
    add_common(parser)
    return parser


def add_spec_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that `spec_from_arguments` reads."""
    parser.add_argument(
        "spec", nargs="?", type=Path, metavar="SPEC.toml", help="the run's settings; options override them"
    )
    parser.add_argument(
        "--preset",
        choices=PRESETS,
        metavar="PRESET",
        help=f"the architecture (default: terrarium-tiny): {', '.join(PRESETS)}",
    )
    parser.add_argument(
        "--data",
        nargs="+",
        action="extend",
        metavar="FILE",
        help="learn this UTF-8 text (default: the synthetic Tiny World)",
    )
    parser.add_argument(
        "--dataset", metavar="NAME", help="learn the task of this dataset (they are listed by: terrarium data list)"
    )
    parser.add_argument(
        "--tokenizer", metavar="KIND-or-PATH", help=f"{', '.join(KINDS)}, a path or a name (default: bpe)"
    )
    parser.add_argument(
        "--vocab-size", type=int, metavar="V", help="vocabulary size of a new tokenizer (default: 1024)"
    )
    parser.add_argument("--steps", type=int, metavar="N", help="updates of the weights")
    parser.add_argument("--seed", type=int, metavar="S", help="seed of all random numbers")
    parser.add_argument("--name", help="name of the run")
    parser.add_argument(
        "--set",
        dest="changes",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="change a setting, as train.lr=0.003 or model.n_layer=4; may be given several times",
    )
    parser.add_argument(
        "--from",
        dest="parent",
        metavar="MODEL[@STEP]",
        help="fine-tune: start from the weights, design and tokenizer of this run, checkpoint, Hugging Face folder or "
        ".gguf file",
    )
    parser.add_argument(
        "--mode",
        choices=TUNE_MODES,
        help="with --from: train all weights (the default), the last layers, the head, or LoRA adapters",
    )
    parser.add_argument(
        "--stage",
        choices=STAGES,
        help="with --from and --dataset: learn from preferences or rewards instead of texts; --set align.NAME=VALUE "
        "changes a setting of the stage",
    )
    parser.add_argument("--like", metavar="RUN", help="a new run with the settings of this one (path, id or name)")


def run(args: argparse.Namespace) -> int:
    """Train; return 130 if Ctrl-C stopped and saved the run. Under torchrun, only the main process controls it."""
    with join() as process_group:
        if process_group.is_main_process:
            return _train(args, process_group)
        from terrarium.models.training.follow import follow

        with ignore_signals():
            follow(Library(), args.device, process_group)
        return DONE


def _train(args: argparse.Namespace, process_group: ProcessGroup) -> int:
    library = Library()
    with ProgressLine(as_json=args.json) as line:
        if args.resume:
            folder = run_to_resume(args, library)
        elif args.longer:
            folder = lengthened_run(args, library)
        elif args.fork:
            folder = _fork(args, library)
        else:
            folder = _prepare(args, library, line)
        process_group.broadcast_text(str(folder.folder))
        job = _job(args, library, folder, process_group)
        latest = _Latest()
        with stop_on_interrupt(lambda: job.request_stop(keep=True), or_terminate=process_group.size > 1) as interrupt:
            drive(latest.watch(job, folder.id), line)
        folder = RunFolder.open(folder.folder)  # a demonstration has opened it itself
        forgetting = read_forgetting(folder.folder)
        if not args.json:
            line.say(latest.summary(folder.spec.learned_task))
            if forgetting is not None and forgetting.after is not None:
                line.say(forgetting.sentence())
            if latest.evaluated is not None:
                line.say(f"held-out accuracy: {100 * latest.evaluated.accuracy:.1f} %")
    if args.json:
        print_json(
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
            }
        )
    else:
        print(folder.folder)
    was_stopped = folder.status != "finished" or getattr(job, "was_stopped", False)
    return INTERRUPTED if interrupt.happened and was_stopped else DONE


def _job(args: argparse.Namespace, library: Library, run: RunFolder, process_group: ProcessGroup) -> RunJob | Trainer:
    """Return the job that trains the run. With --resume and a single process, it is the rest of the run's recipe."""
    if args.resume and process_group.size == 1:
        from terrarium.models.recipes.recipes import resume

        return resume(library, run, device=args.device)
    from terrarium.models.training.trainer import Trainer

    return Trainer(run, library, device=args.device, process_group=process_group)


def spec_from_arguments(args: argparse.Namespace) -> RunSpec:
    """Return the spec of the run that the command line describes.

    Raises:
        UsageError: if it or the SPEC.toml is invalid.
    """
    given = [f"--{_option(name)}" for name in _BY_OPTIONS if getattr(args, name) is not None]
    source = args.spec or args.like
    if source is not None and given:
        raise UsageError(f"{source} already says what to train: omit {' and '.join(given)}, or {source}.")
    if args.spec is not None and args.like is not None:
        raise UsageError(f"Both {args.spec} and --like say what to train: omit one of them.")
    try:
        if args.like is not None:
            spec = _spec_like(args)
        else:
            spec = _spec_from_options(args) if args.spec is None else load_spec(args.spec)
        spec = changed_spec(spec, _changes(args))
        return dataclasses.replace(spec, name=args.name) if args.name is not None else spec
    except ValueError as error:
        raise UsageError(str(error)) from error


def spec_to_queue(args: argparse.Namespace) -> RunSpec:
    """Like `spec_from_arguments`, for a run that starts later: missing data files are reported now.

    Raises:
        UsageError: if the command line or the SPEC.toml is invalid, or a file is missing.
    """
    spec = spec_from_arguments(args)
    for file in spec.data.files if spec.data.source == "files" else ():
        if not Path(file).is_file():
            raise UsageError(f"{file} does not exist: check the name, or choose the file again.")
    return spec


def _changes(args: argparse.Namespace) -> dict[str, Any]:
    """Return the settings that the options change, as "train.lr" -> value."""
    changes = {name: _absolute(name, value) for name, value in map(parse_change, args.changes)}
    given = {f"train.{name}": getattr(args, name) for name in ("steps", "seed")}
    return changes | {name: value for name, value in given.items() if value is not None}


def _absolute(name: str, value: Any) -> Any:
    """Make data files absolute: a queued run may start in another working directory."""
    if name != "data.files" or not isinstance(value, list):
        return value
    return [str(Path(file).resolve()) if isinstance(file, str) else file for file in value]


def _spec_like(args: argparse.Namespace) -> RunSpec:
    from terrarium.models.runs.fork import spec_like

    library = Library()
    return spec_like(library, RunFolder.open(library.find_run(args.like)))


def _option(name: str) -> str:
    """Return an argument's name on the command line, without the leading dashes."""
    return "from" if name == "parent" else name.replace("_", "-")


def _tuned_from_options(args: argparse.Namespace) -> RunSpec:
    """Return the spec of a run from the weights of --from, with the default settings for a model of its size."""
    from terrarium.models.design import total_parameters
    from terrarium.models.interop.parents import parent_config

    given = [f"--{_option(name)}" for name in _OF_PARENT if getattr(args, name) is not None]
    given += [name for name, _ in map(parse_change, args.changes) if name.startswith(("model.", "tokenizer."))]
    if given:
        raise UsageError(f"A run from weights has the design and tokenizer of its parent: omit {given[0]}.")
    config = parent_config(Library(), args.parent)
    mode = args.mode or "all"
    path = Path(args.parent).expanduser()
    files = tuple(str(Path(file).resolve()) for file in args.data or ())
    about = path.stem if path.exists() else args.parent
    name = f"{about}-{args.dataset or Path(files[0]).stem}" if files or args.dataset else f"{about}-tuned"
    data, train, align = _data_spec(args, files), usual_train(mode, total_parameters(config)), None
    if args.stage is not None:
        if args.dataset is None:
            raise UsageError(
                f"--stage {args.stage} learns from a dataset of preferences or prompts: name it with --dataset, "
                "such as “Tiny World 0, wish happy”."
            )
        align = AlignSpec(**usual_align(args.stage))
        data = dataclasses.replace(data, task=align.task)  # the dataset may specify another task
        train |= usual_align_train(args.stage)
    return RunSpec(
        name=name if align is None else f"{about}-{args.stage}",
        model=config,
        tokenizer=TokenizerSpec(),
        data=data,
        train=TrainConfig(**train),
        tune=TuneSpec(parent=str(path.resolve()) if path.exists() else args.parent, mode=mode),
        align=align,
    )


def _spec_from_options(args: argparse.Namespace) -> RunSpec:
    if args.parent is not None:
        return _tuned_from_options(args)
    if args.mode is not None:
        raise UsageError("--mode says what of a model is trained: name the model with --from.")
    if args.stage is not None:
        raise UsageError("--stage says what a model that can reply learns from: name the model with --from.")
    preset = args.preset or "terrarium-tiny"
    files = tuple(str(Path(file).resolve()) for file in args.data or ())
    stem = args.dataset or (Path(files[0]).stem if files else "")
    return RunSpec(
        name=f"{stem}-{preset}" if stem else preset,
        model=PRESETS[preset],
        tokenizer=_tokenizer_spec(args.tokenizer or "bpe", args.vocab_size),
        data=_data_spec(args, files),
        train=TrainConfig(),
    )


def _data_spec(args: argparse.Namespace, files: tuple[str, ...]) -> DataSpec:
    """Return the data named by --data or --dataset; Tiny World if neither is given."""
    if files and args.dataset is not None:
        raise ValueError("--data and --dataset both say what to train on: omit one of them.")
    if args.dataset is not None:
        return DataSpec(source="dataset", dataset=args.dataset)
    return DataSpec(source="files", files=files) if files else DataSpec()


def _tokenizer_spec(wanted: str, vocab_size: int | None) -> TokenizerSpec:
    if wanted in KINDS:
        spec = TokenizerSpec(kind=wanted)
        return spec if vocab_size is None else dataclasses.replace(spec, vocab_size=vocab_size)
    if vocab_size is not None:
        raise ValueError(f"--vocab-size is for a new tokenizer, but {wanted} already exists: omit it.")
    library = Library()
    folder = find_tokenizer(wanted, library).resolve().parent
    return TokenizerSpec(path=folder.name if folder.parent == library.tokenizers.resolve() else str(folder))


def _prepare(args: argparse.Namespace, library: Library, line: ProgressLine) -> RunFolder:
    from terrarium.models.training.trainer import prepare_run

    return drive(prepare_run(library, with_proposals(spec_from_arguments(args), args, library, line)), line)


def with_proposals(spec: RunSpec, args: argparse.Namespace, library: Library, line: ProgressLine) -> RunSpec:
    """Fill in the settings proposed for the run's data, model and computer, as the window's form does.

    Settings given on the command line are unchanged, and so is the whole spec of a SPEC.toml, --like or an alignment
    stage.
    """
    if args.spec is not None or args.like is not None or spec.align is not None:
        return spec
    from terrarium.models.training.proposal.calibrate import propose_run

    given = _changes(args)
    if args.tokenizer is not None or args.vocab_size is not None:
        given["tokenizer.kind"] = spec.tokenizer.kind
    try:
        proposed, words = drive(propose_run(library, spec, tuple(given), args.device), line)
    except ValueError:  # training will fail too, and report the reason
        return spec
    if words and not args.json:
        line.say(words)
    return proposed


def _fork(args: argparse.Namespace, library: Library) -> RunFolder:
    from terrarium.models.runs.fork import fork_run, list_checkpoints

    given = [name for name in ("spec", "like", *_BY_OPTIONS) if getattr(args, name) is not None]
    if given:
        raise UsageError(f"A fork keeps the model and data of its source: omit {_option(given[0])}.")
    name, step = split_checkpoint(args.fork)
    source = RunFolder.open(library.find_run(name))
    try:
        changes = _changes(args)
        fixed = [name for name in changes if not name.startswith("train.")]
        if fixed:
            raise UsageError(f"A fork keeps the model and data of its source: omit {fixed[0]}, or use --like.")
        steps = changed_spec(source.spec, changes).train.steps
        since = step if step is not None else max((one.step for one in list_checkpoints(source)), default=0)
        longer = dataclasses.replace(source.spec, train=lengthened(source.spec.train, steps, since))
        train = changed_spec(longer, changes).train
    except ValueError as error:
        raise UsageError(str(error)) from error
    return fork_run(library, source, step, name=args.name, train=train)


def lengthened_run(args: argparse.Namespace, library: Library) -> RunFolder:
    """Fork the run named by --longer, to train it longer.

    Raises:
        UsageError: if the command line also names something else to train.
    """
    options = ("spec", "like", "fork", *_BY_OPTIONS, "seed")
    given = [name for name in options if getattr(args, name, None) is not None] + ["set"] * bool(args.changes)
    if given:
        raise UsageError(f"A run that is trained longer keeps its settings: omit {_option(given[0])}, or use --fork.")
    from terrarium.models.training.proposal.longer import fork_longer

    return fork_longer(library, RunFolder.open(library.find_run(args.longer)), args.steps, args.name)


def split_checkpoint(text: str) -> tuple[str, int | None]:
    """Split "RUN@STEP" into (RUN, STEP); without a step, return (RUN, None)."""
    name, at, step = text.rpartition("@")
    return (name, int(step)) if at and step.isdecimal() else (text, None)


def run_to_resume(args: argparse.Namespace, library: Library) -> RunFolder:
    """Return the run named by --resume.

    Raises:
        UsageError: if the command line also says what to train.
    """
    options = ("spec", "like", "fork", "longer", *_BY_OPTIONS, "steps", "seed", "name")
    given = [name for name in options if getattr(args, name, None) is not None] + ["set"] * bool(args.changes)
    if given:
        raise UsageError(f"A resumed run keeps its settings: omit {_option(given[0])}.")
    return RunFolder.open(library.find_run(args.resume))


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
