"""Sampling settings of a generation. No torch import."""

from __future__ import annotations

import contextlib
import dataclasses
import reprlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from terrarium.models.extensions.entries import Truncation
from terrarium.models.extensions.registry import Found, code_problem, find
from terrarium.models.settings.slots import check_settings, settings_from_dict, slot

MAX_BIAS = 100.0
MAX_DRAFTED, N_DRAFTED = 15, 5
"""Tokens per draft: the maximum, so that the target model verifies them and the token before in one short pass
(fast_matmul.FEW); and the default, since later tokens of longer drafts are seldom accepted."""


RESERVED = frozenset(
    {
        "best_of",
        "draft_tokens",
        "finish_reason",
        "from_orm",
        "length_penalty",
        "max_completion_tokens",
        "max_new_tokens",
        "n_top_logprobs",
        "parse_file",
        "parse_obj",
        "parse_raw",
        "response_format",
        "reward_model",
        "trust_block",
        "schema_json",
        "stream_options",
        "tool_choice",
        "top_logprobs",
        "update_forward_refs",
        "when_full",
    }
)
"""Names with an underscore that commands or the server have for other things."""


def _problem(name: str, entry: Truncation) -> str:
    """Return what is wrong with an extension's sampling step, as `find` asks; "" if nothing is."""
    if "_" not in name.strip("_"):
        return "the name of a sampling step has two words, such as “epsilon_cut”, since commands have an option of it"
    if name.startswith("model_"):
        return "no name of a sampling step begins with “model_”"
    low, high = entry.range
    if isinstance(entry.default, bool) or not low <= entry.default <= high or low == high:
        return f"its default {entry.default!r} is not in its range from {low} to {high}"
    return code_problem(entry.code)


def _with_added(cls: type[SamplingConfig]) -> type[SamplingConfig]:
    """Add a setting for each sampling step of an extension to the class, before it becomes a dataclass."""
    found = find("sampling_steps", Truncation, taken={*cls.__annotations__, *RESERVED}, check=_problem)
    for name, step in found.entries.items():
        cls.__annotations__[name] = type(step.default).__name__
        added = slot(
            step.default,
            step.title,
            step.help,
            group="Sampling",
            range=step.range,
            stage=name,
            advanced=True,
            omit_default=True,
        )
        setattr(cls, name, added)
    cls.added = found
    return cls


@dataclass(frozen=True, kw_only=True)
@_with_added
class SamplingConfig:
    """The sampling settings of one generation. The defaults sharpen the model's probabilities a little.

    The slot hint `stage` names the sampling step that a setting belongs to (models.inference.sampling_steps):
    "penalties", "temperature", or a truncation, named after the setting that switches it on, at whose default it does
    nothing. Typical-p: Meister et al. (arXiv:2202.00666); min-p: arXiv:2407.01082; top-nσ: arXiv:2411.07641; Mirostat
    v2: arXiv:2007.14966. A setting without a step changes no probability.

    The truncations of extensions, `added`, are further settings, with the names of their entries.
    """

    added: ClassVar[Found[Truncation]]
    temperature: float = slot(
        0.8,
        "Temperature",
        "How random the choice is. 0 always takes the most likely token; 1 uses the model's probabilities unchanged.",
        group="Sampling",
        range=(0.0, 5.0),
        stage="temperature",
    )
    top_k: int = slot(
        0,
        "Top-k",
        "Only the k most likely tokens may be chosen. 0 = all.",
        group="Sampling",
        range=(0, 1_000_000),
        stage="top_k",
    )
    top_p: float = slot(
        1.0,
        "Top-p",
        "Only the most likely tokens that together reach this probability may be chosen. 1 = all.",
        group="Sampling",
        range=(0.0, 1.0),
        stage="top_p",
    )
    min_p: float = slot(
        0.0,
        "Min-p",
        "Only tokens with at least this fraction of the top token's probability may be chosen. 0 = all.",
        group="Sampling",
        range=(0.0, 1.0),
        stage="min_p",
    )
    typical_p: float = slot(
        1.0,
        "Typical-p",
        "Only tokens about as surprising as expected may be chosen, up to this total probability. 1 = all.",
        group="Sampling",
        range=(0.0, 1.0),
        advanced=True,
        stage="typical_p",
    )
    top_n_sigma: float = slot(
        0.0,
        "Top-nσ",
        "Only tokens whose logits are within this many standard deviations of the largest may be chosen, at any "
        "temperature. 0 = all.",
        group="Sampling",
        range=(0.0, 100.0),
        stage="top_n_sigma",
        advanced=True,
        omit_default=True,
    )
    mirostat_tau: float = slot(
        0.0,
        "Mirostat",
        "Keeps the text equally surprising throughout, at this many bits per token: the more surprising the reply so "
        "far, the more unlikely tokens are cut off. 0 = off.",
        group="Sampling",
        range=(0.0, 32.0),
        stage="mirostat_tau",
        advanced=True,
        omit_default=True,
    )
    mirostat_eta: float = slot(
        0.1,
        "Mirostat rate",
        "How fast Mirostat corrects for a token that was too surprising, or not enough.",
        group="Sampling",
        range=(0.0, 1.0),
        stage="mirostat_tau",
        advanced=True,
        omit_default=True,
    )
    repetition_penalty: float = slot(
        1.0,
        "Repetition penalty",
        "Above 1, tokens that are in the text already, prompt or reply, become less likely.",
        group="Sampling",
        range=(0.1, 10.0),
        stage="penalties",
    )
    frequency_penalty: float = slot(
        0.0,
        "Frequency penalty",
        "Above 0, a token becomes less likely each time it occurs in the reply.",
        group="Sampling",
        range=(-2.0, 2.0),
        advanced=True,
        stage="penalties",
    )
    presence_penalty: float = slot(
        0.0,
        "Presence penalty",
        "Above 0, a token becomes less likely once it is in the reply, however often.",
        group="Sampling",
        range=(-2.0, 2.0),
        advanced=True,
        stage="penalties",
    )
    logit_bias: tuple[tuple[int, float], ...] = slot(
        (),
        "Token biases",
        "Makes single tokens more (up to 100) or less likely (down to −100): added to their logits.",
        group="Sampling",
        items=tuple,
        advanced=True,
        stage="penalties",
    )
    seed: int = slot(
        0,
        "Seed",
        "Initialises the random choices: the same seed gives the same reply.",
        group="Sampling",
        range=(0, 2**31 - 1),
    )
    max_tokens: int = slot(
        256, "Max length", "The reply ends after this many tokens.", group="Sampling", range=(1, 1_000_000)
    )
    stop: tuple[str, ...] = slot((), "Stop texts", "The reply ends before any of these strings.", group="Sampling")

    def __post_init__(self) -> None:
        check_settings(self)
        if "" in self.stop:
            raise ValueError("A stop text is empty, so the reply would end at once: remove it.")
        for item in self.logit_bias:
            _check_bias(item)


