"""The run that a view shows."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from terrarium.app.session.run_history import RunHistory
from terrarium.models.settings.run_spec import RunSpec


@dataclass(frozen=True, kw_only=True, eq=False)
class ShownRun:
    """The run that all views show; each time a run is shown, a new one is made. `history` grows while the run is live.

    `id` is "" and `folder` None while the run is being prepared; `spec` is None if it cannot be read.
    """

    id: str
    name: str
    folder: Path | None
    spec: RunSpec | None
    history: RunHistory
