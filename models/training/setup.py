"""Builds what training a run needs in memory, from its folder and its last intact checkpoint."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from tokenizers import Tokenizer
from torch import Tensor, nn
from torch.optim import Optimizer

from terrarium.models.alignment.rollouts import RowBatches
from terrarium.models.architecture.transformer import AnyModel
from terrarium.models.chat.template_config import ChatTemplateConfig, read_kept_template_config
from terrarium.models.corpora.corpus import Corpus, open_run_corpus
from terrarium.models.data.batch import Batch
from terrarium.models.data.batches import Batches
from terrarium.models.design import training_factor
from terrarium.models.device import DeviceChoice, choose_device, core_count, pick_precision, seed_global
from terrarium.models.evaluation.held_out_questions import HeldOutSample
from terrarium.models.events import Event, Phase
from terrarium.models.files.atomic import DamagedError
from terrarium.models.library.library import Library
from terrarium.models.runs.checkpoint_state import TrainState
from terrarium.models.runs.run_folder import RunFolder
from terrarium.models.settings.run_spec import RunSpec
from terrarium.models.tiny_world.corpus import world_of
from terrarium.models.tokenizers import read_tokenizer
from terrarium.models.training.batches import (
    make_batches_events,
    open_parent_corpus,
    warn_new_turn_tokens,
    warn_truncated_replies,
)
from terrarium.models.training.checkpoint import read_checkpoint, restore
from terrarium.models.training.machine import peak_matmul_flops
from terrarium.models.training.metric import Scorer, make_scorer
from terrarium.models.training.objective import validation_slice
from terrarium.models.training.optim import make_optimizers
from terrarium.models.training.parallel.layout import Layout
from terrarium.models.training.parallel.process_group import SINGLE_PROCESS, ProcessGroup
from terrarium.models.training.samples import learns_to_rewrite, prompts_are_chat
from terrarium.models.training.tuning import build_from_base, build_run_model


@dataclass(frozen=True, kw_only=True)
class TrainingContext:
    """Everything one training session works with. `state`: where it starts. `notices`: messages for the user."""

    device: DeviceChoice
    dtype: torch.dtype
    threads: int
    tokenizer: Tokenizer
    template: ChatTemplateConfig
    """The chat template of the run's parent, if any."""
    process_group: ProcessGroup
    layout: Layout
    parameters: Sequence[nn.Parameter]
    optimizers: Sequence[Optimizer]
    groups: Sequence[dict[str, Any]]
    """The parameter groups of all optimizers, each with its base learning rate in `initial_lr`."""
    train_batches: Batches
    val_batches: Sequence[Batch]
    val_bytes_per_token: float | None
    padded: bool
    prompts_are_chat: bool
    rewrites: bool
    """Whether an encoder-decoder learns to write a target for each source, instead of filling gaps."""
    resolves_pronouns: bool
    """Whether the model learns to resolve pronouns instead of predicting tokens."""
    scorer: Scorer | None
    """Measures the metric of a task on validation; None without a task."""
    questions: HeldOutSample | None
    """The held-out questions for a decoder that learns Tiny World, or None."""
    state: TrainState
    resumed: bool
    stage_tensors: Mapping[str, Tensor]
    """The stage's tensors in the checkpoint (TrainingStage.tensors); empty before the first step."""
    notices: Sequence[str]
    measured: Mapping[str, float]
    """Numbers stored in run.json, to judge the run by: `train_batches` and `val_batches` in one pass over each split
    (0 = not validated); `val_batches_used` and `val_targets` (by weight) of each validation; `unigram_entropy`, on
    `unigram_tokens` tokens (models.training.unigram); `trained_parameters`, those that are not frozen.
    """
    training_factor: float
    """The approximate cost of a training step in forward passes (models.design.training_factor)."""
    peak_flops: float
    """The highest matrix-multiplication speed measured on the device, in FLOP/s."""

    @property
    def model(self) -> AnyModel:
        """The model, or this process's shard of it."""
        return self.layout.model

    @property
    def precision(self) -> str:
        """The dtype of matrix multiplications, "float32" or "bfloat16"."""
        return str(self.dtype).removeprefix("torch.")

    @property
    def made_with(self) -> dict[str, Any]:
        """Device, precision, threads …: what the last digits of a loss depend on."""
        return {
            "device": self.device.device.type,
            "precision": self.precision,
            "threads": self.threads,
            "torch": torch.__version__,
            **({"processes": self.process_group.size} if self.process_group.size > 1 else {}),
        }


