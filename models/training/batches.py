"""Makes the batches of a run: those of its objective, or of the pronoun task."""

from __future__ import annotations

from collections.abc import Generator

from tokenizers import Tokenizer

from models.data.batches import Batches, objective_batches
from models.data.corpus import Corpus
from models.data.encoded import encode_split_events
from models.data.objectives import make_objective
from models.events import Event, result_of
from models.pronouns.batches import PronounBatches
from models.settings.model_config import ModelConfig
from models.settings.run_spec import TrainConfig


def make_batches(
    corpus: Corpus, tokenizer: Tokenizer, config: ModelConfig, train: TrainConfig, split: str = "train"
) -> Batches:
    """As `make_batches_events`, which it waits for."""
    return result_of(make_batches_events(corpus, tokenizer, config, train, split))


def make_batches_events(
    corpus: Corpus, tokenizer: Tokenizer, config: ModelConfig, train: TrainConfig, split: str = "train"
) -> Generator[Event, None, Batches]:
    """The batches of a corpus's split, "train" or "val". Yields events while a large one is encoded.

    Raises:
        ValueError: where the split is too short for one context, or the design has no plain objective.
    """
    if corpus.source == "pronouns":
        return PronounBatches(corpus, tokenizer, config.context_length, train, split)
    objective = make_objective(config, tokenizer, train.objective)
    encoded = yield from encode_split_events(corpus, tokenizer, split)
    return objective_batches(encoded, objective, config.context_length, train)
