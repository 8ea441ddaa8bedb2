"""The notebook: written on, taken back, tried again, coloured, branched, cut to the context, and kept."""

from __future__ import annotations

import os
import stat
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from PySide6.QtCore import Qt
from pytestqt.qtbot import QtBot
from tokenizers import Tokenizer

from terrarium.app.chat.notebook.editor import NotebookEditor
from terrarium.app.chat.notebook.file import (
    NotebookKeeper,
    Segment,
    WrittenToken,
    open_notebook,
    read_notebook,
    write_notebook,
)
from terrarium.app.chat.notebook.notebook_page import Notebook
from terrarium.app.glass.focus import Focus
from terrarium.app.kit.theme import ThemeProvider
from terrarium.app.session.session import Session
from terrarium.models.library.library import Library
from terrarium.models.settings.sampling_config import SamplingConfig
from terrarium.models.tokenizers.special_tokens import end_id
from tests.app.heard import Heard, Told, Until
from tests.app.small_models import put_model

Write = Callable[[], None]


@pytest.fixture
def page(
    session: Session, theme: ThemeProvider, library: Library, byte_tokenizer: Tokenizer, qtbot: QtBot, until: Until
) -> Notebook:
    put_model(library, byte_tokenizer, "decoder-only")
    page = Notebook(session, theme, Focus())
    seeds = iter(range(100))
    page.draw = lambda: SamplingConfig(max_tokens=6, seed=next(seeds), logit_bias=((4, -100.0),))
    qtbot.addWidget(page)
    page.resize(900, 600)
    page.show()
    assert page.words.startswith("No model is open")
    session.chat.open("decoder-only")
    until(lambda: session.chat.state == "ready")
    return page


@pytest.fixture
def write(page: Notebook, until: Until) -> Write:
    def write() -> None:
        page.continue_button.click()
        until(lambda: not page.wants_reply and not page.reply.busy)

    return write


def model_wrote(page: Notebook) -> list[int]:
    return [piece.token.id for piece in page.editor.segments() if piece.token is not None]


def test_a_text_that_the_model_ends_at_once_can_be_written_on(
    page: Notebook, session: Session, write: Write, until: Until
) -> None:
    tokenizer = session.chat.tokenizer
    assert tokenizer is not None
    end = end_id(tokenizer)
    assert end is not None
    sampling = SamplingConfig(max_tokens=6, seed=1, logit_bias=((end, 100.0),))
    page.draw = lambda: sampling
    page.editor.setPlainText("Hello ")
    write()
    assert page.editor.text == "Hello "
    assert page.at_end.isVisible()
    page.draw = lambda: SamplingConfig(max_tokens=6, seed=1)
    page.past_end.click()
    until(lambda: not page.wants_reply and not page.reply.busy)
    assert not page.at_end.isVisible()
    written = page.reply.written
    assert written is not None
    assert len(written.tokens) == 6
    assert (end, -100.0) in written.sampling.logit_bias
    assert "past its end" in page.status.text()


def test_continue_and_undo(page: Notebook, write: Write, heard: Heard, told: Told, until: Until, qtbot: QtBot) -> None:
    assert not page.continue_button.isEnabled()
    qtbot.keyClicks(page.editor, "Hello ")
    write()
    written = page.reply.written
    assert written is not None
    assert len(written.tokens) == 6
    first = page.editor.text
    assert first == "Hello " + written.text
    until(lambda: told == [(f"The model wrote: {written.text}", False)])
    text = page.focus.text
    assert text is not None
    assert text.n_prompt == 6
    assert "seed 0" in page.status.text()
    page.undo.click()
    assert page.editor.text == "Hello "
    page.redo.click()
    assert page.editor.text == first
    page.again.click()
    qtbot.waitUntil(lambda: not page.wants_reply and not page.reply.busy)
    assert page.editor.text.startswith("Hello ")
    assert page.reply.written is not None
    assert page.reply.written.sampling.seed == 1
    page.undo.click()
    assert page.editor.text == "Hello "
    assert not heard.failures


