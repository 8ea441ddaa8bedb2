"""Helpers shared by the commands: common options, reading text, opening a model."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from terrarium.app.commands.options import argument, option
from terrarium.models.custom_blocks.store import TRUST_VARIABLE
from terrarium.models.inference.weight_kinds import KINDS
from terrarium.models.library.library import Library
from terrarium.models.runs.run_file.contents import SUFFIX

if TYPE_CHECKING:
    import torch
    from tokenizers import Tokenizer

    from terrarium.models.architecture.transformer import AnyModel


Settings = TypeVar("Settings")

THREADS_VARIABLE = "OMP_NUM_THREADS"


class UsageError(ValueError):
    """The command line, or a settings file that it names, is invalid: exit code 2."""


@contextlib.contextmanager
def trusting(hashes: Sequence[str]) -> Iterator[None]:
    """Let the custom blocks with these hashes run while the context is open, in child processes, too."""
    before = os.environ.get(TRUST_VARIABLE)
    if hashes:
        os.environ[TRUST_VARIABLE] = ",".join((*filter(None, [before]), *hashes))
    try:
        yield
    finally:
        if hashes and before is None:
            del os.environ[TRUST_VARIABLE]
        elif before is not None:
            os.environ[TRUST_VARIABLE] = before


@contextlib.contextmanager
def using_threads(n: int | None) -> Iterator[None]:
    """Let models use `n` cores while the context is open, in child processes, too: torch reads it when it is imported.

    n: None for the number that torch chooses.
    """
    before = os.environ.get(THREADS_VARIABLE)
    if n is not None:
        os.environ[THREADS_VARIABLE] = str(n)
    try:
        yield
    finally:
        if n is not None:
            del os.environ[THREADS_VARIABLE]
            os.environ |= {} if before is None else {THREADS_VARIABLE: before}


def model_argument() -> Any:
    """Return the field of the argument MODEL, for `find_model` and `open_model`."""
    return argument("MODEL", "a path, or a run's id or name", complete="model")


def weights_option() -> Any:
    """Return the field of the option for the number format of the weights."""
    return option(
        "number format of the model's matrices; the chat's settings measure what each costs",
        default=KINDS[0],
        choices=KINDS,
    )


def settings_from(cls: type[Settings], given: Mapping[str, Any]) -> Settings:
    """Build settings of the given slots. Raises UsageError if they are invalid."""
    try:
        return cls(**given)
    except ValueError as error:
        raise UsageError(str(error)) from error


def read_argument(text: str) -> str:
    """Return the text of an option; “-” reads stdin.

    Raises:
        ValueError: if it is not UTF-8.
    """
    try:
        text = sys.stdin.read() if text == "-" else text
        text.encode()
    except UnicodeError as error:
        raise ValueError("The text is not UTF-8: convert it first.") from error
    return text


def find_model(text: str) -> Path:
    """Resolve MODEL to a path: itself, or the folder of the run with this id or name.

    Raises:
        ValueError: if there is no such path or run, or it is a packed run (.terrarium).
    """
    path = Path(text).expanduser()
    refuse_run_file(path)
    return path if path.exists() else Library().find_run(text)


def refuse_run_file(path: Path) -> None:
    """Raise ValueError with instructions if this is a packed run (.terrarium)."""
    if path.suffix.lower() == SUFFIX and path.is_file():
        raise ValueError(f"{path} is a run in one file: make a run of it first, with terrarium unpack {path}.")


def open_model(text: str, device_name: str, weights: str = KINDS[0]) -> tuple[AnyModel, Tokenizer, torch.device]:
    """Load MODEL, a path or a run's id or name, onto the chosen device; warnings go to stderr.

    weights: one of KINDS, the number format of its matrices.

    Raises:
        ValueError: if there is no such model, or it has no tokenizer.
    """
    from terrarium.models.device import choose_device
    from terrarium.models.events import result_of
    from terrarium.models.interop.loading import load_model_events

    choice = choose_device(device_name)
    if choice.sentence:
        print(choice.sentence, file=sys.stderr)
    model, tokenizer = result_of(load_model_events(find_model(text), choice.device, weights=weights))
    if tokenizer is None:
        raise ValueError(f"{text} has no tokenizer, so it cannot read text.")
    return model, tokenizer, choice.device
