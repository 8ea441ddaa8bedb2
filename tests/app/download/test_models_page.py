"""The page “Models” in the window, on a hub on loopback: nothing unasked, search, download, stop, what would fit."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QLabel
from pytestqt.qtbot import QtBot
from tokenizers import Tokenizer

from terrarium.app.download.models_page import DISK, HUB, LISTED, ModelsPage
from terrarium.app.kit.theme import ThemeProvider
from terrarium.app.session.device import Device
from terrarium.app.session.device_memory import DeviceMemory
from terrarium.app.session.session import Session
from terrarium.app.shell.main_window import MainWindow
from terrarium.models.architecture.transformer import build_model
from terrarium.models.events import result_of
from terrarium.models.interop.export import export_hf
from terrarium.models.interop.hub.catalogue import listed_models
from terrarium.models.interop.hub.downloading import downloads_of, kept_bytes
from terrarium.models.interop.hub.hub_models import ModelHub
from terrarium.models.library.run_index import size_on_disk
from terrarium.models.number_words import format_compact, format_size
from terrarium.models.settings.model_config import ModelConfig
from tests.app.small_models import put_model
from tests.models.interop.hub.served_hub import F32, GATED, GGUF, LLAMA, Q8, STRANGE, ServedHub, served_hub, tiny_models

Until = Callable[[Callable[[], bool]], None]


@pytest.fixture(scope="module")
def serving(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServedHub]:
    with served_hub(tiny_models(tmp_path_factory.mktemp("tiny models"))) as served:
        yield served


@pytest.fixture
def served(serving: ServedHub) -> ServedHub:
    serving.behave()
    return serving


@pytest.fixture
def window(
    qtbot: QtBot,
    session: Session,
    theme: ThemeProvider,
    served: ServedHub,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> MainWindow:
    """The window, whose hub is on loopback and whose user has nobody's models."""
    monkeypatch.setattr(Path, "home", lambda: tmp_path / "nobody")
    for name in ("HF_HOME", "HF_HUB_CACHE", "OLLAMA_MODELS", "LLAMA_CACHE"):
        monkeypatch.setenv(name, str(tmp_path / "nothing"))
    session.downloads.hub = served.hub
    window = MainWindow(session, theme)
    qtbot.addWidget(window)
    window.show()
    return window


def open_page(window: MainWindow) -> ModelsPage:
    window.show_models()
    page = window.pages.page("models")
    assert isinstance(page, ModelsPage)
    return page


@pytest.fixture
def page(window: MainWindow) -> ModelsPage:
    return open_page(window)


def arrived(session: Session) -> int:
    """Bytes of the weights that have arrived."""
    parts = downloads_of(session.library, LLAMA).rglob("model.safetensors.*.part")
    return sum(part.stat().st_size for part in parts)


def choose(page: ModelsPage, until: Until, id: str) -> None:
    """Search for a model, and choose it."""
    page.list.show_source(HUB)
    page.list.query.setText("tiny")
    page.list.search_button.click()
    until(lambda: not page.list.busy)
    row = list(page.list._models).index(f"hub/{id}")  # noqa: SLF001
    page.list.results.setCurrentRow(row)
    until(lambda: not page.busy)


def test_home_the_menu_and_the_palette_lead_there(window: MainWindow, qtbot: QtBot) -> None:
    assert window.pages.current == "home"
    qtbot.mouseClick(window.home.published, Qt.MouseButton.LeftButton)
    assert window.pages.current == "models"
    window.show_home()
    (file,) = (action.menu() for action in window.menuBar().actions() if action.text() == "&File")
    next(action for action in file.actions() if action.text() == "&Models…").trigger()  # type: ignore[union-attr]
    assert window.pages.current == "models"
    window.show_home()
    entries = [entry for source in window.palette_sources for entry in source.entries()]
    next(entry for entry in entries if entry.title == "Download a model").do()
    assert window.pages.current == "models"


def test_the_short_list_is_shown_and_nothing_is_asked(page: ModelsPage, served: ServedHub, until: Until) -> None:
    until(lambda: not page.busy)
    assert page.list.results.count() == len(listed_models())
    first = listed_models()[0]
    assert page.card.title.text() == first.name
    assert page.card.figures.number("Download, about") == "257 MiB"
    assert page.card.figures.number("Context") == "8,192"
    assert page.card.download.isVisible()
    assert served.hub.host in page.card.state.text()
    for source in (HUB, DISK, LISTED):
        page.list.show_source(source)
        until(lambda: not page.busy)
    page.list.show_source(HUB)
    assert served.hub.host in page.list.state.text()
    assert served.asked == []


