"""The quick start as one generator: data, tokenizer, model, training and evaluation."""

from __future__ import annotations

import contextlib
import dataclasses
import statistics
import time
from collections.abc import Generator, Sequence
from pathlib import Path

import torch

from terrarium.models.architecture.transformer import Decoder
from terrarium.models.corpora.shown_texts import read_shown_texts
from terrarium.models.data.batches import Batches
from terrarium.models.data.sources import prepare_corpus
from terrarium.models.device import choose_device, pick_precision
from terrarium.models.evaluation.held_out_questions import AnsweredQuestion, evaluate
from terrarium.models.evaluation.record import write_comparison, write_evaluation
from terrarium.models.events import Evaluated, Event, Finished, Noted, Phase, Progress, TextsShown, WordsMerged
from terrarium.models.interop.graphs.graphs import LOOKBACK_STEPS, with_previous_token_heads
from terrarium.models.library.library import Library
from terrarium.models.library.run_record import EARLY_STOP
from terrarium.models.recipes import own_text
from terrarium.models.recipes.first_look import merge_words
from terrarium.models.recipes.mark import QUICK_START, RunMark, write_run_mark
from terrarium.models.runs.run_folder import RunFolder
from terrarium.models.settings.model_config import ModelConfig
from terrarium.models.settings.run_spec import DataSpec, RunSpec, TokenizerSpec, TrainConfig
from terrarium.models.tiny_world.world import World
from terrarium.models.tokenizers import load_tokenizer
from terrarium.models.training.batches import make_batches_events
from terrarium.models.training.objective import weighted_nll
from terrarium.models.training.optim import make_optimizers
from terrarium.models.training.prepare import prepare_tokenizer
from terrarium.models.training.trainer import Trainer

STEPS = 1500
"""Training steps of Tiny World, independent of the machine's speed, after which at least 95 % of the held-out
questions were answered in each of five worlds.
"""
PORTABLE_STEPS = round(STEPS * LOOKBACK_STEPS)
EVALUATION_SHARE, MARGIN_SHARE = 0.05, 0.10
"""Shares of the time reserved for the evaluation, and for other load on the machine."""
ACCURACY_INTERVAL = 400
"""Steps between two evaluations on held-out questions on Tiny World, each of which takes as long as ten steps
(measured): with those after 10, 25, 50 and 100 steps, 6 % of the training in total.
"""
PROBE_STEPS = 6
"""Training steps timed with each number of threads: on a busy machine, all cores may be slower than half of them."""

TINY_WORLD_MODEL = ModelConfig(
    position="rope",
    norm="layernorm",
    activation="relu2",
    bias="none",
    qk_norm=True,
    conv_width=5,
    zero_init_output=True,
    context_length=256,
    n_layer=2,
    n_head=4,
    d_model=128,
    d_ff=128,
)
"""Two wide layers learn to bind a name to facts about it in less time than three narrow ones. A convolution of width
5 covers “Ben went to the barn”, and heads of 32 can be sharp enough under QK-norm. Feed-forwards four times as
wide as the model learn no more in as many steps, each of which takes a quarter longer; narrower ones store fewer
facts.
"""
TINY_WORLD_TRAINING = TrainConfig(
    batch_size=6,
    optimizer="muon",
    muon_lr=0.03,
    lr=4.5e-3,
    weight_decay=0.0,
    warmup_steps=30,
    schedule="wsd",
    min_lr_ratio=0.0,
    context_loss_weight=0.0,
    precision="float32",
    eval_interval=250,
    sample_interval=250,
    checkpoint_interval=200,
    keep_checkpoints=2,
)
"""Six contexts of tokens per step: with four, the same accuracy takes a sixth more time, with two far more; with
eight, it is reached no sooner. Loss on replies only.
"""
TEXT_MODEL = dataclasses.replace(TINY_WORLD_MODEL, conv_width=4, d_ff=0)


