"""Datasets of the Hugging Face hub: searched, looked into before anything is downloaded, and downloaded as Parquet.

The hub's own conversion is read (revision refs/convert/parquet), so that no script of a stranger runs and nothing is
unpickled. HF_ENDPOINT, HF_HUB_OFFLINE and the user's login are honoured, as by huggingface_hub. Everything that waits
for the network is a generator that yields Progress several times a second, so that it can be closed at any time.

What the hub says about sizes, splits and first rows: https://huggingface.co/docs/dataset-viewer. No torch import.
"""

from __future__ import annotations

import hashlib
import json
import queue
import re
import shutil
import threading
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit, urlunsplit

from models.events import Event, Progress
from models.files.atomic import replace_path
from models.number_words import format_size

Result = TypeVar("Result")

PARQUET_REVISION = "refs/convert/parquet"
SORTS = {
    "trending_score": "Trending",
    "downloads": "Most downloads",
    "likes": "Most likes",
    "last_modified": "Changed last",
}
"""Orders of the hub's lists -> their names."""
TASKS = {
    "text-classification": "Classification",
    "token-classification": "Tagging",
    "question-answering": "Question answering",
    "translation": "Translation",
    "summarization": "Summaries",
    "text-generation": "Text generation",
}
"""Task categories of the hub that a task of Terrarium learns -> their names."""

_MAX_RESULTS = 60
_MAX_CELL = 2_000
_TICK_S = 0.1
_TIMEOUT_S = 20.0
_MAX_WAITING = 16
"""Parts of a download that wait to be written."""
_PARTS = re.compile(r"[^\w.-]+")


@dataclass(frozen=True, kw_only=True)
class HubDataset:
    """A dataset of the hub, as a search finds it.

    id: owner/name. gated: whether its owner must be asked first. licence: as its card says, "" where it does not.
    size: the hub's class of its number of rows, such as "1K<n<10K".
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
    """One split of one of its configurations; rows and bytes (as Parquet) are None where the hub has not counted."""

    config: str
    split: str
    n_rows: int | None = None
    n_bytes: int | None = None


@dataclass(frozen=True, kw_only=True)
class HubDetails:
    """What the hub knows of a dataset before it is downloaded. `problem`: why its rows cannot be had, else ''."""

    dataset: HubDataset
    splits: tuple[HubSplit, ...]
    problem: str = ""

    @property
    def configs(self) -> tuple[str, ...]:
        """Its configurations, in the hub's order."""
        return tuple(dict.fromkeys(split.config for split in self.splits))


@dataclass(frozen=True, kw_only=True)
class FirstRows:
    """The first rows of a split as plain text, and its columns as (name, type)."""

    columns: tuple[tuple[str, str], ...]
    rows: tuple[tuple[str, ...], ...]


