"""What is wrong with rows before they are trained on: counted, with examples, and mendable by a tick."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from dataclasses import dataclass

from models.data.importing.plan import ImportPlan
from models.events import Event, Phase
from models.library.library import Library


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One thing that was looked for and found.

    name: a key of MENDS, or another where nothing can be done by a tick. n: rows. sentence: for the user. examples: up
    to five, with file and line. can_mend: whether `name` is a mend. is_mended: whether the plan has it.
    """

    name: str
    n: int
    sentence: str
    examples: tuple[str, ...]
    can_mend: bool
    is_mended: bool


@dataclass(frozen=True, kw_only=True)
class Checks:
    """What an import would make.

    n_read: rows of the source. splits: split → rows that it would have. given: the splits that the source has itself.
    findings: in the order of MENDS. labels: label → rows, the most frequent first (of the tasks that have labels).
    n_tokens: of all texts, None without a tokenizer. sentence: all of it in one line, as "5,865 rows, 30 % spam, …".
    """

    n_read: int
    splits: Mapping[str, int]
    given: tuple[str, ...]
    findings: tuple[Finding, ...]
    labels: Mapping[str, int]
    n_tokens: int | None
    sentence: str


def check_events(library: Library, plan: ImportPlan) -> Generator[Event, None, Checks]:
    """Read all rows of a source as its plan says, and find what is wrong with them. Nothing is stored.

    Yields Phase and Progress (bytes).

    Raises:
        ValueError: where the plan cannot be carried out, or a file is damaged: with file and line.
    """
    plan.check()
    yield Phase(name="Checking the rows")
    raise ValueError("Checks are not there yet.")
