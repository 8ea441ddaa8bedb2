"""Builds the batches of a run: for its objective, for a task with labels, or for pronoun resolution."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from typing import Any

from tokenizers import Tokenizer

from terrarium.models.chat.template_config import PLAIN_TEMPLATE, ChatTemplateConfig
from terrarium.models.corpora.corpus import Corpus, open_corpus
from terrarium.models.data.batches import Batches, ExampleBatches, objective_batches
from terrarium.models.data.encoded import encode_split_events
from terrarium.models.data.examples import ExampleForm
from terrarium.models.data.objectives import objective_on
from terrarium.models.data.replay_rows import ReplayRows, read_old_rows
from terrarium.models.events import Event, result_of
from terrarium.models.library.library import Library
from terrarium.models.number_words import format_count
from terrarium.models.settings.model_config import ModelConfig
from terrarium.models.settings.run_spec import TrainConfig
from terrarium.models.settings.tune_spec import TuneSpec
from terrarium.models.tasks.batches import make_task_batches
from terrarium.models.tasks.pronouns.batches import PronounBatches
from terrarium.models.tasks.rows import LABEL_TASKS, find_labels

REPLY_TASKS = ("chat", "text-to-text")
"""Tasks that a decoder learns as replies in conversations."""


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
    labels: Sequence[str] = (),
) -> Batches:
    """Run `make_batches_events` to its end and return the batches."""
    events = make_batches_events(
        corpus, tokenizer, config, train, split, template=template, old=old, old_share=old_share, labels=labels
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
    labels: Sequence[str] = (),
) -> Generator[Event, None, Batches]:
    """Make the batches of a corpus's split, "train" or "val". Yields events while a large split is encoded.

    Args:
        labels: the labels of the model's outputs, for a dataset with labels; by default the dataset's own.
        template: the chat template of the model.
        old: the corpus that the model was trained on before.
        old_share: the share of training rows that are drawn from `old` (rehearsal).

    Raises:
        ValueError: if the split is shorter than one context, the design cannot learn from this corpus, a row does not
            suit its task, or rows of `old` cannot be mixed in.
    """
    if corpus.source == "pronouns":
        return PronounBatches(corpus, tokenizer, config.context_length, train, split)
    if corpus.task in LABEL_TASKS:
        if old is not None and old_share:
            _check_old_rows(corpus, old, config)
        known = labels or (yield from find_labels(corpus))
        return (yield from make_task_batches(corpus, tokenizer, config, train, split, known))
    objective = objective_on(corpus, config, tokenizer, train.objective)
    form = ExampleForm(template=template or ChatTemplateConfig(), model=config)
    replay_rows = None
    if split == "train" and old is not None and old_share:
        _check_old_rows(corpus, old, config)
        replay_rows = make_replay_rows(corpus, old, old_share, tokenizer, form, train)
    encoded = yield from encode_split_events(corpus, tokenizer, split, form)
    return objective_batches(encoded, objective, config.context_length, train, replay_rows)


def make_replay_rows(
    corpus: Corpus, old: Corpus, share: float, tokenizer: Tokenizer, form: ExampleForm, train: TrainConfig
) -> ReplayRows:
    """Read the rows of `old`, of which `share` is mixed into `corpus`. `form` must have the design that is trained."""
    assert form.model is not None
    width = objective_on(corpus, form.model, tokenizer, train.objective).width
    return ReplayRows(read_old_rows(old, tokenizer, form, width), share, train.seed)


def open_parent_corpus(library: Library, lineage: Mapping[str, Any]) -> Corpus | None:
    """Open the corpus that a fine-tuned run's parent was trained on; None if it is not in this library."""
    about = lineage.get("parent_corpus")
    if not isinstance(about, dict):
        return None
    try:
        return open_corpus(library, str(about.get("sha256")))
    except ValueError:
        return None


def find_replay_corpus(library: Library, lineage: Mapping[str, Any], corpus: Corpus, config: ModelConfig) -> Corpus:
    """Open the corpus of the parent in `lineage` to replay rows from; ValueError if they cannot be mixed in."""
    old = open_parent_corpus(library, lineage)
    if old is None:
        parent = lineage.get("parent") or {}
        raise ValueError(
            f"What {parent.get('name', 'the model')!r} was trained on is not in this library, so no old rows can be "
            "mixed in: set old_share to 0."
        )
    _check_old_rows(corpus, old, config)
    return old


def _check_old_rows(corpus: Corpus, old: Corpus, config: ModelConfig) -> None:
    """Raise ValueError if rows of `old` cannot be mixed into `corpus`: the model learns from them differently."""
    if corpus.task in LABEL_TASKS:
        raise ValueError("Old rows cannot be mixed into a task with labels, which they lack: set old_share to 0.")
    if corpus.kind == "text":
        raise ValueError("Old rows can be mixed into rows of data only, not into one long text: set old_share to 0.")
    apart = config.topology == "encoder-decoder" and (corpus.task == "text-to-text") != (old.task == "text-to-text")
    if apart or config.head != "language" or old.source == "pronouns":
        raise ValueError(
            f"The model learned from {old.label!r} in another way than it learns from {corpus.label!r}, so old rows "
            "cannot be mixed in: set old_share to 0."
        )


def warn_new_turn_tokens(corpus: Corpus, old: Corpus | None, template: ChatTemplateConfig, tune: TuneSpec) -> str:
    """Return a warning if fine-tuning teaches a decoder conversations for the first time, else "".

    old: the corpus that the parent was trained on; None if unknown.
    """
    if corpus.task in REPLY_TASKS and template.template == PLAIN_TEMPLATE:
        return "The model has no chat template, so it learns conversations as lines of “User: …” and “Assistant: …”."
    if old is None or old.has_chats or old.task in REPLY_TASKS:
        return ""
    if corpus.task not in REPLY_TASKS or template.template:
        return ""
    remedy = "" if tune.mode == "all" or tune.train_embeddings else " Train all weights, or the token rows too."
    return (
        f"The model learned from {old.label!r}, which has no conversations, so the tokens that begin and end a turn "
        f"are new to it.{remedy}"
    )


def warn_truncated_replies(batches: Batches, context_length: int) -> str:
    """Return a warning if plain texts or replies are truncated at the context length, else ""."""
    if not isinstance(batches, ExampleBatches) or not batches.n_cut:
        return ""
    what = "their replies are cut, and stay" if batches.has_replies else "they are cut, and stay"
    return (
        f"{batches.n_cut:,} of {format_count(batches.n_examples, 'example')} are longer than {context_length:,} "
        f"tokens: {what} without an end token."
    )
