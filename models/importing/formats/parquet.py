"""Parquet, read by duckdb with one thread, little memory and only its built-in extensions.

Rows are converted to Python one by one: a thousand that share one text in a dictionary would be a thousand copies of
it.
"""

from __future__ import annotations

import datetime
import decimal
import json
import shutil
import tempfile
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from terrarium.models.importing.formats.files import FormatError, GrowthMeter, Meter, SourceFile
from terrarium.models.importing.formats.rows import ReadOptions, Row, flatten

if TYPE_CHECKING:
    import duckdb

_N_ROWS = 1000
"""Rows between two updates of the meter."""
_MEMORY = "256MB"
_GLOB = frozenset("*?[]{}")


def read_parquet(file: SourceFile, options: ReadOptions, meter: Meter | None = None) -> Iterator[tuple[int, Row]]:
    """Read the rows of a file with their numbers; labels that Hugging Face stores as numbers become their names.

    Raises:
        FormatError: if it is damaged.
    """
    import duckdb  # imported here, as it takes a tenth of a second

    with tempfile.TemporaryDirectory(prefix="terrarium-", ignore_cleanup_errors=True) as temporary:
        path = _on_disk(file, Path(temporary))
        try:
            with _connect(Path(temporary)) as connection:
                names = _class_names(connection, path)
                (total,) = connection.execute(
                    "SELECT sum(num_rows) FROM parquet_file_metadata(?)", [str(path)]
                ).fetchall()[0]
                cursor = connection.execute("SELECT * FROM read_parquet(?)", [str(path)])
                columns = [(column[0], names.get(column[0], ())) for column in cursor.description or ()]
                number, done, growth = 0, 0, GrowthMeter(file, file.size)
                while (cells := cursor.fetchone()) is not None:
                    number += 1
                    growth.add(sum([len(cell) if type(cell) is str else _n_characters(cell) for cell in cells]), number)
                    row = {
                        name: name_labels(_plain(cell), labels)
                        for (name, labels), cell in zip(columns, cells, strict=True)
                    }
                    try:
                        yield number, flatten(row)
                    except ValueError as error:
                        raise FormatError(file.name, number, str(error)) from error
                    if meter is not None and (number % _N_ROWS == 0 or number == total):
                        share = round(file.size * number / max(total, 1))
                        meter.done += share - done
                        done = share
        except duckdb.Error as error:
            what = str(error).splitlines()[0].replace(str(path), "it")
            raise FormatError(file.name, 0, f"it is no Parquet file, or damaged ({what}): save it again.") from error


def name_labels(value: Any, names: tuple[str, ...]) -> Any:
    """Replace a number, or each in a list, by its name in `names`; None for a number without a name (−1)."""
    if not names:
        return value
    if isinstance(value, list):
        return [name_labels(item, names) for item in value]
    if isinstance(value, str) and value.isdecimal():
        value = int(value)
    if isinstance(value, int) and not isinstance(value, bool):
        return names[value] if 0 <= value < len(names) else None
    return value


def class_names(features: Mapping[str, Any]) -> dict[str, tuple[str, ...]]:
    """Return column → label names, from the features that Hugging Face writes into its Parquet files."""
    found = {}
    for name, feature in features.items():
        while isinstance(feature, dict) and isinstance(feature.get("feature"), dict):
            feature = feature["feature"]
        names = feature.get("names") if isinstance(feature, dict) else None
        if isinstance(names, list) and all(isinstance(label, str) for label in names):
            found[name] = tuple(names)
    return found


def _connect(temporary: Path) -> duckdb.DuckDBPyConnection:
    import duckdb

    return duckdb.connect(
        ":memory:",
        config={
            "threads": 1,
            "memory_limit": _MEMORY,
            "temp_directory": str(temporary / "duckdb"),
            "autoinstall_known_extensions": False,
            "autoload_known_extensions": False,
            "allow_community_extensions": False,
        },
    )


def _on_disk(file: SourceFile, temporary: Path) -> Path:
    """Return the file, or a copy if it is packed or its path has characters that duckdb would treat as a pattern."""
    if not file.is_packed and _GLOB.isdisjoint(str(file.path)):
        return file.path
    copy = temporary / f"{uuid.uuid4().hex}.parquet"
    with file.open() as source, copy.open("wb") as target:
        shutil.copyfileobj(source, target, 1 << 20)
    return copy


def _class_names(connection: duckdb.DuckDBPyConnection, path: Path) -> dict[str, tuple[str, ...]]:
    found = connection.execute("SELECT value FROM parquet_kv_metadata(?) WHERE key = 'huggingface'", [str(path)])
    for (value,) in found.fetchall():
        try:
            features = json.loads(bytes(value).decode())["info"]["features"]
        except (ValueError, KeyError, TypeError):
            continue
        if isinstance(features, dict):
            return class_names(features)
    return {}


def _n_characters(value: Any) -> int:
    """Return the approximate size of a value: the characters of its texts, and the bytes of the rest."""
    if isinstance(value, str | bytes):
        return len(value)
    if isinstance(value, list | tuple):
        return sum(map(_n_characters, value))
    if isinstance(value, dict):
        return sum(map(_n_characters, value.values()))
    return 8


def _plain(value: Any) -> Any:
    """Convert a value to JSON types; bytes become None."""
    if value is None or isinstance(value, str | int | float | bool):
        return value
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, decimal.Decimal):
        return float(value)
    if isinstance(value, datetime.date | datetime.time):
        return value.isoformat()
    return None if isinstance(value, bytes | bytearray | memoryview) else str(value)
