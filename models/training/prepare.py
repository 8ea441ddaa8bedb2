"""Prepares a run from its spec: corpus, tokenizer and run folder."""

from __future__ import annotations

import contextlib
import dataclasses
import shutil
import uuid
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, field

from tokenizers import Tokenizer

from terrarium.models.alignment.reward_model import check_reward_model
from terrarium.models.architecture.transformer import AnyModel
from terrarium.models.chat.template_config import ChatTemplateConfig, template_to_teach
from terrarium.models.corpora.corpus import SPLITS, Corpus
from terrarium.models.custom_blocks.store import check_blocks
from terrarium.models.data.corpus_texts import prepare_corpus
from terrarium.models.data.examples import ExampleForm
from terrarium.models.data.objectives import check_trainable
from terrarium.models.data.replay_rows import ReplayRows
from terrarium.models.events import Event, Notice
from terrarium.models.files.atomic import TEMPORARY_PREFIX, atomic_write_json, read_json, remove_folder
from terrarium.models.interop.parents import Parent, open_parent, write_kept, write_parent
from terrarium.models.library.library import Library
from terrarium.models.library.run_notes import write_notes
from terrarium.models.runs.run_folder import RunFolder
from terrarium.models.runs.run_queue import QueuedRun, RunQueue
from terrarium.models.settings.align_spec import REWARD_MODELS
from terrarium.models.settings.extension_names import check_installed
from terrarium.models.settings.model_config import objective_of
from terrarium.models.settings.run_spec import DataSpec, RunSpec, TokenizerSpec
from terrarium.models.settings.tasks import PREFERENCE_TASKS
from terrarium.models.tasks.pronouns.pointing import check_pointing
from terrarium.models.tasks.rows import CHECKED_TASKS, LABEL_TASKS, check_prompts_apart, check_split, find_labels
from terrarium.models.tokenizers import find_tokenizer, load_tokenizer, save_tokenizer, train_in_child, train_tokenizer
from terrarium.models.tokenizers.special_tokens import add_missing_special_tokens
from terrarium.models.training.batches import REPLY_TASKS, find_replay_corpus, make_replay_rows
from terrarium.models.training.tuning import (
    build_run_model,
    check_tuning,
    describe_new_parameters,
    keeps_head_of,
    tuned_design,
)


@dataclass(frozen=True, kw_only=True)
class PreparedData:
    """The data of a run, and the parent model that it starts from, if any. `spec.model` is complete.

    reward_models: the models that score its replies, by the setting of AlignSpec that names them.
    old: the corpus of which a share of `spec.old_share` is mixed in, or None.
    """

    spec: RunSpec
    tokenizer: Tokenizer
    corpus: Corpus
    parent: Parent | None = None
    reward_models: Mapping[str, Parent] = field(default_factory=dict)
    old: Corpus | None = None
    template: ChatTemplateConfig = field(default_factory=ChatTemplateConfig)

    @property
    def form(self) -> ExampleForm:
        """How examples are formatted for the model."""
        return ExampleForm(template=self.template, model=self.spec.model)

    def replay_rows(self) -> ReplayRows | None:
        """Return the rows to mix into the training rows, or None."""
        if self.old is None:
            return None
        form = dataclasses.replace(self.form, model=self.spec.batch_model)
        return make_replay_rows(self.corpus, self.old, self.spec.old_share, self.tokenizer, form, self.spec.train)

    def build_model(self) -> AnyModel:
        """Build the model before the first step; weights that the parent lacks come from torch's global generator."""
        if self.parent is None:
            return build_run_model(self.spec)
        keeps_head = keeps_head_of(self.parent.config, self.parent.labels, self.spec)
        return build_run_model(self.spec, self.parent.read_weights(), keeps_head=keeps_head)


def prepare_run(library: Library, spec: RunSpec) -> Generator[Event, None, RunFolder]:
    """Make the corpus, the tokenizer if none is given, and the run folder, which is returned. Yields Phase, Progress.

    Special tokens that the objective needs are added to the run's own copy of the tokenizer. A run from weights copies
    its parent's tokenizer and weights, so that it depends on nothing else.

    Raises:
        ValueError: if the data or the tokenizer does not suffice, the design cannot be trained, the parent does not
            exist, or an extension that the spec names is not installed.
    """
    ready, name = yield from _prepare(library, spec)
    if ready.parent is not None:
        return (yield from _create_tuned(library, ready, ready.parent))
    plain = load_tokenizer(name, library).get_vocab_size()
    grown = ready.spec.model.vocab_size > plain
    if not grown:
        return RunFolder.create(library, ready.spec, name, ready.corpus.sha)
    about = find_tokenizer(name, library).parent.name
    return RunFolder.create(library, ready.spec, about, ready.corpus.sha, own_tokenizer=_text_of(ready.tokenizer))


