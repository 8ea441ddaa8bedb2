"""Search, preview and Parquet download of datasets on the Hugging Face hub.

Reads the hub's own conversion (revision refs/convert/parquet), so that no untrusted script runs and nothing is
unpickled. HF_ENDPOINT, HF_HUB_OFFLINE and the user's login are honoured, as by huggingface_hub. Everything that waits
for the network is a generator that yields Progress several times a second, so that it can be closed at any time.

Sizes, splits and first rows come from the dataset viewer: https://huggingface.co/docs/dataset-viewer. No torch import.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from terrarium.models.events import Event
from terrarium.models.hub_client import TIMEOUT_S, HubClient, HubFile
from terrarium.models.number_words import format_size

PARQUET_REVISION = "refs/convert/parquet"
SORTS = {
    "trending_score": "Trending",
    "downloads": "Most downloads",
    "likes": "Most likes",
    "last_modified": "Changed last",
}
"""Sort orders of the hub's lists -> their displayed names."""
TASKS = {
    "text-classification": "Classification",
    "token-classification": "Tagging",
    "question-answering": "Question answering",
    "translation": "Translation",
    "summarization": "Summaries",
    "text-generation": "Text generation",
}
"""Task categories of the hub that Terrarium can train on -> their displayed names."""

_MAX_RESULTS = 60
_MAX_CELL = 2_000
_PARTS = re.compile(r"[^\w.-]+")


@dataclass(frozen=True, kw_only=True)
class HubDataset:
    """A dataset of the hub, as returned by a search.

    id: owner/name. gated: whether access must be requested. licence: from the dataset card, or "".
    size: the hub's size category by number of rows, such as "1K<n<10K".
    """

    id: str
    downloads: int = 0
    likes: int = 0
    licence: str = ""
    gated: bool = False
    tasks: tuple[str, ...] = ()
    languages: tuple[str, ...] = ()
    size: str = ""
    description: str = ""


@dataclass(frozen=True, kw_only=True)
class HubSplit:
    """A split of a dataset's configuration; rows and bytes (as Parquet) are None if the hub has not counted them."""

    config: str
    split: str
    n_rows: int | None = None
    n_bytes: int | None = None


@dataclass(frozen=True, kw_only=True)
class HubDetails:
    """The hub's information about a dataset. `problem`: why its rows are not available, or ''."""

    dataset: HubDataset
    splits: tuple[HubSplit, ...]
    problem: str = ""

    @property
    def configs(self) -> tuple[str, ...]:
        """The dataset's configurations, in the hub's order."""
        return tuple(dict.fromkeys(split.config for split in self.splits))


@dataclass(frozen=True, kw_only=True)
class FirstRows:
    """The first rows of a split as plain text, and its columns as (name, type)."""

    columns: tuple[tuple[str, str], ...]
    rows: tuple[tuple[str, ...], ...]


