"""The notebook on disk: its text in segments, each either the user's text or one token of a model, and its keeper."""

from __future__ import annotations

import contextlib
import itertools
import json
import logging
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from PySide6.QtCore import QCoreApplication, QObject, QTimer, Signal, Slot

from terrarium.app.worker.background import LatestTask
from terrarium.app.worker.failures import Failure, describe
from terrarium.models.files.atomic import atomic_write_text, file_stamp, make_private, read_json
from terrarium.models.library.library import Library

FORMAT = 1
log = logging.getLogger(__name__)
_SAVE_MS = 1000


class WrittenToken(NamedTuple):
    """A token that a model wrote, as in `models.events.TokenMade`; rank 0 if its values are unknown."""

    id: int
    probability: float = 0.0
    entropy: float = 0.0
    rank: int = 0


class Segment(NamedTuple):
    """A segment of the text. `token`: the model's token; None for the user's text."""

    text: str
    token: WrittenToken | None = None


def open_notebook(library: Library) -> tuple[Path, list[Segment]]:
    """Return the notebook's path and contents. An unreadable file is left unchanged, and the next path is used."""
    for path in _paths(library):
        with contextlib.suppress(ValueError):
            return path, read_notebook(make_private(path))
    raise AssertionError("there is always another path")


def free_path(library: Library) -> Path:
    """Return the first path without a notebook."""
    return next(path for path in _paths(library) if not path.exists())


def _paths(library: Library) -> Iterator[Path]:
    yield library.home / "notebook.json"
    for number in itertools.count(2):
        yield library.home / f"notebook-{number}.json"


def read_notebook(path: Path) -> list[Segment]:
    """Read the notebook from a file; empty if the file is missing.

    Raises:
        ValueError: if it is damaged, or from a newer Terrarium.
    """
    if not path.exists():
        return []
    data = read_json(path)
    if data.get("format") != FORMAT:
        raise ValueError(f"{path} was written by a newer Terrarium: open it with that one.")
    try:
        return [_segment(item) for item in data["pieces"]]
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{path} is damaged: {error!s:.80} is missing or wrong.") from error


def write_notebook(path: Path, segments: Sequence[Segment]) -> None:
    """Write the notebook; raise OSError if it cannot be written."""
    lines = ",\n".join(
        "  " + json.dumps([segment.text, *(segment.token or ())], ensure_ascii=False) for segment in segments
    )
    atomic_write_text(path, f'{{\n "format": {FORMAT},\n "pieces": [\n{lines}\n ]\n}}\n', private=True)


def _segment(item: Any) -> Segment:
    text, *token = item
    if not isinstance(text, str):
        raise TypeError(f"the text {text!r:.40}")
    return Segment(
        text, WrittenToken(int(token[0]), float(token[1]), float(token[2]), int(token[3])) if token else None
    )


class NotebookKeeper(QObject):
    """Calls `segments` for the text a second after a change, and when the program ends, and saves it.

    Attributes:
        found: the notebook as it was saved; empty if missing.

    Signals:
        problem(sentence): it could not be saved, or it is now saved under another name.
    """

    problem = Signal(str)

    def __init__(self, library: Library, segments: Callable[[], Sequence[Segment]], parent: QObject) -> None:
        super().__init__(parent)
        self._library = library
        self._path, self.found = open_notebook(library)
        self._stamp = file_stamp(self._path)
        self._segments = segments
        self._is_new = False  # whether there are unsaved changes
        self._saving = LatestTask(self)
        self.soon = QTimer(self, singleShot=True, interval=_SAVE_MS)
        self.soon.timeout.connect(self._save)
        self._saving.done.connect(self._on_saved)
        self._saving.failed.connect(self._on_failed)
        app = QCoreApplication.instance()
        if app is not None:
            app.aboutToQuit.connect(self.flush)

    def keep(self) -> None:
        """Schedule a save after a change of the text."""
        self._is_new = True
        if not self.soon.isActive():
            self.soon.start()

    @Slot()
    def flush(self) -> None:
        """Save the text now, if it has changed."""
        if not self._is_new:
            return
        self.soon.stop()
        self._saving.cancel()
        self._saving.wait()  # otherwise an older state could overwrite this one
        try:
            self._write(self._segments())
            self._is_new = False
        except OSError as error:
            log.warning("The notebook was not saved: %s", describe(error).details)

    @Slot()
    def _save(self) -> None:
        segments = self._segments()
        self._saving.ask(lambda: self._write(segments))

    def _write(self, segments: Sequence[Segment]) -> Path:
        """Write the notebook, but never over another window's changes; return the previous path. Call it in one thread
        at a time.
        """
        before = self._path
        if file_stamp(before) != self._stamp:
            self._path = free_path(self._library)
        write_notebook(self._path, segments)
        self._stamp = file_stamp(self._path)
        return before

    @Slot(object)
    def _on_saved(self, before: Path) -> None:
        self._is_new = self.soon.isActive()
        if before != self._path:
            self.problem.emit(
                f"Another window has changed {before}: this notebook is now saved in {self._path.name} beside it."
            )

    @Slot(object)
    def _on_failed(self, failure: Failure) -> None:
        self.problem.emit(f"The notebook was not saved. {failure.sentence}")