def set_up(
    run: RunFolder,
    library: Library,
    device_name: str,
    allow_threads: int | None,
    process_group: ProcessGroup = SINGLE_PROCESS,
    made_batches: Batches | None = None,
) -> Generator[Event, None, TrainingContext]:
    """Read and build everything; remove log rows of steps after the checkpoint. Yields Phase.

    made_batches: the run's training batches, if already made: reading a text takes seconds.

    Collective: all processes of a group call this; only the main one, which has the run's lock, changes its folder.

    Raises:
        ValueError: if a file of the run is missing or damaged; the message names it.
    """
    if run.status == "imported":
        raise ValueError(f"The run {run.name!r} was imported and cannot be resumed: start a new run from it.")
    spec = run.spec
    if spec.train.batch_size < process_group.size:
        raise ValueError(
            f"A batch of {spec.train.batch_size} cannot be shared by {process_group.size} processes: use a larger "
            "batch_size or fewer processes."
        )
    if spec.align is not None and process_group.size > 1:
        raise ValueError("An alignment runs in one process: start it without torchrun.")
    if spec.train.state_dtype != "float32" and spec.train.parallel == "fsdp" and process_group.size > 1:
        raise ValueError(
            "Optimizer states in bfloat16 are not sharded: set train.parallel to ddp, or train.state_dtype to float32."
        )
    notices: list[str] = []
    device = choose_device(process_group.device_name(device_name), process_group.local_rank)
    if process_group.size > 1:
        device = dataclasses.replace(device, label=f"{device.label} in {process_group.size} processes")
    if device.sentence:
        notices.append(device.sentence)
    threads, notice = _choose_threads(run.threads, allow_threads, process_group.local_size)
    torch.set_num_threads(threads)
    if notice:
        notices.append(notice)

    yield Phase(name="Reading the text")
    tokenizer = _read_own_tokenizer(run)
    corpus = open_run_corpus(library, run)
    template = read_kept_template_config(run.folder) or ChatTemplateConfig()
    parent_corpus = None if spec.tune is None else open_parent_corpus(library, run.lineage)
    is_alignment = spec.align is not None
    train_batches: Batches
    if spec.align is not None:
        n_pairs = spec.train.batch_size * spec.train.grad_accum_steps
        train_batches = RowBatches(corpus, n_pairs if spec.align.task == "preference" else spec.align.n_prompts)
    elif made_batches is not None:
        train_batches = made_batches
    else:
        train_batches = yield from make_batches_events(
            corpus,
            tokenizer,
            spec.batch_model,
            spec.train,
            template=template,
            old=parent_corpus,
            old_share=spec.old_share,
            labels=spec.data.labels,
        )
    sentences = [warn_truncated_replies(train_batches, spec.batch_model.context_length)]
    if spec.tune is not None and spec.model.topology == "decoder-only":
        sentences.append(warn_new_turn_tokens(corpus, parent_corpus, template, spec.tune))
    notices.extend(filter(None, sentences))
    val_batches: list[Batch] = []
    val_bytes_per_token: float | None = None
    measured: dict[str, float] = {"train_batches": train_batches.n_batches, "val_batches": 0}
    if spec.train.eval_interval and not is_alignment:
        validation = yield from make_batches_events(
            corpus, tokenizer, spec.batch_model, spec.train, "val", template=template, labels=spec.data.labels
        )
        val_batches = validation_slice(validation, spec.train.eval_batches)
        val_bytes_per_token = validation.bytes_per_token
        measured["val_batches"] = validation.n_batches
    measured["val_batches_used"] = len(val_batches)
    measured["val_targets"] = sum(float(batch.weights.sum()) for batch in val_batches)
    measured |= {} if is_alignment else _unigram(run, train_batches)

    questions = _held_out_sample(corpus, tokenizer, spec)
    if questions is not None and process_group.is_main_process:
        yield Phase(name="Drawing held-out questions")
        yield from questions.draw()

    yield Phase(name="Building the model")
    seed_global(spec.train.seed, device.device)
    model = build_from_base(run)
    measured["trained_parameters"] = sum(p.numel() for p in model.parameters() if p.requires_grad)
    if process_group.size == 1 or spec.train.parallel == "ddp":
        model.to(device.device)  # shards move there one by one
    whole_optimizers = make_optimizers(model, spec.train)
    state, resumed, stage_tensors = _restore(run, model, whole_optimizers, notices, process_group)
    layout, optimizers = _make_layout(model, whole_optimizers, spec, process_group, device.device)
    dtype = pick_precision(spec.train, spec.model, device.device)
    context = TrainingContext(
        device=device,
        dtype=dtype,
        threads=threads,
        tokenizer=tokenizer,
        template=template,
        process_group=process_group,
        layout=layout,
        parameters=list(model.parameters()),
        optimizers=optimizers,
        groups=[group for optimizer in optimizers for group in optimizer.param_groups],
        train_batches=train_batches,
        val_batches=val_batches,
        val_bytes_per_token=val_bytes_per_token,
        padded=corpus.kind == "examples",
        prompts_are_chat=prompts_are_chat(corpus, spec.model.topology),
        rewrites=learns_to_rewrite(corpus, spec.model.topology),
        resolves_pronouns=corpus.source == "pronouns",
        scorer=make_scorer(corpus, tokenizer, spec, template)
        if spec.train.eval_interval and not is_alignment
        else None,
        questions=questions,
        state=state,
        resumed=resumed,
        stage_tensors=stage_tensors,
        notices=notices,
        measured=measured,
        training_factor=training_factor(spec.model, spec.tune, recomputes=spec.train.activation_checkpointing),
        peak_flops=process_group.all_reduce_numbers([peak_matmul_flops(device.device, dtype)])[0],
    )
    notices.extend(_differences(state.made_with, context.made_with))
    return context


