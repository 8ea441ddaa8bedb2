"""A preview of a run's data: its first examples token by token, the size of the text, and its lengths."""

from __future__ import annotations

from collections.abc import Generator, Sequence

import numpy as np
from tokenizers import Tokenizer
from torch import Tensor

from terrarium.models.corpora.corpus import Corpus
from terrarium.models.data.batch import Batch
from terrarium.models.data.batches import objective_batches
from terrarium.models.data.encoded import EncodedSplit, encode_split_events
from terrarium.models.data.examples import ExampleForm
from terrarium.models.data.objectives import objective_on
from terrarium.models.data.plain_objectives import Objective, SourceToTarget
from terrarium.models.data.replay_rows import ReplayRows
from terrarium.models.events import Event, Phase
from terrarium.models.settings.model_config import objective_of
from terrarium.models.tasks.batches import TaskBatches, make_task_batches
from terrarium.models.tasks.encoding import TaskEncoder
from terrarium.models.tasks.row_reader import Item
from terrarium.models.tasks.rows import LABEL_TASKS
from terrarium.models.tasks.seen_example import TokenRow, answer_tokens, item_labels, token_row
from terrarium.models.tokenizers import Piece, pieces_of
from terrarium.models.tokenizers.special_tokens import mask_id, sentinel_ids
from terrarium.models.training.batches import make_batches
from terrarium.models.training.estimates.findings import DataPreview, Lengths, PreviewExample, SplitFacts
from terrarium.models.training.prepare import PreparedData

N_EXAMPLES = 6
"""The number of examples shown, from the first batches of the run."""

_MAX_LINES = 20_000
_SAMPLE_BYTES = 1 << 22
_MAX_EXAMPLES = 1_000_000
_MAX_BINS = 24


def preview_data(prepared: PreparedData) -> Generator[Event, None, DataPreview]:
    """Encode the corpus and preview the run's first batches, made by the same code with the same seed. Yields Phase.

    Raises:
        ValueError: if the training text does not suffice, or the design has no plain objective.
    """
    yield Phase(name="Encoding the text")
    if prepared.corpus.task in LABEL_TASKS:
        return (yield from preview_task(prepared))
    encoded = yield from encode_splits(prepared.corpus, prepared.tokenizer, prepared.form)
    yield Phase(name="Making the first batches")
    if prepared.corpus.source == "pronouns":
        return _preview_pronouns(prepared, encoded)
    return preview_encoded(prepared, encoded, prepared.replay_rows())


def encode_splits(
    corpus: Corpus, tokenizer: Tokenizer, form: ExampleForm
) -> Generator[Event, None, list[EncodedSplit]]:
    """Encode both splits (train, val). Yields events while large ones are encoded."""
    train = yield from encode_split_events(corpus, tokenizer, "train", form)
    return [train, (yield from encode_split_events(corpus, tokenizer, "val", form))]


