"""The user's progress in the guide: guide.json in the library, read once and written after each change."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from terrarium.models.files.atomic import atomic_write_json, read_json

FILE_NAME = "guide.json"


@dataclass(frozen=True, kw_only=True)
class ChapterProgress:
    """step: the index of the step to show. results: step → its line of the result card, for completed steps.

    guesses: step → the option that the user predicted. measured: step → the figure that decides its prediction.
    is_done: whether the user has finished the chapter.
    """

    step: int = 0
    results: Mapping[str, str] = field(default_factory=dict)
    guesses: Mapping[str, int] = field(default_factory=dict)
    measured: Mapping[str, float] = field(default_factory=dict)
    is_done: bool = False


@dataclass(frozen=True, kw_only=True)
class Progress:
    """All saved progress. chapters: by file name. missions: the names of completed missions."""

    chapters: Mapping[str, ChapterProgress] = field(default_factory=dict)
    missions: frozenset[str] = frozenset()

    def of(self, chapter: str) -> ChapterProgress:
        """Return the progress in a chapter."""
        return self.chapters.get(chapter, ChapterProgress())

    def with_chapter(self, name: str, **changes: Any) -> Progress:
        """Return a copy with changes to the progress in a chapter."""
        changed = dataclasses.replace(self.of(name), **changes)
        return dataclasses.replace(self, chapters={**self.chapters, name: changed})

    def with_mission(self, name: str) -> Progress:
        """Return a copy with another completed mission."""
        return dataclasses.replace(self, missions=self.missions | {name})


def read_progress(home: Path) -> Progress:
    """Read the progress from a library.

    Raises:
        ValueError: the file is damaged.
    """
    path = home / FILE_NAME
    if not path.exists():
        return Progress()
    record = read_json(path)
    try:
        chapters = {str(name): _read_chapter(each) for name, each in record["chapters"].items()}
        return Progress(chapters=chapters, missions=frozenset(str(name) for name in record["missions"]))
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise ValueError(
            f"{path} is damaged. Delete it to begin the guide anew; until then no progress is kept."
        ) from error


def write_progress(home: Path, progress: Progress) -> None:
    """Save the progress in a library; raises OSError if that fails."""
    record = {
        "chapters": {name: _write_chapter(each) for name, each in progress.chapters.items()},
        "missions": sorted(progress.missions),
    }
    home.mkdir(parents=True, exist_ok=True)
    atomic_write_json(home / FILE_NAME, record)


def _write_chapter(progress: ChapterProgress) -> dict[str, Any]:
    record = dataclasses.asdict(progress)
    return {"bets" if name == "guesses" else name: value for name, value in record.items()}


def _read_chapter(record: Any) -> ChapterProgress:
    return ChapterProgress(
        step=max(0, int(record["step"])),
        results={str(step): str(line) for step, line in record["results"].items()},
        guesses={str(step): int(option) for step, option in record["bets"].items()},
        measured={str(step): float(value) for step, value in record.get("measured", {}).items()},
        is_done=bool(record["is_done"]),
    )
