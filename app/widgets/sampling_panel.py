"""How replies are drawn: a slider and a number for each setting, made from SamplingConfig's own words."""

from __future__ import annotations

import dataclasses
import random

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QCheckBox, QHBoxLayout, QPushButton, QVBoxLayout, QWidget

from app.theme import SPACE, ThemeProvider
from app.widgets.basics import button, label, row
from app.widgets.editors import IntBox
from app.widgets.slider_row import SliderRow
from models.inference.settings import SamplingConfig

# name -> lowest, highest, decimals, power, words for the lowest
_SLIDERS: dict[str, tuple[float, float, int, float, str]] = {
    "temperature": (0.0, 2.0, 2, 1.0, "greedy"),
    "top_k": (0, 200, 0, 2.0, "off"),
    "top_p": (0.01, 1.0, 2, 1.0, ""),
    "min_p": (0.0, 0.5, 3, 2.0, "off"),
    "repetition_penalty": (1.0, 2.0, 2, 1.0, "off"),
    "max_tokens": (1, 1024, 0, 2.0, ""),
}
PRESETS: dict[str, tuple[str, dict[str, float | int]]] = {
    "Exact": ("Always the most likely token: the same reply every time", {"temperature": 0.0}),
    "Balanced": ("A little sharper than the model's own probabilities", {"temperature": 0.8}),
    "Lively": ("More surprises, without the most unlikely tokens", {"temperature": 1.1, "min_p": 0.03}),
}
_LARGEST_SEED = 2**31 - 1


class SamplingPanel(QWidget):
    """Edits a `SamplingConfig`.

    Signals:
        changed(): some setting is new.
    """

    changed = Signal()

    def __init__(self, theme: ThemeProvider, config: SamplingConfig | None = None) -> None:
        super().__init__()
        config = config or SamplingConfig()
        fields = {f.name: f for f in dataclasses.fields(SamplingConfig)}
        self._stop, self._edited = config.stop, False
        self._sliders: dict[str, SliderRow] = {}
        self._presets: dict[str, QPushButton] = {}
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, SPACE, 0)
        layout.setSpacing(SPACE + SPACE // 2)
        layout.addWidget(label("Sampling", "subheading"))
        layout.addLayout(self._preset_row(theme))
        for name, (low, high, decimals, power, words) in _SLIDERS.items():
            about = fields[name].metadata
            slider = SliderRow(
                about["label"], about["help"], low, high, decimals=decimals, power=power, zero_words=words
            )
            slider.changed.connect(self._on_edited)
            self._sliders[name] = slider
            layout.addWidget(slider)
        layout.addLayout(self._seed_row(fields["seed"].metadata["help"]))
        layout.addStretch(1)
        self.set_config(config)

    @property
    def config(self) -> SamplingConfig:
        """The settings on screen."""
        values = {name: slider.value for name, slider in self._sliders.items()}
        return SamplingConfig(**values, seed=self.seed.value(), stop=self._stop)  # type: ignore[arg-type]

    def set_config(self, config: SamplingConfig) -> None:
        """Show `config`, without a signal."""
        self._stop = config.stop
        for name, slider in self._sliders.items():
            slider.set_value(getattr(config, name))
        self.seed.setValue(config.seed)
        self._show_preset()

    def suggest(self, temperature: float) -> None:
        """Show a temperature that suits the model, unless the user has set anything."""
        if not self._edited:
            self._sliders["temperature"].set_value(temperature)
            self._show_preset()

    def set_context_length(self, n_tokens: int) -> None:
        """No reply can be longer than the model's context."""
        self._sliders["max_tokens"].set_high(n_tokens)

    def slider(self, name: str) -> SliderRow:
        """The row that edits the field `name`."""
        return self._sliders[name]

    def draw_seed(self) -> None:
        """Before a reply: take a new seed where the user wants one each time."""
        if self.new_each_time.isChecked():
            self.seed.setValue(random.randrange(_LARGEST_SEED))

    def _preset_row(self, theme: ThemeProvider) -> QHBoxLayout:
        for name, (tip, values) in PRESETS.items():
            preset = button(name, theme, lambda values=values: self._use(values), role="segment", tip=tip)  # type: ignore[misc]
            preset.setCheckable(True)
            self._presets[name] = preset
        return row(*self._presets.values(), None, spacing=SPACE // 2)

    def _seed_row(self, tip: str) -> QVBoxLayout:
        self.seed = IntBox(0, _LARGEST_SEED, 1)
        self.seed.setAccessibleName("Seed")
        self.seed.setMinimumWidth(self.seed.fontMetrics().averageCharWidth() * 17)
        self.new_each_time = QCheckBox("New for each reply")
        self.new_each_time.setChecked(True)
        self.new_each_time.setToolTip("Take another seed each time; the one that was used is shown below the reply")
        name = label("Seed")
        name.setBuddy(self.seed)
        for widget in (name, self.seed):
            widget.setToolTip(tip)
        lines = QVBoxLayout()
        lines.addLayout(row(name, None, self.seed))
        lines.addWidget(self.new_each_time)
        return lines

    def _use(self, values: dict[str, float | int]) -> None:
        self.set_config(self._preset_config(values))
        self._on_edited()

    def _preset_config(self, values: dict[str, float | int]) -> SamplingConfig:
        kept = {name: getattr(self.config, name) for name in ("seed", "max_tokens", "stop")}
        return SamplingConfig(**kept, **values)  # type: ignore[arg-type]

    def _show_preset(self) -> None:
        """Mark the preset that the settings on screen are, if any."""
        config = self.config
        for name, (_, values) in PRESETS.items():
            self._presets[name].setChecked(config == self._preset_config(values))

    def _on_edited(self) -> None:
        self._edited = True
        self._show_preset()
        self.changed.emit()
