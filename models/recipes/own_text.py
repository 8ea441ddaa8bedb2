"""A quick start on the user's own text: its settings, its number of steps, and the evaluation of its model."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Generator, Sequence
from pathlib import Path

from terrarium.models.architecture.transformer import Decoder
from terrarium.models.corpora.corpus import Corpus, open_run_corpus
from terrarium.models.corpora.text_corpora import MIN_BYTES, SAME_AGAIN, repetitive, too_short
from terrarium.models.evaluation.record import read_comparison, write_comparison
from terrarium.models.evaluation.text_comparison import compare_model, compare_tables
from terrarium.models.events import Event, Notice, TextCompared
from terrarium.models.files.atomic import remove_folder
from terrarium.models.interop.loading import load_model
from terrarium.models.library.library import Library
from terrarium.models.library.run_record import checkpoint_step
from terrarium.models.number_words import format_size
from terrarium.models.recipes.mark import add_result
from terrarium.models.runs.run_folder import RunFolder
from terrarium.models.settings.model_config import ModelConfig
from terrarium.models.settings.run_spec import DataSpec, RunSpec, TokenizerSpec, TrainConfig

MINUTES, STEPS_PER_MINUTE = 3.0, 200
"""The budget is the number of steps that two idle cores take in that time: on a busy computer they take longer, with
the same result.
"""
MIN_STEPS, MAX_EPOCHS = 20, 8
"""The minimum steps, and the maximum epochs: with 50 kB, the held-out loss rose again after seven (measured)."""
MAX_BYTES = 1 << 25
"""The maximum bytes of text to read: several times what a quick start has time to learn from."""
_VOCAB_SIZES = ((200_000, 320), (4_000_000, 1024), (MAX_BYTES, 2048))
"""(maximum bytes, vocabulary size). If text is scarce, a small vocabulary learns more from it than a large one: with
50 kB, 320, 512 and 1,024 tokens gave 2.20, 2.30 and 2.41 bits per byte (measured).
"""
_SMALL_BATCH = 6
_N_VALIDATIONS, _PATIENCE = 12, 3

TRAINING = TrainConfig(
    batch_size=12,
    optimizer="muon",
    muon_lr=0.02,
    lr=3e-3,
    weight_decay=0.1,
    warmup_steps=30,
    schedule="wsd",
    min_lr_ratio=0.0,
    precision="float32",
    eval_batches=16,
    sample_tokens=96,
    patience=_PATIENCE,
    keep_checkpoints=2,
)


def text_spec(library: Library, files: Sequence[str], model: ModelConfig, seed: int) -> RunSpec:
    """Return the spec of the run on these files, without its number of steps."""
    size = min(_size(files), MAX_BYTES)
    vocab_size = next(each for most, each in _VOCAB_SIZES if size <= most)
    is_small = size <= _VOCAB_SIZES[0][0]
    batch_size = _SMALL_BATCH if is_small else TRAINING.batch_size
    return RunSpec(
        name=library.free_name(library.runs, Path(files[0]).stem),
        model=model,
        tokenizer=TokenizerSpec(kind="bpe", vocab_size=vocab_size),
        data=DataSpec(source="files", files=tuple(files), max_bytes=MAX_BYTES),
        train=dataclasses.replace(TRAINING, batch_size=batch_size, seed=seed, prompts=("The",)),
    )


def check_text(corpus: Corpus, files: Sequence[str]) -> Generator[Event, None, TextCompared]:
    """Measure what gzip and n-gram tables predict of the held-out part; yields a Notice if a text is not read to its
    end.

    Raises:
        ValueError: if there is too little text, or it only repeats itself; the message has the remedy.
    """
    if corpus.n_bytes < MIN_BYTES:
        raise too_short(corpus.label, "".join(map(corpus.read_text, corpus.splits)))
    size = _size(files)
    if size > MAX_BYTES:
        yield Notice(
            sentence=f"{corpus.label} has {format_size(size)}: the first {format_size(MAX_BYTES)} are read, more than "
            "a quick start has time to learn from."
        )
    compared = yield from compare_tables(corpus)
    if min(compared.gzip, compared.table) < SAME_AGAIN:
        raise repetitive(corpus.label, compared.gzip)
    return compared


def _size(files: Sequence[str]) -> int:
    """Return the total size of these files in bytes; a missing file is reported where it is read."""
    return sum(Path(file).stat().st_size for file in files if Path(file).is_file())


def fit_steps(train: TrainConfig, minutes: float, n_batches: int, factor: float = 1.0) -> TrainConfig:
    """Set the number of steps and the intervals of a training.

    Args:
        n_batches: in one pass over the text; so small a model benefits from at most MAX_EPOCHS passes.
        factor: how many times as many steps the design needs.
    """
    budget = round(minutes * STEPS_PER_MINUTE * factor)
    steps = max(MIN_STEPS, min(budget, MAX_EPOCHS * n_batches))
    interval = max(1, steps // _N_VALIDATIONS)
    return dataclasses.replace(
        train,
        steps=steps,
        warmup_steps=min(train.warmup_steps, steps // 4),
        eval_interval=interval,
        sample_interval=interval,
        checkpoint_interval=interval,
    )


def keep_best(run: RunFolder) -> None:
    """Delete the checkpoints after the best: if the held-out loss rises again, the best model is the one to use."""
    if run.best_step is not None:
        for path in run.checkpoints():
            if checkpoint_step(path) > run.best_step:
                remove_folder(path)


def known_tables(library: Library, run: RunFolder) -> Generator[Event, None, TextCompared]:
    """Return the comparison of gzip and tables on the run's text, without a model: saved, or measured now."""
    known = None
    with contextlib.suppress(ValueError):  # a damaged file is measured again
        known = read_comparison(run.folder)
    known = known or (yield from compare_tables(open_run_corpus(library, run)))
    return dataclasses.replace(known, model=None, step=0)


def compare_with_tables(library: Library, run: RunFolder) -> Generator[Event, None, None]:
    """Measure the model of the run's last checkpoint; the last event is TextCompared, which is saved."""
    compared = yield from known_tables(library, run)
    last = run.latest_checkpoint()
    assert last is not None
    model, tokenizer = load_model(last)
    assert isinstance(model, Decoder)
    assert tokenizer is not None
    compared = yield from compare_model(
        compared, model, tokenizer, open_run_corpus(library, run), checkpoint_step(last)
    )
    write_comparison(run.folder, compared)
    add_result(run.folder, {"bits_per_byte": compared.model})
    yield compared
