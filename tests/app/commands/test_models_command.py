"""`terrarium models`: the short list, the search, and the download, on a hub on loopback."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest

from terrarium.app.cli import main
from terrarium.models.interop.hub.catalogue import listed_models
from terrarium.models.library.library import Library
from tests.models.interop.hub.served_hub import F32, GGUF, LLAMA, STRANGE, ServedHub, served_hub, tiny_models


@pytest.fixture(scope="module")
def serving(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServedHub]:
    with served_hub(tiny_models(tmp_path_factory.mktemp("tiny models"))) as served:
        yield served


@pytest.fixture
def served(serving: ServedHub, library: Library, monkeypatch: pytest.MonkeyPatch) -> ServedHub:
    serving.behave()
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", serving.address)  # both come from HF_ENDPOINT
    template = f"{serving.address}/{{repo_id}}/resolve/{{revision}}/{{filename}}"
    monkeypatch.setattr("huggingface_hub.constants.HUGGINGFACE_CO_URL_TEMPLATE", template)
    return serving


def test_the_list_asks_nothing(
    served: ServedHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("HF_HOME", "HF_HUB_CACHE", "OLLAMA_MODELS"):
        monkeypatch.setenv(name, str(tmp_path / "nothing"))
    monkeypatch.setenv("LLAMA_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(Path, "home", lambda: tmp_path / "nobody")
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / "mine.gguf").write_bytes(b"GGUF")
    assert main(["models", "list"]) == 0
    out = capsys.readouterr().out
    assert all(model.id in out for model in listed_models())
    assert "mine  (llama.cpp, 4 B)" in out
    assert main(["models", "list", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [model["id"] for model in found["listed"]] == [model.id for model in listed_models()]
    assert found["on_disk"][0]["path"] == str(tmp_path / "cache" / "mine.gguf")
    assert served.asked == []


def test_a_search_has_what_runs_here_or_all(served: ServedHub, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models", "search", "tiny"]) == 0
    out = capsys.readouterr().out
    assert f"{LLAMA}  (70.0 k parameters, 1.23 k downloads, mit)" in out
    assert STRANGE not in out
    assert "2 models more that cannot run here" in out
    assert main(["models", "search", "tiny", "--all", "--json"]) == 0
    found = {model["id"]: model for model in json.loads(capsys.readouterr().out)["models"]}
    assert "MambaForCausalLM" in found[STRANGE]["problem"]
    assert main(["models", "search", "nothing", "like", "it"]) == 0
    assert "try other words" in capsys.readouterr().out


def test_a_download_prints_the_run(served: ServedHub, library: Library, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models", "download", LLAMA]) == 0
    assert Path(capsys.readouterr().out.strip()) == library.find_run("llama")
    assert main(["models", "download", GGUF, "--file", F32, "--name", "mine", "--json"]) == 0
    captured = capsys.readouterr()
    assert json.loads(captured.out)["run"] == str(library.find_run("mine"))
    assert any(json.loads(line)["event"] == "Phase" for line in captured.err.splitlines())


def test_what_goes_wrong_is_one_sentence(
    served: ServedHub, library: Library, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert main(["models", "download", STRANGE]) == 1
    assert "MambaForCausalLM does not run here" in capsys.readouterr().err
    monkeypatch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(available=1000))
    assert main(["models", "download", LLAMA]) == 1
    assert "Needs about 262 KiB of memory, and 1000 B are free" in capsys.readouterr().err
    assert not library.list_runs()
    assert main(["models", "download", LLAMA, "--anyway"]) == 0
    assert main(["models"]) == 2
    assert main(["models", "download"]) == 2
