"""The sampling settings: a slider and a number for each field of SamplingConfig."""

from __future__ import annotations

import codecs
import dataclasses
import random
import re
from collections.abc import Callable
from typing import Any

from PySide6.QtCore import QSignalBlocker, Qt, Signal, Slot
from PySide6.QtGui import QAction
from PySide6.QtWidgets import QCheckBox, QInputDialog, QMenu, QSizePolicy, QWidget
from tokenizers import Tokenizer

from terrarium.app.chat.settings.bias_editor import BiasEditor
from terrarium.app.chat.settings.sampling_presets import BUILT_IN, InUse, SamplingPresets
from terrarium.app.chat.settings.second_model_panel import NO_MODEL
from terrarium.app.glass.tokens.token_chips import Chip, TokenChips
from terrarium.app.kit.basics import button, column, group, label, plain_tip, row, set_enabled
from terrarium.app.kit.forms.editors import IntBox
from terrarium.app.kit.forms.sampling_sliders import SLIDERS, sampling_label, sampling_slider
from terrarium.app.kit.forms.slider_row import SliderRow
from terrarium.app.kit.inputs import caption, choice, line_edit, named
from terrarium.app.kit.layout.advanced_settings import AdvancedSettings, HasDetail, MoreLink
from terrarium.app.kit.layout.section import Section
from terrarium.app.kit.theme import SPACE, ThemeProvider
from terrarium.models.settings.sampling_config import SamplingConfig
from terrarium.models.tokenizers.codec import show_bytes

_SIMPLE = ("temperature", "top_p", "max_tokens")
_MORE = tuple(name for name in SLIDERS if name not in _SIMPLE)
_HIDDEN = ("top_p", *_MORE, "stop", "logit_bias", "seed")
"""Settings hidden at the simple level of detail."""
_LARGEST_SEED = 2**31 - 1
_ESCAPE = re.compile(r"\\[nrt\\]")
_NONE = "Custom"


