"""Finds a batch size by trial: doubles it until memory runs out or speed no longer grows, measured in real steps."""

from __future__ import annotations

import dataclasses
import traceback
from collections.abc import Callable, Generator

import torch

from terrarium.models.data.batches import Batches, objective_batches
from terrarium.models.data.encoded import encode_split_events
from terrarium.models.data.objectives import objective_on
from terrarium.models.design.fit import describe_update, split_update
from terrarium.models.device import DeviceChoice, choose_device, is_out_of_memory
from terrarium.models.events import Event, Phase, Progress
from terrarium.models.library.library import Library
from terrarium.models.runs.run_folder import RunFolder
from terrarium.models.settings.run_spec import RunSpec, TrainConfig
from terrarium.models.tasks.batches import make_task_batches
from terrarium.models.tasks.rows import LABEL_TASKS
from terrarium.models.training.estimates.findings import BatchFound, BatchPoint
from terrarium.models.training.estimates.trial import free_bytes, heaviest_batch, make_trial, prepared_run
from terrarium.models.training.prepare import PreparedData, prepare_trial

MAX_BATCH_SIZE = 65_536
"""The largest batch_size of a TrainConfig."""

TIMED_STEPS = 3
GAIN = 1.05
"""A batch of twice the size must be at least this many times as fast."""

SLOW_S = 30.0
"""Seconds: a slower step ends the search for larger batches."""

MEMORY_SHARE = 0.9
"""The share of the free memory that a trial may use: beyond it, a machine starts to swap."""


def find_batch(
    library: Library, spec: RunSpec, device: str = "auto", *, below: int | None = None
) -> Generator[Event, None, BatchFound]:
    """Try batch sizes on the run's own data. Yields Phase, Progress, BatchPoint. No run is created.

    below: a size that is known not to fit. Then the search is only for the largest that does: the remedy after a
    training ran out of memory.

    Raises:
        ValueError: if the run could not train.
    """
    prepared = yield from prepare_trial(library, spec)
    return (yield from try_batches(prepared, choose_device(device), below=below))


def try_batches(
    prepared: PreparedData, choice: DeviceChoice, *, below: int | None = None
) -> Generator[Event, None, BatchFound]:
    """Search as `find_batch`, on prepared data."""
    yield Phase(name="Encoding the text")
    search = _Search(prepared, (yield from _batches_of_size(prepared)), choice)
    if below is None:
        yield from search.double()
    ceiling = below if below is not None else search.too_large
    if ceiling is not None:
        yield from search.bisect(ceiling)
    return search.result()


def _batches_of_size(prepared: PreparedData) -> Generator[Event, None, Callable[[TrainConfig], Batches]]:
    """Return a function that makes the training batches for another batch size; the text is encoded once."""
    spec, corpus, tokenizer = prepared.spec, prepared.corpus, prepared.tokenizer
    if corpus.task in LABEL_TASKS:
        batches = yield from make_task_batches(
            corpus, tokenizer, spec.batch_model, spec.train, "train", spec.data.labels
        )
        return batches.resized
    objective = objective_on(corpus, spec.batch_model, tokenizer, spec.train.objective)
    encoded = yield from encode_split_events(corpus, tokenizer, "train", prepared.form)
    old = prepared.replay_rows()
    return lambda train: objective_batches(encoded, objective, spec.batch_model.context_length, train, old)


