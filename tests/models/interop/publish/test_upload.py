"""Uploading a model to a hub that runs on this computer, and the sentences where it refuses."""

from __future__ import annotations

import io
import logging
import re
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from huggingface_hub import constants

from terrarium.app.cli import main
from terrarium.models.events import Event, Notice, Phase, Progress
from terrarium.models.interop.export import export_hf
from terrarium.models.interop.publish import hub_token
from terrarium.models.interop.publish.hub_token import check_token, find_token
from terrarium.models.interop.publish.upload import check_hub_name, push_hf, upload_folder
from terrarium.models.tokenizers import train_tokenizer
from tests.models.interop.publish.fake_hub import TOKEN, FakeHub, running_hub
from tests.models.interop.publish.test_gguf_export import LLAMA
from tests.models.interop.support import drive
from tests.models.interop.test_export import random_model

# Of huggingface_hub, on its way to its own HTTP library.
pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")


class Keyring:
    """A keyring in memory."""

    priority = 5.0

    def __init__(self) -> None:
        self.kept: dict[tuple[str, str], str] = {}

    def get_password(self, service: str, name: str) -> str | None:
        """What is kept."""
        return self.kept.get((service, name))

    def set_password(self, service: str, name: str, password: str) -> None:
        """Keep it."""
        self.kept[service, name] = password

    def delete_password(self, service: str, name: str) -> None:
        """Keep it no longer."""
        del self.kept[service, name]


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeHub]:
    with running_hub() as hub:
        monkeypatch.setattr(constants, "ENDPOINT", hub.address)
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        monkeypatch.setattr("huggingface_hub.utils._http.time.sleep", lambda seconds: None)
        yield hub


@pytest.fixture(autouse=True)
def keyring(monkeypatch: pytest.MonkeyPatch) -> Keyring:
    monkeypatch.delenv("HF_TOKEN", raising=False)
    monkeypatch.setattr("huggingface_hub.get_token", lambda: None)
    ring = Keyring()
    monkeypatch.setattr(hub_token, "_keyring", lambda: ring)
    return ring


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    tokenizer = train_tokenizer(["Anna has a red ball, isn't it? Ben's 12 bells 345."] * 9, "bpe", 300)
    _, out = drive(
        export_hf(random_model(LLAMA), tokenizer, tmp_path / "model", card="---\nlicense: mit\n---\n# Small\n")
    )
    return out


def temporary(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """An empty folder for everything temporary."""
    place = tmp_path / "temporary"
    place.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(place))
    return place


def test_a_model_is_uploaded_private_in_one_commit(
    hub: FakeHub, folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, keyring: Keyring
) -> None:
    place = temporary(monkeypatch, tmp_path)
    seen, address = drive(push_hf(folder, "small", TOKEN, keep=True))
    assert address == f"{hub.address}/anna/small"
    assert hub.models == {"anna/small": True}
    assert hub.tokens == {TOKEN}
    assert hub.files["model.safetensors"] == (folder / "model.safetensors").read_bytes()
    assert set(hub.files) == {path.name for path in folder.iterdir()} - {"README.md"}
    sent = [event.done for event in seen[seen.index(Phase(name="Uploading")) :] if isinstance(event, Progress)]
    assert sent == sorted(sent)
    assert sent[-1] >= (folder / "model.safetensors").stat().st_size
    assert Notice(sentence="The token is kept in the system keyring.") in seen
    assert list(keyring.kept.values()) == [TOKEN]
    assert find_token(hub.address) == TOKEN
    assert not list(place.iterdir())
    assert not any(TOKEN.encode() in path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())


def test_the_whole_folder_goes_with_its_card_and_its_bytes_are_counted(hub: FakeHub, folder: Path) -> None:
    seen, address = drive(upload_folder(folder, "club/small", TOKEN, public=True))
    assert address == f"{hub.address}/club/small"
    assert hub.models == {"club/small": False}
    assert hub.files == {path.name: path.read_bytes() for path in folder.iterdir()}
    total = sum(path.stat().st_size for path in folder.iterdir())
    assert all(event.total in (0, total) for event in seen if isinstance(event, Progress))


def refused(hub: FakeHub, folder: Path, *, stall_s: float = 60, public: bool = False) -> str:
    """The sentence with which an upload ends."""
    with pytest.raises(ValueError, match=r"\.$") as caught:
        drive(upload_folder(folder, "small", TOKEN, stall_s=stall_s, public=public))
    sentence = str(caught.value)
    assert TOKEN not in sentence
    assert "\n" not in sentence
    assert caught.value.__cause__ is None
    return sentence


@pytest.mark.parametrize(
    ("where", "status", "words"),
    [
        ("/repos/create", 401, "does not accept this token"),
        ("/repos/create", 403, "may not write to small"),
        ("/preupload/", 403, "may not write to small"),
        ("/store/", 413, "takes no upload of"),
        ("/commit/", 413, "takes no upload of"),
        ("/repos/create", 429, "too many requests"),
        ("/repos/create", 500, "a fault of its own (500)"),
        ("/preupload/", 500, "a fault of its own (500)"),
        ("/commit/", 503, "a fault of its own (503)"),
        ("/validate-yaml", 400, "does not take the model card"),
        ("/commit/", 400, "refuses small (400)"),
    ],
)
def test_a_hub_that_refuses(
    hub: FakeHub, folder: Path, where: str, status: int, words: str, caplog: pytest.LogCaptureFixture
) -> None:
    hub.fails = {where: status}
    logger = logging.getLogger("huggingface_hub")
    logger.addHandler(caplog.handler)
    try:
        assert words in refused(hub, folder)
    finally:
        logger.removeHandler(caplog.handler)
    assert not hub.files
    assert not caplog.records, "its library does not speak for itself"


