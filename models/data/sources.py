"""The corpus for each data source of a run: Tiny World, the standard library, pronoun pairs, files. No torch."""

from __future__ import annotations

from collections.abc import Generator

from terrarium.models.corpora.corpus import Corpus, find_dataset
from terrarium.models.corpora.text_corpora import build_stdlib_corpus, build_text_corpus_events
from terrarium.models.events import Event, Phase
from terrarium.models.library.library import Library
from terrarium.models.settings.run_spec import DataSpec
from terrarium.models.tiny_world.corpus import build_tiny_world_corpus
from terrarium.models.tiny_world.pronoun_corpus import build_pronoun_corpus
from terrarium.models.tiny_world.refusals import build_rule_corpus, parse_rule_name
from terrarium.models.tiny_world.reply_format import build_format_corpus, parse_format_name
from terrarium.models.tiny_world.tasks.corpora import build_task_corpus, parse_dataset_name
from terrarium.models.tiny_world.wishes import build_wish_corpus, parse_wish_name


def prepare_corpus(library: Library, data: DataSpec) -> Generator[Event, None, Corpus]:
    """Return the corpus that `data` describes, building it if the library lacks it."""
    yield Phase(name="Preparing the text")
    if data.source == "tiny-world":
        return (yield from build_tiny_world_corpus(library, data.seed))
    if data.source == "stdlib":
        return build_stdlib_corpus(library)
    if data.source == "pronouns":
        return build_pronoun_corpus(library)
    if data.source == "dataset" and (world_task := parse_dataset_name(data.dataset)):
        return (yield from build_task_corpus(library, *world_task))
    if data.source == "dataset" and (wish := parse_wish_name(data.dataset)):
        return (yield from build_wish_corpus(library, *wish))
    if data.source == "dataset" and (rule := parse_rule_name(data.dataset)):
        return (yield from build_rule_corpus(library, *rule))
    if data.source == "dataset" and (form := parse_format_name(data.dataset)):
        return (yield from build_format_corpus(library, *form))
    if data.source == "dataset":
        return find_dataset(library, data.dataset)
    return (yield from build_text_corpus_events(library, data.files, data.val_fraction, data.max_bytes))
