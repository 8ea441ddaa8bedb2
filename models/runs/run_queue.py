"""What waits to be trained: a list on disk, which the window and the command line both may change. No torch import."""

from __future__ import annotations

import contextlib
import dataclasses
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from filelock import FileLock, Timeout

from models.files.atomic import DamagedError, atomic_write_json, read_json
from models.library.library import Library
from models.settings.run_spec import RunSpec

FORMAT = 1


@dataclass(frozen=True, kw_only=True)
class Waiting:
    """One training that waits: a new run of `spec`, or going on with the run whose id is `run`.

    `tags` are given to a new run. `problem` says why it could not begin; it is passed over until it is tried again.
    """

    id: str
    name: str
    spec: RunSpec | None = None
    run: str = ""
    tags: tuple[str, ...] = ()
    problem: str = ""


class RunQueue:
    """The queue of a library, in queue.json. Every change is read from and written to the file at once."""

    def __init__(self, library: Library) -> None:
        self._path = library.home / "queue.json"
        self._lock = library.home / "queue.lock"
        self._drain = FileLock(library.home / "queue-runs.lock", thread_local=False)
        self._read: tuple[tuple[int, int, int], tuple[Waiting, ...]] | None = None

    def items(self) -> list[Waiting]:
        """What waits, the next one first; costs next to nothing where the file is as it was at the last call.

        Raises:
            ValueError: where the file is damaged, naming it; it is left alone.
        """
        try:
            there = self._path.stat()
        except FileNotFoundError:
            return []
        stamp = there.st_mtime_ns, there.st_size, there.st_ino
        read = self._read  # once: another thread may change the queue, and forget it
        if read is None or read[0] != stamp:
            read = self._read = stamp, tuple(self._parse())
        return list(read[1])

    def _parse(self) -> list[Waiting]:
        data = read_json(self._path)
        if data.get("format") != FORMAT or not isinstance(data.get("items"), list):
            raise DamagedError(f"{self._path} is damaged, or from a newer Terrarium: delete it to begin a new queue.")
        return [self._item(item) for item in data["items"]]

    def add_new(self, specs: Sequence[RunSpec], tags: Sequence[str] = ()) -> list[Waiting]:
        """Let new runs wait at the end."""
        added = [Waiting(id=uuid.uuid4().hex[:12], name=spec.name, spec=spec, tags=tuple(tags)) for spec in specs]
        with self._changing() as items:
            items.extend(added)
        return added

    def add_run(self, run_id: str, name: str) -> Waiting:
        """Let a run that exists wait at the end, to go on from its last checkpoint.

        Raises:
            ValueError: where it waits already.
        """
        with self._changing() as items:
            if any(item.run == run_id for item in items):
                raise ValueError(f"The run {name!r} waits already.")
            added = Waiting(id=uuid.uuid4().hex[:12], name=name, run=run_id)
            items.append(added)
        return added

    def move(self, item_id: str, to: int) -> None:
        """Put an item at place `to`, counted from 0 in the list without it."""
        with self._changing() as items:
            item = _find(items, item_id)
            items.remove(item)
            items.insert(max(0, min(to, len(items))), item)

    def remove(self, item_id: str) -> Waiting:
        """Take an item out, and return it; ValueError where it is gone."""
        with self._changing() as items:
            item = _find(items, item_id)
            items.remove(item)
        return item

    def put_back(self, item: Waiting, at: int) -> None:
        """Undo `remove`."""
        with self._changing() as items:
            items.insert(min(at, len(items)), item)

    def set_problem(self, item_id: str, problem: str) -> None:
        """Say why an item could not begin; "" lets it be tried again."""
        with self._changing() as items:
            item = _find(items, item_id)
            items[items.index(item)] = dataclasses.replace(item, problem=problem)

    def try_all_again(self) -> None:
        """Let all that could not begin be tried again."""
        if any(item.problem for item in self.items()):
            with self._changing() as items:
                items[:] = [dataclasses.replace(item, problem="") for item in items]

    def next(self) -> Waiting | None:
        """What is to begin next, None where nothing can."""
        return next((item for item in self.items() if not item.problem), None)

    @contextlib.contextmanager
    def draining(self) -> Iterator[None]:
        """While this is held, nobody else begins what waits.

        Raises:
            ValueError: where another window or command is at it.
        """
        self.begin_draining()
        try:
            yield
        finally:
            self.end_draining()

    def begin_draining(self) -> None:
        """As `draining`, until `end_draining`; nothing happens where this very object holds it already."""
        if self._drain.is_locked:
            return
        self._path.parent.mkdir(parents=True, exist_ok=True)
        try:
            self._drain.acquire(timeout=0.05, poll_interval=0.01)
        except Timeout:
            raise ValueError(
                "Another window or command is working through the queue already: wait for it, or stop it there."
            ) from None

    def end_draining(self) -> None:
        """Let others begin what waits."""
        self._drain.release(force=True)

    @contextlib.contextmanager
    def _changing(self) -> Iterator[list[Waiting]]:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(self._lock):  # a lock object of its own: shared, it would let two threads in at once
            self._read = None  # of two changes at one moment, the second may look like the first
            items = self.items()
            yield items
            atomic_write_json(self._path, {"format": FORMAT, "items": [_as_dict(item) for item in items]})

    def _item(self, data: Any) -> Waiting:
        try:
            spec = data["spec"]
            return Waiting(
                id=str(data["id"]),
                name=str(data["name"]),
                spec=None if spec is None else RunSpec.from_dict(spec, where=f"{self._path}: {data['name']}"),
                run=str(data["run"]),
                tags=tuple(str(tag) for tag in data["tags"]),
                problem=str(data["problem"]),
            )
        except (KeyError, TypeError) as error:
            raise DamagedError(
                f"{self._path} is damaged: an item is not whole. Delete it to begin a new queue."
            ) from error


def _as_dict(item: Waiting) -> dict[str, Any]:
    return {**dataclasses.asdict(item), "spec": None if item.spec is None else item.spec.to_dict()}


def _find(items: Sequence[Waiting], item_id: str) -> Waiting:
    found = next((item for item in items if item.id == item_id), None)
    if found is None:
        raise ValueError("This is not in the queue any more: it has begun, or was taken out.")
    return found