class Hub(HubClient):
    """A client for the datasets of a hub: that of HF_ENDPOINT, or another.

    Args:
        endpoint: the hub's address; "" for that of the environment.
        viewer: the address of its dataset viewer; "" for the one that belongs to `endpoint`.
    """

    pages = "datasets/"
    missing = "or is not converted to Parquet there: choose another one."

    def __init__(self, endpoint: str = "", viewer: str = "") -> None:
        super().__init__(endpoint)
        self._viewer = viewer

    @property
    def viewer(self) -> str:
        """The address of the hub's dataset viewer: datasets-server.huggingface.co for huggingface.co."""
        if self._viewer:
            return self._viewer.rstrip("/")
        parts = urlsplit(self.endpoint)
        return urlunsplit(parts._replace(netloc=f"datasets-server.{parts.netloc}"))

    def search(
        self, query: str, *, task: str = "", language: str = "", sort: str = "trending_score"
    ) -> Generator[Event, None, tuple[HubDataset, ...]]:
        """Search for datasets whose names match; returns at most 60.

        Args:
            task: a key of TASKS, "" for any. language: an ISO code such as “fr”, "" for any. sort: a key of SORTS.

        Raises:
            ValueError: if the hub cannot be reached, with a message.
        """
        wanted: dict[str, Any] = {"sort": sort, "limit": _MAX_RESULTS, "full": True}
        if query.strip():
            wanted["search"] = query.strip()
        if task:
            wanted["task_categories"] = task
        if language.strip():
            wanted["language"] = language.strip().lower()

        def ask() -> tuple[HubDataset, ...]:
            self.reach()
            return tuple(_dataset(info) for info in self.api().list_datasets(**wanted))

        return (yield from self.answer(ask, "The hub"))

    def details(self, id: str) -> Generator[Event, None, HubDetails]:
        """Return the hub's information about a dataset; ValueError if it is missing or the hub cannot be reached."""

        def ask() -> HubDetails:
            dataset = _dataset(self.api().dataset_info(id, timeout=TIMEOUT_S))
            found = self._view("size", dataset=id)
            splits = found.get("size", {}).get("splits", []) or self._view("splits", dataset=id).get("splits", [])
            problem = "" if splits else self._no_rows(found, dataset)
            return HubDetails(dataset=dataset, splits=tuple(_split(each) for each in splits), problem=problem)

        return (yield from self.answer(ask, f"“{id}”"))

    def first_rows(self, id: str, config: str, split: str) -> Generator[Event, None, FirstRows]:
        """Return the first rows of a split; ValueError if the hub does not show them."""

        def ask() -> FirstRows:
            found = self._view("first-rows", dataset=id, config=config, split=split)
            if "rows" not in found:
                raise ValueError(f"The hub does not show rows of “{id}” ({config}, {split}).")
            columns = [(str(each["name"]), _type_name(each.get("type"))) for each in found.get("features", ())]
            names = _label_names(found.get("features", ()))
            rows = [
                tuple(_cell(row.get("row", {}).get(name), names.get(name)) for name, _ in columns)
                for row in found["rows"]
            ]
            return FirstRows(columns=tuple(columns), rows=tuple(rows))

        return (yield from self.answer(ask, f"“{id}”"))

    def download(
        self, id: str, config: str, splits: Sequence[str], folder: Path
    ) -> Generator[Event, None, dict[str, tuple[Path, ...]]]:
        """Download the Parquet files of splits of a dataset to `folder`, and return them as split -> files.

        Yields Progress in bytes. Closing it keeps the received bytes; another call resumes from there.

        Raises:
            ValueError: if the hub has no such files or cannot be reached, or the disk has too little room.
        """

        def ask() -> list[Any]:
            self.reach()
            tree = self.api().list_repo_tree(id, recursive=True, revision=PARQUET_REVISION, repo_type="dataset")
            return [file for file in tree if str(file.path).endswith(".parquet")]

        files = yield from self.answer(ask, f"“{id}”")
        wanted = {split: [file for file in files if _is_of(file.path, config, split)] for split in splits}
        if missing := [split for split, found in wanted.items() if not found]:
            raise ValueError(
                f"The hub has not converted “{id}” ({config}, {missing[0]}) to Parquet: choose another one."
            )
        total = sum(file.size for found in wanted.values() for file in found)
        folder.mkdir(parents=True, exist_ok=True)
        free = shutil.disk_usage(folder).free
        if total > free:
            raise ValueError(
                f"“{id}” takes {format_size(total)}, but the disk of {folder} has {format_size(free)} free: make "
                "room first."
            )
        from huggingface_hub import hf_hub_url

        downloads, paths = list[tuple[str, Path, HubFile]](), dict[str, tuple[Path, ...]]()
        for split, found in wanted.items():
            paths[split] = tuple(folder / _file_name(split, number, len(found)) for number in range(len(found)))
            for target, file in zip(paths[split], found, strict=True):
                url = hf_hub_url(id, file.path, repo_type="dataset", revision=PARQUET_REVISION, endpoint=self.endpoint)
                digest = file.lfs.sha256 if file.lfs is not None else ""
                downloads.append((url, target, HubFile(name=target.name, size=file.size, sha256=digest)))
        yield from self.fetch(downloads, f"“{id}”")
        return paths

    def _view(self, what: str, **wanted: str) -> dict[str, Any]:
        """Return an answer of the dataset viewer; {} or {"error": …} if it has none."""
        from huggingface_hub import get_session
        from huggingface_hub.utils import build_hf_headers  # type: ignore[attr-defined]

        answer = get_session().get(
            f"{self.viewer}/{what}", params=wanted, headers=build_hf_headers(), timeout=TIMEOUT_S
        )
        try:
            found = answer.json()
        except ValueError:
            return {}
        return found if isinstance(found, dict) else {}

    def _no_rows(self, found: dict[str, Any], dataset: HubDataset) -> str:
        if dataset.gated:
            return self.gated(dataset.id)
        if words := str(found.get("error", "")):
            return f"The hub shows no rows of “{dataset.id}” ({words.rstrip('.')}): choose another one."
        return f"The hub shows no rows of “{dataset.id}”: choose another one, or download its files and open them."


def _dataset(info: Any) -> HubDataset:
    tags = [str(tag) for tag in info.tags or ()]

    def tagged(kind: str) -> tuple[str, ...]:
        return tuple(tag.removeprefix(f"{kind}:") for tag in tags if tag.startswith(f"{kind}:"))

    return HubDataset(
        id=str(info.id),
        downloads=int(info.downloads or 0),
        likes=int(info.likes or 0),
        licence=", ".join(tagged("license")),
        gated=bool(info.gated),
        tasks=tagged("task_categories"),
        languages=tagged("language"),
        size=", ".join(tagged("size_categories")),
        description=" ".join(str(info.description or "").split()),
    )


def _split(found: dict[str, Any]) -> HubSplit:
    def number(name: str) -> int | None:
        return found[name] if isinstance(found.get(name), int) else None

    return HubSplit(
        config=str(found.get("config", "")),
        split=str(found.get("split", "")),
        n_rows=number("num_rows"),
        n_bytes=number("num_bytes_parquet_files"),
    )


def _type_name(kind: Any) -> str:
    """Return a column's type in a word: "string", "int64", "label", "list"."""
    if isinstance(kind, list):
        return "list"
    if not isinstance(kind, dict):
        return ""
    names = {"ClassLabel": "label", "Sequence": "list", "List": "list", "LargeList": "list", "Value": kind.get("dtype")}
    return str(names.get(str(kind.get("_type")), kind.get("_type", "record")) or "")


def _label_names(features: Sequence[Any]) -> dict[str, Sequence[str]]:
    """Map each label column to the names of its labels; rows contain their indices."""
    kinds = {str(each["name"]): each.get("type") for each in features}
    return {name: kind["names"] for name, kind in kinds.items() if isinstance(kind, dict) and kind.get("names")}


def _cell(value: Any, names: Sequence[str] | None) -> str:
    if names and isinstance(value, int) and 0 <= value < len(names):
        return str(names[value])
    if value is None:
        return ""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _MAX_CELL else f"{text[:_MAX_CELL]}…"


def _is_of(path: str, config: str, split: str) -> bool:
    """Return whether a file of the Parquet revision belongs to a split: its path is config/split/0000.parquet."""
    parts = path.split("/")
    return len(parts) == 3 and parts[0] == config and parts[1] in (split, f"partial-{split}")


def _file_name(split: str, number: int, n: int) -> str:
    return f"{_PARTS.sub('-', split)}-{number:05d}-of-{n:05d}.parquet"