def _held_out_sample(corpus: Corpus, tokenizer: Tokenizer, spec: RunSpec) -> HeldOutSample | None:
    world = world_of(corpus) if spec.train.accuracy_interval else None
    answers = spec.model.topology == "decoder-only" and spec.model.head == "language"
    return HeldOutSample(world, tokenizer) if world is not None and answers else None


def _make_layout(
    model: AnyModel,
    optimizers: Sequence[Optimizer],
    spec: RunSpec,
    process_group: ProcessGroup,
    device: torch.device,
) -> tuple[Layout, Sequence[Optimizer]]:
    """Return the layout for a process group, and its optimizers: `optimizers`, or sharded ones with their state."""
    if process_group.size == 1:
        return Layout(model), optimizers
    # Imports torch.distributed, which a single process does not need:
    from terrarium.models.training.parallel.sharding import ReplicatedLayout, ShardedLayout

    if spec.train.parallel == "ddp":
        return ReplicatedLayout(model, process_group), optimizers
    shards = ShardedLayout(model, process_group, device, lambda: build_run_model(spec))
    return shards, shards.split_optimizers(optimizers, spec.train)


def _unigram(run: RunFolder, batches: Batches) -> dict[str, float]:
    """Compute `unigram_entropy`, once per run."""
    names = ("unigram_entropy", "unigram_tokens")
    known = {name: value for name, value in run.measured.items() if name in names}
    if known:
        return known
    unigram = unigram_entropy(batches, run.spec.n_classes)
    return {} if unigram is None else dict(zip(names, unigram, strict=True))


def _differences(then: dict[str, Any], now: dict[str, Any]) -> list[str]:
    """Return a notice if the checkpoint was made with another device, precision … (threads: `_choose_threads`)."""
    if then:
        then, now = {"processes": 1} | then, {"processes": 1} | now
    words = [f"{key} {then[key]}" for key in now if key != "threads" and then.get(key, now[key]) != now[key]]
    if not words:
        return []
    return [f"The last checkpoint was made with {', '.join(words)}, so the curve may differ in the last digits."]


