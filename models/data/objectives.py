"""The training objective for a model's topology and task."""

from __future__ import annotations

from tokenizers import Tokenizer

from terrarium.models.corpora.corpus import Corpus
from terrarium.models.data.denoising import Denoising
from terrarium.models.data.plain_objectives import MaskedTokens, NextToken, Objective, SpanCorruption
from terrarium.models.data.source_to_target import SourceToTarget
from terrarium.models.settings.model_config import ModelConfig, objective_of
from terrarium.models.settings.tasks import TASKS


def make_objective(config: ModelConfig, tokenizer: Tokenizer, wanted: str = "auto") -> Objective:
    """Make the plain-text objective for the topology; `wanted` (TrainConfig.objective) chooses an encoder-decoder's.

    Raises:
        ValueError: if no objective fits, or the tokenizer lacks a token that it requires.
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


def objective_on(corpus: Corpus, config: ModelConfig, tokenizer: Tokenizer, wanted: str = "auto") -> Objective:
    """Make the objective for the rows of a corpus: as `make_objective`, or source to target for an encoder-decoder.

    Raises:
        ValueError: as `make_objective`, or if the design cannot learn the corpus's task.
    """
    task = TASKS.get(corpus.task)
    if task is not None and config.topology not in task.heads:
        raise ValueError(
            f"{corpus.label!r} is a dataset for {task.title.lower()}, which this design ({config.topology}) cannot "
            f"learn: use one that is {' or '.join(task.heads)}."
        )
    if corpus.task == "text-to-text" and config.topology == "encoder-decoder":
        return SourceToTarget(config, tokenizer)
    return make_objective(config, tokenizer, wanted)


def check_trainable(config: ModelConfig) -> None:
    """Raise ValueError if no plain-text objective can train this design."""
    if config.topology == "encoder-only" and config.head != "language":
        raise ValueError(
            f"An encoder with the head {config.head!r} cannot learn from plain text, which has no labels: choose the "
            "head language, which guesses masked tokens."
        )
    if config.topology == "encoder-decoder" and config.context_length < 3:
        raise ValueError("Hidden spans need a context of at least 3 tokens: use a larger context_length.")
