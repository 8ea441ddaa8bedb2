"""Uploads a model's Hugging Face folder to the hub as a new model, private by default.

HF_ENDPOINT and HF_HUB_OFFLINE are honoured, as by huggingface_hub. Network waits are generators that yield Progress
several times a second, so that they can be closed at any time.
"""

from __future__ import annotations

import contextlib
import io
import logging
import tempfile
import threading
import time
from collections.abc import Callable, Generator
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from terrarium.models.events import Event, Notice, Phase, Progress
from terrarium.models.interop.export import CARD
from terrarium.models.interop.loading import load_config
from terrarium.models.interop.publish.hub_token import NO_KEYRING, check_token, forget_token, keep_token
from terrarium.models.interop.publish.share import about_run, share_hf
from terrarium.models.number_words import format_size

if TYPE_CHECKING:
    from huggingface_hub import HfApi

Result = TypeVar("Result")

_TICK_S = 0.1
_STALL_S = 90.0
"""Seconds without a byte or an answer after which the upload is aborted; huggingface_hub retries for some 25."""
_NEW_FILES = (".gitattributes",)
"""The files of a new, empty model on the hub."""
_MAX_SAID = 200
_BAD_CARD = "Invalid metadata in README.md"
"""The beginning of huggingface_hub's error message about a card."""


def hub_endpoint() -> str:
    """Return the hub's address: that of HF_ENDPOINT, or https://huggingface.co."""
    from huggingface_hub import constants

    return str(constants.ENDPOINT).rstrip("/")


def check_hub_name(name: str) -> str:
    """Return the name of a model on the hub without surrounding spaces: NAME, or OWNER/NAME.

    Raises:
        ValueError: if it is not a valid name.
    """
    from huggingface_hub.errors import HFValidationError
    from huggingface_hub.utils import validate_repo_id  # type: ignore[attr-defined]

    name = name.strip()
    try:
        validate_repo_id(name)
    except HFValidationError as error:
        raise ValueError(
            f"“{name}” is no name for a model on the hub: use NAME or OWNER/NAME of letters, digits, “-”, “_” and “.”."
        ) from error
    return name


def push_hf(
    source: Path, name: str, token: str, *, licence: str = "", public: bool = False, keep: bool = False
) -> Generator[Event, None, str]:
    """Upload the model in `source` (as for `load_model`) as `name`, and return the address of its page.

    Yields Phase, Notice and Progress (bytes). The uploaded folder is temporary; closing the generator removes it.

    Args:
        name: NAME or OWNER/NAME.
        public: whether everybody may see it.
        licence: its id on the hub, such as “mit”; "" leaves it open.
        keep: whether to save the token in the system keyring as soon as the hub has accepted it.

    Raises:
        ValueError: if the name or the token is invalid, the model cannot be read, there is a model of that name with
            files already, or the hub refuses, does not answer or cannot be reached; OSError if the disk is full.
    """
    name, token = check_hub_name(name), check_token(token)
    # A thread that still waits for the network may have a file open, which Windows then does not delete.
    with tempfile.TemporaryDirectory(prefix="terrarium-", ignore_cleanup_errors=True) as parent:
        folder = yield from share_hf(source, Path(parent) / "model", licence=licence, address=name)

        def card(address: str) -> str:
            return about_run(source, load_config(folder), licence, address).get("card", "")

        return (yield from upload_folder(folder, name, token, public=public, keep=keep, card=card))


def upload_folder(
    folder: Path,
    name: str,
    token: str,
    *,
    public: bool = False,
    keep: bool = False,
    card: Callable[[str], str] = lambda address: "",
    stall_s: float = _STALL_S,
) -> Generator[Event, None, str]:
    """Upload the files of `folder` in one commit, and return the address of the model's page. As `push_hf`.

    A new model is created; an existing one is used only if it is empty, and private or public as requested.

    Args:
        card: OWNER/NAME, as on the hub -> the text of its README.md; "" leaves the folder's.
        stall_s: seconds without a byte or an answer after which the upload is aborted.
    """
    from huggingface_hub import CommitOperationAdd, HfApi

    # huggingface_hub warns that open files, which are needed to measure the progress, are sent by HTTP instead of its
    # newer protocol, and of each failed attempt, in the middle of the line that shows the progress.
    for module in ("_commit_api", "utils._http"):
        logging.getLogger(f"huggingface_hub.{module}").setLevel(logging.ERROR)
    endpoint = hub_endpoint()
    api = HfApi(endpoint=endpoint, token=token)
    call = _Call(name, token, stall_s)
    yield Phase(name="Asking the Hugging Face hub")
    there = yield from call.answer(lambda: _model_on_hub(api, name, public=public))
    if keep:
        kept = keep_token(endpoint, token)
        yield Notice(sentence="The token is kept in the system keyring." if kept else NO_KEYRING)
    _check_free(there, public=public)
    if text := card(there.name):
        (folder / CARD).write_text(text, encoding="utf-8")
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    call.total = sum(path.stat().st_size for path in paths)
    yield Phase(name="Uploading")
    with contextlib.ExitStack() as opened:
        # Closed here if the caller no longer waits, so that the thread cannot read on.
        files = [opened.enter_context(_Counted(path)) for path in paths]

        def commit() -> None:
            operations = [
                CommitOperationAdd(path_in_repo=path.relative_to(folder).as_posix(), path_or_fileobj=file)
                for path, file in zip(paths, files, strict=True)
            ]
            for operation, file in zip(operations, files, strict=True):
                operation.upload_info.sha256  # noqa: B018 (it is computed when it is asked for)
                file.starts = True
            api.create_commit(there.name, operations, commit_message="Upload the model with Terrarium")

        yield from call.answer(commit, lambda: sum(file.furthest for file in files))
    return f"{endpoint}/{there.name}"


