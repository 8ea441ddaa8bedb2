"""`terrarium data search` and `download`: datasets of a hub on loopback."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from terrarium.app.cli import main
from terrarium.app.commands import data
from terrarium.models.library.library import Library
from tests.models.data.recorded_hub import FILMS, GATED, RecordedHub, recorded_hub


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RecordedHub]:
    with recorded_hub(tmp_path_factory.mktemp("hub")) as recorded:
        yield recorded


@pytest.fixture(autouse=True)
def hub(served: RecordedHub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(data, "Hub", lambda: served.hub)


def test_a_search_lists_what_is_found(library: Library, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["data", "search", "films"]) == 0
    assert capsys.readouterr().out == f"{FILMS}  (1.23 k downloads, mit)\n"
    assert main(["data", "search", "somebody", "--json"]) == 0
    assert [each["id"] for each in json.loads(capsys.readouterr().out)["datasets"]] == [FILMS, GATED]
    assert main(["data", "search", "nothing of that name"]) == 0
    assert capsys.readouterr().out == "Nothing found: try other words.\n"


def test_a_download_can_be_imported(library: Library, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["data", "download", FILMS]) == 0
    folder = Path(capsys.readouterr().out.strip())
    assert folder.is_relative_to(library.home / "downloads")
    assert sorted(path.suffix for path in folder.iterdir()) == [".parquet"] * 2
    assert main(["data", "import", str(folder), "--task", "classification", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["dataset"]["rows"]["test"] == 20


def test_one_part_goes_to_a_folder(library: Library, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["data", "download", FILMS, "--split", "test", "--out", str(tmp_path / "films"), "--json"]
    assert main(words) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["folder"], found["config"], list(found["files"])) == (str(tmp_path / "films"), "default", ["test"])


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ((GATED,), "hf auth login"),
        ((FILMS, "--config", "other"), "no configuration 'other': use default"),
        ((FILMS, "--split", "other"), "choose another one"),
    ],
)
def test_what_cannot_be_downloaded_is_said(
    words: tuple[str, ...], sentence: str, library: Library, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["data", "download", *words]) == 1
    assert sentence in capsys.readouterr().err
