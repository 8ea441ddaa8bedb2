"""The draft of a new run: its choices as a RunSpec, its estimates and its trials."""

from __future__ import annotations

import dataclasses
import math
from functools import partial
from itertools import islice
from typing import NamedTuple

from terrarium.app.new_run.choices import RunChoices
from terrarium.app.new_run.proposer import Proposer
from terrarium.app.new_run.trials.trials import Trials
from terrarium.app.session.blocks import MEASURING
from terrarium.app.session.device_memory import DeviceMemory
from terrarium.app.session.session import Session
from terrarium.models.computer_load import describe_load
from terrarium.models.design import flops_per_token, total_parameters, training_factor, training_memory
from terrarium.models.design.custom import if_known
from terrarium.models.design.memory import FLOAT32_BYTES
from terrarium.models.design.tuning import trained_parameters
from terrarium.models.extensions.entries import CRITIC
from terrarium.models.library.run_notes import corrections_name
from terrarium.models.library.run_record import RunInfo
from terrarium.models.settings.align_spec import AlignSpec
from terrarium.models.settings.model_config import ModelConfig
from terrarium.models.settings.run_spec import RunSpec, TrainConfig
from terrarium.models.settings.tune_spec import TUNE_MODES, TuneSpec
from terrarium.models.training.estimates.findings import BaseRate, RunCost
from terrarium.models.training.proposal.propose import seconds_of, step_memory
from terrarium.models.training.proposal.step_shape import StepShape, text_length, update_flops

_ROWS_AT_ONCE = 16
"""The number of replies per forward pass of an alignment run (models.training.stages)."""
_MIN_STEPS = 20
"""Minimum number of steps of a run whose speed is used, since the first steps are slower."""
_ALIKE = 1.5
"""Maximum ratio of operations per update at which the speed of a run of the same model is used."""
_COMPARABLE = 5.0
"""Maximum ratio of operations per update at which the speed of another run is used: small updates spend most of their
time on overhead."""
_N_COMPARED = 20
"""The number of newest runs that are searched for the most similar one."""


class TimeEstimate(NamedTuple):
    """An estimate of the duration of a run. source: its basis, for example: the speed of “Tiny World”."""

    seconds: float
    source: str


