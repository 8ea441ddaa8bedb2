"""How often "it" is resolved in held-out pairs, and whether the adjective decides; saved in the run's folder."""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from terrarium.models.files.atomic import atomic_write_json, read_json
from terrarium.models.tiny_world.pronouns import MinimalPair, draw_pairs

_FILE = "pronouns.json"
N_PAIRS = 500


@dataclass(frozen=True, kw_only=True)
class PronounEvaluation:
    """Shares between 0 and 1, at a training `step`.

    accuracy: of the 2 × `n_pairs` sentences of held-out pairs, those where the right noun has the highest score.
    both: of the pairs, those that are right in both sentences. without_adjective: as `accuracy`, on one sentence of
    each pair, with the adjective masked. largest_difference: the largest difference of a score between the two
    sentences of a pair; 0 if they are bitwise equal. rules: accuracy of baseline rules that ignore the adjective, by
    name.
    """

    step: int
    n_pairs: int
    accuracy: float
    both: float
    without_adjective: float
    largest_difference: float
    rules: dict[str, float]


def evaluation_pairs(n: int = N_PAIRS) -> list[MinimalPair]:
    """Return the held-out pairs, always the same."""
    return draw_pairs(n, random.Random("pronoun evaluation"))


_RULES: dict[str, Callable[[MinimalPair], str]] = {
    "the first noun": lambda pair: pair.of_being.gold if pair.frame.being_first else pair.of_thing.gold,
    "the nearer noun": lambda pair: pair.of_thing.gold if pair.frame.being_first else pair.of_being.gold,
    "the one that acts": lambda pair: pair.of_being.gold if pair.frame.being_acts else pair.of_thing.gold,
    "the animal": lambda pair: pair.of_being.gold,
}


def rule_accuracies(pairs: Sequence[MinimalPair]) -> dict[str, float]:
    """Compute the accuracy of rules that ignore the adjective: a half, because each pair has both answers."""
    return {
        name: share([rule(pair) == sentence.gold for pair in pairs for sentence in pair.sentences])
        for name, rule in _RULES.items()
    }


def share(flags: Sequence[bool]) -> float:
    """Return the fraction of true flags."""
    return sum(flags) / len(flags)


def write_pronouns(folder: Path, evaluation: PronounEvaluation) -> None:
    """Write the evaluation to the run's folder, replacing an earlier one."""
    atomic_write_json(folder / _FILE, dataclasses.asdict(evaluation))


def read_pronouns(folder: Path) -> PronounEvaluation | None:
    """Read the run's evaluation; None if there is none.

    Raises:
        ValueError: if the file is damaged; the message names it.
    """
    path = folder / _FILE
    if not path.exists():
        return None
    data: Any = read_json(path)
    try:
        found = PronounEvaluation(**data)
        numbers = (found.accuracy, found.both, found.without_adjective, found.largest_difference, *found.rules.values())
        if not all(isinstance(number, float | int) for number in (*numbers, found.step, found.n_pairs)):
            raise TypeError("a number")
    except (TypeError, AttributeError) as error:
        raise ValueError(f"{path} is damaged: {error} is missing or wrong. Delete it to measure again.") from error
    return found
