"""Of progress that comes faster than it can be drawn, what is worth drawing."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise

from models.events import Event, Progress


def latest_progress(events: Iterable[Event]) -> list[Event]:
    """The events in order, without each Progress that another one follows at once: only the last of a row is seen."""
    return [
        event
        for event, following in pairwise((*events, None))
        if event is not None and not (isinstance(event, Progress) and isinstance(following, Progress))
    ]
