"""The Hugging Face hub, recorded and served on loopback: search, details, first rows, download, resume, offline."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest

from terrarium.models.corpora.hub import PARQUET_REVISION, Hub, HubSplit
from terrarium.models.events import Progress, result_of
from tests.models.data.recorded_hub import FILMS, GATED, ROWS, RecordedHub, recorded_hub


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RecordedHub]:
    with recorded_hub(tmp_path_factory.mktemp("hub")) as recorded:
        yield recorded


@pytest.fixture
def recorded(served: RecordedHub) -> RecordedHub:
    served.asked.clear()
    served.holds_after = None
    return served


def test_search_says_licence_downloads_and_whether_it_is_gated(recorded: RecordedHub) -> None:
    films, secrets = result_of(recorded.hub.search(""))
    assert (films.id, films.licence, films.downloads, films.gated) == (FILMS, "mit", 1234, False)
    assert films.tasks == ("text-classification",)
    assert films.languages == ("en",)
    assert films.description == "Sentences about films, and whether they are good."
    assert secrets.gated
    (only,) = result_of(recorded.hub.search("films", task="text-classification", language="en", sort="likes"))
    assert only.id == FILMS


def test_details_have_splits_with_rows_and_bytes(recorded: RecordedHub) -> None:
    details = result_of(recorded.hub.details(FILMS))
    assert details.configs == ("default",)
    n_bytes = len(recorded.files["default/train/0000.parquet"])
    assert details.splits[0] == HubSplit(config="default", split="train", n_rows=60, n_bytes=n_bytes)
    assert not details.problem


def test_a_gated_dataset_says_what_to_do(recorded: RecordedHub) -> None:
    details = result_of(recorded.hub.details(GATED))
    assert details.splits == ()
    assert "hf auth login" in details.problem


def test_first_rows_have_the_names_of_labels(recorded: RecordedHub) -> None:
    rows = result_of(recorded.hub.first_rows(FILMS, "default", "train"))
    assert rows.columns == (("text", "string"), ("label", "label"))
    assert rows.rows[0] == ("The film number 0 was bad.", "bad")
    assert not any(PARQUET_REVISION in path for path, _ in recorded.asked), "nothing is downloaded for it"


def test_download_gives_the_files_of_each_split(recorded: RecordedHub, tmp_path: Path) -> None:
    work = recorded.hub.download(FILMS, "default", ("train", "test"), tmp_path)
    events = []
    while True:
        try:
            events.append(next(work))
        except StopIteration as end:
            paths = end.value
            break
    totals = [event for event in events if isinstance(event, Progress) and event.total]
    assert totals[-1].done == totals[-1].total == sum(map(len, recorded.files.values()))
    (train,) = paths["train"]
    assert duckdb.connect().execute(f"SELECT count(*) FROM '{train}'").fetchall() == [(len(ROWS["train"]),)]
    recorded.asked.clear()
    result_of(recorded.hub.download(FILMS, "default", ("train", "test"), tmp_path))
    assert not any("/resolve/" in path for path, _ in recorded.asked), "what is there is not loaded again"


def begin_and_close(recorded: RecordedHub, folder: Path) -> Path:
    """Download 100 bytes and close the download; returns what it keeps."""
    recorded.holds_after = 100
    work = recorded.hub.download(FILMS, "default", ("train",), folder)
    while True:
        event = next(work)
        if isinstance(event, Progress) and event.total and event.done:
            break
    work.close()
    recorded.holds_after = None
    assert not list(folder.glob("*.parquet"))
    (part,) = folder.iterdir()
    return part


def test_a_closed_download_goes_on_from_where_it_was(recorded: RecordedHub, tmp_path: Path) -> None:
    begin_and_close(recorded, tmp_path)
    paths = result_of(recorded.hub.download(FILMS, "default", ("train",), tmp_path))
    assert paths["train"][0].read_bytes() == recorded.files["default/train/0000.parquet"]
    assert recorded.asked[-1] == (
        f"/datasets/{FILMS}/resolve/{PARQUET_REVISION}/default/train/0000.parquet",
        "bytes=100-",
    )


def test_a_damaged_download_is_refused_and_not_kept(recorded: RecordedHub, tmp_path: Path) -> None:
    begin_and_close(recorded, tmp_path).write_bytes(b"x" * 100)
    with pytest.raises(ValueError, match="arrived damaged"):
        result_of(recorded.hub.download(FILMS, "default", ("train",), tmp_path))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("config", ["default", "other"])
def test_what_the_hub_lacks_is_said_in_a_sentence(recorded: RecordedHub, tmp_path: Path, config: str) -> None:
    with pytest.raises(ValueError, match="Parquet"):
        result_of(recorded.hub.download(FILMS, config, ("validation",), tmp_path))
    with pytest.raises(ValueError, match="is not on the Hugging Face hub"):
        result_of(recorded.hub.details("somebody/nothing"))


def test_offline_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{free.getsockname()[1]}"
    with pytest.raises(ValueError, match="cannot be reached: connect to the internet"):
        result_of(Hub(address).search("films"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(ValueError, match="HF_HUB_OFFLINE is set"):
        result_of(Hub(address).search("films"))


def test_the_address_is_that_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", "https://mirror.example/")
    assert Hub().endpoint == "https://mirror.example"
    assert Hub().viewer == "https://datasets-server.mirror.example"