class _OnHub(NamedTuple):
    """A model on the hub: OWNER/NAME, whether it is public, and whether files were added to it."""

    name: str
    is_public: bool
    has_files: bool


def _model_on_hub(api: HfApi, name: str, *, public: bool) -> _OnHub:
    """Create a model on the hub, or find the existing one of that name."""
    from huggingface_hub.errors import HfHubHTTPError

    try:
        made = api.create_repo(name, private=not public)
    except HfHubHTTPError as error:
        if error.response.status_code != 409:
            raise
        made = api.create_repo(name, private=not public, exist_ok=True)  # only this call returns the owner
    full_name = str(made.repo_id)
    info = api.model_info(full_name)
    has_files = any(file.rfilename not in _NEW_FILES for file in info.siblings or ())
    return _OnHub(full_name, not info.private, has_files)


def _check_free(there: _OnHub, *, public: bool) -> None:
    """Raise ValueError unless the model is empty, and public or private as requested."""
    if there.has_files:
        raise ValueError(f"{there.name} is on the hub already, and has files: choose another name.")
    if there.is_public != public:
        is_, wanted = ("public", "private") if there.is_public else ("private", "public")
        raise ValueError(
            f"{there.name} is on the hub already, and is {is_}: make it {wanted} on its page, or choose another name."
        )


class _Counted(io.BufferedReader):
    """A file that records how far it has been read, once `starts` is set: before, its hash is computed."""

    def __init__(self, path: Path) -> None:
        super().__init__(io.FileIO(path))
        self.starts = False
        self.furthest = 0

    def read(self, size: int | None = -1, /) -> bytes:
        """Return the next bytes."""
        found = super().read(size)
        if self.starts:
            self.furthest = max(self.furthest, self.tell())
        return found


class _Call:
    """Calls huggingface_hub on a thread, which is abandoned if the caller no longer waits for it.

    Attributes:
        total: how many bytes are to be sent.
    """

    total = 0

    def __init__(self, name: str, token: str, stall_s: float) -> None:
        self._name, self._token, self._stall_s = name, token, stall_s

    def answer(self, ask: Callable[[], Result], done: Callable[[], int] = lambda: 0) -> Generator[Event, None, Result]:
        """Return the result of `ask`; ValueError if it fails, or makes no progress for too long."""
        answers: list[Result] = []
        errors: list[BaseException] = []

        def work() -> None:
            try:
                answers.append(ask())
            except BaseException as raised:  # noqa: BLE001
                errors.append(raised)

        thread = threading.Thread(target=work, name="hub upload", daemon=True)
        thread.start()
        before, until = 0, time.monotonic() + self._stall_s
        while thread.is_alive():
            thread.join(_TICK_S)
            now = done()
            if now != before:
                before, until = now, time.monotonic() + self._stall_s
            yield Progress(done=now, total=self.total if now else 0)
            if thread.is_alive() and time.monotonic() > until:
                raise ValueError("The Hugging Face hub does not answer: check the connection, and try again later.")
        if errors:
            raise ValueError(self._sentence(errors[0])) from None  # the text of the cause might hold the token
        return answers[0]

    def _sentence(self, error: BaseException) -> str:
        """Return what went wrong, and what to do; never with the token."""
        while isinstance(error, RuntimeError) and error.__cause__ is not None:  # “Error while uploading …”
            error = error.__cause__
        status = getattr(getattr(error, "response", None), "status_code", 0)
        if status == 401:
            forget_token(hub_endpoint(), self._token)
            return "The hub does not accept this token: make one that may write, at huggingface.co/settings/tokens."
        if status == 403:
            return f"This token may not write to {self._name}{self._words(error)}: use one that may, or another name."
        if status == 413:
            return f"The hub takes no upload of {format_size(self.total)}: export the folder, and split its files."
        if status == 429:
            return "The hub has had too many requests from this account: wait an hour, and try again."
        if status >= 500:
            return f"The hub has a fault of its own ({status}): try again later."
        if str(error).startswith(_BAD_CARD):
            said = " ".join(str(error).removeprefix(_BAD_CARD).split()).strip(".- ")
            return (
                f"The hub does not take the model card ({said[:_MAX_SAID]}): name a licence of its list, such as mit."
            )
        if status:
            return f"The hub refuses {self._name} ({status}){self._words(error)}: choose another name, or try again."
        kinds = {kind.__name__ for kind in type(error).__mro__}  # the library moves these classes between its modules
        if "OfflineModeIsEnabled" in kinds:
            return "HF_HUB_OFFLINE is set, so nothing is sent to the Hugging Face hub: unset it, and try again."
        if kinds & {"TransportError", "TimeoutException", "ConnectionError", "OSError"}:
            return "The Hugging Face hub cannot be reached: connect to the internet, and try again."
        return f"The hub answers in a way that is not understood ({type(error).__name__}): try again later."

    def _words(self, error: BaseException) -> str:
        """Return the hub's own message, in parentheses."""
        said = " ".join(str(getattr(error, "server_message", None) or "").split()).replace(self._token, "…")
        return f" (“{said[:_MAX_SAID].rstrip('.')}”)" if said else ""
