"""Models of a hub on loopback: searched, looked into, downloaded, resumed, checked and imported."""

from __future__ import annotations

import json
import shutil
import socket
from collections import namedtuple
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from filelock import FileLock

from terrarium.models import load_model
from terrarium.models.events import Phase, Progress, result_of
from terrarium.models.interop.hub.downloading import discard, download_model, downloaded_runs, downloads_of, kept_bytes
from terrarium.models.interop.hub.hub_models import SAFETENSORS, ModelHub
from terrarium.models.library.library import Library
from tests.models.interop.hub.served_hub import (
    F32,
    GATED,
    GGUF,
    LLAMA,
    PICKLED,
    Q8,
    REVISION,
    STRANGE,
    ServedHub,
    served_hub,
)
from tests.models.interop.support import drive

WEIGHTS = f"/{LLAMA}/resolve/{REVISION}/model.safetensors"


def test_a_search_says_what_runs_here(served: ServedHub) -> None:
    found = {model.id: model for model in result_of(served.hub.search("tiny"))}
    llama = found[LLAMA]
    assert (llama.licence, llama.downloads, llama.gated, llama.problem) == ("mit", 1234, False, "")
    assert (llama.architecture, llama.n_parameters) == ("LlamaForCausalLM", 70_000)
    assert found[GGUF].architecture == "llama"
    assert found[GATED].gated
    assert "pickled" not in found[LLAMA].problem
    assert "safetensors or GGUF" in found[PICKLED].problem
    assert "MambaForCausalLM does not run here" in found[STRANGE].problem
    assert [model.id for model in result_of(served.hub.search("strange"))] == [STRANGE]


def test_details_have_what_is_downloaded_and_no_code(served: ServedHub) -> None:
    details = result_of(served.hub.details(LLAMA))
    assert not details.problem
    (variant,) = details.variants
    names = [file.name for file in variant.files]
    assert names[-1] == "model.safetensors", "the largest comes last"
    assert {"config.json", "tokenizer.json", "model.safetensors"} <= set(names)
    assert not any("/" in name or name.endswith((".bin", ".py")) for name in names)
    assert variant.n_bytes == sum(len(served.files[LLAMA][name]) for name in names)
    assert details.context == 64
    assert details.config is not None
    ggufs = result_of(served.hub.details(GGUF))
    assert [each.name for each in ggufs.variants] == [Q8, F32], "the proposed one first; parts are none"
    assert (ggufs.context, ggufs.n_parameters) == (64, 70_000)


def test_a_download_is_a_run_and_leaves_nothing_else(served: ServedHub, library: Library) -> None:
    events, run = drive(download_model(library, served.hub, LLAMA))
    phases = [event.name for event in events if isinstance(event, Phase)]
    assert phases[:2] == [f"Asking {served.hub.host}", "Downloading"]
    (variant,) = result_of(served.hub.details(LLAMA)).variants
    shares = [event for event in events if isinstance(event, Progress) and event.total == variant.n_bytes]
    assert shares[-1].done == variant.n_bytes
    assert (run.name, run.status) == ("llama", "imported")
    assert run.lineage["source"]["path"] == f"{served.address}/{LLAMA}"
    assert (run.lineage["source"]["revision"], run.lineage["source"]["licence"]) == (REVISION, "mit")
    model, tokenizer = load_model(run.folder)
    assert tokenizer is not None
    assert torch.isfinite(model(torch.zeros(1, 4, dtype=torch.long))).all()
    assert not downloads_of(library, LLAMA).exists()
    assert downloaded_runs(library) == {LLAMA: run.id}
    assert not any(path.endswith((".bin", ".py")) for path, *_ in served.asked)
    assert drive(download_model(library, served.hub, LLAMA))[1].name == "llama 2"


def test_a_gguf_file_can_be_chosen(served: ServedHub, library: Library) -> None:
    _, run = drive(download_model(library, served.hub, GGUF, F32, name="mine"))
    assert run.name == "mine"
    (kept,) = run.folder.rglob("*.gguf")
    assert kept.read_bytes() == served.files[GGUF][F32]
    assert not any(path.endswith(Q8) for path, *_ in served.asked)
    with pytest.raises(ValueError, match=f"has no file 'other.gguf': choose one of {Q8}, {F32}"):
        drive(download_model(library, served.hub, GGUF, "other.gguf"))


def begin_and_close(served: ServedHub, library: Library) -> None:
    """Download the small files and 1,000 bytes of the weights, and close the download."""
    served.holds_after = 1000
    work = download_model(library, served.hub, LLAMA)
    while weights_of(library) < 1000:
        next(work)
    work.close()
    served.holds_after = None


def weights_of(library: Library) -> int:
    """Bytes of the weights that have arrived, as far as the file's size tells."""
    return sum(path.stat().st_size for path in downloads_of(library, LLAMA).rglob("model.safetensors.*.part"))


