"""The calibration of a model on the held-out texts of its own run, or on a text file."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Generator
from pathlib import Path

import numpy as np
from tokenizers import Tokenizer

from terrarium.models.architecture.transformer import AnyModel
from terrarium.models.chat.template_config import read_kept_template_config
from terrarium.models.corpora.corpus import Corpus, open_run_corpus
from terrarium.models.data.batches import Batches, objective_batches
from terrarium.models.data.encoded import EncodedSplit
from terrarium.models.data.objectives import make_objective
from terrarium.models.events import Event, Progress, reporting
from terrarium.models.files.encodings import SAVE_AS_UTF8, encoding_of_file
from terrarium.models.library.library import Library
from terrarium.models.metrics.calibration import Calibration
from terrarium.models.runs.run_folder import RunFolder
from terrarium.models.settings.run_spec import TrainConfig
from terrarium.models.tasks.calibration import MAX_PREDICTIONS, check_has_probabilities, measure_calibration
from terrarium.models.tokenizers import encode_text
from terrarium.models.training.batches import make_batches_events, open_parent_corpus

_TOKENS, _ROWS = 1024, 32
"""The size of a batch: tokens of text, or rows with labels. Small ones spread over the held-out texts."""
_MIN_BATCHES = 20
_CHARACTERS = 1_000_000
_MIN_PASSAGES, _MIN_PASSAGE = 20, 8
"""A text file is read in at least this many passages, of at least this many tokens."""


def calibrate(
    library: Library,
    run: RunFolder,
    model: AnyModel,
    tokenizer: Tokenizer,
    file: Path | None = None,
    *,
    max_predictions: int = MAX_PREDICTIONS,
    seconds: float = math.inf,
) -> Generator[Event, None, Calibration]:
    """Measure the calibration on the validation split of the run's own data, or on a text file.

    Args:
        run: the model's run, which may be an imported model. max_predictions, seconds: as for `measure_calibration`.

    Raises:
        ValueError: if there is no held-out text, or as `measure_calibration`.
    """
    check_has_probabilities(model)
    if file is None:
        corpus = find_held_out(library, run)
        data = f"the validation texts of {corpus.label}"
        making = _run_batches(corpus, run, model, tokenizer)
        batches = yield from reporting(making, Progress(done=0, total=1))
    else:
        data, batches = file.name, file_batches(file, model, tokenizer)
    return (yield from measure_calibration(model, batches, data=data, max_predictions=max_predictions, seconds=seconds))


def find_held_out(library: Library, run: RunFolder) -> Corpus:
    """Find the data whose validation split a model has not been trained on; for an aligned model, its parent's.

    Raises:
        ValueError: if it is not in this library.
    """
    if run.spec.align is not None:
        corpus = open_parent_corpus(library, run.lineage)
        if corpus is None:
            raise ValueError(
                "What this model learned from before its alignment is not in this library: choose a text file."
            )
        return corpus
    if run.lineage.get("corpus") is None:
        raise ValueError(
            "It is not known what this model was trained on, so no text is known to be new to it: choose a text file."
        )
    return open_run_corpus(library, run)


def _run_batches(
    corpus: Corpus, run: RunFolder, model: AnyModel, tokenizer: Tokenizer
) -> Generator[Event, None, Batches]:
    """Make small batches of the validation split, in the form in which the model was trained."""
    spec, template = run.spec, read_kept_template_config(run.folder)

    def make(size: int) -> Generator[Event, None, Batches]:
        train = dataclasses.replace(spec.train, batch_size=size)
        return make_batches_events(
            corpus, tokenizer, model.config, train, "val", template=template, labels=spec.data.labels
        )

    size = max(1, _TOKENS // model.config.context_length) if model.config.head == "language" else _ROWS
    batches = yield from make(size)
    if batches.n_batches < _MIN_BATCHES and size > 1:  # a short text: smaller ones still have two halves
        batches = yield from make(max(1, size * batches.n_batches // _MIN_BATCHES))
    return batches


def file_batches(path: Path, model: AnyModel, tokenizer: Tokenizer) -> Batches:
    """Make batches of passages of a text file, which may be shorter than the model's context.

    Raises:
        ValueError: if the model predicts labels, or the file is too short or not text.
    """
    if model.config.head != "language":
        raise ValueError(
            "A text file has no labels to compare with: this model needs the dataset that it learned from."
        )
    try:
        with path.open(encoding=encoding_of_file(path)) as opened:
            text = opened.read(_CHARACTERS)
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is not UTF-8 text: {SAVE_AS_UTF8}.") from error
    except OSError as error:
        raise ValueError(f"{path} cannot be read ({error.strerror}): choose another file.") from error
    ids = encode_text(tokenizer, text)
    length = min(model.config.context_length, len(ids) // _MIN_PASSAGES)
    if length < _MIN_PASSAGE:
        raise ValueError(
            f"{path.name} has only {len(ids):,} tokens: use a text of {_MIN_PASSAGES * _MIN_PASSAGE:,} or more."
        )
    encoded = EncodedSplit(split="val", n_bytes=len(text.encode()), ids=np.array(ids))
    objective = make_objective(dataclasses.replace(model.config, context_length=length), tokenizer)
    train = TrainConfig(batch_size=max(1, _TOKENS // 2 // length))
    return objective_batches(encoded, objective, length, train)
