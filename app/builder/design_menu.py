"""A menu of all designs: presets by family, saved designs, and designs of runs."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from PySide6.QtWidgets import QMenu, QWidget

from terrarium.app.builder.comparison import ComparedDesign
from terrarium.app.kit.basics import without_mnemonic
from terrarium.app.kit.setting_names.preset_words import design_title, format_parameter_count, preset_families
from terrarium.app.session.session import Session
from terrarium.models.settings.model_config import ModelConfig
from terrarium.models.settings.presets import PRESETS

_MAX_RUNS = 20


class DesignMenu(QMenu):
    """A menu that is refilled each time it opens, and passes the chosen design to `on_chosen`."""

    def __init__(self, session: Session, on_chosen: Callable[[ComparedDesign], object], parent: QWidget) -> None:
        super().__init__(parent)
        self._session, self._on_chosen = session, on_chosen
        self.setToolTipsVisible(True)
        self.aboutToShow.connect(self.fill)

    def fill(self) -> None:
        """Fill the menu from the library."""
        self.clear()
        for family in preset_families():
            menu = self.addMenu(family.title)
            for name in family.presets:
                self._add(menu, design_title(name), PRESETS[name])
        saved = [info for info in self._session.designs.inspect() if info.config is not None]
        if saved:
            self.addSeparator()
            menu = self.addMenu("Your designs")
            for info in saved:
                assert info.config is not None
                self._add(menu, info.name, info.config)
        runs = [run for run in self._session.runs.list() if run.problem is None][:_MAX_RUNS]
        if runs:
            menu = self.addMenu("Runs")
            for run in runs:
                action = menu.addAction(_plain(run.name))
                action.triggered.connect(partial(self._on_run, run.id, run.name))

    def _add(self, menu: QMenu, title: str, config: ModelConfig) -> None:
        action = menu.addAction(f"{_plain(title)}\t{format_parameter_count(config)}")
        action.triggered.connect(lambda: self._on_chosen(ComparedDesign(title, config)))

    def _on_run(self, run_id: str, name: str) -> None:
        spec = self._session.runs.spec(run_id)
        if spec is None:
            self._session.notices.refuse(f"The design of the run “{name}” can no longer be read.")
        else:
            self._on_chosen(ComparedDesign(f"Run “{name}”", spec.model))


def _plain(text: str) -> str:
    """Escape text for a menu, where “&” marks a mnemonic and a tab a shortcut."""
    return without_mnemonic(text).replace("\t", " ")
