"""The pronoun recipe: train an encoder and a causal model of the same size on pronoun pairs, and evaluate both."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Generator

from terrarium.models.events import Event, Phase
from terrarium.models.library.library import Library
from terrarium.models.recipes.pronoun_specs import KINDS, NAMES, pronoun_spec
from terrarium.models.runs.run_folder import RunFolder
from terrarium.models.tasks.pronouns.evaluation import PronounEvaluation, write_pronouns
from terrarium.models.tasks.pronouns.resolving import evaluate_pronouns
from terrarium.models.training.prepare import prepare_run
from terrarium.models.training.trainer import Trainer


class PronounRecipe:
    """Trains both models, one after the other, and evaluates each.

    During training, `trainer` is the live Trainer. `runs` and `results` have the folders and evaluations of finished
    models, by topology.
    """

    def __init__(self, library: Library, *, device: str = "auto", seed: int = 0) -> None:
        self._library, self._device, self._seed = library, device, seed
        self._stop: tuple[bool, str] | None = None
        self.trainer: Trainer | None = None
        self.runs: dict[str, RunFolder] = {}
        self.results: dict[str, PronounEvaluation] = {}
        self.seconds = 0.0

    def request_stop(self, keep: bool = True, status: str = "stopped") -> None:
        """Stop after the current step; that run is saved, and nothing else is started."""
        self._stop = (keep, status)
        if self.trainer is not None:
            self.trainer.request_stop(keep, status)

    def events(self) -> Generator[Event, None, None]:
        """Yield all events of both trainings, and a Phase before each evaluation."""
        started_at = time.perf_counter()
        for topology in KINDS:
            name = self._library.free_run_name(NAMES[topology])
            run = yield from prepare_run(self._library, pronoun_spec(topology, name, self._seed))
            # Matrices this small are multiplied faster by one thread than by two.
            self.trainer = Trainer(run, self._library, device=self._device, allow_threads=1)
            if self._stop is not None:  # Ctrl-C may come at any point
                self.trainer.request_stop(*self._stop)
            with contextlib.closing(self.trainer.events()) as events:
                yield from events
            if self._stop is not None:
                break
            yield Phase(name="Evaluating on held-out pairs")
            result = evaluate_pronouns(self.trainer.model, self.trainer.tokenizer, self.trainer.step)
            write_pronouns(run.folder, result)
            self.runs[topology], self.results[topology] = run, result
        self.seconds = time.perf_counter() - started_at
