"""What the window remembers between launches: one JSON file in the library's home."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from app.worker.notices import Notices
from models.files.atomic import atomic_write_json, read_json

FILE_NAME = "settings.json"


class Remembered:
    """Named JSON values, written as they change; failures are reported as notices.

    problem: a sentence if the file is damaged; it is then left alone.
    """

    def __init__(self, home: Path, notices: Notices) -> None:
        self._path, self._notices = home / FILE_NAME, notices
        self._values: dict[str, Any] = {}
        self.problem: str | None = None
        if self._path.exists():
            try:
                self._values = read_json(self._path)
            except ValueError as error:
                self.problem = f"{error} Delete it to start with fresh settings; until then no settings are saved."

    def get(self, key: str, default: Any) -> Any:
        """The value of `key`, or the default if there is no value of the default's type."""
        value = self._values.get(key, default)
        return value if default is None or isinstance(value, type(default)) else default

    def set(self, key: str, value: Any) -> None:
        """Keep a JSON-able value for the next launch."""
        if self._values.get(key) == value:
            return
        self._values[key] = value
        if self.problem is None:
            self._notices.attempt(lambda: atomic_write_json(self._path, self._values))