def _create_tuned(library: Library, ready: PreparedData, parent: Parent) -> Generator[Event, None, RunFolder]:
    contents = library.runs / f"{TEMPORARY_PREFIX}parent-{uuid.uuid4().hex[:8]}"
    try:
        yield from write_parent(parent, contents)
        lineage = parent.lineage
        for setting, reward_model in ready.reward_models.items():
            yield from write_kept(reward_model, contents / REWARD_MODELS[setting])
            lineage = {**lineage, setting: reward_model.lineage["parent"]}
        return RunFolder.create(
            library,
            ready.spec,
            parent.tokenizer_name,
            ready.corpus.sha,
            own_tokenizer=_text_of(ready.tokenizer),
            contents=contents,
            lineage=lineage,
        )
    finally:
        shutil.rmtree(contents, ignore_errors=True)


def _text_of(tokenizer: Tokenizer) -> bytes:
    return tokenizer.to_str(pretty=True).encode()


def prepare_trial(library: Library, spec: RunSpec, *, draws: bool = False) -> Generator[Event, None, PreparedData]:
    """Prepare the text, tokenizer and parent of a run without creating the run. Yields and raises like `prepare_run`.

    draws: whether the run draws replies, as an alignment does, instead of reading batches.
    """
    if spec.data.source == "pronouns":
        raise ValueError(
            "Runs on pronoun pairs can be neither previewed nor measured before they start: they take seconds."
        )
    if spec.align is not None and not draws:
        raise ValueError(
            "Alignments can be neither previewed nor measured before they start: what they learn from is drawn then."
        )
    ready, _ = yield from _prepare(library, spec)
    return ready


def _prepare(library: Library, spec: RunSpec) -> Generator[Event, None, tuple[PreparedData, str]]:
    """Return the run's data, and the name or path of the tokenizer to copy ("" for the parent's)."""
    check_installed(spec)
    if spec.tune is not None:
        return (yield from _prepare_tuned(library, spec)), ""
    if spec.data.source != "dataset":
        _check(spec)
    corpus = yield from prepare_corpus(library, spec.data)
    if spec.data.source == "dataset":
        data = yield from _with_task(spec.data, corpus)
        spec = dataclasses.replace(spec, data=data, model=spec.model.for_task(data.task, data.labels))
        _check(spec)
    name = yield from prepare_tokenizer(library, spec.tokenizer, corpus, spec.name)
    tokenizer = load_tokenizer(name, library)
    _add_special_tokens(tokenizer, spec, spec.model.topology)
    model = dataclasses.replace(spec.model, vocab_size=tokenizer.get_vocab_size())
    return PreparedData(spec=dataclasses.replace(spec, model=model), tokenizer=tokenizer, corpus=corpus), name