def test_what_the_hub_says_is_repeated_without_the_token(hub: FakeHub, folder: Path) -> None:
    hub.fails, hub.says = {"/repos/create": 403}, f"The storage of {TOKEN} is full."
    assert refused(hub, folder) == (
        "This token may not write to small (“The storage of … is full”): use one that may, or another name."
    )


@pytest.mark.parametrize("where", ["/repos/create", "/store/", "/commit/"])
def test_a_hub_that_hangs_is_given_up(hub: FakeHub, folder: Path, where: str) -> None:
    hub.hangs = where
    assert "does not answer" in refused(hub, folder, stall_s=0.5)
    assert not hub.files


def test_no_network_and_offline(hub: FakeHub, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        monkeypatch.setattr(constants, "ENDPOINT", f"http://127.0.0.1:{free.getsockname()[1]}")
        assert "cannot be reached: connect to the internet" in refused(hub, folder)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert "HF_HUB_OFFLINE is set" in refused(hub, folder)


def test_closing_it_stops_the_upload(
    hub: FakeHub, folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    place = temporary(monkeypatch, tmp_path)
    hub.hangs = "/preupload/"
    events = push_hf(folder, "small", TOKEN)
    seen: list[Event] = []
    while not any(event == Progress(done=0, total=0) for event in seen):
        seen.append(next(events))
    assert list(place.iterdir())
    events.close()
    assert not list(place.iterdir())
    assert not hub.files


def test_a_model_that_is_there_is_not_written_over(hub: FakeHub, folder: Path) -> None:
    hub.models["anna/small"] = False
    assert "is public: make it private on its page" in refused(hub, folder)
    hub.models["anna/small"] = True
    assert "is private: make it public on its page" in refused(hub, folder, public=True)
    drive(upload_folder(folder, "small", TOKEN))
    assert "has files: choose another name" in refused(hub, folder)


def test_a_token_that_is_refused_is_kept_no_longer(hub: FakeHub, folder: Path, keyring: Keyring) -> None:
    keyring.set_password(hub_token.SERVICE, hub.address, TOKEN)
    hub.fails = {"/repos/create": 401}
    refused(hub, folder)
    assert not keyring.kept


def test_the_environment_comes_before_the_keyring(keyring: Keyring, monkeypatch: pytest.MonkeyPatch) -> None:
    keyring.set_password(hub_token.SERVICE, "https://hub", "hf_of_the_keyring")
    assert find_token("https://hub") == "hf_of_the_keyring"
    assert find_token("https://another") == ""
    monkeypatch.setenv("HF_TOKEN", " hf_of_the_environment\n")
    assert find_token("https://hub") == "hf_of_the_environment"


def test_without_a_keyring_that_is_safe(monkeypatch: pytest.MonkeyPatch, keyring: Keyring) -> None:
    monkeypatch.undo()
    ring = pytest.importorskip("keyring")
    from keyring.backends import fail, null

    for backend in (fail.Keyring(), null.Keyring()):
        monkeypatch.setattr(ring, "get_keyring", lambda backend=backend: backend)
        assert not hub_token.has_keyring()
        assert not hub_token.keep_token("https://hub", TOKEN)
    monkeypatch.setattr(ring, "get_keyring", lambda: keyring)
    assert hub_token.keep_token("https://hub", TOKEN)
    assert find_token("https://hub") == TOKEN


def test_names_and_tokens_that_are_none() -> None:
    for name in ("", "a b", "a/b/c", "-a", "ä", "x" * 120):
        with pytest.raises(ValueError, match=re.escape("is no name for a model on the hub")):
            check_hub_name(name)
    assert check_hub_name(" anna/small-1.5 ") == "anna/small-1.5"
    for token in ("", "two words here", "hf_ä_not_one_of_them", "hf_line\nbreak_in_it"):
        with pytest.raises(ValueError, match=r"token of Hugging Face") as caught:
            check_token(token)
        assert not token or token not in str(caught.value)


def test_the_command_uploads_and_says_where(
    hub: FakeHub, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], keyring: Keyring
) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    asked = []

    def ask(question: str) -> str:
        asked.append(question)
        return TOKEN

    monkeypatch.setattr("sys.stdin", Terminal("mit\n"))
    monkeypatch.setattr("getpass.getpass", ask)
    assert main(["export", str(folder), "--push", "small"]) == 0
    printed = capsys.readouterr()
    assert printed.out == f"{hub.address}/anna/small (private)\n"
    assert "Licence" in printed.err
    assert "The token is kept in the system keyring." in printed.err
    assert TOKEN not in printed.out + printed.err
    assert main(["export", str(folder), "--push", "other", "--licence", "mit", "--public"]) == 1
    assert "has files" in capsys.readouterr().err  # of this fake, which keeps those of all in one place
    assert len(asked) == 1


def test_the_command_without_a_terminal_or_a_token(
    hub: FakeHub, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO())
    assert main(["export", str(folder), "--push", "small"]) == 1
    assert "Uploading needs a token of Hugging Face that may write" in capsys.readouterr().err
    assert main(["export", str(folder), "--push", "small", "--format", "gguf"]) == 2
    assert "--push uploads a Hugging Face folder" in capsys.readouterr().err
    for options in (("--public",), ("--quantisation", "F16"), ("--format", "toml", "--licence", "mit")):
        assert main(["export", str(folder), "--out", "x", *options]) == 2
        assert options[-2 if len(options) > 1 else -1] in capsys.readouterr().err
    assert not hub.models
