"""`terrarium extension`: list the installed extensions, or make the package of a new one."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from terrarium.app.commands.options import Command, Group, argument, print_json
from terrarium.models.custom_blocks.store import find_installed_blocks
from terrarium.models.extensions.registry import SWITCH
from terrarium.models.extensions.template import make_package
from terrarium.models.settings.extension_list import ExtensionInfo, are_switched_off, list_extensions
from terrarium.models.settings.optimizers import OPTIMIZERS

DONE = 0


class ListExtensions(Command):
    """List what is installed, what it adds, and what is wrong with it."""

    def run(self) -> None:
        """Print the extensions."""
        found = list_extensions(find_installed_blocks())
        if self.as_json:
            print_json({"extensions": [dataclasses.asdict(each) for each in found], "switched_off": are_switched_off()})
        elif found:
            print("\n\n".join(map(_describe, found)))
        elif are_switched_off():
            print(f"Extensions are switched off: {SWITCH} is set.")
        else:
            print("No extensions are installed. To begin one: terrarium extension new NAME")


class New(Command):
    """Make a small package with an optimizer, a sampling step and a block."""

    name: str = argument("NAME", "small letters, digits and underscores, such as sign_sgd")
    folder: Path | None = argument("FOLDER", "where (default: ./terrarium-NAME)")

    def run(self) -> None:
        """Make the package, and print its folder."""
        folder = make_package(self.name, self.folder, taken=OPTIMIZERS)
        self.show({"folder": str(folder.absolute())}, f"{folder}\nInstall it with: pip install -e {folder}")


COMMAND = Group(
    actions={"list": ListExtensions, "new": New},
    help="list the installed extensions, or begin a new one",
    description=__doc__,
    epilog=f"Extensions are Python packages, and run with all that you may do. With {SWITCH}=1 in the environment, "
    "Terrarium starts without any.",
)


def _describe(info: ExtensionInfo) -> str:
    head = f"{info.package} {info.version}" + (f", by {info.author}" if info.author else "")
    about = f"  {info.title}: {info.help}" if info.title else ""
    added = [f"  {each.kind} {each.name}: {each.help}" for each in info.additions]
    return "\n".join(filter(None, (head, about, *added, *(f"  ! {problem}" for problem in info.problems))))
