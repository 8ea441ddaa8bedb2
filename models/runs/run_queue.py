"""The training queue: runs and recipes, in a list on disk that the window and commands can change. No torch import."""

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
"""Version 1 had no recipes."""


@dataclass(frozen=True, kw_only=True)
class RecipeSpec:
    """A recipe as plain data (JSON): its kind, a key of models.recipes.recipes.RECIPES, and its arguments."""

    kind: str
    arguments: Mapping[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """Which recipe of its kind it is, "" where there is only one."""
        return str(self.arguments.get("name", ""))


@dataclass(frozen=True, kw_only=True)
class QueuedRun:
    """One item of the queue: a new run of `spec`, the run with id `run`, to be resumed, or a recipe.

    `tags` are given to a new run. `problem` says why it could not start; it is skipped until it is retried.
    """

    id: str
    name: str
    spec: RunSpec | None = None
    run: str = ""
    recipe: RecipeSpec | None = None
    tags: tuple[str, ...] = ()
    problem: str = ""


class QueueBusyError(ValueError):
    """Another process keeps the queue locked."""


class RunQueue:
    """The queue of a library, in queue.json. Every change is read from and written to the file at once.

    A change raises QueueBusyError where another process keeps the queue locked.
    """

    def __init__(self, library: Library, lock_timeout_s: float = 10.0) -> None:
        """lock_timeout_s: seconds that a change waits for one by another process, which takes milliseconds."""
        self._lock_timeout_s = lock_timeout_s
        self._path = library.home / "queue.json"
        self._lock = library.home / "queue.lock"
        self._drain = FileLock(library.home / "queue-runs.lock", thread_local=False)
        self._read: tuple[tuple[int, int, int], tuple[QueuedRun, ...]] | None = None

    def items(self) -> list[QueuedRun]:
        """All items, the next one first; cheap where the file has not changed since the last call.

        Raises:
            ValueError: where the file is damaged, naming it; it is left alone.
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
        """Append an existing run, to be resumed from its last checkpoint.

        Raises:
            ValueError: where it is in the queue already.
        """
        with self._changing() as items:
            if any(item.run == run_id for item in items):
                raise ValueError(f"The run {name!r} is in the queue already.")
            added = QueuedRun(id=uuid.uuid4().hex[:12], name=name, run=run_id)
            items.append(added)
        return added

    def add_recipe(self, recipe: RecipeSpec, name: str) -> QueuedRun:
        """Append a recipe, to be carried out from its beginning."""
        added = QueuedRun(id=uuid.uuid4().hex[:12], name=name, recipe=recipe)
        with self._changing() as items:
            items.append(added)
        return added

    def move(self, item_id: str, to: int) -> None:
        """Move an item to index `to` of the list without it."""
        with self._changing() as items:
            item = _find(items, item_id)
            items.remove(item)
            items.insert(max(0, min(to, len(items))), item)

    def remove(self, item_id: str) -> QueuedRun:
        """Remove and return an item; ValueError where it is gone."""
        with self._changing() as items:
            item = _find(items, item_id)
            items.remove(item)
        return item

    def put_back(self, item: QueuedRun, at: int) -> None:
        """Undo `remove`."""
        with self._changing() as items:
            items.insert(min(at, len(items)), item)

    def set_problem(self, item_id: str, problem: str) -> None:
        """Record why an item could not start; "" clears that, so that it is retried."""
        with self._changing() as items:
            item = _find(items, item_id)
            items[items.index(item)] = dataclasses.replace(item, problem=problem)

    def retry_all(self) -> None:
        """Retry all items that could not start."""
        if any(item.problem for item in self.items()):
            with self._changing() as items:
                items[:] = [dataclasses.replace(item, problem="") for item in items]

    def next(self) -> QueuedRun | None:
        """The first item that can start, None where none can."""
        return next((item for item in self.items() if not item.problem), None)

    @contextlib.contextmanager
    def draining(self) -> Iterator[None]:
        """While this is held, no other process starts items of the queue.

        Raises:
            ValueError: where another window or command holds it.
        """
        self.begin_draining()
        try:
            yield
        finally:
            self.end_draining()

    def begin_draining(self) -> None:
        """As `draining`, until `end_draining`; does nothing where this object holds it already."""
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
        lock = FileLock(self._lock)  # a new one each time: a shared one would let two threads in at once
        try:
            lock.acquire(timeout=self._lock_timeout_s, poll_interval=0.01)
        except Timeout:
            raise QueueBusyError(
                "Another window or command has been changing the queue for a while: try again, or end that program."
            ) from None
        try:
            self._read = None  # two quick changes may leave the same stamp
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