def _prepare_tuned(library: Library, spec: RunSpec) -> Generator[Event, None, PreparedData]:
    """Return the data of a run from weights, whose design and tokenizer are its parent's."""
    tune = spec.tune
    assert tune is not None
    parent = yield from open_parent(library, tune.parent)
    if spec.data.source != "dataset":  # Before a text is made, which takes seconds; the head stays the parent's
        check_tuning(dataclasses.replace(spec, model=parent.config), 0)
    corpus = yield from prepare_corpus(library, spec.data)
    if (corpus.has_chats or corpus.task in REPLY_TASKS) and parent.config.topology == "decoder-only":
        template = template_to_teach(parent.template_config, parent.config, parent.tokenizer)
        parent = dataclasses.replace(parent, template_config=template)
    old = find_replay_corpus(library, parent.lineage, corpus, parent.config) if tune.old_share else None
    data = spec.data
    if data.source == "dataset":
        data = yield from _with_task(data, corpus, parent.labels)
    tokenizer = parent.tokenizer
    n_known = tokenizer.get_vocab_size()
    spec = dataclasses.replace(spec, model=parent.config, tokenizer=parent.tokenizer_spec, data=data)
    _add_special_tokens(tokenizer, spec, parent.config.topology)
    align = spec.align
    head_of = align.kind.head if align is not None and align.kind.head != "language" else data.task
    design = tuned_design(parent.config, tokenizer, head_of, data.labels)
    reward_models: dict[str, Parent] = {}
    if align is not None:
        for setting, model in align.reward_models.items():
            found = reward_models[setting] = yield from open_parent(library, model)
            check_reward_model(found.config, found.tokenizer, design, tokenizer, found.name)
        align = align.with_reward_models({setting: found.reference for setting, found in reward_models.items()})
    if align is not None and align.task == "prompts" and align.max_tokens >= design.context_length:
        raise ValueError(
            f"Replies of up to {align.max_tokens} tokens leave no room for a prompt in {parent.name!r}, whose context "
            f"has {design.context_length} tokens: lower align.max_tokens."
        )
    spec = dataclasses.replace(spec, model=design, tune=dataclasses.replace(tune, parent=parent.reference), align=align)
    _check(spec)
    n_new = tokenizer.get_vocab_size() - n_known
    check_tuning(spec, n_new)
    for sentence in describe_new_parameters(spec, n_new, parent.config, parent.labels):
        yield Notice(sentence=sentence)
    return PreparedData(
        spec=spec,
        tokenizer=tokenizer,
        corpus=corpus,
        parent=parent,
        reward_models=reward_models,
        old=old,
        template=parent.template_config,
    )


def _with_task(data: DataSpec, corpus: Corpus, known: Sequence[str] = ()) -> Generator[Event, None, DataSpec]:
    """Fill in a dataset's task, labels and metric.

    known: the labels of a parent, whose order is kept if they are the same. Raises ValueError for a row that does not
    suit the task.
    """
    labels = yield from find_labels(corpus)
    for split in SPLITS if corpus.task in CHECKED_TASKS else ():
        yield from check_split(corpus, split, labels)
    if corpus.task in PREFERENCE_TASKS:
        yield from check_prompts_apart(corpus)
    if set(known) == set(labels):
        labels = tuple(known)
    return dataclasses.replace(data, task=corpus.task, labels=labels, metric=data.metric or corpus.metric)


def _check(spec: RunSpec) -> None:
    """Raise ValueError if the design cannot learn from the data, or its custom blocks cannot be built here."""
    check_blocks(spec.model)
    if spec.learned_task in LABEL_TASKS or spec.align is not None:
        return  # `for_task` has checked it
    check = check_pointing if spec.data.source == "pronouns" else check_trainable
    check(spec.model)


def _add_special_tokens(tokenizer: Tokenizer, spec: RunSpec, topology: str) -> None:
    denoises = objective_of(spec.model, spec.train.objective) == "denoising"
    add_missing_special_tokens(tokenizer, topology, masks=denoises)


def prepare_queued(library: Library, queue: RunQueue, item: QueuedRun) -> Generator[Event, None, RunFolder]:
    """Return the run folder of a queue item: created as by `prepare_run`, or opened. A new run leaves the queue here.

    Raises:
        ValueError: as `prepare_run`, or if the run no longer exists; the item then stays in the queue. Also if the
            item
            was removed from the queue in the meantime; then no run is created.
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
    """Return the name or path of the tokenizer for `spec`; trains one unless the library has it for this text."""
    if spec.path:
        return spec.path
    wanted = {"corpus": corpus.sha, "kind": spec.kind, "wanted_vocab_size": spec.vocab_size}
    if spec.kind == "byte":  # is not trained, so the same tokenizer serves all runs
        wanted = {"kind": "byte"}
    for info in library.list_tokenizers():
        about = info.folder / "about.json"
        if info.problem is None and about.exists() and wanted.items() <= read_json(about).items():
            return info.name
    name = library.free_name(library.tokenizers, "byte" if spec.kind == "byte" else run_name, has_spaces=True)
    folder = library.tokenizers / name
    if spec.kind == "byte":
        save_tokenizer(train_tokenizer((), "byte", 0), library, name, wanted)
    else:
        sample = yield from corpus.sample_events("train")
        yield from train_in_child([sample], spec.kind, spec.vocab_size, folder)
        atomic_write_json(folder / "about.json", read_json(folder / "about.json") | wanted)
    return name
