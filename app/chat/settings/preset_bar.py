"""The sampling presets in one row: choose, save, delete, and set the defaults of the open model."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import QSignalBlocker, Qt, Signal, Slot
from PySide6.QtGui import QAction
from PySide6.QtWidgets import QInputDialog, QMenu, QSizePolicy, QWidget

from terrarium.app.chat.settings.sampling_presets import BUILT_IN, SamplingPresets
from terrarium.app.chat.settings.second_model_panel import NO_MODEL
from terrarium.app.kit.basics import button, plain_tip, row
from terrarium.app.kit.inputs import choice, named
from terrarium.app.kit.theme import SPACE, ThemeProvider
from terrarium.models.settings.sampling_config import SamplingConfig

_NONE = "Custom"


class PresetBar(QWidget):
    """A combo box of presets and a menu.

    Signals:
        chosen(config): the user chose these settings.
    """

    chosen = Signal(object)

    def __init__(self, presets: SamplingPresets, theme: ThemeProvider) -> None:
        super().__init__()
        self._presets = presets
        self._config = self._usual = SamplingConfig()
        self.run_id = ""
        """The run of the open model; "" for none."""
        self.list = choice("Preset")
        self.list.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        self.list.activated.connect(self._on_activated)
        tip = "Save or delete a preset, or set a model's defaults"
        more = named(button("", theme, icon="dots-three", role="quiet-icon", tip=tip), "Presets and defaults")
        menu = QMenu(more)
        menu.setToolTipsVisible(True)
        self.save = self._action("Save as a preset…", self._on_save)
        self.delete = self._action("Delete this preset", self._on_delete)
        self.set_defaults = self._action("Use as this model's defaults", self._on_set_defaults)
        self.clear_defaults = self._action("Clear this model's defaults", self._on_clear_defaults)
        self.reset = self._action("Reset", self._on_reset)
        menu.addActions([self.save, self.delete])
        menu.addSeparator()
        menu.addActions([self.set_defaults, self.clear_defaults])
        menu.addSeparator()
        menu.addAction(self.reset)
        more.setMenu(menu)
        self.setLayout(row(self.list, more, spacing=SPACE // 2, grows=self.list))
        self._fill()

    def _action(self, words: str, do: Callable[[], object]) -> QAction:
        """Create an action owned by the bar: Qt may delete actions made by a menu while Python still refers to them."""
        action = QAction(words, self)
        action.triggered.connect(do)
        return action

    def open_model(self, run_id: str, usual: SamplingConfig) -> None:
        """Switch to another model; `usual`: its defaults unless the user has set others."""
        self.run_id, self._usual = run_id, usual
        self.show_config(self._config)

    @property
    def has_own_defaults(self) -> bool:
        """Whether the user has set defaults for the open model."""
        return self._presets.of_model(self.run_id) is not None

    @property
    def defaults(self) -> SamplingConfig:
        """The defaults of the open model."""
        return self._presets.of_model(self.run_id) or self._usual

    def show_config(self, config: SamplingConfig) -> None:
        """Show which preset these settings match."""
        self._config = config
        name = self._presets.matching(config)
        with QSignalBlocker(self.list):
            self.list.setCurrentIndex(max(self.list.findData(name), 0))
        own = name in self._presets.own
        self.list.setToolTip(plain_tip(BUILT_IN[name][0] if name in BUILT_IN else ""))
        for action, why_not in (
            (self.delete, "" if own else "Only presets of your own can be deleted: choose one first."),
            (self.set_defaults, "" if self.run_id else NO_MODEL),
            (self.clear_defaults, "" if self.has_own_defaults else "This model has none of its own."),
        ):
            action.setEnabled(not why_not)
            action.setToolTip(plain_tip(why_not or action.text()))

    def _fill(self) -> None:
        with QSignalBlocker(self.list):
            self.list.clear()
            self.list.addItem(_NONE, "")
            for name, (tip, _) in BUILT_IN.items():
                self.list.addItem(name, name)
                self.list.setItemData(self.list.count() - 1, tip, Qt.ItemDataRole.ToolTipRole)
            if self._presets.own:
                self.list.insertSeparator(self.list.count())
            for name in self._presets.own:
                self.list.addItem(name, name)
        self.show_config(self._config)

    @Slot(int)
    def _on_activated(self, i: int) -> None:
        name = self.list.itemData(i)
        if name:
            self.chosen.emit(self._presets.applied(name, self._config))
        else:  # “Custom” is not a preset: it is shown if none matches
            self.show_config(self._config)

    @Slot()
    def _on_save(self) -> None:
        name, agreed = QInputDialog.getText(self, "Save as a preset", "Name")
        if agreed and self._presets.save(name, self._config):
            self._fill()

    @Slot()
    def _on_delete(self) -> None:
        self._presets.delete(self._presets.matching(self._config))
        self._fill()

    @Slot()
    def _on_set_defaults(self) -> None:
        self._presets.set_for_model(self.run_id, self._config)
        self.show_config(self._config)

    @Slot()
    def _on_clear_defaults(self) -> None:
        self._presets.set_for_model(self.run_id, None)
        self.show_config(self._config)

    @Slot()
    def _on_reset(self) -> None:
        self.chosen.emit(self.defaults)