def test_a_closed_download_resumes(served: ServedHub, library: Library) -> None:
    begin_and_close(served, library)
    assert not library.list_runs()
    assert kept_bytes(library, LLAMA) > weights_of(library) == 1000
    served.asked.clear()
    drive(download_model(library, served.hub, LLAMA))
    assert [asked for path, asked, _ in served.asked if path == WEIGHTS] == ["bytes=1000-"]
    assert [run.name for run in library.list_runs()] == ["llama"]


def test_what_a_stopped_download_left_can_be_deleted(served: ServedHub, library: Library) -> None:
    begin_and_close(served, library)
    discard(library, LLAMA)
    assert not kept_bytes(library, LLAMA)
    discard(library, LLAMA)


def test_a_server_without_ranges_sends_it_all_again(served: ServedHub, library: Library) -> None:
    begin_and_close(served, library)
    served.ignores_ranges = True
    assert drive(download_model(library, served.hub, LLAMA))[1].name == "llama"


def test_a_lost_connection_goes_on_by_itself(served: ServedHub, library: Library) -> None:
    served.cuts = [500, 700]
    drive(download_model(library, served.hub, LLAMA))
    assert sum(1 for path, asked, _ in served.asked if asked) >= 2
    assert library.list_runs()


def test_what_has_arrived_outlives_a_connection_that_is_lost_again_and_again(
    served: ServedHub, library: Library
) -> None:
    served.cuts = [300] * 20
    with pytest.raises(ValueError, match="cannot be reached: connect to the internet"):
        drive(download_model(library, served.hub, LLAMA))
    arrived = weights_of(library)
    assert arrived >= 300
    served.behave()
    drive(download_model(library, served.hub, LLAMA))
    assert [asked for path, asked, _ in served.asked if path == WEIGHTS] == [f"bytes={arrived}-"]


@pytest.mark.parametrize("wrong", ["sum", "part"])
def test_what_arrives_damaged_is_never_a_run(served: ServedHub, library: Library, wrong: str) -> None:
    if wrong == "sum":
        served.sums["model.safetensors"] = "0" * 64
    else:
        begin_and_close(served, library)
        (part,) = downloads_of(library, LLAMA).rglob("model.safetensors.*.part")
        part.write_bytes(b"x" * 1000)
    with pytest.raises(ValueError, match=r"arrived damaged \(model.safetensors\): start it again"):
        drive(download_model(library, served.hub, LLAMA))
    assert not library.list_runs()
    assert not list(downloads_of(library, LLAMA).rglob("model.safetensors*"))
    served.behave()
    assert drive(download_model(library, served.hub, LLAMA))[1].name == "llama"


