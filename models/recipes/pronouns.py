"""The pronoun recipe: train an encoder and a causal model of the same size on pronoun pairs, and evaluate both."""

from __future__ import annotations

import contextlib
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
            if run is None:
                name = job.library.free_run_name(NAMES[topology])
                run = yield from prepare_run(job.library, pronoun_spec(topology, name, self._seed))
            self.results[topology] = _known_result(run) or (yield from _train_and_evaluate(job, run, topology))
            self.runs[topology] = run


def _train_and_evaluate(job: RunJob, run: RunFolder, part: str) -> Generator[Event, None, PronounEvaluation]:
    # Matrices this small are multiplied faster by one thread than by two.
    trained = yield from job.trained(run, part, threads=1)
    yield Phase(name="Evaluating on held-out pairs")
    result = evaluate_pronouns(trained.model, trained.tokenizer, trained.step)
    write_pronouns(run.folder, result)
    return result


def _known_result(run: RunFolder) -> PronounEvaluation | None:
    """Return the saved evaluation of a finished run; None if it has not finished, or was not evaluated at its end."""
    with contextlib.suppress(ValueError):  # a damaged file is measured again
        result = read_pronouns(run.folder) if run.status == "finished" else None
        return result if result is not None and result.step == run.spec.train.steps else None
    return None
