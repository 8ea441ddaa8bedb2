"""The training queue: a list of runs and recipes on disk that the window and commands can change. No torch import."""

from __future__ import annotations

import contextlib
import dataclasses
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from filelock import FileLock, Timeout

from terrarium.models.files.atomic import DamagedError, atomic_write_json, read_json
from terrarium.models.library.library import Library
from terrarium.models.settings.run_spec import RunSpec

FORMAT = 2
_READABLE = (1, FORMAT)
"""The readable formats; format 1 had no recipes."""


@dataclass(frozen=True, kw_only=True)
class RecipeSpec:
    """A recipe as plain data (JSON): its kind, a key of models.recipes.recipes.RECIPES, and its arguments."""

    kind: str
    arguments: Mapping[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The name of the recipe within its kind, "" if there is only one of that kind."""
        return str(self.arguments.get("name", ""))


@dataclass(frozen=True, kw_only=True)
class QueuedRun:
    """An item of the queue: a new run of `spec`, the run with id `run` to resume, or a recipe.

    `tags`: of the new run. `problem`: why the item could not start; it is skipped until it is retried.
    """

    id: str
    name: str
    spec: RunSpec | None = None
    run: str = ""
    recipe: RecipeSpec | None = None
    tags: tuple[str, ...] = ()
    problem: str = ""


class QueueBusyError(ValueError):
    """Another process holds the queue's lock for too long."""


class RunQueue:
    """The queue of a library, in queue.json. Each change reads the file and writes it atomically, under a lock.

    Changes raise QueueBusyError if another process holds the lock for too long.
    """

    def __init__(self, library: Library, lock_timeout_s: float = 10.0) -> None:
        """lock_timeout_s: seconds that a change waits for the lock, which other processes hold for milliseconds."""
        self._lock_timeout_s = lock_timeout_s
        self._path = library.home / "queue.json"
        self._lock = library.home / "queue.lock"
        self._drain = FileLock(library.home / "queue-runs.lock", thread_local=False)
        self._read: tuple[tuple[int, int, int], tuple[QueuedRun, ...]] | None = None

    def items(self) -> list[QueuedRun]:
        """Return all items, the next one first; cheap if the file has not changed since the last call.

        Raises:
            ValueError: if the file is damaged, naming it; it is not changed.
        """
        try:
            there = self._path.stat()
        except FileNotFoundError:
            return []
        stamp = there.st_mtime_ns, there.st_size, there.st_ino
        read = self._read  # read once: another thread may change the queue and clear it
        if read is None or read[0] != stamp:
            read = self._read = stamp, tuple(self._parse())
        return list(read[1])

    def _parse(self) -> list[QueuedRun]:
        data = read_json(self._path)
        if data.get("format") not in _READABLE or not isinstance(data.get("items"), list):
            raise DamagedError(f"{self._path} is damaged, or from a newer Terrarium: delete it to start a new queue.")
        return [self._item(item) for item in data["items"]]

    def add_new(self, specs: Sequence[RunSpec], tags: Sequence[str] = ()) -> list[QueuedRun]:
        """Append new runs."""
        added = [QueuedRun(id=uuid.uuid4().hex[:12], name=spec.name, spec=spec, tags=tuple(tags)) for spec in specs]
        with self._changing() as items:
            items.extend(added)
        return added

    def add_run(self, run_id: str, name: str) -> QueuedRun:
        """Append an existing run, to resume from its last checkpoint.

        Raises:
            ValueError: if the run is already in the queue.
        """
        with self._changing() as items:
            if any(item.run == run_id for item in items):
                raise ValueError(f"The run {name!r} is in the queue already.")
            added = QueuedRun(id=uuid.uuid4().hex[:12], name=name, run=run_id)
            items.append(added)
        return added

    def add_recipe(self, recipe: RecipeSpec, name: str) -> QueuedRun:
        """Append a recipe, to run from its beginning."""
        added = QueuedRun(id=uuid.uuid4().hex[:12], name=name, recipe=recipe)
        with self._changing() as items:
            items.append(added)
        return added

    def move(self, item_id: str, to: int) -> None:
        """Move an item to index `to`, counted without the item itself."""
        with self._changing() as items:
            item = _find(items, item_id)
            items.remove(item)
            items.insert(max(0, min(to, len(items))), item)

    def remove(self, item_id: str) -> QueuedRun:
        """Remove and return an item; ValueError if it is no longer in the queue."""
        with self._changing() as items:
            item = _find(items, item_id)
            items.remove(item)
        return item

    def put_back(self, item: QueuedRun, at: int) -> None:
        """Undo `remove`."""
        with self._changing() as items:
            items.insert(min(at, len(items)), item)

    def set_problem(self, item_id: str, problem: str) -> None:
        """Record why an item could not start; "" clears the problem, so that the item is retried."""
        with self._changing() as items:
            item = _find(items, item_id)
            items[items.index(item)] = dataclasses.replace(item, problem=problem)

    def retry_all(self) -> None:
        """Retry all items that could not start."""
        if any(item.problem for item in self.items()):
            with self._changing() as items:
                items[:] = [dataclasses.replace(item, problem="") for item in items]

    def next(self) -> QueuedRun | None:
        """Return the first item that can start, None if none can."""
        return next((item for item in self.items() if not item.problem), None)

    @contextlib.contextmanager
    def draining(self) -> Iterator[None]:
        """Hold the right to start items of the queue: meanwhile no other process starts any.

        Raises:
            ValueError: if another window or command is working through the queue.
        """
        self.begin_draining()
        try:
            yield
        finally:
            self.end_draining()

    def begin_draining(self) -> None:
        """Like `draining`, until `end_draining` is called; does nothing if this object already drains the queue."""
        if self._drain.is_locked:
            return
        self._path.parent.mkdir(parents=True, exist_ok=True)
        try:
            self._drain.acquire(timeout=0.05, poll_interval=0.01)
        except Timeout:
            raise ValueError(
                "Another window or command is working through the queue: wait for it, or stop it there."
            ) from None

    def end_draining(self) -> None:
        """Let other processes work through the queue."""
        self._drain.release(force=True)

    @contextlib.contextmanager
    def _changing(self) -> Iterator[list[QueuedRun]]:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(self._lock)  # a new object per change: a shared one would admit two threads at the same time
        try:
            lock.acquire(timeout=self._lock_timeout_s, poll_interval=0.01)
        except Timeout:
            raise QueueBusyError(
                "Another window or command has been changing the queue for a while: try again, or end that program."
            ) from None
        try:
            self._read = None  # two quick changes may result in the same stamp
            items = self.items()
            yield items
            atomic_write_json(self._path, {"format": FORMAT, "items": [_as_dict(item) for item in items]})
        finally:
            lock.release()

    def _item(self, data: Any) -> QueuedRun:
        try:
            spec, recipe = data["spec"], data.get("recipe")
            return QueuedRun(
                id=str(data["id"]),
                name=str(data["name"]),
                spec=None if spec is None else RunSpec.from_dict(spec, where=f"{self._path}: {data['name']}"),
                run=str(data["run"]),
                recipe=None
                if recipe is None
                else RecipeSpec(kind=str(recipe["kind"]), arguments={**recipe["arguments"]}),
                tags=tuple(str(tag) for tag in data["tags"]),
                problem=str(data["problem"]),
            )
        except (KeyError, TypeError) as error:
            raise DamagedError(
                f"{self._path} is damaged: an item is incomplete. Delete it to start a new queue."
            ) from error


def _as_dict(item: QueuedRun) -> dict[str, Any]:
    return {**dataclasses.asdict(item), "spec": None if item.spec is None else item.spec.to_dict()}


def _find(items: Sequence[QueuedRun], item_id: str) -> QueuedRun:
    found = next((item for item in items if item.id == item_id), None)
    if found is None:
        raise ValueError("This is no longer in the queue: it has started, or was removed.")
    return found
