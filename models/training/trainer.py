"""The training loop: one generator that trains a run, logs it to its folder and can be steered between its events."""

from __future__ import annotations

import math
from collections.abc import Generator
from contextlib import suppress
from typing import NoReturn

import torch
from tokenizers import Tokenizer
from torch import Tensor

from models.data.batches import Batch
from models.device import is_out_of_memory, out_of_memory_sentence
from models.events import (
    Event,
    Finished,
    MicroStep,
    Notice,
    RunStarted,
    SampleMade,
    Saved,
    TrainMetrics,
    ValMetrics,
)
from models.library import Library
from models.training.checkpoint import TrainState, write_checkpoint
from models.training.clock import Clock, Pace
from models.training.objective import validate, weighted_nll
from models.training.prepare import prepare_run
from models.training.record import Recorder
from models.training.run_folder import RunFolder
from models.training.samples import encode_pinned, write_sample
from models.training.schedule import lr_factor
from models.training.setup import Parts, set_up
from models.transformer import Decoder

__all__ = ["Trainer", "prepare_run"]


class Trainer:
    """Trains a run from where it stands to its last step. One object drives one session.

    `events` does the work. `save`, `sample`, `set_lr` and `request_stop` may be called between two events, on the same
    thread, and act at the next step boundary; `model`, `tokenizer` and `step` can be read there.
    """

    def __init__(
        self, run: RunFolder, library: Library, device: str = "auto", allow_threads: int | None = None
    ) -> None:
        self.run = run
        self._library, self._device_name, self._allow_threads = library, device, allow_threads
        self._config = run.spec.train
        self._record = Recorder(run)
        self._clock = Clock()
        self._state = TrainState()
        self._parts: Parts | None = None
        self._saved_step = -1
        self._whole = False  # whether model, optimizers, state and logs belong to one step, so that they may be saved
        self._stop: tuple[bool, str] | None = None
        self._save_wanted = False
        self._prompts_wanted: list[str] = []
        self._lr_scale_wanted: float | None = None

    @property
    def step(self) -> int:
        """Updates done so far."""
        return self._state.step

    @property
    def model(self) -> Decoder:
        """The model as it is now; ValueError before RunStarted."""
        return self._started_parts().model

    @property
    def tokenizer(self) -> Tokenizer:
        """The run's tokenizer; ValueError before RunStarted."""
        return self._started_parts().tokenizer

    def _started_parts(self) -> Parts:
        if self._parts is None:
            raise ValueError(f"The model of {self.run.name!r} is not built yet: wait until its training has begun.")
        return self._parts

    # Steering

    def save(self) -> None:
        """Make a checkpoint at the next step boundary."""
        self._save_wanted = True

    def sample(self, prompt: str) -> None:
        """Write a sample after `prompt` at the next step boundary."""
        self._prompts_wanted.append(prompt)

    def set_lr(self, scale: float) -> None:
        """From the next step on, multiply what the schedule says by `scale`; it lasts beyond a resume."""
        if not (math.isfinite(scale) and scale >= 0):
            raise ValueError(f"The learning rate cannot be multiplied by {scale}: use a number from 0 up.")
        self._lr_scale_wanted = float(scale)

    def request_stop(self, keep: bool = True, status: str = "stopped") -> None:
        """End after the step that is being computed; `keep` saves first, else the last checkpoint stands."""
        assert status in ("stopped", "paused")
        self._stop = (keep, status)

    # The loop

    def events(self) -> Generator[Event, None, None]:
        """Train, step by step. Closing it early saves what belongs together, and leaves the run paused.

        Raises:
            ValueError: with a sentence, where somebody else is training the run, a file of it is damaged, the loss is
                no number any more, or memory ran out. Nothing is saved then: the last checkpoint stands.
        """
        self.run.acquire()
        threads = torch.get_num_threads()
        try:
            yield from self._clock.drive(self._events())
        except GeneratorExit:
            self._leave()
            raise
        except (ValueError, RuntimeError, OSError, MemoryError) as error:
            sentence = self._sentence(error)
            if self._parts is not None or self.run.status == "queued":
                self._record.failure(self.step, sentence or str(error))
            if sentence is None:
                raise
            raise ValueError(sentence) from error
        finally:
            torch.set_num_threads(threads)
            self.run.release()

    def _events(self) -> Generator[Event, None, None]:
        parts = yield from set_up(self.run, self._library, self._device_name, self._allow_threads)
        yield from self._record.status("running", threads=self.run.threads or parts.threads)
        self._parts, self._state = parts, parts.state
        self._state.made_with = parts.made_with
        self._saved_step = self.step if parts.resumed else -1
        self._clock.set(self._state.elapsed_s)
        self._whole = True
        summary = ", ".join(f"{key} {value}" for key, value in parts.made_with.items())
        yield from self._record.event("resumed" if parts.resumed else "started", self.step, summary)
        for sentence in parts.notices:
            yield from self._record.event("notice", self.step, sentence)
            yield Notice(sentence=sentence)
        yield RunStarted(
            run_id=self.run.id,
            name=self.run.name,
            step=self.step,
            total_steps=self._config.steps,
            device=parts.device.label,
            precision=parts.precision,
            threads=parts.threads,
        )
        pace = Pace(self._clock.seconds, self.step)
        while not (yield from self._at_boundary(parts)):
            yield from self._train_step(parts, pace)

    def _train_step(self, parts: Parts, pace: Pace) -> Generator[Event, None, None]:
        """One update of the weights."""
        config, state, model = self._config, self._state, parts.model
        begun = self._clock.seconds
        factor = lr_factor(state.step, config) * state.lr_scale
        for group in parts.groups:
            group["lr"] = group["initial_lr"] * factor
        batches = [parts.train_batches.batch(state.step, micro_step) for micro_step in range(config.grad_accum_steps)]
        weight = sum(float(batch.weights.sum()) for batch in batches) or 1.0
        losses: list[Tensor] = []
        for micro_step, batch in enumerate(batches):
            if micro_step:
                yield MicroStep(step=state.step + 1, micro_step=micro_step)
            model.train()
            torch.manual_seed(_micro_step_seed(config.seed, state.step, micro_step))
            loss = weighted_nll(model, batch, parts.dtype) / weight
            loss.backward()  # type: ignore[no-untyped-call]
            losses.append(loss.detach())
        gradients = [p.grad for p in parts.parameters if p.grad is not None]
        norm = torch.linalg.vector_norm(torch.stack(torch._foreach_norm(gradients)))
        loss_value, grad_norm = torch.stack((torch.stack(losses).sum(), norm)).tolist()
        if not (math.isfinite(loss_value) and math.isfinite(grad_norm)):
            self._diverge(parts, loss_value, grad_norm, config.lr * factor)
        self._whole = False
        if 0 < config.grad_clip < grad_norm:
            torch._foreach_mul_(gradients, config.grad_clip / grad_norm)
        for optimizer in parts.optimizers:
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        tokens = sum(_count_tokens(batch, parts.padded) for batch in batches)
        state.step += 1
        state.tokens += tokens
        now = self._clock.seconds
        metrics = TrainMetrics(
            step=state.step,
            total_steps=config.steps,
            tokens=state.tokens,
            elapsed_s=now,
            loss=loss_value,
            lr=config.lr * factor,
            grad_norm=grad_norm,
            tokens_per_s=tokens / max(now - begun, 1e-9),
            seconds_left=pace.seconds_left(now, state.step, config.steps),
        )
        yield from self._record.metrics(metrics, parts.train_batches.bytes_per_token)
        self._whole = True
        yield metrics

    def _at_boundary(self, parts: Parts) -> Generator[Event, None, bool]:
        """Do what is due between two steps; True where this session ends here."""
        state, config = self._state, self._config
        if self._lr_scale_wanted is not None:
            state.lr_scale, self._lr_scale_wanted = self._lr_scale_wanted, None
            yield from self._record.event("learning rate", self.step, f"multiplied by {state.lr_scale:g} from here on")
        if parts.val_batches and self._is_due(config.eval_interval, state.validated_step):
            yield from self._validate(parts)
        if config.prompts and self._is_due(config.sample_interval, state.sampled_step):
            for prompt in config.prompts:
                yield from self._sample(parts, prompt)
            state.sampled_step = self.step
        while self._prompts_wanted:
            yield from self._sample(parts, self._prompts_wanted.pop(0))
        last = self.step == config.steps
        keep, status = self._stop or (True, "finished" if last else None)
        due = status is not None or (self.step > 0 and self.step % config.checkpoint_interval == 0)
        if self._save_wanted or (due and keep and self._saved_step != self.step):
            yield from self._save(parts)
        if status is None:
            return False
        yield from self._record.status(status)
        yield from self._record.event(status, self.step, "" if keep else "not kept: the last checkpoint stands")
        yield Finished(run_id=self.run.id, status=status, step=self.step)
        return True

    def _is_due(self, interval: int, last_done: int) -> bool:
        """Whether a look at the model is due here. A stop does not wait for it: a resume makes up for it."""
        if not interval or self._stop is not None or last_done == self.step:
            return False
        return self.step % interval == 0 or self.step == self._config.steps

    def _validate(self, parts: Parts) -> Generator[Event, None, None]:
        loss = math.nan
        for i, so_far in enumerate(validate(parts.model, parts.val_batches), start=1):
            loss = so_far
            if i < len(parts.val_batches):
                yield MicroStep(step=self.step, micro_step=i)
                if self._stop is not None:
                    return
        state = self._state
        metrics = ValMetrics(
            step=state.step,
            tokens=state.tokens,
            elapsed_s=self._clock.seconds,
            loss=loss,
            bits_per_byte=loss / math.log(2) / parts.val_bytes_per_token,
        )
        yield from self._record.validation(metrics)
        state.validated_step, state.val_loss = state.step, loss if math.isfinite(loss) else None
        if self._saved_step == state.step:  # resumed where a stop had not waited for this
            yield from self._record.patiently(self._write_checkpoint, parts)
        yield metrics

    def _sample(self, parts: Parts, prompt: str) -> Generator[Event, None, None]:
        seed = self._config.seed
        ids = encode_pinned(parts.tokenizer, prompt, as_chat=parts.prompts_are_chat)
        text, top = write_sample(parts.model, parts.tokenizer, ids, seed=seed, max_tokens=self._config.sample_tokens)
        sample = SampleMade(step=self.step, prompt=prompt, seed=seed, text=text, top=top)
        yield from self._record.sample(sample)
        yield sample

    def _save(self, parts: Parts) -> Generator[Event, None, None]:
        yield from self._record.patiently(self._write_checkpoint, parts)
        self._save_wanted = False
        yield from self._record.event("saved", self.step)
        yield Saved(step=self.step, path=str(self.run.checkpoint_path(self.step)))

    def _write_checkpoint(self, parts: Parts) -> None:
        """Write what is missing of this step's checkpoint; may be called again after a full disk."""
        state, path = self._state, self.run.checkpoint_path(self.step)
        val_loss = state.val_loss if state.validated_step == state.step else None
        if val_loss is not None and (state.best_loss is None or val_loss < state.best_loss):
            state.best_step, state.best_loss = state.step, val_loss
        if not path.exists():
            state.elapsed_s = self._clock.seconds
            state.log_sizes = self.run.sync_logs()
            write_checkpoint(path, parts.model, self.run.spec.model, parts.optimizers, state)
        self._saved_step = self.step
        if self.run.best_step != state.best_step:
            self.run.update(best_step=state.best_step)
        self.run.prune_checkpoints(self._config.keep_checkpoints)

    # Ends that nobody asked for

    def _leave(self) -> None:
        """The generator is closed: save if nothing is half done. Where that fails, the run shows as interrupted."""
        if self._parts is None or self.run.status != "running" or not self._whole:
            return
        with suppress(OSError):
            if self._saved_step != self.step:
                self._write_checkpoint(self._parts)
            self.run.update(status="paused")
            self.run.append_event("paused", self.step, "closed")

    def _diverge(self, parts: Parts, loss: float, grad_norm: float, lr: float) -> NoReturn:
        """Note the broken step, drop its gradients, and raise the sentence that says what to do."""
        for optimizer in parts.optimizers:
            optimizer.zero_grad(set_to_none=True)
        step = self.step + 1
        row = {"kind": "train", "step": step, "tokens": self._state.tokens, "elapsed_s": self._clock.seconds}
        with suppress(OSError):
            self.run.append("metrics", {**row, "loss": loss, "lr": lr, "grad_norm": grad_norm})
        what = "loss" if not math.isfinite(loss) else "gradient"
        remedy = "start again with a lower lr" + (" and muon_lr" if self._config.optimizer == "muon" else "")
        if self._saved_step >= 0:
            remedy += (
                f", or resume from the last checkpoint, step {self._saved_step}, with the learning rate turned down"
            )
        raise ValueError(f"The {what} of step {step} is not a number any more, so training stopped: {remedy}.")

    def _sentence(self, error: Exception) -> str | None:
        """What to tell the user, None for an error that nobody foresaw."""
        if isinstance(error, ValueError):
            return str(error)
        stands = f" The last checkpoint, step {self._saved_step}, stands." if self._saved_step >= 0 else ""
        if is_out_of_memory(error):
            device = self._parts.device.device if self._parts is not None else torch.device("cpu")
            return out_of_memory_sentence(device) + stands
        if isinstance(error, OSError):
            return f"{error.filename or self.run.folder} cannot be written or read: {error.strerror}.{stands}"
        return None


def _micro_step_seed(seed: int, step: int, micro_step: int) -> int:
    """One number for torch's global generator, which dropout draws from, so that nothing before it matters."""
    return ((seed * 1_000_003 + step) * 65_537 + micro_step) % 2**63


def _count_tokens(batch: Batch, padded: bool) -> int:
    """Tokens read, without the padding (id 0) behind examples."""
    return int(batch.inputs.count_nonzero()) if padded else batch.inputs.numel()
