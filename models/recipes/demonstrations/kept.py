"""What a demonstration keeps in the folder demonstrations/ of its base: measurements and replies, so that the next
start need not repeat them, and how far one came that was stopped. No torch import.
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
    """How far a demonstration came that was stopped. base: the run that its stages start from, which was trained on
    where the given one is weak. phase: what it was doing, done of total of that; stages: titles of those that are
    trained."""

    mark: DemonstrationMark
    base: str
    phase: str
    done: int = 0
    total: int = 0
    stages: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Kept:
    """Where a demonstration keeps what it measures. folder: of its base, None where that is no run of the library.

    about: what the measurements depend on beside what they are called, such as the checkpoint and the seed.
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
        """The result of `make`, read from the file where it was made before. Yields its events.

        Args:
            name: of a file. to_data, from_data: to JSON, and back.
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
    """What is plain data already, for `Kept.once`."""
    return data


def write_halted(base: Path, halted: Halted) -> None:
    """Keep how far a demonstration came, in the folder of its base."""
    path = _halted_path(base, halted.mark.name)
    path.parent.mkdir(exist_ok=True)
    atomic_write_json(path, dataclasses.asdict(halted))


def forget_halted(base: Path, name: str) -> None:
    """Delete what `write_halted` has kept: the demonstration continues, or has come to its end."""
    _halted_path(base, name).unlink(missing_ok=True)


def list_halted(base: Path) -> Iterator[Halted]:
    """Of the demonstrations on the run in this folder, how far those came that were stopped; what is damaged is left
    out."""
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
