"""The hub's page on a recorded hub: search, look into a dataset, download it, and go on to its columns."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from PySide6.QtCore import Qt
from pytestqt.qtbot import QtBot

from terrarium.app.data.data_tab import DataTab
from terrarium.app.data.hub_page import HubPage
from terrarium.app.session.session import Session
from terrarium.models.corpora.hub import Hub
from tests.models.data.recorded_hub import FILMS, GATED, RecordedHub, recorded_hub

Until = Callable[[Callable[[], bool]], None]


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RecordedHub]:
    with recorded_hub(tmp_path_factory.mktemp("hub")) as recorded:
        yield recorded


@pytest.fixture
def page(tab: DataTab, served: RecordedHub) -> HubPage:
    tab.views.show_view("hub")
    page: HubPage = tab.views.view("hub")
    page.hub = served.hub
    served.holds_after = None
    return page


def test_rows_and_licence_are_seen_before_the_download(page: HubPage, qtbot: QtBot, until: Until) -> None:
    page.query.setText("films")
    qtbot.keyClick(page.query, Qt.Key.Key_Return)
    until(lambda: not page.busy)
    assert page.state.text() == "1 dataset found."
    page.results.setCurrentRow(0)
    until(lambda: not page.busy)
    assert page.licence.text() == "licence: mit"
    assert not page.gated.isVisible()
    assert list(page.splits) == ["train", "test"]
    assert page.splits["train"].text().startswith("train: 60 rows, ")
    assert page.rows.texts()[1][1] == "good"
    assert page.download.isEnabled()
    for tick in page.splits.values():
        tick.click()
    assert not page.download.isEnabled()


def test_a_download_goes_on_to_the_columns(
    page: HubPage, tab: DataTab, served: RecordedHub, session: Session, until: Until
) -> None:
    page.search()
    until(lambda: page.results.item_of(FILMS) is not None)
    page.results.setCurrentRow(0)
    until(lambda: not page.busy)
    served.holds_after = 100
    page.download.click()
    until(lambda: page.work.phase.text().startswith("100 B of "))
    page.cancel.click()
    assert not page.busy
    assert page.download.isVisible()
    served.holds_after = None
    page.download.click()
    until(lambda: tab.views.current == "import" and tab.draft.can_import)
    assert tab.draft.name == "films"
    assert tab.draft.task == "classification"
    folder = Path(tab.draft.paths[0]).parent
    assert folder.is_relative_to(session.library.home)
    tab.views.importing.import_button.click()
    until(lambda: bool(session.datasets.list()))
    (info,) = session.datasets.list()
    assert set(info.corpus.splits) == {"train", "val", "test"}
    assert not folder.exists(), "the library has its rows now"


def test_a_gated_dataset_and_no_hub_are_said_in_a_sentence(page: HubPage, until: Until) -> None:
    page.query.setText("secrets")
    page.search()
    until(lambda: page.results.item_of(GATED) is not None)
    page.results.setCurrentRow(0)
    until(lambda: not page.busy)
    assert page.gated.isVisible()
    assert "hf auth login" in page.problem.text()
    assert not page.download.isVisible()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        page.hub = Hub(f"http://127.0.0.1:{free.getsockname()[1]}")
    page.search()
    until(lambda: not page.busy)
    assert page.state.text().startswith("The Hugging Face hub cannot be reached")
