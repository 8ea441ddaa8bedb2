"""How replies are drawn, as plain data with what a form needs. No torch import."""

from __future__ import annotations

from dataclasses import dataclass

from models.slots import check_settings, slot


@dataclass(frozen=True, kw_only=True)
class SamplingConfig:
    """The settings of one generation. The defaults draw from the model's probabilities, a little sharpened."""

    temperature: float = slot(
        0.8,
        "Temperature",
        "How adventurous the choice is. 0 always takes the most likely token; 1 takes the model at its word.",
        group="Sampling",
        range=(0.0, 5.0),
    )
    top_k: int = slot(
        0, "Top-k", "Only the k most likely tokens may be chosen. 0 = all.", group="Sampling", range=(0, 1_000_000)
    )
    top_p: float = slot(
        1.0,
        "Top-p",
        "Only the most likely tokens that together reach this share may be chosen. 1 = all.",
        group="Sampling",
        range=(0.0, 1.0),
    )
    min_p: float = slot(
        0.0,
        "Min-p",
        "Only tokens at least this share as likely as the likeliest may be chosen. 0 = all.",
        group="Sampling",
        range=(0.0, 1.0),
    )
    repetition_penalty: float = slot(
        1.0,
        "Repetition penalty",
        "Above 1, tokens that are in the text already become less likely.",
        group="Sampling",
        range=(0.1, 10.0),
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