def test_a_found_model_is_downloaded_and_then_chatted_with(
    window: MainWindow, page: ModelsPage, session: Session, until: Until, qtbot: QtBot
) -> None:
    choose(page, until, LLAMA)
    assert page.list.state.text() == "5 models found, 3 that may run here."
    assert page.card.figures.number("Context") == "64"
    assert not page.card.variants.isVisible()
    qtbot.mouseClick(page.card.download, Qt.MouseButton.LeftButton)
    assert not page.card.download.isVisible()
    assert page.card.stop.isVisible()
    until(lambda: page.card.ready.isVisible())
    (run,) = session.runs.list()
    assert (run.name, run.status) == ("llama", "imported")
    assert not page.card.download.isVisible()
    qtbot.mouseClick(page.card.chat, Qt.MouseButton.LeftButton)
    assert window.pages.current == "chat"
    until(lambda: session.chat.state == "ready")
    assert session.chat.model is not None
    assert session.chat.model.run_id == run.id
    window.show_models()
    qtbot.mouseClick(page.card.tune, Qt.MouseButton.LeftButton)
    assert window.pages.current == "training"
    assert window.training.new_run.choices.start.run_id == run.id
    window.show_models()
    page.list.show_source(LISTED)
    choose(page, until, LLAMA)
    assert page.card.ready.isVisible(), "it is known again"
    qtbot.mouseClick(page.card.inside, Qt.MouseButton.LeftButton)
    assert window.pages.current == "chat"


def test_a_stopped_download_resumes_or_is_deleted(
    page: ModelsPage, session: Session, served: ServedHub, until: Until, qtbot: QtBot
) -> None:
    choose(page, until, LLAMA)
    served.holds_after = 1000
    page.card.download.click()
    until(lambda: arrived(session) == 1000 and " of " in page.card.state.text())
    assert session.status.line.words in ("tiny/llama: Downloading", "Loading torch…")
    qtbot.mouseClick(page.card.stop, Qt.MouseButton.LeftButton)
    until(lambda: page.card.discard.isVisible())
    assert "are here already, and the download resumes there" in page.card.state.text()
    qtbot.mouseClick(page.card.discard, Qt.MouseButton.LeftButton)
    assert not kept_bytes(session.library, LLAMA)
    assert not page.card.discard.isVisible()
    page.card.download.click()
    until(lambda: arrived(session) == 1000)
    page.card.stop.click()
    served.behave()
    until(lambda: page.card.download.isVisible() and page.card.download.isEnabled())
    page.card.download.click()
    until(lambda: page.card.ready.isVisible())
    assert any(asked.startswith("bytes=") for _, asked, _ in served.asked)


def test_nothing_found_stays_so_when_the_library_changes(page: ModelsPage, session: Session, until: Until) -> None:
    page.list.show_source(HUB)
    page.list.query.setText("no such model")
    page.list.search_button.click()
    until(lambda: not page.list.busy)
    session.runs.changed.emit()
    until(lambda: not page.list.busy)
    assert page.list.state.text() == "Nothing found: try other words."


def test_a_gguf_file_is_chosen_by_its_size(page: ModelsPage, session: Session, until: Until) -> None:
    choose(page, until, GGUF)
    assert [page.card.variants.itemData(i) for i in range(page.card.variants.count())] == [Q8, F32]
    small = page.card.figures.number("Download, about")
    page.card.variants.setCurrentIndex(1)
    page.card.variants.activated.emit(1)
    assert page.card.figures.number("Download, about") != small
    page.card.download.click()
    until(lambda: page.card.ready.isVisible())
    assert session.runs.list()[0].name == "llama-F32"


@pytest.mark.parametrize(
    ("id", "sentence"), [(STRANGE, "MambaForCausalLM does not run here"), (GATED, "is gated: accept its terms")]
)
def test_what_cannot_be_had_says_why_and_has_no_button(page: ModelsPage, until: Until, id: str, sentence: str) -> None:
    choose(page, until, id)
    assert sentence in page.card.problem.text()
    assert page.card.problem.isVisible()
    assert not page.card.download.isVisible()


def test_a_failed_download_says_why(page: ModelsPage, session: Session, served: ServedHub, until: Until) -> None:
    choose(page, until, LLAMA)
    served.sums["model.safetensors"] = "0" * 64
    page.card.download.click()
    until(lambda: "arrived damaged" in page.card.state.text())
    assert page.card.download.isVisible()
    assert not session.runs.list()
    page.list.show_source(LISTED)
    assert "arrived damaged" not in page.card.state.text(), "that was another model"


def test_a_model_too_large_says_what_would_fit_and_shows_it(
    page: ModelsPage, session: Session, monkeypatch: pytest.MonkeyPatch, qtbot: QtBot, served: ServedHub
) -> None:
    free = DeviceMemory(kind="cpu", label="CPU", n_bytes=2 * 2**30, is_free=True)
    monkeypatch.setattr(Device, "memory", property(lambda self: free))
    page.list.choose("HuggingFaceTB/SmolLM2-1.7B-Instruct")
    assert page.card.fit.isVisible()
    sentence = "Needs about 6.38 GiB of memory, and 2.00 GiB are free: SmolLM2 360M Instruct would fit."
    assert page.card.fit_sentence.text() == sentence
    assert page.card.download.text() == "Download anyway"
    qtbot.mouseClick(page.card.other, Qt.MouseButton.LeftButton)
    assert page.card.title.text() == "SmolLM2 360M Instruct"
    assert page.list.results.current_key == "listed/HuggingFaceTB/SmolLM2-360M-Instruct"
    assert not page.card.fit.isVisible()
    assert page.card.download.text() == "Download"
    assert served.asked == []


