"""The entry point: opens the window or runs a command. Failures become messages and exit codes."""

from __future__ import annotations

import argparse
import contextlib
import importlib
import io
import logging
import logging.handlers
import os
import platform
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from terrarium.app.commands.common import UsageError, trusting
from terrarium.app.worker.failures import describe
from terrarium.models.custom_blocks.installed import find_installed_blocks
from terrarium.models.library.library import Library
from terrarium.models.library.location import find_location
from terrarium.models.runs.run_file.contents import SUFFIX
from terrarium.models.settings.extension_list import log_problems
from terrarium.models.training.parallel.process_group import end_process

COMMANDS = (
    "quickstart",
    "pronouns",
    "task",
    "train",
    "data",
    "find",
    "queue",
    "sweep",
    "doctor",
    "evaluate",
    "align",
    "generate",
    "inspect",
    "calibration",
    "chat",
    "serve",
    "tokenizer",
    "describe",
    "block",
    "models",
    "import",
    "export",
    "pack",
    "unpack",
    "trash",
    "extension",
    "guide",
    "selftest",
)
"""The modules of app.commands, in the order of the help. Only the requested one is imported."""

TOOLS = ("bench", "screenshots")
"""The packages of tools that are commands, too. They belong to a checkout, and are not installed with the program."""
_CHECKOUT = Path(__file__).resolve().parents[1]

DONE, FAILED, USAGE, INTERRUPTED = 0, 1, 2, 130

log = logging.getLogger(__name__)


def main(argv: Sequence[str] | None = None) -> int:
    """Run Terrarium and return the exit code: 0 done, 1 failed, 2 bad usage, 130 interrupted."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    _use_utf8()
    try:
        args = _parser(arguments).parse_args(arguments)
    except SystemExit as end:  # raised by argparse after --help and on bad usage
        return end.code if isinstance(end.code, int) else USAGE
    problem = find_location().problem
    if problem and args.command is not None:
        print(problem, file=sys.stderr)
    with _logging(), trusting(getattr(args, "trusted_blocks", ())):  # a few commands build no models
        code = _guarded(args)
    end_process(code)
    return code


def _parser(arguments: Sequence[str]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="terrarium",
        description="Grow a small language model behind glass. Without a command, the window opens; with the name of a "
        f"{SUFFIX} file, it opens the run in it.",
    )
    if len(arguments) == 1 and arguments[0].lower().endswith(SUFFIX):  # as after a double click on it
        parser.set_defaults(command=None)
        parser.add_argument("file", type=Path)
        return parser
    parser.add_argument("--version", action=_Version, nargs=0, help="print the version, and end")
    subparsers = parser.add_subparsers(dest="command", metavar="COMMAND")
    modules = {name: f"terrarium.app.commands.{name}" for name in COMMANDS}
    modules["import"] += "_"
    if (_CHECKOUT / "tools" / "bench").is_dir():
        modules |= {name: f"tools.{name}" for name in TOOLS}
        sys.path.append(str(_CHECKOUT))  # where the script `terrarium` was started, there are only installed packages
    elif arguments and arguments[0] in TOOLS:
        parser.error(
            f"{arguments[0]} is a tool for developers, and is not installed: run it in a checkout of the source, as "
            f"python -m terrarium {arguments[0]}"
        )
    for name in arguments[:1] if arguments and arguments[0] in modules else modules if arguments else ():
        command = importlib.import_module(modules[name])
        command.add_parser(subparsers).set_defaults(run=command.run)
    return parser


class _Version(argparse.Action):
    """Prints the installed version, which is looked up lazily."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        from importlib.metadata import PackageNotFoundError, version

        try:
            print(f"Terrarium {version('llm-terrarium')}")
        except PackageNotFoundError:
            print("Terrarium, which is not installed here, so it has no version")
        parser.exit()


def _guarded(args: argparse.Namespace) -> int:
    """Run the command; a failure becomes one message on stderr, its traceback goes to the log."""
    try:
        if args.command is None:
            from terrarium.app.shell.launch import run

            code: int = run(files=[args.file.absolute()] if "file" in args else [])
            return code
        code = args.run(args)
        sys.stdout.flush()
        return code
    except KeyboardInterrupt:
        print("Interrupted.", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:
        # The reader of our output has exited, as `head` does. Keeps Python from complaining when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    except (ValueError, OSError, RuntimeError, MemoryError, ImportError) as error:
        log.exception("%s failed", args.command or "the window")
        print(f"terrarium: {describe(error).sentence}", file=sys.stderr)
        return USAGE if isinstance(error, UsageError) else FAILED


class _LogFile(logging.handlers.RotatingFileHandler):
    """The log file; write errors, such as a full disk, are ignored here and reported where they matter."""

    def handleError(self, record: logging.LogRecord) -> None:
        if not isinstance(sys.exc_info()[1], OSError):
            super().handleError(record)

    def close(self) -> None:
        with contextlib.suppress(OSError):
            super().close()


@contextlib.contextmanager
def _logging() -> Iterator[None]:
    """Log to the library's logs/terrarium.log, with rotation; if it cannot be written, there is no log."""
    path = Library().log_file
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handler = _LogFile(path, maxBytes=1_000_000, backupCount=3, encoding="utf-8")
    except OSError as error:
        print(f"Nothing will be logged: {path} cannot be written ({error.strerror}).", file=sys.stderr)
        yield
        return
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    root = logging.getLogger()
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.INFO)
    try:
        log.info("Terrarium on Python %s, %s", platform.python_version(), platform.platform())
        log_problems(find_installed_blocks())
        yield
    finally:
        root.removeHandler(handler)
        root.setLevel(level)
        handler.close()


def _use_utf8() -> None:
    """Write UTF-8 to files and pipes whatever the system's code page; a terminal keeps its own."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper) and not stream.isatty():
            stream.reconfigure(encoding="utf-8", errors="backslashreplace")
