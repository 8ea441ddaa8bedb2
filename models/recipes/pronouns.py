"""The pronoun recipe: train an encoder and a causal model of the same size on pronoun pairs, and evaluate both."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from typing import Any

from terrarium.models.events import Event, Phase
from terrarium.models.recipes.job import RunJob
from terrarium.models.recipes.mark import PRONOUNS
from terrarium.models.recipes.pronoun_specs import KINDS, NAMES, pronoun_spec
from terrarium.models.runs.run_folder import RunFolder
from terrarium.models.tasks.pronouns.evaluation import PronounEvaluation, read_pronouns, write_pronouns
from terrarium.models.tasks.pronouns.resolving import evaluate_pronouns
from terrarium.models.training.prepare import prepare_run


class PronounRecipe:
    """Trains both models, one after the other, and evaluates each.

    `runs` and `results` have the folders and evaluations of finished models, by topology.
    """

    kind = PRONOUNS

    def __init__(self, *, seed: int = 0) -> None:
        self._seed = seed
        self.runs: dict[str, RunFolder] = {}
        self.results: dict[str, PronounEvaluation] = {}

    @classmethod
    def made_from(cls, arguments: Mapping[str, Any]) -> PronounRecipe:
        """Make the recipe from its arguments; TypeError if they are invalid."""
        return cls(**arguments)

    def arguments(self) -> dict[str, Any]:
        return {"seed": self._seed}

    def work(self, job: RunJob) -> Generator[Event, None, None]:
        """Train and evaluate the models; yields a Phase before each evaluation."""
        for topology in KINDS:
            run = job.find(topology)
            result = read_pronouns(run.folder) if run is not None else None
            if run is None:
                name = job.library.free_run_name(NAMES[topology])
                run = yield from prepare_run(job.library, pronoun_spec(topology, name, self._seed))
            if result is None:
                # Matrices this small are multiplied faster by one thread than by two.
                trainer = yield from job.train(run, topology, threads=1)
                yield Phase(name="Evaluating on held-out pairs")
                result = evaluate_pronouns(trainer.model, trainer.tokenizer, trainer.step)
                write_pronouns(run.folder, result)
            self.runs[topology], self.results[topology] = run, result
