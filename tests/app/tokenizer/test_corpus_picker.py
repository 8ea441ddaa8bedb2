"""The corpus picker: its choices, keeping the choice, and loading the texts."""

from __future__ import annotations

from pathlib import Path

import pytest
from PySide6.QtWidgets import QFileDialog
from pytestqt.qtbot import QtBot

from terrarium.app.session.session import Session
from terrarium.app.tokenizer.corpus_picker import CorpusPicker
from terrarium.models.corpora.corpus import build_examples_corpus
from terrarium.models.corpora.text_corpora import build_text_corpus
from terrarium.models.data.corpus_texts import CorpusTexts, corpus_texts
from tests.models.training.support import result_of


@pytest.fixture
def picker(qtbot: QtBot, session: Session) -> CorpusPicker:
    picker = CorpusPicker(session)
    qtbot.addWidget(picker)
    return picker


def texts_of(picker: CorpusPicker, session: Session) -> CorpusTexts:
    return result_of(corpus_texts(session.library, picker.choice))


def entries(picker: CorpusPicker) -> list[str]:
    """The texts that are offered, above the entry that asks for files."""
    words = [picker.box.itemText(i) for i in range(picker.box.count())]
    assert words.pop() == "Text files…"
    return words


def test_new_corpora_of_the_library_are_offered(
    qtbot: QtBot, picker: CorpusPicker, session: Session, text_file: Path
) -> None:
    assert entries(picker) == ["Tiny World", "Python's documentation"]
    corpus = build_text_corpus(session.library, [text_file], 0.1)
    session.tokenizers.list_changed.emit()
    assert entries(picker) == ["Tiny World", "Python's documentation", "text.txt (38.3 KiB)"]
    with qtbot.waitSignal(picker.changed):
        picker.box.activated.emit(2)
    label, n_bytes, texts = texts_of(picker, session)
    assert (label, n_bytes) == ("text.txt", text_file.stat().st_size)
    assert "".join(texts) == text_file.read_text()
    session.library.move_to_trash(corpus.folder)
    with qtbot.waitSignal(picker.changed):
        session.tokenizers.list_changed.emit()
    assert picker.choice.source == "tiny-world"


def test_examples_give_only_their_texts(picker: CorpusPicker, session: Session) -> None:
    chat = {"messages": [{"role": "user", "content": "Where?"}, {"role": "assistant", "content": "Here."}]}
    build_examples_corpus(session.library, [{"text": "One."}, chat], [{"text": "Two."}], "examples", None)
    session.tokenizers.list_changed.emit()
    picker.box.activated.emit(2)
    label, n_bytes, texts = texts_of(picker, session)
    assert (label, list(texts)) == ("examples", [" One.", " Where?", " Here.", " Two."])
    assert n_bytes == pytest.approx(len(" One. Where? Here. Two."), abs=1)


def test_files_are_read_unchanged(
    qtbot: QtBot, picker: CorpusPicker, session: Session, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = tmp_path / "first.txt", tmp_path / "second.txt"
    first.write_text("naïve\n", encoding="utf-8")
    second.write_text("café", encoding="utf-8")
    names = [str(first), str(second)]
    monkeypatch.setattr(QFileDialog, "getOpenFileNames", lambda *_: (names, ""))
    with qtbot.waitSignal(picker.changed):
        picker.box.activated.emit(picker.box.count() - 1)
    assert picker.words == "first.txt and 1 more"
    label, n_bytes, texts = texts_of(picker, session)
    assert (label, n_bytes, "".join(texts)) == ("first.txt and 1 more", 12, "naïve\ncafé")
    monkeypatch.setattr(QFileDialog, "getOpenFileNames", lambda *_: ([], ""))
    picker.box.activated.emit(picker.box.count() - 1)  # cancelled
    assert picker.words == "first.txt and 1 more"


def test_a_missing_file_gives_an_error_message(picker: CorpusPicker, session: Session, tmp_path: Path) -> None:
    picker.set_files((str(tmp_path / "gone.txt"),))
    with pytest.raises(ValueError, match=r"gone.txt cannot be read: No such file"):
        list(texts_of(picker, session).texts)


def test_the_text_of_the_tab_is_offered_unless_empty(qtbot: QtBot, picker: CorpusPicker, session: Session) -> None:
    picker.set_text("A kite.")
    assert entries(picker)[2] == "Your text"
    picker.box.activated.emit(2)
    with qtbot.waitSignal(picker.changed):
        picker.set_text("Two kites 🪁 \ud800")
    assert list(texts_of(picker, session).texts) == ["Two kites 🪁 ?"]
    picker.set_text("")
    assert picker.choice.source == "tiny-world"
