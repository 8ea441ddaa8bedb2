"""Makes the batches of a run: those of its objective, of a task with labels, or of pronouns."""

from __future__ import annotations

from collections.abc import Sequence

from tokenizers import Tokenizer

from models.data.batches import Batches, encode_split, objective_batches
from models.data.corpus import Corpus
from models.data.objectives import make_objective
from models.pronouns.batches import PronounBatches
from models.settings.model_config import ModelConfig
from models.settings.run_spec import TrainConfig
from models.tasks.batches import TaskBatches
from models.tasks.encoding import LABEL_TASKS
from models.tasks.rows import labels_of


def make_batches(
    corpus: Corpus,
    tokenizer: Tokenizer,
    config: ModelConfig,
    train: TrainConfig,
    split: str = "train",
    *,
    labels: Sequence[str] = (),
) -> Batches:
    """The batches of a corpus's split, "train" or "val".

    labels: of the model's outputs, for a dataset with labels; by default the dataset's.

    Raises:
        ValueError: where the split is too short for one context, the design has no plain objective, or a row does not
            suit the task.
    """
    if corpus.source == "pronouns":
        return PronounBatches(corpus, tokenizer, config.context_length, train, split)
    if corpus.task in LABEL_TASKS:
        return TaskBatches(corpus, tokenizer, config, train, split, labels or labels_of(corpus))
    objective = make_objective(config, tokenizer, train.objective)
    return objective_batches(encode_split(corpus, tokenizer, split), objective, config.context_length, train)