class SamplingPanel(QWidget):
    """Edits a `SamplingConfig`.

    Signals:
        changed(): a setting has changed.
    """

    changed = Signal()

    def __init__(self, theme: ThemeProvider, presets: SamplingPresets, config: SamplingConfig | None = None) -> None:
        super().__init__()
        self._presets, self._left = presets, presets.in_use
        self._set, self._shown = SamplingConfig(), dict[str, Any]()
        self._context_length: int | None = None
        self.sliders: dict[str, SliderRow] = {}
        self.presets = _PresetBar(presets, theme)
        self.stop = StopTexts(theme, *sampling_label("stop"))
        self.bias = BiasEditor(theme, *sampling_label("logit_bias"))
        self.more = Section("More", theme, folded=True)
        self._extras: AdvancedSettings | None = None
        self.why_not = label("", "muted", wrap=True)
        self._build()
        self.stop.changed.connect(self._on_edited)
        self.bias.changed.connect(self._on_edited)
        self.presets.chosen.connect(self.use)
        left = self._left or InUse(SamplingConfig())
        self.set_config(config or left.config)
        self.new_each_time.setChecked(not left.is_seed_kept)
        self.new_each_time.toggled.connect(self._leave)
        for action in (self.presets.set_defaults, self.presets.clear_defaults):
            action.triggered.connect(self._leave)

    def _build(self) -> None:
        self.why_not.hide()
        spacing, simple = SPACE + SPACE // 2, [self._make_slider(name) for name in _SIMPLE]
        self._seed = self._seed_row()
        sliders = [self._make_slider(name) for name in _MORE]
        self.more.set_body(group(*sliders, self.stop, self.bias, spacing=spacing))
        self._lines = column(self.presets, *simple, self._seed, self.more, None, spacing=spacing)
        self._settings = group(self._lines)
        self.setLayout(column(self.why_not, self._settings))

    def keep_simple(self, detail: HasDetail) -> None:
        """At the simple level of detail, hide all settings but temperature and length behind a link. Call it once."""
        link = MoreLink("setting", detail)
        self._lines.insertWidget(self._lines.count() - 1, link)
        hidden = (self.presets, self.sliders["top_p"], self._seed, self.more)
        self._extras = AdvancedSettings(link, hidden, len(_HIDDEN), self._n_changed)

    def _n_changed(self) -> int:
        """Count the hidden settings that differ from the open model's defaults; the seed counts only if it is fixed."""
        config, usual = self.config, self.presets.defaults
        changed = [name for name in _HIDDEN if name != "seed" and getattr(config, name) != getattr(usual, name)]
        return len(changed) + self.is_seed_kept

    @property
    def is_seed_kept(self) -> bool:
        """Whether all replies use the same seed."""
        return not self.new_each_time.isChecked()

    @property
    def config(self) -> SamplingConfig:
        """The settings on screen. Fields without a control, and values that a control cannot show, remain unchanged."""
        wanted = self._wanted
        if self._context_length is not None and wanted.max_tokens > self._context_length:
            return dataclasses.replace(wanted, max_tokens=self._context_length)
        return wanted

    @property
    def _wanted(self) -> SamplingConfig:
        """The settings as chosen; the maximum length may exceed the open model's context."""
        values: dict[str, Any] = {
            name: slider.value for name, slider in self.sliders.items() if slider.value != self._shown[name]
        }
        values |= {"seed": self.seed.value(), "stop": self.stop.texts, "logit_bias": self.bias.biases}
        return dataclasses.replace(self._set, **values)

    @property
    def _is_edited(self) -> bool:
        """Whether the settings, besides the seed, differ from the open model's defaults; True without a model."""
        usual = self.presets.defaults
        return not self.presets.run_id or dataclasses.replace(self._wanted, seed=usual.seed) != usual

    def set_config(self, config: SamplingConfig) -> None:
        """Show `config`, without a signal."""
        for name, slider in self.sliders.items():
            slider.set_value(getattr(config, name))
        self._set, self._shown = config, {name: slider.value for name, slider in self.sliders.items()}
        self.seed.setValue(config.seed)
        self.stop.set_texts(config.stop)
        self.bias.set_biases(config.logit_bias)
        self._show()

    @Slot(object)
    def use(self, config: SamplingConfig) -> None:
        """Apply settings that the user chose elsewhere."""
        self.set_config(config)
        self._on_edited()

    def open_model(self, run_id: str, tokenizer: Tokenizer | None, usual: SamplingConfig) -> None:
        """Switch to the settings of a newly opened model.

        If it is another model, apply the defaults that the user has set for it; if there are none, apply `usual` unless
        the user has edited the settings. For the first model after a launch, the edits of the previous session count;
        they remain unchanged if they were made with this model.

        Args:
            tokenizer: the model's, whose tokens can have biases.
        """
        if run_id == self.presets.run_id:
            return
        before, is_first = self.config, not self.presets.run_id
        edited_with = self._left.edited_with if is_first and self._left is not None else None
        was_edited = edited_with is not None if is_first else self._is_edited
        self.bias.set_tokenizer(tokenizer)
        self.presets.open_model(run_id, usual)
        if is_first and edited_with != run_id:
            self.bias.set_biases(())  # they refer to another model's tokens
        if edited_with != run_id and (self.presets.has_own_defaults or not was_edited):
            self.set_config(dataclasses.replace(self.presets.defaults, seed=self.seed.value()))
        self._leave()
        self._show()  # the defaults differ between models
        if self.config != before:
            self.changed.emit()

    @Slot()
    def _leave(self) -> None:
        """Save the current settings for the next launch."""
        self._left = InUse(self._wanted, self.presets.run_id if self._is_edited else None, self.is_seed_kept)
        self._presets.leave(self._left)

    def set_used(self, used: bool, why_not: str = "") -> None:
        """Set whether the open model uses these settings, and if not, why."""
        set_enabled(self._settings, why_not if not used else "")
        self.why_not.setText(why_not)
        self.why_not.setVisible(not used)

    def set_context_length(self, n_tokens: int) -> None:
        """Limit the maximum length to the model's context."""
        self._context_length = n_tokens
        slider = self.sliders["max_tokens"]
        is_as_set = slider.value == self._shown["max_tokens"]
        slider.set_high(n_tokens)
        if is_as_set:  # otherwise a shorter context would look like the user's choice
            slider.set_value(self._set.max_tokens)
            self._shown["max_tokens"] = slider.value

    def slider(self, name: str) -> SliderRow:
        """Return the row that edits the field `name`."""
        return self.sliders[name]

    def draw_seed(self) -> None:
        """Draw a new seed before a reply, unless the seed is fixed."""
        if self.new_each_time.isChecked():
            self.seed.setValue(random.randrange(_LARGEST_SEED))

    def _make_slider(self, name: str) -> SliderRow:
        slider = sampling_slider(name)
        slider.changed.connect(self._on_edited)
        self.sliders[name] = slider
        return slider

    def _seed_row(self) -> QWidget:
        title, tip = sampling_label("seed")
        self.seed = named(IntBox(0, _LARGEST_SEED, 1), title, tip)
        self.seed.setMinimumWidth(self.seed.fontMetrics().averageCharWidth() * 17)
        self.new_each_time = QCheckBox("Random for each reply")
        self.new_each_time.setChecked(True)
        self.new_each_time.toggled.connect(lambda: self._show())
        self.new_each_time.setToolTip("Use another seed each time; it is shown below the reply")
        return group(row(caption(title, self.seed, tip=tip), None, self.seed), self.new_each_time)

    def _show(self) -> None:
        """Show which preset matches, and how many of the folded settings have changed."""
        config, usual = self.config, self.presets.defaults
        self.presets.show_config(config)
        n_set = sum(getattr(config, name) != getattr(usual, name) for name in (*_MORE, "stop", "logit_bias"))
        self.more.set_title(f"More ({n_set} changed)" if n_set else "More")
        if self._extras is not None:
            self._extras.refresh()

    @Slot()
    def _on_edited(self) -> None:
        self._leave()
        self._show()
        self.changed.emit()


