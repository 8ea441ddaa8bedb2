"""An HTTP client of a Hugging Face hub: cancellable requests, and downloads that resume and are verified.

HF_ENDPOINT, HF_HUB_OFFLINE and the user's login are honoured, as by huggingface_hub. Functions that wait for the
network are generators that yield Progress several times a second, and can be closed at any time. No torch import.
"""

from __future__ import annotations

import hashlib
import queue
import threading
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

from terrarium.models.events import Event, Progress, ProgressMeter
from terrarium.models.files.atomic import replace_path

Result = TypeVar("Result")

TIMEOUT_S = 20.0
"""Seconds without an answer, or without a byte of one, after which a request fails."""
_TICK_S = 0.1
_MAX_WAITING = 16
"""Maximum number of received chunks that wait to be written."""
_MAX_TRIES = 5
"""Maximum number of attempts of a download that loses its connection; each must receive data."""
_CHUNK_BYTES = 1 << 22


@dataclass(frozen=True, kw_only=True)
class HubFile:
    """A file of a repository. `sha256` is set for large files (LFS), `git_sha1` for the others; "" if unknown."""

    name: str
    size: int
    sha256: str = ""
    git_sha1: str = ""


class HubClient:
    """A client of a hub: that of HF_ENDPOINT, or another.

    Attributes:
        pages: the prefix of the paths of repository pages, such as “datasets/”.
        missing: the end of the message for a repository that is not found: why, and what to do.

    Args:
        endpoint: the hub's address; "" for that of the environment.
    """

    pages = ""
    missing = "or is private: check its name."

    def __init__(self, endpoint: str = "") -> None:
        self._endpoint = endpoint

    @property
    def endpoint(self) -> str:
        """The hub's address, without a slash at the end."""
        if self._endpoint:
            return self._endpoint.rstrip("/")
        from huggingface_hub import constants

        return str(constants.ENDPOINT).rstrip("/")

    @property
    def host(self) -> str:
        """The host name of the endpoint: “huggingface.co”."""
        return urlsplit(self.endpoint).netloc or self.endpoint

    def api(self) -> Any:
        """Return huggingface_hub's API object for this endpoint."""
        from huggingface_hub import HfApi

        return HfApi(endpoint=self.endpoint)

    def reach(self) -> None:
        """Raise immediately if the hub is unreachable; when listing, huggingface_hub would retry for 23 seconds."""
        from huggingface_hub import get_session

        get_session().head(self.endpoint, timeout=TIMEOUT_S)

    def answer(self, ask: Callable[[], Result], what: str) -> Generator[Event, None, Result]:
        """Call `ask` on a thread and return its result. The thread is abandoned if the generator is closed.

        Raises:
            ValueError: with a message, if the hub refuses, fails, does not answer or is unreachable.
        """
        answer: list[Result] = []
        error: list[BaseException] = []

        def work() -> None:
            try:
                answer.append(ask())
            except BaseException as raised:  # noqa: BLE001
                error.append(raised)

        thread = threading.Thread(target=work, name="hub", daemon=True)
        thread.start()
        until = time.monotonic() + 2 * TIMEOUT_S
        while thread.is_alive():
            thread.join(_TICK_S)
            yield Progress(done=0, total=0)
            if time.monotonic() > until:
                raise ValueError(f"{what} does not answer: check the internet connection, and try again.")
        if error:
            raise self._as_sentence(error[0], what)
        return answer[0]

    def fetch(self, files: Sequence[tuple[str, Path, HubFile]], what: str) -> Generator[Event, None, None]:
        """Download files (URL, target, file), resuming partial downloads, and verify their checksums.

        Yields Progress (bytes of all files). Closing it leaves the received bytes in a .part file beside the target.

        Raises:
            ValueError: if a file cannot be downloaded, or arrived damaged (it is deleted); with a message about `what`.
        """
        meter, done = ProgressMeter(sum(file.size for *_, file in files)), 0

        def progress(before: int, have: int) -> Progress:
            return meter.progress(before + have)

        for url, target, file in files:
            yield from self._fetch(url, target, file, what, partial(progress, done))
            done += file.size

    def _fetch(
        self, url: str, target: Path, file: HubFile, what: str, progress: Callable[[int], Progress]
    ) -> Generator[Event, None, None]:
        """Download one file. progress: maps the bytes of this file to the event to yield."""
        if target.exists() and target.stat().st_size == file.size:
            yield progress(file.size)
            return
        part = part_of(target, file)
        with part.open("ab") as out:
            have = out.tell()
            yield progress(have)
            for attempt in range(1, _MAX_TRIES + 1):
                if have >= file.size:
                    break
                before = have
                for item in self._streamed(url, have):
                    if isinstance(item, BaseException):
                        if have == before or attempt == _MAX_TRIES or not _is_lost(item):
                            raise self._as_sentence(item, what)
                    elif item is not None:
                        have += out.write(item)
                        out.flush()  # so that others see how much has arrived
                    yield progress(min(have, file.size))
                    if have > file.size:
                        break
                if have == before:
                    break
        if have != file.size or not (yield from self._is_sound(part, file, progress)):
            part.unlink()
            raise ValueError(f"The download of {what} arrived damaged ({file.name}): start it again.")
        replace_path(part, target)

    def _is_sound(self, part: Path, file: HubFile, progress: Callable[[int], Progress]) -> Generator[Event, None, bool]:
        """Return whether the received file matches the hub's checksum, if there is one."""
        digest = hashlib.sha256() if file.sha256 else hashlib.sha1(f"blob {file.size}\0".encode())
        expected = file.sha256 or file.git_sha1
        with part.open("rb") as stream:
            while expected and (data := stream.read(_CHUNK_BYTES)):
                digest.update(data)
                yield progress(file.size)
        return not expected or digest.hexdigest() == expected

    def _streamed(self, url: str, start: int) -> Iterator[bytes | BaseException | None]:
        """Yield the chunks of a file from offset `start`, None while nothing arrives, and last the error, if any."""
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

            # If the transfer were compressed, the range would not count the bytes of the file.
            headers = build_hf_headers() | {"Accept-Encoding": "identity"}
            headers |= {"Range": f"bytes={start}-"} if start else {}
            try:
                with get_session().stream("GET", url, headers=headers, timeout=TIMEOUT_S) as response:
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
                yield item
                if isinstance(item, BaseException):
                    return
        finally:
            closed.set()

    def gated(self, id: str) -> str:
        """Return the message for a gated repository."""
        return (
            f"“{id}” is gated: accept its terms at https://huggingface.co/{self.pages}{id}, log in with “hf auth "
            "login”, and try again."
        )

    def _as_sentence(self, error: BaseException, what: str) -> BaseException:
        """Convert a network or hub error to a ValueError with a message; other errors are returned unchanged."""
        if isinstance(error, ValueError) and type(error) is ValueError:
            return error
        kinds = {kind.__name__ for kind in type(error).__mro__}  # by name: these classes move between modules
        status = getattr(getattr(error, "response", None), "status_code", 0)
        if "OfflineModeIsEnabled" in kinds:
            sentence = "HF_HUB_OFFLINE is set, so nothing is asked of the Hugging Face hub: unset it, or open a file."
        elif "GatedRepoError" in kinds:
            sentence = self.gated(what.strip("“”"))
        elif kinds & {"RepositoryNotFoundError", "HFValidationError", "RevisionNotFoundError", "EntryNotFoundError"}:
            sentence = f"{what} is not on the Hugging Face hub, {self.missing}"
        elif status in (401, 403):
            sentence = f"{what} may not be read with this login: log in with “hf auth login”, and try again."
        elif status == 429:
            sentence = "The Hugging Face hub has had too many requests from here: wait some minutes, and try again."
        elif status >= 500:
            sentence = f"The Hugging Face hub has a fault of its own ({status}): try again later."
        elif "HfHubHTTPError" in kinds:
            sentence = f"The Hugging Face hub answers with an error ({str(error).splitlines()[0]}): try again later."
        elif _is_lost(error):
            sentence = (
                "The Hugging Face hub cannot be reached: connect to the internet, or download the files elsewhere and "
                "open them here."
            )
        else:
            return error
        return ValueError(sentence)


def part_of(target: Path, file: HubFile) -> Path:
    """Return the path of the partial file of a download."""
    mark = (file.sha256 or file.git_sha1)[:16] or str(file.size)
    return target.with_name(f"{target.name}.{mark}.part")


def _is_lost(error: BaseException) -> bool:
    """Return whether an error is a connection error."""
    kinds = {kind.__name__ for kind in type(error).__mro__}
    return bool(kinds & {"TransportError", "TimeoutException", "ConnectionError", "OSError"}) and not (
        {"HfHubHTTPError", "OfflineModeIsEnabled"} & kinds
    )
