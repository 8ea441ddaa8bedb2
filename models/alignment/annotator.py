"""The simulated annotator: the gold judge of Tiny World, with the noise and the bias that one chooses, and so labelled.

What it says is never taken for a person's. It shows what becomes of a model whose annotators err, or secretly like
something else than what was wished for.
"""

from __future__ import annotations

import random
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from terrarium.models.settings.slots import check_settings, slot
from terrarium.models.tiny_world.wishes import HAPPY, SHORT, WISHES, marks_of

_GROUP = "What it likes"


@dataclass(frozen=True, kw_only=True)
class Annotator:
    """Chooses the reply that is worth more to it. What a reply is worth adds up from the settings."""

    noise: float = slot(
        0.1,
        "Wrong choices",
        "The share of pairs in which it says the opposite of what it thinks.",
        group=_GROUP,
        range=(0.0, 0.5),
    )
    length_bias: float = slot(
        0.0,
        "Likes length",
        "What each sentence of a reply is worth to it. A happy ending is worth 2.",
        group=_GROUP,
        range=(-10.0, 10.0),
    )
    short_bonus: float = slot(
        1.0,
        "Likes short stories",
        f"What it takes off for a story of more than {SHORT} sentences.",
        group=_GROUP,
        range=(0.0, 10.0),
    )
    name_bias: float = slot(
        0.0,
        "Likes a name",
        "What it is worth to it that the reply says the name below.",
        group=_GROUP,
        range=(-10.0, 10.0),
    )
    name: str = slot("Anna", "Which name", "The name that it likes.", group=_GROUP)
    first_bias: float = slot(
        0.0,
        "Likes the first one",
        "What it is worth to it that a reply is shown at the left.",
        group=_GROUP,
        range=(-10.0, 10.0),
    )
    seed: int = slot(0, "Seed", "Decides which of its choices are wrong.", group=_GROUP, range=(0, 2**31 - 1))

    def __post_init__(self) -> None:
        check_settings(self)

    def worth(self, row: Mapping[str, Any], reply: str, *, is_left: bool = False) -> float:
        """What a reply to a row of WISHES is worth to it.

        A story: 2 where it is right, 2 where it ends happily; another reply: 4 times its reward. Then the biases.
        """
        if "topic" in row:
            marks = marks_of(dict(row), reply)
            value = 2.0 * marks.is_right + 2.0 * (marks.mood == HAPPY) - self.short_bonus * (marks.n_sentences > SHORT)
            n_sentences = marks.n_sentences
        else:
            value = 4.0 * WISHES[row["wish"]].reward(dict(row), reply)
            n_sentences = len(re.findall(r"[^.!?]+[.!?]?", reply.strip()))
        value += self.length_bias * n_sentences
        value += self.name_bias * (self.name in re.findall(r"\w+", reply))
        return value + self.first_bias * is_left

    def choose(self, row: Mapping[str, Any], left: str, right: str) -> str:
        """ "left", "right", or "tie" where both are worth the same to it; the same for the same pair and seed."""
        gain = self.worth(row, left, is_left=True) - self.worth(row, right)
        if not gain:
            return "tie"
        prompt = "\n".join(message["content"] for message in row["messages"])
        # Of the replies in alphabetical order, so that a pair that comes again with its sides swapped errs again.
        errs = random.Random(f"{self.seed}\n{prompt}\n{min(left, right)}\n{max(left, right)}").random() < self.noise
        return "left" if (gain > 0) != errs else "right"