def test_typed_text_is_not_marked(page: Notebook, write: Write, qtbot: QtBot) -> None:
    qtbot.keyClicks(page.editor, "ab")
    write()
    made = model_wrote(page)
    assert made
    qtbot.keyClicks(page.editor, "cd")
    page.editor.moveCursor(page.editor.textCursor().MoveOperation.Start)
    qtbot.keyClicks(page.editor, "e")
    assert model_wrote(page) == made
    assert page.editor.segments()[0] == Segment("eab")
    assert page.editor.segments()[-1] == Segment("cd")


def test_colouring_tokens_is_not_an_undo_step(page: Notebook, write: Write, qtbot: QtBot) -> None:
    qtbot.keyClicks(page.editor, "ab")
    write()
    steps = page.editor.document().availableUndoSteps()
    page.coloured.setChecked(True)
    page.grab()
    page.legend.set_quantity("rank")
    page.grab()
    page.coloured.setChecked(False)
    page.grab()
    assert page.editor.document().availableUndoSteps() == steps


def test_a_branch_continues_from_another_token(page: Notebook, write: Write, qtbot: QtBot, heard: Heard) -> None:
    qtbot.keyClicks(page.editor, "ab")
    write()
    before, text = page.editor.text, page.focus.text
    assert text is not None
    id = 5 + ord("x")
    page.focus.branch_requested.emit(text.n_prompt + 2, id)
    qtbot.waitUntil(lambda: not page.reply.busy)
    branched = page.focus.text
    assert branched is not None
    assert branched.ids[: text.n_prompt + 2] == text.ids[: text.n_prompt + 2]
    assert branched.ids[text.n_prompt + 2] == id
    assert len(branched.ids) == text.n_prompt + 3 + 6
    assert page.editor.text.startswith("ab")
    assert page.editor.text != before
    page.undo.click()
    assert page.editor.text == before
    page.focus.show(None)
    page.focus.branch_requested.emit(3, id)  # another view's text
    assert page.editor.text == before
    assert not heard.failures


def test_only_the_end_of_a_long_text_is_read(page: Notebook, write: Write, until: Until) -> None:
    page.editor.insert_text("x" * 100)
    until(lambda: page.text_end is not None)
    assert "reads the last 48 tokens" in page.status.text()
    write()
    assert page.focus.text is not None
    assert page.focus.text.n_prompt == 48


def test_the_pointer_on_a_token(page: Notebook, write: Write, qtbot: QtBot) -> None:
    page.editor.insert_text("ab")
    page.draw = lambda: SamplingConfig(max_tokens=1, logit_bias=((5 + ord("x"), 100.0),))
    write()
    assert page.editor.text == "abx"
    edge = page.editor.cursorRect().center()
    place = edge - type(edge)(4, 0)
    qtbot.mouseMove(page.editor.viewport(), place)
    qtbot.mouseClick(page.editor.viewport(), Qt.MouseButton.LeftButton, pos=place)
    assert page.focus.locked == 2
    assert page.editor.outlined is not None
    assert page.editor.outlined.selectedText() == "x"
    page.editor.grab()
    qtbot.keyClick(page.editor, Qt.Key.Key_Escape)
    assert page.focus.locked is None
    page.draw = lambda: SamplingConfig(max_tokens=3, logit_bias=((5 + ord("x"), 100.0),))
    write()
    page.focus.lock(5)
    qtbot.keyClick(page.editor, Qt.Key.Key_Left)
    assert page.focus.locked == 5, "before the last token"
    qtbot.keyClick(page.editor, Qt.Key.Key_Left)
    assert page.focus.locked == 4
    qtbot.keyClick(page.editor, Qt.Key.Key_Home)
    assert page.focus.locked == 4


def test_the_notebook_is_saved_and_loaded(
    page: Notebook, write: Write, session: Session, theme: ThemeProvider, library: Library, qtbot: QtBot
) -> None:
    page.keeper.soon.setInterval(20)
    page.editor.insert_text("first\nsecond 🙂 ")
    write()
    qtbot.waitUntil(lambda: open_notebook(library)[0].exists())
    page.keeper.flush()
    other = Notebook(session, theme, Focus())
    qtbot.addWidget(other)
    assert other.editor.text == page.editor.text
    assert other.editor.segments() == page.editor.segments()
    assert not other.editor.document().isUndoAvailable()