class _Search:
    def __init__(self, prepared: PreparedData, make: Callable[[TrainConfig], Batches], choice: DeviceChoice) -> None:
        spec = prepared.spec
        self._prepared, self._spec, self._choice = prepared, spec, choice
        self._make_batches = make
        self._limit = free_bytes(choice)
        self._points: dict[int, BatchPoint] = {}
        self._seconds = 0.0
        self.too_large: int | None = None

    def double(self) -> Generator[Event, None, None]:
        """Try 1, 2, 4 … until one does not fit or is no longer faster."""
        size, best, n_without_gain = 1, 0.0, 0
        while size <= MAX_BATCH_SIZE:
            point = yield from self._try(size)
            if not point.fits:
                self.too_large = size
                return
            assert point.tokens_per_s is not None
            n_without_gain = 0 if point.tokens_per_s >= GAIN * best else n_without_gain + 1
            best = max(best, point.tokens_per_s)
            if n_without_gain == 2 or self._seconds > SLOW_S:
                return
            size *= 2

    def bisect(self, too_large: int) -> Generator[Event, None, None]:
        """Find the largest size below `too_large` that fits, to within a sixteenth of it."""
        low = max((size for size, point in self._points.items() if point.fits and size < too_large), default=0)
        while too_large - low > max(1, too_large // 16):
            size = (low + too_large) // 2
            point = yield from self._try(size)
            low, too_large = (size, too_large) if point.fits else (low, size)
        self.too_large = too_large

    def result(self) -> BatchFound:
        points = tuple(self._points[size] for size in sorted(self._points))
        fitting = [point for point in points if point.fits and point.tokens_per_s is not None]
        wanted = self._spec.train.batch_size * self._spec.train.grad_accum_steps
        largest = fitting[-1].batch_size if fitting and self.too_large is not None else None
        best = max((point.tokens_per_s or 0.0 for point in fitting), default=0.0)
        fastest = next((p.batch_size for p in fitting if (p.tokens_per_s or 0.0) * GAIN >= best), None)
        size = min(largest or wanted, wanted) if fitting else None
        split = split_update(wanted, size) if size else None
        return BatchFound(
            points=points,
            largest=largest,
            fastest=fastest,
            batch_size=None if split is None else split[0],
            grad_accum_steps=self._spec.train.grad_accum_steps if split is None else split[1],
            limit_bytes=self._limit,
        )

    def _try(self, size: int) -> Generator[Event, None, BatchPoint]:
        """Train a few steps with a batch size, unless smaller ones show that it cannot fit. Yields the result."""
        yield Phase(name=f"Trying batches of {size:,}")
        if self._limit is not None and (self._expected(size) or 0) > MEMORY_SHARE * self._limit:
            point = BatchPoint(batch_size=size, fits=False, is_tried=False)
        else:
            point = yield from self._measure(size)
        self._points[size] = point
        yield point
        return point

    def _measure(self, size: int) -> Generator[Event, None, BatchPoint]:
        train = dataclasses.replace(self._spec.train, batch_size=size, grad_accum_steps=1)
        spec = dataclasses.replace(self._spec, train=train)
        batches = self._make_batches(train)
        trial = None
        try:
            trial = make_trial(dataclasses.replace(self._prepared, spec=spec), batches, self._choice)
            steps = []
            for i in range(TIMED_STEPS):
                steps.append(trial.step(i))
                yield Progress(done=i + 1, total=TIMED_STEPS + 1)  # a trial may be cancelled here
            del steps[0]  # slower than the others: warm-up
            peak = trial.peak_bytes(heaviest_batch(batches))
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            return BatchPoint(batch_size=size, fits=False)
        finally:
            if trial is not None:
                trial.free()
        self._seconds = max(step.seconds for step in steps)
        speed = sum(step.n_tokens for step in steps) / sum(step.seconds for step in steps)
        return BatchPoint(batch_size=size, fits=True, tokens_per_s=speed, peak_bytes=peak)

    def _expected(self, size: int) -> int | None:
        """Return the expected memory of a batch size in bytes, extrapolated linearly from two smaller ones."""
        known = [(s, p.peak_bytes) for s, p in sorted(self._points.items()) if p.peak_bytes is not None and s < size]
        if not known:
            return None
        (last, at_last), (first, at_first) = known[-1], known[0]
        if last == first:
            return at_last * size // last if self._choice.device.type == "cpu" else None
        return round(at_last + (at_last - at_first) / (last - first) * (size - last))


NOTHING_FITS = "Not even one text at a time fits: use a shorter context_length or a smaller model."


def remedy_sentence(found: BatchFound, texts: int) -> str:
    """Return the remedy for a training that ran out of memory with updates of `texts` texts, from a search's result."""
    if found.largest is None or found.batch_size is None:
        return NOTHING_FITS
    size, accum = found.batch_size, found.grad_accum_steps
    return (
        f"The largest batch_size that fits is {found.largest}, found by trial: use batch_size {size} with "
        f"grad_accum_steps {accum}: {describe_update(texts, size, accum)}."
    )


def found_sentence(found: BatchFound) -> str:
    """Return the result of a whole search, in a sentence or two."""
    if found.largest is None and found.fastest is None:
        return NOTHING_FITS
    limit = f"{found.largest} is the largest that fits." if found.largest is not None else "Memory was no limit."
    return f"A batch_size of {found.fastest} is as fast as larger ones. {limit}"


def try_smaller_batches(
    error: BaseException, library: Library, run: RunFolder, device: DeviceChoice
) -> Generator[Event, None, str]:
    """Return a sentence that says which batch size fits, "" if that cannot be tried. Yields Phase, Progress,
    BatchPoint.

    The memory of the failed step is freed first; the caller must hold no reference to it either.
    """
    traceback.clear_frames(error.__traceback__)
    if device.device.type == "cuda":
        torch.cuda.empty_cache()
    yield Phase(name="Out of memory: finding the largest batch that fits")
    try:
        prepared = prepared_run(library, run)
        found = yield from try_batches(prepared, device, below=run.spec.train.batch_size)
    except (ValueError, RuntimeError, MemoryError, OSError):
        return ""  # the error message then has no remedy
    return remedy_sentence(found, run.spec.train.batch_size * run.spec.train.grad_accum_steps)
