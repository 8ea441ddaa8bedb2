"""Folders in the layout of Hugging Face's hub: data files, and a README.md that assigns them to splits."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import yaml

from terrarium.models.importing.formats.files import SourceFile, split_of

_MAX_BYTES = 1 << 20
_CARD = "README.md"


@dataclass(frozen=True, kw_only=True)
class HubFolder:
    """The content of a folder's README.md: the names of its configurations, and the files of the chosen one.

    files: with their splits. labels: column → names of the labels that are stored as numbers.
    """

    configs: tuple[str, ...]
    files: tuple[SourceFile, ...]
    labels: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


def refuse_arrow_folder(folder: Path) -> None:
    """Raise ValueError if a folder was written by datasets' `save_to_disk`: Arrow, which is not read here."""
    if (folder / "dataset_dict.json").is_file() or (folder / "state.json").is_file():
        raise ValueError(
            f"{folder} was written by save_to_disk, in the Arrow format: load it with datasets.load_from_disk, and "
            'write each split with ds.to_parquet("train.parquet").'
        )


def read_hub_folder(root: Path, files: Sequence[SourceFile], config: str) -> HubFolder | None:
    """Return the files of a configuration (by default the first, or "default"); None if no README.md describes data.

    files: all files in the folder.

    Raises:
        ValueError: if the configuration does not exist, or has no files.
    """
    card = _read_card(root / _CARD)
    configs = {str(entry["config_name"]): entry for entry in _dicts(card.get("configs")) if "config_name" in entry}
    configs = {name: entry for name, entry in configs.items() if "data_files" in entry}
    info = {str(entry.get("config_name", "default")): entry for entry in _dicts(card.get("dataset_info"))}
    if not configs:
        if config:
            raise ValueError(f"{root / _CARD} names no configurations, so there is no {config!r}.")
        labels = _labels(next(iter(info.values()), {}))
        return HubFolder(configs=(), files=tuple(files), labels=labels) if labels else None
    chosen = config or ("default" if "default" in configs else next(iter(configs)))
    if chosen not in configs:
        raise ValueError(f"{root} has no configuration {chosen!r}: it has {', '.join(configs)}.")
    found = [
        replace(file, split=split_of(split) or split)
        for split, pattern in _patterns(configs[chosen]["data_files"])
        for file in files
        if fnmatch(file.path.relative_to(root).as_posix(), pattern.removeprefix("./"))
    ]
    if not found:
        raise ValueError(f"{root / _CARD} names files of the configuration {chosen!r} that are not in the folder.")
    return HubFolder(configs=tuple(configs), files=tuple(found), labels=_labels(info.get(chosen, {})))


def _read_card(path: Path) -> dict[str, Any]:
    """Parse the YAML header of a README.md; {} if there is none."""
    try:
        with path.open("rb") as file:
            text = file.read(_MAX_BYTES).decode("utf-8-sig")
    except (OSError, UnicodeDecodeError):
        return {}
    parts = text.split("---", 2)
    if len(parts) < 3 or parts[0].strip():
        return {}
    try:
        card = yaml.safe_load(parts[1])
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise ValueError(f"{path}: its head is no valid YAML ({str(error).splitlines()[0]}): correct it.") from error
    return card if isinstance(card, dict) else {}


def _dicts(value: Any) -> list[dict[str, Any]]:
    values = value if isinstance(value, list) else [value]
    return [entry for entry in values if isinstance(entry, dict)]


def _patterns(data_files: Any) -> Iterator[tuple[str, str]]:
    """Yield (split, pattern) from any form of `data_files`: a pattern, a list of them, or {split, path} each."""
    for entry in data_files if isinstance(data_files, list) else [data_files]:
        split, paths = (entry.get("split", "train"), entry.get("path")) if isinstance(entry, dict) else ("train", entry)
        for path in paths if isinstance(paths, list) else [paths]:
            yield str(split), str(path)


def _labels(info: Mapping[str, Any]) -> dict[str, tuple[str, ...]]:
    """Column → names, from the features of `dataset_info`: {name, dtype: {class_label: {names: {"0": …}}}}."""
    found = {}
    for feature in _dicts(info.get("features")):
        kind: dict[str, Any] = next(
            (feature[key] for key in ("dtype", "sequence", "list") if isinstance(feature.get(key), dict)), {}
        )
        names = kind.get("class_label", {}).get("names") if isinstance(kind.get("class_label"), dict) else None
        if isinstance(names, dict):
            names = [names[key] for key in sorted(names, key=lambda key: int(key) if str(key).isdecimal() else 0)]
        if isinstance(names, list) and "name" in feature:
            found[str(feature["name"])] = tuple(map(str, names))
    return found
