"""Makes the batches of a run: those of its objective, or of the pronoun task."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from typing import Any

from tokenizers import Tokenizer

from models.chat.template_config import ChatTemplateConfig
from models.data.batches import Batches, ExampleBatches, objective_batches
from models.data.corpus import Corpus, open_corpus
from models.data.encoded import encode_split_events
from models.data.examples import ExampleForm
from models.data.objectives import objective_on
from models.data.old_rows import OldRows, read_old_rows
from models.events import Event, result_of
from models.library.library import Library
from models.number_words import format_count
from models.pronouns.batches import PronounBatches
from models.settings.model_config import ModelConfig
from models.settings.run_spec import TrainConfig
from models.settings.tune_spec import TuneSpec


def make_batches(
    corpus: Corpus,
    tokenizer: Tokenizer,
    config: ModelConfig,
    train: TrainConfig,
    split: str = "train",
    *,
    template: ChatTemplateConfig | None = None,
    old: Corpus | None = None,
    old_share: float = 0.0,
) -> Batches:
    """As `make_batches_events`, which it waits for."""
    events = make_batches_events(
        corpus, tokenizer, config, train, split, template=template, old=old, old_share=old_share
    )
    return result_of(events)


def make_batches_events(
    corpus: Corpus,
    tokenizer: Tokenizer,
    config: ModelConfig,
    train: TrainConfig,
    split: str = "train",
    *,
    template: ChatTemplateConfig | None = None,
    old: Corpus | None = None,
    old_share: float = 0.0,
) -> Generator[Event, None, Batches]:
    """The batches of a corpus's split, "train" or "val". Yields events while a large one is encoded.

    Args:
        template: the chat template that the model came with.
        old: what the model was trained on before; of its training rows, a share of `old_share` is mixed in.

    Raises:
        ValueError: where the split is too short for one context, the design cannot learn from this corpus, or old rows
            cannot be mixed in.
    """
    if corpus.source == "pronouns":
        return PronounBatches(corpus, tokenizer, config.context_length, train, split)
    objective = objective_on(corpus, config, tokenizer, train.objective)
    form = ExampleForm(template=template or ChatTemplateConfig(), model=config)
    old_rows = None
    if split == "train" and old is not None and old_share:
        check_old_rows(corpus, old, config)
        groups = read_old_rows(old, tokenizer, form, objective.width)
        old_rows = OldRows(groups, old_share, train.seed)
    encoded = yield from encode_split_events(corpus, tokenizer, split, form)
    return objective_batches(encoded, objective, config.context_length, train, old_rows)


def open_parent_corpus(library: Library, lineage: Mapping[str, Any]) -> Corpus | None:
    """What the parent of a fine-tuned run was trained on; None where that is not in this library."""
    about = lineage.get("parent_corpus")
    if not isinstance(about, dict):
        return None
    try:
        return open_corpus(library, str(about.get("sha256")))
    except ValueError:
        return None


def check_old_rows(corpus: Corpus, old: Corpus, config: ModelConfig) -> None:
    """Raise ValueError where rows of `old` cannot be mixed into `corpus`, as they are learned in another way."""
    if corpus.kind == "text":
        raise ValueError("Old rows can be mixed into rows of data only, not into one long text: set old_share to 0.")
    apart = config.topology == "encoder-decoder" and (corpus.task == "text-to-text") != (old.task == "text-to-text")
    if apart or config.head != "language" or old.source == "pronouns":
        raise ValueError(
            f"The model learned from {old.label!r} in another way than it learns from {corpus.label!r}, so old rows "
            "cannot be mixed in: set old_share to 0."
        )


def about_new_turns(corpus: Corpus, old: Corpus | None, template: ChatTemplateConfig, tune: TuneSpec) -> str:
    """A sentence where a fine-tuning teaches conversations to a model that has never seen one, else "".

    old: what its parent was trained on; None where that is unknown.
    """
    if corpus.task not in ("chat", "text-to-text") or template.template or old is None or old.has_chats:
        return ""
    remedy = "" if tune.mode == "all" or tune.train_embeddings else " Train all weights, or the token rows too."
    return (
        f"The model learned from {old.label!r}, which has no conversations, so the tokens that begin and end a turn "
        f"are new to it.{remedy}"
    )


def about_cut_replies(batches: Batches, context_length: int) -> str:
    """A sentence where replies are cut at the context, "" where none is."""
    if not isinstance(batches, ExampleBatches) or not batches.n_cut:
        return ""
    return (
        f"{batches.n_cut:,} of {format_count(batches.n_examples, 'example')} are longer than {context_length:,} "
        "tokens: their replies are cut, and stay without an end token."
    )