def test_offline_says_so_and_lists_what_is_on_disk(
    page: ModelsPage, session: Session, served: ServedHub, until: Until, qtbot: QtBot, window: MainWindow
) -> None:
    file = Path.home() / ".lmstudio/models/somebody/model/llama.gguf"
    file.parent.mkdir(parents=True)
    file.write_bytes(served.files[GGUF][Q8])
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        session.downloads.hub = ModelHub(f"http://127.0.0.1:{free.getsockname()[1]}")
    page.card.download.click()
    until(lambda: page.card.state.text().startswith("The Hugging Face hub cannot be reached"))
    assert page.card.disk.isVisible()
    page.list.show_source(HUB)
    page.list.search_button.click()
    until(lambda: not page.list.busy)
    assert page.list.state.text().startswith("The Hugging Face hub cannot be reached")
    assert page.list.results.count() == 1
    page.list.show_source(LISTED)
    page.list.show_source(HUB)
    assert page.list.state.text().startswith("The Hugging Face hub cannot be reached")
    assert page.list.results.count() == 1, "what is on this computer stays below"
    page.list.show_source(LISTED)
    qtbot.mouseClick(page.card.disk, Qt.MouseButton.LeftButton)
    until(lambda: not page.list.busy)
    assert page.card.title.text() == "llama"
    assert "of LM Studio" in page.list.current.facts  # type: ignore[union-attr]
    qtbot.mouseClick(page.card.take, Qt.MouseButton.LeftButton)
    until(lambda: bool(session.runs.list()) and not window.imports.importer.busy)
    assert session.runs.list()[0].name == "llama"
    assert file.exists()
    until(lambda: any(key.startswith("run/") for key in page.list._models))  # noqa: SLF001


def test_a_download_goes_on_while_another_page_is_shown(
    window: MainWindow, page: ModelsPage, session: Session, until: Until
) -> None:
    choose(page, until, LLAMA)
    page.card.download.click()
    window.show_home()
    until(lambda: bool(session.runs.list()))
    until(lambda: any("is now in your library" in sentence for sentence in window.toasts.sentences))


def test_one_download_at_a_time_and_closing_ends_it(
    page: ModelsPage, window: MainWindow, session: Session, served: ServedHub, until: Until
) -> None:
    choose(page, until, LLAMA)
    served.holds_after = 1000
    page.card.download.click()
    until(lambda: arrived(session) == 1000)
    page.list.show_source(LISTED)
    assert page.card.download.isVisible()
    assert not page.card.download.isEnabled()
    assert "is being downloaded: wait for it, or stop it" in page.card.download.toolTip()
    assert not session.downloads.start("tiny/other")
    window.close()
    assert not session.downloads.busy
    assert not session.runs.list()


def test_an_imported_model_is_chosen_and_says_what_is_known_of_it(
    page: ModelsPage, window: MainWindow, session: Session, byte_tokenizer: Tokenizer, until: Until, tmp_path: Path
) -> None:
    old = put_model(session.library, byte_tokenizer, "decoder-only", name="old")
    page.list.show_source(DISK)
    until(lambda: not page.busy)
    assert page.card.run_id == old
    config = ModelConfig(vocab_size=byte_tokenizer.get_vocab_size(), context_length=96, n_layer=1, n_head=2, d_model=32)
    model = build_model(config)
    folder = result_of(export_hf(model, byte_tokenizer, tmp_path / "new one"))
    window.imports.start(folder)
    until(lambda: not window.imports.importer.busy)
    assert page.card.title.text() == "new one"
    assert page.card.run_id == next(run.id for run in session.runs.list() if run.name == "new one")
    assert page.list.results.current_key == f"run/{page.card.run_id}"
    n = format_compact(sum(parameter.numel() for parameter in model.parameters()), billion="B")
    assert page.card.figures.number("Parameters") == n
    assert page.card.figures.number("Context") == "96"
    assert f"{n} parameters" in page.list.current.detail  # type: ignore[union-attr]
    until(lambda: not page.busy)
    size = size_on_disk(session.runs.find(page.card.run_id).folder)
    assert page.card.figures.number("On disk") == format_size(size)
    names = [cell.findChildren(QLabel)[1].text() for cell in page.card.figures.cells if cell.isVisible()]
    assert names == ["On disk", "Memory, about", "Parameters", "Context"]
    assert any("is now in your library" in sentence for sentence in window.toasts.sentences)
    page.list.show_source(LISTED)
    names = [cell.findChildren(QLabel)[1].text() for cell in page.card.figures.cells if cell.isVisible()]
    assert names == ["Download, about", "Memory, about", "Parameters", "Context"]
