"""The tokenizer tab with a real session: training, exploring, renaming, deleting."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
from PySide6.QtCore import Qt
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import QInputDialog, QPushButton
from pytestqt.qtbot import QtBot
from tokenizers import Tokenizer

from terrarium.app.kit.theme import ThemeProvider
from terrarium.app.session.session import Session
from terrarium.app.tokenizer.about import facts
from terrarium.app.tokenizer.explore.explore_view import EXAMPLE
from terrarium.app.tokenizer.tokenizer_tab import TokenizerTab
from terrarium.models.corpora.corpus import build_examples_corpus
from terrarium.models.corpora.text_corpora import build_text_corpus
from terrarium.models.data.corpus_texts import CorpusChoice
from terrarium.models.library.library import Library
from terrarium.models.settings.tokenizer_options import TokenizerOptions
from terrarium.models.tokenizers import load_tokenizer, save_tokenizer, token_pieces, train_tokenizer

Until = Callable[[Callable[[], bool]], None]


@pytest.fixture
def tab(qtbot: QtBot, session: Session, theme: ThemeProvider) -> TokenizerTab:
    tab = TokenizerTab(session, theme)
    qtbot.addWidget(tab)
    tab.resize(1280, 650)
    tab.show()
    return tab


def keep(session: Session, name: str, kind: str = "byte", vocab_size: int = 261) -> None:
    save_tokenizer(train_tokenizer(["the cat sat. " * 20], kind, vocab_size), session.library, name, {})
    session.tokenizers.list_changed.emit()


@pytest.fixture
def choose(session: Session, until: Until) -> Callable[[str], None]:
    """Choose a tokenizer, and wait until it has been read."""

    def choose(name: str) -> None:
        session.tokenizers.choose(name)
        until(lambda: not session.tokenizers.is_loading)

    return choose


def test_an_empty_library_gives_a_hint(tab: TokenizerTab) -> None:
    assert not tab.views.explore.lab.isVisible()
    assert not tab.views.explore.card.isVisible()
    assert any(b.text() == "Train one on Tiny World" and b.isVisible() for b in tab.findChildren(QPushButton))


def test_training_from_a_file_shows_its_tokens(
    tab: TokenizerTab, session: Session, tmp_path: Path, until: Until
) -> None:
    text = tmp_path / "story.txt"
    text.write_text("Anna gives the kite to Ben.\n" * 200)
    tab.trainer.source.set_files((str(text),))
    tab.trainer.vocab.setValue(280)
    assert tab.trainer.name.text() == "story-bpe-280"
    tab.trainer.train()
    assert tab.training.busy
    assert tab.trainer.progress_bar.isVisible()
    until(lambda: session.tokenizers.name == "story-bpe-280" and not session.tokenizers.is_loading)
    assert tab.views.explore.lab.isVisible()
    assert tab.list.current_key == "story-bpe-280"
    assert tab.views.explore.stats.number("tokens") == f"{tab.views.explore.lab.n_tokens:,}"
    assert not tab.trainer.progress_bar.isVisible()
    assert tab.trainer.name.text() == "story-bpe-280-2", "the next one gets a free name"


@pytest.mark.parametrize("is_dataset", [False, True])
def test_a_text_or_a_dataset_of_the_library_can_be_learned(
    tab: TokenizerTab, session: Session, text_file: Path, until: Until, is_dataset: bool
) -> None:
    rows = [{"text": f"Film {n} was a quokka of a film.", "label": "ab"[n % 2]} for n in range(60)]
    if is_dataset:
        corpus = build_examples_corpus(
            session.library, rows[:50], rows[50:], "films: 2025", None, task="classification", labels=("a", "b")
        )
    else:
        corpus = build_text_corpus(session.library, [text_file], 0.1)
    session.datasets.refresh()
    box = tab.trainer.source.box
    until(lambda: any(corpus.label in box.itemText(i) for i in range(box.count())))
    box.activated.emit(next(i for i in range(box.count()) if corpus.label in box.itemText(i)))
    tab.trainer.vocab.setValue(270)
    name = "films--2025-bpe-270" if is_dataset else "text-bpe-270"
    assert tab.trainer.name.text() == name
    tab.trainer.train()
    until(lambda: session.tokenizers.name == name and not session.tokenizers.is_loading)
    assert session.tokenizers.about(name)["trained_on"] == [str(corpus.path("train"))]
    assert session.tokenizers.current is not None
    learned = "".join(session.tokenizers.current.get_vocab())
    assert ("film" if is_dataset else "the") in learned


@pytest.mark.parametrize("closes", [False, True])
def test_cancelling_and_closing_end_the_child_and_leave_nothing(
    tab: TokenizerTab, session: Session, tmp_path: Path, until: Until, monkeypatch: pytest.MonkeyPatch, closes: bool
) -> None:
    sleep = "import time; time.sleep(600)"
    monkeypatch.setattr("terrarium.models.tokenizers.making.child.own_command", lambda: [sys.executable, "-c", sleep])

    def is_ours(child: psutil.Process) -> bool:
        try:
            return sleep in child.cmdline()
        except psutil.NoSuchProcess:  # it has ended meanwhile
            return False

    def children() -> list[psutil.Process]:
        return [child for child in psutil.Process().children() if is_ours(child)]

    text = tmp_path / "story.txt"
    text.write_text("Anna gives the kite to Ben.\n" * 200)
    tab.trainer.source.set_files((str(text),))
    tab.trainer.train()
    until(lambda: bool(children()))
    if closes:
        session.close()
        assert not children()
    else:
        tab.trainer.cancel_requested.emit()
        until(lambda: not children())
    assert not tab.training.busy
    assert session.tokenizers.list() == []
    assert not tab.trainer.progress_bar.isVisible()


def test_a_taken_name_gives_an_error_message(qtbot: QtBot, tab: TokenizerTab, session: Session) -> None:
    keep(session, "mine")
    with qtbot.waitSignal(session.notices.failed) as failed:
        tab.trainer.train_requested.emit("mine", "byte", 261, CorpusChoice(source="stdlib"), TokenizerOptions())
    assert "mine" in failed.args[0]


def test_choosing_a_tokenizer_encodes_the_text_again(
    tab: TokenizerTab, session: Session, choose: Callable[[str], None], until: Until
) -> None:
    keep(session, "bytes")
    keep(session, "pieces", "bpe", 270)
    choose("bytes")
    assert session.tokenizers.current is not None
    assert tab.views.explore.stats.number("tokens") == f"{len(token_pieces(session.tokenizers.current, EXAMPLE)):,}"
    tab.list.setCurrentRow(1)
    assert session.tokenizers.name == "pieces"
    until(lambda: not session.tokenizers.is_loading)
    tab.views.explore.lab.editor.setPlainText("cat 🌱")
    numbers = [tab.views.explore.stats.number(name) for name in ("characters", "bytes")]
    assert numbers == ["5", "8"]
    tab.views.explore.lab.editor.clear()
    assert tab.views.explore.stats.number("bytes per token") == "–"


def test_the_card_describes_the_token_and_ids_are_copied(
    qtbot: QtBot, tab: TokenizerTab, session: Session, choose: Callable[[str], None]
) -> None:
    keep(session, "bytes")
    choose("bytes")
    lab = tab.views.explore.lab
    lab.editor.setPlainText("aé a")
    assert lab.tokens is not None
    lab.view.pick(1)
    assert tab.views.explore.card.value("Bytes") == "C3"
    assert tab.views.explore.card.value("Text") == "part of a character"
    lab.view.pick(0)
    assert tab.views.explore.card.value("Here") == "2 times"
    assert tab.views.explore.card.value("Id") == str(lab.tokens[0].id)
    (copy,) = (b for b in tab.findChildren(QPushButton) if b.text() == "Copy ids")
    qtbot.mouseClick(copy, Qt.MouseButton.LeftButton)
    assert QGuiApplication.clipboard().text() == str(lab.tokens.ids.tolist())


def test_deleting_can_be_undone(
    qtbot: QtBot, tab: TokenizerTab, session: Session, choose: Callable[[str], None]
) -> None:
    keep(session, "bytes")
    choose("bytes")
    with qtbot.waitSignal(session.notices.deleted) as deleted:
        qtbot.keyClick(tab.list, Qt.Key.Key_Delete)
    assert not tab.views.explore.lab.isVisible()
    assert tab.list.count() == 0
    deleted.args[1]()
    assert tab.list.count() == 1


def test_a_damaged_tokenizer_is_listed_with_its_problem(tab: TokenizerTab, session: Session) -> None:
    folder = session.library.tokenizers / "broken"
    folder.mkdir(parents=True)
    (folder / "tokenizer.json").write_text("{")
    session.tokenizers.list_changed.emit()
    item = tab.list.item(0)
    assert item is not None
    assert "broken" in item.toolTip()


def test_the_form_shows_the_options_of_the_kind(tab: TokenizerTab) -> None:
    trainer = tab.trainer
    for kind, hidden in (
        ("byte", {"normalizer", "pre_tokenizer", "min_frequency", "byte_fallback"}),
        ("unigram", {"min_frequency"}),
    ):
        trainer.kind.setCurrentIndex(trainer.kind.findData(kind))
        assert trainer.options is not None
        assert not hidden & set(trainer.options.rows)
    trainer.kind.setCurrentIndex(trainer.kind.findData("bpe"))
    assert trainer.options is not None
    trainer.options.apply({"pre_tokenizer": "none", "min_frequency": 5})
    trainer.kind.setCurrentIndex(trainer.kind.findData("wordpiece"))
    assert trainer.options.config.pre_tokenizer == "digits", "none does not go with it"
    assert trainer.options.config.min_frequency == 5, "what was chosen stays"
    trainer.options.apply({"pre_tokenizer": "gpt2"})
    assert "use digits or whitespace" in trainer.problem.text()
    assert not trainer.start_button.isEnabled()
    trainer.options.apply({"pre_tokenizer": "whitespace"})
    assert trainer.start_button.isEnabled()
    trainer.vocab.setValue(3)
    assert "is not possible" in trainer.problem.text()


def test_options_reach_the_tokenizer_and_growth_is_measured(
    qtbot: QtBot, tab: TokenizerTab, session: Session, tmp_path: Path, until: Until
) -> None:
    text = tmp_path / "story.txt"
    text.write_text("Anna gives the KITE to Ben in 1984.\n" * 300)
    qtbot.mouseClick(tab.new, Qt.MouseButton.LeftButton)
    trainer = tab.trainer
    assert trainer.isVisible()
    trainer.source.set_files((str(text),))
    trainer.vocab.setValue(290)
    assert trainer.options is not None
    trainer.options.apply({"normalizer": "lowercase", "pre_tokenizer": "gpt2"})
    qtbot.mouseClick(trainer.start_button, Qt.MouseButton.LeftButton)
    until(lambda: session.tokenizers.name == "story-bpe-290" and not session.tokenizers.is_loading)
    assert session.tokenizers.current is not None
    pieces = [piece.display for piece in token_pieces(session.tokenizers.current, "KITE 1984")]
    assert "".join(pieces) == "kite·1984"
    sizes = [point.vocab_size for point in trainer.growth.points]
    assert (sizes[0], sizes[-1]) == (261, session.tokenizers.current.get_vocab_size())
    assert tab.views.current == "explore"
    about = tab.views.view("about")
    assert about.facts["Normaliser"] == "Lowercase"
    assert about.facts["Made from"].startswith("story.txt ("), "not a path within the library"
    sources = session.tokenizers.about("story-bpe-290")["trained_on"]
    copied = {"trained_on": [each.replace(str(session.library.home), "/elsewhere") for each in sources]}
    assert facts(session.tokenizers.current, copied, session.library)["Made from"] == "story.txt"
    assert about.growth.points == trainer.growth.points
    assert about.growth.isVisibleTo(about)


def test_rename_duplicate_and_notes(
    tab: TokenizerTab, session: Session, monkeypatch: pytest.MonkeyPatch, until: Until, choose: Callable[[str], None]
) -> None:
    keep(session, "mine", "bpe", 270)
    choose("mine")
    tab.views.show_view("about")
    about = tab.views.view("about")
    assert not about.growth.isVisibleTo(about), "it was not measured"
    about.notes.setPlainText("my first")
    until(lambda: session.tokenizers.about("mine").get("notes") == "my first")
    monkeypatch.setattr(QInputDialog, "getText", lambda *_, **__: ("ours", True))
    tab.list.rename_requested.emit("mine")
    assert session.tokenizers.name == tab.list.current_key == "ours"
    assert session.remembered.get("tokenizer", "") == "ours"
    assert session.tokenizers.about("ours")["name"] == "ours"
    tab.list.duplicate_requested.emit("ours")
    until(lambda: session.tokenizers.name == "ours-2" and not session.tokenizers.is_loading)
    assert (about.facts["Copy of"], about.notes.toPlainText()) == ("ours", "my first")
    about.notes.setPlainText("the copy's")
    choose("ours")
    assert session.tokenizers.about("ours-2")["notes"] == "the copy's", "kept before another is shown"
    assert about.notes.toPlainText() == "my first"
    monkeypatch.setattr(QInputDialog, "getText", lambda *_, **__: ("ours-2", True))
    tab.list.rename_requested.emit("ours")
    assert [info.name for info in session.tokenizers.list()] == ["ours", "ours-2"], "a name that is taken is refused"


@pytest.fixture
def slow_disk(monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """Tokenizers are read only after this event."""
    ready, load = threading.Event(), load_tokenizer

    def wait_and_load(name: str, library: Library) -> Tokenizer:
        assert threading.current_thread() is not threading.main_thread()
        ready.wait()
        return load(name, library)

    monkeypatch.setattr("terrarium.models.tokenizers.load_tokenizer", wait_and_load)
    yield ready
    ready.set()


def test_the_page_reacts_while_a_tokenizer_is_read(
    qtbot: QtBot, tab: TokenizerTab, session: Session, until: Until, slow_disk: threading.Event
) -> None:
    keep(session, "large")
    session.tokenizers.choose("large")
    until(tab.loading.isVisible)
    assert tab.loading.words.startswith("Loading “large”…")
    assert tab.list.current_key == "large"
    qtbot.mouseClick(tab.new, Qt.MouseButton.LeftButton)
    assert tab.trainer.isVisible(), "another one can be trained meanwhile"
    tab.views.show_view("explore")
    assert tab.loading.isVisible()
    slow_disk.set()
    until(tab.views.explore.lab.isVisible)
    assert not tab.loading.isVisible()
    assert session.tokenizers.current is not None
    assert tab.views.explore.lab.n_tokens > 0


def test_where_a_tokenizer_cannot_be_read_the_former_one_stays(
    qtbot: QtBot, tab: TokenizerTab, session: Session, choose: Callable[[str], None]
) -> None:
    keep(session, "mine")
    choose("mine")
    before = session.tokenizers.current
    with qtbot.waitSignal(session.notices.failed) as failed:
        session.tokenizers.choose("gone")
    assert "gone" in failed.args[0]
    assert (session.tokenizers.name, session.tokenizers.current) == ("mine", before)
    assert tab.list.current_key == "mine"
    assert tab.views.explore.lab.isVisible()
