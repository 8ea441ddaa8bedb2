"""The quick start as one generator: data, tokenizer, model, training and evaluation."""

from __future__ import annotations

import dataclasses
import statistics
import time
from collections.abc import Generator, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer

from terrarium.models.architecture.transformer import Decoder
from terrarium.models.corpora.shown_texts import read_shown_texts
from terrarium.models.data.batches import Batches
from terrarium.models.data.corpus_texts import prepare_corpus
from terrarium.models.device import choose_device, pick_precision
from terrarium.models.evaluation.held_out_questions import AnsweredQuestion, evaluate
from terrarium.models.evaluation.record import write_comparison, write_evaluation
from terrarium.models.events import Evaluated, Event, Phase, Progress, ShownText, TextsShown, WordMerges, WordsMerged
from terrarium.models.interop.graphs.graphs import LOOKBACK_STEPS, with_previous_token_heads
from terrarium.models.library.library import Library
from terrarium.models.recipes import own_text
from terrarium.models.recipes.job import RunJob
from terrarium.models.recipes.mark import QUICK_START, add_result
from terrarium.models.runs.run_folder import RunFolder
from terrarium.models.settings.model_config import ModelConfig
from terrarium.models.settings.run_spec import DataSpec, RunSpec, TokenizerSpec, TrainConfig
from terrarium.models.tiny_world.world import World
from terrarium.models.tokenizers import load_tokenizer
from terrarium.models.tokenizers.steps.bpe import BpeSteps
from terrarium.models.tokenizers.steps.steps import TokenizerSteps
from terrarium.models.training.batches import make_batches_events
from terrarium.models.training.objective import weighted_nll
from terrarium.models.training.optim import make_optimizers
from terrarium.models.training.prepare import prepare_tokenizer

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

    Its result is every held-out question with the model's reply, by kind ({} for a text).
    """

    kind = QUICK_START

    def __init__(
        self,
        minutes: float | None = None,
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
        self.files = tuple(str(file) for file in files)
        self._seed, self._portable = seed, portable
        self._minutes = own_text.MINUTES if minutes is None and self.files else minutes

    @classmethod
    def made_from(cls, arguments: Mapping[str, Any]) -> QuickStart:
        """Make the recipe from its arguments; TypeError or ValueError if they are invalid."""
        return cls(**arguments)

    def arguments(self) -> dict[str, Any]:
        return {
            "seed": self._seed,
            "files": list(self.files),
            "minutes": self._minutes,
            "portable": self._portable,
        }

    def work(self, job: RunJob) -> Generator[Event, None, dict[str, list[AnsweredQuestion]]]:
        """Do everything from data to evaluation; the last event is Evaluated (Tiny World) or TextCompared."""
        run, batches, threads = job.find(), None, None
        if run is None:
            run, batches, threads = yield from self._prepare(job)
        elif run.spec.data.source == "files":
            yield (yield from own_text.known_tables(job.library, run))
        trained = yield from job.trained(run, threads=threads, batches=batches)
        if run.spec.data.source == "files":
            if run.status == "stopped":  # early, as the user's stop ends the job
                own_text.keep_best(run)
            yield from own_text.compare_with_tables(job.library, run)
            return {}
        assert isinstance(trained.model, Decoder)
        evaluation = evaluate(trained.model, trained.tokenizer, World(run.spec.data.seed))
        return (yield from self._save_result(evaluation, run.folder))

    def _prepare(self, job: RunJob) -> Generator[Event, None, tuple[RunFolder, Batches, int]]:
        """Make a new run, its training batches, and the number of threads to train it with."""
        began = time.perf_counter()
        spec = self.first_spec(job.library)
        corpus = yield from prepare_corpus(job.library, spec.data)
        texts = read_shown_texts(corpus)
        yield TextsShown(texts=texts)
        compared = (yield from own_text.check_text(corpus, self.files)) if self.files else None
        if compared is not None:
            yield compared
        yield Phase(name="Training the tokenizer")
        name = yield from prepare_tokenizer(job.library, spec.tokenizer, corpus, spec.name)
        yield Phase(name="Reading the text")
        tokenizer = load_tokenizer(name, job.library)
        yield WordsMerged(words=merge_words(tokenizer, texts))
        design = dataclasses.replace(spec.model, vocab_size=tokenizer.get_vocab_size())
        batches = yield from make_batches_events(corpus, tokenizer, design, spec.train)
        spec = dataclasses.replace(spec, model=design)
        seconds = yield from self._step_seconds(spec, batches, job.device)
        threads = min(seconds, key=lambda threads: seconds[threads])
        torch.set_num_threads(threads)
        train = self._fit_steps(spec.train, batches.n_batches, seconds[threads], time.perf_counter() - began)
        run = RunFolder.create(job.library, dataclasses.replace(spec, train=train), name, corpus.sha)
        if compared is not None:
            write_comparison(run.folder, compared)
        return run, batches, threads

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
                add_result(folder, {"accuracy": event.accuracy})
            yield event

    def first_spec(self, library: Library) -> RunSpec:
        """Return the spec without the number of steps."""
        if self.files:
            return own_text.text_spec(library, self.files, self._design(TEXT_MODEL), self._seed)
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

    def _step_seconds(self, spec: RunSpec, batches: Batches, device: str) -> Generator[Event, None, dict[int, float]]:
        """Time a few training steps with all threads and with half of them. Returns the mean seconds per step of each
        number of threads.
        """
        yield Phase(name="Measuring this device")
        cores = torch.get_num_threads()
        candidates = sorted({cores, max(1, cores // 2)})
        seconds: dict[int, float] = {}
        for i, threads in enumerate(candidates):
            torch.set_num_threads(threads)
            times: list[float] = []
            for passed in _time_steps(spec.model, spec.train, batches, device):
                times.append(passed)
                yield Progress(done=i * PROBE_STEPS + len(times), total=len(candidates) * PROBE_STEPS)
            seconds[threads] = statistics.fmean(times[PROBE_STEPS // 4 :])
        return seconds

    def _fit_steps(self, train: TrainConfig, n_batches: int, step_s: float, passed_s: float) -> TrainConfig:
        """Set the number of steps: on Tiny World, those that fit into the remaining time, if limited.

        step_s: the seconds that a step takes. passed_s: those that have passed since the quick start began.
        """
        if self.files:
            assert self._minutes is not None
            return own_text.fit_steps(train, self._minutes, n_batches, LOOKBACK_STEPS if self._portable else 1.0)
        most = steps = PORTABLE_STEPS if self._portable else STEPS
        if self._minutes is not None:
            left = 60 * self._minutes * (1 - MARGIN_SHARE - EVALUATION_SHARE) - passed_s
            steps = max(own_text.MIN_STEPS, min(most, int(left / step_s)))
        return dataclasses.replace(train, steps=steps, warmup_steps=min(train.warmup_steps, steps // 4))


def _time_steps(config: ModelConfig, train: TrainConfig, batches: Batches, device_name: str) -> Iterator[float]:
    """Yield the seconds of each of PROBE_STEPS training steps, on throw-away weights."""
    device = choose_device(device_name).device
    dtype = pick_precision(train, config, device)
    model = Decoder(config).to(device)
    optimizers = make_optimizers(model, train)
    for step in range(PROBE_STEPS):
        began = time.perf_counter()
        batch = batches.batch(step)
        loss = weighted_nll(model, batch, dtype) / batch.weights.sum()
        loss.backward()
        for optimizer in optimizers:
            optimizer.step()
            optimizer.zero_grad()
        loss.item()  # waits for a GPU to finish
        yield time.perf_counter() - began


_N_WORDS = 6
_LETTERS = range(5, 13)
"""Word lengths with enough merges to show, but short enough for a line."""


def merge_words(tokenizer: Tokenizer, texts: Sequence[ShownText]) -> tuple[WordMerges, ...]:
    """Return some words of the texts, with their merges into tokens step by step; () for a tokenizer without merges.

    Words with the most merges come first. A word whose steps do not lead to the tokenizer's own tokens is left out.
    """
    steps = TokenizerSteps(tokenizer)
    if steps.bpe is None:
        return ()
    text = " ".join(f"{each.text} {each.answer}" for each in texts)
    found: dict[str, BpeSteps] = {}
    for word in steps.split(text).words:
        letters = word.display.strip("·")
        if not letters.isalpha() or len(letters) not in _LETTERS:
            continue
        merges = steps.bpe.steps(word.text)
        if merges.ids == word.encoded and merges.n_steps:
            found.setdefault(letters, merges)
    most = sorted(found.items(), key=lambda item: -item[1].n_steps)[:_N_WORDS]
    return tuple(
        WordMerges(
            word=letters,
            states=tuple(
                tuple(steps.show_node(merges.nodes[i]) for i in merges.state(step))
                for step in range(merges.n_steps + 1)
            ),
        )
        for letters, merges in most
    )