class StopTexts(QWidget):
    r"""The stop texts: a field to add a text, and below it the texts, which a click removes.

    `\n` and `\t` in the field stand for a line break and a tab.

    Signals:
        changed(): a text was added or removed.
    """

    changed = Signal()

    def __init__(self, theme: ThemeProvider, title: str, tip: str) -> None:
        super().__init__()
        self._texts: tuple[str, ...] = ()
        self.field = line_edit(title, tip, r"A text, then Enter (\n: a new line)")
        self.field.setAccessibleDescription(tip)
        self.chips = TokenChips(f"{title} that were entered", theme, mono=True)
        self.field.returnPressed.connect(self._on_entered)
        self.chips.removed.connect(self._on_removed)
        self.setLayout(column(caption(title, self.field, tip=tip), self.field, self.chips, spacing=SPACE // 2))

    @property
    def texts(self) -> tuple[str, ...]:
        """The texts that end a reply."""
        return self._texts

    def set_texts(self, texts: tuple[str, ...]) -> None:
        """Set the texts, without a signal."""
        self._texts = texts
        self.chips.show_chips([Chip(show_bytes(text.encode()), "Click to remove it") for text in texts])
        self.chips.setVisible(bool(texts))

    @Slot()
    def _on_entered(self) -> None:
        text = _ESCAPE.sub(lambda found: codecs.decode(found[0], "unicode_escape"), self.field.text())
        self.field.clear()
        if text and text not in self._texts:
            self.set_texts((*self._texts, text))
            self.changed.emit()

    @Slot(int)
    def _on_removed(self, i: int) -> None:
        self.set_texts((*self._texts[:i], *self._texts[i + 1 :]))
        self.changed.emit()


class _PresetBar(QWidget):
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