class RunDraft:
    """The choices as a RunSpec, and their trials. like: the run that the settings come from, '' for none."""

    def __init__(self, session: Session, choices: RunChoices, trials: Trials, proposer: Proposer) -> None:
        self.session, self.choices, self.trials, self.proposer = session, choices, trials, proposer
        self.name = self.like = ""

    def set_name(self, name: str) -> None:
        """Name the run; '' for `default_name`."""
        self.name = name.strip()

    @property
    def default_name(self) -> str:
        """An unused run name, derived from the model and the data, or from the run that the settings come from."""
        of, model = self.choices, self.choices.start.name or self.session.designs.name or "my-design"
        on = of.wish.title.lower() if of.draws else of.dataset.name if of.dataset is not None else ""
        is_corrected = bool(of.start.name) and on.startswith(corrections_name(model))
        learned = f"{model}, corrected" if is_corrected else f"{model} on {on}" if on else model
        return self.session.runs.free_name(self.like or learned)

    @property
    def model(self) -> ModelConfig:
        """The design, with the vocabulary that the tokenizer will have."""
        design = self.choices.design_config
        if self.choices.start.run_id:
            return design
        return dataclasses.replace(design, vocab_size=self.choices.tokenizer.vocab_size)

    @property
    def obstacle(self) -> str:
        """Why the costs of the design are not known, as Blocks.obstacle."""
        model, batch = self.model, self.choices.form.config.batch_size
        return self.session.blocks.obstacle(model, batch, text_length(model, self.choices.start.spec))

    @property
    def trainable(self) -> RunSpec | None:
        """The spec of the current choices, without uncommitted edits; None if there is a problem with a choice."""
        if self.choices.problem:
            return None
        return self._chosen(self.default_name)

    @property
    def learned(self) -> RunSpec | None:
        """As `trainable`, but also None if the run does not learn from texts or rows, which can be measured."""
        spec = self.trainable
        if spec is None or spec.align is not None or spec.data.source == "pronouns":
            return None
        return spec

    @property
    def shape(self) -> StepShape | None:
        """The rows and tokens of an update; None if the run does not learn from texts or rows."""
        spec = self.learned
        return None if spec is None else self.proposer.shape(spec)

    def spec(self) -> RunSpec:
        """Commit pending edits and return the spec of the choices; raise ValueError if there is a `problem`."""
        self.choices.form.commit()
        if self.choices.problem:
            raise ValueError(self.choices.problem)
        return self._chosen(self.name or self.default_name)

    def _chosen(self, name: str) -> RunSpec:
        """Return the spec of the current choices, without uncommitted edits."""
        of = self.choices
        return RunSpec(
            name=name,
            model=self.model,
            tokenizer=of.tokenizer.spec,
            data=of.data_spec,
            train=of.form.config,
            tune=of.start.spec,
            align=of.align_spec,
        )

    @property
    def problem(self) -> str:
        """Why the run cannot start now, in a sentence; '' if it can."""
        if self.choices.problem:
            return self.choices.problem
        if (obstacle := self.obstacle) and obstacle != MEASURING:
            return obstacle
        if self.session.training.active:
            return "A run is already training. Stop it, wait, or add this one to the queue."
        return ""

    @property
    def n_classes(self) -> int:
        """The number of classes of a prediction, as RunSpec.n_classes; 0 while unknown."""
        return 0 if self.choices.problem else self._chosen(self.default_name).n_classes

    def mode_costs(self, on: DeviceMemory | None) -> dict[str, tuple[int, int]]:
        """Return, per fine-tuning mode, the number of trained weights and the estimated memory of a step in bytes.

        Empty if the run starts from random weights, or has a problem. on: the memory of the device, None if unknown.
        """
        spec = self.trainable
        if spec is None or spec.tune is None:
            return {}
        modes = [dataclasses.replace(spec, tune=dataclasses.replace(spec.tune, mode=mode)) for mode in TUNE_MODES]
        costs = [if_known(partial(self._trained_and_bytes, each, on)) for each in modes]
        return {mode: known for mode, known in zip(TUNE_MODES, costs, strict=True) if known is not None}

    def step_bytes(self, on: DeviceMemory | None) -> int:
        """Return the estimated memory of a step in bytes; 0 if there is a problem with a choice, or it is not known."""
        spec = self.trainable
        return 0 if spec is None else if_known(lambda: self._bytes(spec, on)) or 0

    def _trained_and_bytes(self, spec: RunSpec, on: DeviceMemory | None) -> tuple[int, int]:
        return trained_parameters(spec.model, spec.tune).total, self._bytes(spec, on)

    def _bytes(self, spec: RunSpec, on: DeviceMemory | None) -> int:
        shape = self.proposer.shape(spec) if self.learned is not None else None
        return step_bytes(spec.model, spec.train, spec.tune, spec.align, on, shape)

    def try_out(self, kind: str, *, below: int | None = None) -> bool:
        """Start a trial of the current choices; for the arguments see Trials.start. Return whether it started."""
        try:
            spec = self.spec()
        except ValueError as error:
            self.session.notices.say(str(error))
            return False
        return self.trials.start(kind, spec, below=below)

    def measured(self) -> RunCost | None:
        """Return the measured cost of exactly the current choices, None if not measured."""
        trial = self.trials.state
        return trial.cost if trial.cost_of is not None and self.matches(trial.cost_of) else None

    def base_rate(self) -> BaseRate | None:
        """Return the measured base rate of the current model and wish, None if not measured."""
        trial = self.trials.state
        known = trial.base_of
        if trial.base is None or known is None or self.choices.problem or known.align is None:
            return None
        now = self._chosen(known.name)
        same = (now.data, now.tune) == (known.data, known.tune)
        return trial.base if same and now.align and now.align.max_tokens == known.align.max_tokens else None

    def estimated_time(self) -> TimeEstimate | None:
        """Estimate how long the run takes, None if unknown or while this computer's speed is being measured.

        Sources in order: the speed of a run of the same model with steps of about the same size; the measured speed of
        this computer; the operations per second of the run, among the newest, whose steps are closest in size (ties:
        the one with the most steps), within a factor of _COMPARABLE. An alignment uses its base rate trial instead.
        """
        align = self.choices.align_spec
        if align is not None:
            base = self.base_rate()
            if base is None:
                return None
            seconds = base.seconds(self.choices.form.config.steps, align)
            return TimeEstimate(seconds, "the replies drawn for the base rate")
        spec = self.learned
        if spec is None:
            return None
        train, flops = spec.train, if_known(lambda: self._flops(spec))
        if flops is None:
            return None
        known = [
            (per_step, info)
            for info in islice(filter(_tells_speed, self.session.runs.known()), _N_COMPARED)
            if (per_step := if_known(partial(_flops_per_step, info))) is not None
            and per_step / _COMPARABLE < flops < per_step * _COMPARABLE
        ]
        # Small models use the processor less efficiently, so their speed does not carry over to large ones. Short
        # runs spend much of their time on the first evaluations.
        per_step, info = min(
            known, key=lambda each: (abs(math.log(each[0] / flops)), -each[1].step), default=(0.0, None)
        )
        is_like_it = info is not None and _is_alike(info, spec) and per_step / _ALIKE < flops < per_step * _ALIKE
        speed = self.proposer.speed
        if speed is not None and not is_like_it:
            load = describe_load(speed.others)
            source = "a few steps on random words" + (f", while {load}" if load else "")
            return TimeEstimate(seconds_of(spec, self.proposer.facts, speed), source)
        if info is None or info.elapsed_s is None or (self.proposer.is_measuring and not is_like_it):
            return None
        return TimeEstimate(train.steps * flops / per_step * info.elapsed_s / info.step, f"the speed of “{info.name}”")

    def _flops(self, spec: RunSpec) -> float:
        return update_flops(self.proposer.shape(spec), spec.model, spec.train, spec.tune)

    def matches(self, spec: RunSpec) -> bool:
        """Return whether `spec` equals the current choices, apart from its name."""
        return not self.choices.problem and self._chosen(spec.name) == spec

    def uses_same_model_and_data(self, spec: RunSpec) -> bool:
        """Return whether a finder's result for `spec` applies to the choices: same model, tokenizer and data."""
        if self.choices.problem:
            return False
        now = self._chosen(spec.name)
        return _learned(now) == _learned(spec)


