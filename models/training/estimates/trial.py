"""A short trial of a training on its own data, without saving anything: shared by finders and forecasts."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

import psutil
import torch

from terrarium.models.architecture.transformer import AnyModel
from terrarium.models.chat.template_config import ChatTemplateConfig, read_kept_template_config
from terrarium.models.corpora.corpus import open_run_corpus
from terrarium.models.data.batch import Batch
from terrarium.models.data.batches import Batches
from terrarium.models.device import (
    DeviceChoice,
    describe_out_of_memory,
    is_out_of_memory,
    pick_precision,
    seed_global,
    synchronize,
)
from terrarium.models.library.library import Library
from terrarium.models.runs.run_folder import RunFolder
from terrarium.models.settings.run_spec import RunSpec
from terrarium.models.tokenizers import read_tokenizer
from terrarium.models.training.batches import open_parent_corpus
from terrarium.models.training.estimates.measure import peak_allocated
from terrarium.models.training.objective import weighted_nll
from terrarium.models.training.optim import make_optimizers
from terrarium.models.training.prepare import PreparedData

_N_EXAMINED = 64
"""How many of a training's first batches are searched for the largest; several epochs if one has fewer."""


def prepared_run(library: Library, run: RunFolder) -> PreparedData:
    """Return the data of an existing run, without its initial weights; ValueError if its text no longer exists."""
    corpus = open_run_corpus(library, run)
    template = read_kept_template_config(run.folder) or ChatTemplateConfig()
    tokenizer = read_tokenizer(run.tokenizer_file)
    old = open_parent_corpus(library, run.lineage) if run.spec.old_share else None
    return PreparedData(spec=run.spec, tokenizer=tokenizer, corpus=corpus, old=old, template=template)


@dataclass(frozen=True, kw_only=True)
class Step:
    """One update: loss in nats per unit of weight, tokens read, and seconds, including making its batches."""

    loss: float
    n_tokens: int
    seconds: float


def make_trial(prepared: PreparedData, batches: Batches, device: DeviceChoice) -> Trial:
    """Make a trial of a run on its own data."""
    padded = prepared.corpus.kind == "examples"
    return Trial(prepared.spec, prepared.build_model, batches, device, padded=padded)


class StepBatches(Protocol):
    """The batches of a training; each step takes the next."""

    def batch(self, step: int, micro_step: int = 0) -> Batch:
        """Return the batch of a micro-step of a step."""


class Trial:
    """The model of a run before its first step, and its optimizers, until `free`.

    Torch's random state is preserved by each call. Running out of memory raises as in torch: see
    `out_of_memory_as_sentence`.
    """

    def __init__(
        self,
        spec: RunSpec,
        build: Callable[[], AnyModel],
        batches: StepBatches,
        device: DeviceChoice,
        *,
        padded: bool = False,
    ) -> None:
        """build: makes the model. padded: whether batches have padding."""
        self._train, self._batches, self._padded = spec.train, batches, padded
        self._device = device.device
        self._dtype = pick_precision(spec.train, spec.model, device.device)
        self._held_before = torch.cuda.memory_allocated(self._device) if self._device.type == "cuda" else 0
        with self._rng_preserved():
            seed_global(spec.train.seed, self._device)
            self._model = build().to(self._device).train()
        self._optimizers = make_optimizers(self._model, spec.train)

    @property
    def model(self) -> AnyModel:
        """The model after the steps so far."""
        return self._model

    @property
    def precision(self) -> str:
        """The dtype of matrix multiplications, "float32" or "bfloat16"."""
        return str(self._dtype).removeprefix("torch.")

    def step(self, number: int, multiple: float = 1.0) -> Step:
        """Take update number `number` (from 0), on the batches that the run would use.

        multiple: factor of the base learning rates.
        """
        synchronize(self._device)
        began = time.perf_counter()
        batches = [self._batches.batch(number, i) for i in range(self._train.grad_accum_steps)]
        loss = self._update(batches, multiple)
        return Step(
            loss=loss,
            n_tokens=sum(batch.count_tokens(padded=self._padded) for batch in batches),
            seconds=time.perf_counter() - began,
        )

    def peak_bytes(self, number: int) -> int | None:
        """Return the peak memory of update `number`; None on MPS.

        It includes weights, gradients, optimizer states, activations and, if the training measures how much its
        layers change, the copy of the weights for that. On the CPU the step is repeated under the profiler.
        """
        batches = [self._batches.batch(number, 0)]
        if self._device.type == "cpu":
            held = sum(tensor.nbytes for tensor in (*self._model.parameters(), *self._model.buffers()))
            states = (state for optimizer in self._optimizers for state in optimizer.state.values())
            held += sum(v.nbytes for state in states for v in state.values() if isinstance(v, torch.Tensor))

            def watched() -> None:
                self._update(batches, 0.0, copies=bool(self._train.layer_interval))

            return held + peak_allocated(watched, self._device)
        if self._device.type != "cuda":
            return None
        torch.cuda.reset_peak_memory_stats(self._device)
        self._update(batches, 0.0, copies=bool(self._train.layer_interval))
        synchronize(self._device)
        return torch.cuda.max_memory_allocated(self._device) - self._held_before

    def validate(self, batch: Batch) -> float:
        """Return the seconds that one validation batch takes."""
        synchronize(self._device)
        began = time.perf_counter()
        self._model.eval()
        with torch.no_grad():
            float(weighted_nll(self._model, batch))
        self._model.train()
        return time.perf_counter() - began

    def free(self) -> None:
        """Free everything, including the memory of a GPU."""
        del self._model, self._optimizers
        if self._device.type == "cuda":
            torch.cuda.empty_cache()

    def _update(self, batches: list[Batch], multiple: float, *, copies: bool = False) -> float:
        """copies: whether the weights are copied for the update, as for models.training.update_ratios."""
        parameters = list(self._model.parameters())
        weight = sum(float(batch.weights.sum()) for batch in batches) or 1.0
        total = 0.0
        with self._rng_preserved():
            for batch in batches:
                loss = weighted_nll(self._model, batch, self._dtype) / weight
                loss.backward()
                total += float(loss.detach())
            if self._train.grad_clip:
                torch.nn.utils.clip_grad_norm_(parameters, self._train.grad_clip)
            before = [p.detach().clone() for p in parameters if p.requires_grad] if copies else []
            for optimizer in self._optimizers:
                for group in optimizer.param_groups:
                    group["lr"] = group["initial_lr"] * multiple
                optimizer.step()
                optimizer.zero_grad(set_to_none=True)
            del before
        return total

    @contextmanager
    def _rng_preserved(self) -> Iterator[None]:
        with torch.random.fork_rng([self._device] if self._device.type == "cuda" else []):
            yield


def heaviest_batch(batches: Batches) -> int:
    """Return the index of the largest of a training's first batches, in cells including padding."""

    def cells(i: int) -> int:
        batch = batches.batch(i)
        return batch.inputs.numel() + (0 if batch.source is None else batch.source.numel())

    return max(range(_N_EXAMINED), key=cells)


def free_bytes(choice: DeviceChoice) -> int | None:
    """Return the memory available to a training: free main memory, or all of a GPU's; None if unknown."""
    if choice.device.type == "cpu":
        return int(psutil.virtual_memory().available)
    return choice.memory_bytes


@contextmanager
def out_of_memory_as_sentence(device: torch.device) -> Iterator[None]:
    """Turn running out of memory into a ValueError that says what to do."""
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        if is_out_of_memory(error):
            raise ValueError(describe_out_of_memory(device)) from error
        raise
