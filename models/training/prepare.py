"""Prepares a run from its spec: corpus, tokenizer and run folder."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Generator
from dataclasses import dataclass

from tokenizers import Tokenizer

from models.data.corpus import Corpus
from models.data.objectives import check_trainable
from models.data.sources import prepare_corpus
from models.events import Event
from models.files.atomic import atomic_write_json, read_json, remove_folder
from models.library.library import Library
from models.library.run_notes import write_notes
from models.pronouns.pointing import check_pointing
from models.runs.run_folder import RunFolder
from models.runs.run_queue import QueuedRun, RunQueue
from models.settings.run_spec import RunSpec, TokenizerSpec, objective_of
from models.tokenizers import load_tokenizer, save_tokenizer, train_in_child, train_tokenizer
from models.tokenizers.special_tokens import add_missing_special_tokens


@dataclass(frozen=True, kw_only=True)
class PreparedData:
    """The data of a run. `spec.model` has the vocabulary size of the tokenizer."""

    spec: RunSpec
    tokenizer: Tokenizer
    corpus: Corpus


def prepare_run(library: Library, spec: RunSpec) -> Generator[Event, None, RunFolder]:
    """Make the corpus, the tokenizer where none is given, and the run's folder (the result). Yields Phase, Progress.

    Special tokens that the objective needs are added to the run's own copy of the tokenizer.

    Raises:
        ValueError: with a sentence, where the data or the tokenizer does not suffice, or the design cannot be trained.
    """
    ready, name = yield from _prepare(library, spec)
    plain = load_tokenizer(name, library).get_vocab_size()
    grown = ready.spec.model.vocab_size > plain
    own_copy = ready.tokenizer.to_str(pretty=True).encode() if grown else None
    return RunFolder.create(library, ready.spec, name, ready.corpus.sha, own_tokenizer=own_copy)


def prepare_trial(library: Library, spec: RunSpec) -> Generator[Event, None, PreparedData]:
    """Text and tokenizer of a run of `spec`, without creating the run. Yields and raises like `prepare_run`."""
    if spec.data.source == "pronouns":
        raise ValueError(
            "Runs on pronoun pairs can be neither previewed nor measured before they start: they take seconds."
        )
    ready, _ = yield from _prepare(library, spec)
    return ready


def _prepare(library: Library, spec: RunSpec) -> Generator[Event, None, tuple[PreparedData, str]]:
    """The data of the run, and the name or path of the tokenizer that it copies."""
    check = check_pointing if spec.data.source == "pronouns" else check_trainable
    check(spec.model)
    corpus = yield from prepare_corpus(library, spec.data)
    name = yield from prepare_tokenizer(library, spec.tokenizer, corpus, spec.name)
    tokenizer = load_tokenizer(name, library)
    denoises = objective_of(spec.model, spec.train.objective) == "denoising"
    add_missing_special_tokens(tokenizer, spec.model.topology, masks=denoises)
    model = dataclasses.replace(spec.model, vocab_size=tokenizer.get_vocab_size())
    return PreparedData(spec=dataclasses.replace(spec, model=model), tokenizer=tokenizer, corpus=corpus), name


def prepare_queued(library: Library, queue: RunQueue, item: QueuedRun) -> Generator[Event, None, RunFolder]:
    """The run folder of a queue item: created as by `prepare_run`, or opened. A new run leaves the queue here.

    Raises:
        ValueError: as `prepare_run`, or where the run is gone; it stays in the queue then. Also where the item
            was removed from the queue meanwhile: then no run is created.
    """
    if item.spec is None:
        return RunFolder.open(library.runs / item.run)
    run = yield from prepare_run(library, item.spec)
    try:
        if item.tags:
            write_notes(run.folder, "", item.tags)
        queue.remove(item.id)
    except (ValueError, OSError):
        with contextlib.suppress(OSError):
            remove_folder(run.folder)  # else a retry would make a second one
        raise
    return run


def prepare_tokenizer(
    library: Library, spec: TokenizerSpec, corpus: Corpus, run_name: str
) -> Generator[Event, None, str]:
    """The name or path of the tokenizer that `spec` asks for; trains one unless the library has it for this text."""
    if spec.path:
        return spec.path
    wanted = {"corpus": corpus.sha, "kind": spec.kind, "wanted_vocab_size": spec.vocab_size}
    if spec.kind == "byte":  # is not trained, so one serves all runs
        wanted = {"kind": "byte"}
    for info in library.list_tokenizers():
        about = info.folder / "about.json"
        if info.problem is None and about.exists() and wanted.items() <= read_json(about).items():
            return info.name
    name = library.free_name(library.tokenizers, "byte" if spec.kind == "byte" else run_name)
    folder = library.tokenizers / name
    if spec.kind == "byte":
        save_tokenizer(train_tokenizer((), "byte", 0), library, name, wanted)
    else:
        sample = yield from corpus.sample_events("train")
        yield from train_in_child([sample], spec.kind, spec.vocab_size, folder)
        atomic_write_json(folder / "about.json", read_json(folder / "about.json") | wanted)
    return name