def _choose_threads(recorded: int | None, allowed: int | None, n_processes: int) -> tuple[int, str | None]:
    """Return the number of threads to use, and a notice if it differs from the number that the run started with.

    Several processes on one machine share its cores; `recorded` counts the threads of all of them.
    """
    if n_processes > 1:
        return max(1, (allowed or core_count()) // n_processes), None
    if recorded is None:
        return allowed or torch.get_num_threads(), None
    threads = min(recorded, allowed or core_count())
    if threads == recorded:
        return threads, None
    return threads, (
        f"The run started with {recorded} threads and continues with {threads}, so the curve may differ in the last "
        "digits."
    )


def _read_own_tokenizer(run: RunFolder) -> Tokenizer:
    """Read the run's copy of its tokenizer; ValueError if the file has changed since the run was created."""
    tokenizer = read_tokenizer(run.tokenizer_file)
    digest = hashlib.sha256(run.tokenizer_file.read_bytes()).hexdigest()
    if digest != run.made_from("tokenizer"):
        raise ValueError(f"{run.tokenizer_file} has changed since the run was created: put the original back.")
    return tokenizer


def _restore(
    run: RunFolder, model: AnyModel, optimizers: Sequence[Optimizer], notices: list[str], process_group: ProcessGroup
) -> tuple[TrainState, bool, Mapping[str, Tensor]]:
    """Restore the main process with `_restore_last`, and all others from the same checkpoint."""
    found: tuple[TrainState, bool, Mapping[str, Tensor]] = TrainState(), False, {}
    if process_group.is_main_process:
        found = _restore_last(run, model, optimizers, notices)
    step = process_group.broadcast(found[0].step if found[1] else -1)
    if process_group.is_main_process or step < 0:
        return found
    checkpoint = read_checkpoint(run.checkpoint_path(step), model)
    restore(checkpoint, model, optimizers)
    return checkpoint.state, True, checkpoint.stage_tensors


def _restore_last(
    run: RunFolder, model: AnyModel, optimizers: Sequence[Optimizer], notices: list[str]
) -> tuple[TrainState, bool, Mapping[str, Tensor]]:
    """Load the newest intact checkpoint: returns its state, True, and its stage tensors.

    Without a checkpoint, returns a fresh state and False. Damaged checkpoints are renamed.
    """
    for path in reversed(run.checkpoints()):
        try:
            checkpoint = read_checkpoint(path, model)
        except DamagedError as error:
            aside = run.set_aside(path)
            notices.append(f"{error} It was renamed to {aside.name}; training continues from the one before it.")
            continue
        restore(checkpoint, model, optimizers)
        state = checkpoint.state
        notices.extend(run.cut_after(state.step, state.log_sizes))
        if run.best_step != state.best_step:
            run.update(best_step=state.best_step)
        return state, True, checkpoint.stage_tensors
    parent = run.lineage.get("parent")
    if isinstance(parent, dict) and parent.get("kind") != "weights":  # a fork
        raise ValueError(
            f"The run {run.name!r} was forked at step {parent.get('step')} of {parent.get('name')!r}, but has no "
            "intact checkpoint left: fork that run again."
        )
    run.cut_after(-1, {})
    return TrainState(), False, {}


N_TARGETS = 200_000
_MAX_BATCHES = 128
"""Making a batch takes about a millisecond: counting must not delay the training."""


class Unigram(NamedTuple):
    """The entropy in nats per target; `n_targets` is how many targets were counted."""

    entropy: float
    n_targets: int


def unigram_entropy(batches: Batches, n_classes: int) -> Unigram | None:
    """Compute the entropy of the targets, weighted as in the loss, over the first batches of a run.

    This is the lowest loss that a fixed distribution can reach on them; a model below it has used the context. It is
    slightly too low if few targets were counted, because rare tokens are then missing. None if no target has a weight,
    or the targets are neither tokens nor labels.
    """
    counts, n_targets = torch.zeros(n_classes, dtype=torch.float64), 0
    for step in range(min(batches.n_batches, _MAX_BATCHES)):
        batch = batches.batch(step)
        if batch.candidates is not None or batch.targets.is_floating_point():
            return None
        weights = batch.weights.flatten()  # (B·T)
        counts += torch.bincount(batch.targets.flatten(), weights.double(), minlength=n_classes)
        n_targets += int(weights.count_nonzero())
        if n_targets >= N_TARGETS:
            break
    if not n_targets:
        return None
    shares = counts[counts > 0] / counts.sum()
    return Unigram(float(-(shares * shares.log()).sum()), n_targets)
