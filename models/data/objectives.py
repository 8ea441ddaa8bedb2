"""Chooses the training objective on plain text for a model's topology."""

from __future__ import annotations

from tokenizers import Tokenizer

from models.data.denoising import Denoising
from models.data.plain_objectives import MaskedTokens, NextToken, Objective, SpanCorruption
from models.settings.model_config import ModelConfig
from models.settings.run_spec import objective_of


def make_objective(config: ModelConfig, tokenizer: Tokenizer, wanted: str = "auto") -> Objective:
    """The plain-text objective for the topology; `wanted` (TrainConfig.objective) chooses an encoder-decoder's.

    Raises:
        ValueError: where there is none, or the tokenizer lacks a token that it needs.
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
    """Raise ValueError where no plain-text objective can train this design."""
    if config.topology == "encoder-only" and config.head != "language":
        raise ValueError(
            f"An encoder with the head {config.head!r} cannot learn from plain text, which has no labels: choose the "
            "head language, which guesses masked tokens."
        )
    if config.topology == "encoder-decoder" and config.context_length < 3:
        raise ValueError("Hidden spans need a context of at least 3 tokens: use a larger context_length.")