class Hub:
    """A hub: that of HF_ENDPOINT, or of another address.

    Args:
        endpoint: its address; "" for that of the environment. viewer: the address of its dataset viewer; "" for the one
            that belongs to `endpoint`.
    """

    def __init__(self, endpoint: str = "", viewer: str = "") -> None:
        self._endpoint, self._viewer = endpoint, viewer

    @property
    def endpoint(self) -> str:
        """Its address, without a slash at the end."""
        if self._endpoint:
            return self._endpoint.rstrip("/")
        from huggingface_hub import constants

        return str(constants.ENDPOINT).rstrip("/")

    @property
    def viewer(self) -> str:
        """The address of its dataset viewer: that of huggingface.co is datasets-server.huggingface.co."""
        if self._viewer:
            return self._viewer.rstrip("/")
        parts = urlsplit(self.endpoint)
        return urlunsplit(parts._replace(netloc=f"datasets-server.{parts.netloc}"))

    def search(
        self, query: str, *, task: str = "", language: str = "", sort: str = "trending_score"
    ) -> Generator[Event, None, tuple[HubDataset, ...]]:
        """Datasets whose names match, at most 60.

        Args:
            task: a key of TASKS, "" for any. language: an ISO code such as “fr”, "" for any. sort: a key of SORTS.

        Raises:
            ValueError: where the hub cannot be reached, with a sentence.
        """
        wanted: dict[str, Any] = {"sort": sort, "limit": _MAX_RESULTS, "full": True}
        if query.strip():
            wanted["search"] = query.strip()
        if task:
            wanted["task_categories"] = task
        if language.strip():
            wanted["language"] = language.strip().lower()

        def ask() -> tuple[HubDataset, ...]:
            self._reach()
            return tuple(_dataset(info) for info in self._api().list_datasets(**wanted))

        return (yield from self._waited_for(ask, "The hub"))

    def details(self, id: str) -> Generator[Event, None, HubDetails]:
        """What the hub knows of a dataset; ValueError where there is none, or the hub cannot be reached."""

        def ask() -> HubDetails:
            dataset = _dataset(self._api().dataset_info(id, timeout=_TIMEOUT_S))
            found = self._view("size", dataset=id)
            splits = found.get("size", {}).get("splits", []) or self._view("splits", dataset=id).get("splits", [])
            problem = "" if splits else _no_rows(found, dataset)
            return HubDetails(dataset=dataset, splits=tuple(_split(each) for each in splits), problem=problem)

        return (yield from self._waited_for(ask, f"“{id}”"))

    def first_rows(self, id: str, config: str, split: str) -> Generator[Event, None, FirstRows]:
        """The first rows of a split; ValueError where the hub does not show them."""

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

        return (yield from self._waited_for(ask, f"“{id}”"))

    def download(
        self, id: str, config: str, splits: Sequence[str], folder: Path
    ) -> Generator[Event, None, dict[str, tuple[Path, ...]]]:
        """The Parquet files of splits of a dataset, in `folder`: split -> its files.

        Yields Progress in bytes. Closing it keeps what was loaded: called again, it resumes there.

        Raises:
            ValueError: where the hub has no such files, cannot be reached, or the disk has too little room.
        """

        def ask() -> list[Any]:
            self._reach()
            tree = self._api().list_repo_tree(id, recursive=True, revision=PARQUET_REVISION, repo_type="dataset")
            return [file for file in tree if str(file.path).endswith(".parquet")]

        files = yield from self._waited_for(ask, f"“{id}”")
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
        done, paths = 0, dict[str, tuple[Path, ...]]()
        for split, found in wanted.items():
            kept = []
            for number, file in enumerate(found):
                digest = file.lfs.sha256 if file.lfs is not None else ""
                target = folder / _file_name(split, number, len(found))
                yield from self._fetch(id, file.path, target, file.size, digest, done, total)
                done += file.size
                kept.append(target)
            paths[split] = tuple(kept)
        return paths

    def _fetch(
        self, id: str, name: str, target: Path, size: int, digest: str, before: int, total: int
    ) -> Generator[Event, None, None]:
        """Download one file, from where an earlier download of it ended."""
        from huggingface_hub import hf_hub_url

        mark = digest[:16] or str(size)
        if target.exists() and target.stat().st_size == size:
            yield Progress(done=before + size, total=total)
            return
        part = target.with_name(f"{target.name}.{mark}.part")
        url = hf_hub_url(id, name, repo_type="dataset", revision=PARQUET_REVISION, endpoint=self.endpoint)
        with part.open("ab") as out:
            have = out.tell()
            yield Progress(done=before + have, total=total)
            if have < size:
                for chunk in self._streamed(url, have, id):
                    if chunk is not None:
                        out.write(chunk)
                        have += len(chunk)
                    yield Progress(done=before + have, total=total)
        if have != size or (digest and _sha256(part) != digest):
            part.unlink()
            raise ValueError(f"The download of “{id}” arrived damaged: start it again.")
        replace_path(part, target)

    def _streamed(self, url: str, start: int, id: str) -> Iterator[bytes | None]:
        """The bytes of a file from `start` on; None while nothing arrives."""
        chunks: queue.Queue[bytes | BaseException | None] = queue.Queue(maxsize=_MAX_WAITING)
        closed = threading.Event()

        def put(item: bytes | BaseException | None) -> None:
            while not closed.is_set():
                try:
                    chunks.put(item, timeout=_TICK_S)
                except queue.Full:
                    continue
                return

        def read() -> None:
            from huggingface_hub import get_session
            from huggingface_hub.utils import build_hf_headers, hf_raise_for_status  # type: ignore[attr-defined]

            headers = build_hf_headers() | ({"Range": f"bytes={start}-"} if start else {})
            try:
                with get_session().stream("GET", url, headers=headers, timeout=_TIMEOUT_S) as response:
                    hf_raise_for_status(response)
                    skip = start if start and response.status_code != 206 else 0
                    for chunk in response.iter_bytes():
                        rest, skip = chunk[skip:], max(0, skip - len(chunk))
                        if rest:
                            put(rest)
                        if closed.is_set():
                            return
                put(None)
            except BaseException as error:  # noqa: BLE001
                put(error)

        threading.Thread(target=read, name="hub download", daemon=True).start()
        try:
            while True:
                try:
                    item = chunks.get(timeout=_TICK_S)
                except queue.Empty:
                    yield None
                    continue
                if item is None:
                    return
                if isinstance(item, BaseException):
                    raise _as_sentence(item, f"“{id}”")
                yield item
        finally:
            closed.set()

    def _waited_for(self, ask: Callable[[], Result], what: str) -> Generator[Event, None, Result]:
        """The result of `ask`, called on a thread that is left alone when nobody waits for it any more."""
        answer: list[Result] = []
        error: list[BaseException] = []

        def work() -> None:
            try:
                answer.append(ask())
            except BaseException as raised:  # noqa: BLE001
                error.append(raised)

        thread = threading.Thread(target=work, name="hub", daemon=True)
        thread.start()
        until = time.monotonic() + 2 * _TIMEOUT_S
        while thread.is_alive():
            thread.join(_TICK_S)
            yield Progress(done=0, total=0)
            if time.monotonic() > until:
                raise ValueError(f"{what} does not answer: check the internet connection, and try again.")
        if error:
            raise _as_sentence(error[0], what)
        return answer[0]

    def _api(self) -> Any:
        from huggingface_hub import HfApi

        return HfApi(endpoint=self.endpoint)

    def _reach(self) -> None:
        """Raise at once where the hub cannot be reached: for a list its library tries again for 23 seconds."""
        from huggingface_hub import get_session

        get_session().head(self.endpoint, timeout=_TIMEOUT_S)

    def _view(self, what: str, **wanted: str) -> dict[str, Any]:
        """An answer of the dataset viewer, {} or {"error": …} where it has none."""
        from huggingface_hub import get_session
        from huggingface_hub.utils import build_hf_headers  # type: ignore[attr-defined]

        answer = get_session().get(
            f"{self.viewer}/{what}", params=wanted, headers=build_hf_headers(), timeout=_TIMEOUT_S
        )
        try:
            found = answer.json()
        except ValueError:
            return {}
        return found if isinstance(found, dict) else {}


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


