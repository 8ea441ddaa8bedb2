"""`terrarium extension`: list the installed extensions, or make the package of a new one."""

from __future__ import annotations

import argparse
import dataclasses
from pathlib import Path
from typing import Any

from terrarium.app.commands.common import add_common, print_json
from terrarium.models.custom_blocks.installed import find_installed_blocks
from terrarium.models.extensions.registry import SWITCH
from terrarium.models.extensions.template import make_package
from terrarium.models.settings.extension_list import ExtensionInfo, are_switched_off, list_extensions
from terrarium.models.settings.optimizers import OPTIMIZERS

DONE = 0


def add_parser(subparsers: Any) -> argparse.ArgumentParser:
    """Add this command's options."""
    parser: argparse.ArgumentParser = subparsers.add_parser(
        "extension",
        help="list the installed extensions, or begin a new one",
        description=__doc__,
        epilog=f"Extensions are Python packages, and run with all that you may do. With {SWITCH}=1 in the environment, "
        "Terrarium starts without any.",
    )
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    listing = actions.add_parser("list", help="list what is installed, what it adds, and what is wrong with it")
    new = actions.add_parser("new", help="make a small package with an optimizer, a sampling step and a block")
    new.add_argument("name", metavar="NAME", help="small letters, digits and underscores, such as sign_sgd")
    new.add_argument("folder", metavar="FOLDER", nargs="?", type=Path, help="where (default: ./terrarium-NAME)")
    for action in (listing, new):
        add_common(action)
    return parser


def run(args: argparse.Namespace) -> int:
    """Perform the action, and print the extensions, or the folder of the new one."""
    if args.action == "new":
        folder = make_package(args.name, args.folder, taken=OPTIMIZERS)
        if args.json:
            print_json({"folder": str(folder.absolute())})
        else:
            print(f"{folder}\nInstall it with: pip install -e {folder}")
        return DONE
    found = list_extensions(find_installed_blocks())
    if args.json:
        print_json({"extensions": [dataclasses.asdict(each) for each in found], "switched_off": are_switched_off()})
    elif found:
        print("\n\n".join(map(_describe, found)))
    elif are_switched_off():
        print(f"Extensions are switched off: {SWITCH} is set.")
    else:
        print("No extensions are installed. To begin one: terrarium extension new NAME")
    return DONE


def _describe(info: ExtensionInfo) -> str:
    head = f"{info.package} {info.version}" + (f", by {info.author}" if info.author else "")
    about = f"  {info.title}: {info.help}" if info.title else ""
    added = [f"  {each.kind} {each.name}: {each.help}" for each in info.additions]
    return "\n".join(filter(None, (head, about, *added, *(f"  ! {problem}" for problem in info.problems))))
