"""The Steps view: stepping and playback for every kind of tokenizer, ending in the encoder's tokens."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from PySide6.QtCore import QEvent, QPointF, Qt
from PySide6.QtGui import QMouseEvent
from PySide6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot
from tokenizers import Tokenizer, models, pre_tokenizers

from terrarium.app.kit.theme import ThemeProvider
from terrarium.app.session.session import Session
from terrarium.app.tokenizer.steps import analysis
from terrarium.app.tokenizer.steps.drawing import LookupDrawing
from terrarium.app.tokenizer.steps.lattice import LatticeDrawing
from terrarium.app.tokenizer.steps.merge_tree import MergeTreeDrawing
from terrarium.app.tokenizer.steps.scan import ScanDrawing
from terrarium.app.tokenizer.steps.steps_view import StepsView
from terrarium.models.tokenizers import train_tokenizer
from terrarium.models.tokenizers.steps.bpe import BpeSteps
from terrarium.models.tokenizers.steps.unigram import UnigramSteps
from terrarium.models.tokenizers.steps.wordpiece import WordPieceSteps

CORPUS = ["the cat and the hat sat on the mat, unbelievable! believable able table stable nation station. " * 40]
TEXT = "the unbelievable station, the cat<|end|>"
KINDS = ("bpe", "wordpiece", "unigram", "byte", "char", "word")

Until = Callable[[Callable[[], bool]], None]


@pytest.fixture(scope="module")
def trained() -> dict[str, Tokenizer]:
    """One small tokenizer of each kind."""
    return {kind: train_tokenizer(CORPUS, kind, 360) for kind in KINDS}


@pytest.fixture
def view(qtbot: QtBot, session: Session, theme: ThemeProvider) -> StepsView:
    view = StepsView(session, theme)
    qtbot.addWidget(view)
    view.resize(1000, 700)
    view.show()
    return view


def is_idle(view: StepsView) -> bool:
    return not (view.pause.isActive() or view.analysing.busy or view.tracing.busy)


def show(view: StepsView, until: Until, tokenizer: Tokenizer, text: str = TEXT, word: str = "") -> None:
    view.set_tokenizer(tokenizer, "t")
    view.set_text(text)
    until(lambda: is_idle(view))
    if word:
        assert view.analysis is not None
        words = [each.display.strip("·▁") for each in view.analysis.split.words]
        view.stages.strip.choose(words.index(word))
        until(lambda: is_idle(view))


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_ends_in_the_tokens_of_the_encoder(
    view: StepsView, until: Until, trained: dict[str, Tokenizer], theme: ThemeProvider, kind: str
) -> None:
    tokenizer = trained[kind]
    show(view, until, tokenizer)
    assert view.analysis is not None
    assert view.analysis.n_wrong == 0
    assert "✓ The steps of all of them" in view.stages.about_words.text()
    ids: dict[str, tuple[int, ...]] = {}
    for row, word in enumerate(view.analysis.split.words):
        view.stages.strip.choose(row)
        until(lambda: is_idle(view))
        assert view.trace is not None
        assert view.trace.agrees
        assert view.verdict.text().startswith("✓ Matches the encoder")
        ids[word.text] = view.trace.found.ids
        for step in (0, view.trace.found.n_steps // 2, view.trace.found.n_steps):
            view.transport.go(step)
            assert view.sentence.text()
            assert not view.grab().isNull()
    words = view.analysis.split.words
    if view.analysis.split.n_words == len(words):  # each once: in order, they are the text
        whole = tokenizer.encode(TEXT, add_special_tokens=False).ids
        assert [id for word in words for id in ids[word.text]] == whole
    theme.set_mode("dark")
    assert not view.grab().isNull()
    kinds = {"bpe": MergeTreeDrawing, "wordpiece": ScanDrawing, "unigram": LatticeDrawing, "word": LookupDrawing}
    view.stages.strip.choose(0)
    until(lambda: is_idle(view))
    assert isinstance(view.board.drawing, kinds.get(kind, MergeTreeDrawing))


def test_stepping_forwards_and_backwards_merges_and_parts(
    view: StepsView, until: Until, trained: dict[str, Tokenizer]
) -> None:
    show(view, until, trained["bpe"], word="unbelievable")
    assert view.trace is not None
    found, drawing = view.trace.found, view.board.drawing
    assert isinstance(found, BpeSteps)
    assert isinstance(drawing, MergeTreeDrawing)
    assert view.transport.step == found.n_steps > 5
    view.transport.first()
    assert len(drawing.band(0, 0, 1e6)) == found.n_symbols
    assert sum(note.is_next for note in drawing.boundary_notes(0, 0, 1e6)) == 1
    for step in range(1, found.n_steps + 1):
        view.transport.forward()
        assert view.transport.step == step
        assert len(drawing.band(step, 0, 1e6)) == found.n_symbols - step
        node = found.merge(step)
        assert f"rank {node.rank:,}" in view.sentence.text()
        assert view.table.currentIndex().row() == step - 1
        # What is merged now has the least rank of all that there are.
        ranks = [int(note.text.replace(",", "")) for note in drawing.boundary_notes(step - 1, 0, 1e6)]
        assert min(ranks) == node.rank
        assert "ranks" in drawing.band_caption(step - 1)
    assert drawing.band_caption(found.n_steps) == "Tokens, with their ids", "nothing is left to merge"
    view.transport.back()
    assert view.transport.step == found.n_steps - 1
    view.table.selectRow(2)
    assert view.transport.step == 3
    view.transport.slider.setValue(1)
    assert view.transport.step == 1
    assert view.table.currentIndex().row() == 0


def test_the_scan_shrinks_until_it_finds(view: StepsView, until: Until, trained: dict[str, Tokenizer]) -> None:
    show(view, until, trained["wordpiece"], text="stationable")
    assert view.trace is not None
    found, drawing = view.trace.found, view.board.drawing
    assert isinstance(found, WordPieceSteps)
    assert drawing is not None
    view.transport.first()
    pieces = 0
    for step in range(1, found.n_steps + 1):
        view.transport.forward()
        tried = found.tried(step)
        pieces += tried.id is not None
        assert len(drawing.band(step, 0, 1e6)) == pieces
        assert ("is in the vocabulary" if tried.id is not None else "is not in the vocabulary") in view.sentence.text()
    assert pieces == len(found.ids) > 1
    captions = [drawing.band_caption(step) for step in (0, found.n_steps)]
    assert captions == ["Tokens found so far, with their ids", "Tokens, with their ids"]


def test_the_best_path_is_found_position_by_position(
    view: StepsView, until: Until, trained: dict[str, Tokenizer]
) -> None:
    show(view, until, trained["unigram"], word="unbelievable")
    assert view.trace is not None
    found, drawing = view.trace.found, view.board.drawing
    assert isinstance(found, UnigramSteps)
    assert drawing is not None
    for step in range(1, len(found.word) + 1):
        view.transport.go(step)
        assert len(drawing.band(step, 0, 1e6)) == len(found.best_path_to(step))
        assert view.table.currentIndex().row() == step - 1
    view.transport.last()
    assert "Traced back from the end" in view.sentence.text()
    assert len(drawing.band(found.n_steps, 0, 1e6)) == len(found.best)
    captions = [drawing.band_caption(step) for step in (0, found.n_steps)]
    assert captions == [
        "Tokens of the best path so far, with their scores",
        "Tokens of the best path, with their scores",
    ]
    assert "of the total probability" in view.summary.text()


def test_it_plays_to_the_end_and_pauses(
    qtbot: QtBot, view: StepsView, until: Until, trained: dict[str, Tokenizer]
) -> None:
    show(view, until, trained["bpe"], word="station")
    view.transport.speed.setCurrentIndex(view.transport.speed.count() - 1)
    assert view.transport.timer.interval() == 125
    seen: list[int] = []
    view.transport.step_changed.connect(seen.append)
    with qtbot.waitSignal(view.transport.playing_changed):
        qtbot.mouseClick(view.transport.play_button, Qt.MouseButton.LeftButton)
    assert view.transport.is_playing
    assert view.trace is not None
    n_steps = view.trace.found.n_steps
    until(lambda: not view.transport.is_playing)
    assert seen == list(range(n_steps + 1))  # from the end it begins anew
    view.transport.toggle()
    until(lambda: view.transport.step == 1)
    view.transport.toggle()
    assert not view.transport.is_playing


def test_it_plays_through_all_words(view: StepsView, until: Until, trained: dict[str, Tokenizer]) -> None:
    show(view, until, trained["bpe"], text="the cat sat")
    assert view.analysis is not None
    view.transport.timer.setInterval(1)
    view.transport.through_all_words.setChecked(True)
    view.stages.strip.choose(0)
    until(lambda: is_idle(view))
    view.transport.first()
    rows: list[int] = []
    view.stages.strip.chosen.connect(rows.append)
    view.transport.toggle()
    until(lambda: not view.transport.is_playing)
    assert rows == [1, 2]
    assert view.trace is not None
    assert view.transport.step == view.trace.found.n_steps


def test_stepping_past_the_end_starts_the_next_word(
    view: StepsView, until: Until, trained: dict[str, Tokenizer]
) -> None:
    show(view, until, trained["bpe"], text="unbelievable cat")
    assert view.transport.step > 0
    view.transport.forward()  # nothing is left, and it is not to go on
    assert view.stages.strip.current == 0
    view.transport.through_all_words.setChecked(True)
    view.transport.forward()
    until(lambda: is_idle(view))
    assert (view.stages.strip.current, view.transport.step) == (1, 0)
    view.stages.strip.choose(0)
    until(lambda: is_idle(view))
    assert view.trace is not None
    assert view.transport.step == view.trace.found.n_steps


def test_keys_step_and_play(qtbot: QtBot, view: StepsView, until: Until, trained: dict[str, Tokenizer]) -> None:
    show(view, until, trained["bpe"], word="unbelievable")
    view.setFocus()
    n_steps = view.transport.step
    for key, step in (
        (Qt.Key.Key_Home, 0),
        (Qt.Key.Key_Left, 0),
        (Qt.Key.Key_Right, 1),
        (Qt.Key.Key_Right, 2),
        (Qt.Key.Key_Left, 1),
        (Qt.Key.Key_End, n_steps),
    ):
        qtbot.keyClick(view.board, key)
        assert view.transport.step == step
    qtbot.keyClick(view.board, Qt.Key.Key_Space)
    assert view.transport.is_playing
    qtbot.keyClick(view.board, Qt.Key.Key_Space)
    assert not view.transport.is_playing


def test_what_is_under_the_pointer_is_described(view: StepsView, until: Until, trained: dict[str, Tokenizer]) -> None:
    for kind, facts in (("bpe", "rank"), ("wordpiece", "id"), ("unigram", "score"), ("word", "id")):
        show(view, until, trained[kind], word="unbelievable" if kind != "word" else "the")
        drawing, step = view.board.drawing, view.transport.step
        assert drawing is not None
        size = drawing.size(step)
        points = (QPointF(x, y) for y in range(4, int(size.height()), 5) for x in range(4, int(size.width()), 7))
        told = {(what, drawing.facts(what)): point for point in points if (what := drawing.at(point, step)) >= 0}
        point = next(point for (_, words), point in told.items() if facts in words)
        place = point - view.board.offset
        move = QMouseEvent(
            QEvent.Type.MouseMove,
            place,
            QPointF(view.board.viewport().mapToGlobal(place)),
            Qt.MouseButton.NoButton,
            Qt.MouseButton.NoButton,
            Qt.KeyboardModifier.NoModifier,
        )
        QApplication.sendEvent(view.board.viewport(), move)
        assert view.line.currentWidget() is view.description
        assert facts in view.description.text()
        assert not view.grab().isNull()
        QApplication.sendEvent(view.board.viewport(), QEvent(QEvent.Type.Leave))
        assert view.line.currentWidget() is view.sentence


def test_frequencies_are_counted_on_a_named_corpus(
    qtbot: QtBot, view: StepsView, until: Until, trained: dict[str, Tokenizer]
) -> None:
    show(view, until, trained["bpe"], word="station")
    assert "store no frequencies" in view.frequencies.note.text()
    model = view.table.model()
    headers = [model.headerData(i, Qt.Orientation.Horizontal) for i in range(model.columnCount())]
    assert headers == ["", "Merge", "Rank"]
    view.frequencies.picker.box.activated.emit(2)
    qtbot.mouseClick(view.frequencies.count_button, Qt.MouseButton.LeftButton)
    until(lambda: view.frequencies.frequencies is not None)
    assert view.frequencies.note.text().startswith("Counted on your text: ")
    assert model.headerData(3, Qt.Orientation.Horizontal) == "Applied"
    found = view.frequencies.frequencies
    assert found is not None
    assert view.trace is not None
    assert isinstance(view.trace.found, BpeSteps)
    for row in range(model.rowCount()):
        node = view.trace.found.merge(row + 1)
        assert node.rank is not None
        assert model.index(row, 3).data() == f"{found.merges[node.rank]:,}"
    assert "in your text" in view.sentence.text()
    show(view, until, trained["unigram"])  # the counts of one tokenizer say nothing of another one
    assert view.frequencies.frequencies is None
    assert "store no frequencies" in view.frequencies.note.text()


def test_counting_can_be_cancelled_and_reports_failures(
    view: StepsView, until: Until, trained: dict[str, Tokenizer], tmp_path: object
) -> None:
    show(view, until, trained["bpe"])
    view.frequencies.count()
    assert view.frequencies.is_busy
    view.frequencies.cancel()
    assert not view.frequencies.is_busy
    assert view.frequencies.frequencies is None
    view.frequencies.picker.set_files((f"{tmp_path}/gone.txt",))
    view.frequencies.count()
    until(lambda: not view.frequencies.is_busy)
    assert "gone.txt cannot be read" in view.frequencies.note.text()


def test_without_a_tokenizer_or_a_text_there_is_a_hint(
    view: StepsView, until: Until, trained: dict[str, Tokenizer]
) -> None:
    view.set_tokenizer(None, "")
    view.set_text(TEXT)
    assert view.pages.currentIndex() == 1
    show(view, until, trained["bpe"], text="")
    assert view.pages.currentIndex() == 0
    assert view.boards.currentWidget() is view.message
    assert not view.transport.play_button.isEnabled()
    for key in (view.transport.forward, view.transport.back, view.transport.toggle, view.transport.last):
        key()
    view.set_text(TEXT)
    until(lambda: view.trace is not None)
    assert view.boards.currentWidget() is view.board
    view.set_tokenizer(None, "")
    assert view.trace is None
    assert view.stages.strip.words.rowCount() == 0


def test_a_typed_word_replaces_the_text(view: StepsView, until: Until, trained: dict[str, Tokenizer]) -> None:
    show(view, until, trained["bpe"])
    view.stages.own.setText("nation")
    until(lambda: is_idle(view))
    assert view.analysis is not None
    assert [word.text for word in view.analysis.split.words] == ["nation"]
    view.set_text("something else")  # while a word is typed, the text waits
    until(lambda: is_idle(view))
    assert view.analysis.split.text == "nation"
    view.stages.own.clear()
    until(lambda: is_idle(view))
    assert view.analysis.split.text == "something else"


@pytest.mark.parametrize("kind", KINDS)
def test_unusual_texts_are_traced(view: StepsView, until: Until, trained: dict[str, Tokenizer], kind: str) -> None:
    for text in ("a\0b", "half \ud800 of it", "\n\n\t ", "שלום 日本語 🌱👩‍🚀 é", "<b>&amp;</b>", "<|end|>"):
        show(view, until, trained[kind], text=text)
        assert not view.problem.text()
        if view.analysis is not None and view.analysis.split.words:
            assert view.trace is not None
            assert view.trace.agrees
            view.transport.first()
            assert not view.grab().isNull()


@pytest.mark.parametrize("kind", ["bpe", "wordpiece", "unigram"])
def test_long_words_are_traced_up_to_a_limit(
    view: StepsView, until: Until, trained: dict[str, Tokenizer], kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    tokenizer = Tokenizer.from_str(trained[kind].to_str())
    if kind == "wordpiece":
        tokenizer.model.max_input_chars_per_word = 2000
    show(view, until, tokenizer, text="unbelievable" * 100)
    assert view.trace is not None
    assert view.trace.agrees
    assert view.trace.found.n_steps > 100
    view.transport.first()
    view.transport.last()
    bar = view.board.horizontalScrollBar()
    assert bar.maximum() > 0 or kind == "wordpiece"
    assert not view.grab().isNull()
    monkeypatch.setattr(analysis, "MAX_WORD", 50)
    monkeypatch.setattr(analysis, "MAX_TEXT", 1000)
    show(view, until, tokenizer, text="stable" * 400)
    assert view.trace is not None
    assert view.trace.is_cut
    assert view.trace.agrees
    assert "(of the first" in view.verdict.text()
    assert "Only the first" in view.stages.about_words.text()


def test_unsupported_tokenizers_give_an_error_message(
    view: StepsView, until: Until, trained: dict[str, Tokenizer]
) -> None:
    lacking = Tokenizer(models.WordLevel({"a": 0}, unk_token="[UNK]"))
    lacking.pre_tokenizer = pre_tokenizers.Whitespace()
    show(view, until, lacking, text="a b")
    assert view.boards.currentWidget() is view.problem
    assert view.problem.text().startswith("This tokenizer cannot encode the text (WordLevel error: Missing [UNK]")
    assert view.trace is None
    show(view, until, trained["bpe"])
    assert view.boards.currentWidget() is view.board


def test_words_that_are_looked_up_before_merging_have_no_steps(
    view: StepsView, until: Until, trained: dict[str, Tokenizer]
) -> None:
    tokenizer = Tokenizer.from_str(trained["bpe"].to_str())
    tokenizer.model.ignore_merges = True
    show(view, until, tokenizer, text="the the")
    assert "looks up whole words before" in view.summary.text()
    assert view.sentence.text() == "No steps: nothing is merged."
    assert view.transport.step_label.text() == "no steps"
