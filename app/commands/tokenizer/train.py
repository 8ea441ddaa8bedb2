"""`terrarium tokenizer train`: trains a tokenizer in a child process, or (--json) as that child."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import asdict, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from terrarium.app.commands.common import UsageError, print_json
from terrarium.app.commands.progress import ProgressLine, drive
from terrarium.models.events import Phase, Progress, VocabularyGrowth
from terrarium.models.tokenizers import (
    KINDS,
    CutCounter,
    TokenizerOptions,
    describe_shortfall,
    read_texts,
    train_in_child,
    train_tokenizer,
    write_tokenizer,
)

if TYPE_CHECKING:
    from tokenizers import Tokenizer


PROGRESS_FROM_BYTES, PROGRESS_FROM_TOKENS = 4_000_000, 16_384
"""Progress is reported from either size on, as it costs 50 µs per merge: a third of the time of a small training."""


def add_parser(actions: Any) -> argparse.ArgumentParser:
    """Add the parser of this action."""
    train: argparse.ArgumentParser = actions.add_parser("train", help="learn a vocabulary from text files or a corpus")
    texts = train.add_mutually_exclusive_group(required=True)
    texts.add_argument("--data", nargs="+", action="extend", default=[], type=Path, metavar="FILE")
    texts.add_argument(
        "--corpus",
        metavar="C",
        help="tiny-world, stdlib, or a corpus of the library by its label or the digits of its SHA-256: its training "
        "part is read",
    )
    train.add_argument("--kind", choices=KINDS, default="bpe", help="default: bpe")
    train.add_argument("--vocab-size", type=int, default=1024, metavar="V", help="default: 1024")
    _add_options(train)
    train.add_argument(
        "--growth",
        action="store_true",
        help="for bpe, also measure how well smaller vocabularies compress the first megabyte of the text",
    )
    train.add_argument("--out", required=True, type=Path, metavar="DIR", help="the folder to write")
    return train


def _add_options(parser: argparse.ArgumentParser) -> None:
    """Add an option for each field of TokenizerOptions."""
    for field in fields(TokenizerOptions):
        option, help_text = f"--{field.name.replace('_', '-')}", str(field.metadata["help"]).replace("%", "%%")
        if field.name == "special_tokens":
            parser.add_argument(
                "--special-token",
                dest=field.name,
                action="append",
                default=[],
                metavar="T",
                help=help_text + " Repeatable.",
            )
        elif isinstance(field.default, bool):
            parser.add_argument(option, action=argparse.BooleanOptionalAction, default=field.default, help=help_text)
        else:
            choices = field.metadata.get("choices")
            parser.add_argument(
                option,
                type=type(field.default),
                choices=choices,
                default=field.default,
                metavar=None if choices else "N",
                help=f"{help_text} Default: {field.default}.",
            )


def _options_from(args: argparse.Namespace) -> TokenizerOptions:
    """Build TokenizerOptions from the arguments. Raises UsageError if they are invalid."""
    values = {field.name: getattr(args, field.name) for field in fields(TokenizerOptions)}
    try:
        return TokenizerOptions(**{**values, "special_tokens": tuple(values["special_tokens"])})
    except ValueError as error:
        raise UsageError(str(error)) from error


def run(args: argparse.Namespace) -> None:
    """Train in this process with --json, otherwise in a child process, which Ctrl-C terminates."""
    if args.corpus is not None:
        args.data = [_corpus_file(args)]
    if args.json:
        with ProgressLine(as_json=True) as line:
            print_json(_train_here(args, line))
        return
    with ProgressLine() as line:
        options = _options_from(args)
        events = train_in_child(args.data, args.kind, args.vocab_size, args.out, options, growth=args.growth)
        about = drive(events, line)
        line.say(f"{about['vocab_size']:,} tokens, kind {about['kind']}")
    print(args.out)


def _corpus_file(args: argparse.Namespace) -> Path:
    """Return the file with the training split of a corpus. The child process gets files, so it imports none of this."""
    from terrarium.app.commands.tokenizer.corpora import find_corpus
    from terrarium.models.data.corpus_texts import chosen_corpus
    from terrarium.models.library.library import Library

    library = Library()
    with ProgressLine(as_json=args.json) as line:
        corpus = drive(chosen_corpus(library, find_corpus(args.corpus, library)), line)
        return drive(corpus.sample_events("train"), line)


def _train_here(args: argparse.Namespace, line: ProgressLine) -> dict[str, Any]:
    texts, options = _read_with_progress(args.data, line), _options_from(args)
    cut = CutCounter()
    takes_long = _total_bytes(args.data) >= PROGRESS_FROM_BYTES or args.vocab_size >= PROGRESS_FROM_TOKENS
    tokenizer = train_tokenizer(texts, args.kind, args.vocab_size, options, progress=takes_long, cut=cut)
    growth = list(_grow(tokenizer, args.data, line)) if args.growth and args.kind == "bpe" else []
    notices = (cut.sentence, describe_shortfall(tokenizer, args.kind, args.vocab_size))
    about = {
        "trained_on": [str(path.resolve()) for path in args.data],
        "bytes": _total_bytes(args.data),
        "asked_vocab_size": args.vocab_size,
        "options": asdict(options),
        **({"growth": growth} if growth else {}),
        "notice": " ".join(filter(None, notices)) or None,
    }
    facts = write_tokenizer(tokenizer, args.out, about)
    return {"folder": str(args.out), **facts}


def _grow(tokenizer: Tokenizer, files: list[Path], line: ProgressLine) -> Iterator[dict[str, Any]]:
    """Measure compression by vocabulary size, showing each point; yield the entries of about.json."""
    from terrarium.models.tokenizers.making.growth import measure_growth, take_sample

    line.show(Phase(name="Measuring compression"))
    sample = take_sample(read_texts(files))
    for size, bytes_per_token in measure_growth(tokenizer, sample):
        point = VocabularyGrowth(vocab_size=size, bytes_per_token=bytes_per_token, sample_bytes=len(sample.encode()))
        line.show(point)
        yield asdict(point)


def _read_with_progress(paths: list[Path], line: ProgressLine) -> Iterator[str]:
    total, done = _total_bytes(paths), 0
    line.show(Phase(name="Reading the text"))
    for text in read_texts(paths):
        yield text
        done += len(text)
        line.show(Progress(done=min(done, total), total=total))


def _total_bytes(paths: list[Path]) -> int:
    return sum(path.stat().st_size for path in paths if path.is_file())