def _tells_speed(info: RunInfo) -> bool:
    if info.status == "imported" or info.problem or info.step < _MIN_STEPS or not info.elapsed_s:
        return False
    return info.spec is not None and info.spec.align is None  # most of an alignment's time is not spent on its updates


def _learned(spec: RunSpec) -> tuple[object, ...]:
    return spec.model, spec.tokenizer, spec.data, spec.tune, spec.align


def step_bytes(
    model: ModelConfig,
    train: TrainConfig,
    tune: TuneSpec | None,
    align: AlignSpec | None,
    on: DeviceMemory | None,
    shape: StepShape | None = None,
) -> int:
    """Estimate the memory of a step in bytes. shape: its rows and tokens, None for the maximum.

    An alignment processes a few replies per pass, and has further models of about this size in memory: the reference
    model (except when training a reward model), reward models, and PPO's critic, which is trained as well.
    """
    kind, precision = ("cpu", "float32") if on is None else (on.kind, on.precision(model.d_model))
    if train.precision != "auto":
        precision = train.precision
    if align is None and shape is not None:
        return step_memory(model, shape, train, tune, kind, precision)
    length, n_rows = text_length(model, tune), train.batch_size
    if align is not None:
        n_rows = min(_ROWS_AT_ONCE, align.n_prompts * align.n_replies if align.task == "prompts" else 2 * n_rows)
    memory = partial(training_memory, device=kind, precision=precision, state_dtype=train.state_dtype)
    recomputes, accumulates = train.activation_checkpointing, train.grad_accum_steps > 1
    parts = memory(model, n_rows, length, train.optimizer, tune=tune, recomputes=recomputes, accumulates=accumulates)
    needed = sum(parts.values())
    if align is not None:
        n_frozen = (align.kind.head == "language") + len(align.reward_models)
        needed += n_frozen * FLOAT32_BYTES * total_parameters(model)
    if align is not None and CRITIC in align.kind.needs:
        critic = memory(model, n_rows, length, train.optimizer, accumulates=True)
        needed += sum(critic[kept] for kept in ("Weights", "Gradients", "Optimizer"))
    return needed


def _flops_per_step(info: RunInfo) -> float | None:
    """Return the FLOPs per update of a run, computed from the tokens it has read; None if unknown."""
    spec = info.spec
    if spec is None or not info.tokens:
        return None
    length = min(text_length(spec.model, spec.tune), math.ceil(info.tokens / info.step / spec.train.batch_size))
    recomputes = spec.train.activation_checkpointing
    per_token = flops_per_token(spec.model, length) * training_factor(spec.model, spec.tune, recomputes=recomputes)
    return info.tokens / info.step * per_token


def _is_alike(info: RunInfo, spec: RunSpec) -> bool:
    """Return whether a run has the model (apart from the vocabulary size), tuning mode and optimizer of `spec`."""
    other = info.spec
    if other is None:
        return False
    same = dataclasses.replace(other.model, vocab_size=spec.model.vocab_size) == spec.model
    modes = [None if each.tune is None else each.tune.mode for each in (other, spec)]
    return same and modes[0] == modes[1] and other.train.optimizer == spec.train.optimizer
