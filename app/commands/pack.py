"""`terrarium pack`: save a run as one file, which another Terrarium can open and show like the original."""

from __future__ import annotations

from pathlib import Path

from terrarium.app.commands.options import Command, argument, option
from terrarium.app.commands.progress import ProgressLine, drive
from terrarium.models.library.library import Library
from terrarium.models.number_words import format_size


class Pack(
    Command,
    description=__doc__,
    epilog="The file holds the run's settings, tokenizer, curves, samples, scores and last checkpoint. Your notes, the "
    "folders of your files and the training text stay here.",
):
    """Save a run as one file (.terrarium)."""

    model: str = argument("RUN", "a run's id, name or folder", complete="run")
    file: Path | None = argument("FILE", "the file (default: the run's name, in this folder)")
    all_checkpoints: bool = option("with the earlier checkpoints, too")
    chats: bool = option("with your conversations with it")

    def run(self) -> None:
        """Write the file, and print its path and size."""
        from terrarium.models.runs.run_file.packing import pack_run
        from terrarium.models.runs.run_folder import RunFolder

        library = Library()
        packed = RunFolder.open(library.find_run(self.model))
        file = self.file or Path(library.free_name(Path(), packed.name, suffix=".terrarium", has_spaces=True))
        with ProgressLine(as_json=self.as_json) as line:
            events = pack_run(
                packed, file.expanduser().absolute(), library, all_checkpoints=self.all_checkpoints, chats=self.chats
            )
            path = drive(events, line)
        self.show({"file": str(path), "bytes": path.stat().st_size}, f"{path} ({format_size(path.stat().st_size)})")


class Unpack(
    Command,
    description="Add a run to the library from a file that `terrarium pack` wrote, here or elsewhere.",
    epilog="Nothing in the file is run, and each part of it is checked against its SHA-256 sum.",
):
    """Make a run of a .terrarium file."""

    file: Path = argument("FILE", "a .terrarium file")
    name: str | None = option("the run's name (default: the one it had)")

    def run(self) -> None:
        """Unpack, and print the path of the run."""
        from terrarium.models.runs.run_file.unpacking import unpack_run

        with ProgressLine(as_json=self.as_json) as line:
            made = drive(unpack_run(self.file.expanduser().absolute(), Library(), self.name), line)
        self.show({"run": str(made.folder), "id": made.id, "name": made.name}, made.folder)
