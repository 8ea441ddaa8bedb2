"""What a demonstration saves in the folder demonstrations/ of its base: measurements and replies, so that the next
start need not repeat them, and the progress of a stopped demonstration. No torch import.
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Generator, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from terrarium.models.events import Event
from terrarium.models.files.atomic import atomic_write_json, read_json
from terrarium.models.recipes.demonstrations.demonstrated import DemonstrationMark, mark_of

T = TypeVar("T")

_FOLDER = "demonstrations"


@dataclass(frozen=True, kw_only=True)
class Halted:
    """The progress of a stopped demonstration.

    base: the run that its stages start from, which is trained further if the given one is weak. phase: its current
    phase, with done of total. stages: the titles of those that are trained.
    """

    mark: DemonstrationMark
    base: str
    phase: str
    done: int = 0
    total: int = 0
    stages: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Kept:
    """The cache of a demonstration's measurements. folder: of its base, None if that is not a run of the library.

    about: what the measurements depend on besides their name, such as the checkpoint and the seed.
    """

    folder: Path | None
    about: Mapping[str, Any] = field(default_factory=dict)

    def once(
        self,
        name: str,
        make: Callable[[], Generator[Event, None, T]],
        to_data: Callable[[T], Any],
        from_data: Callable[[Any], T],
    ) -> Generator[Event, None, T]:
        """Return the result of `make`, read from its file if it was made before. Yields its events.

        Args:
            name: of the file.
            to_data, from_data: convert to JSON, and back.
        """
        path = None if self.folder is None else self.folder / _FOLDER / f"{name}.json"
        if path is not None:
            with contextlib.suppress(OSError, ValueError, KeyError, TypeError, AttributeError):  # else it is made again
                kept = read_json(path)
                if kept["about"] == self.about:
                    return from_data(kept["found"])
        found = yield from make()
        if path is not None:
            path.parent.mkdir(exist_ok=True)
            atomic_write_json(path, {"about": dict(self.about), "found": to_data(found)})
        return found


def as_it_is(data: T) -> T:
    """Return plain data unchanged, for `Kept.once`."""
    return data


def write_halted(base: Path, halted: Halted) -> None:
    """Save the progress of a stopped demonstration in the folder of its base."""
    path = _halted_path(base, halted.mark.name)
    path.parent.mkdir(exist_ok=True)
    atomic_write_json(path, dataclasses.asdict(halted))


def forget_halted(base: Path, name: str) -> None:
    """Delete what `write_halted` has saved: the demonstration continues, or has finished."""
    _halted_path(base, name).unlink(missing_ok=True)


def list_halted(base: Path) -> Iterator[Halted]:
    """Yield the stopped demonstrations on the run in this folder; damaged files are skipped."""
    for path in sorted((base / _FOLDER).glob("stopped-*.json")):
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
            data = read_json(path)
            yield Halted(
                mark=mark_of(data["mark"]),
                base=str(data["base"]),
                phase=str(data["phase"]),
                done=int(data["done"]),
                total=int(data["total"]),
                stages=tuple(map(str, data["stages"])),
            )


def _halted_path(base: Path, name: str) -> Path:
    return base / _FOLDER / f"stopped-{name}.json"
