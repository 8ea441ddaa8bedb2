"""An import, carried out: rows of strangers' files become a dataset of the library."""

from __future__ import annotations

from collections.abc import Generator

from models.data.corpus import Corpus
from models.data.importing.checks import Checks
from models.data.importing.plan import ImportPlan
from models.events import Event, Phase
from models.library.library import Library


def import_events(library: Library, plan: ImportPlan, checks: Checks | None = None) -> Generator[Event, None, Corpus]:
    """Make a dataset of a source as its plan says. If this is closed or fails, nothing of it stays.

    Yields Phase and Progress (bytes). checks: those of this plan (its mends, split, seed and name may have changed
    since), so that they need not be made again.

    Raises:
        ValueError: as `check_events`; where its name is taken, or a split would be empty.
    """
    plan.check()
    yield Phase(name="Importing the rows")
    raise ValueError("Importing is not there yet.")
