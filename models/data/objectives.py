"""The objective that a design is trained with on plain text, picked from plain_objectives.py and denoising.py."""

from __future__ import annotations

from tokenizers import Tokenizer

from models.data.denoising import Denoising
from models.data.plain_objectives import MaskedTokens, NextToken, Objective, SpanCorruption
from models.settings.model_config import ModelConfig
from models.settings.run_spec import objective_of


def make_objective(config: ModelConfig, tokenizer: Tokenizer, wanted: str = "auto") -> Objective:
    """The plain objective of the design's topology; an encoder-decoder has the `wanted` one (TrainConfig.objective).

    Raises:
        ValueError: where it has none, or the tokenizer lacks a token that it needs.
    """
    check_trainable(config)
    match objective_of(config, wanted):
        case "masked-tokens":
            return MaskedTokens(config, tokenizer)
        case "span-corruption":
            return SpanCorruption(config, tokenizer)
        case "denoising":
            return Denoising(config, tokenizer)
        case _:
            return NextToken(config.context_length)


def check_trainable(config: ModelConfig) -> None:
    """Raise ValueError where no plain objective trains this design."""
    if config.topology == "encoder-only" and config.head != "language":
        raise ValueError(
            f"An encoder with the head {config.head!r} cannot learn from plain text, which has no labels: choose the "
            "head language, which guesses masked tokens."
        )
    if config.topology == "encoder-decoder" and config.context_length < 3:
        raise ValueError("A hidden span needs a context of 3 tokens at least: use a larger context_length.")