def preview_encoded(prepared: PreparedData, encoded: Sequence[EncodedSplit], old: ReplayRows | None) -> DataPreview:
    """Preview as `preview_data`, with splits (train, val) already encoded, and the parent's rows to mix in."""
    corpus, tokenizer = prepared.corpus, prepared.tokenizer
    model, train = prepared.spec.batch_model, prepared.spec.train
    objective = objective_on(corpus, model, tokenizer, train.objective)
    batches = objective_batches(encoded[0], objective, model.context_length, train, old)
    problems = []
    if train.eval_interval:
        try:
            objective_batches(encoded[1], objective, model.context_length, train)
        except ValueError as error:
            problems.append(str(error))
    name = "text-to-text" if isinstance(objective, SourceToTarget) else objective_of(model, train.objective)
    gaps = {id for id in (mask_id(tokenizer), *sentinel_ids(tokenizer)) if id is not None}
    examples: list[PreviewExample] = []
    for step in range(min(N_EXAMPLES, batches.n_batches)):
        batch = batches.batch(step // train.grad_accum_steps, step % train.grad_accum_steps)
        # One from each batch: examples of a batch may have similar lengths.
        row = step % len(batch.inputs)
        examples.append(_example(name, tokenizer, batch, row, gaps))
    return DataPreview(
        objective=name,
        examples=tuple(examples),
        splits=tuple(_facts(split) for split in encoded),
        lengths=_lengths(corpus, tokenizer, encoded[0], objective),
        epochs=train.steps * train.grad_accum_steps / batches.n_batches,
        vocab_size=tokenizer.get_vocab_size(),
        problems=tuple(problems),
    )


def preview_task(prepared: PreparedData) -> Generator[Event, None, DataPreview]:
    """Preview a task with labels: what the model reads, and its labels, tags or answer. Yields Progress."""
    corpus, tokenizer = prepared.corpus, prepared.tokenizer
    model, train, labels = prepared.spec.batch_model, prepared.spec.train, prepared.spec.data.labels
    batches = yield from make_task_batches(corpus, tokenizer, model, train, "train", labels)
    validation = SplitFacts(split="val", n_tokens=0, n_bytes=0, n_examples=0)
    if train.eval_interval:
        held_out = yield from make_task_batches(corpus, tokenizer, model, train, "val", labels)
        validation = _task_facts(held_out, "val")
    chosen = [batches.items[i * len(batches.items) // N_EXAMPLES] for i in range(min(N_EXAMPLES, len(batches.items)))]
    return DataPreview(
        objective=corpus.task,
        examples=tuple(_task_example(batches.encoder, tokenizer, item) for item in chosen),
        splits=(_task_facts(batches, "train"), validation),
        lengths=_histogram("examples", batches.items.lengths.astype(np.int64), 0),
        epochs=train.steps * train.grad_accum_steps / batches.n_batches,
        vocab_size=tokenizer.get_vocab_size(),
    )


def _task_facts(batches: TaskBatches, split: str) -> SplitFacts:
    items = batches.items
    return SplitFacts(split=split, n_tokens=int(items.lengths.sum()), n_bytes=0, n_examples=items.n_rows)


def _task_example(encoder: TaskEncoder, tokenizer: Tokenizer, item: Item) -> PreviewExample:
    counted = answer_tokens(encoder.task, item)
    if encoder.task == "span":
        pieces = pieces_of(tokenizer, [item.ids[i] for i in sorted(counted)])
        answers = [piece.display for piece in pieces] or ["no answer"]
    else:
        answers = item_labels(encoder, item)
    labels = tuple(Piece(i, text.encode(), 0, 0, text) for i, text in enumerate(answers))
    return PreviewExample(source=token_row(tokenizer, item.ids, predicted=counted), target=TokenRow(pieces=labels))


def _preview_pronouns(prepared: PreparedData, encoded: Sequence[EncodedSplit]) -> DataPreview:
    """Preview pronoun pairs: the target is the noun that "it" refers to."""
    tokenizer, train = prepared.tokenizer, prepared.spec.train
    batches = make_batches(prepared.corpus, tokenizer, prepared.spec.batch_model, train)
    examples = []
    for step in range(min(N_EXAMPLES, batches.n_batches)):
        batch = batches.batch(step)
        assert batch.mask is not None
        it = int(batch.weights[0].argmax())
        target = token_row(tokenizer, _real(batch.inputs[0], batch.mask[0]), predicted={int(batch.targets[0, it])})
        examples.append(PreviewExample(source=None, target=target))
    lengths = encoded[0].lengths(_MAX_EXAMPLES) - 1  # the end is not read
    return DataPreview(
        objective="pronouns",
        examples=tuple(examples),
        splits=tuple(_facts(split) for split in encoded),
        lengths=_histogram("examples", lengths, 0),
        epochs=train.steps * train.grad_accum_steps / batches.n_batches,
        vocab_size=tokenizer.get_vocab_size(),
    )


def _example(objective: str, tokenizer: Tokenizer, batch: Batch, row: int, gaps: set[int]) -> PreviewExample:
    inputs, targets = batch.inputs[row].tolist(), batch.targets[row].tolist()
    weights = batch.weights[row].tolist()
    counts = [i for i, weight in enumerate(weights) if weight > 0]
    if objective == "next-token":
        last = counts[-1] + 1 if counts else 0
        target = token_row(tokenizer, [inputs[0], *targets[:last]], predicted={i + 1 for i in counts})
        return PreviewExample(source=None, target=target)
    if objective == "masked-tokens":
        real = len(inputs) if batch.mask is None else int(batch.mask[row].sum())
        inputs, targets = inputs[:real], targets[:real]
        differs = {i for i in range(real) if inputs[i] != targets[i]}
        hidden = {i for i in differs if inputs[i] in gaps}
        source = token_row(tokenizer, inputs, hidden=hidden, changed=differs - hidden)
        return PreviewExample(source=source, target=token_row(tokenizer, targets, predicted=set(counts)))
    assert batch.source is not None
    source_ids = _real(batch.source[row], None if batch.source_mask is None else batch.source_mask[row])
    source = token_row(tokenizer, source_ids, hidden={i for i, id in enumerate(source_ids) if id in gaps})
    last = counts[-1] + 1 if counts else 0
    return PreviewExample(source=source, target=token_row(tokenizer, targets[:last], predicted=set(counts)))


def _real(ids: Tensor, mask: Tensor | None) -> list[int]:
    kept: list[int] = (ids if mask is None else ids[mask]).tolist()
    return kept


def _facts(encoded: EncodedSplit) -> SplitFacts:
    return SplitFacts(
        split=encoded.split,
        n_tokens=encoded.n_tokens,
        n_bytes=encoded.n_bytes,
        n_examples=encoded.n_examples,
    )


def _lengths(corpus: Corpus, tokenizer: Tokenizer, encoded: EncodedSplit, objective: Objective) -> Lengths:
    """Make a histogram of the lengths of the training examples, or of the lines of a text (a sample if very many)."""
    if encoded.starts is not None:
        lengths = encoded.lengths(_MAX_EXAMPLES)
        unit = "examples" if len(lengths) == encoded.n_examples else "sampled examples"
        return _histogram(unit, lengths, encoded.n_longer(objective.width), objective.width - objective.overlap)
    lines = [line for line in corpus.sample_text(encoded.split, _SAMPLE_BYTES).split("\n") if line.strip()]
    unit = "sampled lines" if corpus.is_large or len(lines) > _MAX_LINES else "lines"
    lines = lines[:: -(-len(lines) // _MAX_LINES)]
    found = tokenizer.encode_batch_fast(lines, add_special_tokens=False)
    return _histogram(unit, np.array([len(encoding.ids) for encoding in found]), 0)


def _histogram(unit: str, lengths: np.ndarray[tuple[int], np.dtype[np.int64]], n_cut: int, limit: int = 0) -> Lengths:
    longest = int(lengths.max())
    most = max(1, int(np.quantile(lengths, 0.99)))
    width = -(-most // _MAX_BINS)
    n_bins = min(_MAX_BINS, -(-longest // width))
    bins = np.minimum((np.maximum(lengths, 1) - 1) // width, n_bins - 1)
    counts = tuple(np.bincount(bins, minlength=n_bins).tolist())
    median = int(np.median(lengths))
    return Lengths(unit=unit, counts=counts, width=width, longest=longest, median=median, n_cut=n_cut, limit=limit)
