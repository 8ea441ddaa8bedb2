"""The recipe: an encoder and a causal model of the same size, trained alike on pronoun pairs, and what each can do."""

from __future__ import annotations

import contextlib
import dataclasses
import time
from collections.abc import Generator

from models.config import ModelConfig
from models.events import Event, Phase
from models.library import Library
from models.pronouns.corpus import SOURCE
from models.pronouns.evaluation import PronounEvaluation, write_pronouns
from models.pronouns.resolving import evaluate_pronouns
from models.training.prepare import prepare_run
from models.training.run_folder import RunFolder
from models.training.spec import DataSpec, RunSpec, TokenizerSpec, TrainConfig
from models.training.trainer import Trainer

KINDS = ("encoder-only", "decoder-only")
NAMES = {"encoder-only": "Pronouns, encoder", "decoder-only": "Pronouns, causal"}
TAG = "pronouns"
TRAINING = TrainConfig(
    steps=500,
    batch_size=32,
    optimizer="adamw",
    lr=2e-3,
    warmup_steps=30,
    precision="float32",
    eval_interval=25,
    sample_interval=25,
    prompts=tuple(f"The animal didn't cross the street because it was too {word}." for word in ("tired", "wide")),
    watched_layer=2,
    checkpoint_interval=100,
    keep_checkpoints=5,
)
"""An encoder guesses for one to two hundred steps; then it finds out, within thirty (measured with six seeds)."""


def pronoun_spec(topology: str, name: str = "", seed: int = 0) -> RunSpec:
    """The run of one of KINDS: word by word, 0.1 M parameters, no head but the states themselves."""
    model = ModelConfig(
        topology=topology,
        head="none" if topology == "encoder-only" else "language",
        position="rope",
        norm="rmsnorm",
        activation="swiglu",
        bias="none",
        context_length=32,
        n_layer=2,
        n_head=4,
        d_model=64,
    )
    return RunSpec(
        name=name or NAMES[topology],
        model=model,
        tokenizer=TokenizerSpec(kind="word", vocab_size=87),
        data=DataSpec(source=SOURCE),
        train=dataclasses.replace(TRAINING, seed=seed),
    )


class PronounRecipe:
    """Trains both models, one after the other, and evaluates each.

    While it trains, `trainer` is the live Trainer. `runs` and `results` hold, by topology, the folders and the
    evaluations of those that are done.
    """

    def __init__(self, library: Library, *, device: str = "auto", seed: int = 0) -> None:
        self._library, self._device, self._seed = library, device, seed
        self._stop: tuple[bool, str] | None = None
        self.trainer: Trainer | None = None
        self.runs: dict[str, RunFolder] = {}
        self.results: dict[str, PronounEvaluation] = {}
        self.seconds = 0.0

    def request_stop(self, keep: bool = True, status: str = "stopped") -> None:
        """End after the step that is being computed; what there is of that run is saved, and nothing more begins."""
        self._stop = (keep, status)
        if self.trainer is not None:
            self.trainer.request_stop(keep, status)

    def events(self) -> Generator[Event, None, None]:
        """All that both trainings yield, and a Phase before each evaluation."""
        began = time.perf_counter()
        for topology in KINDS:
            name = self._library.free_run_name(NAMES[topology])
            run = yield from prepare_run(self._library, pronoun_spec(topology, name, self._seed))
            # Matrices this small are multiplied faster by one thread than by two.
            self.trainer = Trainer(run, self._library, device=self._device, allow_threads=1)
            if self._stop is not None:  # Ctrl-C comes between any two lines
                self.trainer.request_stop(*self._stop)
            with contextlib.closing(self.trainer.events()) as events:
                yield from events
            if self._stop is not None:
                break
            yield Phase(name="Asking about held-out pairs")
            result = evaluate_pronouns(self.trainer.model, self.trainer.tokenizer, self.trainer.step)
            write_pronouns(run.folder, result)
            self.runs[topology], self.results[topology] = run, result
        self.seconds = time.perf_counter() - began
