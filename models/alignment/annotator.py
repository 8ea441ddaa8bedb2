"""The simulated annotator: Tiny World's gold judge with adjustable noise and bias, always labelled as simulated.

Its judgements are never presented as a person's. It shows what happens to a model whose annotators make errors, or
secretly prefer something else than the wish.
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
    """Chooses the reply with the higher worth; the settings add up to a reply's worth."""

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
        """Return the worth of a reply to a row of WISHES.

        A story: 2 if it is right, plus 2 if it ends happily; another reply: 4 times its reward. The biases are added.
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
        """Return "left", "right", or "tie" for equal worth; always the same for the same pair and seed."""
        gain = self.worth(row, left, is_left=True) - self.worth(row, right)
        if not gain:
            return "tie"
        prompt = "\n".join(message["content"] for message in row["messages"])
        # The replies are sorted, so that a pair shown again with its sides swapped has the same error.
        errs = random.Random(f"{self.seed}\n{prompt}\n{min(left, right)}\n{max(left, right)}").random() < self.noise
        return "left" if (gain > 0) != errs else "right"