def _no_rows(found: dict[str, Any], dataset: HubDataset) -> str:
    if dataset.gated:
        return _gated(dataset.id)
    if words := str(found.get("error", "")):
        return f"The hub shows no rows of “{dataset.id}” ({words.rstrip('.')}): choose another one."
    return f"The hub shows no rows of “{dataset.id}”: choose another one, or download its files and open them."


def _gated(id: str) -> str:
    return (
        f"“{id}” is gated: accept its terms at https://huggingface.co/datasets/{id}, log in with “hf auth login”, and "
        "try again."
    )


def _type_name(kind: Any) -> str:
    """A column's type in a word: "string", "int64", "label", "list"."""
    if isinstance(kind, list):
        return "list"
    if not isinstance(kind, dict):
        return ""
    names = {"ClassLabel": "label", "Sequence": "list", "List": "list", "LargeList": "list", "Value": kind.get("dtype")}
    return str(names.get(str(kind.get("_type")), kind.get("_type", "record")) or "")


def _label_names(features: Sequence[Any]) -> dict[str, Sequence[str]]:
    """Column -> the names of its labels, of which rows have the numbers."""
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
    """Whether a file of the Parquet revision is of this split: its path is config/split/0000.parquet."""
    parts = path.split("/")
    return len(parts) == 3 and parts[0] == config and parts[1] in (split, f"partial-{split}")


def _file_name(split: str, number: int, n: int) -> str:
    return f"{_PARTS.sub('-', split)}-{number:05d}-of-{n:05d}.parquet"


def _sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _as_sentence(error: BaseException, what: str) -> BaseException:
    """The same error as a ValueError with a sentence, if it is one of the network or the hub."""
    if isinstance(error, ValueError) and type(error) is ValueError:
        return error
    kinds = {kind.__name__ for kind in type(error).__mro__}  # the library moves these classes between its modules
    if "OfflineModeIsEnabled" in kinds:
        sentence = "HF_HUB_OFFLINE is set, so nothing is asked of the Hugging Face hub: unset it, or open a file."
    elif "GatedRepoError" in kinds:
        sentence = _gated(what.strip("“”"))
    elif kinds & {"RepositoryNotFoundError", "HFValidationError", "RevisionNotFoundError", "EntryNotFoundError"}:
        sentence = f"{what} is not on the Hugging Face hub, or is not converted to Parquet there: choose another one."
    elif "HfHubHTTPError" in kinds:
        sentence = f"The Hugging Face hub answers with an error ({str(error).splitlines()[0]}): try again later."
    elif kinds & {"TransportError", "TimeoutException", "ConnectionError", "OSError"}:
        sentence = (
            "The Hugging Face hub cannot be reached: connect to the internet, or download the files elsewhere and open "
            "them here."
        )
    else:
        return error
    return ValueError(sentence)
