"""`terrarium train`: train a model from a SPEC.toml or from a few options, or go on with a run."""

from __future__ import annotations

import argparse
import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Any

from app.commands.common import UsageError, add_common, print_json
from app.commands.interrupt import stop_on_interrupt
from app.commands.progress import ProgressLine, drive
from models.events import TrainMetrics, ValMetrics
from models.library import Library
from models.presets import PRESETS
from models.tokenizers import KINDS, find_tokenizer
from models.training.spec import DataSpec, RunSpec, TokenizerSpec, TrainConfig
from models.training.spec_file import load_spec

if TYPE_CHECKING:
    from collections.abc import Generator

    from models.events import Event
    from models.training.run_folder import RunFolder
    from models.training.trainer import Trainer

DONE, INTERRUPTED = 0, 130
_BY_OPTIONS = ("preset", "data", "tokenizer", "vocab_size")


def add_parser(subparsers: Any) -> argparse.ArgumentParser:
    """Add this command's options."""
    parser: argparse.ArgumentParser = subparsers.add_parser(
        "train",
        help="train a model, or go on with a run",
        description=__doc__,
        epilog="The run's folder is the last line on stdout. Ctrl-C stops after the step and keeps it; twice aborts.",
    )
    parser.add_argument("spec", nargs="?", type=Path, metavar="SPEC.toml", help="what to train; options may add to it")
    parser.add_argument("--preset", choices=PRESETS, help="the architecture (default: terrarium-tiny)")
    parser.add_argument(
        "--data",
        nargs="+",
        action="extend",
        metavar="FILE",
        help="UTF-8 text (default: the synthetic Tiny World)",
    )
    parser.add_argument(
        "--tokenizer", metavar="KIND-or-PATH", help=f"{', '.join(KINDS)}, a path or a name (default: bpe)"
    )
    parser.add_argument("--vocab-size", type=int, metavar="V", help="of the tokenizer to train (default: 1024)")
    parser.add_argument("--steps", type=int, metavar="N", help="updates of the weights")
    parser.add_argument("--seed", type=int, metavar="S", help="what all randomness is drawn from")
    parser.add_argument("--name", help="what to call the run")
    parser.add_argument(
        "--resume", metavar="RUN", help="go on with this run (path, id or name) from its last checkpoint"
    )
    add_common(parser)
    return parser


def run(args: argparse.Namespace) -> int:
    """Train; 130 where Ctrl-C stopped it and it was saved."""
    library = Library()
    with ProgressLine(as_json=args.json) as line:
        folder = _open(args, library) if args.resume else _prepare(args, library, line)
        from models.training.trainer import Trainer

        trainer = Trainer(folder, library, device=args.device)
        latest = _Latest()
        with stop_on_interrupt(lambda: trainer.request_stop(keep=True)) as interrupt:
            drive(latest.watch(trainer), line)
        if not args.json:
            line.say(latest.summary())
    if args.json:
        print_json(
            {
                "run": str(folder.folder),
                "id": folder.id,
                "name": folder.name,
                "status": folder.status,
                "step": trainer.step,
                "loss": latest.train.loss if latest.train else None,
                "val_loss": latest.validation.loss if latest.validation else None,
                "bits_per_byte": latest.validation.bits_per_byte if latest.validation else None,
            }
        )
    else:
        print(folder.folder)
    return INTERRUPTED if interrupt.happened and folder.status != "finished" else DONE


def spec_from_arguments(args: argparse.Namespace) -> RunSpec:
    """What the command line asks to train.

    Raises:
        UsageError: where it or the SPEC.toml asks for something impossible.
    """
    try:
        spec = _spec_from_options(args) if args.spec is None else load_spec(args.spec)
        changes = {name: getattr(args, name) for name in ("steps", "seed") if getattr(args, name) is not None}
        spec = dataclasses.replace(spec, train=dataclasses.replace(spec.train, **changes))
        return dataclasses.replace(spec, name=args.name) if args.name is not None else spec
    except ValueError as error:
        raise UsageError(str(error)) from error


def _spec_from_options(args: argparse.Namespace) -> RunSpec:
    preset = args.preset or "terrarium-tiny"
    files = tuple(str(Path(file).resolve()) for file in args.data or ())
    return RunSpec(
        name=f"{Path(files[0]).stem}-{preset}" if files else preset,
        model=PRESETS[preset],
        tokenizer=_tokenizer_spec(args.tokenizer or "bpe", args.vocab_size),
        data=DataSpec(source="files", files=files) if files else DataSpec(),
        train=TrainConfig(),
    )


def _tokenizer_spec(wanted: str, vocab_size: int | None) -> TokenizerSpec:
    if wanted in KINDS:
        spec = TokenizerSpec(kind=wanted)
        return spec if vocab_size is None else dataclasses.replace(spec, vocab_size=vocab_size)
    if vocab_size is not None:
        raise ValueError(f"--vocab-size is for a tokenizer to train, but {wanted} exists already: leave it out.")
    library = Library()
    folder = find_tokenizer(wanted, library).resolve().parent
    return TokenizerSpec(path=folder.name if folder.parent == library.tokenizers.resolve() else str(folder))


def _prepare(args: argparse.Namespace, library: Library, line: ProgressLine) -> RunFolder:
    given = [f"--{name.replace('_', '-')}" for name in _BY_OPTIONS if getattr(args, name) is not None]
    if args.spec is not None and given:
        raise UsageError(f"{args.spec} says what to train already: leave {' and '.join(given)} out, or the file.")
    spec = spec_from_arguments(args)
    from models.training.trainer import prepare_run

    return drive(prepare_run(library, spec), line)


def _open(args: argparse.Namespace, library: Library) -> RunFolder:
    given = [name for name in ("spec", *_BY_OPTIONS, "steps", "seed", "name") if getattr(args, name) is not None]
    if given:
        raise UsageError(f"A resumed run goes on as it was begun: leave {given[0].replace('_', '-')} out.")
    from models.training.run_folder import RunFolder

    return RunFolder.open(library.find_run(args.resume))


class _Latest:
    """The last figures of a training."""

    def __init__(self) -> None:
        self.train: TrainMetrics | None = None
        self.validation: ValMetrics | None = None

    def watch(self, trainer: Trainer) -> Generator[Event, None, None]:
        """The trainer's events, noted on their way."""
        for event in trainer.events():
            if isinstance(event, TrainMetrics):
                self.train = event
            elif isinstance(event, ValMetrics):
                self.validation = event
            yield event

    def summary(self) -> str:
        """The figures in one line."""
        parts = [f"loss {self.train.loss:.3f} nats/token"] if self.train else []
        if self.validation:
            bits = self.validation.bits_per_byte
            also = "" if bits is None else f", {bits:.3f} bits/byte"
            parts.append(f"validation {self.validation.loss:.3f} nats/token{also}")
        return " · ".join(parts) or "nothing was left to train"
