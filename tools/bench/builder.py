"""Builder benchmark: how long the window takes to redraw after a changed setting. The real window, offscreen."""

from __future__ import annotations

import statistics
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from terrarium.app.commands.progress import ProgressLine
from terrarium.models.library.library import Library
from terrarium.models.settings.model_config import ModelConfig
from terrarium.models.settings.presets import PRESETS
from tools.bench.result import Result

if TYPE_CHECKING:
    from terrarium.app.builder.builder_tab import BuilderTab

TARGET_MS = 33.0
VALUES = {"norm": ("layernorm", "rmsnorm"), "position": ("rope", "alibi"), "activation": ("relu", "swiglu")}


def bench_builder(line: ProgressLine) -> Result:
    """Milliseconds from a changed setting to the redrawn diagram and costs: the median for the slowest preset."""
    from terrarium.app.builder.builder_tab import BuilderTab
    from terrarium.app.shell.offscreen import opened_window

    medians = {}
    with (
        tempfile.TemporaryDirectory(prefix="terrarium-bench-", ignore_cleanup_errors=True) as home,
        opened_window(Library(Path(home))) as window,
    ):
        window.show_tab("builder")
        tab = window.pages.page("builder")
        assert isinstance(tab, BuilderTab)
        for name, config in PRESETS.items():
            line.say(f"builder: {name}")
            window.session.designs.choose(name)
            medians[name] = 1000 * statistics.median(_changes(tab, config))
    slowest = max(medians, key=lambda name: medians[name])
    middle = statistics.median(medians.values())
    line.say(f"builder: slowest for {slowest}; half of the presets take less than {middle:.1f} ms")
    return Result(
        name="builder",
        ours=medians[slowest],
        unit=f"ms until a changed setting of {slowest} is drawn",
        target=TARGET_MS,
        met=medians[slowest] < TARGET_MS,
    )


def _changes(tab: BuilderTab, config: ModelConfig) -> list[float]:
    """Seconds per changed setting, with everything it triggers in the window."""
    from PySide6.QtWidgets import QApplication

    QApplication.processEvents()
    seconds = []
    deeper = {"n_layer": (config.n_layer + 1, config.n_layer)}
    for slot, values in {**deeper, **VALUES}.items():
        for value in values:
            start = time.perf_counter()
            tab.form.apply({slot: value})
            QApplication.processEvents()
            seconds.append(time.perf_counter() - start)
            assert not tab.form.problem
    return seconds
