"""Makes the batches of a run: those of its objective, or of the pronoun task."""

from __future__ import annotations

from tokenizers import Tokenizer

from models.data.batches import Batches, encode_split, objective_batches
from models.data.corpus import Corpus
from models.data.objectives import make_objective
from models.pronouns.batches import PronounBatches
from models.settings.model_config import ModelConfig
from models.settings.run_spec import TrainConfig


def make_batches(
    corpus: Corpus, tokenizer: Tokenizer, config: ModelConfig, train: TrainConfig, split: str = "train"
) -> Batches:
    """The batches of a corpus's split, "train" or "val".

    Raises:
        ValueError: where the split is too short for one context, or the design has no plain objective.
    """
    if corpus.source == "pronouns":
        return PronounBatches(corpus, tokenizer, config.context_length, train, split)
    objective = make_objective(config, tokenizer, train.objective)
    return objective_batches(encode_split(corpus, tokenizer, split), objective, config.context_length, train)
