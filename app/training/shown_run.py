"""The run that a view shows."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from app.session.run_history import RunHistory
from models.settings.run_spec import RunSpec


@dataclass(frozen=True, kw_only=True, eq=False)
class ShownRun:
    """A run as views get it. `history` grows while the run is live; another one replaces this where the run is another.

    `id` is "" and `folder` None for a run that is only being prepared; `spec` is None where it cannot be read.
    """

    id: str
    name: str
    folder: Path | None
    spec: RunSpec | None
    history: RunHistory
