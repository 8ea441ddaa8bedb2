"""`terrarium pronouns`: train an encoder to resolve “it”, and a causal model, which cannot, and test both."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

from terrarium.app.commands.options import Command, option, print_json
from terrarium.app.commands.progress import ProgressLine, drive, stop_on_interrupt
from terrarium.models.library.library import Library

if TYPE_CHECKING:
    from terrarium.models.recipes.pronouns import PronounRecipe

DONE, INTERRUPTED = 0, 130
_NAMES = {"encoder-only": "encoder", "decoder-only": "causal model"}


class Pronouns(
    Command,
    description="Train a tiny encoder and a tiny causal model on pronoun pairs, and evaluate both on pairs of nouns "
    "and adjectives that they have never seen together.",
):
    """Train an encoder that resolves “it”, and a causal model that cannot."""

    seed: int = option("random seed (default: 0)", default=0)

    def run(self) -> int:
        """Train both models; return 130 if Ctrl-C stopped and saved the run."""
        from terrarium.models.recipes.job import RunJob
        from terrarium.models.recipes.pronouns import PronounRecipe

        recipe = PronounRecipe(seed=self.seed)
        job = RunJob(Library(), recipe, device=self.device)
        with ProgressLine(as_json=self.as_json) as line, stop_on_interrupt(job.request_stop) as interrupt:
            drive(job.events(), line)
        if self.as_json:
            print_json(_as_json(recipe, job.seconds))
        else:
            print_result(recipe, job.seconds)
        return INTERRUPTED if interrupt.happened else DONE


def _as_json(recipe: PronounRecipe, seconds: float) -> dict[str, Any]:
    return {
        "models": {
            topology: {"run": str(recipe.runs[topology].folder), **dataclasses.asdict(result)}
            for topology, result in recipe.results.items()
        },
        "seconds": seconds,
    }


def print_result(recipe: PronounRecipe, seconds: float) -> None:
    """Print the results of both models, and of baseline rules that ignore the adjective."""
    for topology, result in recipe.results.items():
        print(f"{_NAMES[topology]}: {2 * result.n_pairs} sentences of {result.n_pairs} held-out pairs")
        print(f"  right                          {_percent(result.accuracy)}")
        print(f"  right in both of a pair        {_percent(result.both)}")
        print(f"  right without the adjective    {_percent(result.without_adjective)}")
        print(f"  scores within a pair differ by {result.largest_difference:.3g} at most")
        print(f"  {recipe.runs[topology].folder}\n")
    if recipe.results:
        rules = next(iter(recipe.results.values())).rules
        print("without a model: " + ", ".join(f"{name} {_percent(share).strip()}" for name, share in rules.items()))
    print(f"took {seconds:.0f} s")


def _percent(share: float) -> str:
    return f"{100 * share:5.1f} %"
