"""How replies are drawn, as plain data with what a form needs. No torch import."""

from __future__ import annotations

import contextlib
import dataclasses
import reprlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from models.settings.slots import check_settings, settings_from_dict, slot

LARGEST_BIAS = 100.0


@dataclass(frozen=True, kw_only=True)
class SamplingConfig:
    """The settings of one generation. The defaults draw from the model's probabilities, a little sharpened.

    The slot hint `step` says to which step of the draw a setting belongs (models.inference.sampling_steps):
    "penalties", "temperature", or a cut, which is called as the setting that switches it on: at the default of that one
    it changes nothing. What has no step changes no probability.
    """

    temperature: float = slot(
        0.8,
        "Temperature",
        "How adventurous the choice is. 0 always takes the most likely token; 1 takes the model at its word.",
        group="Sampling",
        range=(0.0, 5.0),
        step="temperature",
    )
    top_k: int = slot(
        0,
        "Top-k",
        "Only the k most likely tokens may be chosen. 0 = all.",
        group="Sampling",
        range=(0, 1_000_000),
        step="top_k",
    )
    top_p: float = slot(
        1.0,
        "Top-p",
        "Only the most likely tokens that together reach this share may be chosen. 1 = all.",
        group="Sampling",
        range=(0.0, 1.0),
        step="top_p",
    )
    min_p: float = slot(
        0.0,
        "Min-p",
        "Only tokens at least this share as likely as the likeliest may be chosen. 0 = all.",
        group="Sampling",
        range=(0.0, 1.0),
        step="min_p",
    )
    typical_p: float = slot(
        1.0,
        "Typical",
        "Only the tokens that are about as surprising as the model expects, up to this share of all. 1 = all.",
        group="Sampling",
        range=(0.0, 1.0),
        advanced=True,
        step="typical_p",
    )
    top_n_sigma: float = slot(
        0.0,
        "Top-nσ",
        "Only tokens whose logits come within so many standard deviations of the largest may be chosen, whatever the "
        "temperature. 0 = all.",
        group="Sampling",
        range=(0.0, 100.0),
        step="top_n_sigma",
        advanced=True,
        later=True,
    )
    mirostat_tau: float = slot(
        0.0,
        "Mirostat",
        "Keeps the text about so surprising throughout: so many bits a token. The more surprising the reply was so "
        "far, the more of the unlikely tokens are cut off. 0 = off.",
        group="Sampling",
        range=(0.0, 32.0),
        step="mirostat_tau",
        advanced=True,
        later=True,
    )
    mirostat_eta: float = slot(
        0.1,
        "Mirostat rate",
        "How fast Mirostat makes up for a token that was too surprising, or not enough.",
        group="Sampling",
        range=(0.0, 1.0),
        step="mirostat_tau",
        advanced=True,
        later=True,
    )
    repetition_penalty: float = slot(
        1.0,
        "Repetition penalty",
        "Above 1, tokens that are in the text already, prompt or reply, become less likely.",
        group="Sampling",
        range=(0.1, 10.0),
        step="penalties",
    )
    frequency_penalty: float = slot(
        0.0,
        "Frequency penalty",
        "Above 0, a token becomes less likely each time that it comes up in the reply.",
        group="Sampling",
        range=(-2.0, 2.0),
        advanced=True,
        step="penalties",
    )
    presence_penalty: float = slot(
        0.0,
        "Presence penalty",
        "Above 0, a token becomes less likely once it is in the reply, however often.",
        group="Sampling",
        range=(-2.0, 2.0),
        advanced=True,
        step="penalties",
    )
    logit_bias: tuple[tuple[int, float], ...] = slot(
        (),
        "Token biases",
        "Makes single tokens more (up to 100) or less likely (down to -100) throughout: added to their logits.",
        group="Sampling",
        items=tuple,
        advanced=True,
        step="penalties",
    )
    seed: int = slot(
        0,
        "Seed",
        "The number that the choices are drawn from: the same seed gives the same reply.",
        group="Sampling",
        range=(0, 2**31 - 1),
    )
    max_tokens: int = slot(
        256, "Longest reply", "The reply ends after so many tokens.", group="Sampling", range=(1, 1_000_000)
    )
    stop: tuple[str, ...] = slot((), "Stop texts", "The reply ends before any of these texts.", group="Sampling")

    def __post_init__(self) -> None:
        check_settings(self)
        if "" in self.stop:
            raise ValueError("A stop text is empty, so the reply would end before it begins: leave it out.")
        for item in self.logit_bias:
            _check_bias(item)


_FIELDS = {f.name: f for f in dataclasses.fields(SamplingConfig)}
STEP_OF: dict[str, str] = {name: f.metadata["step"] for name, f in _FIELDS.items() if "step" in f.metadata}
"""Setting -> the step of the draw that it belongs to."""
NUMBERS = tuple(name for name in STEP_OF if isinstance(_FIELDS[name].default, int | float))
"""The settings of the draw that are a number each."""
CUTS = tuple(name for name, step in STEP_OF.items() if name == step and step != "temperature")
"""The settings that switch a cut on."""


def step_words(config: SamplingConfig, step: str) -> str:
    """A step of the draw as it is set: “Top-k 40”."""
    value = getattr(config, step)
    return f"{_FIELDS[step].metadata['label']} {value if isinstance(value, int) else format(value, 'g')}"


def same_draw(one: SamplingConfig, other: SamplingConfig) -> bool:
    """Whether two settings make the same of every distribution."""
    return all(getattr(one, name) == getattr(other, name) for name in STEP_OF)


def _check_bias(item: tuple[object, ...]) -> None:
    """Raise ValueError where an item of `logit_bias` is no token's id with a bias that means something."""
    match item:
        case (int(id), int(bias) | float(bias)) if id >= 0 and abs(bias) <= LARGEST_BIAS:
            return
    raise ValueError(
        f"logit_bias has {reprlib.repr(item)}, but each entry must be a token's id and a number between "
        f"-{LARGEST_BIAS:g} and {LARGEST_BIAS:g}."
    )


def with_advice(config: SamplingConfig, advice: Mapping[str, Any]) -> SamplingConfig:
    """The settings as changed by what a model's makers advise, so far as that means anything."""
    for name, value in advice.items():
        with contextlib.suppress(ValueError, TypeError):
            config = dataclasses.replace(config, **{name: value})
    return config


def sampling_from_dict(data: Any, where: str) -> SamplingConfig:
    """The settings of parsed JSON; ValueError as `models.settings.slots.settings_from_dict`, naming `where`."""
    if isinstance(data, dict) and isinstance(data.get("logit_bias"), list):
        pairs = [tuple(item) if isinstance(item, list) else item for item in data["logit_bias"]]
        data = {**data, "logit_bias": pairs}
    return settings_from_dict(SamplingConfig, data, where)