def test_small_files_are_checked_too(served: ServedHub, library: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    files = served.files[LLAMA]
    announced = served.info(LLAMA, with_files=True)
    monkeypatch.setattr(served, "info", lambda id, with_files: announced)
    monkeypatch.setitem(files, "tokenizer.json", files["tokenizer.json"].replace(b"a", b"b"))
    with pytest.raises(ValueError, match=r"arrived damaged \(tokenizer.json\)"):
        drive(download_model(library, served.hub, LLAMA))


def test_weights_come_from_another_host_without_the_login(
    served: ServedHub, library: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    with served_hub(served.files) as other:
        served.elsewhere = other.address.replace("127.0.0.1", "localhost")
        served.cuts, other.cuts = [], [2000]
        drive(download_model(library, served.hub, LLAMA))
        assert {token for *_, token in served.asked} == {"Bearer hf_secret"}
        assert [(asked, token) for path, asked, token in other.asked if path == WEIGHTS] == [
            ("", ""),
            ("bytes=2000-", ""),
        ]


@pytest.mark.parametrize(
    ("path", "status", "sentence"),
    [
        (f"/api/models/{LLAMA}", 401, "may not be read with this login: log in with “hf auth login”"),
        (f"/api/models/{LLAMA}", 429, "too many requests from here: wait some minutes"),
        (f"/api/models/{LLAMA}", 503, r"a fault of its own \(503\): try again later"),
        (WEIGHTS, 429, "too many requests from here"),
        (WEIGHTS, 500, r"a fault of its own \(500\)"),
        (WEIGHTS, 403, "may not be read with this login"),
    ],
)
def test_what_the_hub_refuses_is_said_in_a_sentence(
    served: ServedHub, library: Library, path: str, status: int, sentence: str
) -> None:
    served.status[path] = status
    with pytest.raises(ValueError, match=sentence):
        drive(download_model(library, served.hub, LLAMA))
    assert not library.list_runs()


@pytest.mark.parametrize(
    ("id", "sentence"),
    [
        (GATED, "is gated: accept its terms at https://huggingface.co/tiny/secret"),
        (PICKLED, "Has no weights as safetensors or GGUF .only pickled ones"),
        (STRANGE, "MambaForCausalLM does not run here"),
        ("tiny/nothing", "is not on the Hugging Face hub, or is private: check its name"),
        ("../../etc", "is not on the Hugging Face hub"),
    ],
)
def test_what_cannot_be_opened_is_not_downloaded(served: ServedHub, library: Library, id: str, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        drive(download_model(library, served.hub, id))
    assert not any(path.endswith(".safetensors") for path, *_ in served.asked)
    assert not (library.home / "downloads").exists()


def test_weights_without_a_checksum_are_refused(
    served: ServedHub, library: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    announced = served.info(LLAMA, with_files=True)
    for file in announced["siblings"]:  # type: ignore[attr-defined]
        file.pop("lfs", None)
    monkeypatch.setattr(served, "info", lambda id, with_files: announced)
    with pytest.raises(ValueError, match="no checksums"):
        drive(download_model(library, served.hub, LLAMA))


def test_a_full_disk_is_said_before_anything_is_downloaded(
    served: ServedHub, library: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(10**9, 10**9, 1000))
    with pytest.raises(
        ValueError, match=r"needs .* on the disk .* to download, .* but 1000 B are free there: make room"
    ):
        drive(download_model(library, served.hub, LLAMA))
    assert not any("/resolve/" in path and not path.endswith("config.json") for path, *_ in served.asked)


def test_a_model_too_large_for_the_memory_is_refused_before_anything_is_downloaded(
    served: ServedHub, library: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ValueError, match=r"Needs about .* KiB of memory, and 1000 B are free: close other programs"):
        drive(download_model(library, served.hub, LLAMA, n_free=1000))
    assert not any("/resolve/" in path and not path.endswith("config.json") for path, *_ in served.asked)
    monkeypatch.setitem(served.files, "tiny/large", served.files[LLAMA] | {"config.json": large_config(served)})
    with pytest.raises(ValueError, match=r"2.00 GiB are free: SmolLM2 360M Instruct would fit"):
        drive(download_model(library, served.hub, "tiny/large", n_free=2**31))


def large_config(served: ServedHub) -> bytes:
    """The config of a Llama with a billion parameters."""
    raw = json.loads(served.files[LLAMA]["config.json"])
    return json.dumps(raw | {"vocab_size": 10_000_000, "hidden_size": 128}).encode()


def test_more_than_was_announced_is_cut_off(
    served: ServedHub, library: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    announced = served.info(LLAMA, with_files=True)
    monkeypatch.setattr(served, "info", lambda id, with_files: announced)
    files = served.files[LLAMA]
    monkeypatch.setitem(files, "model.safetensors", files["model.safetensors"] + b"x" * 50_000_000)
    work, most = download_model(library, served.hub, LLAMA), 0
    problem = ""
    while not problem:
        try:
            next(work)
        except ValueError as error:
            problem = str(error)
        most = max(most, weights_of(library))
    assert "arrived damaged" in problem
    assert most < 25_000_000


def test_two_programs_do_not_download_one_model(served: ServedHub, library: Library) -> None:
    folder = downloads_of(library, LLAMA)
    folder.parent.mkdir(parents=True)
    with (
        FileLock(folder.with_name(f"{folder.name}.lock"), thread_local=False),
        pytest.raises(ValueError, match="by another Terrarium already"),
    ):
        drive(download_model(library, served.hub, LLAMA))


def test_offline_is_one_sentence(library: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        hub = ModelHub(f"http://127.0.0.1:{free.getsockname()[1]}")
    asks: list[Callable[[], object]] = [
        lambda: result_of(hub.search("llama")),
        lambda: result_of(download_model(library, hub, LLAMA)),
    ]
    for ask in asks:
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
        with pytest.raises(ValueError, match="cannot be reached: connect to the internet"):
            ask()
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
        with pytest.raises(ValueError, match="HF_HUB_OFFLINE is set"):
            ask()


def test_a_newer_version_replaces_what_is_left_of_an_older_one(served: ServedHub, library: Library) -> None:
    old = downloads_of(library, LLAMA) / ("f" * 40)
    old.mkdir(parents=True)
    (old / "config.json").write_text(json.dumps({}), encoding="utf-8")
    (old.parent / ".DS_Store").touch()
    begin_and_close(served, library)
    assert not old.exists()


def test_names_of_a_hub_are_no_paths(served: ServedHub, library: Library, tmp_path: Path) -> None:
    drive(download_model(library, served.hub, LLAMA))
    assert not list(tmp_path.rglob("out.safetensors"))
    assert result_of(served.hub.details(LLAMA)).variant().name == SAFETENSORS


def test_a_config_that_is_none_is_said(served: ServedHub, library: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    announced = served.info(LLAMA, with_files=True)
    monkeypatch.setattr(served, "info", lambda id, with_files: announced)
    for wrong in (b"[]", b"{", b'{"a": "' + b"x" * 3_000_000 + b'"}'):
        monkeypatch.setitem(served.files[LLAMA], "config.json", wrong)
        with pytest.raises(ValueError, match=r"config.json of “tiny/llama” cannot be read: choose another model"):
            drive(download_model(library, served.hub, LLAMA))
