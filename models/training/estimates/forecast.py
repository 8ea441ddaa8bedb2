"""A forecast of a run: a preview of its data, and its cost from a few measured steps."""

from __future__ import annotations

import dataclasses
import statistics
import time
from collections.abc import Generator

from terrarium.models.data.batches import Batches, objective_batches
from terrarium.models.data.objectives import objective_on
from terrarium.models.design import training_memory
from terrarium.models.device import DeviceChoice, choose_device, is_out_of_memory, pick_precision
from terrarium.models.events import Event, Phase, Progress, result_of
from terrarium.models.library.library import Library
from terrarium.models.number_words import format_about
from terrarium.models.settings.model_config import objective_of
from terrarium.models.settings.run_spec import RunSpec, TrainConfig
from terrarium.models.tasks.rows import LABEL_TASKS
from terrarium.models.training.batches import make_batches
from terrarium.models.training.estimates.findings import RunCost
from terrarium.models.training.estimates.preview import encode_splits, preview_encoded, preview_task
from terrarium.models.training.estimates.trial import Step, Trial, free_bytes, heaviest_batch, make_trial
from terrarium.models.training.metric import Scorer, make_scorer
from terrarium.models.training.objective import validation_slice
from terrarium.models.training.prepare import PreparedData, prepare_trial
from terrarium.models.training.samples import learns_to_rewrite, prompts_are_chat, write_sample
from terrarium.models.training.schedule import times_due

TIMED_STEPS = 4
"""Steps after the first, which is slower because of warm-up."""

MAX_TIMED_S = 10.0
"""Seconds after which no further step is timed: for a large model, one step suffices."""

_N_WORK = TIMED_STEPS + 3
_N_MEASURED_ROWS = 16
"""Rows from which the time of a metric is extrapolated."""


def forecast(
    library: Library, spec: RunSpec, device: str = "auto", *, measured: bool = True
) -> Generator[Event, None, None]:
    """Prepare text and tokenizer as the run would; yield its DataPreview and, if `measured`, its RunCost.

    Also yields Phase and Progress. Creates no run; torch's random state is preserved at each event.

    Raises:
        ValueError: if the run could not train.
    """
    prepared = yield from prepare_trial(library, spec)
    yield Phase(name="Encoding the text")
    if prepared.corpus.task in LABEL_TASKS:
        yield from _forecast_task(prepared, spec, device, measured=measured)
        return
    encoded = yield from encode_splits(prepared.corpus, prepared.tokenizer, prepared.form)
    yield Phase(name="Making the first batches")
    model, train = prepared.spec.batch_model, prepared.spec.train
    old = prepared.replay_rows()
    preview = preview_encoded(prepared, encoded, old)
    yield preview
    if not measured:
        return
    yield Phase(name="Measuring a few steps")
    objective = objective_on(prepared.corpus, model, prepared.tokenizer, train.objective)
    batches = objective_batches(encoded[0], objective, model.context_length, train, old)
    validation = None
    if train.eval_interval and not preview.problems:
        validation = objective_batches(encoded[1], objective, model.context_length, train)
    yield from _measure(prepared, spec, choose_device(device), batches, validation)


def _forecast_task(
    prepared: PreparedData, asked: RunSpec, device: str, *, measured: bool
) -> Generator[Event, None, None]:
    """Forecast as `forecast`, for a task with labels."""
    corpus, tokenizer, spec = prepared.corpus, prepared.tokenizer, prepared.spec
    labels = spec.data.labels
    preview = yield from preview_task(prepared)
    yield preview
    if not measured:
        return
    yield Phase(name="Measuring a few steps")
    batches = make_batches(corpus, tokenizer, spec.batch_model, spec.train, labels=labels)
    validation = None
    if spec.train.eval_interval and not preview.problems:
        validation = make_batches(corpus, tokenizer, spec.batch_model, spec.train, "val", labels=labels)
    yield from _measure(prepared, asked, choose_device(device), batches, validation)


