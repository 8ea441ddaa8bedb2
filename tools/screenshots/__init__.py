"""`terrarium screenshots`: pictures of every screen, light and dark, in two sizes, of a small run trained for them."""

from __future__ import annotations

import tempfile
from pathlib import Path

from terrarium.app.commands.common import UsageError
from terrarium.app.commands.options import Command, argument, option
from terrarium.app.commands.progress import ProgressLine
from terrarium.models.library.library import Library
from tools.screenshots.contents import copy_run
from tools.screenshots.custom_blocks import library_at


class Screenshots(Command, description=__doc__):
    """Save screenshots of every screen as PNG files."""

    folder: Path = argument("DIR", "where to write the files")
    shown_run: str | None = option(
        "show this run of the library (path, id or name)", "--run", metavar="RUN", complete="run"
    )
    minutes: float = option("otherwise, how long to train one", default=0.5, metavar="M")
    task_minutes: float = option(
        "how long to learn each of the tasks whose pages are shown (default: 0.5; 0: without them)",
        default=0.5,
        metavar="M",
    )
    names: bool = option("beside each picture, write what a screen reader is told: roles, names, states and tab order")
    text_size: float = option("the size of the text, as a factor", default=1.0, metavar="F")

    def run(self) -> None:
        """Take the screenshots and print their paths. The user's own library is only read."""
        from terrarium.app.shell.offscreen import opened_window
        from tools.screenshots.photographer import Photographer

        if self.task_minutes < 0:
            raise UsageError("--task-minutes must be at least 0.")
        with tempfile.TemporaryDirectory(prefix="terrarium-screenshots-", ignore_cleanup_errors=True) as home:
            library = Library(Path(home))
            if self.shown_run:
                copy_run(Library(), self.shown_run, library)
            self.folder.mkdir(parents=True, exist_ok=True)
            with (
                library_at(library.home),
                opened_window(library, self.device) as window,
                ProgressLine(as_json=self.as_json) as line,
            ):
                window.theme.set_text_scale(self.text_size)
                photographer = Photographer(window, self.folder, line, names=self.names)
                photographer.shoot_all(None if self.shown_run else self.minutes, self.task_minutes)
        self.show(
            {"pictures": [str(path) for path in photographer.pictures]}, "\n".join(map(str, photographer.pictures))
        )
