"""The training loop: a generator that trains a run, logs to its folder and can be controlled between its events."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Generator
from contextlib import ExitStack, suppress
from typing import NoReturn

import torch
from tokenizers import Tokenizer

from terrarium.models.architecture.transformer import AnyModel
from terrarium.models.data.batches import Batches
from terrarium.models.device import is_out_of_memory
from terrarium.models.events import (
    AlignMetrics,
    Event,
    Finished,
    LayerMetrics,
    Noted,
    Notice,
    RunStarted,
    Saved,
    TrainMetrics,
)
from terrarium.models.library.library import Library
from terrarium.models.library.run_record import EARLY_STOP
from terrarium.models.metrics.metrics_table import METRICS
from terrarium.models.runs.checkpoint_state import TrainState
from terrarium.models.runs.run_folder import RunFolder
from terrarium.models.settings.slots import join_choices
from terrarium.models.settings.stage_kinds import STAGE_KINDS, stages_with
from terrarium.models.training.clock import Clock, EtaEstimator
from terrarium.models.training.estimates.batch_finder import try_smaller_batches
from terrarium.models.training.evaluator import Evaluator, check_weights
from terrarium.models.training.failures import divergence_sentence, failure_sentence
from terrarium.models.training.forgetting import ForgettingMeter
from terrarium.models.training.machine import memory_in_use
from terrarium.models.training.parallel.process_group import SINGLE_PROCESS, ProcessGroup
from terrarium.models.training.prepare import prepare_run
from terrarium.models.training.record import DISK_FULL, Recorder, bits_per_byte
from terrarium.models.training.saving import Saver
from terrarium.models.training.schedule import lr_factor
from terrarium.models.training.setup import TrainingContext, set_up
from terrarium.models.training.stages.make import make_stage
from terrarium.models.training.stages.stage import TrainingStage
from terrarium.models.training.update import Gradients, apply_gradients, zero_gradients

__all__ = ["Trainer", "prepare_run"]

_LEARNING_RATE, _BETA = "learning rate", "beta"
"""The events that record changes made by `set_lr` and `set_beta`."""
_MEMORY_INTERVAL = 10
"""Steps between two measurements of the memory, which take a tenth of a millisecond each."""


class Trainer:
    """Trains a run from its current step to its last. One object per session.

    `events` does the work. `save`, `sample`, `set_lr`, `set_beta` and `request_stop` may be called between two events,
    on the same thread, and act at the next step boundary; `model`, `tokenizer` and `step` can be read there.
    """

    def __init__(
        self,
        run: RunFolder,
        library: Library,
        device: str = "auto",
        allow_threads: int | None = None,
        process_group: ProcessGroup = SINGLE_PROCESS,
        made_batches: Batches | None = None,
    ) -> None:
        """allow_threads: the maximum number of threads; None for all. made_batches: see `set_up`."""
        assert process_group.is_main_process
        self.run, self._process_group = run, process_group
        self._library, self._device_name, self._allow_threads = library, device, allow_threads
        self._made_batches = made_batches
        self._config = run.spec.train
        self._record = Recorder(run)
        self._clock = Clock()
        self._state = TrainState()
        self._context: TrainingContext | None = None
        self._saver = Saver(run)
        self._evaluator = Evaluator(
            self._config, self._record, self._clock, self._saver, lambda: self._stop is not None
        )
        self._forgetting = ForgettingMeter(run, library, lambda: self._stop is not None)
        self._stage: TrainingStage | None = None
        # Whether model, optimizers, state and logs are of the same step, so that they can be saved:
        self._is_consistent = False
        self._stop: tuple[bool, str] | None = None
        self._save_wanted = False
        self._prompts_wanted: list[str] = []
        # Settings whose event is not recorded yet: the event, and the value.
        self._steering: dict[str, float] = {}

    @property
    def step(self) -> int:
        """Updates done so far."""
        return self._state.step

    @property
    def model(self) -> AnyModel:
        """The model with its current weights; ValueError before RunStarted."""
        return self.context.model

    @property
    def tokenizer(self) -> Tokenizer:
        """The run's tokenizer; ValueError before RunStarted."""
        return self.context.tokenizer

    @property
    def context(self) -> TrainingContext:
        """Model, optimizers, data …; ValueError before RunStarted."""
        if self._context is None:
            raise ValueError(f"The model of {self.run.name!r} is not built yet: wait until training has started.")
        return self._context

    # Controls

    def save(self) -> None:
        """Make a checkpoint at the next step boundary."""
        self._save_wanted = True

    def sample(self, prompt: str) -> None:
        """Write a sample after `prompt` at the next step boundary."""
        self._prompts_wanted.append(prompt)

    def set_lr(self, scale: float) -> None:
        """Multiply the scheduled learning rate by `scale` from the next step on; checkpoints save the scale."""
        if not (math.isfinite(scale) and scale >= 0):
            raise ValueError(f"The learning rate cannot be multiplied by {scale}: use a number from 0 up.")
        self._steering[_LEARNING_RATE] = float(scale)

    def set_beta(self, beta: float) -> None:
        """Set the weight of KL to the parent to `beta` from the next step on; checkpoints save it.

        Raises:
            ValueError: if the run has no such weight, or `beta` is invalid for its stage.
        """
        align = self.run.spec.align
        if align is None or "beta" not in align.kind.options:
            titles = [STAGE_KINDS[stage].words.title for stage in stages_with("beta")]
            raise ValueError(f"The run {self.run.name!r} has no KL weight β, as runs with {join_choices(titles)} have.")
        self._steering[_BETA] = dataclasses.replace(align, beta=float(beta)).beta

    def request_stop(self, keep: bool = True, status: str = "stopped") -> None:
        """Stop after the current step. `keep` saves a checkpoint first, else the run stays at its last one."""
        assert status in ("stopped", "paused")
        self._stop = (keep, status)

    # The loop

    def events(self) -> Generator[Event, None, None]:
        """Train, step by step. Closing the generator early saves a checkpoint if possible and pauses the run.

        Raises:
            ValueError: if another process is training the run, a file of it is damaged, the loss is not finite, or
                memory ran
                out. Nothing is saved then; the last checkpoint remains. The same holds for any other exception, which
                is
                recorded with its type and raised unchanged.
        """
        self.run.acquire()
        with ExitStack() as ends:  # Each callback runs, even if an earlier one raises
            ends.callback(self.run.release)
            ends.callback(torch.set_num_threads, torch.get_num_threads())
            ends.callback(self._leave_group)
            ends.callback(lambda: self._saver.close(self._state))
            try:
                yield from self._clock.drive(self._events())
            except GeneratorExit:
                self._on_closed()
                raise
            except Exception as error:
                sentence = yield from self._fail(error)
                if sentence is None:
                    raise
                raise ValueError(sentence) from error

    def _leave_group(self) -> None:
        if self._context is not None:
            self._process_group.shutdown()

    def _events(self) -> Generator[Event, None, None]:
        context = yield from set_up(
            self.run, self._library, self._device_name, self._allow_threads, self._process_group, self._made_batches
        )
        self._made_batches = None
        threads = self.run.threads or context.threads * self._process_group.local_size
        yield from self._record.status("running", threads=threads, measured=context.measured)
        self._context, self._state = context, context.state
        self._state.made_with = context.made_with
        if context.resumed:
            self._saver.resume_from(self._state)
        self._clock.set(self._state.elapsed_s)
        notices = [*context.notices]
        for event in self._making_stage(context):
            if isinstance(event, Notice):
                notices.append(event.sentence)
            else:
                yield event
        self._is_consistent = True
        summary = ", ".join(f"{key} {value}" for key, value in context.made_with.items())
        yield from self._record.event("resumed" if context.resumed else "started", self.step, summary)
        for sentence in notices:
            yield from self._record.event("notice", self.step, sentence)
            yield Notice(sentence=sentence)
        yield RunStarted(
            run_id=self.run.id,
            name=self.run.name,
            step=self.step,
            total_steps=self._config.steps,
            device=context.device.label,
            precision=context.precision,
            threads=context.threads,
        )
        yield from self._forgetting.measure(context, self.step, is_end=False)
        eta = EtaEstimator(self._clock.seconds, self.step)
        while not (yield from self._at_boundary(context)):
            yield from self._train_step(context, eta)

    def _making_stage(self, context: TrainingContext) -> Generator[Event, None, None]:
        self._stage = yield from make_stage(self.run, self._library, context, self._evaluator)

    def _train_step(self, context: TrainingContext, eta: EtaEstimator) -> Generator[Event, None, None]:
        config, state = self._config, self._state
        started_at = self._clock.seconds
        multiple = lr_factor(state.step, config) * state.lr_scale
        measure_layers = bool(config.layer_interval) and (state.step + 1) % config.layer_interval == 0
        ratios: dict[str, float] | None = None

        def apply(gradients: Gradients) -> None:
            nonlocal ratios
            if not (math.isfinite(gradients.loss) and math.isfinite(gradients.norm)):
                self._raise_divergence(context, gradients)
            self._is_consistent = False
            self._saver.wait_until_read()
            ratios = apply_gradients(context, config, gradients.norm, multiple, measure_layers=measure_layers)

        assert self._stage is not None
        done = yield from self._stage.step(state.step, multiple, apply)
        gradients = done.gradients
        self._is_consistent = False
        state.step += 1
        state.tokens += gradients.n_tokens
        now = self._clock.seconds
        seconds = max(now - started_at, 1e-9)
        metrics = TrainMetrics(
            step=state.step,
            total_steps=config.steps,
            tokens=state.tokens,
            elapsed_s=now,
            loss=gradients.loss,
            lr=config.lr * multiple,
            grad_norm=gradients.norm,
            tokens_per_s=gradients.n_tokens / seconds,
            bits_per_byte=bits_per_byte(gradients.loss, context.train_batches.bytes_per_token),
            seconds_left=eta.seconds_left(now, state.step, config.steps),
            memory_bytes=memory_in_use(context.device.device) if state.step % _MEMORY_INTERVAL == 1 else None,
            peak_share=gradients.flops / seconds / context.peak_flops,
        )
        yield from self._record.metrics(metrics)
        aligned = None
        if done.figures is not None:
            aligned = AlignMetrics(
                step=state.step,
                tokens=state.tokens,
                elapsed_s=now,
                is_validation=False,
                figures=tuple(done.figures.items()),
            )
            yield from self._record.alignment(aligned)
        if done.rollouts is not None:
            yield from self._record.rollouts(done.rollouts)
        layers = None
        if ratios is not None:
            shares = tuple(ratios.items())
            layers = LayerMetrics(step=state.step, tokens=state.tokens, elapsed_s=now, update_ratio=shares)
            yield from self._record.layers(layers)
        self._is_consistent = True
        yield metrics
        for more in (aligned, layers):
            if more is not None:
                yield more

    def _at_boundary(self, context: TrainingContext) -> Generator[Event, None, bool]:
        """Evaluate, save and stop if due between two steps. Returns True if this session ends here."""
        state, config = self._state, self._config
        assert self._stage is not None
        yield from self._collect(wait=False)
        was_validated = yield from self._stage.validate(state)
        if self._saver.step == state.step == state.validated_step:  # resumed after a stop that skipped this
            yield from self._complete_checkpoint(context)
        yield from self._evaluator.sample_pinned(context, state, saving=self._save_wanted)
        yield from self._evaluator.ask_held_out(context, state)
        while self._prompts_wanted:
            sample = self._evaluator.sample(context, state, self._prompts_wanted.pop(0))
            yield from self._record.sample(sample)
            yield sample
        yield from self._apply_steering()
        # Only right after a validation: a run resumed after an early stop trains at least until the next one.
        if was_validated and self._evaluator.is_enough(state) and self._stop is None:
            yield from self._forgetting.measure(context, self.step, is_end=True)
            n, scorer = state.n_since_lowest, context.scorer
            better = "a lower loss" if self.run.spec.align is None else "a better result"
            if scorer is not None:
                better = f"a better {METRICS[scorer.metric].title}"
            yield from self._record.event(EARLY_STOP, self.step, f"{n} validations without {better}")
            self._stop = (True, "stopped")
        keep, status = self._stop or (True, "finished" if self.step == config.steps else None)
        due = status is not None or (self.step > 0 and self.step % config.checkpoint_interval == 0)
        while self._save_wanted or (due and keep and not self._saver.is_saved(state)):
            yield from self._save(context, wait=status is not None)
        if status is None:
            return False
        yield from self._collect(wait=True)
        yield from self._apply_steering()  # set while handling Saved
        if keep and not self._saver.is_saved(state):
            yield from self._complete_checkpoint(context)
        if status == "finished":
            yield from self._forgetting.measure(context, self.step, is_end=True)
        yield from self._record.status(status)
        yield from self._record.event(status, self.step, "" if keep else "without saving")
        yield Finished(run_id=self.run.id, status=status, step=self.step)
        return True

    def _apply_steering(self) -> Generator[Event, None, None]:
        while self._steering:
            yield (yield from self._record.retry_while_full(self._steer))

    def _steer(self) -> Noted:
        """Apply and record the first pending change of `set_lr` and `set_beta`; may be repeated after a full disk."""
        event, value = next(iter(self._steering.items()))
        verb = "multiplied by" if event == _LEARNING_RATE else "set to"
        noted = Noted(step=self.step, event=event, detail=f"{verb} {value:g} from here on")
        self.run.append_event(event, self.step, noted.detail)
        if event == _LEARNING_RATE:
            self._state.lr_scale = value
        else:
            self._state.beta = value
        del self._steering[event]
        return noted

    def _save(self, context: TrainingContext, *, wait: bool) -> Generator[Event, None, None]:
        """Start a checkpoint of this step; `wait` until it is complete."""
        yield from self._collect(wait=True)
        yield from self._record.retry_while_full(self._write_checkpoint, context)
        self._save_wanted = False
        yield from self._collect(wait=wait)

    def _collect(self, *, wait: bool) -> Generator[Event, None, None]:
        """Report a checkpoint that was completed. If there was no room for it, request one of the current step."""
        try:
            step = self._saver.collect(self._state, wait=wait)
        except OSError as error:
            if error.errno not in DISK_FULL:
                raise
            self._save_wanted = True
            return
        if step is not None:
            yield from self._record.event("saved", step)
            yield Saved(step=step, path=str(self.run.checkpoint_path(step)))

    def _complete_checkpoint(self, context: TrainingContext) -> Generator[Event, None, None]:
        """Update the existing checkpoint of this step."""
        yield from self._record.retry_while_full(self._write_checkpoint, context)
        self._saver.collect(self._state, wait=False)

    def _write_checkpoint(self, context: TrainingContext) -> None:
        """Start writing what is missing of this step's checkpoint; may be called again after the disk was full."""
        check_weights(context, self._config, self._state.step, self._saver.step)
        self._state.elapsed_s = self._clock.seconds
        assert self._stage is not None
        self._saver.write(context, self._state, self._stage.tensors())

    # Unplanned ends

    def _on_closed(self) -> None:
        """Save, if no step is half done, when the generator is closed. If that fails, the run shows as interrupted."""
        if (
            self._context is None
            or self.run.status != "running"
            or not self._is_consistent
            or self._process_group.size > 1
        ):
            return
        with suppress(OSError, ValueError):
            while self._steering:
                self._steer()
            self._saver.close(self._state)
            if not self._saver.is_saved(self._state):
                self._write_checkpoint(self._context)
                self._saver.collect(self._state, wait=True)
            self.run.update(status="paused")
            self.run.append_event("paused", self.step, "closed")

    def _fail(self, error: Exception) -> Generator[Event, None, str | None]:
        """Record that the training failed. Returns the message for the user, None for an unexpected error."""
        with suppress(Exception):  # even if a checkpoint cannot be written: the first error is what is recorded
            self._saver.close(self._state)
        context, remedy = self._context, ""
        is_ours = context is not None or self.run.status == "queued"
        device = context.device.device if context is not None else torch.device("cpu")
        try:
            if context is not None and is_out_of_memory(error) and self._process_group.size == 1:
                choice = context.device
                self._context = context = None  # free the memory of the batch that did not fit
                remedy = yield from try_smaller_batches(error, self._library, self.run, choice)
        finally:
            sentence = failure_sentence(error, self.run, device, self._saver.step, self._process_group, remedy)
            if is_ours:
                self._record.failure(self.step, sentence or f"{type(error).__name__}: {error}")
        return sentence

    def _raise_divergence(self, context: TrainingContext, gradients: Gradients) -> NoReturn:
        """Record a loss or gradient that is not finite, leave the weights unchanged, and raise with what to do."""
        zero_gradients(context)
        step, what = self.step + 1, "gradient" if math.isfinite(gradients.loss) else "loss"
        position = {"step": step, "tokens": self._state.tokens, "elapsed_s": self._clock.seconds}
        self._record.nonfinite_step(**position, loss=gradients.loss, grad_norm=gradients.norm)
        raise ValueError(divergence_sentence(f"{what} of step {step}", self._config, self._saver.step))