def _measure(
    prepared: PreparedData, asked: RunSpec, choice: DeviceChoice, batches: Batches, validation: Batches | None
) -> Generator[Event, None, None]:
    spec = prepared.spec
    train = spec.train
    precision = str(pick_precision(train, spec.model, choice.device)).removeprefix("torch.")
    heaviest = heaviest_batch(batches)
    n_texts, length = batches.batch(heaviest).inputs.shape
    source = batches.batch(heaviest).source
    estimate = training_memory(
        spec.batch_model,
        n_texts,
        length,
        train.optimizer,
        source_length=None if source is None else source.size(1),
        device=choice.device.type,
        precision=precision,
        tune=spec.tune,
        recomputes=train.activation_checkpointing,
        accumulates=train.grad_accum_steps > 1,
        state_dtype=train.state_dtype,
    )
    available = free_bytes(choice)
    common = RunCost(
        spec=asked,
        device=choice.label,
        precision=precision,
        fits=False,
        is_tried=False,
        estimated_bytes=sum(estimate.values()),
        available_bytes=available,
    )
    if available is not None and common.estimated_bytes > available:
        yield common  # trying it would make the machine swap
        return
    yield Progress(done=0, total=_N_WORK)
    trial = None
    try:
        trial = make_trial(prepared, batches, choice)
        steps: list[Step] = []
        while len(steps) < 1 + TIMED_STEPS and sum(step.seconds for step in steps) < MAX_TIMED_S:
            steps.append(trial.step(len(steps)))
            yield Progress(done=len(steps), total=_N_WORK)
        yield Phase(name=f"Measuring the memory of a step, which takes {format_about(steps[-1].seconds)}")
        if len(steps) > 1:
            del steps[0]
        yield Progress(done=_N_WORK - 2, total=_N_WORK)
        peak = trial.peak_bytes(heaviest)
        yield Phase(name="Measuring the validation and the samples")
        yield Progress(done=_N_WORK - 1, total=_N_WORK)
        validation_s = _validation_seconds(trial, train, validation)
        scorer = make_scorer(prepared.corpus, prepared.tokenizer, spec, prepared.template)
        samples_s = _sample_seconds(trial, prepared, scorer)
        validation_s += _metric_seconds(trial, train, scorer)
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        yield dataclasses.replace(common, is_tried=True)
        return
    finally:
        if trial is not None:
            trial.free()
    yield Progress(done=_N_WORK, total=_N_WORK)
    seconds = statistics.mean(step.seconds for step in steps)
    yield dataclasses.replace(
        common,
        is_tried=True,
        fits=available is None or peak is None or peak <= available,
        peak_bytes=peak,
        ms_per_step=1000 * seconds,
        tokens_per_s=sum(step.n_tokens for step in steps) / sum(step.seconds for step in steps),
        training_s=seconds * train.steps,
        validation_s=validation_s,
        samples_s=samples_s,
    )


def _validation_seconds(trial: Trial, train: TrainConfig, validation: Batches | None) -> float:
    """Extrapolate the seconds of all validations of the run from one batch."""
    if validation is None:
        return 0.0
    batches = validation_slice(validation, train.eval_batches)
    return trial.validate(batches[len(batches) // 2]) * len(batches) * times_due(train.steps, train.eval_interval)


def _metric_seconds(trial: Trial, train: TrainConfig, scorer: Scorer | None) -> float:
    """Extrapolate the seconds of all measurements of a task's metric from a few rows.

    The untrained model writes texts of the maximum length.
    """
    if scorer is None or not train.eval_interval:
        return 0.0
    few = dataclasses.replace(scorer, rows=scorer.rows[:: -(-len(scorer.rows) // _N_MEASURED_ROWS)])
    began = time.perf_counter()
    result_of(few.measure(trial.model))
    share = len(scorer.rows) / len(few.rows)
    return (time.perf_counter() - began) * share * times_due(train.steps, train.eval_interval)


def _sample_seconds(trial: Trial, prepared: PreparedData, scorer: Scorer | None) -> float:
    """Extrapolate the seconds of all samples of the run from one prompt."""
    spec, corpus = prepared.spec, prepared.corpus
    train = spec.train
    if not (train.sample_interval and train.prompts):
        return 0.0
    began = time.perf_counter()
    write_sample(
        trial.model,
        prepared.tokenizer,
        train.prompts[0],
        as_chat=prompts_are_chat(corpus, spec.model.topology),
        seed=train.seed,
        max_tokens=train.sample_tokens,
        denoises=objective_of(spec.model, train.objective) == "denoising",
        rewrites=learns_to_rewrite(corpus, spec.model.topology),
        template=prepared.template,
        scorer=scorer,
    )
    n = times_due(train.steps, train.sample_interval, train.checkpoint_interval)
    return (time.perf_counter() - began) * len(train.prompts) * n