def test_a_damaged_file_is_left_alone(library: Library) -> None:
    path, _ = open_notebook(library)
    write_notebook(path, [Segment("a"), Segment("b", WrittenToken(3, 0.5, 1.0, 2))])
    assert read_notebook(path) == [Segment("a"), Segment("b", WrittenToken(3, 0.5, 1.0, 2))]
    path.write_text('{"format": 1, "pieces": [[7]]}')
    with pytest.raises(ValueError, match="is damaged"):
        read_notebook(path)
    assert open_notebook(library)[0].name == "notebook-2.json"
    assert path.read_text() == '{"format": 1, "pieces": [[7]]}'


def test_a_text_that_is_too_long_is_refused(page: Notebook, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("terrarium.app.chat.notebook.editor.MAX_CHARACTERS", 10)
    from PySide6.QtCore import QMimeData

    data = QMimeData()
    data.setText("a" * 20)
    page.editor.insertFromMimeData(data)
    assert page.editor.text == ""
    assert "20 characters" in page.problem.text()


def test_segments_match_the_text_after_any_change(theme: ThemeProvider, qtbot: QtBot) -> None:
    editor = NotebookEditor(theme)
    qtbot.addWidget(editor)
    editor.set_segments(
        [
            Segment("one\ntwo "),
            Segment("three\n", WrittenToken(1, 0.5, 1.0, 1)),
            Segment("four", WrittenToken(2, 0.5, 1.0, 1)),
        ]
    )
    assert [piece.text for piece in editor.segments()] == ["one\ntwo ", "three", "\n", "four"]
    cursor = editor.textCursor()
    cursor.setPosition(len("one\ntwo thr"))
    cursor.insertText("X\nY")
    cursor.setPosition(1)
    cursor.insertText("\n")
    assert "".join(piece.text for piece in editor.segments()) == "o\nne\ntwo thrX\nYee\nfour"
    editor.undo()
    editor.undo()
    assert [piece.text for piece in editor.segments()] == ["one\ntwo ", "three", "\n", "four"]


def test_the_newest_text_is_saved_on_quit_even_during_a_write(
    library: Library, session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    text, goes_on = ["old"], threading.Event()
    keeper = NotebookKeeper(library, lambda: [Segment(text[0])], session)

    def slowly(path: Path, segments: Sequence[Segment]) -> None:
        if segments[0].text == "old":
            goes_on.wait(5)
        write_notebook(path, segments)

    monkeypatch.setattr("terrarium.app.chat.notebook.file.write_notebook", slowly)
    keeper.keep()
    keeper.soon.timeout.emit()  # the second is over: the old text is on its way
    text[0] = "new"
    keeper.keep()
    threading.Timer(0.05, goes_on.set).start()
    keeper.flush()
    assert open_notebook(library)[1] == [Segment("new")]


def test_two_windows_do_not_overwrite_each_other(library: Library, session: Session) -> None:
    said: list[str] = []
    one, other = (NotebookKeeper(library, lambda text=text: [Segment(text)], session) for text in ("one", "other"))
    other.problem.connect(said.append)
    for keeper in (one, other, one):
        keeper.keep()
        keeper.flush()
    assert open_notebook(library)[1] == [Segment("one")]
    assert read_notebook(library.home / "notebook-2.json") == [Segment("other")]
    assert said == [], "there is nobody to tell at the end"
    one.keep()
    one.flush()
    assert len(list(library.home.glob("notebook*"))) == 2


@pytest.mark.skipif(os.name == "nt", reason="has no modes")
def test_only_the_owner_may_read_the_notebook(library: Library) -> None:
    path, _ = open_notebook(library)
    write_notebook(path, [Segment("a secret")])
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    path.chmod(0o644)  # as older versions made it
    assert open_notebook(library) == (path, [Segment("a secret")])
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