class QuickStart:
    """Trains a model from scratch, on Tiny World or on text `files`, and evaluates it.

    After the events, `answers` has every held-out question with its reply (Tiny World only), and `seconds` the total
    time. During training, `trainer` is the live Trainer and `run` its folder.
    """

    def __init__(
        self,
        library: Library,
        minutes: float | None = None,
        device: str = "auto",
        seed: int = 0,
        files: Sequence[Path | str] = (),
        *,
        portable: bool = False,
    ) -> None:
        """Args:
            minutes: for Tiny World, as many steps as fit into them, at most STEPS (PORTABLE_STEPS); None for that
                maximum. For a text, as many steps as two idle cores take in them; None for own_text.MINUTES.
            portable: use a design that llama.cpp supports, so that the model can be exported to Ollama.

        Raises:
            ValueError: if the minutes are not above 0.
        """
        if minutes is not None and minutes <= 0:
            raise ValueError(f"A quick start cannot last {minutes} minutes: use a number above 0.")
        self._library, self._device, self._seed = library, device, seed
        self.files = tuple(str(file) for file in files)
        self._portable = portable
        self._minutes = own_text.MINUTES if minutes is None and self.files else minutes
        self.trainer: Trainer | None = None
        self.run: RunFolder | None = None
        self.answers: dict[str, list[AnsweredQuestion]] = {}
        self.seconds = 0.0
        self._stop: tuple[bool, str] | None = None
        self._is_training = False
        self._threads: int | None = None

    @classmethod
    def resumed(cls, library: Library, run: RunFolder, *, device: str = "auto") -> QuickStart:
        """Return the rest of a stopped or paused quick start: training from the last checkpoint, and evaluation."""
        data = run.spec.data
        start = cls(library, device=device, seed=data.seed, files=data.files if data.source == "files" else ())
        start.run = run
        return start

    def request_stop(self, keep: bool = True, status: str = "stopped") -> None:
        """Stop after the current step, or at the next event before or after training; nothing is evaluated."""
        self._stop = (keep, status)
        if self.trainer is not None:
            self.trainer.request_stop(keep, status)

    def events(self) -> Generator[Event, None, None]:
        """Run everything from data to evaluation; the last event is Evaluated (Tiny World) or TextCompared."""
        threads = torch.get_num_threads()
        started_at = time.perf_counter()
        try:
            with contextlib.closing(self._events(started_at)) as events:
                for event in events:
                    yield event
                    if self._stop is not None and not self._is_training:
                        break
        finally:
            self.seconds = time.perf_counter() - started_at
            torch.set_num_threads(threads)

    def _events(self, started_at: float) -> Generator[Event, None, None]:
        if self.run is None:
            self.run, batches = yield from self._prepare(started_at)
        else:
            batches = None
            if self.files:
                yield (yield from own_text.known_tables(self._library, self.run))
        yield from self._train(self.run, batches)

    def _prepare(self, started_at: float) -> Generator[Event, None, tuple[RunFolder, Batches]]:
        """Make a new run with its mark, and its training batches."""
        spec = self.first_spec()
        corpus = yield from prepare_corpus(self._library, spec.data)
        texts = read_shown_texts(corpus)
        yield TextsShown(texts=texts)
        compared = (yield from own_text.check_text(corpus, self.files)) if self.files else None
        if compared is not None:
            yield compared
        yield Phase(name="Training the tokenizer")
        name = yield from prepare_tokenizer(self._library, spec.tokenizer, corpus, spec.name)
        yield Phase(name="Reading the text")
        tokenizer = load_tokenizer(name, self._library)
        yield WordsMerged(words=merge_words(tokenizer, texts))
        design = dataclasses.replace(spec.model, vocab_size=tokenizer.get_vocab_size())
        batches = yield from make_batches_events(corpus, tokenizer, design, spec.train)
        spec = yield from self._fit_steps(dataclasses.replace(spec, model=design), batches, started_at)
        run = RunFolder.create(self._library, spec, name, corpus.sha)
        arguments = {"seed": self._seed, "minutes": self._minutes, "portable": self._portable}
        write_run_mark(run.folder, RunMark(kind=QUICK_START, arguments=arguments))
        if compared is not None:
            write_comparison(run.folder, compared)
        return run, batches

    def _train(self, run: RunFolder, batches: Batches | None) -> Generator[Event, None, None]:
        """Train the run, and evaluate it if training finished."""
        self.trainer = Trainer(
            run, self._library, device=self._device, allow_threads=self._threads, made_batches=batches
        )
        if self._stop is not None:  # Ctrl-C may come at any point
            self.trainer.request_stop(*self._stop)
        finished = stopped_early = False
        self._is_training = True
        with contextlib.closing(self.trainer.events()) as events:
            for event in events:
                stopped_early = stopped_early or (isinstance(event, Noted) and event.event == EARLY_STOP)
                finished = isinstance(event, Finished) and (event.status == "finished" or stopped_early)
                yield event
        self._is_training = False
        if finished and self.files:
            if stopped_early:
                own_text.keep_best(run)
            yield from own_text.compare_with_tables(self._library, run)
        elif finished:
            world = World(self._seed)
            model = self.trainer.model
            assert isinstance(model, Decoder)
            evaluation = evaluate(model, self.trainer.tokenizer, world)
            self.answers = yield from self._save_result(evaluation, run.folder)

    def _save_result(
        self, evaluation: Generator[Event, None, dict[str, list[AnsweredQuestion]]], folder: Path
    ) -> Generator[Event, None, dict[str, list[AnsweredQuestion]]]:
        """Drive the evaluation and write its result to the run's folder."""
        while True:
            try:
                event = next(evaluation)
            except StopIteration as end:
                return end.value  # type: ignore[no-any-return]
            if isinstance(event, Evaluated):
                write_evaluation(folder, event)
            yield event

    def first_spec(self) -> RunSpec:
        """Return the spec without the number of steps."""
        if self.files:
            return own_text.text_spec(self._library, self.files, self._design(TEXT_MODEL), self._seed)
        world = World(self._seed)
        facts = world.facts
        prompts = (
            f"Tell me a story about {world.people[0]} and the {world.things[0]} in the {world.places[0]}.",
            facts[0].questions[0],
        )
        return RunSpec(
            name=f"Tiny World {self._seed}" if self._seed else "Tiny World",
            model=self._design(TINY_WORLD_MODEL),
            tokenizer=TokenizerSpec(kind="bpe", vocab_size=1024),
            data=DataSpec(source="tiny-world", seed=self._seed),
            train=dataclasses.replace(
                TINY_WORLD_TRAINING, seed=self._seed, prompts=prompts, accuracy_interval=ACCURACY_INTERVAL
            ),
        )

    def _design(self, model: ModelConfig) -> ModelConfig:
        return with_previous_token_heads(model) if self._portable else model

    def _fit_steps(self, spec: RunSpec, batches: Batches, started_at: float) -> Generator[Event, None, RunSpec]:
        """Set the number of steps: on Tiny World, those that fit into the remaining time, if limited. Also chooses
        the faster number of threads.
        """
        yield Phase(name="Measuring this device")
        cores = torch.get_num_threads()
        seconds: dict[int, float] = {}
        candidates = sorted({cores, max(1, cores // 2)})
        for i, threads in enumerate(candidates):
            torch.set_num_threads(threads)
            done, total = i * PROBE_STEPS, len(candidates) * PROBE_STEPS
            seconds[threads] = yield from self._step_seconds(spec.model, spec.train, batches, done, total)
        self._threads = min(seconds, key=lambda threads: seconds[threads])
        torch.set_num_threads(self._threads)
        if self.files:
            assert self._minutes is not None
            factor = LOOKBACK_STEPS if self._portable else 1.0
            train = own_text.fit_steps(spec.train, self._minutes, batches.n_batches, factor)
            return dataclasses.replace(spec, train=train)
        most = steps = PORTABLE_STEPS if self._portable else STEPS
        if self._minutes is not None:
            usable = 60 * self._minutes * (1 - MARGIN_SHARE - EVALUATION_SHARE)
            left = usable - (time.perf_counter() - started_at)
            steps = max(own_text.MIN_STEPS, min(most, int(left / seconds[self._threads])))
        warmup = min(spec.train.warmup_steps, steps // 4)
        train = dataclasses.replace(spec.train, steps=steps, warmup_steps=warmup)
        return dataclasses.replace(spec, train=train)

    def _step_seconds(
        self, config: ModelConfig, train: TrainConfig, batches: Batches, done: int, total: int
    ) -> Generator[Event, None, float]:
        """Return the mean seconds per training step on throw-away weights, after `done` of `total` timed steps."""
        device = choose_device(self._device).device
        dtype = pick_precision(train, config, device)
        model = Decoder(config).to(device)
        optimizers = make_optimizers(model, train)
        times = []
        for step in range(PROBE_STEPS):
            started_at = time.perf_counter()
            batch = batches.batch(step)
            loss = weighted_nll(model, batch, dtype) / batch.weights.sum()
            loss.backward()
            for optimizer in optimizers:
                optimizer.step()
                optimizer.zero_grad()
            loss.item()  # waits for a GPU to finish
            times.append(time.perf_counter() - started_at)
            yield Progress(done=done + step + 1, total=total)
        return statistics.fmean(times[PROBE_STEPS // 4 :])
