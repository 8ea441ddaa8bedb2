"""The table of commands, and the parser of the command line, which imports only the command that is asked for."""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Sequence
from pathlib import Path

from terrarium.app.commands.options import add_command
from terrarium.app.session.routes import SCHEME
from terrarium.models.runs.run_file.contents import SUFFIX

COMMANDS = {
    "open": "open:Open",
    "quickstart": "quickstart:Quickstart",
    "pronouns": "pronouns:Pronouns",
    "task": "task:Task",
    "train": "train:Train",
    "data": "data:COMMAND",
    "find": "find:COMMAND",
    "queue": "queue:COMMAND",
    "sweep": "sweep:Sweep",
    "doctor": "doctor:Doctor",
    "evaluate": "evaluate:Evaluate",
    "align": "align:COMMAND",
    "generate": "generate:Generate",
    "inspect": "inspect:Inspect",
    "calibration": "calibration:CalibrationCommand",
    "chat": "chat:Chat",
    "serve": "serve:Serve",
    "tokenizer": "tokenizer:COMMAND",
    "describe": "describe:Describe",
    "block": "block:COMMAND",
    "models": "models:COMMAND",
    "import": "import_:Import",
    "export": "export:Export",
    "pack": "pack:Pack",
    "unpack": "pack:Unpack",
    "trash": "trash:COMMAND",
    "extension": "extension:COMMAND",
    "guide": "guide:Guide",
    "settings": "settings:Settings",
    "completion": "completion:Completion",
    "selftest": "selftest:Selftest",
}
"""The module in app.commands and the name there of each command, in the order of the help. Only the one asked for is
imported."""

TOOLS = {"bench": "bench:Bench", "screenshots": "screenshots:Screenshots"}
"""The packages of tools that are commands, too. They belong to a checkout, and are not installed with the program."""
_CHECKOUT = Path(__file__).resolve().parents[2]


def make_parser(arguments: Sequence[str]) -> argparse.ArgumentParser:
    """Return the parser for a command line, with all commands unless it begins with one of them."""
    parser = argparse.ArgumentParser(
        prog="terrarium",
        description="Grow a small language model behind glass. Without a command, the window opens; with the name of a "
        f"{SUFFIX} file, it opens the run in it; with a {SCHEME}:// link, the page there.",
    )
    if len(arguments) == 1 and arguments[0].lower().endswith(SUFFIX):  # as after a double click on it
        parser.set_defaults(command=None)
        parser.add_argument("file", type=Path)
        return parser
    parser.add_argument("--version", action=_Version, nargs=0, help="print the version, and end")
    subparsers = parser.add_subparsers(dest="command", metavar="COMMAND")
    targets = {name: f"terrarium.app.commands.{target}" for name, target in COMMANDS.items()}
    if (_CHECKOUT / "tools" / "bench").is_dir():
        targets |= {name: f"tools.{target}" for name, target in TOOLS.items()}
        sys.path.append(str(_CHECKOUT))  # where the script `terrarium` was started, there are only installed packages
    elif arguments and arguments[0] in TOOLS:
        parser.error(
            f"{arguments[0]} is a tool for developers, and is not installed: run it in a checkout of the source, as "
            f"python -m terrarium {arguments[0]}"
        )
    for name in arguments[:1] if arguments and arguments[0] in targets else targets if arguments else ():
        module, _, attribute = targets[name].partition(":")
        add_command(subparsers, name, getattr(importlib.import_module(module), attribute))
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
