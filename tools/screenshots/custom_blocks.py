"""Screens of custom blocks: the window in which one is written, a design with it, and its comparison with a twin."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from terrarium.models.custom_blocks.store import TRUST_VARIABLE
from terrarium.models.library.library import VARIABLE

if TYPE_CHECKING:
    from terrarium.app.shell.main_window import MainWindow

_SHOWN = "sliding_retention"


@contextlib.contextmanager
def library_at(home: Path) -> Iterator[None]:
    """Read and write the texts of custom blocks in a library that is not the user's, and allow the one that is shown
    without a lasting consent.
    """
    from terrarium.app.builder.blocks.block_window import starting_points

    changes = {VARIABLE: str(home), TRUST_VARIABLE: starting_points()[_SHOWN].sha256}
    before = {name: os.environ.get(name) for name in changes}
    os.environ.update(changes)
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name) if value is None else os.environ.update({name: value})


def shoot_custom_blocks(
    window: MainWindow, shoot: Callable[..., None], wait_for: Callable[[Callable[[], bool]], None]
) -> None:
    """Write a block, put it into the design, and ask for its twin; then show the design of before again."""
    from terrarium.app.builder.blocks.block_window import starting_points
    from terrarium.app.builder.twin_dialog import TwinDialog

    tab: Any = window.pages.page("builder")
    design, block = window.session.designs.current, starting_points()[_SHOWN]
    writing = tab.blocks.window
    writing.open_new()
    writing.start_from(block)
    writing.runs.click()
    wait_for(lambda: writing.checker.report is not None)
    shoot("builder-block", writing)
    writing.close()
    window.session.blocks.save(block.source, allow=False)
    writing.placed.emit(block)
    window.show_tab("builder")
    tab.show_slot("attention_block")
    wait_for(lambda: not window.session.blocks.obstacle(tab.form.config, *tab.work.values))
    shoot("builder-custom")
    tab.bar.twin.click()
    (dialog,) = window.findChildren(TwinDialog)
    wait_for(dialog.start.isEnabled)
    shoot("builder-twin", dialog)
    dialog.close()
    tab.form.apply(vars(design))