_FIELDS = {f.name: f for f in dataclasses.fields(SamplingConfig)}
STEP_OF: dict[str, str] = {name: f.metadata["stage"] for name, f in _FIELDS.items() if "stage" in f.metadata}
"""Settings -> the sampling steps that they belong to."""
NUMERIC_SETTINGS = tuple(name for name in STEP_OF if isinstance(_FIELDS[name].default, int | float))
"""The sampling settings that are single numbers."""
TRUNCATIONS = tuple(name for name, step in STEP_OF.items() if name == step and step != "temperature")
"""The settings that switch a truncation on."""

ADDED_STEPS = SamplingConfig.added
"""The truncations of extensions."""

PINNED = SamplingConfig(temperature=0.8, top_k=50)
"""The settings for samples of pinned prompts; their seed and length are the run's."""


def format_step(config: SamplingConfig, step: str) -> str:
    """Format a sampling step with its value: “Top-k 40”."""
    value = getattr(config, step)
    return f"{_FIELDS[step].metadata['label']} {value if isinstance(value, int) else format(value, 'g')}"


def is_same_sampling(one: SamplingConfig, other: SamplingConfig) -> bool:
    """Return whether two settings change every distribution in the same way."""
    return all(getattr(one, name) == getattr(other, name) for name in STEP_OF)


def _check_bias(item: tuple[object, ...]) -> None:
    """Raise ValueError unless an item of `logit_bias` is a token id with a bias within ±MAX_BIAS."""
    match item:
        case (int(id), int(bias) | float(bias)) if id >= 0 and abs(bias) <= MAX_BIAS:
            return
    raise ValueError(
        f"logit_bias has {reprlib.repr(item)}, but each entry must be a token's id and a number between "
        f"-{MAX_BIAS:g} and {MAX_BIAS:g}."
    )


def with_advice(config: SamplingConfig, advice: Mapping[str, Any]) -> SamplingConfig:
    """Apply a model's recommended values; invalid ones are ignored."""
    for name, value in advice.items():
        with contextlib.suppress(ValueError, TypeError):
            config = dataclasses.replace(config, **{name: value})
    return config


def sampling_from_dict(data: Any, where: str) -> SamplingConfig:
    """Build the settings from parsed JSON. Raises ValueError like `models.settings.slots.settings_from_dict`."""
    if isinstance(data, dict) and isinstance(data.get("logit_bias"), list):
        pairs = [tuple(item) if isinstance(item, list) else item for item in data["logit_bias"]]
        data = {**data, "logit_bias": pairs}
    return settings_from_dict(SamplingConfig, data, where)
