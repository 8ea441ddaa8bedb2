"""Sliders for sampling settings, with labels and help from SamplingConfig."""

from __future__ import annotations

import dataclasses

from terrarium.app.kit.forms.slider_row import SliderRow
from terrarium.app.kit.setting_names.terms import term_of_setting
from terrarium.models.extensions.entries import Truncation
from terrarium.models.settings.sampling_config import ADDED_STEPS, NUMERIC_SETTINGS, SamplingConfig
from terrarium.models.settings.slots import check_complete


def _shape_of(step: Truncation) -> tuple[float, float, int, float, str]:
    """Return the shape of the slider of an extension's sampling step, as in `_SHAPES`."""
    low, high = step.range
    return low, high, 0 if isinstance(step.default, int) else 3, 1.0, "off" if step.default == low else ""


# name -> minimum, maximum, decimals, power, text for the minimum
_SHAPES: dict[str, tuple[float, float, int, float, str]] = {
    "temperature": (0.0, 2.0, 2, 1.0, "greedy"),
    "top_p": (0.01, 1.0, 2, 1.0, ""),
    "max_tokens": (1, 1024, 0, 2.0, ""),
    "top_k": (0, 200, 0, 2.0, "off"),
    "min_p": (0.0, 0.5, 3, 2.0, "off"),
    "typical_p": (0.01, 1.0, 2, 1.0, ""),
    "top_n_sigma": (0.0, 5.0, 2, 1.0, "off"),
    "mirostat_tau": (0.0, 10.0, 1, 1.0, "off"),
    "mirostat_eta": (0.0, 1.0, 2, 1.0, ""),
    "repetition_penalty": (1.0, 2.0, 2, 1.0, "off"),
    "frequency_penalty": (-2.0, 2.0, 2, 1.0, ""),
    "presence_penalty": (-2.0, 2.0, 2, 1.0, ""),
    **{name: _shape_of(step) for name, step in ADDED_STEPS.entries.items()},
}
SLIDERS = tuple(_SHAPES)
check_complete(SLIDERS, (*NUMERIC_SETTINGS, "max_tokens"), "sliders of sampling")
_FIELDS = {field.name: field for field in dataclasses.fields(SamplingConfig)}


def sampling_label(name: str) -> tuple[str, str]:
    """Return the label and the help text of a setting."""
    about = _FIELDS[name].metadata
    return about["label"], about["help"]


def sampling_slider(name: str, *, in_line: bool = False) -> SliderRow:
    """Create the row that edits a field of SamplingConfig, one of SLIDERS. in_line: see SliderRow."""
    low, high, decimals, power, zero_text = _SHAPES[name]
    return SliderRow(
        *sampling_label(name),
        low,
        high,
        decimals=decimals,
        power=power,
        zero_text=zero_text,
        high_text="off" if name == "typical_p" else "",
        in_line=in_line,
        term=term_of_setting(name),
    )
