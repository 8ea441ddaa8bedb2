"""The entry point: opens the window or runs a command. Failures become messages and exit codes."""

from __future__ import annotations

import argparse
import contextlib
import io
import logging
import logging.handlers
import os
import platform
import sys
from collections.abc import Iterator, Sequence

from terrarium.app.commands.common import UsageError, trusting, using_threads
from terrarium.app.commands.options import Command, read_options
from terrarium.app.commands.parser import make_parser
from terrarium.app.session.routes import SCHEME
from terrarium.app.worker.failures import describe
from terrarium.models.custom_blocks.store import find_installed_blocks
from terrarium.models.library.library import Library, find_location
from terrarium.models.settings.extension_list import log_problems
from terrarium.models.training.parallel.process_group import end_process

DONE, FAILED, USAGE, INTERRUPTED = 0, 1, 2, 130

log = logging.getLogger(__name__)


def main(argv: Sequence[str] | None = None) -> int:
    """Run Terrarium and return the exit code: 0 done, 1 failed, 2 bad usage, 130 interrupted."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    if len(arguments) == 1 and arguments[0].lower().startswith(f"{SCHEME}://"):  # as after a click on a link
        arguments = ["open", *arguments]
    _use_utf8()
    try:
        args = make_parser(arguments).parse_args(arguments)
        command = read_options(args.options, args) if "options" in args else None
    except SystemExit as end:  # raised by argparse after --help and on bad usage
        return end.code if isinstance(end.code, int) else USAGE
    problem = find_location().problem
    if problem and args.command is not None:
        print(problem, file=sys.stderr)
    threads, trusted = (command.threads, command.trusted_blocks) if command else (None, ())
    with _logging(), using_threads(threads), trusting(trusted):
        code = _guarded(args, command)
    end_process(code)
    return code


def _guarded(args: argparse.Namespace, command: Command | None) -> int:
    """Run the command; a failure becomes one message on stderr, its traceback goes to the log."""
    try:
        if command is None:
            from terrarium.app.shell.launch import run

            return run(files=[args.file.absolute()] if "file" in args else [])
        code = command.run() or DONE
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
